// Package daemon is what every Sluice process does around its work: read its
// settings from the environment, log, serve health and metrics, stop on a
// signal, and turn an error into one clear line and an exit code.
//
// Only Main exits the process. Everything else returns errors, so that services
// can be run inside another process and in tests.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// Version is the version of the whole repository, set by the linker.
var Version = "dev"

// The exit codes of every command.
const (
	ExitOK = 0
	// ExitFailure is an error at work.
	ExitFailure = 1
	// ExitUsage is a wrong argument or setting.
	ExitUsage = 2
)

// ErrUsage is wrapped by errors about arguments and settings, which end the
// process with ExitUsage.
var ErrUsage = errors.New("usage")

// Usage returns an error for a wrong argument or setting.
func Usage(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

type usageError struct{ error }

func (e *usageError) Unwrap() []error { return []error{e.error, ErrUsage} }

// ExitCoder is an error that asks for an exit code of its own.
type ExitCoder interface {
	error
	ExitCode() int
}

// Main runs the command and returns the exit code for it. SIGINT and SIGTERM end
// ctx; a second one ends the process at once. An error is printed as one line.
func Main(name string, run func(ctx context.Context, args []string) error) int {
	leaveNoCore()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from here on the default action is back
	return ExitCode(os.Stderr, name, run(ctx, os.Args[1:]))
}

// ExitCode prints err, if it is one, and returns the exit code for it.
func ExitCode(stderr io.Writer, name string, err error) int {
	var coder ExitCoder
	switch {
	case err == nil, errors.Is(err, errHelp):
		return ExitOK
	case errors.As(err, &coder):
		if coder.Error() != "" {
			fmt.Fprintf(stderr, "%s: %s\n", name, oneLine(err))
		}
		return coder.ExitCode()
	case errors.Is(err, ErrUsage):
		fmt.Fprintf(stderr, "%s: %s (%s -h lists what can be set)\n", name, oneLine(err), name)
		return ExitUsage
	}
	fmt.Fprintf(stderr, "%s: %s\n", name, oneLine(err))
	return ExitFailure
}

// oneLine keeps an error on its line: joined errors come one to a line.
func oneLine(err error) string {
	text := []byte(err.Error())
	out := make([]byte, 0, len(text))
	for _, c := range text {
		switch {
		case c == '\n':
			out = append(out, ';', ' ')
		case c >= ' ':
			out = append(out, c)
		}
	}
	return string(out)
}

// Logging says how to log. Every service embeds it in its settings.
type Logging struct {
	Level  slog.Level `envconfig:"LOG_LEVEL" default:"info" desc:"least level that is logged: debug, info, warn or error"`
	Format LogFormat  `envconfig:"LOG_FORMAT" default:"text" desc:"log lines as text or json"`
}

// LogFormat is text or json.
type LogFormat string

// Decode implements envconfig.Decoder.
func (f *LogFormat) Decode(value string) error {
	if value != "text" && value != "json" {
		return errors.New("want text or json")
	}
	*f = LogFormat(value)
	return nil
}

// Logger returns a logger to w.
func (l Logging) Logger(w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: l.Level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
