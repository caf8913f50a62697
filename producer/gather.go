package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
)

// retryFirst and retryLast are the delays between a caller's attempts, on top of
// the broker package's own within one.
const (
	retryFirst = 50 * time.Millisecond
	retryLast  = 2 * time.Second
)

// publishFunc is broker.Conn.Publish.
type publishFunc func(ctx context.Context, msgs []*nats.Msg) []broker.Result

// gatherer lets goroutines that publish one message each share batches. One
// goroutine owns the batch: while one is at the broker the next comes together,
// and when the last held several, it waits for as many again, at most for wait.
// So it adds no delay for whoever publishes alone.
type gatherer struct {
	wait     time.Duration
	send     publishFunc
	requests chan request
	closing  chan struct{}
	done     chan struct{}
	once     sync.Once
}

type request struct {
	ctx     context.Context //nolint:containedctx // requests that share a batch each have their own
	msg     *nats.Msg
	outcome chan outcome // of capacity 1: whoever waited may have gone
}

type outcome struct {
	broker.Result
	// again tells that the attempt ended without a word about the message.
	again bool
}

func newGatherer(wait time.Duration, send publishFunc) *gatherer {
	g := &gatherer{
		wait: wait, send: send,
		requests: make(chan request), closing: make(chan struct{}), done: make(chan struct{}),
	}
	go g.run()
	return g
}

// close ends run after the batch in flight.
func (g *gatherer) close() {
	g.once.Do(func() { close(g.closing) })
	<-g.done
}

// publish waits until the message's fate is known or ctx ends.
func (g *gatherer) publish(ctx context.Context, msg *nats.Msg) broker.Result {
	var last error
	for delay := retryFirst; ; delay = min(2*delay, retryLast) {
		o := g.attempt(ctx, msg)
		if !o.again {
			if o.Err != nil && last != nil {
				o.Err = fmt.Errorf("%w (before: %w)", o.Err, last)
			}
			return o.Result
		}
		last = o.Err
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return o.Result
		}
	}
}

// attempt puts the message into a batch and waits for what becomes of it.
func (g *gatherer) attempt(ctx context.Context, msg *nats.Msg) outcome {
	if err := ctx.Err(); err != nil {
		return failed(err)
	}
	r := request{ctx: ctx, msg: msg, outcome: make(chan outcome, 1)}
	select {
	case g.requests <- r:
	case <-g.closing:
		return failed(ErrClosed)
	case <-ctx.Done():
		return failed(ctx.Err())
	}
	select {
	case o := <-r.outcome:
		return o
	case <-ctx.Done():
	}
	// The batch ends with the last caller in it, and then knows better than ctx
	// what was wrong.
	timer := time.NewTimer(lastWord)
	defer timer.Stop()
	select {
	case o := <-r.outcome:
		return o
	case <-timer.C:
		return failed(fmt.Errorf("no answer from the broker: %w", ctx.Err()))
	}
}

// lastWord is how long a caller whose ctx has ended waits for the reason.
const lastWord = 50 * time.Millisecond

func failed(err error) outcome { return outcome{Result: broker.Result{Err: err}} }

func (g *gatherer) run() {
	defer close(g.done)
	last := 1
	for {
		select {
		case first := <-g.requests:
			batch := g.gather(first, last)
			g.publishBatch(batch)
			last = len(batch)
		case <-g.closing:
			return
		}
	}
}

// gather takes everybody who is there, and waits for as many as there were last
// time: they have just got their answers and are about to publish again.
func (g *gatherer) gather(first request, last int) []request {
	batch := append(make([]request, 0, max(last, 1)), first)
	var patience <-chan time.Time
	for len(batch) < broker.MaxBatchMsgs {
		select {
		case r := <-g.requests:
			batch = append(batch, r)
			continue
		default:
		}
		if len(batch) >= last {
			return batch
		}
		if patience == nil {
			timer := time.NewTimer(g.wait)
			defer timer.Stop()
			patience = timer.C
		}
		select {
		case r := <-g.requests:
			batch = append(batch, r)
		case <-patience:
			return batch
		case <-g.closing:
			return batch
		}
	}
	return batch
}

// publishBatch settles the batch, or gives each caller the word to try again.
//
//nolint:contextcheck,nolintlint // it has the contexts of all its callers; this is for what calls New
func (g *gatherer) publishBatch(batch []request) {
	// It belongs to all callers, so it ends with none of them.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(batch[0].ctx), attemptWait)
	defer cancel()
	msgs := make([]*nats.Msg, len(batch))
	var callers atomic.Int64
	callers.Store(int64(len(batch)))
	for i, r := range batch {
		msgs[i] = r.msg
		stop := context.AfterFunc(r.ctx, func() {
			if callers.Add(-1) == 0 {
				cancel() // nobody waits any more
			}
		})
		defer stop()
	}
	results := g.send(ctx, msgs)
	unanswered := ctx.Err() != nil
	for i, r := range batch {
		err := results[i].Err
		r.outcome <- outcome{Result: results[i], again: unanswered && err != nil && !final(err)}
	}
}

// final tells an error that another attempt would meet again, or that the caller
// is to act on.
func final(err error) bool {
	return errors.Is(err, ErrFull) || errors.Is(err, ErrTooLarge) || errors.Is(err, nats.ErrConnectionClosed)
}
