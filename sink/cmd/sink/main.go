// Command sink stores clean events in ClickHouse.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"sluice/internal/daemon"
	"sluice/sink"
)

func main() { os.Exit(daemon.Main("sink", run)) }

var help = daemon.Help{
	Name:    "sink",
	Summary: "Stores the events of EVENTS_CLEAN in ClickHouse's table sluice.events, each exactly once.",
	Commands: [][2]string{
		{"sink", "run the service"},
		{"sink migrate", "bring the table to this version's schema and end"},
		{"sink migrate -roles", "the same, and make the roles and row policies of deploy/clickhouse/roles.sql"},
		{"sink retention show [-json]", "say how many events are stored, how long they are kept and when they leave"},
		{"sink retention set [-dry-run] [TENANT=PERIOD...]", "apply a retention to what is stored; * for all other tenants, the settings if none is given"},
		{"sink erase --user USER [--tenant TENANT] -dry-run|-yes", "erase one person's events for good, or count them"},
		{"sink -health", "ask the running service whether it is ready: exit 0 if so, 1 if not"},
		{"sink -version", "print the version"},
	},
}

func run(ctx context.Context, args []string) error {
	var cfg service
	switch {
	case daemon.AskedForHelp(args) || len(args) > 0 && daemon.AskedForHelp(args[1:]):
		return help.Print(os.Stdout, &cfg)
	case len(args) == 1 && args[0] == "-version":
		_, err := fmt.Println(daemon.Version)
		return err
	case len(args) == 1 && args[0] == "-health":
		if err := daemon.Load("SINK", &cfg); err != nil {
			return err
		}
		return daemon.Health(ctx, cfg.HTTPAddr, "HTTP_ADDR", os.Stdout)
	case len(args) > 0 && args[0] == "retention":
		return retention(ctx, args[1:])
	case len(args) > 0 && args[0] == "erase":
		return erase(ctx, args[1:])
	case len(args) > 2 || len(args) >= 1 && args[0] != "migrate" || len(args) == 2 && strings.TrimLeft(args[1], "-") != "roles":
		return daemon.Usage("unknown arguments %q", args)
	}
	if err := daemon.Load("SINK", &cfg); err != nil {
		return err
	}
	if len(args) > 0 {
		return migrate(ctx, cfg.ClickHouse, len(args) == 2)
	}
	daemon.BoundMemory(cfg.MemoryBytes)
	return daemon.Service(ctx, "sink", cfg.HTTPAddr, &cfg.Process, func(ctx context.Context, log *slog.Logger) error {
		return sink.Run(ctx, cfg.Config, log)
	})
}

func migrate(ctx context.Context, server sink.ClickHouse, roles bool) error {
	applied, err := sink.Migrate(ctx, server)
	if err != nil {
		return err
	}
	for _, m := range applied {
		fmt.Printf("applied %s\n", m)
	}
	lacked, err := sink.CompleteCluster(ctx, server)
	if err != nil {
		return err
	}
	if lacked > 0 {
		fmt.Printf("%d servers that joined the cluster have the table now\n", lacked)
	}
	fmt.Printf("sluice.events is up to date, %d migrations applied\n", len(applied))
	if !roles {
		return nil
	}
	if err := sink.ApplyRoles(ctx, server); err != nil {
		return err
	}
	fmt.Println("roles and row policies are applied")
	return nil
}
