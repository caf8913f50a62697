package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/notifier/outbox"
	"sluice/notifier/receiver"
)

// maxConfigBytes is the largest configuration that is read: a thousand receivers
// take a fifth.
const maxConfigBytes = 1 << 20

// loadReceivers reads the receivers of a configuration; an empty name is no file,
// and none.
func loadReceivers(file string) ([]receiver.Receiver, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("NOTIFIER_CONFIG: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("NOTIFIER_CONFIG: %w", err)
	}
	if len(text) > maxConfigBytes {
		return nil, fmt.Errorf("NOTIFIER_CONFIG: %s has more than %d bytes", file, maxConfigBytes)
	}
	var doc struct {
		Receivers yaml.Node `yaml:"receivers"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("NOTIFIER_CONFIG: %s: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if doc.Receivers.Kind == 0 {
		return nil, nil
	}
	receivers, err := receiver.ParseAll(&doc.Receivers)
	if err != nil {
		return nil, fmt.Errorf("NOTIFIER_CONFIG: %s: %w", file, err)
	}
	return receivers, nil
}

// deliver sends alerts to their receivers until ctx ends.
func deliver(ctx context.Context, cfg Config, log *slog.Logger) error {
	receivers, err := loadReceivers(cfg.File)
	if err != nil || len(receivers) == 0 {
		return err
	}
	conn, err := broker.Connect(ctx, cfg.NATS, "outbox", log)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // it has a time limit of its own: ctx has ended by then
	out, err := outbox.New(conn, receiver.Env{Version: daemon.Version}, cfg.Telemetry.Registry, log)
	if err != nil {
		return err
	}
	return out.Follow(ctx, receivers, nil)
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
	receivers, err := loadReceivers(cfg.File)
	if err != nil {
		return err
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
		if env.Broker, err = broker.Connect(ctx, cfg.NATS, "test", log); err != nil {
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
