package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Replay says how much of what every consumer has acknowledged a stream keeps.
type Replay struct {
	Stream string
	// Required are the durable consumers without which nothing is removed: a
	// consumer that is yet to be created has acknowledged nothing.
	Required []string
	// Bytes and Age are each an upper bound.
	Bytes uint64
	Age   time.Duration
}

// Trim removes the oldest messages beyond the bounds, but none that a durable
// consumer has yet to acknowledge, and returns how many it removed. It is how a
// log that refuses new messages when it is full (DiscardNew) makes room: by age
// or size alone it would either fill for good or forget a backlog.
func (c *Conn) Trim(ctx context.Context, r Replay) (uint64, error) {
	stream, err := c.JetStream(r.Stream).Stream(ctx, r.Stream)
	if err != nil {
		return 0, fmt.Errorf("trim %s: %w", r.Stream, err)
	}
	state := stream.CachedInfo().State
	floor, err := c.ackFloor(ctx, r.Stream, state.LastSeq, r.Required)
	if err != nil {
		return 0, fmt.Errorf("trim %s: %w", r.Stream, err)
	}
	if state.Msgs == 0 || floor < state.FirstSeq {
		return 0, nil
	}
	target := min(floor, bytesTarget(state, r.Bytes))
	if state.FirstTime.Before(time.Now().Add(-r.Age)) {
		aged, err := ageTarget(ctx, stream, state.FirstSeq, floor, time.Now().Add(-r.Age))
		if err != nil {
			return 0, fmt.Errorf("trim %s: %w", r.Stream, err)
		}
		target = max(target, aged)
	}
	if target < state.FirstSeq {
		return 0, nil
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(target+1)); err != nil {
		return 0, fmt.Errorf("trim %s: %w", r.Stream, err)
	}
	return target + 1 - state.FirstSeq, nil
}

// bytesTarget estimates by the mean size which message is the last to go for the
// stream to fit into keep bytes.
func bytesTarget(state jetstream.StreamState, keep uint64) uint64 {
	if state.Bytes <= keep || state.Msgs == 0 {
		return 0
	}
	mean := max(1, state.Bytes/state.Msgs)
	return state.FirstSeq + (state.Bytes-keep+mean-1)/mean - 1
}

// ageTarget finds the last message before the cutoff, at most floor, by
// bisection over the sequences.
func ageTarget(ctx context.Context, stream jetstream.Stream, first, floor uint64, cutoff time.Time) (uint64, error) {
	low, high := first-1, floor // low is old enough (or before the first), high+1 is not known to be
	for low < high {
		mid := low + (high-low+1)/2
		msg, err := stream.GetMsg(ctx, mid)
		if err != nil {
			return 0, fmt.Errorf("read the time of message %d: %w", mid, err)
		}
		if msg.Time.Before(cutoff) {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return low, nil
}
