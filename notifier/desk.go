package notifier

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/notifier/rules"
	"sluice/schemas"
)

// desk owns the groups: one goroutine, no locks. An event goes through it as
// rule → group → transition → publish:
//
//	take     reads the event, folds it into its group and holds its acknowledgement
//	measure  writes, where a group is to be opened, what storms are measured by
//	store    writes the group, compare-and-set; who comes second loads and folds again
//	publish  publishes what is pending in the store
//	ack      acknowledges the events that the store has counted
//
// An event that opens a group goes all the way at once. One that is only counted
// waits for a second for others, so that a flood costs one write a second. If
// the process dies, what was not stored is delivered again, and what was stored
// but not published is found pending, with the id it had.
type desk struct {
	timing  timing
	bucket  *bucket
	publish func(context.Context, []*nats.Msg) []broker.Result
	// sent returns the ids of the alerts that ALERTS has stored since then; nil
	// knows of none.
	sent    func(context.Context, time.Time) (map[string]bool, error)
	metrics *metrics
	log     *slog.Logger
	reader  reader
	// silences are those in the store, by their ids.
	silences map[string]*Silence
	// stream is when EVENTS_CLEAN was created, in Unix nanoseconds.
	stream int64

	groups map[string]*entry
	queue  queue
	// meters is how many of the groups are there only to measure storms.
	meters int
	// holding are the entries with deliveries that are not acknowledged, held
	// and heldBytes how many and how large those are.
	holding   map[*entry]struct{}
	held      int
	heldBytes int
	// done are deliveries to be acknowledged.
	done []broker.Delivery
	// storing and publishing tell whether that works.
	storing, publishing outage
	// closed tells that the connection is closed for good.
	closed bool
}

const (
	// maxTaken is how many events are folded between two looks at the clock.
	maxTaken = 1000
	// holdFor is how long an event that is only counted waits for others. It is
	// far below the consumer's AckWait, and below the window in which ALERTS
	// knows an id: the store learns within it that an alert was published.
	holdFor = time.Second
	// maxHeld and maxHeldBytes bound what waits; beyond, it is stored at once,
	// and while that is not possible no more is taken. Two notifiers with as
	// much again fetched ahead stay below the consumer's MaxAckPending.
	maxHeld      = 4000
	maxHeldBytes = 32 << 20
	// takeOver is how long what another notifier has pending is left to it: as
	// long as an attempt to publish may take.
	takeOver = publishWait
	// idle is how long the desk sleeps with nothing to do.
	idle = time.Minute
)

func newDesk(t timing, set *rules.Set, b *bucket, stream int64, m *metrics, log *slog.Logger) (*desk, error) {
	clean, err := newCleaner()
	if err != nil {
		return nil, err
	}
	d := &desk{
		timing: t, bucket: b, metrics: m, log: log, stream: stream,
		reader: reader{clean: clean}, silences: map[string]*Silence{},
		groups: map[string]*entry{}, holding: map[*entry]struct{}{},
		storing: outage{what: "open alerts cannot be stored"}, publishing: outage{what: "alerts cannot be published"},
	}
	d.timing.silenced = func(g *group, now time.Time) bool { return d.silenced(g.subject(), now) }
	d.obey(set)
	return d, nil
}

// inputs are what a desk hears of besides events.
type inputs struct {
	// changes are of groups, silences of silences, floors of the consumer, and
	// sets are rules that were read anew.
	changes  <-chan jetstream.KeyValueEntry
	silences <-chan jetstream.KeyValueEntry
	floors   <-chan uint64
	sets     <-chan *rules.Set
}

// run works until the feed ends, then drains. Its ctx is for the work itself and
// outlives the feed.
func (d *desk) run(ctx context.Context, feed <-chan broker.Delivery, from inputs) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		in := feed
		if d.full() {
			in = nil
		}
		wait := idle
		if len(d.queue) > 0 {
			wait = min(idle, time.Until(d.queue[0].at))
		}
		timer.Reset(wait)
		select {
		case delivery, open := <-in:
			if !open {
				return d.drain(ctx)
			}
			d.takeAll(delivery, in)
		case change, open := <-from.changes:
			if !open && ctx.Err() == nil {
				return errWatchEnded
			}
			if change != nil {
				d.change(change, time.Now())
			}
		case change, open := <-from.silences:
			if !open && ctx.Err() == nil {
				return errWatchEnded
			}
			d.learnSilence(change)
		case set := <-from.sets:
			d.obey(set)
		case floor := <-from.floors:
			d.raise(floor)
		case <-timer.C:
		case <-ctx.Done(): // the feed has not ended in time
			return d.drain(ctx)
		}
		d.work(ctx)
	}
}

// takeAll takes the delivery and what waits behind it.
func (d *desk) takeAll(delivery broker.Delivery, in <-chan broker.Delivery) {
	now := time.Now()
	d.take(delivery, now)
	for taken := 1; taken < maxTaken && !d.full(); taken++ {
		select {
		case next, open := <-in:
			if !open {
				return // run sees it too
			}
			d.take(next, now)
		default:
			return
		}
	}
	if d.full() {
		for e := range d.holding {
			d.hurry(e, now)
		}
	}
}

func (d *desk) full() bool { return d.held >= maxHeld || d.heldBytes >= maxHeldBytes }

// take folds one event into its group.
func (d *desk) take(delivery broker.Delivery, now time.Time) {
	o, err := d.reader.read(incoming{
		subject: delivery.Subject(), data: delivery.Data(),
		traceParent: delivery.Headers().Get(schemas.HeaderTraceParent),
		stream:      d.stream, sequence: delivery.Sequence, storedAt: delivery.StoredAt,
	})
	switch {
	case errors.Is(err, errOwn), errors.Is(err, errNoRule):
		d.metrics.skipped.Inc()
		d.done = append(d.done, delivery)
		return
	case err != nil:
		// What the redactor has let pass can be read; anything else was put
		// there by somebody else, and waiting will not make it readable.
		d.metrics.rejected.Inc()
		d.log.Warn("event cannot be read and makes no alert", "stream", delivery.Stream, "seq", delivery.Sequence, "error", err)
		d.done = append(d.done, delivery)
		return
	}
	crashpoint("taken")
	e := d.groups[o.key]
	if e == nil || e.group.opens(o) {
		if d.silenced(o.subject(), now) {
			d.metrics.silenced.Inc()
			d.done = append(d.done, delivery)
			return
		}
		e = d.admit(&o, now)
	}
	pending := len(e.group.Pending)
	if !e.group.fold(o, now, d.timing) {
		d.metrics.duplicate.Inc()
		if len(e.folded) == 0 {
			d.done = append(d.done, delivery)
		} else {
			d.hold(e, delivery) // what it repeats may not be stored yet
		}
		return
	}
	d.metrics.folded.Inc()
	e.folded = append(e.folded, o)
	d.hold(e, delivery)
	if e.storeAt.IsZero() {
		e.storeAt = now.Add(holdFor)
	}
	if len(e.group.Pending) > pending {
		e.publishAt = time.Time{}
		d.hurry(e, now)
	}
	d.queue.set(e, e.next(d.timing))
}

// entry returns the group of the observation, a new one if there is none. When
// there are too many, the observation becomes one of those counted together.
func (d *desk) entry(o **observation) *entry {
	e := d.groups[(*o).key]
	if e == nil && len(d.groups) >= maxGroups {
		*o = (*o).overflow()
		e = d.groups[(*o).key]
	}
	if e == nil {
		e = d.add((*o).key)
	}
	return e
}

func (d *desk) add(key string) *entry {
	e := &entry{group: &group{key: key}, index: -1}
	d.groups[key] = e
	return e
}

func (d *desk) drop(e *entry) {
	d.queue.drop(e)
	delete(d.groups, e.group.key)
	if e.group.Storm != nil {
		d.meters--
	}
}

func (d *desk) hold(e *entry, delivery broker.Delivery) {
	e.deliveries = append(e.deliveries, delivery)
	d.holding[e] = struct{}{}
	d.held++
	d.heldBytes += len(delivery.Data())
}

// release lets the deliveries of an entry be acknowledged.
func (d *desk) release(e *entry) {
	for _, delivery := range e.deliveries {
		d.held--
		d.heldBytes -= len(delivery.Data())
	}
	d.done = append(d.done, e.deliveries...)
	e.folded, e.deliveries = nil, nil
	delete(d.holding, e)
}

// hurry has the entry stored now, unless that has just failed.
func (d *desk) hurry(e *entry, now time.Time) {
	if e.storeFailures == 0 && !e.storeAt.IsZero() {
		e.storeAt = now
		d.queue.set(e, e.next(d.timing))
	}
}
