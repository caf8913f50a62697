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
	"strings"
	"syscall"
	"time"

	"sluice/e2e/faults"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	set := flag.NewFlagSet("faults", flag.ContinueOnError)
	var cfg faults.Config
	set.Uint64Var(&cfg.Seed, "seed", 1, "what decides the schedule and the events")
	set.IntVar(&cfg.Events, "events", 150_000, "how many events are acknowledged before the run ends")
	set.IntVar(&cfg.Faults, "faults", 40, "how many faults are spread over them")
	set.IntVar(&cfg.Rate, "rate", 1000, "events a second at most; 0 is as many as go")
	set.IntVar(&cfg.Batch, "batch", 200, "events that are published at once")
	set.DurationVar(&cfg.Longest, "longest", 0, "end after that time, with what was done by then; 0 is never")
	set.StringVar(&cfg.Bin, "bin", "bin", "folder of the binaries")
	set.StringVar(&cfg.ClockBin, "clock-bin", "", "folder of binaries whose clock can be set, see -clock-overlay")
	set.StringVar(&cfg.Dir, "dir", "", "folder for everything, which must not exist (default: a temporary one)")
	set.BoolVar(&cfg.Keep, "keep", false, "keep that folder")
	set.DurationVar(&cfg.Settle, "settle", 10*time.Minute, "how long the backlog may take to be gone after the last event")
	only := set.String("only", "", "kinds of faults to be used, separated by commas; empty for all")
	duration := set.Duration("duration", 0, "instead of -events and -faults: as many as that time is to be enough for, and no longer")
	plan := set.Bool("plan", false, "print the schedule and end")
	overlay := set.String("clock-overlay", "", "write into that folder what go build -overlay needs to make binaries for -clock-bin, and end")
	goroot := set.String("goroot", "", "folder of Go for -clock-overlay, as `go env GOROOT` prints it")
	report := set.String("report", "", "file for the report, in Markdown")
	if err := set.Parse(args); err != nil {
		return 2
	}
	if *overlay != "" {
		return writeOverlay(*overlay, *goroot)
	}
	if *only != "" {
		cfg.Only = strings.Split(*only, ",")
	}
	if *duration > 0 {
		cfg.Events, cfg.Faults = extent(*duration, cfg.Rate)
		cfg.Longest = *duration
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
		defer func() { _ = os.Remove(dir) }() // if it is empty
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

// extent is how many events and faults a plan has for a time: a fault every four
// seconds, and three quarters of the events that the rate allows, since outages cost
// some. A slow machine gets as far as it gets.
func extent(d time.Duration, rate int) (events, count int) {
	seconds := int(d / time.Second)
	return seconds * max(rate, 100) * 3 / 4, max(1, seconds/4)
}

func writeOverlay(dir, goroot string) int {
	path, err := faults.ClockOverlay(dir, goroot)
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 1
	}
	fmt.Println(path)
	return 0
}
