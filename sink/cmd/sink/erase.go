package main

import (
	"context"
	"os"

	"sluice/internal/daemon"
	"sluice/schemas"
	"sluice/sink"
)

// erase removes one person's events.
func erase(ctx context.Context, args []string) error {
	var e sink.Erasure
	var yes bool
	flags := flagsOf("erase")
	flags.StringVar(&e.User, "user", "", "")
	flags.StringVar(&e.Tenant, "tenant", "", "")
	flags.BoolVar(&e.DryRun, "dry-run", false, "")
	flags.BoolVar(&yes, "yes", false, "")
	if err := flags.Parse(args); err != nil {
		return daemon.Usage("erase: %w", err)
	}
	switch {
	case flags.NArg() > 0:
		return daemon.Usage("erase takes no argument %q", flags.Arg(0))
	case e.User == "":
		return daemon.Usage("erase: say whose events with --user")
	case !e.DryRun && !yes:
		return daemon.Usage("erase: say -yes to erase for good, or -dry-run to count")
	}
	if e.Tenant != "" {
		if err := schemas.CheckTenant(e.Tenant); err != nil {
			return daemon.Usage("erase: %w", err)
		}
	}
	var cfg sink.Config
	if err := daemon.Load("SINK", &cfg); err != nil {
		return err
	}
	return sink.Erase(ctx, cfg, e, os.Stdout, terminal())
}
