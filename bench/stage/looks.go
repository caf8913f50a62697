package stage

import (
	"context"
	"slices"
	"time"
)

// look is what one look at the table has shown: an event is queryable once the
// highest sequence is its own or beyond, since the sink stores in order.
type look struct {
	at       time.Time // when the answer was there
	sequence uint64
}

// looks are those that showed something new. Whoever reads them waits for done.
type looks struct {
	seen []look
	done chan struct{}
}

// watchTable looks at the table until ctx ends.
func (r *rig) watchTable(ctx context.Context) *looks {
	l := &looks{done: make(chan struct{})}
	go func() {
		defer close(l.done)
		var last uint64
		for ending := false; !ending; {
			ending = ctx.Err() != nil // there is one look after the end, which sees all
			var sequence uint64
			err := r.db.QueryRow(context.WithoutCancel(ctx), "SELECT max(stream_seq) FROM sluice.events").Scan(&sequence)
			if err == nil && sequence > last {
				l.seen, last = append(l.seen, look{time.Now(), sequence}), sequence
			}
			_ = sleep(ctx, pollEvery) // the loop sees the end of ctx
		}
	}()
	return l
}

// all waits for the end of the watching.
func (l *looks) all() []look {
	<-l.done
	return l.seen
}

// firstSeen finds the first look that showed a sequence.
func firstSeen(seen []look) func(sequence uint64) (time.Time, bool) {
	return func(sequence uint64) (time.Time, bool) {
		i, _ := slices.BinarySearchFunc(seen, sequence, func(l look, want uint64) int {
			switch {
			case l.sequence < want:
				return -1
			case l.sequence > want:
				return 1
			}
			return 0
		})
		if i == len(seen) {
			return time.Time{}, false
		}
		return seen[i].at, true
	}
}
