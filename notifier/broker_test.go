package notifier

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/notifier/receiver"
	"sluice/notifier/rules"
	"sluice/schemas"
)

// startBroker starts a real broker that syncs every write, on the directory.
func startBroker(t testing.TB, dir string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, SyncAlways: true,
		NoLog: true, NoSigs: true, MaxPayload: schemas.MaxPayloadBytes,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker does not start")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

// world is a broker with what the tests do to it besides the notifier.
type world struct {
	t    testing.TB
	url  string
	conn *broker.Conn
	// config changes the settings of the notifiers that are started; it may be nil.
	config func(*Config)
	// ids counts the events published, queued are those yet to be.
	ids    int
	queued []*nats.Msg
}

func newWorld(t testing.TB) *world {
	t.Helper()
	s := startBroker(t, t.TempDir(), server.RANDOM_PORT)
	return connect(t, s.ClientURL())
}

func connect(t testing.TB, url string) *world {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	conn, err := broker.Connect(t.Context(), broker.NATS{URL: url, ConnectWait: 5 * time.Second}, "test", log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := conn.EnsureStreams(t.Context(), schemas.CleanStream(), schemas.AlertsStream()); err != nil {
		t.Fatal(err)
	}
	return &world{t: t, url: url, conn: conn}
}

// events publishes n copies of the event on the clean stream, each with an id of
// its own.
func (w *world) events(n int, action, event string) {
	w.t.Helper()
	for range n {
		w.queue(action, event)
	}
	w.flush()
}

func (w *world) queue(action, event string) {
	w.ids++
	m := nats.NewMsg(schemas.CleanSubject("default", action))
	m.Data = []byte(event)
	m.Header.Set(nats.MsgIdHdr, fmt.Sprintf("test-%d", w.ids))
	w.queued = append(w.queued, m)
}

func (w *world) flush() {
	w.t.Helper()
	for i, r := range w.conn.Publish(w.t.Context(), w.queued) {
		if r.Err != nil {
			w.t.Fatalf("publish event %d: %v", i, r.Err)
		}
	}
	w.queued = w.queued[:0]
}

// alerts returns everything on ALERTS, in order.
func (w *world) alerts() []schemas.Alert {
	w.t.Helper()
	var out []schemas.Alert
	stream, err := w.conn.JS.Stream(w.t.Context(), schemas.StreamAlerts)
	if err != nil {
		w.t.Fatal(err)
	}
	state := stream.CachedInfo().State
	for seq := state.FirstSeq; seq <= state.LastSeq && state.Msgs > 0; seq++ {
		msg, err := stream.GetMsg(w.t.Context(), seq)
		if err != nil {
			w.t.Fatal(err)
		}
		var a schemas.Alert
		if err := json.Unmarshal(msg.Data, &a); err != nil {
			w.t.Fatal(err)
		}
		if msg.Header.Get(nats.MsgIdHdr) != a.ID {
			w.t.Errorf("alert %s has the message id %s", a.ID, msg.Header.Get(nats.MsgIdHdr))
		}
		out = append(out, a)
	}
	return out
}

// brief is an alert in a few words.
func brief(alerts []schemas.Alert) []string {
	out := make([]string, 0, len(alerts))
	for _, a := range alerts {
		out = append(out, a.Type[len("sluice.alert."):]+" "+strconv.FormatUint(a.Data.Count, 10))
	}
	return out
}

// wantAlerts waits until ALERTS holds exactly these.
func (w *world) wantAlerts(want ...string) []schemas.Alert {
	w.t.Helper()
	var got []schemas.Alert
	w.eventually(fmt.Sprintf("alerts %v", want), func() bool {
		got = w.alerts()
		return slices.Equal(brief(got), want)
	}, func() any { return brief(got) })
	return got
}

// wantAcknowledged waits until every event is acknowledged.
func (w *world) wantAcknowledged() {
	w.t.Helper()
	var info *jetstream.ConsumerInfo
	w.eventually("all events acknowledged", func() bool {
		consumer, err := w.conn.JS.Consumer(w.t.Context(), schemas.StreamClean, schemas.ConsumerNotifier)
		if err != nil {
			return false
		}
		info = consumer.CachedInfo()
		return info.NumPending == 0 && info.NumAckPending == 0
	}, func() any { return info })
}

// groups returns the groups in the store.
func (w *world) groups() []*group {
	w.t.Helper()
	kv, err := w.conn.JS.KeyValue(w.t.Context(), Bucket)
	if err != nil {
		return nil
	}
	keys, err := kv.Keys(w.t.Context())
	if err != nil {
		return nil
	}
	var out []*group
	for _, key := range keys {
		entry, err := kv.Get(w.t.Context(), key)
		if err != nil {
			continue // removed meanwhile
		}
		g, err := decodeGroup(key, entry.Value())
		if err != nil {
			w.t.Fatalf("group %s: %v", key, err)
		}
		if g.Opened != "" { // else it only measures
			out = append(out, g)
		}
	}
	return out
}

// eventually polls with a deadline that is never the measure of success.
func (w *world) eventually(what string, ok func() bool, have func() any) {
	w.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited for %s; there is %+v", what, have())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// newReader reads events as a notifier without a file of rules does.
func newReader(t testing.TB) *reader {
	t.Helper()
	clean, err := newCleaner()
	if err != nil {
		t.Fatal(err)
	}
	return &reader{rules: rules.Default(), clean: clean}
}

// testDesk is a desk without a broker.
func testDesk(t testing.TB) *desk {
	t.Helper()
	d, err := newDesk(testTiming, rules.Default(), nil, 1, newMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// service is a running notifier.
type service struct {
	cancel    context.CancelFunc
	done      chan error
	telemetry *daemon.Telemetry
	log       *syncBuffer
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs a notifier until the test ends or stop is called.
func (w *world) start(interval, resolve time.Duration, wrap func(*broker.Conn) publisher) *service {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &service{cancel: cancel, done: make(chan error, 1), telemetry: daemon.NewTelemetry(), log: &syncBuffer{}}
	s.telemetry.Expect("notifier")
	cfg := Config{NATS: broker.NATS{URL: w.url, ConnectWait: 5 * time.Second}, GroupInterval: interval, ResolveAfter: resolve}
	cfg.Telemetry, cfg.StormLimit = s.telemetry, 10
	if w.config != nil {
		w.config(&cfg)
	}
	set, err := rules.Load(cfg.File)
	if err != nil {
		w.t.Fatal(err)
	}
	changes := make(chan []receiver.Receiver, 100) // more than any test makes
	go func() {
		s.done <- run(ctx, cfg, set, changes, slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})), wrap)
	}()
	w.t.Cleanup(func() {
		cancel()
		select {
		case err := <-s.done:
			s.done <- err
		case <-time.After(30 * time.Second):
			w.t.Error("the notifier does not stop")
		}
		if w.t.Failed() {
			w.t.Logf("log of the notifier:\n%s", s.log)
		}
	})
	w.eventually("readiness", func() bool { return s.telemetry.Unready() == nil || s.ended() }, func() any { return s.telemetry.Unready() })
	return s
}

func (s *service) ended() bool {
	select {
	case err := <-s.done:
		s.done <- err
		return true
	default:
		return false
	}
}

// stop drains the notifier.
func (s *service) stop(t testing.TB) {
	t.Helper()
	s.cancel()
	select {
	case err := <-s.done:
		s.done <- nil
		if err != nil {
			t.Fatalf("drain: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the notifier does not drain")
	}
}

// metric adds up the values of a metric with the labels.
func (s *service) metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	families, err := s.telemetry.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != name {
				continue
			}
			match := 0
			for _, l := range m.GetLabel() {
				if slices.Contains(labels, l.GetName()+"="+l.GetValue()) {
					match++
				}
			}
			if match == len(labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
				found = true
			}
		}
	}
	if !found {
		t.Fatalf("there is no metric %s %v", name, labels)
	}
	return sum
}
