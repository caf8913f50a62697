package notifier

import (
	"container/heap"
	"time"

	"sluice/internal/broker"
)

// entry is a group in the hands of this notifier.
type entry struct {
	// group is as it stands with everything folded in that came so far.
	group *group
	// revision is the store's revision that the next write must name.
	revision uint64
	// mine tells that this notifier wrote that revision.
	mine bool

	// folded are the observations that the store does not have yet, to be folded
	// again if another notifier has written the group, and deliveries the events
	// to be acknowledged once it has them.
	folded     []*observation
	deliveries []broker.Delivery
	// asks are the groups that this one, which measures storms, has been asked for
	// since it was written, and meter is the entry that this one has asked: it is
	// written first.
	asks  []ask
	meter *entry
	// published are the ids of alerts that are published but that the store
	// still has as pending.
	published []string

	// storeAt is when the group is to be written, zero for never as it stands.
	storeAt time.Time
	// publishAt is before when nothing is published or removed.
	publishAt time.Time
	// storeFailures and publishFailures count attempts since the last that
	// succeeded.
	storeFailures, publishFailures int

	at    time.Time // when there is something to do
	index int       // in the queue, -1 outside
}

// ask is one group to be opened, by its entry, and until when that counts.
type ask struct {
	entry *entry
	until time.Time
}

// foreignGrace is how much longer a group of another notifier waits for that one
// to say what is due, so that normally only one tries.
const foreignGrace = 2 * time.Second

// dueAt is when the group has something to say by itself; zero is never.
func (e *entry) dueAt(t timing) time.Time {
	at := e.group.dueAt(t)
	if !at.IsZero() && !e.mine {
		at = at.Add(foreignGrace)
	}
	return at
}

// next is when there is something to do: store, publish or remove, or what is
// due by time. It is always some time: every group ends.
func (e *entry) next(t timing) time.Time {
	at := e.tellAt()
	switch {
	case !e.storeAt.IsZero():
		at = e.storeAt
	case len(e.group.Pending) == 0 && !e.group.Closed:
		return e.dueAt(t)
	}
	now := time.Now()
	if due, at := reckoned(e.dueAt(t), now), reckoned(at, now); !due.IsZero() && due.Before(at) {
		return due
	}
	return at
}

// reckoned is the same moment by the time that passes from now on. A time that comes
// from the store is known by the clock on the wall alone, one of this process by both;
// where somebody has set the clock in between, the two cannot be compared, and what
// was due in a second would wait behind the other until the clock is there again.
func reckoned(at, now time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return now.Add(at.Sub(now))
}

// tellAt is before when nothing of what is pending is published.
func (e *entry) tellAt() time.Time {
	at := e.publishAt
	if len(e.group.Pending) > 0 {
		if other := e.group.Pending[0].takeOverAt(); other.After(at) {
			return other
		}
	}
	return at
}

// queue has the entries in the order of when there is something to do.
type queue []*entry

// Len implements heap.Interface.
func (q *queue) Len() int { return len(*q) }

// Less implements heap.Interface.
func (q *queue) Less(i, j int) bool { return (*q)[i].at.Before((*q)[j].at) }

// Swap implements heap.Interface.
func (q *queue) Swap(i, j int) {
	list := *q
	list[i], list[j] = list[j], list[i]
	list[i].index, list[j].index = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	e, _ := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last], *q = nil, (*q)[:last]
	e.index = -1
	return e
}

// set puts the entry where it belongs.
func (q *queue) set(e *entry, at time.Time) {
	e.at = reckoned(at, time.Now())
	if e.index < 0 {
		heap.Push(q, e)
		return
	}
	heap.Fix(q, e.index)
}

// drop takes the entry out.
func (q *queue) drop(e *entry) {
	if e.index >= 0 {
		heap.Remove(q, e.index)
	}
}

// take returns the entries that have something to do by now.
func (q *queue) take(now time.Time) []*entry {
	var out []*entry
	for len(*q) > 0 && !now.Before((*q)[0].at) {
		e, _ := heap.Pop(q).(*entry)
		out = append(out, e)
	}
	return out
}
