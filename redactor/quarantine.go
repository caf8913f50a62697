package redactor

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/schemas"
)

const (
	// quarantineRetry is when an event comes again that the quarantine did not
	// take. It counts among those in work until then, so it should not be soon.
	quarantineRetry = 30 * time.Second
	// complainEvery is how often the log says so.
	complainEvery = time.Minute
)

// quarantine stores refused events and acknowledges those that are stored. The
// others come again later: bad events must not stop the good ones, but they are
// not dropped either, and 20,000 of them in work (the consumer's limit) do stop
// everything.
func (s *stage) quarantine(ctx context.Context, items []item) {
	if len(items) == 0 {
		return
	}
	msgs := make([]*nats.Msg, len(items))
	for i, it := range items {
		msgs[i] = quarantineMsg(arrivalOf(it.delivery), it.verdict)
		s.log.Debug("event refused", "stream", it.delivery.Stream, "seq", it.delivery.Sequence,
			"subject", it.delivery.Subject(), "reason", it.verdict.reason, "detail", it.verdict.detail)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var stored []broker.Delivery
	left, cause := 0, error(nil)
	for i, r := range s.broker.Publish(ctx, msgs) {
		if r.Err != nil {
			left, cause = left+1, r.Err
			s.later(items[i])
			continue
		}
		stored = append(stored, *items[i].delivery)
		s.metrics.quarantined[items[i].verdict.reason].Inc()
	}
	s.ack(stored)
	if len(stored) > 0 {
		first := items[0]
		s.log.Warn("events quarantined", "msgs", len(stored), "stream", first.delivery.Stream,
			"first_seq", first.delivery.Sequence, "first_subject", first.delivery.Subject(), "first_reason", first.verdict.reason)
	}
	if left > 0 {
		s.complain(left, cause)
	}
}

// later hands an event back for the time being; while the service stops, with
// the rest.
func (s *stage) later(it item) {
	select {
	case <-s.stopping:
		s.unfinished = append(s.unfinished, *it.delivery)
	default:
		_ = it.delivery.NakWithDelay(quarantineRetry)
	}
}

func (s *stage) complain(msgs int, cause error) {
	if time.Since(s.complainedAt) < complainEvery {
		return
	}
	s.complainedAt = time.Now()
	advice := "look after the broker"
	if errors.Is(cause, broker.ErrFull) {
		advice = "make room with `redactor quarantine list` and `replay` or `drop`, or raise the stream's max_bytes"
	}
	s.log.Error("events that were refused cannot be quarantined; they are tried again",
		"stream", schemas.StreamQuarantine, "msgs", msgs, "error", cause, "advice", advice)
}
