package redactor

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/schemas"
)

// publisher is what the stage needs of the broker.
type publisher interface {
	Publish(ctx context.Context, msgs []*nats.Msg) []broker.Result
}

// stage does the work. One goroutine judges, ahead by what is called a chunk; another
// stores what was judged, in order, and owns what is remembered between chunks.
type stage struct {
	engines  *engines
	broker   publisher
	metrics  *metrics
	log      *slog.Logger
	stopping <-chan struct{}
	// acknowledged hears of the events that are done with.
	acknowledged func([]broker.Delivery)
	// makeRoom asks for EVENTS_CLEAN to be trimmed; it does not wait.
	makeRoom func()

	// blockedSince is when EVENTS_CLEAN stopped taking events, zero while it does.
	blockedSince time.Time
	// complainedAt is when the log last said that the quarantine takes none.
	complainedAt time.Time
	// unfinished is what cannot be finished before the service stops.
	unfinished []broker.Delivery
}

// item is an event in work.
type item struct {
	delivery *broker.Delivery
	verdict  *verdict
}

// loop works until the feed ends. ctx ends when the time to finish is over.
func (s *stage) loop(ctx context.Context, feed *broker.Feed) error {
	defer s.handBack()
	// Without a buffer: while one chunk waits for the broker to have it on disk the next
	// one is judged, and no more is held.
	ahead := make(chan judged)
	go s.judgeAhead(feed, ahead)
	for work := range ahead {
		s.store(ctx, work)
		work.finished()
	}
	return feed.Err()
}

// store stores what became of a chunk, and acknowledges exactly what is stored. Bad
// events go first: they wait for nothing.
func (s *stage) store(ctx context.Context, work judged) {
	chunk, verdicts := work.chunk, work.verdicts
	clean, bad := make([]item, 0, len(chunk)), []item(nil)
	for i := range chunk {
		if chunk[i].Deliveries > 1 {
			s.metrics.redelivered.Inc()
		}
		if verdicts[i].reason == "" {
			clean = append(clean, item{&chunk[i], &verdicts[i]})
		} else {
			bad = append(bad, item{&chunk[i], &verdicts[i]})
		}
	}
	s.quarantine(ctx, bad)
	tooLarge := s.storeClean(ctx, clean)
	for _, it := range tooLarge {
		*it.verdict = refuse(it.verdict.tenant, schemas.ReasonTooLarge,
			"masked it has %d bytes, more than the broker takes", len(it.verdict.clean))
	}
	s.quarantine(ctx, tooLarge)
}

// The delays while EVENTS_CLEAN takes nothing: short at first, since a trim makes
// room at once, and never so long that a consumer that has caught up waits.
const (
	blockedFirst = 50 * time.Millisecond
	blockedLast  = 2 * time.Second
	// patience is how long one attempt to publish may try; longer than it takes
	// a broker to restart or to elect a leader.
	patience = 15 * time.Second
)

// storeClean publishes the items and acknowledges them as they are stored. It
// tries until all are, but for those that are too large, which it returns, and
// for what is left when the service stops, which it hands back.
//
// A full stream refuses a batch as a whole though it may have room for some of
// it, so each refusal halves what is tried at once.
func (s *stage) storeClean(ctx context.Context, items []item) (tooLarge []item) {
	size, delay := len(items), blockedFirst
	for len(items) > 0 {
		n := min(size, len(items))
		var left []item
		var stored []broker.Delivery
		var cause error
		results, at := s.publishClean(ctx, items[:n]), time.Now()
		for i, r := range results {
			switch {
			case r.Err == nil:
				s.metrics.stored(items[i].verdict, r.Duplicate, at.Sub(items[i].delivery.StoredAt))
				stored = append(stored, *items[i].delivery)
			case errors.Is(r.Err, broker.ErrTooLarge):
				tooLarge = append(tooLarge, items[i])
			default:
				left, cause = append(left, items[i]), r.Err
			}
		}
		s.ack(stored)
		progress := len(left) < n
		items = append(left, items[n:]...)
		if cause == nil {
			s.unblocked()
			size, delay = 2*n, blockedFirst
			continue
		}
		if progress {
			delay = blockedFirst
		}
		size = max(1, n/2)
		if !s.blocked(ctx, cause, delay) {
			for _, it := range items {
				s.unfinished = append(s.unfinished, *it.delivery)
			}
			return tooLarge
		}
		delay = min(2*delay, blockedLast)
	}
	return tooLarge
}

func (s *stage) publishClean(ctx context.Context, items []item) []broker.Result {
	msgs := make([]*nats.Msg, len(items))
	for i, it := range items {
		msgs[i] = cleanMsg(arrivalOf(it.delivery), it.verdict)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	results := s.broker.Publish(ctx, msgs)
	s.metrics.publish.Observe(time.Since(start).Seconds())
	return results
}

// blocked waits before the next attempt, and reports false when the service is
// to stop. It logs once for each time that EVENTS_CLEAN takes nothing.
func (s *stage) blocked(ctx context.Context, cause error, delay time.Duration) bool {
	if s.blockedSince.IsZero() {
		s.blockedSince = time.Now()
		advice := "look after the broker"
		if errors.Is(cause, broker.ErrFull) {
			advice = "look after the sink and the notifier, which have to read what is there, or raise the stream's max_bytes"
		}
		s.log.Warn("clean events cannot be stored; waiting", "stream", schemas.StreamClean, "error", cause, "advice", advice)
	}
	if errors.Is(cause, broker.ErrFull) {
		s.makeRoom()
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	start := time.Now()
	defer func() { s.metrics.blocked.Add(time.Since(start).Seconds()) }()
	select {
	case <-timer.C:
		return true
	case <-s.stopping:
		return false
	case <-ctx.Done():
		return false
	}
}

func (s *stage) unblocked() {
	if s.blockedSince.IsZero() {
		return
	}
	s.log.Info("clean events are stored again", "stream", schemas.StreamClean, "blocked", time.Since(s.blockedSince).Round(time.Millisecond))
	s.blockedSince = time.Time{}
}

// handBack returns what could not be finished, so that it is redelivered at once.
// Before the feed has ended it would be redelivered to this very redactor.
func (s *stage) handBack() {
	if len(s.unfinished) == 0 {
		return
	}
	failed := 0
	for i := range s.unfinished {
		if s.unfinished[i].Nak() != nil {
			failed++
		}
	}
	s.log.Info("handed back what could not be stored", "msgs", len(s.unfinished), "failed", failed)
	s.unfinished = nil
}

func (s *stage) ack(stored []broker.Delivery) {
	broker.Ack(stored, s.log)
	s.acknowledged(stored)
}
