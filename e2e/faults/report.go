package faults

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Report is what a run has found.
type Report struct {
	Seed   uint64
	Began  time.Time
	Took   time.Duration
	Events int // acknowledged, bad ones among them
	Rows   int
	// Quarantined are bad events, LostOnPurpose those that a fault took away and
	// that the services say are lost.
	Quarantined, LostOnPurpose int
	Alerts, Probes             int
	// Retries are attempts of producers that failed.
	Retries    int
	Workloads  map[string]int
	Injections []*Injection
	// LongestStall is the longest time in which there were events to store and no
	// row was added. Published and Settled are how long it took to have everything
	// acknowledged, and from then to have everything stored.
	LongestStall, Published, Settled time.Duration
	Before, After                    Figures
	// Searched is how many files were searched for secrets, Cores how many core
	// files there were.
	Searched, Cores int
	// Said counts warnings and errors by what they say, Ends how often services have
	// ended by themselves.
	Said, Ends map[string]int

	mu       sync.Mutex
	Failures []Failure
}

// Failure is a check that failed.
type Failure struct{ Check, Text string }

func newReport(cfg Config) *Report {
	return &Report{Seed: cfg.Seed, Began: time.Now(), Workloads: map[string]int{}, Said: map[string]int{}, Ends: map[string]int{}}
}

func (r *Report) failf(check, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Failures = append(r.Failures, Failure{check, fmt.Sprintf(format, args...)})
}

// Failed tells whether that check failed.
func (r *Report) Failed(check string) bool {
	return slices.ContainsFunc(r.Failures, func(f Failure) bool { return f.Check == check })
}

// Done is how many faults were done, by kind and in all.
func (r *Report) Done() (byKind map[string]int, total int) {
	byKind = map[string]int{}
	for _, i := range r.Injections {
		if !i.Skipped {
			byKind[i.Kind]++
			total++
		}
	}
	return byKind, total
}

// Timeline prints every fault with its times.
func (r *Report) Timeline(w io.Writer) {
	for _, i := range r.Injections {
		what := "recovered after " + i.Recovered.Sub(i.Ended).Round(10*time.Millisecond).String()
		switch {
		case i.Skipped:
			what = "skipped: " + errSkipped.Error()
		case i.Recovered.IsZero():
			what = "recovery not seen"
		}
		fmt.Fprintf(w, "%s +%-7s %-46s %s %s\n", i.Began.UTC().Format("15:04:05.000"),
			i.Ended.Sub(i.Began).Round(10*time.Millisecond), i.Step, what, i.Note)
	}
}

// Markdown prints the report for a page of documentation.
func (r *Report) Markdown(w io.Writer) {
	byKind, total := r.Done()
	fmt.Fprintf(w, "Seed %d, %s: %d faults over %d acknowledged events in %s.\n\n", r.Seed, r.Began.UTC().Format(time.DateOnly), total, r.Events, r.Took.Round(time.Second))
	fmt.Fprintf(w, "| | |\n|---|---|\n")
	row := func(name string, format string, args ...any) {
		fmt.Fprintf(w, "| %s | %s |\n", name, fmt.Sprintf(format, args...))
	}
	row("events acknowledged", "%d", r.Events)
	row("rows", "%d%s", r.Rows, once(r.Failed("rows")))
	row("bad events in the quarantine", "%d%s", r.Quarantined, once(r.Failed("quarantine")))
	row("taken away on purpose, and said to be lost", "%d", r.LostOnPurpose)
	row("attempts of producers that failed and were repeated", "%d", r.Retries)
	row("alerts", "%d, for %d troubles that had to be told", r.Alerts, r.Probes)
	row("longest time without a new row while there were events to store", "%s", r.LongestStall.Round(10*time.Millisecond))
	row("from the last acknowledgement to an empty backlog", "%s", r.Settled.Round(10*time.Millisecond))
	row("files searched for planted secrets", "%d, %d core files", r.Searched, r.Cores)
	row("store of the broker", "%d MiB, %d MiB before the first fault", r.After.Store>>20, r.Before.Store>>20)
	row("folder of ClickHouse", "%d MiB, %d MiB before the first fault", r.After.Table>>20, r.Before.Table>>20)
	row("workloads, by number of turns", "%s", counts(r.Workloads))
	row("services that ended by themselves and were started again", "%s", counts(r.Ends))
	fmt.Fprintf(w, "\n| fault | times | recovery: median | 95 %% | longest |\n|---|---|---|---|---|\n")
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		middle, most95, longest := recoveries(r.Injections, kind)
		fmt.Fprintf(w, "| %s | %d | %s | %s | %s |\n", kind, byKind[kind], middle, most95, longest)
	}
	fmt.Fprintf(w, "\n| process | goroutines before → after | held by Go, MiB | resident, MiB |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(r.After.Resident)) {
		goroutines, held := "", ""
		if _, there := r.After.Goroutines[name]; there {
			goroutines = fmt.Sprintf("%.0f → %.0f", r.Before.Goroutines[name], r.After.Goroutines[name])
			held = fmt.Sprintf("%.0f → %.0f", r.Before.Held[name]/(1<<20), r.After.Held[name]/(1<<20))
		}
		fmt.Fprintf(w, "| %s | %s | %s | %.0f → %.0f |\n", name, goroutines, held,
			r.Before.Resident[name]/(1<<20), r.After.Resident[name]/(1<<20))
	}
}

// once is what a passed check says.
func once(failed bool) string {
	if failed {
		return ", and a check of them failed"
	}
	return ", each once"
}

func counts(m map[string]int) string {
	if len(m) == 0 {
		return "none"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, m[name]))
	}
	return strings.Join(parts, ", ")
}

// recoveries are the times from the end of a fault of that kind to when everything
// acknowledged by then was a row.
func recoveries(injections []*Injection, kind string) (middle, most95, longest time.Duration) {
	var times []time.Duration
	for _, i := range injections {
		if i.Kind == kind && !i.Skipped && !i.Recovered.IsZero() {
			times = append(times, max(0, i.Recovered.Sub(i.Ended)).Round(10*time.Millisecond))
		}
	}
	if len(times) == 0 {
		return 0, 0, 0
	}
	slices.SortFunc(times, cmp.Compare)
	return times[len(times)/2], times[len(times)*95/100], times[len(times)-1]
}

// Explain prints what failed, and the timeline.
func (r *Report) Explain(w io.Writer) {
	for _, f := range r.Failures {
		fmt.Fprintf(w, "FAILED %s: %s\n", f.Check, f.Text)
	}
	fmt.Fprintf(w, "seed %d, the timeline:\n", r.Seed)
	r.Timeline(w)
}
