package report

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/bench/latency"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The recorded run is a short one of a busy machine; its figures mean nothing.
func TestGolden(t *testing.T) {
	t.Parallel()
	r, err := Read(filepath.Join("testdata", "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"RESULTS.md": Markdown(r, "## What bounds them\n\nNothing."), "results.svg": Plot(r)} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs from %s: look at what -update makes of it", name, path)
		}
	}
}

func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	r, err := Read(filepath.Join("testdata", "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "results.json")
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
	again, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if Markdown(r, "") != Markdown(again, "") || Plot(r) != Plot(again) {
		t.Error("what was written and read again makes another report")
	}
}

func TestNothingMeasured(t *testing.T) {
	t.Parallel()
	r := &Results{}
	if got := Markdown(r, ""); strings.Count(got, "| not measured |\n") != 9 || strings.Contains(got, "NaN") || !strings.Contains(got, "Nothing has been measured yet") {
		t.Errorf("got\n%s", got)
	}
	wellFormed(t, Plot(r))
}

func TestPlotIsXML(t *testing.T) {
	t.Parallel()
	r, err := Read(filepath.Join("testdata", "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	plot := Plot(r)
	wellFormed(t, plot)
	if strings.Contains(plot, "NaN") || strings.Contains(plot, "Inf") {
		t.Error("a measure is no number")
	}
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func measured(stage, who, variant string, rates ...float64) (out []Measurement) {
	for round, rate := range rates {
		out = append(out, Measurement{Stage: stage, Who: who, Variant: variant, Round: round, Events: int(rate), Bytes: 1, Seconds: 1})
	}
	return out
}

func TestTargets(t *testing.T) {
	t.Parallel()
	r := &Results{}
	for _, m := range [][]Measurement{
		measured(StageRedact, BareRelay, "", 100, 50, 200),
		measured(StageRedact, Sluice, "", 90, 30, 180), // 0.9, 0.6, 0.9
		measured(StageSink, BareConsume, "", 1000, 1000),
		measured(StageSink, BareInsert, "", 100, 200),
		measured(StageSink, Sluice, "", 60, 140), // of the lower: 0.6 and 0.7
		measured(StageRedact, Sluice, PeersVariant, 100, 100),
		measured(StageRedact, Collector, PeersVariant, 8, 10),
		measured(StageRedact, CollectorDefault, PeersVariant, 50, 50),
	} {
		r.Measurements = append(r.Measurements, m...)
	}
	r.Sustained = &Sustained{Seconds: 60, Published: 1_500_000, Rows: 1_500_000, Different: 1_500_000, Processes: []Process{{Name: "sink"}, {Name: "clickhouse"}}}
	r.Sustained.Processes[0].PeakRSSBytes, r.Sustained.Processes[1].PeakRSSBytes = 300_000_000, 2_000_000_000
	r.Latencies = []Latency{{Rate: 1000, Queryable: latency.Summary{P99: time.Second}, Alert: latency.Summary{P99: 25 * time.Millisecond}}}
	want := []string{
		"hit", "hit", "**missed** by 1.00 times (33 %)", "**missed** by 0.15 (19 %)",
		"not decided: shorter than five minutes", "hit", "**missed** by 44 MB", "hit", "**missed** by 5.0 ms",
	}
	for i, got := range targets(r, summary(r)) {
		if got.verdict != want[i] {
			t.Errorf("%s: got %q (%s), want %q", got.what, got.verdict, got.got, want[i])
		}
	}
	r.Sustained.Different--
	r.Latencies[0].AlertsMissing = 2
	all := targets(r, summary(r))
	if all[5].verdict != "**missed** by 1" || all[8].verdict != "**missed**: 2 alerts did not come" {
		t.Errorf("got %q and %q", all[5].verdict, all[8].verdict)
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		count(0): "0", count(999.6): "1,000", count(1234567): "1,234,567", count(-1000): "-1,000",
		megabytes(1.25e6): "1.2 MB", megabytes(256e6): "256 MB",
		duration(1500 * time.Microsecond): "1.5 ms", duration(123 * time.Millisecond): "123 ms",
		duration(1234 * time.Millisecond): "1.23 s", duration(12 * time.Second): "12.0 s", duration(-time.Second): "-1.00 s",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
