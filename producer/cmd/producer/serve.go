package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"sluice/internal/daemon"
	"sluice/producer/door"
)

var serveHelp = daemon.Help{
	Name: "producer serve",
	Summary: `Takes events over HTTP and publishes them: one event, an array or NDJSON by POST to
/v1/events, authentik's webhooks at /v1/authentik. 202 says that the broker has
stored them. /openapi.json describes it all; docs/publishing.md shows it.

PRODUCER_TOKENS_FILE has one line for each token; what # begins is a comment:

  NAME TENANT ACTIONS TOKEN

ACTIONS are separated by commas; * at the end stands for the rest of a name. TOKEN
is the token, at least 32 characters, or sha256: and the SHA-256 of it.`,
	Commands: [][2]string{
		{"producer serve", "run until SIGTERM; SIGHUP reads the tokens and the certificate again"},
		{"producer serve -health", "ask the running service whether it is ready: exit 0 if so, 1 if not"},
	},
}

func serve(ctx context.Context, args []string) error {
	var cfg door.Config
	if daemon.AskedForHelp(args) {
		return serveHelp.Print(os.Stdout, &cfg)
	}
	health := len(args) == 1 && strings.TrimLeft(args[0], "-") == "health"
	if len(args) > 0 && !health {
		return daemon.Usage("serve takes no arguments but -health: it is set by environment variables")
	}
	if err := daemon.Load("PRODUCER", &cfg); err != nil {
		return err
	}
	if health {
		return daemon.Health(ctx, cfg.HTTPAddr, "HTTP_ADDR", os.Stdout)
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	cfg.Reload = hangups
	return daemon.Service(ctx, "producer", cfg.HTTPAddr, &cfg.Process, func(ctx context.Context, log *slog.Logger) error {
		return door.Run(ctx, cfg, log)
	})
}
