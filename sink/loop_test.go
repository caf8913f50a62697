package sink

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/broker"
)

// fakeQuarantine takes everything, unless it is full.
type fakeQuarantine struct {
	got  []string
	full bool
}

func (q *fakeQuarantine) put(_ context.Context, refused []refusal) (left []broker.Delivery) {
	for _, r := range refused {
		if q.full {
			left = append(left, r.from)
			continue
		}
		q.got = append(q.got, r.detail)
	}
	return left
}

// rig is a loop with fakes at its edges, running in a synctest bubble.
type rig struct {
	table      *fakeTable
	quarantine *fakeQuarantine
	in         chan broker.Delivery
	stop       context.CancelFunc
	done       chan error
	sent       []*fakeMsg
}

func startLoop(t *testing.T, change func(c *Config)) *rig {
	t.Helper()
	cfg := Config{BatchRows: 100, BatchBytes: 1 << 20, BatchAge: 500 * time.Millisecond, DrainTimeout: 15 * time.Second}
	if change != nil {
		change(&cfg)
	}
	r := &rig{table: newFakeTable(), quarantine: &fakeQuarantine{}, in: make(chan broker.Delivery), done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	s := newSink(cfg, newMapper(testRetention), r.table, r.quarantine, newMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	go func() { r.done <- s.loop(ctx, r.in) }()
	return r
}

func (r *rig) send(data string) {
	d := delivery(uint64(len(r.sent)+1), data)
	r.sent = append(r.sent, d.Msg.(*fakeMsg))
	r.in <- d
}

func (r *rig) event() { r.send(fmt.Sprintf(`{"pk":%q}`, uuid.New())) }

// end stops the loop as a feed does and returns what it ends with.
func (r *rig) end() error {
	r.stop()
	close(r.in)
	return <-r.done
}

func (r *rig) acked() int {
	n := 0
	for _, m := range r.sent {
		n += int(m.acks.Load())
	}
	return n
}

func TestLoopFlushesByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startLoop(t, nil)
		r.event()
		time.Sleep(400 * time.Millisecond)
		r.event()
		synctest.Wait()
		if r.acked() != 0 {
			t.Error("flushed before its age")
		}
		time.Sleep(250 * time.Millisecond) // the age of the first, and a tick
		synctest.Wait()
		if r.acked() != 2 || !slices.Equal(r.table.calls, []string{"look up 2", "insert 2"}) {
			t.Errorf("%d acknowledged, calls %q", r.acked(), r.table.calls)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestLoopFlushesByRowsAndBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startLoop(t, func(c *Config) { c.BatchRows, c.BatchBytes = 3, 200 })
		for range 3 {
			r.event()
		}
		synctest.Wait()
		if r.acked() != 3 {
			t.Errorf("by rows: %d acknowledged, want 3", r.acked())
		}
		r.send(fmt.Sprintf(`{"app":%q}`, make([]byte, 60)))
		synctest.Wait()
		if r.acked() != 4 {
			t.Errorf("by bytes: %d acknowledged, want 4", r.acked())
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestLoopFillsTheNextBatchAndThenStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startLoop(t, func(c *Config) { c.BatchRows = 3 })
		release := make(chan struct{})
		r.table.script = func(string, []entry) error { <-release; return nil }
		for range 6 { // three being stored, three filling
			r.event()
		}
		synctest.Wait()
		select {
		case r.in <- delivery(7, `{}`):
			t.Fatal("read a seventh with two batches full")
		default:
		}
		// The messages in hand are held while that lasts.
		time.Sleep(61 * time.Second)
		synctest.Wait()
		for i, m := range r.sent {
			if m.holds.Load() != 3 || m.acks.Load() != 0 {
				t.Errorf("message %d: held %d times, acknowledged %d", i, m.holds.Load(), m.acks.Load())
			}
		}
		close(release)
		r.event()
		if err := r.end(); err != nil || r.acked() != 7 || len(r.table.rows) != 7 {
			t.Errorf("%v, %d acknowledged, %d rows, want 7", err, r.acked(), len(r.table.rows))
		}
	})
}

func TestLoopStoresAPKOnceAndAcknowledgesBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startLoop(t, nil)
		pk := fmt.Sprintf(`{"pk":%q}`, uuid.New())
		r.send(pk)
		r.send(pk)
		time.Sleep(time.Second)
		r.send(pk)
		if err := r.end(); err != nil || r.acked() != 3 || len(r.table.rows) != 1 || len(r.table.twice()) != 0 {
			t.Errorf("%v, %d acknowledged, %v", err, r.acked(), r.table.rows)
		}
	})
}

func TestLoopQuarantines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startLoop(t, nil)
		r.event()
		r.send(`{"user":1}`)
		if err := r.end(); err != nil || r.acked() != 2 || len(r.quarantine.got) != 1 || len(r.table.rows) != 1 {
			t.Errorf("%v, %d acknowledged, quarantined %q, %d rows", err, r.acked(), r.quarantine.got, len(r.table.rows))
		}
	})
}

func TestLoopGoesOnWithAFullQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startLoop(t, nil)
		r.quarantine.full = true
		r.event()
		r.send(`{"user":1}`)
		if err := r.end(); err != nil || r.sent[0].acks.Load() != 1 || r.sent[1].acks.Load() != 0 {
			t.Errorf("%v, acknowledged %d and %d", err, r.sent[0].acks.Load(), r.sent[1].acks.Load())
		}
	})
}

func TestLoopDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startLoop(t, nil)
		for range 5 {
			r.event()
		}
		if err := r.end(); err != nil || r.acked() != 5 || len(r.table.rows) != 5 {
			t.Errorf("%v, %d acknowledged, %d rows", err, r.acked(), len(r.table.rows))
		}
	})
}

func TestLoopGivesUpDrainingAfterItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startLoop(t, nil)
		r.table.script = func(string, []entry) error { return errAway }
		r.event()
		start := time.Now()
		if err := r.end(); err != nil || r.acked() != 0 {
			t.Errorf("%v, %d acknowledged", err, r.acked())
		}
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("took %s, want 15s", took)
		}
	})
}
