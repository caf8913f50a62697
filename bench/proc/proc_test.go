package proc

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	got, err := parseStat([]byte("42 (a) b) c) S 1 42 42 0 -1 4194560 100 0 0 0 150 25 0 0 20 0 8 0"))
	if err != nil || got != 1750*time.Millisecond {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "42 (a) S 1", "42 (a) S 1 42 42 0 -1 4194560 100 0 0 0 x 25 0"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseField(t *testing.T) {
	t.Parallel()
	text := []byte("VmPeak:\t 99 kB\nVmHWM:\t  1234 kB\nwrite_bytes: 77\n")
	for name, want := range map[string]int64{"VmHWM:": 1234, "write_bytes:": 77} {
		if got, err := parseField(text, name); err != nil || got != want {
			t.Errorf("%s: got %d, %v", name, got, err)
		}
	}
	if _, err := parseField(text, "VmRSS:"); err == nil {
		t.Error("a field that is missing: no error")
	}
}

func TestProcess(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p, err := Start(t.Context(), Spec{Name: "cat", Path: "/bin/cat", Stdout: &out, EndsWithStdin: true})
	if err != nil {
		t.Skip(err)
	}
	if err := p.Failed(); err != nil {
		t.Errorf("while it runs: %v", err)
	}
	if _, err := os.Stat("/proc/self/io"); err == nil {
		if u, err := p.Usage(); err != nil || u.PeakRSSBytes < 1 {
			t.Errorf("usage: got %+v, %v", u, err)
		}
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if err := p.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	p, err := Start(t.Context(), Spec{Name: "shell", Path: "/bin/sh", Args: []string{"-c", "echo no settings >&2; exit 3"}})
	if err != nil {
		t.Skip(err)
	}
	if err := p.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no settings") {
		t.Errorf("got %v", err)
	}
	if err := p.Failed(); err == nil || !strings.Contains(err.Error(), "ended early") {
		t.Errorf("got %v", err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}

func TestCleanEnv(t *testing.T) {
	t.Parallel()
	got := cleanEnv([]string{"PATH=/bin", "NATS_URL=nats://prod", "SINK_BATCH_AGE=1s", "CHDB_LIB_PATH=/x", "RETENTION_BY_TENANT=a=1d"})
	if strings.Join(got, " ") != "PATH=/bin CHDB_LIB_PATH=/x" {
		t.Errorf("got %q", got)
	}
}
