package intake

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

type got struct {
	line    string
	tooLong bool
	number  int
}

func readAll(t *testing.T, r *lineReader) []got {
	t.Helper()
	var out []got
	for {
		line, tooLong, err := r.next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, got{string(line), tooLong, r.number})
	}
}

func TestLineReader(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []got
	}{
		"nothing":          {"", nil},
		"no end":           {"a", []got{{"a", false, 1}}},
		"with end":         {"a\n", []got{{"a", false, 1}}},
		"two":              {"a\nb", []got{{"a", false, 1}, {"b", false, 2}}},
		"empty ones":       {"\n\na\n\n", []got{{"", false, 1}, {"", false, 2}, {"a", false, 3}, {"", false, 4}}},
		"from Windows":     {"a\r\nb\r\n", []got{{"a", false, 1}, {"b", false, 2}}},
		"one CR alone":     {"a\rb\r\r\n", []got{{"a\rb\r", false, 1}}},
		"at the limit":     {"12345678\r\nb\n", []got{{"12345678", false, 1}, {"b", false, 2}}},
		"over the limit":   {"12345678901\nb\n", []got{{"", true, 1}, {"b", false, 2}}},
		"over at the end":  {"b\n12345678901", []got{{"b", false, 1}, {"", true, 2}}},
		"far over":         {strings.Repeat("x", 1000) + "\nb", []got{{"", true, 1}, {"b", false, 2}}},
		"two over the lot": {strings.Repeat("x", 100) + "\n" + strings.Repeat("y", 100) + "\nb", []got{{"", true, 1}, {"", true, 2}, {"b", false, 3}}},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader,
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				r := newLineReader(wrap(strings.NewReader(tc.text)), 8)
				if have := readAll(t, r); !reflect.DeepEqual(have, tc.want) {
					t.Errorf("got  %+v\nwant %+v", have, tc.want)
				}
				if r.bytes != int64(len(tc.text)) {
					t.Errorf("%d bytes read, want %d", r.bytes, len(tc.text))
				}
			})
		}
	}
}

func TestLineReaderHoldsNoMoreThanTheLimit(t *testing.T) {
	const limit = 1 << 10
	r := newLineReader(io.MultiReader(io.LimitReader(zeroes{}, 100<<20), strings.NewReader("\n{}\n")), limit)
	if _, tooLong, err := r.next(); err != nil || !tooLong {
		t.Fatalf("got %v, %v, want a line too long", tooLong, err)
	}
	if cap(r.line) > limit+readBytes {
		t.Errorf("it held %d bytes of the line", cap(r.line))
	}
	if line, _, err := r.next(); err != nil || string(line) != "{}" {
		t.Errorf("after it: %q, %v", line, err)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func FuzzLineReader(f *testing.F) {
	for _, seed := range []string{"", "a\nb", "\r\n\r\n", "x\r", strings.Repeat("x", 40) + "\ny"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const limit = 32
		var want []got
		lines := bytes.Split(text, []byte("\n"))
		if len(lines[len(lines)-1]) == 0 {
			lines = lines[:len(lines)-1] // what follows the last line end is no line
		}
		for i, line := range lines {
			line, _ = bytes.CutSuffix(line, []byte("\r"))
			want = append(want, got{string(line), false, i + 1})
		}
		have := readAll(t, newLineReader(bytes.NewReader(text), limit))
		if len(have) != len(want) {
			t.Fatalf("%d lines, want %d", len(have), len(want))
		}
		for i := range have {
			if have[i].tooLong && len(want[i].line) > limit {
				continue
			}
			if have[i] != want[i] {
				t.Fatalf("line %+v, want %+v", have[i], want[i])
			}
		}
	})
}
