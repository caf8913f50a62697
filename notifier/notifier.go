// Package notifier turns clean events into alerts: the first of a trouble at
// once, the following ones as a count.
//
// It owns the rules, the grouping and the state of open alerts, which it keeps in
// a JetStream key-value store with compare-and-set, so that several notifiers
// share the work and a restart forgets nothing. It promises that an event that
// opens a group becomes an alert at least once, under an id that stays the same
// over retries; that between two alerts of a group there is at least the
// interval; and that an event delivered twice is counted once. It refuses to
// answer itself: its own events never become alerts. It tells the ALERTS stream;
// package outbox brings alerts from there to receivers.
package notifier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/schemas"
)

// Run is the service. It needs cfg.Telemetry. It returns nil when ctx has ended
// and everything in hand is stored or left to be delivered again.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	return both(ctx,
		func(ctx context.Context) error { return run(ctx, cfg, log, nil) },
		func(ctx context.Context) error { return deliver(ctx, cfg, log) })
}

// publisher is how alerts leave: broker.Conn's Publish.
type publisher func(context.Context, []*nats.Msg) []broker.Result

// run is Run with the publisher wrapped, unless wrap is nil.
func run(ctx context.Context, cfg Config, log *slog.Logger, wrap func(*broker.Conn) publisher) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	conn, err := broker.Connect(ctx, cfg.NATS, "notifier", log)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // it has a time limit of its own: ctx has ended by then
	if err := conn.EnsureStreams(ctx, schemas.CleanStream(), schemas.AlertsStream()); err != nil {
		return err
	}
	clean, err := conn.JS.Stream(ctx, schemas.StreamClean)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", schemas.StreamClean, err)
	}
	consumer, err := conn.EnsureConsumer(ctx, schemas.NotifierConsumer(actions(defaultRules())...))
	if err != nil {
		return err
	}
	groups, err := openBucket(ctx, conn.JS)
	if err != nil {
		return err
	}

	// The work goes on after ctx has ended: the feed takes a while to end, and
	// what it has delivered is to be stored.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(2*drainWait, stop) })()

	d := newDesk(cfg.timing(), groups, clean.CachedInfo().Created.UnixNano(), newMetrics(cfg.Telemetry.Registry), log)
	d.publish = conn.Publish
	if wrap != nil {
		d.publish = wrap(conn)
	}
	changes, err := groups.watch(work)
	if err != nil {
		return err
	}
	if err := d.load(ctx, changes); err != nil {
		return fmt.Errorf("load open alerts: %w", err)
	}
	feed, err := conn.Subscribe(ctx, consumer, feedBuffer)
	if err != nil {
		return err
	}
	floors := make(chan uint64)
	go follow(ctx, consumer, d.metrics, floors)
	cfg.Telemetry.Ready("notifier", conn.Healthy)
	log.Info("watching for events", "actions", actions(d.reader.rules), "open_groups", len(d.groups),
		"interval", cfg.GroupInterval, "resolve_after", cfg.ResolveAfter)
	if err := d.run(work, feed.C(), changes, floors); err != nil {
		return err
	}
	if err := feed.Err(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
