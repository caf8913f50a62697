package outbox

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/notifier/receiver"
	"sluice/schemas"
)

var silent = slog.New(slog.DiscardHandler)

// Each receiver gets what names it, in order, and everything is acknowledged.
func TestEachReceiverGetsItsOwn(t *testing.T) {
	w, a, b := newWorld(t), newPeer(t), newPeer(t)
	out := w.run(wallClock{}, silent, map[string]string{"a": hook(a.URL), "b": hook(b.URL)})
	var wantA, wantB []string
	for i := range 30 {
		switch i % 4 {
		case 0:
			wantA = append(wantA, w.alert("a"))
		case 1:
			wantB = append(wantB, w.alert("b", "unknown"))
		case 2:
			id := w.alert("b", "a")
			wantA, wantB = append(wantA, id), append(wantB, id)
		case 3:
			w.alert()
		}
	}
	wantTaken(t, a, wantA)
	wantTaken(t, b, wantB)
	for _, name := range []string{"a", "b"} {
		eventually(t, "everything acknowledged by "+name, func() bool { return w.waiting(name) == 0 })
	}
	out.drained(t)
}

// waiting is how many alerts the receiver's consumer has not acknowledged.
func (w *world) waiting(name string) int {
	w.t.Helper()
	return w.left(schemas.ReceiverConsumer(name))
}

// replaying is the same for those that are to be delivered again.
func (w *world) replaying(name string) int {
	w.t.Helper()
	return w.left(schemas.ReplayConsumer(name))
}

func (w *world) left(of schemas.Consumer) int {
	w.t.Helper()
	c, err := w.conn.JS.Consumer(w.t.Context(), of.Stream, of.Durable)
	if err != nil {
		return -1
	}
	info, err := c.Info(w.t.Context())
	if err != nil {
		return -1
	}
	return int(info.NumPending) + info.NumAckPending
}

// A receiver that is down for an hour delays no other one, and gets everything in
// order when it is back: once it refuses, once nobody listens.
func TestDownForAnHour(t *testing.T) {
	w, up := newWorld(t), newPeer(t)
	down := newPeer(t)
	down.answers(always(http.StatusServiceUnavailable))
	away := newPeer(t)
	address := away.URL
	away.Close()
	clock := newClock()
	out := w.run(clock, silent, map[string]string{"up": hook(up.URL), "down": hook(down.URL), "away": hook(address)})
	begun := clock.Now()
	var want []string
	for range 20 {
		want = append(want, w.alert("down", "up", "away"))
	}
	wantTaken(t, up, want) // the clock stands still: nobody waits for anybody
	for clock.Now().Sub(begun) < time.Hour {
		eventually(t, "a receiver waits", clock.skip)
	}
	for range 20 {
		want = append(want, w.alert("down", "up", "away"))
	}
	wantTaken(t, up, want)
	if len(down.has()) > 0 {
		t.Error("the receiver that is down has taken something")
	}
	t.Logf("%d attempts in %s", down.tried(), clock.Now().Sub(begun).Round(time.Second))
	down.answers(nil)
	for len(down.has()) == 0 {
		clock.skip()
	}
	wantTaken(t, down, want)
	back := newPeerAt(t, address)
	for len(back.has()) == 0 {
		clock.skip()
	}
	wantTaken(t, back, want)
	out.drained(t)
}

// What is refused is kept, said why, and delivered again when a person says so.
func TestRefusedIsKeptAndReplayed(t *testing.T) {
	w, p := newWorld(t), newPeer(t)
	out := w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)})
	p.answers(func(id string, _ http.ResponseWriter) int {
		if id == "alert-0002" || id == "alert-0003" {
			return http.StatusForbidden
		}
		return http.StatusOK
	})
	for range 4 {
		w.alert("a")
	}
	w.publish("broken", []byte(`{"not":"an alert"}`), "a")
	wantTaken(t, p, []string{"alert-0001", "alert-0004"})
	store, err := Open(t.Context(), w.conn)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "three kept", func() bool { return len(kept(t, store)) == 3 })
	entries := kept(t, store)
	if e := entries[0]; e.Receiver != "a" || e.AlertID != "alert-0002" || e.Why != "answered 403 Forbidden" || e.Attempts != 1 {
		t.Errorf("got %+v", e)
	}
	if e := entries[2]; e.Why != "not a CloudEvent with an alert" || e.Attempts != 0 {
		t.Errorf("got %+v", e)
	}
	p.answers(nil)
	if n, enabled, err := store.Replay(t.Context(), "a", entries[1].Sequence); n != 1 || enabled || err != nil {
		t.Fatalf("replayed %d, enabled %v: %v", n, enabled, err)
	}
	wantTaken(t, p, []string{"alert-0001", "alert-0004", "alert-0003"})
	if _, _, err := store.Replay(t.Context(), "a", 4711); err == nil {
		t.Error("an alert that is not there is replayed")
	}
	if n, _, err := store.Replay(t.Context(), "a"); n != 2 || err != nil {
		t.Fatalf("replayed %d: %v", n, err)
	}
	wantTaken(t, p, []string{"alert-0001", "alert-0004", "alert-0003", "alert-0002"})
	eventually(t, "what is broken comes back, and the rest is gone", func() bool {
		info, err := store.stream.Info(t.Context())
		return err == nil && info.State.Msgs == 1
	})
	out.drained(t)
}

func kept(t *testing.T, s *Store) []Entry {
	t.Helper()
	var out []Entry
	if err := s.Each(t.Context(), "*", func(e Entry, _ jetstream.Msg) error {
		out = append(out, e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// A receiver that is gone is left alone, is seen to be, and goes on where it was.
func TestGoneDisables(t *testing.T) {
	w, p := newWorld(t), newPeer(t)
	p.answers(always(http.StatusGone))
	out := w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)})
	want := []string{w.alert("a"), w.alert("a")}
	store := w.disabled("a")
	want = append(want, w.alert("a"))
	if p.tried() != 1 {
		t.Errorf("tried %d times", p.tried())
	}
	list, err := store.Receivers(t.Context())
	if err != nil || len(list) != 1 || list[0].Disabled != "answered 410 Gone" || list[0].Waiting != 3 {
		t.Errorf("got %+v: %v", list, err)
	}
	p.answers(nil)
	if n, enabled, err := store.Replay(t.Context(), "a"); n != 0 || !enabled || err != nil {
		t.Fatalf("replayed %d, enabled %v: %v", n, enabled, err)
	}
	wantTaken(t, p, want)

	p.answers(always(http.StatusGone))
	want = append(want, w.alert("a"))
	w.disabled("a")
	out.drained(t)
	p.answers(nil)
	again := w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)}) // a restart tries again
	wantTaken(t, p, want)
	again.drained(t)
}

func (w *world) disabled(name string) *Store {
	w.t.Helper()
	store, err := openStore(w.t.Context(), w.conn)
	if err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "it is disabled", func() bool {
		d, err := store.isDisabled(w.t.Context(), name)
		return err == nil && d != nil
	})
	return store
}

// An alert is tried for a day and then kept; the next one gets its turn.
func TestExhausted(t *testing.T) {
	w, p, clock := newWorld(t), newPeer(t), newClock()
	p.answers(always(http.StatusBadGateway))
	out := w.run(clock, silent, map[string]string{"a": hook(p.URL)})
	begun := clock.Now()
	w.alert("a")
	last := w.alert("a")
	store, err := openStore(t.Context(), w.conn)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first is given up", func() bool {
		clock.skip()
		return len(kept(t, store)) > 0
	})
	e := kept(t, store)[0]
	if lasted := clock.Now().Sub(begun); lasted < 24*time.Hour || lasted > 26*time.Hour {
		t.Errorf("it was tried for %s", lasted)
	}
	if e.AlertID != "alert-0001" || e.Why != "given up after a day: answered 502 Bad Gateway" {
		t.Errorf("got %+v", e)
	}
	t.Logf("%d attempts in a day", e.Attempts)
	p.answers(nil)
	eventually(t, "the second is taken", func() bool {
		clock.skip()
		return len(p.has()) > 0
	})
	wantTaken(t, p, []string{last})
	out.drained(t)
}

func TestRetryAfter(t *testing.T) {
	w, p, clock := newWorld(t), newPeer(t), newClock()
	p.answers(func(_ string, w http.ResponseWriter) int {
		w.Header().Set("Retry-After", "1800")
		return http.StatusTooManyRequests
	})
	out := w.run(clock, silent, map[string]string{"a": hook(p.URL)})
	id := w.alert("a")
	eventually(t, "it waits", func() bool { return clock.wait(0) > 0 })
	if got := clock.wait(0); got != 30*time.Minute {
		t.Errorf("it waits %s, want 30m", got)
	}
	p.answers(nil)
	clock.skip()
	wantTaken(t, p, []string{id})
	out.drained(t)
}

// Other receivers take over without a restart; what cannot be opened does not.
func TestFollow(t *testing.T) {
	w, a, b := newWorld(t), newPeer(t), newPeer(t)
	o, err := New(w.connect(), receiver.Env{}, prometheus.NewRegistry(), silent)
	if err != nil {
		t.Fatal(err)
	}
	changes, done := make(chan []receiver.Receiver), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { done <- o.Follow(ctx, nil, changes) }()
	first, second := w.alert("a"), w.alert("b")
	changes <- parse(t, map[string]string{"a": hook(a.URL)})
	wantTaken(t, a, []string{first})
	changes <- parse(t, map[string]string{"b": "{type: slack, url_env: THERE_IS_NO_SUCH_VARIABLE}"})
	third := w.alert("a")
	wantTaken(t, a, []string{first, third})
	changes <- parse(t, map[string]string{"b": hook(b.URL)})
	wantTaken(t, b, []string{second})
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A consumer that somebody removes is made again at recent alerts, and one that is
// there goes on where it was.
func TestConsumerIsRemoved(t *testing.T) {
	w, p := newWorld(t), newPeer(t)
	out := w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)})
	first := w.alert("a")
	wantTaken(t, p, []string{first})
	eventually(t, "acknowledged", func() bool { return w.waiting("a") == 0 })
	out.drained(t)
	out = w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)})
	second := w.alert("a")
	wantTaken(t, p, []string{first, second})
	eventually(t, "acknowledged", func() bool { return w.waiting("a") == 0 })
	if err := w.conn.JS.DeleteConsumer(t.Context(), schemas.StreamAlerts, schemas.ReceiverConsumer("a").Durable); err != nil {
		t.Fatal(err)
	}
	third := w.alert("a")
	wantTaken(t, p, []string{first, second, first, second, third})
	c, err := w.conn.JS.Consumer(t.Context(), schemas.StreamAlerts, schemas.ReceiverConsumer("a").Durable)
	if err != nil {
		t.Fatal(err)
	}
	if begin := c.CachedInfo().Config.OptStartTime; begin == nil || time.Since(*begin) < firstAge {
		t.Errorf("it begins at %v", begin)
	}
	out.drained(t)
}

func TestRateLimit(t *testing.T) {
	w, p, clock := newWorld(t), newPeer(t), newClock()
	out := w.run(clock, silent, map[string]string{"a": strings.Replace(hook(p.URL), "10000/s", "30/m", 1)})
	want := []string{w.alert("a"), w.alert("a"), w.alert("a")}
	eventually(t, "the second waits", func() bool { return clock.wait(0) > 0 })
	if got := clock.wait(0).Round(time.Millisecond); got != 2*time.Second {
		t.Errorf("it waits %s, want 2s", got)
	}
	eventually(t, "all are taken", func() bool {
		clock.skip()
		return len(p.has()) == 3
	})
	wantTaken(t, p, want)
	out.drained(t)
}

// What is being sent when the notifier is stopped is sent to its end and
// acknowledged.
func TestDrains(t *testing.T) {
	w, p := newWorld(t), newPeer(t)
	sending, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p.answers(func(string, http.ResponseWriter) int {
		once.Do(func() { close(sending) })
		<-release
		return http.StatusOK
	})
	out := w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)})
	want := []string{w.alert("a"), w.alert("a")}
	<-sending
	out.stop()
	close(release)
	out.drained(t)
	wantTaken(t, p, want[:1])
	again := w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)})
	wantTaken(t, p, want)
	again.drained(t)
}

// Two notifiers share the work: nothing twice, nothing out of order, though each
// attempt takes longer than the broker waits for a word.
func TestTwoNotifiers(t *testing.T) {
	w, p := newWorld(t), newPeer(t)
	first := w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)})
	second := w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)})
	slow := time.NewTimer(1500 * time.Millisecond)
	p.answers(func(id string, _ http.ResponseWriter) int {
		if id == "alert-0003" {
			<-slow.C
		}
		return http.StatusOK
	})
	var want []string
	for range 200 {
		want = append(want, w.alert("a"))
	}
	wantTaken(t, p, want)
	first.drained(t)
	second.drained(t)
	wantTaken(t, p, want)
}

// BenchmarkDelivery is how many alerts one receiver gets in order: each waits for
// the answer and for the broker's word that it is done.
func BenchmarkDelivery(b *testing.B) {
	w, p := newWorld(b), newPeer(b)
	for b.Loop() {
		w.alert("a")
	}
	n := w.n
	begun := time.Now()
	out := w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)})
	eventually(b, "all are taken", func() bool { return len(p.has()) == n })
	b.ReportMetric(float64(n)/time.Since(begun).Seconds(), "alerts/s")
	out.drained(b)
}
