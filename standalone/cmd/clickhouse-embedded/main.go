// Command clickhouse-embedded serves ClickHouse's HTTP interface on the embedded
// engine. It is a process of its own because the engine is a library of 566 MB
// that brings threads and signal handlers, and because a crash of it must not
// take the services along.
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
	"strings"
	"syscall"
	"time"

	"sluice/standalone/clickhouse/embedded"
)

// drainTimeout is how long draining may take. Then the process ends, with
// whatever hangs in the library: every acknowledged insert is stored.
const drainTimeout = 5 * time.Second

const usage = `clickhouse-embedded serves ClickHouse's HTTP interface on the embedded engine.

It prints "ready http://host:port" when it serves. It drains and ends on SIGTERM,
on SIGINT and when its standard input ends, which means that its parent is gone.

Flags:
`

const settings = `
Settings (environment):
  CHDB_LIB_PATH  file of the engine's library (default: where npm ci installs it)
  LOG_LEVEL      debug, info, warn, error (info)
  LOG_FORMAT     text, json (text)
`

func main() { os.Exit(run()) }

func run() int {
	cfg := embedded.Config{LibPath: os.Getenv("CHDB_LIB_PATH")}
	flags := flag.NewFlagSet("clickhouse-embedded", flag.ContinueOnError)
	flags.StringVar(&cfg.Addr, "addr", "127.0.0.1:8123", "loopback `address` to listen on; port 0 takes a free one")
	flags.StringVar(&cfg.Dir, "path", "", "data `directory`")
	flags.StringVar(&cfg.ConfigFile, "config", "", "`file` of ClickHouse's own configuration, for trying users and clusters")
	megabytes := flags.Int64("memory", 2048, "most memory of the engine, in `MiB`")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
		fmt.Fprint(flags.Output(), settings)
	}
	if err := flags.Parse(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	cfg.MemoryBytes = *megabytes << 20

	log, err := newLogger(os.Stderr, os.Getenv("LOG_LEVEL"), os.Getenv("LOG_FORMAT"))
	if err != nil {
		return fail(err)
	}
	ready, err := privateStdout()
	if err != nil {
		return fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ctx, parentGone := context.WithCancel(ctx)
	defer parentGone()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // how it ends does not matter
		parentGone()
	}()
	ended := make(chan error, 1)
	go func() { ended <- embedded.Run(ctx, cfg, ready, log) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		select {
		case err = <-ended:
		case <-time.After(drainTimeout):
			err = errors.New("draining takes too long, ending without it")
		}
	}
	if err != nil {
		return fail(err)
	}
	return 0
}

// fail says in one line why the process ends.
func fail(err error) int {
	fmt.Fprintln(os.Stderr, "clickhouse-embedded:", strings.ReplaceAll(err.Error(), "\n", "; "))
	return 1
}

// privateStdout keeps standard output for the ready line: whatever the library
// prints there goes to standard error instead.
func privateStdout() (*os.File, error) {
	stdout, err := syscall.Dup(1)
	if err != nil {
		return nil, fmt.Errorf("keep standard output: %w", err)
	}
	syscall.CloseOnExec(stdout)
	if err := embedded.Redirect(2, 1); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(stdout), "stdout"), nil
}

func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	options := &slog.HandlerOptions{}
	if level != "" {
		var parsed slog.Level
		if err := parsed.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("read LOG_LEVEL: %w", err)
		}
		options.Level = parsed
	}
	switch format {
	case "", "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, errors.New("read LOG_FORMAT: neither text nor json")
	}
}
