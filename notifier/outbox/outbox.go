// Package outbox delivers alerts to receivers.
//
// It owns when an alert is sent, how long it is tried, and what becomes of one
// that a receiver does not take. Each receiver has a durable consumer of its own
// on ALERTS and a goroutine of its own, so that a slow one delays nobody. It
// promises that an alert that names a receiver reaches it at least once, under an
// id that stays the same, in the order of the stream and by one notifier at a
// time; or else is kept in ALERTS_OUTBOX for a person. It refuses to hurry: a
// receiver that is down is tried again and again, less and less often, and what
// comes after waits. Nothing that happens here becomes an event.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/broker"
	"sluice/notifier/receiver"
	"sluice/schemas"
)

// Outbox delivers to receivers. It is made once in a process.
type Outbox struct {
	conn    *broker.Conn
	env     receiver.Env
	metrics *metrics
	clock   clock
	log     *slog.Logger
	// ackWait replaces the consumers' own, unless it is 0.
	ackWait time.Duration
}

// New returns an outbox that counts in the registry. What env lacks, broker and
// engine, is added.
func New(conn *broker.Conn, env receiver.Env, registry prometheus.Registerer, log *slog.Logger) (*Outbox, error) {
	if env.Engine == nil {
		var err error
		if env.Engine, err = receiver.NewEngine(); err != nil {
			return nil, err
		}
	}
	env.Broker = conn
	return &Outbox{conn: conn, env: env, metrics: newMetrics(registry), clock: wallClock{}, log: log}, nil
}

// Follow delivers to the receivers, and to others instead whenever changes has
// them, until ctx ends. Others that cannot be opened are logged and the old ones
// kept.
func (o *Outbox) Follow(ctx context.Context, receivers []receiver.Receiver, changes <-chan []receiver.Receiver) error {
	for {
		done := make(chan error, 1)
		running, stop := context.WithCancel(ctx)
		go func() { done <- o.Run(running, receivers) }()
		next, err := o.next(changes, done)
		stop()
		if next == nil {
			return err
		}
		if err := <-done; err != nil {
			return err
		}
		receivers = next
	}
}

// next returns other receivers that can be opened, or nil once the running ones
// have ended.
func (o *Outbox) next(changes <-chan []receiver.Receiver, done <-chan error) ([]receiver.Receiver, error) {
	for {
		select {
		case err := <-done:
			return nil, err
		case next, open := <-changes:
			senders, err := o.open(next)
			closeAll(senders)
			switch {
			case !open:
				changes = nil
			case err != nil:
				o.log.Error("receivers not changed; the old ones stay", "error", err)
			default:
				return append([]receiver.Receiver{}, next...), nil
			}
		}
	}
}

func (o *Outbox) open(receivers []receiver.Receiver) ([]receiver.Sender, error) {
	var (
		senders []receiver.Sender
		errs    []error
	)
	for _, r := range receivers {
		s, err := r.Open(o.env)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		senders = append(senders, s)
	}
	return senders, errors.Join(errs...)
}

func closeAll(senders []receiver.Sender) {
	for _, s := range senders {
		s.Close()
	}
}

// Run delivers to the receivers until ctx ends; nil means that what was being
// sent is through, and the rest is left to be delivered again. It may be run
// again, with other receivers. A receiver whose secrets cannot be read is an
// error before anything is sent.
func (o *Outbox) Run(ctx context.Context, receivers []receiver.Receiver) error {
	if len(receivers) == 0 {
		<-ctx.Done()
		return nil
	}
	senders, err := o.open(receivers)
	if err != nil {
		closeAll(senders)
		return err
	}
	store, err := openStore(ctx, o.conn)
	if err != nil {
		closeAll(senders)
		return err
	}
	var group sync.WaitGroup
	for i, r := range receivers {
		w := &worker{
			receiver: r, sender: senders[i], engine: o.env.Engine, store: store, conn: o.conn, clock: o.clock,
			ackWait: o.ackWait, limit: newLimit(r.Rate), metrics: o.metrics.of(r.Name), done: map[string]uint64{},
			log: o.log.With("receiver", r.Name, "type", r.Type),
		}
		group.Go(func() {
			defer w.sender.Close()
			w.run(ctx)
		})
	}
	o.log.Info("delivering alerts", "receivers", len(receivers))
	group.Wait()
	return nil
}

// Store is what is known of receivers outside the process that delivers: the
// alerts kept, and which receivers are disabled.
type Store struct {
	conn     *broker.Conn
	stream   jetstream.Stream
	disabled jetstream.KeyValue
}

// stateBytes is the most that the bucket of receivers takes: 64 KiB hold some
// hundred.
const stateBytes = 64 << 10

func openStore(ctx context.Context, conn *broker.Conn) (*Store, error) {
	if err := conn.EnsureStreams(ctx, schemas.AlertsStream(), schemas.OutboxStream()); err != nil {
		return nil, err
	}
	bucket, err := conn.OpenBucket(ctx, jetstream.KeyValueConfig{
		Bucket: schemas.BucketReceivers, Description: "receivers of alerts that are disabled", MaxBytes: stateBytes, History: 1,
	})
	if err != nil {
		return nil, err
	}
	stream, err := conn.JS.Stream(ctx, schemas.StreamOutbox)
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", schemas.StreamOutbox, err)
	}
	return &Store{conn: conn, stream: stream, disabled: bucket}, nil
}

// Open finds the outbox on a broker, for looking into it.
func Open(ctx context.Context, conn *broker.Conn) (*Store, error) {
	if _, err := conn.JS.Stream(ctx, schemas.StreamOutbox); errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("there is no stream %s on this broker: start a notifier with receivers, which makes it", schemas.StreamOutbox)
	}
	return openStore(ctx, conn)
}

// clock is time, which tests move.
type clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, c clock, d time.Duration) error {
	if err := ctx.Err(); err != nil || d <= 0 {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.After(d):
		return nil
	}
}
