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
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/notifier/receiver"
	"sluice/notifier/rules"
	"sluice/schemas"
)

// Run is the service. It needs cfg.Telemetry. It returns nil when ctx has ended
// and everything in hand is stored or left to be delivered again.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	set, receivers, err := loadFile(cfg.File)
	if err != nil {
		return fmt.Errorf("NOTIFIER_CONFIG: %w", err)
	}
	changes := make(chan []receiver.Receiver)
	return both(ctx,
		func(ctx context.Context) error { return run(ctx, cfg, set, changes, log, nil) },
		func(ctx context.Context) error { return deliver(ctx, cfg, receivers, changes, log) })
}

// publisher is how alerts leave: broker.Conn's Publish.
type publisher func(context.Context, []*nats.Msg) []broker.Result

// run is Run without the deliveries, with the publisher wrapped, unless wrap is nil.
func run(ctx context.Context, cfg Config, set *rules.Set, changes chan<- []receiver.Receiver, log *slog.Logger,
	wrap func(*broker.Conn) publisher,
) error {
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
	p, err := prepare(ctx, conn, set)
	if err != nil {
		return err
	}

	// The work goes on after ctx has ended: the feed takes a while to end, and
	// what it has delivered is to be stored.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(2*drainWait, stop) })()

	d, err := newDesk(cfg.timing(), set, p.groups, p.stream, newMetrics(cfg.Telemetry.Registry), log)
	if err != nil {
		return err
	}
	d.publish = conn.Publish
	d.sent = func(ctx context.Context, since time.Time) (map[string]bool, error) {
		return alertsSince(ctx, conn.JS, since)
	}
	if wrap != nil {
		d.publish = wrap(conn)
	}
	from := inputs{}
	if from.silences, err = p.silences.watch(work); err != nil {
		return err
	}
	if from.changes, err = p.groups.watch(work); err != nil {
		return err
	}
	if err := d.load(ctx, from); err != nil {
		return fmt.Errorf("load open alerts: %w", err)
	}
	stopAnswering, err := serveRequests(work, conn.NC, p.groups, p.silences, log)
	if err != nil {
		return err
	}
	defer stopAnswering()
	feed, err := conn.Subscribe(ctx, p.consumer, feedBuffer)
	if err != nil {
		return err
	}
	floors, sets := make(chan uint64), make(chan *rules.Set)
	from.floors, from.sets = floors, sets
	reload := &reloader{file: cfg.File, conn: conn, receivers: changes, metrics: d.metrics, log: log}
	var background sync.WaitGroup
	background.Go(func() { follow(ctx, p.consumer, d.metrics, floors) })
	watch := broker.NewWatch(cfg.Telemetry.Registry, "notifier")
	background.Go(func() { watch.Run(ctx, conn, schemas.StreamAlerts, schemas.StreamOutbox) })
	background.Go(func() { reload.run(ctx, cfg.Reload, sets) })
	defer background.Wait()
	defer end()
	cfg.Telemetry.Ready("notifier", conn.Healthy)
	log.Info("watching for events", "rules", len(set.Rules), "actions", shownActions(set), "open_groups", d.open(),
		"interval", cfg.GroupInterval, "resolve_after", cfg.ResolveAfter)
	if err := d.run(work, feed.C(), from); err != nil {
		return err
	}
	if err := feed.Err(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// parts are what a notifier has in the broker.
type parts struct {
	// stream is when EVENTS_CLEAN was created, in Unix nanoseconds.
	stream   int64
	consumer jetstream.Consumer
	groups   *bucket
	silences *Silences
}

// prepare makes what is not there.
func prepare(ctx context.Context, conn *broker.Conn, set *rules.Set) (p parts, err error) {
	clean, err := conn.JS.Stream(ctx, schemas.StreamClean)
	if err != nil {
		return p, fmt.Errorf("look up stream %s: %w", schemas.StreamClean, err)
	}
	p.stream = clean.CachedInfo().Created.UnixNano()
	if p.consumer, err = conn.EnsureConsumer(ctx, schemas.NotifierConsumer(set.Actions()...)); err != nil {
		return p, err
	}
	if p.groups, err = openBucket(ctx, conn); err != nil {
		return p, err
	}
	p.silences, err = OpenSilences(ctx, conn)
	return p, err
}
