package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"sluice/internal/broker"
)

// fakeQuarantine takes everything, once full is closed if it is there.
type fakeQuarantine struct {
	got  []string
	full chan struct{}
}

func (q *fakeQuarantine) put(ctx context.Context, refused []refusal) error {
	if q.full != nil {
		select {
		case <-q.full:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, r := range refused {
		q.got = append(q.got, r.detail)
	}
	return nil
}

// fakePlanner notes the plans, and fails once another sink has the turn.
type fakePlanner struct {
	plans []plan
	lost  bool
}

func (p *fakePlanner) plan(_ context.Context, planned plan) error {
	if p.lost {
		return errTurnLost
	}
	p.plans = append(p.plans, planned)
	return nil
}

// rig is a loop with fakes at its edges, running in a synctest bubble.
type rig struct {
	table      *fakeTable
	quarantine *fakeQuarantine
	planner    *fakePlanner
	sink       *sink
	in         chan broker.Delivery
	stop       context.CancelFunc
	done       chan error
	sent       []*fakeMsg
}

func startPrepared(t *testing.T, change func(c *Config), prepare func(r *rig)) *rig {
	t.Helper()
	cfg := Config{BatchRows: 100, BatchBytes: 1 << 20, BatchAge: 500 * time.Millisecond, DrainTimeout: 15 * time.Second}
	if change != nil {
		change(&cfg)
	}
	r := &rig{table: newFakeTable(), quarantine: &fakeQuarantine{}, planner: &fakePlanner{}, in: make(chan broker.Delivery), done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	r.sink = newSink(cfg, newMapper(testRetention), newTestStorer(r.table), r.planner, r.quarantine)
	if prepare != nil {
		prepare(r)
	}
	go func() { r.done <- r.sink.loop(ctx, r.in) }()
	return r
}

func startLoop(t *testing.T, change func(c *Config)) *rig {
	t.Helper()
	return startPrepared(t, change, nil)
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

// acked is how many messages are acknowledged: the last one that is, and all
// before it.
func (r *rig) acked() int {
	for i := len(r.sent); i > 0; i-- {
		if r.sent[i-1].acks.Load() > 0 {
			return i
		}
	}
	return 0
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

// Nothing is acknowledged that is neither a row nor in quarantine.
func TestLoopWaitsForAFullQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := make(chan struct{})
		r := startPrepared(t, nil, func(r *rig) { r.quarantine.full = room })
		r.send(`{"user":1}`)
		r.event()
		time.Sleep(time.Hour)
		synctest.Wait()
		if r.acked() != 0 {
			t.Errorf("%d acknowledged with the quarantine full", r.acked())
		}
		close(room)
		if err := r.end(); err != nil || r.acked() != 2 || len(r.quarantine.got) != 1 {
			t.Errorf("%v, %d acknowledged, quarantined %q", err, r.acked(), r.quarantine.got)
		}
	})
}

// A plan that another sink left behind is stored as it was planned: the same
// messages, the same token, whatever this sink would have put together.
func TestLoopResumesAPlan(t *testing.T) {
	for _, tc := range []struct {
		name     string
		there    int // rows that the other sink got in
		send     int
		want     []string
		wantRows int
	}{
		{"nothing had been stored", 0, 8, []string{"look up 5", "insert 5", "look up 5", "look up 3", "insert 3"}, 8},
		{"all of it had", 5, 8, []string{"look up 5", "look up 3", "insert 3"}, 8},
		{"it had, and nothing follows", 5, 5, []string{"look up 5"}, 5},
		{"a part had", 2, 8, []string{"look up 5", "insert 3", "look up 3", "look up 3", "insert 3"}, 8},
		{"not all of it comes", 0, 4, nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pks := make([]uuid.UUID, tc.send)
				for i := range pks {
					pks[i] = uuid.New()
				}
				r := startPrepared(t, func(c *Config) { c.BatchRows = 3 }, func(r *rig) {
					r.sink.resumed = &plan{First: 1, Last: 5, Token: "left"}
					for _, pk := range pks[:min(tc.there, len(pks))] {
						r.table.rows[pk]++
					}
				})
				for _, pk := range pks {
					r.send(fmt.Sprintf(`{"pk":%q}`, pk))
				}
				time.Sleep(time.Minute)
				if err := r.end(); err != nil || !slices.Equal(r.table.calls, tc.want) || len(r.table.rows) != tc.wantRows || len(r.table.twice()) != 0 {
					t.Errorf("%v, calls %q, want %q; %d rows, want %d", err, r.table.calls, tc.want, len(r.table.rows), tc.wantRows)
				}
				if tc.there < 5 && tc.wantRows > 0 && !r.table.tokens["left/1-6"] {
					t.Errorf("tokens %v", r.table.tokens)
				}
			})
		})
	}
}

// The messages of a plan, and even the last of them, may have been erased from
// the stream meanwhile.
func TestLoopResumesAPlanWithGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startPrepared(t, nil, func(r *rig) { r.sink.resumed = &plan{First: 1, Last: 3, Token: "left"} })
		r.event()
		r.event()
		r.sent = append(r.sent, &fakeMsg{}) // the third is gone
		r.event()
		if err := r.end(); err != nil || r.acked() != 4 || len(r.table.rows) != 3 {
			t.Errorf("%v, %d acknowledged, %d rows", err, r.acked(), len(r.table.rows))
		}
		if !r.table.tokens["left/1-4"] || len(r.planner.plans) != 1 || r.planner.plans[0].First != 4 {
			t.Errorf("tokens %v, plans %v", r.table.tokens, r.planner.plans)
		}
	})
}

// What is left of a plan is stored even if nothing follows it in the stream.
func TestLoopResumesAPlanWhoseEndIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startPrepared(t, nil, func(r *rig) { r.sink.resumed = &plan{First: 1, Last: 3, Token: "left"} })
		r.event()
		last := delivery(2, fmt.Sprintf(`{"pk":%q}`, uuid.New()))
		last.Pending = 0
		r.sent = append(r.sent, last.Msg.(*fakeMsg))
		r.in <- last
		synctest.Wait()
		if len(r.table.rows) != 2 || r.acked() != 2 || !r.table.tokens["left/1-4"] {
			t.Errorf("%d rows, %d acknowledged, tokens %v", len(r.table.rows), r.acked(), r.table.tokens)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestLoopEndsWhenTheTurnIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startPrepared(t, nil, func(r *rig) { r.planner.lost = true })
		r.event()
		if err := r.end(); !errors.Is(err, errTurnLost) || len(r.table.rows) != 0 || r.acked() != 0 {
			t.Errorf("%v, %d rows, %d acknowledged", err, len(r.table.rows), r.acked())
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
		if err := r.end(); !errors.Is(err, errUnsettled) || r.acked() != 0 {
			t.Errorf("%v, %d acknowledged", err, r.acked())
		}
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("took %s, want 15s", took)
		}
	})
}

// TestGone: what went from the stream before it was read is said, and counted once.
func TestGone(t *testing.T) {
	tests := []struct {
		name string
		done uint64 // settled before
		seqs []uint64
		want string
	}{
		{"nothing", 0, []uint64{1, 2, 3}, ""},
		{"a stream that begins later", 0, []uint64{7, 8}, ""},
		{"after what is settled", 4, []uint64{5, 6}, ""},
		{"purged before the first", 4, []uint64{9}, "msgs=4 first_seq=5 last_seq=8\n"},
		{"in the middle", 0, []uint64{1, 4, 5}, "msgs=2 first_seq=2 last_seq=3\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said bytes.Buffer
				r := startPrepared(t, nil, func(r *rig) {
					r.sink.log = slog.New(slog.NewTextHandler(&said, nil))
					r.sink.done.Store(tt.done)
				})
				for _, seq := range tt.seqs {
					r.in <- delivery(seq, `{}`)
				}
				if err := r.end(); err != nil {
					t.Fatal(err)
				}
				_, got, _ := strings.Cut(said.String(), "purged by mistake\" ")
				if got != tt.want {
					t.Errorf("got %q, want %q", said.String(), tt.want)
				}
			})
		})
	}
}
