package faults

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Injection is a fault that was done.
type Injection struct {
	Step

	Began, Ended time.Time
	// Events is how many were acknowledged when it began.
	Events int
	// Recovered is when as many rows were stored as events had been acknowledged
	// when it ended; zero if that was not seen.
	Recovered time.Time
	Skipped   bool
	Note      string

	rows int
}

// watchEvery is how often rows are counted.
const watchEvery = time.Second

// watch sees how long nothing is stored, and when what a fault has held up is.
func (r *runner) watch(ctx context.Context) {
	last, moved := 0, time.Now()
	for ; ctx.Err() == nil; pause(ctx, watchEvery) {
		answer, err := r.w.ask(ctx, "SELECT count() FROM sluice.events")
		rows, _ := strconv.Atoi(answer)
		if err != nil || rows <= last {
			if r.ledger.rows() > last { // there is something to store
				r.report.LongestStall = max(r.report.LongestStall, time.Since(moved))
			} else {
				moved = time.Now()
			}
			continue
		}
		last, moved = rows, time.Now()
		r.mu.Lock()
		for _, i := range r.injected {
			if !i.Ended.IsZero() && i.Recovered.IsZero() && rows >= i.rows {
				i.Recovered = moved
			}
		}
		r.mu.Unlock()
	}
}

// Figures are what is measured before the first fault and after the last.
type Figures struct {
	// Goroutines and Held (bytes, of Go's runtime) are by service.
	Goroutines, Held map[string]float64
	// Resident is the memory of every process, in bytes.
	Resident map[string]float64
	// Store and Table are bytes on disk.
	Store, Table int64
	Events       int
}

func (r *runner) measure(ctx context.Context) Figures {
	f := Figures{
		Goroutines: map[string]float64{}, Held: map[string]float64{}, Resident: map[string]float64{},
		Store: size(r.w.disk.path()), Table: size(filepath.Join(r.w.dir, "clickhouse")), Events: int(r.ledger.count.Load()),
	}
	for name, address := range r.w.metrics {
		page, err := get(ctx, address+"/metrics")
		if err != nil {
			r.report.failf("metrics", "%s: %v", name, err)
			continue
		}
		if holds([]byte(page), r.load.marker) {
			r.report.failf("secrets", "/metrics of %s holds a planted secret", name)
		}
		f.Goroutines[name] = value(page, "go_goroutines")
		f.Held[name] = value(page, "go_memstats_sys_bytes") - value(page, "go_memstats_heap_released_bytes")
	}
	for name, p := range r.w.procs {
		if bytes := resident(p.pid()); bytes > 0 {
			f.Resident[name] = bytes
		}
	}
	return f
}

// value is that of a metric on a page of them, all labels together; 0 without.
func value(page, name string) float64 {
	sum := 0.0
	for line := range strings.Lines(page) {
		rest, found := strings.CutPrefix(strings.TrimSpace(line), name)
		if !found || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err == nil {
			sum += v
		}
	}
	return sum
}

// resident is what the process has in memory, where /proc tells.
func resident(pid int) float64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return 0
	}
	return pages * float64(os.Getpagesize())
}

func size(dir string) int64 {
	total := int64(0)
	_ = filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it went while we looked
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return nil
	})
	return total
}
