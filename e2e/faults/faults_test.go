package faults

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// seeds are those that have found something; what it was stands in
// docs/reliability.md.
var seeds = []uint64{4, 3, 2}

// shortKinds are the faults of the short run: those that a broken promise meets
// soonest.
var shortKinds = []string{"dying", "late", "kill", "again", "cut", "power"}

// setting is a number from the environment, or else by itself.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func short(t *testing.T, seed uint64) Config {
	t.Helper()
	bin := os.Getenv("SLUICE_BIN")
	if bin == "" {
		bin = filepath.Join("..", "..", "bin")
	}
	events := setting(t, "FAULTS_EVENTS", 9000)
	return Config{
		Seed: seed, Bin: bin, Dir: filepath.Join(t.TempDir(), "run"), Rate: 1500, Only: shortKinds,
		Events: events, Unmerged: events <= unmergedMost, Faults: setting(t, "FAULTS_COUNT", 9), Disk: 2 << 30,
	}
}

// unmergedMost is how many events may be in the table with none of its parts merged.
const unmergedMost = 20_000

func judge(t *testing.T, cfg Config) *Report {
	t.Helper()
	report, err := Run(t.Context(), cfg)
	if err != nil {
		if report != nil {
			report.Explain(t.Output())
		}
		t.Fatal(err)
	}
	return report
}

// TestFaults is the short run: FAULTS_SEEDS, FAULTS_EVENTS and FAULTS_COUNT make it
// longer, FAULTS_KINDS=all uses every kind of fault. It needs the binaries and the
// engine, which `make faults` builds.
func TestFaults(t *testing.T) {
	for _, seed := range seeds[:min(setting(t, "FAULTS_SEEDS", 1), len(seeds))] {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			cfg := short(t, seed)
			if os.Getenv("FAULTS_KINDS") == "all" {
				cfg.Only = nil
			}
			cfg.ClockBin = os.Getenv("FAULTS_CLOCK_BIN")
			report := judge(t, cfg)
			if len(report.Failures) > 0 {
				report.Explain(t.Output())
				t.Errorf("%d checks failed", len(report.Failures))
			}
			_, total := report.Done()
			t.Logf("%d faults over %d events in %s, longest stall %s", total, report.Events, report.Took, report.LongestStall)
		})
	}
}

func TestPlan(t *testing.T) {
	const events, faults = 100_000, 300
	a, b := Plan(5, events, faults, nil), Plan(5, events, faults, nil)
	if len(a) != faults {
		t.Fatalf("%d steps, want %d", len(a), faults)
	}
	kinds := map[string]int{}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("step %d of one seed is %v, and %v", i, a[i], b[i])
		}
		if i > 0 && a[i].At < a[i-1].At || a[i].At < events/20 || a[i].At > events*19/20 {
			t.Errorf("step %d begins at %d", i, a[i].At)
		}
		kinds[a[i].Kind]++
	}
	for _, k := range kindsOf(t) {
		if kinds[k] == 0 {
			t.Errorf("no step is of kind %s", k)
		}
	}
	if other := Plan(6, events, faults, nil); other[0] == a[0] && other[1] == a[1] {
		t.Error("another seed means the same")
	}
	for _, s := range Plan(5, events, 20, []string{"dying"}) {
		if s.Kind != "dying" {
			t.Errorf("%s was not asked for", s.Kind)
		}
	}
}

// The short run is short: a kind that is left out of it is a promise that nobody tries.
func TestShortPlanHasEachKind(t *testing.T) {
	for seed := range uint64(50) {
		seen := map[string]bool{}
		for _, s := range Plan(seed, 9000, 9, shortKinds) {
			seen[s.Kind] = true
		}
		for _, k := range shortKinds {
			if !seen[k] {
				t.Errorf("seed %d: no step is of kind %s", seed, k)
			}
		}
	}
}

func kindsOf(t *testing.T) (names []string) {
	t.Helper()
	for _, k := range kinds() {
		if k.weight != onlyNamed {
			names = append(names, k.name)
		}
	}
	return names
}

func TestParseLine(t *testing.T) {
	for text, want := range map[string]string{
		`{"time":"2026-01-02T03:04:05Z","level":"WARN","msg":"broker connection lost","error":"EOF"}`: "WARN broker connection lost",
		`[42] 2026/01/02 03:04:05.000006 [ERR] 127.0.0.1:5 - cid:7 - Slow "x"`:                        `ERROR # - # - Slow #`,
		`sink: fetch: nats: consumer deleted`:                                                         "END ended",
		`panic: runtime error`:                                                                        "PANIC panic: runtime error",
		`published 3, duplicate 0, refused 0`:                                                         "",
	} {
		line, ok := parseLine(text)
		if got := strings.TrimSpace(line.level + " " + line.class); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
