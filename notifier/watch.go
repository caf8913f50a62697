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
	"unicode"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

// WatchOptions say which alerts to print, and how.
type WatchOptions struct {
	// Tenant is whose alerts; "*" is everybody's.
	Tenant string
	// Since is how far back to begin.
	Since time.Duration
	// JSON prints each alert as it is, on a line.
	JSON bool
}

// Watch prints alerts, those of the recent past first and then each as it comes,
// until ctx ends. It reads the stream as any subscriber may and leaves no trace.
func Watch(ctx context.Context, to broker.NATS, options WatchOptions, out io.Writer, log *slog.Logger) error {
	conn, err := broker.Connect(ctx, to, "notifier-watch", log)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // it must still flush when ctx has ended
	from := time.Now().Add(-options.Since)
	consumer, err := conn.JS.OrderedConsumer(ctx, schemas.StreamAlerts, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{schemas.AlertSubject(options.Tenant, "*", "*")},
		DeliverPolicy:  jetstream.DeliverByStartTimePolicy, OptStartTime: &from,
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("watch stream %s: %w (start the notifier, which makes it)", schemas.StreamAlerts, err)
	}
	if err != nil {
		return fmt.Errorf("watch stream %s: %w", schemas.StreamAlerts, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("watch stream %s: %w", schemas.StreamAlerts, err)
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			continue
		case err != nil:
			return fmt.Errorf("watch stream %s: %w", schemas.StreamAlerts, err)
		}
		line := string(msg.Data())
		if !options.JSON {
			line = alertLine(msg.Data())
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return nil // nobody reads any more
		}
	}
}

// alertLine shows an alert to a person.
func alertLine(data []byte) string {
	var alert schemas.Alert
	if json.Unmarshal(data, &alert) != nil {
		return "an alert that is not a CloudEvent"
	}
	d := alert.Data
	line := fmt.Sprintf("%s  %-8s  %-8s  %s  %s", alert.Time.UTC().Format(time.RFC3339), strings.TrimPrefix(alert.Type, "sluice.alert."),
		d.Severity, d.Tenant+"/"+d.Action, d.Title)
	if d.Count > 1 {
		line += fmt.Sprintf("  (%d times since %s)", d.Count, d.FirstSeen.UTC().Format(time.RFC3339))
	}
	if d.Silence != "" && alert.Type == schemas.AlertFiring {
		line += "  [" + d.Silence + "]"
	}
	return Printable(line) // a title may hold what a terminal would obey
}

// Printable has spaces in place of what a terminal would obey and nobody could see.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}
