package sink

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sluice/internal/broker"
)

// quarantiner takes messages that cannot be stored and returns those that it
// could not take either.
type quarantiner interface {
	put(ctx context.Context, refused []refusal) (left []broker.Delivery)
}

// sink is the loop and what it works with.
type sink struct {
	cfg        Config
	mapper     *mapper
	storer     *storer
	quarantine quarantiner
	stats      *metrics
	log        *slog.Logger
}

func newSink(cfg Config, m *mapper, t table, q quarantiner, stats *metrics, log *slog.Logger) *sink {
	return &sink{
		cfg: cfg, mapper: m, quarantine: q, stats: stats, log: log,
		storer: &storer{table: t, stats: stats, log: log},
	}
}

// holdEvery is how often messages in hand are kept from being redelivered: three
// times within the consumer's AckWait of a minute.
const holdEvery = 20 * time.Second

// loop gathers messages into batches and has them stored, one after the other:
// while one batch is being stored the next one fills, and when that is full too
// the loop stops reading, which is all that bounds memory needs. It ends when in
// is closed and everything is stored, or when the drain timeout after that is
// over. No other goroutine touches the batch that fills.
func (s *sink) loop(ctx context.Context, in <-chan broker.Delivery) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	tick, hold := time.NewTicker(max(s.cfg.BatchAge/4, time.Millisecond)), time.NewTicker(holdEvery)
	defer tick.Stop()
	defer hold.Stop()

	filling, spare := newBatch(), newBatch()
	var storing *batch
	done := make(chan error, 1)
	open := true
	for open || storing != nil || !filling.empty() {
		from := in
		if !open || s.full(filling) {
			from = nil
		}
		select {
		case d, more := <-from:
			if more {
				filling.add(d, s.mapper, time.Now())
				break
			}
			open = false
			defer time.AfterFunc(s.cfg.DrainTimeout, stop).Stop()
		case err := <-done:
			if err != nil {
				return s.abandon(work, err)
			}
			storing.reset()
			storing, spare = nil, storing
		case <-tick.C:
		case <-hold.C:
			filling.hold()
			if storing != nil {
				storing.hold()
			}
		}
		if storing == nil && !filling.empty() && (!open || s.due(filling)) {
			storing, filling, spare = filling, spare, nil
			go func(b *batch) { done <- s.flush(work, b) }(storing)
		}
	}
	return nil
}

func (s *sink) full(b *batch) bool {
	return len(b.deliveries) >= s.cfg.BatchRows || b.bytes >= s.cfg.BatchBytes
}

func (s *sink) due(b *batch) bool { return s.full(b) || time.Since(b.oldest) >= s.cfg.BatchAge }

// abandon ends the loop with a batch that was not stored. Its messages are not
// handed back, since an insert whose answer is missing may still be at work:
// they come again after the consumer's AckWait.
func (s *sink) abandon(work context.Context, err error) error {
	if work.Err() == nil || !errors.Is(err, work.Err()) {
		return err
	}
	s.log.Warn("stopping before everything is stored; it will be redelivered", "drain_timeout", s.cfg.DrainTimeout)
	return nil
}

// flush stores the batch and then acknowledges it. On error nothing is
// acknowledged, and everything is redelivered.
func (s *sink) flush(ctx context.Context, b *batch) error {
	s.stats.batchRows.Observe(float64(len(b.deliveries)))
	s.stats.batchBytes.Observe(float64(b.bytes))
	s.stats.duplicates.Add(float64(b.duplicates()))
	refused, err := s.storer.store(ctx, b.entries)
	if err != nil {
		return err
	}
	refused = append(b.refused, refused...)
	if len(refused) == 0 {
		broker.Ack(b.deliveries, s.log)
		return nil
	}
	left := map[uint64]bool{}
	for _, d := range s.quarantine.put(ctx, refused) {
		left[d.Sequence] = true
	}
	s.stats.refused.Add(float64(len(refused) - len(left)))
	settled := make([]broker.Delivery, 0, len(b.deliveries))
	for _, d := range b.deliveries {
		if !left[d.Sequence] {
			settled = append(settled, d)
		}
	}
	broker.Ack(settled, s.log)
	return nil
}
