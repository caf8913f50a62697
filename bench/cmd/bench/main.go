// Command bench measures Sluice: its stages beside their ceilings and its peers, end to
// end, and latencies.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"sluice/bench/report"
	"sluice/bench/stage"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

const usage = `bench [flags]            measure, into results.json, RESULTS.md and results.svg
bench report [flags]     write RESULTS.md and results.svg from results.json again

CLICKHOUSE_URL names a ClickHouse server to use instead of the embedded engine, which
CHDB_LIB_PATH finds. Flags:
`

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case len(args) > 0 && args[0] == "child":
		err = child(ctx, args[1:], os.Stdin, stdout)
	case len(args) > 0 && args[0] == "report":
		err = render(args[1:], stderr)
	default:
		err = measure(ctx, args, stderr)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

type flags struct {
	*flag.FlagSet

	cfg               stage.Config
	out, parts, notes string
}

func newFlags(stderr io.Writer) *flags {
	f := &flags{FlagSet: flag.NewFlagSet("bench", flag.ContinueOnError)}
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
		f.PrintDefaults()
	}
	f.StringVar(&f.out, "out", ".", "folder of results.json, RESULTS.md and results.svg")
	f.StringVar(&f.parts, "parts", strings.Join(stage.Parts, ","), "what to measure")
	f.StringVar(&f.notes, "note", "", "what the report should say about this run")
	f.StringVar(&f.cfg.Bin, "bin", "../bin", "folder of the programs that make build builds")
	f.StringVar(&f.cfg.Dir, "dir", "", "where the servers store, on the disk that is to be measured (default: the system's temporary folder)")
	f.IntVar(&f.cfg.Rounds, "rounds", 5, "how often each stage and its ceilings are measured")
	f.IntVar(&f.cfg.PeerRounds, "peer-rounds", 2, "the same for the peers, and for how the cost grows")
	f.IntVar(&f.cfg.Events, "events", 100_000, "events of 1 KB for one measurement")
	f.DurationVar(&f.cfg.Limit, "limit", 15*time.Second, "how long one measurement may take; what is slower is measured by what is through by then")
	f.DurationVar(&f.cfg.Sustained, "sustained", time.Minute, "how long everything runs at full load")
	f.IntVar(&f.cfg.Backlog, "backlog", 100_000, "how many events may be under way then")
	f.DurationVar(&f.cfg.LatencyFor, "latency-for", 30*time.Second, "how long each latency is measured for")
	f.Float64Var(&f.cfg.LatencyRate, "latency-rate", 1000, "events per second of the first latency")
	f.IntVar(&f.cfg.GrowthEvents, "stream-events", 0, "how large a stream the redactor is to work off at once, 0 for none; 10 million take some 30 GB of disk and ten minutes")
	return f
}

func measure(ctx context.Context, args []string, stderr io.Writer) error {
	f := newFlags(stderr)
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q: neither a flag nor a command; see -h", f.Arg(0))
	}
	parts := map[string]bool{}
	for part := range strings.SplitSeq(f.parts, ",") {
		if !slices.Contains(stage.Parts, part) {
			return fmt.Errorf("-parts: %q is none of %s", part, strings.Join(stage.Parts, ", "))
		}
		parts[part] = true
	}
	if err := f.complete(); err != nil {
		return err
	}
	start := time.Now()
	results, err := describe(ctx, f)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	err = stage.New(f.cfg, results, log).Run(ctx, parts)
	results.Seconds = time.Since(start).Round(time.Second).Seconds()
	if ctx.Err() != nil {
		return err // interrupted: the last report stays
	}
	return errors.Join(err, results.Write(filepath.Join(f.out, "results.json")), writeReport(results, f.out))
}

// complete makes the paths absolute and says what is missing.
func (f *flags) complete() (err error) {
	f.cfg.ClickHouseURL = os.Getenv("CLICKHOUSE_URL")
	if f.cfg.Self, err = os.Executable(); err != nil {
		return err
	}
	if f.cfg.Bin, err = filepath.Abs(f.cfg.Bin); err != nil {
		return err
	}
	needed := []string{"nats-server", "producer", "redactor", "sink", "notifier"}
	if f.cfg.ClickHouseURL == "" {
		needed = append(needed, "clickhouse-embedded")
	}
	for _, name := range needed {
		if _, err := os.Stat(filepath.Join(f.cfg.Bin, name)); err != nil {
			return fmt.Errorf("-bin: no %s in %s: run make build", name, f.cfg.Bin)
		}
	}
	return nil
}

func render(args []string, stderr io.Writer) error {
	f := newFlags(stderr)
	if err := f.Parse(args); err != nil {
		return err
	}
	results, err := report.Read(filepath.Join(f.out, "results.json"))
	if err != nil {
		return err
	}
	return writeReport(results, f.out)
}

// boundsFile says, in a person's words, what bounds the targets that are missed.
const boundsFile = "bounds.md"

func writeReport(r *report.Results, dir string) error {
	bounds, err := os.ReadFile(filepath.Join(dir, boundsFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for name, text := range map[string]string{"RESULTS.md": report.Markdown(r, string(bounds)), "results.svg": report.Plot(r)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}
