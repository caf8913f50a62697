// Command redactor takes the credentials out of events, as a service between two
// streams or as a filter.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/redactor"
	"sluice/redactor/quarantine"
	"sluice/redactor/redact"
	"sluice/redactor/rules"
	"sluice/schemas"
)

func main() { os.Exit(daemon.Main("redactor", run)) }

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return serve(ctx)
	}
	command, rest := args[0], args[1:]
	switch {
	case daemon.AskedForHelp(args) || daemon.AskedForHelp(rest):
		return help().Print(os.Stdout, new(redactor.Config))
	case command == "-version" || command == "--version":
		fmt.Println(daemon.Version)
		return nil
	case command == "-health" || command == "--health":
		var cfg redactor.Config
		if err := daemon.Load("REDACTOR", &cfg); err != nil {
			return err
		}
		return daemon.Health(ctx, cfg.HTTPAddr, "HTTP_ADDR", os.Stdout)
	case command == "filter":
		return filter(ctx, rest)
	case command == "explain":
		return explain(ctx, rest)
	case command == "rules":
		return checkRules(rest)
	case command == "fingerprint":
		return fingerprint(rest)
	case command == "quarantine":
		return tend(ctx, rest)
	}
	return daemon.Usage("%q is no command", command)
}

func help() daemon.Help {
	return daemon.Help{
		Name:    "redactor",
		Summary: "Takes raw events from EVENTS_RAW, masks their credentials and publishes them to EVENTS_CLEAN.\nEvents that break the contract go to EVENTS_QUARANTINE.\n\nfilter writes the clean events to standard output, in order and without stamping them. For a line that would\nbe quarantined it writes {\"line\":N,\"reason\":\"...\"} to standard error, and exits with 3 in the end.",
		Commands: [][2]string{
			{"redactor", "run the service until SIGTERM"},
			{"redactor filter [-tenant T]", "mask events from standard input, one a line; see below"},
			{"redactor explain [-json] [-tenant T] [FILE]", "say what would be masked in each event and by which rule, without the values"},
			{"redactor rules check FILE", "say what is wrong with a file of rules, or what it adds"},
			{"redactor rules schema", "print the JSON Schema of that file"},
			{"redactor fingerprint", "print the fingerprint of the secret on standard input, to look for it in events"},
			{"redactor quarantine list [-json] [-tenant T] [-reason R]", "list the events in quarantine"},
			{"redactor quarantine show SEQ", "show one, masked"},
			{"redactor quarantine replay SEQ...|-all [-tenant T] [-reason R]", "publish them again where they came from, and remove them"},
			{"redactor quarantine drop SEQ...|-all [-tenant T] [-reason R] -yes", "remove them for good"},
			{"redactor -health", "ask the running service whether it is ready: exit 0 if so, 1 if not"},
			{"redactor -version", "print the version"},
		},
	}
}

// memoryBytes is what the redactor's garbage may fill: the process takes 90 MB with
// events of 1 KB, and 200 MB with events of 10 and of 100 KB (bench/RESULTS.md).
const memoryBytes = 192 << 20

func serve(ctx context.Context) error {
	var cfg redactor.Config
	if err := daemon.Load("REDACTOR", &cfg); err != nil {
		return err
	}
	daemon.BoundMemory(memoryBytes)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	cfg.Reload = hangups
	return daemon.Service(ctx, "redactor", cfg.HTTPAddr, &cfg.Process, func(ctx context.Context, log *slog.Logger) error {
		return redactor.Run(ctx, cfg, log)
	})
}

func filter(ctx context.Context, args []string) error {
	tenant, rest, err := flagsOf("filter", args, nil)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return daemon.Usage("filter takes no files: it reads standard input")
	}
	engine, err := engine(0)
	if err != nil {
		return err
	}
	return untilStopped(ctx, func(ctx context.Context) (int, error) {
		return redactor.Filter(ctx, engine.For(tenant), os.Stdin, os.Stdout, os.Stderr)
	})
}

// flagsOf reads the flags of a command that redacts.
func flagsOf(command string, args []string, asJSON *bool) (tenant string, rest []string, err error) {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&tenant, "tenant", "", "")
	if asJSON != nil {
		flags.BoolVar(asJSON, "json", false, "")
	}
	if err := flags.Parse(args); err != nil {
		return "", nil, daemon.Usage("%s: %v", command, err)
	}
	return tenant, flags.Args(), nil
}

// engine makes one by the settings, for texts of up to maxBytes.
func engine(maxBytes int) (*redact.Engine, error) {
	var cfg redactor.Config
	if err := daemon.Load("REDACTOR", &cfg); err != nil {
		return nil, err
	}
	return cfg.Ruleset.Load(maxBytes)
}

func explain(ctx context.Context, args []string) error {
	var (
		how redactor.Explanation
		in  io.Reader = os.Stdin
	)
	tenant, args, err := flagsOf("explain", args, &how.JSON)
	if err != nil {
		return err
	}
	how.Tenant = tenant
	engine, err := engine(0)
	if err != nil {
		return err
	}
	switch {
	case len(args) > 1:
		return daemon.Usage("explain takes one file, or none for standard input")
	case len(args) == 1 && args[0] != "-":
		file, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	return untilStopped(ctx, func(ctx context.Context) (int, error) { return redactor.Explain(ctx, engine, how, in, os.Stdout) })
}

// untilStopped runs a command that reads events. A signal ends it within a
// moment even where it waits for input, which nothing else can interrupt.
func untilStopped(ctx context.Context, command func(context.Context) (quarantined int, err error)) error {
	done := make(chan error, 1)
	go func() {
		quarantined, err := command(ctx)
		if err == nil && quarantined > 0 {
			err = quarantinedError{}
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done: // it was at work, and has written that out
		return err
	case <-time.After(100 * time.Millisecond):
		return ctx.Err()
	}
}

// quarantinedError ends a command all of whose output is written, with the exit
// code that says that some lines would be quarantined.
type quarantinedError struct{}

func (quarantinedError) Error() string { return "" }
func (quarantinedError) ExitCode() int { return 3 }

func tend(ctx context.Context, args []string) error {
	command, err := quarantine.Parse(args)
	if err != nil {
		return err
	}
	var cfg redactor.Config
	if err := daemon.Load("REDACTOR", &cfg); err != nil {
		return err
	}
	engine, err := cfg.Ruleset.Load(schemas.MaxPayloadBytes)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	conn, err := broker.Connect(ctx, cfg.NATS, "redactor-quarantine", log)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // it must still flush when ctx has ended
	store, err := quarantine.Open(ctx, conn, engine)
	if err != nil {
		return err
	}
	return command.Run(ctx, store, os.Stdout)
}

// checkRules tells about a file of rules.
func checkRules(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "schema":
		_, err := os.Stdout.Write(rules.Schema)
		return err
	case len(args) != 2 || args[0] != "check":
		return daemon.Usage("rules takes check FILE, or schema")
	}
	set, err := rules.Load(args[1])
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d rules, %d tenants with rules of their own\n", args[1], set.Count(), len(set.Tenants))
	return nil
}

// maxSecretBytes is how much of standard input is taken for a secret.
const maxSecretBytes = 64 << 10

// fingerprint reads a secret from standard input, since a command line can be read
// by others, and is kept.
func fingerprint(args []string) error {
	if len(args) > 0 {
		return daemon.Usage("fingerprint takes no arguments: it reads the secret from standard input")
	}
	var cfg redactor.Config
	if err := daemon.Load("REDACTOR", &cfg); err != nil {
		return err
	}
	secret, err := io.ReadAll(io.LimitReader(bufio.NewReader(os.Stdin), maxSecretBytes))
	if err != nil {
		return fmt.Errorf("read the secret: %w", err)
	}
	digest, err := cfg.Ruleset.Fingerprint(bytes.TrimRight(secret, "\r\n"))
	if err != nil {
		return err
	}
	_, err = fmt.Println(digest)
	return err
}
