package intake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/producer"
)

const (
	// attemptWait is how long one attempt may take before it counts as one
	// without progress: an atomic batch and one round of single messages.
	attemptWait = 10 * time.Second
	// drainWait is how long an interrupted run waits for what is at the broker.
	drainWait = 5 * time.Second
	// retryFirst and retryLast are the delays while the stream is full.
	retryFirst = 100 * time.Millisecond
	retryLast  = 2 * time.Second
)

// delivery publishes batches one after the other, which keeps their order, and
// counts.
type delivery struct {
	cfg       Config
	publisher Publisher
	summary   Summary
	toldFull  bool
	toldAway  bool
}

// deliver publishes the batch and returns when every line of it is settled, or an
// error when the run cannot go on.
func (d *delivery) deliver(ctx context.Context, batch []Item) error {
	pending := make([]Item, 0, len(batch))
	for i, it := range batch {
		switch {
		case it.broken != nil:
			// It is the last there is; what came before it still counts.
			if err := d.settle(ctx, pending, batch[:i]); err != nil {
				return err
			}
			return it.broken
		case it.Refused != nil:
			d.refuse(it, it.Refused)
		case it.Skipped != "":
			d.skip(it)
		default:
			pending = append(pending, batch[i])
		}
	}
	return d.settle(ctx, pending, batch)
}

// settle publishes what of the batch is pending, and tells that all of it is
// settled.
func (d *delivery) settle(ctx context.Context, pending, batch []Item) error {
	if err := d.publish(ctx, pending); err != nil {
		return err
	}
	for i := range batch {
		if position := batch[i].Position; position != nil && d.cfg.Settled != nil {
			d.cfg.Settled(position)
		}
	}
	if d.cfg.Progress != nil {
		d.cfg.Progress(d.summary)
	}
	return nil
}

func (d *delivery) publish(ctx context.Context, pending []Item) error {
	work, stop := afterwards(ctx, drainWait)
	defer stop()
	progress := time.Now()
	for delay := retryFirst; len(pending) > 0; delay = min(2*delay, retryLast) {
		left, cause := d.attempt(work, pending)
		if len(left) < len(pending) {
			progress, delay = time.Now(), retryFirst
		}
		if pending = left; len(pending) == 0 {
			break
		}
		switch {
		case ctx.Err() != nil:
			return ErrInterrupted
		case errors.Is(cause, producer.ErrClosed), errors.Is(cause, nats.ErrConnectionClosed),
			d.cfg.Timeout > 0 && time.Since(progress) >= d.cfg.Timeout:
			return stopped(pending[0], time.Since(progress), cause)
		}
		d.tellWhy(cause)
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ErrInterrupted
		}
	}
	return nil
}

func stopped(at Item, waited time.Duration, cause error) error {
	hint := ""
	if errors.Is(cause, producer.ErrNoStream) {
		hint = " (the redactor creates it: is it running?)"
	}
	return fmt.Errorf("stopped at %s:%d, %s without progress: %w%s; run it again to publish the rest",
		at.Input, at.Line, waited.Round(time.Millisecond), cause, hint)
}

// attempt publishes what is pending and returns what still is, and the reason.
func (d *delivery) attempt(ctx context.Context, pending []Item) (left []Item, cause error) {
	wait := attemptWait
	if d.cfg.Timeout > 0 {
		wait = min(wait, d.cfg.Timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	messages := make([]producer.Message, len(pending))
	for i := range pending {
		messages[i] = pending[i].Message
	}
	for i, ack := range d.publisher.PublishMessages(ctx, messages) {
		it := pending[i]
		switch {
		case ack.Err == nil && ack.Duplicate:
			d.summary.Duplicate++
		case ack.Err == nil:
			d.summary.Published++
		case errors.Is(ack.Err, producer.ErrTooLarge):
			d.refuse(it, ack.Err)
			continue
		default:
			if left = append(left, it); cause == nil {
				cause = ack.Err
			}
			continue
		}
		d.summary.Bytes += it.Bytes
	}
	return left, cause
}

func (d *delivery) refuse(it Item, reason error) {
	d.summary.Refused++
	d.summary.Bytes += it.Bytes
	fmt.Fprintf(d.cfg.Report, "%s:%d: %v\n", it.Input, it.Line, reason)
}

func (d *delivery) skip(it Item) {
	if d.summary.Skipped == nil {
		d.summary.Skipped = map[string]int{}
	}
	d.summary.Skipped[it.Skipped]++
	d.summary.Bytes += it.Bytes
}

// tellWhy says once per run and kind what is being waited for.
func (d *delivery) tellWhy(cause error) {
	full := errors.Is(cause, producer.ErrFull)
	told, what := &d.toldAway, "no answer from the broker"
	switch {
	case full:
		told, what = &d.toldFull, "the stream is full"
	case errors.Is(cause, producer.ErrNoStream):
		what = "there is no stream for events yet (the redactor creates it)"
	}
	if *told {
		return
	}
	*told = true
	if d.cfg.Timeout == 0 {
		fmt.Fprintf(d.cfg.Report, "%s; trying again\n", what)
		return
	}
	fmt.Fprintf(d.cfg.Report, "%s; trying again for up to %s\n", what, d.cfg.Timeout)
}

// afterwards returns a context that ends some time after ctx.
func afterwards(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return later, func() { stop(); cancel() }
}
