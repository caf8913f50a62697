// Command faults runs the fault suite against the binaries of a folder and prints
// what it has found. It exits with 1 if a check failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"sluice/e2e/faults"
)

func main() { os.Exit(run()) }

func run() int {
	var cfg faults.Config
	flag.Uint64Var(&cfg.Seed, "seed", 1, "what decides the schedule and the events")
	flag.IntVar(&cfg.Events, "events", 150_000, "how many events are acknowledged before the run ends")
	flag.IntVar(&cfg.Faults, "faults", 40, "how many faults are spread over them")
	flag.IntVar(&cfg.Rate, "rate", 1000, "events a second at most; 0 is as many as go")
	flag.IntVar(&cfg.Batch, "batch", 200, "events that are published at once")
	flag.DurationVar(&cfg.Longest, "longest", 0, "end after that time, with what was done by then; 0 is never")
	flag.StringVar(&cfg.Bin, "bin", "bin", "folder of the binaries")
	flag.StringVar(&cfg.ClockBin, "clock-bin", "", "folder of binaries whose clock can be set, see -clock-overlay")
	flag.StringVar(&cfg.Dir, "dir", "", "folder for everything, which must not exist (default: a temporary one)")
	flag.BoolVar(&cfg.Keep, "keep", false, "keep that folder")
	flag.DurationVar(&cfg.Settle, "settle", 10*time.Minute, "how long the backlog may take to be gone after the last event")
	only := flag.String("only", "", "kinds of faults to be used, separated by commas; empty for all")
	duration := flag.Duration("duration", 0, "instead of -events and -faults: as many as are to be expected in that time")
	plan := flag.Bool("plan", false, "print the schedule and end")
	overlay := flag.String("clock-overlay", "", "write into that folder what go build -overlay needs to make binaries for -clock-bin, and end")
	report := flag.String("report", "", "file for the report, in Markdown")
	flag.Parse()
	if *overlay != "" {
		return writeOverlay(*overlay)
	}
	if *only != "" {
		cfg.Only = strings.Split(*only, ",")
	}
	if *duration > 0 {
		cfg.Events, cfg.Faults = extent(*duration, cfg.Rate)
	}
	if *plan {
		for _, step := range faults.Plan(cfg.Seed, cfg.Events, cfg.Faults, cfg.Only) {
			fmt.Println(step)
		}
		return 0
	}
	if cfg.Dir == "" {
		dir, err := os.MkdirTemp("", "faults")
		if err != nil {
			fmt.Fprintln(os.Stderr, "faults:", err)
			return 1
		}
		defer os.Remove(dir) // if it is empty
		cfg.Dir = filepath.Join(dir, "run")
	}
	cfg.Progress = os.Stderr
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return try(ctx, cfg, *report)
}

func try(ctx context.Context, cfg faults.Config, path string) int {
	found, err := faults.Run(ctx, cfg)
	if found != nil {
		if len(found.Failures) > 0 || err != nil {
			found.Explain(os.Stderr)
		}
		found.Markdown(os.Stdout)
		if path != "" {
			file, createErr := os.Create(path)
			if createErr != nil {
				fmt.Fprintln(os.Stderr, "faults:", createErr)
				return 1
			}
			found.Markdown(file)
			_ = file.Close()
		}
	}
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 1
	case len(found.Failures) > 0:
		fmt.Fprintf(os.Stderr, "faults: %d checks failed; everything is in %s\n", len(found.Failures), cfg.Dir)
		return 1
	}
	fmt.Println("\nall checks passed")
	return 0
}

// extent is how many events and faults fit into a time: a fault every four seconds,
// and of the events three quarters of what the rate allows, since outages cost some.
func extent(d time.Duration, rate int) (events, count int) {
	seconds := int(d / time.Second)
	return seconds * max(rate, 100) * 3 / 4, max(1, seconds/4)
}

func writeOverlay(dir string) int {
	path, err := faults.ClockOverlay(dir, runtime.GOROOT()) //nolint:staticcheck // the Go that has built this is the one that builds the others
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 1
	}
	fmt.Println(path)
	return 0
}
