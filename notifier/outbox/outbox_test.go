package outbox

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/broker"
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
	c, err := w.conn.JS.Consumer(w.t.Context(), schemas.StreamAlerts, schemas.ReceiverConsumer(name).Durable)
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

// Killed fifty times under load: nothing lost, at most one repetition a kill.
func TestKilled(t *testing.T) {
	if os.Getenv(childBroker) != "" {
		deliverAsChild(t)
		return
	}
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	const kills = 50
	w, p := newWorld(t), newPeer(t)
	published := make([]string, 0, 2*kills*5)
	for range cap(published) {
		published = append(published, w.alert("a"))
	}
	for kill := range kills {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
		child.Env = append(os.Environ(), childBroker+"="+w.url, childPeer+"="+p.URL)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		goal := p.tried() + 1 + kill%7
		eventually(t, "some are delivered", func() bool { return p.tried() >= goal || len(p.has()) >= len(published) })
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // killed
	}
	out := w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)})
	eventually(t, "everything acknowledged", func() bool { return w.waiting("a") == 0 })
	out.drained(t)
	got := p.has()
	repeated := len(got) - len(slices.Compact(slices.Clone(got)))
	if repeated > kills {
		t.Errorf("%d repeated in %d kills", repeated, kills)
	}
	if !slices.Equal(slices.Compact(got), published) {
		t.Error("lost, or out of order")
	}
	t.Logf("%d alerts, %d kills, %d repeated, none lost", len(published), kills, repeated)
}

const (
	childBroker = "OUTBOX_TEST_BROKER"
	childPeer   = "OUTBOX_TEST_PEER"
)

func deliverAsChild(t *testing.T) {
	t.Helper()
	conn, err := broker.Connect(t.Context(), broker.NATS{URL: os.Getenv(childBroker), ConnectWait: 5 * time.Second}, "test", silent)
	if err != nil {
		t.Fatal(err)
	}
	o, err := New(conn, receiver.Env{}, prometheus.NewRegistry(), silent)
	if err != nil {
		t.Fatal(err)
	}
	o.ackWait = time.Second
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // should the parent die
	defer cancel()
	if err := o.Run(ctx, parse(t, map[string]string{"a": hook(os.Getenv(childPeer))})); err != nil {
		t.Fatal(err)
	}
}

func TestDelay(t *testing.T) {
	for n, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		want *= time.Second
		if low, high := delay(n+1, 0), delay(n+1, 0.999999); low != want/2 || high > want || high < want*99/100 {
			t.Errorf("after %d failures: from %s to %s, want half of %s to all of it", n+1, low, high, want)
		}
	}
	if got := delay(1<<40, 1); got != maxDelay {
		t.Errorf("got %s", got)
	}
}

// A secret that was missed before the alert, and the address of the webhook,
// reach neither the wire nor the log nor the outbox.
func TestNothingLeaks(t *testing.T) {
	w, p := newWorld(t), newPeer(t)
	var log bytes.Buffer
	var lock sync.Mutex
	logger := slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		lock.Lock()
		defer lock.Unlock()
		return log.Write(b)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	out := w.run(wallClock{}, logger, map[string]string{"a": hook(p.URL + "/T0KEN")})
	p.answers(func(id string, _ http.ResponseWriter) int {
		n, _ := strconv.Atoi(id[len(id)-1:])
		return []int{200, 403, 500, 410}[n%4]
	})
	for i := range 4 {
		id := fmt.Sprintf("leak-%d", i)
		a := receiver.Sample(id, time.Now())
		a.Data.Message = "connect postgres://app:hunter2@db/app failed, password=hunter2"
		a.Data.Title = a.Data.Message
		data, err := jsonOf(a)
		if err != nil {
			t.Fatal(err)
		}
		w.publish(id, data, "a")
	}
	eventually(t, "it retries", func() bool { return p.tried() >= 4 })
	out.drained(t)
	lock.Lock()
	defer lock.Unlock()
	for _, secret := range []string{"hunter2", "T0KEN", "postgres"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %s:\n%s", secret, log.String())
		}
	}
	if log.Len() == 0 {
		t.Error("nothing was logged")
	}
	store, err := Open(t.Context(), w.conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Each(t.Context(), "*", func(_ Entry, m jetstream.Msg) error {
		if bytes.Contains(m.Data(), []byte("hunter2")) || strings.Contains(fmt.Sprint(m.Headers()), "T0KEN") {
			t.Error("the outbox has a secret")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

type writer func([]byte) (int, error)

// Write implements io.Writer.
func (w writer) Write(b []byte) (int, error) { return w(b) }
