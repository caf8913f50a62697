package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/notifier/outbox"
	"sluice/notifier/receiver"
	"sluice/notifier/rules"
)

// loadFile reads the rules and the receivers of NOTIFIER_CONFIG; an empty name is no
// file: the built-in rules and no receivers.
func loadFile(file string) (*rules.Set, []receiver.Receiver, error) {
	set, err := rules.Load(file)
	if err != nil {
		return nil, nil, err
	}
	receivers, err := Receivers(file, set)
	return set, receivers, err
}

// Receivers reads the receivers of a file of rules. The error joins all that is
// wrong with them, each with the file and its line.
func Receivers(file string, set *rules.Set) ([]receiver.Receiver, error) {
	if set.Receivers.Kind == 0 {
		return nil, nil
	}
	receivers, err := receiver.ParseAll(&set.Receivers)
	if err != nil {
		return nil, inFile(file, err)
	}
	return receivers, nil
}

// inFile gives what is wrong with receivers the form of what is wrong with rules:
// "file:line: path: what", a line each.
func inFile(file string, err error) error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, one := range several.Unwrap() {
			out = append(out, inFile(file, one))
		}
		return errors.Join(out...)
	}
	if wrong, ok := errors.AsType[*receiver.ParseError](err); ok {
		return fmt.Errorf("%s:%d: %s: %s", file, wrong.Line, wrong.Path, wrong.What)
	}
	return fmt.Errorf("%s: %w", file, err)
}

// deliver sends alerts to the receivers, and to others once changes has them, until
// ctx ends.
func deliver(ctx context.Context, cfg Config, receivers []receiver.Receiver, changes <-chan []receiver.Receiver, log *slog.Logger) error {
	conn, err := broker.Connect(ctx, cfg.NATS, "notifier-outbox", log)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // it has a time limit of its own: ctx has ended by then
	out, err := outbox.New(conn, receiver.Env{Version: daemon.Version}, cfg.Telemetry.Registry, log)
	if err != nil {
		return err
	}
	return out.Follow(ctx, receivers, changes)
}

// both runs two parts until ctx ends or one of them fails, which ends the other.
func both(ctx context.Context, first, second func(context.Context) error) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	done := make(chan error, 1)
	go func() {
		err := second(ctx)
		if err != nil {
			end(err)
		}
		done <- err
	}()
	err := first(ctx)
	if err != nil {
		end(err)
	}
	return errors.Join(err, <-done)
}

// Test sends a sample alert to a receiver and writes in one line what happened.
func Test(ctx context.Context, cfg Config, name string, out io.Writer, log *slog.Logger) error {
	if cfg.File == "" {
		return daemon.Usage("NOTIFIER_CONFIG: is not set; it is the file that defines receivers")
	}
	_, receivers, err := loadFile(cfg.File)
	if err != nil {
		return fmt.Errorf("NOTIFIER_CONFIG: %w", err)
	}
	var (
		names []string
		found *receiver.Receiver
	)
	for i := range receivers {
		if names = append(names, receivers[i].Name); receivers[i].Name == name {
			found = &receivers[i]
		}
	}
	if found == nil {
		return daemon.Usage("test: there is no receiver %q; there are: %s", name, strings.Join(names, ", "))
	}
	env := receiver.Env{Version: daemon.Version}
	if env.Engine, err = receiver.NewEngine(); err != nil {
		return err
	}
	if found.Type == "nats" {
		if env.Broker, err = broker.Connect(ctx, cfg.NATS, "notifier-test", log); err != nil {
			return err
		}
		defer env.Broker.Close() //nolint:contextcheck // it must still flush when ctx has ended
	}
	return try(ctx, *found, env, out)
}

func try(ctx context.Context, r receiver.Receiver, env receiver.Env, out io.Writer) error {
	sender, err := r.Open(env)
	if err != nil {
		return err
	}
	defer sender.Close()
	alert, err := json.Marshal(receiver.Sample(uuid.NewString(), time.Now()))
	if err != nil {
		return err
	}
	notice, err := receiver.NewNotice(env.Engine, alert, "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	begun := time.Now()
	if err := sender.Send(ctx, notice); err != nil {
		return fmt.Errorf("receiver %s (%s) has not taken the test alert: %w", r.Name, r.Type, err)
	}
	_, err = fmt.Fprintf(out, "receiver %s (%s) took the test alert in %s\n", r.Name, r.Type, time.Since(begun).Round(time.Millisecond))
	return err
}
