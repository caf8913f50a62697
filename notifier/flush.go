package notifier

import (
	"context"
	"errors"
	"log/slog"
	"slices"
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

// publishPending publishes what is pending in the store, in order, and leaves
// what fails pending.
func (d *desk) publishPending(ctx context.Context, entries []*entry) {
	now := time.Now()
	var (
		msgs   []*nats.Msg
		owners []*entry
	)
	entries = d.tellable(ctx, entries, now)
	for _, e := range entries {
		for _, t := range e.group.Pending {
			if now.Before(t.takeOverAt()) {
				break
			}
			msg, err := t.msg()
			if err != nil {
				t.Alert = shrink(t.Alert)
				msg, _ = t.msg()
			}
			msgs, owners = append(msgs, msg), append(owners, e)
		}
	}
	if len(msgs) == 0 {
		return
	}
	attempt, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	results := d.publish(attempt, msgs)
	crashpoint("published")
	d.metrics.publish.Observe(time.Since(now).Seconds())
	for i, result := range results {
		d.told(owners[i], msgs[i].Header.Get(nats.MsgIdHdr), result.Err)
	}
}

// tellable returns those of the entries that have something to publish now. What
// another notifier was about to publish may be out: it died, or was cut off, at an
// unknown moment.
func (d *desk) tellable(ctx context.Context, entries []*entry, now time.Time) []*entry {
	var (
		out   []*entry
		since time.Time
	)
	for _, e := range entries {
		if d.groups[e.group.key] != e || !e.storeAt.IsZero() || len(e.group.Pending) == 0 || now.Before(e.tellAt()) {
			continue
		}
		out = append(out, e)
		for _, t := range e.group.Pending {
			if !t.ClaimedAt.IsZero() && (since.IsZero() || t.Alert.Time.Before(since)) {
				since = t.Alert.Time
			}
		}
	}
	if since.IsZero() || d.sent == nil {
		return out
	}
	sent, err := d.sent(ctx, since.Add(-clockSkew))
	if err != nil {
		d.metrics.failures.Inc()
		d.publishing.begin(d.log, err)
	}
	return slices.DeleteFunc(out, func(e *entry) bool {
		claimed := func(t transition) bool { return !t.ClaimedAt.IsZero() }
		if !slices.ContainsFunc(e.group.Pending, claimed) {
			return false
		}
		if err != nil {
			e.publishFailures++
			e.publishAt = now.Add(backoff(e.publishFailures))
			return true
		}
		for i := len(e.group.Pending) - 1; i >= 0; i-- {
			if t := &e.group.Pending[i]; claimed(*t) && sent[t.Alert.ID] {
				d.forget(e, i)
			}
		}
		return false
	})
}

// clockSkew is how much the clocks of notifiers and broker may differ.
const clockSkew = time.Minute

// told takes note of what became of an alert.
func (d *desk) told(e *entry, id string, err error) {
	i := slices.IndexFunc(e.group.Pending, func(t transition) bool { return t.Alert.ID == id })
	if i < 0 {
		return
	}
	t := &e.group.Pending[i]
	if errors.Is(err, broker.ErrTooLarge) {
		if t.Alert.Data.Event != nil || len(t.Alert.Data.Message) > shrunkMessageBytes {
			t.Alert = shrink(t.Alert) // published at the next turn
			return
		}
		d.metrics.refused.Inc()
		d.log.Error("alert is given up: the broker finds it too large even without its sample; raise max_payload or the max_msg_size of the stream",
			"alert_id", id, "error", err)
		err = nil
	} else if err == nil {
		d.metrics.alert(t.Alert)
		d.log.Debug("alert published", "alert_id", id, "type", t.Alert.Type, "key", e.group.key)
		if !t.causedAt.IsZero() {
			d.metrics.delay.Observe(time.Since(t.causedAt).Seconds())
		}
	}
	if err != nil {
		e.publishFailures++
		e.publishAt = time.Now().Add(backoff(e.publishFailures))
		d.metrics.failures.Inc()
		d.publishing.begin(d.log, err)
		return
	}
	d.publishing.over(d.log)
	e.publishFailures = 0
	d.forget(e, i)
}

// forget takes out of pending what is out, and has the store know soon.
func (d *desk) forget(e *entry, i int) {
	e.published = append(e.published, e.group.Pending[i].Alert.ID)
	e.group.Pending = slices.Delete(e.group.Pending, i, i+1)
	if !e.group.Closed && e.storeAt.IsZero() {
		e.storeAt = time.Now().Add(holdFor)
	}
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
