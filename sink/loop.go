package sink

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"sluice/internal/broker"
)

// quarantiner takes messages that cannot be stored, and waits for room if it must.
type quarantiner interface {
	put(ctx context.Context, refused []refusal) error
}

// planner writes down what is about to be inserted. It fails once another sink
// has the turn.
type planner interface {
	plan(ctx context.Context, p plan) error
}

// sink is the loop and what it works with.
type sink struct {
	cfg        Config
	mapper     *mapper
	storer     *storer
	planner    planner
	quarantine quarantiner
	stats      *metrics
	log        *slog.Logger
	// stream is when the stream was made, for the plans.
	stream time.Time
	// refill makes the filter larger and has the table read into it again.
	refill func()
	// done is the last sequence that is settled, for the next feed.
	done atomic.Uint64
	// resumed is the plan that the first batch has to be of, nil for none.
	resumed *plan
	// age is how long the first event of a batch waits for company.
	age time.Duration
}

func newSink(cfg Config, m *mapper, st *storer, p planner, q quarantiner) *sink {
	return &sink{
		cfg: cfg, mapper: m, planner: p, quarantine: q, storer: st, stats: st.stats, log: st.log,
	}
}

// flushed is what became of a batch.
type flushed struct {
	took time.Duration
	err  error
}

// loop gathers messages into batches and has them stored, one after the other:
// while one batch is being stored the next one fills, and when that is full too
// the loop stops reading, which is all that bounds memory needs. It ends when in
// is closed and everything is stored, or when the drain timeout after that is
// over. No other goroutine touches the batch that fills.
func (s *sink) loop(ctx context.Context, in <-chan broker.Delivery) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s.age = s.cfg.BatchAge
	tick := time.NewTicker(max(s.cfg.BatchAge/4, time.Millisecond))
	defer tick.Stop()

	filling, spare := newBatch(), newBatch()
	filling.resumed = s.resumed
	var storing *batch
	var carry *broker.Delivery // the first message after a plan that is resumed
	done := make(chan flushed, 1)
	open := true
	for open || storing != nil || !filling.empty() || carry != nil {
		if carry != nil && filling.resumed == nil {
			filling.add(*carry, s.mapper, time.Now())
			carry = nil
		}
		from := in
		if !open || s.full(filling) || carry != nil {
			from = nil
		}
		select {
		case d, more := <-from:
			switch {
			case !more:
				open = false
				if filling.resumed != nil && !s.full(filling) {
					filling.reset() // a part of a plan is no plan
				}
				defer time.AfterFunc(s.cfg.DrainTimeout, stop).Stop()
			case filling.resumed != nil && d.Sequence > filling.resumed.Last:
				carry = &d
				if filling.empty() { // nothing is left of the plan
					filling.resumed, s.resumed = nil, nil
				}
			default:
				filling.add(d, s.mapper, time.Now())
			}
		case f := <-done:
			if f.err != nil {
				return s.abandon(work, f.err)
			}
			// Parts at the pace at which ClickHouse takes them: one that is slow, or
			// has too many parts and lets the sink wait, gets fewer and larger ones.
			s.age = min(max(s.cfg.BatchAge, 2*f.took), maxBatchAge)
			storing.reset()
			storing, spare = nil, storing
		case <-tick.C:
		}
		if storing == nil && !filling.empty() && (!open || carry != nil || s.due(filling)) {
			storing, filling, spare = filling, spare, nil
			go func(b *batch) {
				start := time.Now()
				err := s.flush(work, b)
				done <- flushed{took: time.Since(start), err: err}
			}(storing)
		}
	}
	return nil
}

// full tells whether the batch takes no more. One that is resumed is exactly what
// was planned, or what the stream still has of it.
func (s *sink) full(b *batch) bool {
	if b.resumed != nil {
		return !b.empty() && (b.last() >= b.resumed.Last || b.deliveries[len(b.deliveries)-1].Pending == 0)
	}
	return len(b.deliveries) >= s.cfg.BatchRows || b.bytes >= s.cfg.BatchBytes
}

func (s *sink) due(b *batch) bool {
	return s.full(b) || b.resumed == nil && time.Since(b.oldest) >= s.age
}

// abandon ends the loop with a batch that was not stored. Its plan stands, so
// whoever stores next goes on with it.
func (s *sink) abandon(work context.Context, err error) error {
	if work.Err() == nil || !errors.Is(err, work.Err()) {
		return err
	}
	s.log.Warn("stopping before everything is stored; the rest is stored at the next start", "drain_timeout", s.cfg.DrainTimeout)
	return errUnsettled
}

// errUnsettled: the sink was told to stop before its last batch was settled.
var errUnsettled = errors.New("stopped before everything was stored")

// flush stores the batch and then acknowledges it. On error nothing is
// acknowledged, and everything comes again.
func (s *sink) flush(ctx context.Context, b *batch) error {
	if b.resumed != nil && (b.first() != b.resumed.First || b.last() != b.resumed.Last) {
		// Some of it was erased from the stream meanwhile: the rest is stored as
		// planned, under the same token.
		s.log.Warn("not all of a planned batch is in the stream any more", "first_seq", b.resumed.First, "last_seq", b.resumed.Last)
	}
	s.stats.batchRows.Observe(float64(len(b.deliveries)))
	s.stats.batchBytes.Observe(float64(b.bytes))
	s.stats.duplicates.Add(float64(b.duplicates()))
	crashpoint("fetched")
	refused, err := s.store(ctx, b)
	if err != nil {
		return err
	}
	s.storer.recovered()
	crashpoint("inserted")
	if refused = append(b.refused, refused...); len(refused) > 0 {
		if err := s.quarantine.put(ctx, refused); err != nil {
			return err
		}
		s.stats.refused.Add(float64(len(refused)))
	}
	s.stats.settled(b.entries, time.Now())
	crashpoint("settled")
	s.resumed = nil
	s.done.Store(b.last())
	broker.Ack(b.deliveries[len(b.deliveries)-1:], s.log)
	crashpoint("acknowledged")
	return nil
}

// store looks up, plans and inserts, in this order. Of a plan that is resumed
// nobody knows what was inserted.
func (s *sink) store(ctx context.Context, b *batch) ([]refusal, error) {
	p, doubt := b.resumed, b.resumed != nil
	var missing []entry
	var err error
	if doubt {
		s.storer.seen.maybe(b.entries)
		missing, err = s.storer.missing(ctx, b.entries)
	} else {
		if s.storer.seen.crowded() {
			s.refill()
		}
		missing, err = s.storer.fresh(ctx, b.entries)
	}
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	crashpoint("looked_up")
	if !doubt {
		p = &plan{First: b.first(), Last: b.last(), Token: uuid.NewString(), Stream: s.stream}
		if err := s.planner.plan(ctx, *p); err != nil {
			return nil, err
		}
	}
	crashpoint("planned")
	return s.storer.insert(ctx, missing, span{plan: p.Token, from: p.First, to: p.Last + 1}, doubt)
}

// crashpoint does nothing; a test kills its process there.
var crashpoint = func(string) {}
