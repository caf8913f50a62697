package redactor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"sluice/schemas"
)

// filterText runs the filter over a text.
func filterText(t *testing.T, in string) (out, refused string, quarantined int) {
	t.Helper()
	var outBuf, refusedBuf bytes.Buffer
	quarantined, err := Filter(t.Context(), engineFor(t), strings.NewReader(in), &outBuf, &refusedBuf)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(refusedBuf.String(), "\n"); n != quarantined {
		t.Errorf("%d lines on standard error, %d counted", n, quarantined)
	}
	return outBuf.String(), refusedBuf.String(), quarantined
}

func TestFilter(t *testing.T) {
	t.Parallel()
	const m = schemas.Mask
	large := `{"a":"` + strings.Repeat("x", schemas.MaxRawBytes-len(`{"a":""}`)) + `"}`
	for _, test := range []struct{ name, in, out, refused string }{
		{"nothing", "", "", ""},
		{"one", `{"password":"x"}` + "\n", `{"password":"` + m + `"}` + "\n", ""},
		{"no newline at the end", "{}\n{\"a\":1}", "{}\n{\"a\":1}\n", ""},
		{"nothing is stamped", "{}\n", "{}\n", ""},
		{"space stays", " { \"a\"\t: 1 } \r\n", " { \"a\"\t: 1 } \r\n", ""},
		{"blank lines", "\n{}\n\n", "{}\n", `{"line":1,"reason":"invalid_json"}` + "\n" + `{"line":3,"reason":"invalid_json"}` + "\n"},
		{"only a carriage return", "\r\n", "", `{"line":1,"reason":"invalid_json"}` + "\n"},
		{"a list", "[]\n{}\n", "{}\n", `{"line":1,"reason":"not_an_object"}` + "\n"},
		{"wrong field", `{"pk":1}` + "\n", "", `{"line":1,"reason":"invalid_field"}` + "\n"},
		{"no action is no fault", `{"context":{}}` + "\n", `{"context":{}}` + "\n", ""},
		{"two events in a line", "{}{}\n", "", `{"line":1,"reason":"invalid_json"}` + "\n"},
		{"too deep", strings.Repeat(`{"a":`, 901) + "1" + strings.Repeat("}", 901), "", `{"line":1,"reason":"too_deep"}` + "\n"},
		{"just deep enough", strings.Repeat(`{"a":`, 900) + "1" + strings.Repeat("}", 900), strings.Repeat(`{"a":`, 900) + "1" + strings.Repeat("}", 900) + "\n", ""},
		{"just small enough", large + "\n{}\n", large + "\n{}\n", ""},
		{"just small enough, at the end", large, large + "\n", ""},
		{"a byte too much", large + " \n{}\n", "{}\n", `{"line":1,"reason":"too_large"}` + "\n"},
		{"a byte too much, at the end", large + " ", "", `{"line":1,"reason":"too_large"}` + "\n"},
		{"much too much", "{}\n" + large + large + large + "\n{}\n", "{}\n{}\n", `{"line":2,"reason":"too_large"}` + "\n"},
		{"much too much, at the end", "{}\n" + large + large, "{}\n", `{"line":2,"reason":"too_large"}` + "\n"},
		{"a byte order mark", "\ufeff{}\n", "", `{"line":1,"reason":"invalid_json"}` + "\n"},
		{"NUL", "{}\x00\n", "", `{"line":1,"reason":"invalid_json"}` + "\n"},
	} {
		out, refused, _ := filterText(t, test.in)
		if out != test.out || refused != test.refused {
			t.Errorf("%s:\ngot  %.200q %q\nwant %.200q %q", test.name, out, refused, test.out, test.refused)
		}
	}
}

// TestFilterGolden: the events of authentik's documentation, one a line, come
// out as they went in.
func TestFilterGolden(t *testing.T) {
	t.Parallel()
	var in strings.Builder
	for _, name := range []string{"login", "login_failed", "logout", "user_write", "authorize_application"} {
		event, err := os.ReadFile("redact/testdata/" + name + ".compact.json")
		if err != nil {
			t.Fatal(err)
		}
		in.Write(event)
	}
	if out, refused, _ := filterText(t, in.String()); out != in.String() || refused != "" {
		t.Errorf("changed to %s %s", out, refused)
	}
}

// TestFilterWritesBeforeItWaits: an event comes out without another having to
// come in.
func TestFilterWritesBeforeItWaits(t *testing.T) {
	t.Parallel()
	inRead, inWrite := io.Pipe()
	outRead, outWrite := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := Filter(context.Background(), engineFor(t), inRead, outWrite, io.Discard)
		done <- err
	}()
	for range 3 {
		if _, err := io.WriteString(inWrite, "{\"token\":1}\n"); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, len(`{"token":"********************"}`)+1)
		if _, err := io.ReadFull(outRead, line); err != nil || !json.Valid(line) {
			t.Fatalf("%s %v", line, err)
		}
	}
	if err := inWrite.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// failing is a reader or writer that fails.
type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }
func (f failing) Read([]byte) (int, error)  { return 0, f.error }

func TestFilterFails(t *testing.T) {
	t.Parallel()
	if _, err := Filter(t.Context(), engineFor(t), strings.NewReader("{}\n"), failing{syscall.EPIPE}, io.Discard); err != nil {
		t.Errorf("a reader that has gone away: %v", err)
	}
	if _, err := Filter(t.Context(), engineFor(t), strings.NewReader("{}\n"), failing{syscall.ENOSPC}, io.Discard); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk: %v", err)
	}
	if _, err := Filter(t.Context(), engineFor(t), strings.NewReader("x\n"), io.Discard, failing{syscall.ENOSPC}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk for errors: %v", err)
	}
	if _, err := Filter(t.Context(), engineFor(t), failing{syscall.EIO}, io.Discard, io.Discard); !errors.Is(err, syscall.EIO) {
		t.Errorf("a broken disk: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Filter(ctx, engineFor(t), strings.NewReader("{}\n"), io.Discard, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// What the built-in rules say of themselves.
const (
	keyMeaning   = "a value, or the elements of a list, under a name that means a secret"
	queryMeaning = "the value of a parameter with such a name in a URL, a form or a request's arguments, encoded or not"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, in, want string
		quarantined    int
	}{
		{"nothing", "", "", 0},
		{
			"lines", `{"context":{"password":"` + planted + `","url":"/?token=` + planted + `"}}` + "\n{}\n" + `{"pk":"` + planted + `"}`,
			"line 1: 2 masked\n  \"/context/password\" key: " + keyMeaning + "\n  \"/context/url\" query: " + queryMeaning + "\nline 2: nothing to mask\n" +
				"line 3: refused: invalid_field: field \"pk\": not a UUID of 32 digits, with or without dashes\n", 1,
		},
		{"laid out", "{\n  \"secret\": {\"a\": 1}\n}\n", "event: 1 masked\n  \"/secret/a\" container: everything below a name that means a secret, model references excepted\n", 0},
		{"laid out and no event", "[\n1\n]\n", "event: refused: not_an_object: the event is JSON, but not an object\n", 1},
		{"a line too long", "{}\n" + strings.Repeat("x", schemas.MaxRawBytes+1), "line 1: nothing to mask\nline 2: refused: too_large\n", 1},
		{"control characters in names", `{"\u001b[2J":{"token":1}}`, "line 1: 1 masked\n  \"/\\x1b[2J/token\" key: " + keyMeaning + "\n", 0},
	} {
		var out bytes.Buffer
		quarantined, err := Explain(t.Context(), engineFor(t), Explanation{}, strings.NewReader(test.in), &out)
		if err != nil || out.String() != test.want || quarantined != test.quarantined {
			t.Errorf("%s: %d, %v\ngot\n%s\nwant\n%s", test.name, quarantined, err, out.String(), test.want)
		}
		leaksNothing(t, out.String())
	}
	var many strings.Builder
	for range 2000 {
		many.WriteString(`,"a rather long password":1`)
	}
	var out bytes.Buffer
	if _, err := Explain(t.Context(), engineFor(t), Explanation{}, strings.NewReader("{"+many.String()[1:]+"}"), &out); err != nil || !strings.HasSuffix(out.String(), "  and more\n") {
		t.Errorf("many: %v", err)
	}
	if _, err := Explain(t.Context(), engineFor(t), Explanation{}, failing{syscall.EIO}, io.Discard); !errors.Is(err, syscall.EIO) {
		t.Errorf("a broken disk: %v", err)
	}
}

func FuzzFilter(f *testing.F) {
	f.Add([]byte("{}\n\n[1]\r\n{\"token\":\"x\"}"))
	f.Add([]byte("{\"a\":\n1}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out, refused bytes.Buffer
		quarantined, err := Filter(t.Context(), engineFor(t), bytes.NewReader(in), &out, &refused)
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Count(in, []byte("\n"))
		if len(in) > 0 && in[len(in)-1] != '\n' {
			lines++
		}
		if clean := bytes.Count(out.Bytes(), []byte("\n")); clean+quarantined != lines {
			t.Fatalf("%d lines became %d clean and %d quarantined", lines, clean, quarantined)
		}
		for line := range bytes.Lines(out.Bytes()) {
			if !json.Valid(line) {
				t.Fatalf("not JSON: %q", line)
			}
		}
	})
}
