package producer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
)

// counted is a send that takes a while and keeps the sizes of its batches.
type counted struct {
	mu    sync.Mutex
	sizes []int
	takes time.Duration
}

func (c *counted) send(ctx context.Context, msgs []*nats.Msg) []broker.Result {
	c.mu.Lock()
	c.sizes = append(c.sizes, len(msgs))
	c.mu.Unlock()
	results := make([]broker.Result, len(msgs))
	timer := time.NewTimer(c.takes)
	defer timer.Stop()
	select {
	case <-timer.C:
		for i := range results {
			results[i].Sequence = 1
		}
	case <-ctx.Done():
		for i := range results {
			results[i].Err = ErrNoStream
		}
	}
	return results
}

func TestGatherNeverDelaysWhoPublishesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{takes: time.Microsecond}
		g := newGatherer(time.Hour, c.send)
		started := time.Now()
		for range 3 {
			if r := g.publish(t.Context(), &nats.Msg{}); r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		if took := time.Since(started); took != 3*time.Microsecond {
			t.Errorf("three messages took %s, want three times the broker's %s", took, c.takes)
		}
		g.close()
	})
}

func TestGatherSharesBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const goroutines, each = 50, 20
		c := &counted{takes: time.Millisecond}
		g := newGatherer(time.Millisecond, c.send)
		var wg sync.WaitGroup
		for range goroutines {
			wg.Go(func() {
				for range each {
					if r := g.publish(t.Context(), &nats.Msg{}); r.Err != nil || r.Sequence != 1 {
						t.Errorf("got %+v", r)
					}
				}
			})
		}
		wg.Wait()
		g.close()
		total := 0
		for _, size := range c.sizes {
			total += size
		}
		if total != goroutines*each || len(c.sizes) > each+2 {
			t.Errorf("%d messages in %d batches %v, want %d in about %d", total, len(c.sizes), c.sizes, goroutines*each, each)
		}
	})
}

func TestGatherEndsWithItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{takes: time.Hour}
		g := newGatherer(time.Millisecond, c.send)
		for name, wait := range map[string]time.Duration{"within an attempt": time.Second, "after several": 3 * attemptWait} {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			started := time.Now()
			r := g.publish(ctx, &nats.Msg{})
			if !errors.Is(r.Err, ErrNoStream) {
				t.Errorf("%s: got %v, want the broker's last word", name, r.Err)
			}
			if took := time.Since(started); took > wait+lastWord {
				t.Errorf("%s: it took %s of %s", name, took, wait)
			}
			cancel()
		}
		g.close()
	})
}

func TestGatherCloseFinishesWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{takes: time.Second}
		g := newGatherer(time.Millisecond, c.send)
		inFlight := make(chan broker.Result)
		go func() { inFlight <- g.publish(t.Context(), &nats.Msg{}) }()
		synctest.Wait()
		closed := make(chan struct{})
		go func() { g.close(); close(closed) }()
		synctest.Wait()
		if r := g.publish(t.Context(), &nats.Msg{}); !errors.Is(r.Err, ErrClosed) {
			t.Errorf("after close: %v, want %v", r.Err, ErrClosed)
		}
		select {
		case <-closed:
			t.Error("closed before the batch in flight was done")
		default:
		}
		if r := <-inFlight; r.Err != nil {
			t.Errorf("in flight: %v", r.Err)
		}
		<-closed
		g.close() // again is harmless
	})
}
