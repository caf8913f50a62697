// Command notifier turns clean events into alerts.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"sluice/internal/daemon"
	"sluice/notifier"
	"sluice/notifier/rules"
	"sluice/schemas"
)

func main() { os.Exit(daemon.Main("notifier", run)) }

func run(ctx context.Context, args []string) error {
	var cfg notifier.Config
	switch {
	case len(args) == 0:
		if err := daemon.Load("NOTIFIER", &cfg); err != nil {
			return err
		}
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
		cfg.Reload = hangups
		return daemon.Service(ctx, "notifier", cfg.HTTPAddr, &cfg.Process, func(ctx context.Context, log *slog.Logger) error {
			return notifier.Run(ctx, cfg, log)
		})
	case daemon.AskedForHelp(args):
		return help().Print(os.Stdout, &cfg)
	case args[0] == "-version" || args[0] == "--version":
		fmt.Println(daemon.Version)
		return nil
	case args[0] == "-health" || args[0] == "--health":
		if err := daemon.Load("NOTIFIER", &cfg); err != nil {
			return err
		}
		return daemon.Health(ctx, cfg.HTTPAddr, "HTTP_ADDR", os.Stdout)
	case slices.Contains([]string{"explain", "watch", "silence", "acknowledge", "rules", "test", "outbox"}, args[0]) && daemon.AskedForHelp(args[1:]):
		return help().Print(os.Stdout, &cfg)
	case args[0] == "explain":
		return explain(args[1:], os.Stdin, os.Stdout)
	case args[0] == "watch":
		return watch(ctx, args[1:], os.Stdout)
	case args[0] == "silence":
		return silence(ctx, args[1:], os.Stdout)
	case args[0] == "acknowledge":
		return acknowledge(ctx, args[1:], os.Stdout)
	case args[0] == "rules":
		return checkRules(args[1:], os.Stdout)
	case args[0] == "test":
		return test(ctx, args[1:], os.Stdout)
	case args[0] == "outbox":
		return tendOutbox(ctx, args[1:], os.Stdout)
	}
	return daemon.Usage("unknown command %q", args[0])
}

func help() daemon.Help {
	return daemon.Help{
		Name: "notifier",
		Summary: "Turns clean events into alerts on the ALERTS stream: the first of a trouble at once,\n" +
			"the following ones as a count. Delivers alerts to receivers.",
		Commands: [][2]string{
			{"notifier", "run the service"},
			{"notifier explain [-tenant T] EVENT.json", "say which rule an event meets, in which group, for whom and as what alert; - is stdin"},
			{"notifier watch [-tenant T] [-since 24h] [-json]", "print alerts, those of the last day and then each as it comes; -json prints them as they are"},
			{"notifier silence add [-for 4h] [-author A] [-comment C] NAME=VALUE...", "tell nobody of what matches for a while; NAME is tenant, action, app, rule, severity, fingerprint or group"},
			{"notifier silence list [-json]", "show the silences in force"},
			{"notifier silence remove ID...", "end them"},
			{"notifier acknowledge [-by B] [-comment C] GROUP", "tell no more of an open alert but its end"},
			{"notifier rules check FILE", "say what is wrong with a file of rules, or what it holds"},
			{"notifier rules schema", "print the JSON Schema of that file"},
			{"notifier test RECEIVER", "send a sample alert to a receiver of NOTIFIER_CONFIG and say what happened"},
			{"notifier outbox list [-json] [RECEIVER]", "list receivers, and the alerts that one has not taken and why"},
			{"notifier outbox replay RECEIVER [SEQ...]", "have them delivered again, all or those, and enable the receiver if it is disabled"},
			{"notifier -health", "ask the running service whether it is ready: exit 0 if so, 1 if not"},
			{"notifier -version", "print the version"},
		},
	}
}

// maxEventBytes is one more than the largest event, to tell a longer one.
const maxEventBytes = schemas.MaxPayloadBytes + 1

func explain(args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("explain", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	tenant := flags.String("tenant", schemas.DefaultTenant, "")
	if err := flags.Parse(args); err != nil {
		return daemon.Usage("explain: %w", err)
	}
	if flags.NArg() != 1 {
		return daemon.Usage("explain: want one file with an event, or - for stdin")
	}
	if err := schemas.CheckTenant(*tenant); err != nil {
		return daemon.Usage("explain: %w", err)
	}
	in := stdin
	if name := flags.Arg(0); name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("open event: %w", err)
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxEventBytes))
	if err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	var cfg notifier.Config
	if err := daemon.Load("NOTIFIER", &cfg); err != nil {
		return err
	}
	set, err := rules.Load(cfg.File)
	if err != nil {
		return fmt.Errorf("NOTIFIER_CONFIG: %w", err)
	}
	return notifier.Explain(stdout, set, *tenant, data)
}

func watch(ctx context.Context, args []string, stdout io.Writer) error {
	options := notifier.WatchOptions{Tenant: "*", Since: 24 * time.Hour}
	flags := flag.NewFlagSet("watch", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Func("tenant", "", func(tenant string) error {
		options.Tenant = tenant
		return schemas.CheckTenant(tenant)
	})
	flags.DurationVar(&options.Since, "since", options.Since, "")
	flags.BoolVar(&options.JSON, "json", false, "")
	if err := flags.Parse(args); err != nil {
		return daemon.Usage("watch: %w", err)
	}
	if flags.NArg() > 0 {
		return daemon.Usage("watch: %q: takes no arguments but its flags", flags.Arg(0))
	}
	var cfg notifier.Config
	if err := daemon.Load("NOTIFIER", &cfg); err != nil {
		return err
	}
	return notifier.Watch(ctx, cfg.NATS, options, stdout, cfg.Logger(os.Stderr))
}
