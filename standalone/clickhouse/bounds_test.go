package clickhouse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// syncBuffer is a buffer that several goroutines may use.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// TestLogs holds that the engine's log lines arrive and that neither statements
// nor rows are in them, not even in debug lines or in those about errors.
func TestLogs(t *testing.T) {
	t.Setenv("LOG_LEVEL", "debug")
	var logged syncBuffer
	process := start(t, t.TempDir(), slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	base := process.URL()
	const secret = "hunter2"
	post(t, base, "CREATE TABLE t (a String, b UInt8) ENGINE = MergeTree ORDER BY a")
	post(t, base, "INSERT INTO t VALUES ('"+secret+"', 1)")
	for _, bad := range []string{"SELECT '" + secret + "' FROM nowhere", "INSERT INTO t VALUES ('" + secret + "', 'x')", "SELECT throwIf(1, '" + secret + "')", secret} {
		send(t, base, strings.NewReader(bad))
	}
	eventually(t, "failed statements are logged", func() bool { return strings.Count(logged.String(), "statement failed") >= 4 })
	if err := process.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := logged.String()
	if strings.Contains(text, secret) || strings.Contains(text, "SELECT") {
		t.Errorf("a statement or a row is in the log:\n%s", text)
	}
	for _, want := range []string{"engine started", "draining"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %q:\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Errorf("no record: %s", line)
		}
	}
}

// TestMemoryIsBounded holds that statements which want more memory than the
// engine has fail, and that the engine goes on.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	process := startSmall(t)
	for range 3 {
		got := send(t, process.URL(), strings.NewReader("SELECT length(groupArray(toString(number))) FROM numbers(1000000000)"))
		if got.code() != "241" {
			t.Errorf("code %q, want 241: %s", got.code(), got.body)
		}
	}
	if got := post(t, process.URL(), "SELECT 1"); got != "1\n" {
		t.Errorf("afterwards: %q", got)
	}
	const most = 768 << 10 // KiB: the bound, the library's code and what both runtimes hold
	if peak := peakKiB(t, process.command.Process.Pid); peak > most {
		t.Errorf("peak of %d KiB, want at most %d", peak, most)
	}
}

func peakKiB(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("no /proc here:", err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			peak, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return peak
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
