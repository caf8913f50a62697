package notifier

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
)

const (
	// maxRounds is how often a group is loaded and written again at once when
	// another notifier keeps changing it; then it waits like after a failure.
	maxRounds = 10
	// publishWait is how long one attempt to publish may take. What is not
	// published by then stays pending.
	publishWait = 5 * time.Second
	// The delays after a failure: short, since most are a leader election or a
	// reconnect.
	retryFirst = 50 * time.Millisecond
	retryLast  = 2 * time.Second
)

// work does everything there is to do by now, and acknowledges.
func (d *desk) work(ctx context.Context) {
	now := time.Now()
	entries := d.queue.take(now)
	var unstored, meters []*entry
	for _, e := range entries {
		if due := e.dueAt(d.timing); !due.IsZero() && !now.Before(due) && e.group.due(now, d.timing) && e.group.Opened != "" {
			e.storeAt, e.publishAt = now, time.Time{}
		}
		if e.group.claim(now) {
			e.storeAt = now
		}
		switch {
		case e.storeAt.IsZero() || now.Before(e.storeAt):
		case e.group.Storm != nil:
			meters = append(meters, e)
		default:
			unstored = append(unstored, e)
		}
	}
	if len(meters) > 0 {
		d.store(ctx, meters)
		crashpoint("measured")
	}
	if unstored = d.measured(unstored); len(unstored) > 0 {
		d.store(ctx, unstored)
		crashpoint("stored")
	}
	d.publishPending(ctx, entries)
	d.removeClosed(ctx, entries)
	for _, e := range entries {
		if d.groups[e.group.key] == e {
			d.settle(e)
		}
	}
	d.acknowledge()
	d.metrics.groups.Set(float64(d.open()))
}

// crashpoint does nothing; a test kills its process there.
var crashpoint = func(string) {}

// open is how many groups there are that tell of something.
func (d *desk) open() int { return len(d.groups) - d.meters }

func (d *desk) acknowledge() {
	if len(d.done) > 0 {
		crashpoint("settled")
		broker.Ack(d.done, d.log)
		clear(d.done)
		d.done = d.done[:0]
		crashpoint("acknowledged")
	}
}

// store writes the groups. A write that another notifier has forestalled is made
// again on top of the other's; one that fails stays to be made later.
func (d *desk) store(ctx context.Context, entries []*entry) {
	for round := 1; len(entries) > 0; round++ {
		puts := make([]put, 0, len(entries))
		for _, e := range entries {
			value, err := e.group.encode()
			if err != nil { // the sample is not JSON: it was when it was read
				e.group.Event = nil
				value, _ = e.group.encode()
			}
			puts = append(puts, put{key: e.group.key, value: value, revision: e.revision})
		}
		var again []*entry
		for i, result := range d.bucket.write(ctx, puts) {
			if e := entries[i]; d.wrote(ctx, e, result, round) {
				again = append(again, e)
			}
		}
		entries = again
	}
}

// wrote takes note of what became of a write and reports whether it is to be
// made again at once.
func (d *desk) wrote(ctx context.Context, e *entry, result stored, round int) (again bool) {
	err := result.err
	switch {
	case err == nil:
		d.metrics.writes.Inc()
		d.storing.over(d.log)
		e.revision, e.mine, e.storeAt, e.published, e.storeFailures = result.revision, true, time.Time{}, nil, 0
		e.granted()
		for i := range e.group.Pending {
			e.group.Pending[i].stored = e.group.Pending[i].own
		}
		d.release(e)
		return false
	case errors.Is(err, errConflict) && round < maxRounds:
		d.metrics.conflicts.Inc()
		value, revision, loadErr := d.bucket.load(ctx, e.group.key)
		if loadErr == nil {
			d.rebase(e, value, revision, time.Now())
			return !e.storeAt.IsZero()
		}
		err = loadErr
	case errors.Is(err, errTooLarge) && e.group.shrink():
		return true
	}
	d.closed = d.closed || errors.Is(err, nats.ErrConnectionClosed)
	e.storeFailures++
	e.storeAt = time.Now().Add(backoff(e.storeFailures))
	d.metrics.failures.Inc()
	d.storing.begin(d.log, err)
	return false
}

// removeClosed removes the groups from the store that are over and told of.
func (d *desk) removeClosed(ctx context.Context, entries []*entry) {
	for _, e := range entries {
		over := d.groups[e.group.key] == e && e.group.Closed && len(e.group.Pending) == 0 && e.storeAt.IsZero()
		if !over || time.Now().Before(e.publishAt) {
			continue
		}
		err := d.bucket.remove(ctx, e.group.key, e.revision)
		if errors.Is(err, errConflict) {
			d.metrics.conflicts.Inc()
			value, revision, loadErr := d.bucket.load(ctx, e.group.key)
			if loadErr == nil {
				d.rebase(e, value, revision, time.Now())
				continue
			}
			err = loadErr
		}
		if err != nil {
			e.publishFailures++
			e.publishAt = time.Now().Add(backoff(e.publishFailures))
			d.metrics.failures.Inc()
			d.storing.begin(d.log, err)
			continue
		}
		crashpoint("removed")
		d.drop(e)
	}
}

// outage logs once that something has ceased to work, and once that it works
// again.
type outage struct {
	what string
	on   bool
}

func (o *outage) begin(log *slog.Logger, err error) {
	if !o.on {
		o.on = true
		log.Error("alerts are delayed: nothing is lost and it is tried until it works", "problem", o.what, "error", err)
	}
}

func (o *outage) over(log *slog.Logger) {
	if o.on {
		o.on = false
		log.Info("alerts are no longer delayed", "problem", o.what)
	}
}

func backoff(failures int) time.Duration {
	return min(retryLast, retryFirst<<min(failures, 10))
}

// drainWait is how long a notifier that ends takes to store what it has in hand:
// a few attempts, well below the half minute after which a supervisor kills.
const drainWait = 10 * time.Second

// drain stores, publishes and acknowledges what is in hand. What cannot be stored
// in time is delivered again, to whoever runs next.
func (d *desk) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainWait)
	defer cancel()
	for {
		now, busy := time.Now(), false
		for _, e := range d.groups {
			if !e.storeAt.IsZero() {
				d.hurry(e, now)
				busy = true
			}
		}
		d.work(ctx)
		if !busy {
			return nil
		}
		if d.closed || ctx.Err() != nil {
			d.log.Warn("stopping before everything was stored; it will be redelivered", "held", d.held)
			return nil
		}
		if d.storing.on {
			pause(ctx, retryFirst)
		}
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
