package authentik_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/producer/authentik"
	"sluice/producer/intake"
	"sluice/schemas"
)

var update = flag.Bool("update", false, "write the golden files anew")

// collected is what a reader emitted.
type collected struct {
	events  []string
	skipped map[string]int
	refused []string
	report  lockedBuffer
}

// lockedBuffer is written to by the reader while a test looks.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (c *collected) take(it intake.Item, book *authentik.Book) {
	switch {
	case it.Refused != nil:
		c.refused = append(c.refused, fmt.Sprintf("%d: %v", it.Line, it.Refused))
	case it.Skipped != "":
		if c.skipped == nil {
			c.skipped = map[string]int{}
		}
		c.skipped[it.Skipped]++
	default:
		c.events = append(c.events, string(it.Message.JSON()))
	}
	if it.Position != nil {
		book.Settled(it.Position)
	}
}

func openBook(t testing.TB, name string) *authentik.Book {
	t.Helper()
	book, err := authentik.OpenBook(name)
	if err != nil {
		t.Fatal(err)
	}
	return book
}

// readLogs reads files to their end and saves the book.
func readLogs(t testing.TB, cfg authentik.LogConfig, state string) *collected {
	t.Helper()
	c := &collected{}
	if cfg.Tenant == "" {
		cfg.Tenant = "acme"
	}
	cfg.Report = &c.report
	book := openBook(t, state)
	reader, err := authentik.Logs(cfg, book)
	if err != nil {
		t.Fatal(err)
	}
	if err := reader(t.Context(), func(it intake.Item) bool { c.take(it, book); return true }); err != nil {
		t.Fatal(err)
	}
	if err := book.Save(); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestShapes holds that whatever stands before a line, the event is the same to the
// byte, id included.
func TestShapes(t *testing.T) {
	golden := filepath.Join("testdata", "events.ndjson")
	logs, err := filepath.Glob(filepath.Join("testdata", "*.log"))
	if err != nil || len(logs) < 10 {
		t.Fatal(logs, err)
	}
	if *update {
		c := readLogs(t, authentik.LogConfig{Files: []string{filepath.Join("testdata", "plain.log")}}, "")
		if err := os.WriteFile(golden, []byte(strings.Join(c.events, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range logs {
		t.Run(filepath.Base(name), func(t *testing.T) {
			c := readLogs(t, authentik.LogConfig{Files: []string{name}}, "")
			if got := strings.Join(c.events, "\n") + "\n"; got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if len(c.refused) > 0 || c.report.String() != "" {
				t.Errorf("refused %v, reported %s", c.refused, &c.report)
			}
			if c.skipped[authentik.SkipBlank] != 1 || c.skipped[authentik.SkipOther] < 5 || len(c.skipped) != 2 {
				t.Errorf("skipped %v", c.skipped)
			}
		})
	}
}

const login = `{"action": "login", "client_ip": "::1", "context": {"n": %d}, "event": "Created Event", "level": "info", ` +
	`"logger": "authentik.events.models", "timestamp": "2026-08-30T19:25:26.%06d", "user": {"pk": 1}}`

func loginLine(n int) string { return fmt.Sprintf(login, n, n) }

func numbers(t testing.TB, events []string) []int {
	t.Helper()
	var out []int
	for _, text := range events {
		var ev struct {
			Context struct {
				N int `json:"n"`
			} `json:"context"`
		}
		if err := json.Unmarshal([]byte(text), &ev); err != nil {
			t.Fatal(err)
		}
		out = append(out, ev.Context.N)
	}
	return out
}

func TestBadLinesStopNothing(t *testing.T) {
	whole := loginLine(1)
	garbage := []string{
		whole[:150], whole[:60], whole[30:], "server-1 | " + whole[:len(whole)-1], "\x00\xff\xfe binary \x1b[", "\x1b[31", "{{{{{{{{{{{{{{{{{{{{{{",
		strings.Repeat(`{"Created Event`, 50), "2026-08-30T19:25:26.527900123Z stderr P ", "2026-08-30T19:25:26.527900123Z stderr F",
		`{"log":"torn`, `{"log":"x","stream":"stderr","time":"yesterday"}`, strings.Repeat("x", 5<<20), whole + " trailing hunter2",
		`{"action": "login", "user": "hunter2", "event": "Created Event", "logger": "authentik.events.models"}`,
		`{"action": "hunter2 x", "event": "Created Event", "logger": "authentik.events.models"}`,
		`{"action": "login", "client_ip": "hunter2", "event": "Created Event", "logger": "authentik.events.models"}`,
		`{"action": "login", "action": "logout", "event": "Created Event", "logger": "authentik.events.models"}`,
		`{"action": "login", "context": ` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `, "event": "Created Event", "logger": "authentik.events.models"}`,
		`{"action": "login", "context": {"p": "` + strings.Repeat("hunter2", 200_000) + `"}, "event": "Created Event", "logger": "authentik.events.models"}`,
		`{"event": "Created Event", "logger": "authentik.events.models", "context": {}}`,
		`{"event": "Created Event", "logger": "other", "context": {}}`, `{"event": 1, "x": "Created Event"}`, `{"event": "Created Event", "logger": 7}`, `{"action": "login", "context": {"x": NaN}, "event": "Created Event", "logger": "authentik.events.models"}`,
	}
	var text strings.Builder
	for i, bad := range garbage {
		text.WriteString(bad + "\n" + loginLine(i) + "\n")
	}
	c := readLogs(t, authentik.LogConfig{Files: []string{"-"}, Stdin: strings.NewReader(text.String())}, "")
	if got := numbers(t, c.events); len(got) != len(garbage) || !slices.IsSorted(got) {
		t.Errorf("events %v", got)
	}
	if len(c.refused) != 7 || c.skipped[authentik.SkipTorn] < 5 || c.skipped[authentik.SkipTooLong] != 1 || c.skipped[authentik.SkipNotText] != 1 {
		t.Errorf("refused %d: %v\nskipped %v", len(c.refused), c.refused, c.skipped)
	}
	if all := c.report.String() + strings.Join(c.refused, ""); strings.Contains(all, "hunter2") {
		t.Errorf("a line is quoted: %s", all)
	}
	for _, want := range []string{"stdin:1: skipped: an event's line that is not whole", "longer than 4 MiB"} {
		if !strings.Contains(c.report.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &c.report)
		}
	}
}

func TestTimes(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for stamp, want := range map[string]string{
		`"2026-08-30T19:25:26.527644"`:       "2026-08-30T17:25:26.527644Z",
		`"2026-08-30T19:25:26"`:              "2026-08-30T17:25:26.000000Z",
		`"2026-08-30T19:25:26.527644Z"`:      "2026-08-30T19:25:26.527644Z",
		`"2026-08-30T19:25:26.527644+03:00"`: "2026-08-30T16:25:26.527644Z",
		`1676475222.771091`:                  "2023-02-15T15:33:42.771091Z",
		`"yesterday"`:                        "2026-08-30T19:25:26.527900Z", // the runtime's
		`-5`:                                 "2026-08-30T19:25:26.527900Z",
		`"9999-01-01T00:00:00"`:              "2026-08-30T19:25:26.527900Z",
		`null`:                               "2026-08-30T19:25:26.527900Z",
	} {
		line := `2026-08-30T19:25:26.527900123Z stderr F {"action":"login","event":"Created Event","logger":"authentik.events","timestamp":` + stamp + `}`
		c := readLogs(t, authentik.LogConfig{Files: []string{"-"}, Location: berlin, Stdin: strings.NewReader(line)}, "")
		if len(c.events) != 1 || !strings.Contains(c.events[0], `"created":"`+want+`"`) {
			t.Errorf("%s: got %v, want %s", stamp, c.events, want)
		}
	}
	c := readLogs(t, authentik.LogConfig{Files: []string{"-"}, Stdin: strings.NewReader(
		`{"action":"login","event":"Created Event","logger":"authentik.events"}`)}, "")
	if len(c.events) != 1 || strings.Contains(c.events[0], "created") {
		t.Errorf("without a time: %v", c.events)
	}
}

func TestIDsDependOnTenantAndLineAlone(t *testing.T) {
	ids := map[string]bool{}
	for _, tenant := range []string{"acme", "lab"} {
		for _, line := range []string{loginLine(1), "x | " + loginLine(1), loginLine(2)} {
			c := readLogs(t, authentik.LogConfig{Tenant: tenant, Files: []string{"-"}, Stdin: strings.NewReader(line)}, "")
			var ev schemas.Event
			if err := new(schemas.Decoder).Decode([]byte(c.events[0]), &ev); err != nil {
				t.Fatal(err)
			}
			ids[ev.PK.String()] = true
		}
	}
	if len(ids) != 4 {
		t.Errorf("%d ids, want 4", len(ids))
	}
}

func write(t testing.TB, name string, from, to int) {
	t.Helper()
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for n := from; n < to; n++ {
		if _, err := fmt.Fprintln(file, "server-1  | "+loginLine(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func upTo(from, to int) []int {
	var out []int
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}

func TestGoesOnWhereItStopped(t *testing.T) {
	dir := t.TempDir()
	log, state := filepath.Join(dir, "server.log"), filepath.Join(dir, "state")
	cfg := authentik.LogConfig{Files: []string{log}}
	check := func(what string, want []int) *collected {
		t.Helper()
		c := readLogs(t, cfg, state)
		if got := numbers(t, c.events); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
		return c
	}
	write(t, log, 0, 5)
	check("first", upTo(0, 5))
	check("again", nil)
	write(t, log, 5, 8)
	check("more", upTo(5, 8))

	// Rotated twice, once compressed, while nobody looked.
	write(t, log, 8, 10)
	if err := os.Rename(log, log+".20260830"); err != nil {
		t.Fatal(err)
	}
	write(t, log, 10, 12)
	zip(t, log, log+".20260831.gz")
	write(t, log, 12, 14)
	for i, name := range []string{log + ".20260830", log + ".20260831.gz", log} {
		at := time.Now().Add(time.Duration(i-3) * time.Minute)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	check("rotated", upTo(8, 14))
	check("rotated, again", nil)

	// The one that was read last is compressed.
	write(t, log, 14, 15)
	zip(t, log, log+".20260901.gz")
	write(t, log, 15, 16)
	check("compressed", upTo(14, 16))

	// Emptied and written anew, with and without a copy.
	write(t, log, 16, 17)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log+".1", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(log, 0); err != nil {
		t.Fatal(err)
	}
	write(t, log, 17, 18)
	check("copied and emptied", upTo(16, 18))
	if err := os.Truncate(log, 0); err != nil {
		t.Fatal(err)
	}
	write(t, log, 18, 19)
	if c := check("emptied", upTo(18, 19)); !strings.Contains(c.report.String(), "gone") {
		t.Errorf("reported %q", &c.report)
	}

	// A last line that is still being written is not passed over.
	whole := loginLine(19)
	appendText(t, log, whole[:40])
	check("half a line", nil)
	appendText(t, log, whole[40:])
	check("a line without its end", upTo(19, 20))
	appendText(t, log, "\n")
	check("its end", upTo(19, 20))
	check("in the end", nil)
}

func appendText(t testing.TB, name, text string) {
	t.Helper()
	file, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func zip(t testing.TB, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(from); err != nil {
		t.Fatal(err)
	}
}

// TestPartialLinesAreReadAgain holds that the place stays before a line of which
// only a part is there.
func TestPartialLinesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	log, state := filepath.Join(dir, "0.log"), filepath.Join(dir, "state")
	whole, frame := loginLine(1), "2026-08-30T19:25:26.527900123Z stderr "
	if err := os.WriteFile(log, []byte(frame+"F "+loginLine(0)+"\n"+frame+"P "+whole[:50]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := authentik.LogConfig{Files: []string{log}}
	if got := numbers(t, readLogs(t, cfg, state).events); !slices.Equal(got, upTo(0, 1)) {
		t.Errorf("got %v", got)
	}
	appendText(t, log, frame+"F "+whole[50:]+"\n")
	if got := numbers(t, readLogs(t, cfg, state).events); !slices.Equal(got, upTo(1, 2)) {
		t.Errorf("got %v", got)
	}
}

// following runs a reader that follows, until the returned function is called.
func following(t *testing.T, cfg authentik.LogConfig, state string) (c *collected, numbersNow func() []int, stop func()) {
	t.Helper()
	c = &collected{}
	cfg.Tenant, cfg.Follow, cfg.Report = "acme", true, &c.report
	book := openBook(t, state)
	reader, err := authentik.Logs(cfg, book)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		err := reader(ctx, func(it intake.Item) bool {
			mu.Lock()
			defer mu.Unlock()
			c.take(it, book)
			return true
		})
		if err != nil {
			t.Error(err)
		}
	})
	stop = func() {
		cancel()
		wg.Wait()
		if err := book.Save(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return c, func() []int { mu.Lock(); defer mu.Unlock(); return numbers(t, c.events) }, stop
}

func eventually(t *testing.T, what string, now func() []int, want []int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if got := now(); slices.Equal(slices.Compact(slices.Sorted(slices.Values(got))), want) {
			return
		}
	}
	t.Fatalf("%s: got %v, want %v", what, now(), want)
}

func TestFollow(t *testing.T) {
	dir := t.TempDir()
	log, state := filepath.Join(dir, "server.log"), filepath.Join(dir, "state")
	write(t, log, 0, 3)
	cfg := authentik.LogConfig{Files: []string{log, filepath.Join(dir, "pod-*.log")}}
	_, now, stop := following(t, cfg, state)
	eventually(t, "what is there", now, upTo(0, 3))
	write(t, log, 3, 5)
	eventually(t, "what is added", now, upTo(0, 5))
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, log+".1", 5, 7) // whoever writes still has the old file open
	eventually(t, "what is added to the renamed file is not lost", func() []int {
		if _, err := os.Stat(log); err != nil {
			write(t, log, 7, 8)
		}
		return now()
	}, upTo(0, 8))
	if err := os.Truncate(log, 0); err != nil {
		t.Fatal(err)
	}
	write(t, log, 8, 9)
	eventually(t, "emptied", now, upTo(0, 9))
	write(t, filepath.Join(dir, "pod-a.log"), 9, 11)
	eventually(t, "a file that comes later", now, upTo(0, 11))
	stop()

	write(t, log, 11, 12)
	_, now, _ = following(t, cfg, state)
	eventually(t, "after a restart", now, upTo(11, 12))
}

func TestStateFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "state")
	if err := os.WriteFile(name, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := authentik.OpenBook(name); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "-state") {
		t.Errorf("a foreign file: %v", err)
	}
	if _, err := authentik.OpenBook(filepath.Join(dir, "no", "state")); err == nil {
		t.Error("a folder that is not there: want an error")
	}
	log := filepath.Join(dir, "x.log")
	write(t, log, 0, 2)
	state := filepath.Join(dir, "new")
	readLogs(t, authentik.LogConfig{Files: []string{log}}, state)
	left, err := filepath.Glob(state + "*")
	if err != nil || len(left) != 1 {
		t.Errorf("files left: %v, %v", left, err)
	}
}

// FuzzLogs holds that any text is read to its end, and that what is accepted is
// valid and has an id of the line's alone.
func FuzzLogs(f *testing.F) {
	logs, _ := filepath.Glob(filepath.Join("testdata", "*.log"))
	for _, name := range logs {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(loginLine(1)))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := readLogs(t, authentik.LogConfig{Files: []string{"-"}, Stdin: bytes.NewReader(text)}, "")
		var ev schemas.Event
		for _, json := range c.events {
			if err := new(schemas.Decoder).Decode([]byte(json), &ev); err != nil {
				t.Fatalf("an event that is not valid: %v", err)
			}
		}
		again := readLogs(t, authentik.LogConfig{Files: []string{"-"}, Stdin: bytes.NewReader(text)}, "")
		if !slices.Equal(c.events, again.events) || !maps.Equal(c.skipped, again.skipped) {
			t.Fatal("not the same the second time")
		}
	})
}
