package notifier

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/notifier/rules"
	"sluice/schemas"
)

const (
	// long is an interval that does not end within a test, short one that does.
	long  = time.Hour
	short = time.Second
)

var boom = messageEvent("billing", "boom")

func TestIdenticalEventsAreOneAlertAndOneUpdate(t *testing.T) {
	w := newWorld(t)
	s := w.start(2*time.Second, long, nil)
	w.events(1000, "system_exception", boom)
	alerts := w.wantAlerts("firing 1", "update 1000")
	w.wantAcknowledged()
	a, u := alerts[0], alerts[1]
	if a.ID == u.ID || a.Data.Fingerprint != u.Data.Fingerprint || a.Data.Title != "boom" || string(a.Data.Event) != boom || a.Data.Severity != schemas.SeverityAlert {
		t.Errorf("got %+v and %+v", a, u)
	}
	if writes := s.metric(t, "notifier_state_writes_total"); writes > 10 {
		t.Errorf("%v writes to the store", writes)
	}
	if got := s.metric(t, "notifier_events_total", "outcome=folded"); got != 1000 {
		t.Errorf("%v events folded", got)
	}
	if got := s.metric(t, "notifier_alerts_total", "type=sluice.alert.update", "severity=alert"); got != 1 {
		t.Errorf("%v updates counted", got)
	}
	if strings.Contains(s.log.String(), "boom") {
		t.Error("the log shows an event")
	}
}

func TestUpdateAvailableIsToldOnceAVersion(t *testing.T) {
	w := newWorld(t)
	s := w.start(short, long, nil)
	version := func(v string) string { return fmt.Sprintf(`{"app":"a","context":{"new_version":%q}}`, v) }
	w.events(20, "update_available", version("1.2.0"))
	w.wantAlerts("firing 1")
	s.stop(t)
	w.start(short, long, nil)
	w.events(20, "update_available", version("1.2.0"))
	w.events(1, "update_available", version("1.1.0"))
	w.events(1, "update_available", version("1.3.0"))
	alerts := w.wantAlerts("firing 1", "firing 1")
	w.wantAcknowledged()
	if alerts[1].Data.Severity != schemas.SeverityNotice || !strings.Contains(alerts[1].Data.Title, "1.3.0") {
		t.Errorf("got %+v", alerts[1].Data)
	}
	if groups := w.groups(); len(groups) != 1 || groups[0].Versions.Newest != "1.3.0" {
		t.Errorf("groups %+v", groups)
	}
}

func TestRestartForgetsNothingAndRepeatsNothing(t *testing.T) {
	w := newWorld(t)
	s := w.start(4*time.Second, long, nil)
	w.events(10, "system_exception", boom)
	w.wantAlerts("firing 1")
	s.stop(t)
	w.wantAcknowledged()
	if groups := w.groups(); len(groups) != 1 || len(groups[0].Pending) != 0 || groups[0].Count != 10 {
		t.Fatalf("after the drain the store has %+v", groups)
	}
	w.events(10, "system_exception", boom) // while nobody is there
	w.start(4*time.Second, long, nil)
	w.wantAlerts("firing 1", "update 20")
	w.wantAcknowledged()
}

func TestQuietResolvesAndForgets(t *testing.T) {
	w := newWorld(t)
	w.start(short, short, nil)
	w.events(1, "system_exception", boom)
	w.wantAlerts("firing 1", "resolved 1")
	w.eventually("no group", func() bool { return len(w.groups()) == 0 }, func() any { return w.groups() })
	w.events(1, "system_exception", boom)
	alerts := w.wantAlerts("firing 1", "resolved 1", "firing 1", "resolved 1")
	if alerts[0].ID == alerts[2].ID || alerts[0].Data.Fingerprint != alerts[2].Data.Fingerprint {
		t.Errorf("the second time has id %s after %s", alerts[2].ID, alerts[0].ID)
	}
}

func TestTwoNotifiersTellOnceAndCountRight(t *testing.T) {
	w := newWorld(t)
	a := w.start(3*time.Second, long, nil)
	b := w.start(3*time.Second, long, nil)
	const kinds, each, rounds = 5, 60, 10
	for range rounds {
		for kind := range kinds {
			w.events(each, "system_exception", messageEvent("app", "trouble "+strings.Repeat("x", kind)))
		}
	}
	w.wantAcknowledged()
	total := func() uint64 {
		last := map[string]uint64{}
		for _, alert := range w.alerts() {
			last[alert.Data.Fingerprint] = max(last[alert.Data.Fingerprint], alert.Data.Count)
		}
		sum := uint64(0)
		for _, n := range last {
			sum += n
		}
		return sum
	}
	w.eventually("every event counted", func() bool { return total() >= kinds*each*rounds }, func() any { return brief(w.alerts()) })
	if total() != kinds*each*rounds {
		t.Errorf("counted %d of %d", total(), kinds*each*rounds)
	}
	seen, firings := map[string]bool{}, 0
	for _, alert := range w.alerts() {
		if seen[alert.ID] {
			t.Errorf("alert %s stands there twice", alert.ID)
		}
		seen[alert.ID] = true
		if alert.Type == schemas.AlertFiring {
			firings++
		}
	}
	if firings != kinds {
		t.Errorf("%d firings of %d kinds", firings, kinds)
	}
	for _, s := range []*service{a, b} {
		if s.metric(t, "notifier_events_total", "outcome=folded") == 0 || s.metric(t, "notifier_groups") != kinds {
			t.Error("one of the two did not share the work")
		}
		t.Logf("%v writes, %v of them second to the other's", s.metric(t, "notifier_state_writes_total"), s.metric(t, "notifier_cas_conflicts_total"))
	}
}

// TestAnotherNotifierTakesOver leaves a group in the store as a notifier does
// that dies before it publishes, while another one runs.
func TestAnotherNotifierTakesOver(t *testing.T) {
	w := newWorld(t)
	w.start(long, long, nil)
	o := observe(t, "system_exception", boom)
	g := &group{key: o.key}
	g.fold(o, time.Now(), testTiming)
	data, err := g.encode()
	if err != nil {
		t.Fatal(err)
	}
	kv, err := w.conn.JS.KeyValue(t.Context(), Bucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), g.key, data); err != nil {
		t.Fatal(err)
	}
	alerts := w.wantAlerts("firing 1")
	if alerts[0].ID != g.Pending[0].Alert.ID {
		t.Errorf("published as %s, pending as %s", alerts[0].ID, g.Pending[0].Alert.ID)
	}
	w.eventually("nothing pending", func() bool { return len(w.groups()[0].Pending) == 0 }, func() any { return w.groups() })
}

func TestPurgedGroupFiresAnew(t *testing.T) {
	w := newWorld(t)
	s := w.start(long, long, nil)
	kv, err := w.conn.JS.KeyValue(t.Context(), Bucket)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		w.events(1, "system_exception", boom)
		w.wantAlerts([]string{"firing 1", "firing 1", "firing 1"}[:i+1]...)
		w.eventually("nothing pending", func() bool { g := w.groups(); return len(g) == 1 && len(g[0].Pending) == 0 }, func() any { return w.groups() })
		if err := kv.Purge(t.Context(), observe(t, "system_exception", boom).key); err != nil {
			t.Fatal(err)
		}
		w.eventually("no group", func() bool { return s.metric(t, "notifier_groups") == 0 }, func() any { return w.groups() })
	}
}

func TestFloodCostsFewWrites(t *testing.T) {
	w := newWorld(t)
	const events = 20_000
	w.events(events, "system_exception", boom)
	s := w.start(long, long, nil)
	w.wantAcknowledged()
	w.wantAlerts("firing 1")
	if groups := w.groups(); len(groups) != 1 || groups[0].Count != events {
		t.Errorf("the store has %+v", groups)
	}
	if writes := s.metric(t, "notifier_state_writes_total"); writes > events/100 {
		t.Errorf("%v writes to the store", writes)
	}
}

// TestHundredThousandIdenticalEvents is the flood that this is all about: at most
// one alert, and one more for each interval that has begun.
func TestHundredThousandIdenticalEvents(t *testing.T) {
	w := newWorld(t)
	const (
		events   = 100_000
		interval = 2 * time.Second
	)
	w.start(interval, long, nil)
	w.start(interval, long, nil)
	began := time.Now()
	for range events / 1000 {
		w.events(1000, "system_exception", boom)
	}
	w.wantAcknowledged()
	w.eventually("all of them told", func() bool {
		alerts := w.alerts()
		return len(alerts) > 0 && alerts[len(alerts)-1].Data.Count == events
	}, func() any { return brief(w.alerts()) })
	took := time.Since(began)
	most := 1 + int((took+interval-1)/interval)
	got := brief(w.alerts())
	t.Logf("%d events in %s: %d alerts of at most %d: %v", events, took.Round(time.Millisecond), len(got), most, got)
	if len(got) > most {
		t.Errorf("%d alerts, at most %d", len(got), most)
	}
	clean, err := w.conn.JS.Stream(t.Context(), schemas.StreamClean)
	if err != nil {
		t.Fatal(err)
	}
	if n := clean.CachedInfo().State.Msgs; n != events {
		t.Errorf("%d events on the clean stream", n)
	}
}

func TestTooManyGroupsAreCountedTogether(t *testing.T) {
	d := testDesk(t)
	for i := range maxGroups {
		d.add(fmt.Sprintf("default.%d", i))
	}
	keys := map[string]bool{}
	for i := range 100 {
		o := observe(t, "system_exception", messageEvent("app"+strings.Repeat("x", i), "boom"))
		o.sequence = uint64(i + 1)
		e := d.entry(&o)
		if !e.group.fold(o, storedAt, testTiming) {
			t.Fatal("not counted")
		}
		keys[e.group.key] = true
	}
	if len(keys) != 1 || len(d.groups) != maxGroups+1 {
		t.Errorf("%d groups of their own, %d in all", len(keys), len(d.groups))
	}
	for key := range keys {
		if g := d.groups[key].group; g.Count != 100 || !strings.Contains(g.Title, "counted here") {
			t.Errorf("count %d, title %q", g.Count, g.Title)
		}
	}
}

// TestKilledBetweenStoreAndPublish cuts the connection at the moment at which the
// alert would be published.
func TestKilledBetweenStoreAndPublish(t *testing.T) {
	w := newWorld(t)
	killed := w.start(long, long, func(conn *broker.Conn) publisher {
		return func(_ context.Context, msgs []*nats.Msg) []broker.Result {
			conn.NC.Close()
			results := make([]broker.Result, len(msgs))
			for i := range results {
				results[i].Err = nats.ErrConnectionClosed
			}
			return results
		}
	})
	w.events(3, "system_exception", boom)
	w.eventually("the end", killed.ended, func() any { return killed.log.String() })
	groups := w.groups()
	if len(groups) != 1 || len(groups[0].Pending) != 1 || len(w.alerts()) != 0 {
		t.Fatalf("the store has %+v, ALERTS %v", groups, w.alerts())
	}
	w.start(long, long, nil)
	alerts := w.wantAlerts("firing 1")
	if alerts[0].ID != groups[0].Pending[0].Alert.ID {
		t.Errorf("the alert has the id %s and was pending as %s", alerts[0].ID, groups[0].Pending[0].Alert.ID)
	}
}

// TestKilledAfterPublish loses what comes after the publish: the store does not
// learn of it, and no event is acknowledged.
func TestKilledAfterPublish(t *testing.T) {
	w := newWorld(t)
	const interval = 3 * time.Second
	killed := w.start(interval, long, func(conn *broker.Conn) publisher {
		return func(ctx context.Context, msgs []*nats.Msg) []broker.Result {
			defer conn.NC.Close()
			return conn.Publish(ctx, msgs)
		}
	})
	w.events(5, "system_exception", boom)
	w.eventually("the end", killed.ended, func() any { return killed.log.String() })
	w.wantAlerts("firing 1")
	w.start(interval, long, nil)
	w.redeliverSoon()
	w.wantAcknowledged()
	w.wantAlerts("firing 1", "update 5")
}

// redeliverSoon makes what is unacknowledged come again within a second instead
// of half a minute.
func (w *world) redeliverSoon() {
	w.t.Helper()
	want := schemas.NotifierConsumer(rules.Default().Actions()...)
	want.AckWait = time.Second
	if _, err := w.conn.EnsureConsumer(w.t.Context(), want); err != nil {
		w.t.Fatal(err)
	}
}

func TestFailingPublisherDelaysAndLosesNothing(t *testing.T) {
	w := newWorld(t)
	var attempts atomic.Int32
	s := w.start(2*time.Second, long, func(conn *broker.Conn) publisher {
		return func(ctx context.Context, msgs []*nats.Msg) []broker.Result {
			if attempts.Add(1) > 3 {
				return conn.Publish(ctx, msgs)
			}
			results := make([]broker.Result, len(msgs))
			for i := range results {
				results[i].Err = broker.ErrNoStream
			}
			return results
		}
	})
	w.events(10, "system_exception", boom)
	w.wantAlerts("firing 1", "update 10")
	w.wantAcknowledged()
	log := s.log.String()
	if strings.Count(log, "alerts are delayed") != 1 || strings.Count(log, "no longer delayed") != 1 {
		t.Errorf("the outage is not told once:\n%s", log)
	}
}

func TestTooLargeAlertsLoseTheirSample(t *testing.T) {
	w := newWorld(t)
	s := w.start(long, long, func(conn *broker.Conn) publisher {
		return func(ctx context.Context, msgs []*nats.Msg) []broker.Result {
			if len(msgs[0].Data) > 4000 {
				return []broker.Result{{Err: broker.ErrTooLarge}}
			}
			return conn.Publish(ctx, msgs)
		}
	})
	w.events(1, "system_exception", messageEvent("a", strings.Repeat("long ", 1000)))
	alerts := w.wantAlerts("firing 1")
	if alerts[0].Data.Event != nil || len(alerts[0].Data.Message) > shrunkMessageBytes {
		t.Errorf("%d bytes of event, %d of message", len(alerts[0].Data.Event), len(alerts[0].Data.Message))
	}
	if got := s.metric(t, "notifier_alerts_refused_total"); got != 0 {
		t.Errorf("%v given up", got)
	}
}

func TestRedeliveryIsNotCountedTwice(t *testing.T) {
	w := newWorld(t)
	if _, err := w.conn.EnsureConsumer(t.Context(), schemas.NotifierConsumer(rules.Default().Actions()...)); err != nil {
		t.Fatal(err)
	}
	// A reader that takes the events and never acknowledges them: they come
	// again, to the notifier, between those that come for the first time.
	consumer, err := w.conn.JS.Consumer(t.Context(), schemas.StreamClean, schemas.ConsumerNotifier)
	if err != nil {
		t.Fatal(err)
	}
	w.events(20, "system_exception", boom)
	batch, err := consumer.Fetch(10)
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for range batch.Messages() {
		taken++
	}
	if taken != 10 {
		t.Fatalf("took %d events", taken)
	}
	s := w.start(4*time.Second, long, nil)
	w.redeliverSoon()
	w.events(20, "system_exception", boom)
	w.wantAlerts("firing 1", "update 40")
	w.wantAcknowledged()
	s.stop(t)

	// All of them once more, as after a broker that forgot the acknowledgements.
	if err := w.conn.JS.DeleteConsumer(t.Context(), schemas.StreamClean, schemas.ConsumerNotifier); err != nil {
		t.Fatal(err)
	}
	again := w.start(short, long, nil)
	w.eventually("forty duplicates", func() bool { return again.metric(t, "notifier_events_total", "outcome=duplicate") == 40 },
		func() any { return again.log.String() })
	w.events(1, "system_exception", boom)
	w.wantAlerts("firing 1", "update 40", "update 41")
}

func TestDrainInMidLoad(t *testing.T) {
	w := newWorld(t)
	s := w.start(short, long, nil)
	const rounds = 5
	for range rounds {
		w.events(200, "system_exception", boom)
		s.stop(t)
		s = w.start(short, long, nil)
	}
	w.wantAcknowledged()
	w.eventually("every event counted", func() bool {
		alerts := w.alerts()
		return len(alerts) > 1 && alerts[len(alerts)-1].Data.Count == rounds*200
	}, func() any { return brief(w.alerts()) })
	firings, seen := 0, map[string]bool{}
	for _, a := range w.alerts() {
		if a.Type == schemas.AlertFiring {
			firings++
		}
		if seen[a.ID] {
			t.Errorf("alert %s stands there twice", a.ID)
		}
		seen[a.ID] = true
	}
	if firings != 1 {
		t.Errorf("%d firings: %v", firings, brief(w.alerts()))
	}
}

func TestBrokerRestart(t *testing.T) {
	dir := t.TempDir()
	first := startBroker(t, dir, server.RANDOM_PORT)
	w := connect(t, first.ClientURL())
	port := first.Addr().String()[strings.LastIndex(first.Addr().String(), ":")+1:]
	s := w.start(3*time.Second, long, nil)
	w.events(10, "system_exception", boom)
	w.wantAlerts("firing 1")
	first.Shutdown()
	first.WaitForShutdown()
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		t.Fatal(err)
	}
	startBroker(t, dir, number)
	w.eventually("the connection", func() bool { return w.conn.Healthy() == nil }, func() any { return w.conn.Healthy() })
	w.events(10, "system_exception", boom)
	w.wantAcknowledged()
	w.eventually("twenty", func() bool {
		alerts := w.alerts()
		return alerts[len(alerts)-1].Data.Count == 20
	}, func() any { return brief(w.alerts()) })
	s.stop(t) // before the broker
}

func TestUnreadableEventsStopNothing(t *testing.T) {
	w := newWorld(t)
	s := w.start(long, long, nil)
	w.events(2, "system_exception", `{"context":{"password":"hunter2"`)
	w.events(1, "system_exception", `{"context":"hunter2"}`)
	w.events(1, "system_exception", `{"app":"sluice/notifier","context":{"message":"hunter2"}}`)
	w.events(1, "login", `{"context":{"message":"hunter2"}}`)
	w.events(1, "system_exception", boom)
	w.wantAlerts("firing 1")
	w.wantAcknowledged()
	if got := s.metric(t, "notifier_events_total", "outcome=rejected"); got != 3 {
		t.Errorf("%v rejected", got)
	}
	if got := s.metric(t, "notifier_events_total", "outcome=skipped"); got != 1 {
		t.Errorf("%v skipped", got)
	}
	if strings.Contains(s.log.String(), "hunter2") {
		t.Errorf("the log shows an event:\n%s", s.log)
	}
}
