// Command standalone runs all of Sluice in one process.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"sluice/internal/daemon"
	"sluice/standalone"
)

func main() { os.Exit(daemon.Main("standalone", run)) }

func run(ctx context.Context, args []string) error {
	help := daemon.Help{
		Name: "standalone",
		Summary: "Runs all of Sluice in one process: broker, redactor, sink, notifier and ClickHouse.\n" +
			"With NATS_URL or CLICKHOUSE_URL set it uses that server instead of its own.\n" +
			"Ctrl-C or SIGTERM stops it without loss; start it again and it goes on.",
		Commands: [][2]string{
			{"standalone", "run until stopped"},
			{"standalone -demo", "feed it a lively sample first, and show what becomes of it"},
			{"standalone -health", "ask the running one whether it is ready: exit 0 if so, 1 if not"},
			{"standalone -version", "print the version"},
		},
		Without: []string{"HTTP_ADDR"}, // it has one address for all of its services
	}
	if daemon.AskedForHelp(args) {
		var cfg standalone.Config
		return help.Print(os.Stdout, &cfg, &cfg.Redactor, &cfg.Sink, &cfg.Notifier)
	}
	flags := flag.NewFlagSet("standalone", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	demo := flags.Bool("demo", false, "")
	health := flags.Bool("health", false, "")
	version := flags.Bool("version", false, "")
	if err := flags.Parse(args); err != nil {
		return daemon.Usage("%w", err)
	}
	if flags.NArg() > 0 {
		return daemon.Usage("%q: standalone takes no arguments but its flags", flags.Arg(0))
	}
	if *version {
		_, err := fmt.Println(daemon.Version)
		return err
	}
	cfg, err := standalone.Load()
	if err != nil {
		return err
	}
	if *health {
		return daemon.Health(ctx, cfg.HTTPAddr, "STANDALONE_HTTP_ADDR", os.Stdout)
	}
	cfg.Demo = *demo
	for _, reload := range []*<-chan os.Signal{&cfg.Redactor.Reload, &cfg.Notifier.Reload} { // each reads its own rules again
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
		*reload = hangups
	}
	return standalone.Run(ctx, cfg, cfg.Logger(os.Stderr))
}
