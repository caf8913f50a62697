package main

import (
	"context"
	"flag"
	"io"
	"os"

	"sluice/internal/daemon"
	"sluice/sink"
)

// retention looks at how long stored events are kept, and changes it.
func retention(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return daemon.Usage("retention: want show or set")
	}
	var asJSON, dryRun bool
	flags := flagsOf("retention " + args[0])
	switch args[0] {
	case "show":
		flags.BoolVar(&asJSON, "json", false, "")
	case "set":
		flags.BoolVar(&dryRun, "dry-run", false, "")
	default:
		return daemon.Usage("retention %q is no command: want show or set", args[0])
	}
	if err := flags.Parse(args[1:]); err != nil {
		return daemon.Usage("%s: %w", flags.Name(), err)
	}
	if args[0] == "show" && flags.NArg() > 0 {
		return daemon.Usage("retention show takes no argument %q", flags.Arg(0))
	}
	var cfg sink.Config
	if err := daemon.Load("SINK", &cfg); err != nil {
		return err
	}
	if args[0] == "set" {
		return sink.SetRetention(ctx, cfg, flags.Args(), dryRun, os.Stdout, terminal())
	}
	report, err := sink.ShowRetention(ctx, cfg)
	switch {
	case err != nil:
		return err
	case asJSON:
		return report.WriteJSON(os.Stdout)
	}
	return report.WriteText(os.Stdout)
}

// flagsOf makes flags whose errors are for the caller alone to print.
func flagsOf(command string) *flag.FlagSet {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// terminal is where to show progress to a person, nil if nobody watches.
func terminal() io.Writer {
	if info, err := os.Stderr.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return os.Stderr
}
