package redactor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

const (
	// forgetEvery is how often redacted events are removed: a purge costs the
	// broker some 10 ms, however many it removes.
	forgetEvery = 500 * time.Millisecond
	// forgetLast is how often it is tried while an event in work by another
	// redactor, or one that the quarantine does not take, is in the way.
	forgetLast = 5 * time.Second
	// forgetPatience is how long such an event may be in the way: twice the
	// consumer's acknowledgement wait.
	forgetPatience = time.Minute
	// forgetSingly is how many are removed one by one at a time.
	forgetSingly = 1000
)

// forgetter removes redacted events from EVENTS_RAW, so that their secrets are
// gone.
//
// A work queue would remove each message that is acknowledged, and on a broker
// that fsyncs each write that is an fsync for each. To purge all of them up to
// the first that is not acknowledged costs as much once.
type forgetter struct {
	conn   *broker.Conn
	stream jetstream.Stream
	log    *slog.Logger
	wake   chan struct{}

	mu sync.Mutex
	// redacted are the sequences that were acknowledged here and are not removed
	// yet.
	redacted []uint64

	// floor is up to where all is removed, and movedAt when it got there.
	floor   uint64
	movedAt time.Time
	failing bool

	missed missed
	stats  *metrics
}

func newForgetter(ctx context.Context, conn *broker.Conn, stats *metrics, log *slog.Logger) (*forgetter, error) {
	stream, err := conn.JS.Stream(ctx, schemas.StreamRaw)
	if err != nil {
		return nil, fmt.Errorf("look at stream %s: %w", schemas.StreamRaw, err)
	}
	return &forgetter{
		conn: conn, stream: stream, log: log, wake: make(chan struct{}, 1), movedAt: time.Now(), stats: stats,
	}, nil
}

// acknowledged notes what may be forgotten.
func (f *forgetter) acknowledged(deliveries []broker.Delivery) {
	f.mu.Lock()
	for i := range deliveries {
		f.redacted = append(f.redacted, deliveries[i].Sequence)
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run works until ctx ends, and then forgets what is left of a service that has
// stopped. It begins with what a killed one has left.
func (f *forgetter) run(ctx context.Context) {
	delay := forgetEvery
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			f.last(context.WithoutCancel(ctx))
			return
		case <-timer.C:
		}
		before := f.floor
		left, err := f.forget(ctx)
		f.complain(ctx, err)
		switch {
		case left == 0 && err == nil:
			select {
			case <-ctx.Done():
			case <-f.wake:
			}
			delay = forgetEvery
		case f.floor != before:
			delay = forgetEvery
		default:
			delay = min(2*delay, forgetLast)
		}
		timer.Reset(delay)
	}
}

// last gives the broker a moment to process the last acknowledgements.
func (f *forgetter) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 25 {
		if left, err := f.forget(ctx); left == 0 || err != nil {
			return // what is left is the next redactor's, who asks the broker too
		}
		<-tick.C
	}
}

// forget removes all up to the first message that is not acknowledged, and
// returns how many of those acknowledged here are left.
func (f *forgetter) forget(ctx context.Context) (left int, err error) {
	consumer, err := f.conn.JS.Consumer(ctx, schemas.StreamRaw, schemas.ConsumerRedactor)
	if err != nil {
		return 0, err
	}
	if n := f.missed.look(consumer.CachedInfo(), f.conn.NC.Stats().Reconnects); n > 0 {
		f.stats.missed.Add(float64(n))
		f.log.Error("raw events were gone before they were redacted; they are lost: somebody purged or removed them",
			"stream", schemas.StreamRaw, "msgs", n, "before_seq", consumer.CachedInfo().Delivered.Stream+1)
	}
	floor := consumer.CachedInfo().AckFloor.Stream
	if floor > f.floor {
		if err := f.stream.Purge(ctx, jetstream.WithPurgeSequence(floor+1)); err != nil {
			return 0, fmt.Errorf("purge up to %d: %w", floor, err)
		}
		f.movedAt = time.Now()
	}
	f.floor = floor // it is lower than before where somebody made the stream anew
	f.mu.Lock()
	f.redacted = slices.DeleteFunc(f.redacted, func(seq uint64) bool { return seq <= floor })
	left = len(f.redacted)
	var singly []uint64
	if left > 0 && time.Since(f.movedAt) > forgetPatience {
		singly = slices.Clone(f.redacted[:min(left, forgetSingly)])
		f.redacted = f.redacted[len(singly):]
	}
	f.mu.Unlock()
	for _, seq := range singly {
		if err := removeMsg(ctx, f.stream, seq); err != nil {
			return left, err
		}
	}
	return left - len(singly), nil
}

// removeMsg removes a message, or finds that it is gone.
func removeMsg(ctx context.Context, stream jetstream.Stream, seq uint64) error {
	err := stream.DeleteMsg(ctx, seq)
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) && !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return fmt.Errorf("remove message %d: %w", seq, err)
	}
	return nil
}

// complain logs once that events are not removed.
func (f *forgetter) complain(ctx context.Context, err error) {
	if err != nil && !f.failing && ctx.Err() == nil {
		f.log.Warn("redacted events are not removed for now", "stream", schemas.StreamRaw, "error", err)
	}
	f.failing = err != nil
}
