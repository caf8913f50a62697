package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // -timezone works where the system knows no zones, as in a bare container

	"sluice/internal/daemon"
	"sluice/producer"
	"sluice/producer/authentik"
	"sluice/producer/intake"
	"sluice/schemas"
)

var logsHelp = daemon.Help{
	Name: "producer authentik [-tenant T] [-state FILE] [-timezone ZONE] [-follow] [FILE...]",
	Summary: `Publishes the events of an authentik installation from the logs of its containers,
out of files or stdin ("-"), and ends with the line "published N, duplicate N,
refused N, skipped N" on stdout.

It takes the lines in which authentik logs an event ("Created Event"), behind
whatever compose, docker or Kubernetes put before them, and skips all others. On
stderr it counts what was skipped by kind, and names the lines in which an event
is torn or too long. An event's id is derived from the tenant and its line, so
feeding the same log again, by whatever way, stores nothing twice. The line lacks
the app, which becomes "authentik", the brand, and when it expires; its time, which
is written without a zone, is read in that of -timezone.

With -follow it goes on at the end of the files, over rotation, until it is
stopped, and waits for the broker as long as it takes. A state file lets the next
run go on where this one stopped.`,
	Commands: [][2]string{
		{"-tenant T", "whose events these are: letters, digits, - and _ (default: PRODUCER_TENANT)"},
		{"-state FILE", "where to remember how far each file was read; nothing is remembered without"},
		{"-timezone ZONE", "the zone of authentik's containers, such as Europe/Berlin (default UTC)"},
		{"-follow", "go on at the end of the files; a quoted pattern takes in files that come later"},
		{"FILE...", "logs to read in this order, .gz too; - is stdin, and so is no file at all"},
	},
}

func publishLogs(ctx context.Context, args []string) error {
	var settings PublishSettings
	if daemon.AskedForHelp(args) {
		return logsHelp.Print(os.Stdout, &settings)
	}
	if err := daemon.Load("PRODUCER", &settings); err != nil {
		return err
	}
	cfg := authentik.LogConfig{Stdin: os.Stdin}
	flags := flag.NewFlagSet("producer authentik", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&cfg.Tenant, "tenant", settings.Tenant, "")
	stateFile := flags.String("state", "", "")
	zone := flags.String("timezone", "UTC", "")
	flags.BoolVar(&cfg.Follow, "follow", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return logsHelp.Print(os.Stdout, &settings)
	case err != nil:
		return daemon.Usage("authentik: %w", err)
	}
	if err := schemas.CheckTenant(cfg.Tenant); err != nil {
		return daemon.Usage("-tenant: %w", err)
	}
	location, err := time.LoadLocation(*zone)
	if err != nil {
		return daemon.Usage("-timezone %q: want a name such as UTC or Europe/Berlin", *zone)
	}
	cfg.Location, cfg.Files = location, flags.Args()
	if len(cfg.Files) == 0 {
		cfg.Files = []string{"-"}
	}
	size := int64(0)
	if !cfg.Follow {
		if _, size, err = openable(cfg.Files); err != nil {
			return err
		}
	}
	book, err := authentik.OpenBook(*stateFile)
	if err != nil {
		return err
	}
	screen := newScreen(os.Stderr, size)
	defer screen.close()
	cfg.Report = screen
	reader, err := authentik.Logs(cfg, book)
	if err != nil {
		return err
	}
	return publishReader(ctx, &settings, screen, book, reader, cfg.Follow)
}

// publishReader publishes what the reader finds, and keeps the book. Who follows is
// stopped by a signal as a matter of course.
func publishReader(ctx context.Context, settings *PublishSettings, screen *screen,
	book *authentik.Book, reader intake.Reader, follow bool,
) error {
	var summary intake.Summary
	cfg := intake.Config{Timeout: settings.Timeout, Report: screen, Settled: book.Settled}
	if follow {
		cfg.Timeout = 0
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var unsaved error
	cfg.Progress = func(s intake.Summary) {
		screen.show(s)
		if unsaved = book.Tick(); unsaved != nil {
			stop()
		}
	}
	err := withProducer(ctx, settings, screen, func(p *producer.Producer) (err error) {
		summary, err = intake.RunReader(ctx, p, cfg, reader)
		screen.close()
		fmt.Printf("%s, skipped %d\n", summary, total(summary.Skipped))
		if len(summary.Skipped) > 0 {
			fmt.Fprintf(screen, "skipped: %s\n", counts(summary.Skipped))
		}
		return err
	})
	if errors.Is(err, intake.ErrInterrupted) && (follow || unsaved != nil) {
		err = unsaved
	}
	if e := book.Save(); err == nil {
		err = e
	}
	if err == nil && summary.Refused > 0 {
		return refusedError{}
	}
	return err
}

func total(skipped map[string]int) (n int) {
	for _, count := range skipped {
		n += count
	}
	return n
}

// counts lists the kinds with their numbers.
func counts(skipped map[string]int) string {
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(skipped)) {
		list = append(list, fmt.Sprintf("%s %d", kind, skipped[kind]))
	}
	return strings.Join(list, ", ")
}
