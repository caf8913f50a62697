package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sluice/schemas"
)

// checkTables looks for planted secrets in everything that ClickHouse can show.
func (r *runner) checkTables(ctx context.Context) error {
	tables, err := r.w.ask(ctx, "SELECT database || '.' || name FROM system.tables WHERE database = 'sluice' AND engine LIKE '%MergeTree'")
	if err != nil {
		return err
	}
	for table := range strings.FieldsSeq(tables) {
		found, err := r.w.ask(ctx, fmt.Sprintf("SELECT count() FROM %s WHERE position(formatRowNoNewline('JSONEachRow', *), '%s') > 0", table, r.load.marker))
		if err != nil {
			return fmt.Errorf("search %s: %w", table, err)
		}
		if found != "0" {
			r.report.failf("secrets", "%s rows of %s hold a planted secret", found, table)
		}
	}
	return nil
}

// Growth that is no leak: of goroutines, and of memory in bytes.
const (
	goroutinesMore = 25
	heldMore       = 160 << 20
)

// checkGrowth compares goroutines and memory with those before the first fault.
func (r *runner) checkGrowth(ctx context.Context) error {
	var after Figures
	// Timers and connections of the last fault are given a while to go.
	err := until(ctx, time.Minute, "goroutines and memory are back", func() error {
		after = r.measure(ctx)
		var errs []error
		for name, n := range after.Goroutines {
			if before := r.report.Before.Goroutines[name]; n > before+goroutinesMore {
				errs = append(errs, fmt.Errorf("%s has %.0f goroutines, %.0f before", name, n, before))
			}
			before := 0.0 // of the sinks one works and one waits, and they take turns
			for other, held := range r.report.Before.Held {
				if role(other) == role(name) {
					before = max(before, held)
				}
			}
			if held := after.Held[name]; held > 2*before+heldMore {
				errs = append(errs, fmt.Errorf("%s holds %.0f MiB, %.0f before", name, held/(1<<20), before/(1<<20)))
			}
		}
		return errors.Join(errs...)
	})
	r.report.After = after
	if err != nil {
		r.report.failf("growth", "%v", err)
	}
	return ctx.Err()
}

// checkFiles looks at what the processes have left on disk, once they have ended.
func (r *runner) checkFiles() {
	r.checkSecrets()
	r.checkLogs()
	for _, p := range r.w.procs {
		for _, core := range p.cores() {
			r.report.Cores++
			if found, err := fileHolds(core, []byte(r.load.marker)); found || err != nil {
				r.report.failf("secrets", "a core file of %s holds a planted secret (%v)", p.name, err)
			}
		}
	}
}

// checkSecrets searches every file but those of the two streams that may hold
// secrets.
func (r *runner) checkSecrets() {
	marker := []byte(r.load.marker)
	err := filepath.WalkDir(r.w.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); name == schemas.StreamRaw || name == schemas.StreamQuarantine {
				return filepath.SkipDir
			}
			return nil
		}
		known := strings.HasSuffix(path, ".img") || strings.HasPrefix(entry.Name(), "core") || path == r.w.pipedFile()
		if !entry.Type().IsRegular() || known {
			return nil
		}
		r.report.Searched++
		found, err := fileHolds(path, marker)
		if found {
			r.report.failf("secrets", "%s holds a planted secret", strings.TrimPrefix(path, r.w.dir))
		}
		return err
	})
	if err != nil {
		r.report.failf("secrets", "search all files: %v", err)
	}
}

// fileHolds tells whether the file holds the text.
func fileHolds(path string, text []byte) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	buf := make([]byte, 1<<20)
	kept := 0
	for {
		n, err := file.Read(buf[kept:])
		if n += kept; bytes.Contains(buf[:n], text) {
			return true, nil
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		kept = min(n, len(text)-1)
		copy(buf, buf[n-kept:n])
	}
}

// checkLogs finds a cause for every warning and error, and for every end of a
// process.
func (r *runner) checkLogs() {
	unexplained, first := map[string]int{}, map[string]time.Time{}
	for _, p := range r.w.procs {
		lines, err := readLog(p.logs)
		if err != nil {
			r.report.failf("logs", "%s: %v", p.name, err)
		}
		for _, line := range lines {
			if line.level == "WARN" || line.level == "ERROR" || line.level == "PANIC" {
				key := role(p.name) + ": " + line.class
				r.report.Said[key]++
				if !r.explained(p.name, line) {
					what := line.level + " " + key
					if unexplained[what]++; unexplained[what] == 1 {
						first[what] = line.at
					}
				}
			}
		}
		for _, e := range p.unasked() {
			r.report.Ends[role(p.name)]++
			if !r.excusedEnd(p.name, e.at) {
				r.report.failf("processes", "%s ended by itself at %s: %s", p.name, e.at.Format(time.TimeOnly), e.how)
			}
		}
	}
	for what, times := range unexplained {
		r.report.failf("logs", "said %d times, first at %s, and no fault explains it: %s", times, first[what].UTC().Format(time.TimeOnly), what)
	}
}
