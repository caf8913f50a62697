package redactor

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/schemas"
)

// workQueueRaw makes EVENTS_RAW a stream that removes what is acknowledged, as it
// was not chosen to be.
func (b *testBroker) workQueueRaw() {
	b.t.Helper()
	stream, err := b.conn.JS.Stream(b.t.Context(), schemas.StreamRaw)
	if err != nil {
		b.t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.Retention = jetstream.WorkQueuePolicy
	if err := b.conn.JS.DeleteStream(b.t.Context(), schemas.StreamRaw); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.conn.JS.CreateStream(b.t.Context(), cfg); err != nil {
		b.t.Fatal(err)
	}
}

// runParts runs what Run does on a raw stream of any kind, until stop.
func (b *testBroker) runParts() (stop func()) {
	b.t.Helper()
	if err := b.conn.EnsureStreams(b.t.Context(), schemas.CleanStream(), schemas.QuarantineStream()); err != nil {
		b.t.Fatal(err)
	}
	consumer, err := b.conn.EnsureConsumer(b.t.Context(), schemas.RedactorConsumer())
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	engine := engineFor(b.t)
	m, err := newMetrics(daemon.NewTelemetry().Registry, engine.Rules())
	if err != nil {
		b.t.Fatal(err)
	}
	forgetter, err := newForgetter(ctx, b.conn, m, b.logs.logger())
	if err != nil {
		b.t.Fatal(err)
	}
	feed, err := b.conn.Subscribe(ctx, consumer, broker.Buffer{Msgs: broker.MaxBatchMsgs, Bytes: bufferBytes})
	if err != nil {
		b.t.Fatal(err)
	}
	s := &stage{
		engines: using(engine, m), broker: b.conn, metrics: m, log: b.logs.logger(),
		stopping: ctx.Done(), acknowledged: forgetter.acknowledged, makeRoom: func() {},
	}
	var group sync.WaitGroup
	group.Go(func() {
		if err := s.loop(context.Background(), feed); err != nil {
			b.t.Errorf("the loop ended with %v", err)
		}
	})
	running, stopRunning := context.WithCancel(ctx)
	group.Go(func() { forgetter.run(running) })
	return sync.OnceFunc(func() {
		stopRunning()
		cancel()
		group.Wait()
	})
}

// TestForget: redacted events are gone from a raw stream that keeps them, those
// in work are not.
func TestForget(t *testing.T) {
	b := startBroker(t)
	stop := b.runParts()
	defer stop()
	const n = 500
	b.publish(logins(n)...)
	b.drained()
	exactlyOnce(t, n, b.all(schemas.StreamClean))
	b.publish(login("bad"))
	b.drained()
	if b.count(schemas.StreamQuarantine) != 1 {
		t.Error("the bad event is not quarantined")
	}
}

// TestForgetAroundOne: while one event is not acknowledged, nothing from it on
// goes; once patience is over, what was redacted goes one by one.
func TestForgetAroundOne(t *testing.T) {
	b := startBroker(t)
	b.publish(logins(10)...)
	consumer, err := b.conn.EnsureConsumer(t.Context(), schemas.RedactorConsumer())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	feed, err := b.conn.Subscribe(ctx, consumer, broker.Buffer{Msgs: 10})
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMetrics(daemon.NewTelemetry().Registry, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := newForgetter(t.Context(), b.conn, m, b.logs.logger())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		d := <-feed.C()
		if i != 4 {
			broker.Ack([]broker.Delivery{d}, b.logs.logger())
			f.acknowledged([]broker.Delivery{d})
		}
	}
	eventually(t, "all up to the fifth are gone", func() bool {
		left, err := f.forget(t.Context())
		return err == nil && left == 5
	})
	if got := fmt.Sprint(sequences(b)); got != "[5 6 7 8 9 10]" {
		t.Errorf("left are %s", got)
	}
	f.movedAt = time.Now().Add(-2 * forgetPatience)
	if left, err := f.forget(t.Context()); err != nil || left != 0 {
		t.Errorf("%d left, %v", left, err)
	}
	if got := fmt.Sprint(sequences(b)); got != "[5]" {
		t.Errorf("left are %s", got)
	}
}

func sequences(b *testBroker) (out []uint64) {
	for _, m := range b.all(schemas.StreamRaw) {
		out = append(out, m.Sequence)
	}
	return out
}
