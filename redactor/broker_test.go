package redactor

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/schemas"
)

// planted is the secret in the events of the tests: it may be in the raw stream
// and in the quarantine, and nowhere else.
const planted = "S3CR3T-hunter2"

// testBroker is a real nats-server, which can be restarted on its store.
type testBroker struct {
	t      testing.TB
	opts   server.Options
	server *server.Server
	// logs is what everything that speaks to the broker has logged.
	logs *logBuffer
	conn *broker.Conn
	// published counts, for message ids.
	published int
}

// startBroker starts a server as the project ships it, with each write fsynced,
// connects to it and makes the streams.
func startBroker(t testing.TB, adjust ...func(*server.Options)) *testBroker {
	t.Helper()
	b := &testBroker{t: t, logs: &logBuffer{}, opts: server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
		MaxPayload: schemas.MaxPayloadBytes, SyncAlways: true,
	}}
	for _, f := range adjust {
		f(&b.opts)
	}
	b.start()
	t.Cleanup(func() {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	})
	address, ok := b.server.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("the broker listens on %v", b.server.Addr())
	}
	b.opts.Port = address.Port
	conn, err := broker.Connect(t.Context(), b.settings(), "test", b.logs.logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.NC.Close)
	t.Cleanup(func() { leaksNothing(t, b.logs.String()) })
	b.conn = conn
	if err := conn.EnsureStreams(t.Context(), schemas.RawStream()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *testBroker) start() {
	b.t.Helper()
	opts := b.opts
	s, err := server.NewServer(&opts)
	if err != nil {
		b.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		b.t.Fatal("the broker does not start")
	}
	b.server = s
}

// restart stops the broker as it stands and starts it again.
func (b *testBroker) restart() {
	b.t.Helper()
	b.server.Shutdown()
	b.server.WaitForShutdown()
	b.start()
}

func (b *testBroker) settings() broker.NATS {
	return broker.NATS{URL: fmt.Sprintf("nats://127.0.0.1:%d", b.opts.Port), ConnectWait: 10 * time.Second}
}

// publish stores raw events, each under an id of its own.
func (b *testBroker) publish(msgs ...*nats.Msg) {
	b.t.Helper()
	for _, m := range msgs {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		b.published++
		m.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("raw-%d", b.published))
	}
	for _, r := range b.conn.Publish(b.t.Context(), msgs) {
		if r.Err != nil {
			b.t.Fatal(r.Err)
		}
	}
}

// login is a raw event.
func login(data string) *nats.Msg {
	return &nats.Msg{Subject: schemas.RawSubject("default", "login"), Data: []byte(data)}
}

// logins are n events with ids and a secret each.
func logins(n int) []*nats.Msg {
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		msgs[i] = login(fmt.Sprintf(`{"pk":"%032x","context":{"password":"%s","padding":"%s"}}`, i+1, planted, strings.Repeat("x", 200)))
	}
	return msgs
}

// all reads a whole stream.
func (b *testBroker) all(stream string) []*jetstream.RawStreamMsg {
	b.t.Helper()
	s, err := b.conn.JS.Stream(b.t.Context(), stream)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []*jetstream.RawStreamMsg
	for seq := s.CachedInfo().State.FirstSeq; seq <= s.CachedInfo().State.LastSeq; seq++ {
		msg, err := s.GetMsg(b.t.Context(), seq)
		if err == nil {
			out = append(out, msg)
		}
	}
	return out
}

// count is how many messages a stream holds, -1 if that is not known.
func (b *testBroker) count(stream string) int {
	s, err := b.conn.JS.Stream(b.t.Context(), stream)
	if err != nil {
		return -1
	}
	return int(s.CachedInfo().State.Msgs)
}

// drained waits until every raw event is acknowledged.
func (b *testBroker) drained() {
	b.t.Helper()
	eventually(b.t, "EVENTS_RAW is empty", func() bool { return b.count(schemas.StreamRaw) == 0 })
}

// eventually waits for the condition to hold.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute it still does not hold that %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// run starts the service and returns how to stop it.
func (b *testBroker) run() (stop func()) {
	b.t.Helper()
	cfg := Config{NATS: b.settings(), DrainTimeout: 10 * time.Second}
	return b.runWith(cfg)
}

func (b *testBroker) runWith(cfg Config) (stop func()) {
	b.t.Helper()
	cfg.Telemetry = daemon.NewTelemetry()
	cfg.Telemetry.Expect("redactor")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg, b.logs.logger()) }()
	eventually(b.t, "the redactor is ready", func() bool { return cfg.Telemetry.Unready() == nil || len(done) > 0 })
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				b.t.Errorf("the redactor ended with %v", err)
			}
			leaksNothing(b.t, metricsText(b.t, cfg.Telemetry))
		})
	}
	b.t.Cleanup(stop)
	return stop
}

// metricsText is what a scrape would see.
func metricsText(t testing.TB, telemetry *daemon.Telemetry) string {
	t.Helper()
	families, err := telemetry.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "redactor_") {
			out.WriteString(f.String() + "\n")
		}
	}
	return out.String()
}

// leaksNothing asserts that no text holds the planted secret.
func leaksNothing(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if i := strings.Index(text, planted); i >= 0 {
			t.Errorf("the secret is in %q", text[max(0, i-200):i+len(planted)])
		}
	}
}

// exactlyOnce asserts that the clean events are those of logins(n), each once
// and masked.
func exactlyOnce(t testing.TB, n int, clean []*jetstream.RawStreamMsg) {
	t.Helper()
	seen := map[string]int{}
	for _, m := range clean {
		seen[m.Header.Get(jetstream.MsgIDHeader)]++
		leaksNothing(t, string(m.Data), fmt.Sprint(m.Header))
		if !bytes.Contains(m.Data, []byte(schemas.Mask)) || m.Header.Get(schemas.HeaderRedacted) != `["/context/password"]` {
			t.Fatalf("not masked: %s %v", m.Data, m.Header)
		}
	}
	if len(clean) != n || len(seen) != n {
		t.Errorf("%d clean events with %d ids, want %d", len(clean), len(seen), n)
	}
}

// logBuffer collects log lines.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
