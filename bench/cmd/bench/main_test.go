package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/bench/report"
	"sluice/bench/stage"
)

// The harness starts itself for the ceilings, and here it is this test's program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestSmoke measures a few events, which says that the harness works and nothing else.
// Only what needs no ClickHouse, for the time that it takes; SLUICE_BENCH_SMOKE=1
// measures all that is built.
func TestSmoke(t *testing.T) {
	t.Parallel()
	bin := os.Getenv("SLUICE_BIN")
	if bin == "" {
		bin = filepath.Join("..", "..", "..", "bin")
	}
	if _, err := os.Stat(filepath.Join(bin, "nats-server")); err != nil {
		t.Skip("the programs are not built: run `make engine build`")
	}
	parts := "publish,redact"
	if os.Getenv("SLUICE_BENCH_SMOKE") != "" {
		parts = strings.Join(stage.Parts, ",")
	}
	out := t.TempDir()
	var said strings.Builder
	code := run([]string{
		"-bin", bin, "-out", out, "-dir", t.TempDir(), "-parts", parts, "-rounds", "1", "-peer-rounds", "1", "-events", "400",
		"-sustained", "2s", "-latency-for", "2s", "-latency-rate", "100", "-limit", "1m",
	}, io.Discard, &said)
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, &said)
	}
	results, err := report.Read(filepath.Join(out, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{report.BarePublish: true, report.BareRelay: true, report.Sluice: true}
	for i := range results.Measurements {
		m := &results.Measurements[i]
		delete(want, m.Who)
		if m.Rate() <= 0 || len(m.Processes) < 2 || m.Processes[0].PeakRSSBytes == 0 {
			t.Errorf("%s, %s: got %+v", m.Stage, m.Who, m)
		}
	}
	for who := range want {
		t.Errorf("nothing was measured of %s", who)
	}
	for _, name := range []string{"RESULTS.md", "results.svg"} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongUse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"measure"}, `"measure": neither a flag nor a command`},
		{[]string{"-parts", "redact,everything"}, `"everything" is none of publish`},
		{[]string{"-bin", "/nowhere"}, "no nats-server in /nowhere: run make build"},
		{[]string{"report", "-out", "/nowhere"}, "read the results"},
		{[]string{"child"}, "which one?"},
		{[]string{"child", "relay", "x"}, "child relay: not known, or not with these arguments"},
	} {
		var said strings.Builder
		if code := run(tt.args, io.Discard, &said); code == 0 || !strings.Contains(said.String(), tt.want) {
			t.Errorf("%q: exit %d and %q, want %q", tt.args, code, &said, tt.want)
		}
	}
}
