package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/broker"
	"sluice/schemas"
)

// fakeTable is a table in memory. Before each call script says what goes wrong.
type fakeTable struct {
	rows   map[uuid.UUID]int
	tokens map[string]bool
	calls  []string
	script func(call string, entries []entry) error
}

func (f *fakeTable) call(what string, entries []entry) error {
	f.calls = append(f.calls, fmt.Sprintf("%s %d", what, len(entries)))
	if f.script == nil {
		return nil
	}
	return f.script(what, entries)
}

func (f *fakeTable) known(_ context.Context, entries []entry) (map[uuid.UUID]struct{}, error) {
	err := f.call("look up", entries)
	found := map[uuid.UUID]struct{}{}
	for _, e := range entries {
		if f.rows[e.pk] > 0 {
			found[e.pk] = struct{}{}
		}
	}
	return found, err
}

func (f *fakeTable) insert(_ context.Context, entries []entry, token string) error {
	err := f.call("insert", entries)
	if err == nil || errors.Is(err, errLostAnswer) {
		f.commit(entries, token)
	}
	return err
}

func (f *fakeTable) commit(entries []entry, token string) {
	if f.tokens[token] {
		return
	}
	f.tokens[token] = true
	for _, e := range entries {
		f.rows[e.pk]++
	}
}

var (
	errAway       = &fault{text: "away", unreachable: true}
	errLostAnswer = errors.New("the answer was lost")
	errRefused    = &fault{code: 469, text: "code 469", refusal: true}
)

func newFakeTable() *fakeTable {
	return &fakeTable{rows: map[uuid.UUID]int{}, tokens: map[string]bool{}}
}

// twice reports pks that the table holds more than once.
func (f *fakeTable) twice() []uuid.UUID {
	return slices.DeleteFunc(slices.Collect(maps.Keys(f.rows)), func(pk uuid.UUID) bool { return f.rows[pk] == 1 })
}

func newTestStorer(table table) *storer {
	return &storer{table: table, seen: newFilter(1 << 20), stats: newMetrics(prometheus.NewRegistry()), log: slog.New(slog.DiscardHandler)}
}

// storeAll stores the entries as the loop does.
func storeAll(ctx context.Context, s *storer, all []entry) ([]refusal, error) {
	missing, err := s.fresh(ctx, all)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	refused, err := s.insert(ctx, missing, span{plan: "plan", from: 1, to: all[len(all)-1].from.Sequence + 1}, false)
	if err == nil {
		s.recovered()
	}
	return refused, err
}

// fakeMsg is a message that counts what is said about it.
type fakeMsg struct {
	jetstream.Msg
	data string
	acks atomic.Int32
}

func (m *fakeMsg) Data() []byte         { return []byte(m.data) }
func (m *fakeMsg) Subject() string      { return schemas.CleanSubject("acme", "login") }
func (m *fakeMsg) Headers() nats.Header { return nats.Header{} }
func (m *fakeMsg) Ack() error           { m.acks.Add(1); return nil }

func delivery(seq uint64, data string) broker.Delivery {
	return broker.Delivery{Msg: &fakeMsg{data: data}, Stream: schemas.StreamClean, Sequence: seq, Deliveries: 1, StoredAt: testStored, Pending: 1}
}

func entries(n int) []entry {
	out := make([]entry, n)
	for i := range out {
		out[i] = entry{row: row{pk: uuid.New()}, from: delivery(uint64(i+1), `{}`)}
	}
	return out
}

func TestStoreLooksUpBeforeItInserts(t *testing.T) {
	table := newFakeTable()
	s, all := newTestStorer(table), entries(10)
	for _, e := range all[:4] {
		table.rows[e.pk] = 1
	}
	refused, err := storeAll(t.Context(), s, all)
	if err != nil || len(refused) != 0 {
		t.Fatalf("store: %v, %v", refused, err)
	}
	if want := []string{"look up 10", "insert 6"}; !slices.Equal(table.calls, want) {
		t.Errorf("calls %q, want %q", table.calls, want)
	}
	if len(table.rows) != 10 || len(table.twice()) != 0 {
		t.Errorf("%d rows, twice %v", len(table.rows), table.twice())
	}
	if got := testutil.ToFloat64(s.stats.duplicates); got != 4 {
		t.Errorf("%v duplicates, want 4", got)
	}
}

func TestStoreOfWhatIsThereInsertsNothing(t *testing.T) {
	table := newFakeTable()
	s, all := newTestStorer(table), entries(3)
	for range 2 {
		if _, err := storeAll(t.Context(), s, all); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"look up 3", "insert 3", "look up 3"}; !slices.Equal(table.calls, want) {
		t.Errorf("calls %q, want %q", table.calls, want)
	}
}

// Each way in which an insert can fail: after all of them every row is there once.
func TestStoreSurvives(t *testing.T) {
	for _, tc := range []struct {
		name   string
		script func(f *fakeTable) func(call string, entries []entry) error
	}{
		{"ClickHouse away for five attempts", func(*fakeTable) func(string, []entry) error {
			n := 0
			return func(string, []entry) error {
				if n++; n <= 5 {
					return errAway
				}
				return nil
			}
		}},
		{"the answer lost", func(*fakeTable) func(string, []entry) error {
			lost := false
			return func(call string, _ []entry) error {
				if call == "insert" && !lost {
					lost = true
					return errLostAnswer
				}
				return nil
			}
		}},
		{"the answer lost and the rows visible only after the next look-up", func(f *fakeTable) func(string, []entry) error {
			var late []entry
			return func(call string, entries []entry) error {
				switch {
				case call == "insert" && late == nil:
					late = entries
					return errAway
				case call == "insert":
					for token := range f.tokens { // the first one commits now, under its token
						t.Errorf("token %s was used before", token)
					}
					for _, e := range late {
						f.rows[e.pk]++
					}
					// ClickHouse drops the second block: same token.
					for _, e := range entries {
						f.rows[e.pk]--
					}
				}
				return nil
			}
		}},
		{"half of the block stored", func(f *fakeTable) func(string, []entry) error {
			failed := false
			return func(call string, entries []entry) error {
				if call == "insert" && !failed {
					failed = true
					for _, e := range entries[:len(entries)/2] {
						f.rows[e.pk]++
					}
					return errAway
				}
				return nil
			}
		}},
		{"the token written down and the rows not", func(f *fakeTable) func(string, []entry) error {
			failed := 0
			return func(call string, entries []entry) error {
				if call != "insert" {
					return nil
				}
				switch failed++; failed {
				case 1:
					return errAway
				case 2: // success, and nothing stored
					for _, e := range entries {
						f.rows[e.pk]--
					}
				}
				return nil
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := newFakeTable()
				table.script = tc.script(table)
				s, all := newTestStorer(table), entries(8)
				refused, err := storeAll(t.Context(), s, all)
				if err != nil || len(refused) != 0 {
					t.Fatalf("store: %v, %v", refused, err)
				}
				if len(table.rows) != 8 || len(table.twice()) != 0 {
					t.Errorf("%d rows, not once %v; calls %q", len(table.rows), table.twice(), table.calls)
				}
				if got := testutil.ToFloat64(s.stats.stored); got != 8 {
					t.Errorf("%v counted as stored, want 8", got)
				}
				if !s.trouble.IsZero() {
					t.Error("the trouble is not over")
				}
			})
		})
	}
}

func TestStoreResendsUnderTheSameToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tokens []string
		table := &tokenTable{seen: &tokens}
		if _, err := storeAll(t.Context(), newTestStorer(table), entries(1)); err != nil {
			t.Fatal(err)
		}
		if len(tokens) != 3 || tokens[0] != tokens[1] || tokens[1] != tokens[2] {
			t.Errorf("tokens %q, want the same three times", tokens)
		}
	})
}

// tokenTable fails two inserts and notes the tokens.
type tokenTable struct{ seen *[]string }

func (f *tokenTable) known(_ context.Context, entries []entry) (map[uuid.UUID]struct{}, error) {
	if len(*f.seen) < 3 {
		return map[uuid.UUID]struct{}{}, nil
	}
	return map[uuid.UUID]struct{}{entries[0].pk: {}}, nil
}

func (f *tokenTable) insert(_ context.Context, _ []entry, token string) error {
	if *f.seen = append(*f.seen, token); len(*f.seen) < 3 {
		return errAway
	}
	return nil
}

// A table that hides its rows from the sink must not be filled without end.
func TestStoreBelievesAFreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newFakeTable()
		failed := false
		table.script = func(call string, entries []entry) error {
			for _, e := range entries {
				delete(table.rows, e.pk)
			}
			if call == "insert" && !failed {
				failed = true
				return errAway
			}
			return nil
		}
		if _, err := storeAll(t.Context(), newTestStorer(table), entries(2)); err != nil {
			t.Fatal(err)
		}
		if n := len(table.calls); n != 6 {
			t.Errorf("calls %q", table.calls)
		}
	})
}

func TestStoreFindsTheRowsThatAreRefused(t *testing.T) {
	const total, bad = 10_000, 7
	table := newFakeTable()
	s, all := newTestStorer(table), entries(total)
	poison := map[uuid.UUID]bool{}
	for i := range bad {
		poison[all[(i*1429)%total].pk] = true
	}
	table.script = func(call string, entries []entry) error {
		if call == "insert" && slices.ContainsFunc(entries, func(e entry) bool { return poison[e.pk] }) {
			return errRefused
		}
		return nil
	}
	refused, err := storeAll(t.Context(), s, all)
	if err != nil {
		t.Fatal(err)
	}
	if len(refused) != bad || len(table.rows) != total-bad || len(table.twice()) != 0 {
		t.Errorf("%d refused, %d rows, want %d and %d", len(refused), len(table.rows), bad, total-bad)
	}
	for _, r := range refused {
		if !poison[all[r.from.Sequence-1].pk] || r.detail != errRefused.Error() {
			t.Errorf("refused message %d: %s", r.from.Sequence, r.detail)
		}
	}
	if limit := 2 * 2 * bad * 14; len(table.calls) > limit {
		t.Errorf("%d calls, want at most %d", len(table.calls), limit)
	}
}

func TestStoreEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newFakeTable()
		table.script = func(string, []entry) error { return errAway }
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := storeAll(ctx, newTestStorer(table), entries(1))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		// 100 ms doubling to 10 s, then every 10 s for an hour.
		if n := len(table.calls); n < 300 || n > 400 {
			t.Errorf("%d attempts in an hour", n)
		}
	})
}

func TestTroubleIsSaidOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := &countingWriter{}
		table := newFakeTable()
		start := time.Now()
		table.script = func(string, []entry) error {
			if time.Since(start) < 150*time.Second {
				return errAway
			}
			return nil
		}
		s := newTestStorer(table)
		s.log = slog.New(slog.NewTextHandler(lines, nil))
		if _, err := storeAll(t.Context(), s, entries(1)); err != nil {
			t.Fatal(err)
		}
		if lines.n != 4 { // at 0, 60, 120 s, and that it is over
			t.Errorf("%d lines", lines.n)
		}
	})
}

type countingWriter struct{ n int }

func (w *countingWriter) Write(p []byte) (int, error) { w.n++; return len(p), nil }
