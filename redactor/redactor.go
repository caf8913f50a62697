// Package redactor is the gate of Sluice: it takes raw events from EVENTS_RAW,
// masks their credentials, and passes them on to EVENTS_CLEAN.
//
// It owns what becomes of a raw event. It promises that an event is passed on
// redacted, valid and stamped, or put into EVENTS_QUARANTINE as it came, and is
// acknowledged only when one of these is stored; that a full EVENTS_CLEAN makes
// it wait and never drop; and that nothing it logs, counts or reports holds any
// of an event. It does not decide what a credential is (package redact), nor look
// into events beyond the contract.
//
// An event may pass through here twice: its acknowledgement was lost, its
// redactor was killed between publishing and acknowledging, or it waited longer
// than the consumer's patience. The verdict depends on the message and its place
// in EVENTS_RAW alone, so the second time gives the same event with the same id.
// EVENTS_CLEAN drops it if it comes within the stream's window for duplicates
// (two minutes); later than that the sink knows the id. The quarantine goes by
// the place in EVENTS_RAW in the same way.
package redactor

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

const (
	// bufferBytes is what is fetched ahead: a few times the largest message.
	bufferBytes = 4 * schemas.MaxPayloadBytes
	// chunkBytes is how much is redacted at a time, since masking can multiply
	// it in memory. A thousand events of 8 KB go as one.
	chunkBytes = 8 << 20
)

// Run is the service: it returns when ctx has ended and what was in work is
// stored or handed back.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	engine, err := cfg.Ruleset.Load(0)
	if err != nil {
		return err
	}
	metrics, err := newMetrics(cfg.Telemetry.Registry, engine.Rules())
	if err != nil {
		return err
	}
	inUse := &engines{ruleset: cfg.Ruleset, metrics: metrics, log: log}
	inUse.current.Store(engine)
	metrics.rulesLoaded(engine)
	conn, err := broker.Connect(ctx, cfg.NATS, "redactor", log)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // it must still flush when ctx has ended
	if err := setUp(ctx, conn); err != nil {
		return err
	}
	consumer, err := conn.EnsureConsumer(ctx, schemas.RedactorConsumer())
	if err != nil {
		return err
	}
	forgetter, err := newForgetter(ctx, conn, log)
	if err != nil {
		return err
	}
	trimmer := newTrimmer(conn, metrics, log)
	watch := broker.NewWatch(cfg.Telemetry.Registry, "redactor")
	tending, stopTending := context.WithCancel(ctx)
	// What the last batches leave is forgotten too.
	forgetting, stopForgetting := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	background.Go(func() { trimmer.run(tending) })
	background.Go(func() { watchLag(tending, conn, metrics) })
	background.Go(func() { watch.Run(tending, conn, schemas.StreamRaw, schemas.StreamQuarantine, schemas.StreamClean) })
	background.Go(func() { inUse.watch(tending.Done(), cfg.Reload) })
	background.Go(func() { forgetter.run(forgetting) })
	defer background.Wait()
	defer stopForgetting()
	defer stopTending()

	work, cancel := lingering(ctx, cfg.DrainTimeout)
	defer cancel()
	s := &stage{
		engines: inUse, broker: conn, metrics: metrics, log: log,
		stopping: ctx.Done(), acknowledged: forgetter.acknowledged, makeRoom: trimmer.now,
	}
	log.Info("redacting", "stream", schemas.StreamRaw)
	for {
		feed, err := conn.Subscribe(ctx, consumer, broker.Buffer{Msgs: broker.MaxBatchMsgs, Bytes: bufferBytes})
		if err != nil {
			return err
		}
		cfg.Telemetry.Ready("redactor", conn.Healthy)
		err = s.loop(work, feed)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		// The consumer is gone, by an operator's hand: what it had acknowledged is
		// forgotten already or comes again, which is harmless.
		log.Warn("fetching ended; beginning again", "stream", schemas.StreamRaw, "error", err)
		if consumer, err = again(ctx, conn); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// setUp makes the streams. Where the broker is locked down nobody else may: then the
// redactor makes those of the other services too, and their buckets.
func setUp(ctx context.Context, conn *broker.Conn) error {
	apart, err := conn.FindAccounts(ctx)
	if err != nil {
		return err
	}
	if !apart {
		return conn.EnsureStreams(ctx, schemas.RawStream(), schemas.CleanStream(), schemas.QuarantineStream())
	}
	if err := conn.EnsureStreams(ctx, schemas.Streams()...); err != nil {
		return err
	}
	for _, b := range schemas.Buckets() {
		if _, err := conn.OpenBucket(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// againEvery is how often fetching is begun again; a message that ends it comes
// once in the consumer's acknowledgement wait.
const againEvery = time.Second

// again makes the consumer once more, and waits for the broker while it is away.
func again(ctx context.Context, conn *broker.Conn) (jetstream.Consumer, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(againEvery):
		}
		consumer, err := conn.EnsureConsumer(ctx, schemas.RedactorConsumer())
		var refused *jetstream.APIError
		if err == nil || errors.As(err, &refused) || conn.NC.IsClosed() {
			return consumer, err
		}
	}
}

// lingering returns a context that ends the given time after ctx.
func lingering(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return work, func() {
		stop()
		cancel()
	}
}
