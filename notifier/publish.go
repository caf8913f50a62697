package notifier

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
)

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
