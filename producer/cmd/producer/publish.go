package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/producer"
	"sluice/producer/intake"
	"sluice/schemas"
)

// PublishSettings come from the environment. It is exported because other settings embed it,
// and only what is exported can be set there.
type PublishSettings struct {
	broker.NATS
	Tenant  string        `envconfig:"PRODUCER_TENANT" default:"default" desc:"whose events these are, where -tenant does not say"`
	Timeout time.Duration `envconfig:"PRODUCER_TIMEOUT" default:"5m" desc:"how long to go on without progress while the broker is away or its stream is full"`
	// A command that is typed keeps quiet about what went well.
	Level  slog.Level       `envconfig:"LOG_LEVEL" default:"warn" desc:"least level that is logged: debug, info (one line per event), warn or error"`
	Format daemon.LogFormat `envconfig:"LOG_FORMAT" default:"text" desc:"log lines as text or json"`
}

// Validate implements daemon.Validator.
func (s *PublishSettings) Validate() error {
	err := s.NATS.Validate()
	if e := schemas.CheckTenant(s.Tenant); e != nil {
		err = errors.Join(err, fmt.Errorf("PRODUCER_TENANT: %w", e))
	}
	if s.Timeout <= 0 {
		err = errors.Join(err, errors.New("PRODUCER_TIMEOUT: want more than 0"))
	}
	return err
}

var publishHelp = daemon.Help{
	Name: "producer publish [-tenant T] [-action A] [-new-ids] [FILE...]",
	Summary: `Publishes audit events, one JSON object per line, from files or from stdin ("-"),
and ends with the line "published N, duplicate N, refused N" on stdout. The exit
code is 0 only if every line was taken.

An event goes out byte for byte. What it lacks is added at its end: the action of
-action, and an id (pk). The id is derived from the tenant, the event's bytes and
how many lines with the same bytes came before it in this run. So an interrupted
run can be repeated from the start without harm: what is stored already counts as
duplicate, or is dropped further on. But a line without a pk that was published
last week and comes again today is that same event too, unless something in it
differs, such as created: use -new-ids where equal lines of different runs are
different events.

A line that is no valid event is refused with FILE:LINE: REASON on stderr, and the
others go on. Blank lines are skipped. While the broker is away or the stream is
full it waits, and gives up after PRODUCER_TIMEOUT without progress, saying at
which line.`,
	Commands: [][2]string{
		{"-tenant T", "whose events these are: letters, digits, - and _ (default: PRODUCER_TENANT)"},
		{"-action A", "the action of events that have none; without it they are refused"},
		{"-new-ids", "give events without a pk a random id: a repeated run stores them again"},
		{"FILE...", "files to publish in this order; - is stdin, and so is no file at all"},
	},
}

func publish(ctx context.Context, args []string) error {
	var settings PublishSettings
	if daemon.AskedForHelp(args) {
		return publishHelp.Print(os.Stdout, &settings)
	}
	if err := daemon.Load("PRODUCER", &settings); err != nil {
		return err
	}
	flags := flag.NewFlagSet("producer publish", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	tenant := flags.String("tenant", settings.Tenant, "")
	action := flags.String("action", "", "")
	newIDs := flags.Bool("new-ids", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return publishHelp.Print(os.Stdout, &settings)
	case err != nil:
		return daemon.Usage("publish: %w", err)
	case *action != "" && !schemas.ValidAction(*action):
		return daemon.Usage("-action %q: want small letters, digits and _, beginning with a letter, at most 64", *action)
	}
	encoder, err := producer.NewEncoder(*tenant)
	if err != nil {
		return daemon.Usage("-tenant: %w", err)
	}
	encoder.Action = *action
	if !*newIDs {
		encoder.NewPK = intake.NewIdentity(*tenant).PK
	}
	inputs, size, err := openable(flags.Args())
	if err != nil {
		return err
	}
	return publishInputs(ctx, &settings, encoder, inputs, size)
}

func publishInputs(ctx context.Context, settings *PublishSettings, encoder *producer.Encoder, inputs []intake.Input, size int64) error {
	encode := func(line []byte) (producer.Message, error) {
		m, err := encoder.JSON(line)
		if errors.Is(err, producer.ErrNoAction) {
			err = fmt.Errorf("%w: add it to the event, or name it with -action", err)
		}
		return m, err
	}
	screen := newScreen(os.Stderr, size)
	defer screen.close()
	var summary intake.Summary
	err := withProducer(ctx, settings, screen, func(p *producer.Producer) (err error) {
		cfg := intake.Config{Encode: encode, Timeout: settings.Timeout, Report: screen, Progress: screen.show}
		summary, err = intake.Run(ctx, p, cfg, inputs)
		screen.close()
		fmt.Println(summary)
		return err
	})
	if err == nil && summary.Refused > 0 {
		return refusedError{}
	}
	return err
}

// withProducer lends a producer that logs to the screen.
func withProducer(ctx context.Context, settings *PublishSettings, screen *screen, use func(*producer.Producer) error) error {
	log := daemon.Logging{Level: settings.Level, Format: settings.Format}.Logger(screen)
	conn, err := broker.Connect(ctx, settings.NATS, "producer", log)
	if err != nil {
		return err
	}
	// Everything that counts has been acknowledged by then, so there is nothing
	// to flush.
	defer conn.NC.Close()
	p, err := producer.New(conn.NC, producer.Config{Log: log, Gather: -1})
	if err != nil {
		return err
	}
	defer p.Close()

	return use(p)
}

// refusedError ends a run in which lines were refused; each has been reported.
type refusedError struct{}

func (refusedError) Error() string { return "" }

// ExitCode implements daemon.ExitCoder.
func (refusedError) ExitCode() int { return daemon.ExitFailure }

// openable finds a wrong name before anything is published, and tells how large
// the files are together, 0 where that is unknown.
func openable(names []string) (inputs []intake.Input, size int64, err error) {
	if len(names) == 0 {
		names = []string{"-"}
	}
	known := true
	for _, name := range names {
		if name == "-" {
			known = false
			inputs = append(inputs, intake.Input{Name: "stdin", Open: func() (io.ReadCloser, error) { return os.Stdin, nil }})
			continue
		}
		info, err := os.Stat(name)
		switch {
		case err != nil && strings.HasPrefix(name, "-"):
			return nil, 0, daemon.Usage("%s: flags go before the files", name)
		case err != nil:
			return nil, 0, err
		case info.IsDir():
			return nil, 0, fmt.Errorf("%s is a directory: name the files in it", name)
		}
		size += info.Size()
		known = known && info.Mode().IsRegular()
		inputs = append(inputs, intake.Input{Name: name, Open: func() (io.ReadCloser, error) { return os.Open(name) }})
	}
	if !known {
		size = 0
	}
	return inputs, size, nil
}
