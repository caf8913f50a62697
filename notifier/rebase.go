package notifier

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// What the store says of a group, because this notifier has just begun, because
// another one has written it, or because a write came second, takes the place of
// what the desk believed.

var errWatchEnded = errors.New("the watch on the open alerts has ended")

// load reads every silence and every open group, until the watch says that there
// is no more. What was left pending is published soon.
func (d *desk) load(ctx context.Context, from inputs) error {
	for loaded := false; !loaded; {
		select {
		case change, open := <-from.silences:
			if !open {
				return errWatchEnded
			}
			d.learnSilence(change)
			loaded = change == nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for {
		select {
		case change, open := <-from.changes:
			switch {
			case !open:
				return errWatchEnded
			case change == nil:
				return nil
			}
			d.change(change, time.Now())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// change takes note of what the store says about a group.
func (d *desk) change(change jetstream.KeyValueEntry, now time.Time) {
	e := d.groups[change.Key()]
	if e != nil && change.Revision() <= e.revision {
		return // this notifier's own write
	}
	var value []byte
	if change.Operation() == jetstream.KeyValuePut {
		value = change.Value()
	}
	if e == nil {
		if value == nil {
			return
		}
		e = d.add(change.Key())
	}
	d.rebase(e, value, change.Revision(), now)
	d.settle(e)
}

// settle puts the entry back into the queue, or forgets it if nothing is left.
func (d *desk) settle(e *entry) {
	if e.group.empty() && len(e.asks) == 0 && e.storeAt.IsZero() {
		d.drop(e)
		return
	}
	d.queue.set(e, e.next(d.timing))
}

// rebase puts the value that the store has in the place of the group and folds
// again what the store does not know of.
func (d *desk) rebase(e *entry, value []byte, revision uint64, now time.Time) {
	g := &group{key: e.group.key}
	if value != nil {
		decoded, err := decodeGroup(e.group.key, value)
		if err != nil {
			d.log.Warn("open alert cannot be read and begins anew", "key", e.group.key, "revision", revision, "error", err)
		} else {
			g = decoded
		}
	}
	if e.group.Storm != nil && g.Storm == nil {
		g.Storm = &storm{}
	}
	g.recognise(e.group.Pending, now)
	if (g.Storm != nil) != (e.group.Storm != nil) {
		d.meters++ // it cannot cease to be one
	}
	e.group, e.revision, e.mine = g, revision, false
	unstored := e.forgetPublished()
	pending := len(g.Pending)
	folded := e.folded[:0]
	for _, o := range e.folded {
		if g.fold(o, now, d.timing) {
			folded = append(folded, o)
		}
	}
	e.folded = folded
	asked := len(e.asks) > 0
	d.askAgain(e, now)
	folded = e.folded
	e.publishAt = time.Time{}
	switch {
	case asked && (len(e.asks) > 0 || len(folded) > 0):
		e.storeAt = now
	case !unstored && len(folded) == 0:
		e.storeAt = time.Time{}
		d.release(e)
	case len(g.Pending) > pending:
		e.storeAt, e.publishAt = now, time.Time{}
	case e.storeAt.IsZero():
		e.storeAt = now.Add(holdFor)
	}
}

// recognise takes over what was known of the transitions that are pending.
func (g *group) recognise(known []transition, now time.Time) {
	for i := range g.Pending {
		t := &g.Pending[i]
		t.knownAt = now
		for k := range known {
			if k := &known[k]; k.Alert.ID == t.Alert.ID && (k.stored || !k.own) {
				t.own, t.stored, t.knownAt, t.causedAt = k.own, k.stored, k.knownAt, k.causedAt
			}
		}
	}
}

// forgetPublished takes out of pending what was published and reports whether
// anything was.
func (e *entry) forgetPublished() bool {
	before := len(e.group.Pending)
	e.group.Pending = slices.DeleteFunc(e.group.Pending, func(t transition) bool {
		return slices.Contains(e.published, t.Alert.ID)
	})
	if len(e.group.Pending) == before {
		e.published = nil // the store knows
		return false
	}
	return true
}

// raise tells all groups up to where every event was acknowledged.
func (d *desk) raise(floor uint64) {
	for _, e := range d.groups {
		if len(e.group.Folded.runs) > 0 && e.group.Stream == d.stream {
			e.group.Folded.raise(floor)
		}
	}
}
