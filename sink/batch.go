package sink

import (
	"time"

	"github.com/google/uuid"

	"sluice/internal/broker"
)

// entry is a row and the message it came from.
type entry struct {
	row
	from broker.Delivery
}

// refusal is a message that cannot become a row, and why.
type refusal struct {
	from   broker.Delivery
	detail string
}

// batch is what is stored together. It has one owner at a time: the loop while
// it fills, the flush after that.
type batch struct {
	entries    []entry
	refused    []refusal
	deliveries []broker.Delivery // every message in it, duplicates included
	pks        map[uuid.UUID]struct{}
	bytes      int
	oldest     time.Time
	// resumed is the plan that the batch is of, if it was written down by a sink
	// that may have inserted it.
	resumed *plan
}

func newBatch() *batch { return &batch{pks: map[uuid.UUID]struct{}{}} }

// add takes a message in. Of two with one pk the first is stored; both are
// acknowledged.
func (b *batch) add(d broker.Delivery, m *mapper, now time.Time) {
	if len(b.deliveries) == 0 {
		b.oldest = now
	}
	b.deliveries = append(b.deliveries, d)
	b.bytes += len(d.Data())
	r, err := m.row(messageOf(d))
	if err != nil {
		b.refused = append(b.refused, refusal{from: d, detail: err.Error()})
		return
	}
	if _, twice := b.pks[r.pk]; twice {
		return
	}
	b.pks[r.pk] = struct{}{}
	b.entries = append(b.entries, entry{row: r, from: d})
}

// duplicates is how many messages repeat another one of the batch.
func (b *batch) duplicates() int { return len(b.deliveries) - len(b.entries) - len(b.refused) }

func (b *batch) empty() bool { return len(b.deliveries) == 0 }

// first and last are the ends of the batch in the stream.
func (b *batch) first() uint64 { return b.deliveries[0].Sequence }

func (b *batch) last() uint64 { return b.deliveries[len(b.deliveries)-1].Sequence }

// reset empties the batch and keeps its memory, but not the messages.
func (b *batch) reset() {
	clear(b.entries)
	clear(b.refused)
	clear(b.deliveries)
	clear(b.pks)
	b.entries, b.refused, b.deliveries = b.entries[:0], b.refused[:0], b.deliveries[:0]
	b.bytes, b.resumed = 0, nil
}
