package sink

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/schemas"
)

// startBroker runs a NATS server in this process.
func startBroker(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true, MaxPayload: schemas.MaxPayloadBytes,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker did not start")
	}
	return s
}

// connect is a connection of the test's own.
func connect(t *testing.T, mq *server.Server) *broker.Conn {
	t.Helper()
	conn, err := broker.Connect(t.Context(), natsSettings(mq.ClientURL()), "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := conn.EnsureStreams(t.Context(), schemas.CleanStream(), schemas.QuarantineStream()); err != nil {
		t.Fatal(err)
	}
	return conn
}

func natsSettings(url string) broker.NATS {
	return broker.NATS{URL: url, ConnectWait: 10 * time.Second}
}

func testConfig(natsURL, clickHouseURL string) Config {
	return Config{
		NATS: natsSettings(natsURL), Process: daemon.Process{Telemetry: daemon.NewTelemetry()},
		ClickHouse: ClickHouse{ClickHouseURL: clickHouseURL}, Retention: "3650d",
		BatchRows: 1000, BatchBytes: 16 << 20, BatchAge: 50 * time.Millisecond, DrainTimeout: 15 * time.Second,
	}
}

// secret stands in test events where nothing of them may be logged.
const secret = "hunter2"

// service is a sink that runs in this process.
type service struct {
	t      *testing.T
	log    *lockedBuffer
	cancel context.CancelFunc
	done   chan error
	once   sync.Once
	err    error
}

func startSink(t *testing.T, cfg Config) *service {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &service{t: t, log: &lockedBuffer{}, cancel: cancel, done: make(chan error, 1)}
	go func() { s.done <- Run(ctx, cfg, slog.New(slog.NewTextHandler(s.log, nil))) }()
	t.Cleanup(func() { _ = s.stop() })
	return s
}

// stop drains the sink and returns what Run does.
func (s *service) stop() error {
	s.once.Do(func() {
		s.cancel()
		s.err = <-s.done
		if text := s.log.String(); strings.Contains(text, secret) {
			s.t.Errorf("the log repeats an event:\n%s", text)
		}
	})
	return s.err
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// eventuallyQuery waits until a statement prints want.
func eventuallyQuery(t *testing.T, e *engine, statement, want string) {
	t.Helper()
	last := ""
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		out, err := e.try(statement)
		if err == nil && out == want {
			return
		}
		if last = out; err != nil {
			last = err.Error()
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: got %q, want %q", statement, last, want)
}

// cleanMsg is a clean event as the redactor publishes it.
func cleanMsg(tenant, action, id, data string) *nats.Msg {
	msg := nats.NewMsg(schemas.CleanSubject(tenant, action))
	msg.Header.Set(nats.MsgIdHdr, id)
	msg.Data = []byte(data)
	return msg
}

func newEvent() *nats.Msg {
	pk := uuid.NewString()
	return cleanMsg("acme", "login", pk, fmt.Sprintf(
		`{"pk":%q,"action":"login","app":"test","user":{"pk":1,"username":"akadmin"},"context":{"auth_method":"password","x":%q},"created":%q}`,
		pk, secret, time.Now().UTC().Format(time.RFC3339Nano)))
}

func publish(t *testing.T, conn *broker.Conn, msgs ...*nats.Msg) {
	t.Helper()
	for i, r := range conn.Publish(t.Context(), msgs) {
		if r.Err != nil {
			t.Fatalf("publish %d: %v", i, r.Err)
		}
	}
}

func publishEvents(t *testing.T, conn *broker.Conn, n int) {
	t.Helper()
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		msgs[i] = newEvent()
	}
	publish(t, conn, msgs...)
}

// The rows, and how many of them are of different events.
const countRows = "SELECT count(), uniqExact(pk) FROM sluice.events"

func rows(n int) string { return fmt.Sprintf("%d\t%d", n, n) }

// acknowledged waits until the sink owes the stream nothing.
func acknowledged(t *testing.T, conn *broker.Conn) {
	t.Helper()
	eventually(t, "everything acknowledged", func() bool {
		consumer, err := conn.JS.Consumer(t.Context(), schemas.StreamClean, schemas.ConsumerSink)
		if err != nil {
			return false
		}
		info, err := consumer.Info(t.Context())
		return err == nil && info.NumPending == 0 && info.NumAckPending == 0
	})
}

func TestServiceStoresEveryColumn(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	conn := connect(t, mq)
	msg := cleanMsg("acme", "login", "x", `{"pk":"f00f54e72b38421fbc78e61f950048d6","user":{"pk":"7-a","username":"akädmin","email":"root@localhost"},"action":"login",`+
		`"app":"authentik.events.signals","context":{"http_request": {"path":"/a\u00e9","method":"GET"},"n":1.0},"client_ip":"10.1.2.3",`+
		`"created":"2026-02-15T15:33:42.771091Z","expires":"2099-02-15T15:33:42.770425Z","brand":{"name":"Default brand"},"hostname":"h","more":[1]}`)
	msg.Header.Set(schemas.HeaderRedacted, `["/context/password","/x"]`)
	msg.Header.Set(schemas.HeaderTraceParent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	publish(t, conn, msg, cleanMsg("lab", "logout", "y", `{"client_ip":"2001:db8::1","created":"2091-02-15T15:33:42Z"}`), cleanMsg("lab", "empty", "z", `{}`))
	cfg := testConfig(mq.ClientURL(), ch.url)
	cfg.RetentionByTenant = "lab=90d"
	s := startSink(t, cfg)
	eventuallyQuery(t, ch, countRows, rows(3))
	got := ch.query(t, "SELECT * EXCEPT stored_at FROM sluice.events WHERE tenant = 'acme' FORMAT Vertical")
	want, err := os.ReadFile("testdata/columns.txt")
	if *update {
		err = os.WriteFile("testdata/columns.txt", []byte(got+"\n"), 0o600)
		want = []byte(got)
	}
	if err != nil || got != strings.TrimSpace(string(want)) {
		t.Errorf("got\n%s\nwant\n%s (%v)", got, want, err)
	}
	for _, tc := range [][2]string{
		{
			"SELECT client_ip, created, expires, context, user, brand, extra, redacted, user_pk FROM sluice.events WHERE action = 'logout'",
			"2001:db8::1\t2091-02-15 15:33:42.000000\t2091-05-16 15:33:42\t{}\t{}\t{}\t{}\t[]\t",
		},
		{
			"SELECT client_ip, pk != toUUID('00000000-0000-0000-0000-000000000000'), abs(created - now()) < 60, abs(stored_at - now()) < 60 FROM sluice.events WHERE action = 'empty'",
			"::\t1\t1\t1",
		},
		{"SELECT ctx.http_request.path, ctx.n FROM sluice.events WHERE tenant = 'acme'", "/aé\t1"},
		{"SELECT count() FROM sluice.events WHERE stored_at >= created AND action != 'logout'", "2"},
	} {
		if got := ch.query(t, tc[0]); got != strings.TrimSpace(tc[1]) {
			t.Errorf("%s:\ngot  %q\nwant %q", tc[0], got, tc[1])
		}
	}
	acknowledged(t, conn)
	if err := s.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := cfg.Telemetry.Unready(); err == nil {
		t.Error("ready with its broker connection closed")
	}
}

func TestServiceIsReadyWhileItRuns(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	cfg := testConfig(mq.ClientURL(), ch.url)
	cfg.Telemetry.Expect("sink")
	startSink(t, cfg)
	eventually(t, "ready", func() bool { return cfg.Telemetry.Unready() == nil })
}

func TestServiceDrainsInMidLoad(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	conn := connect(t, mq)
	publishEvents(t, conn, 3000)
	for range 3 { // stopped again and again, never with something lost or repeated
		cfg := testConfig(mq.ClientURL(), ch.url)
		cfg.BatchRows = 200
		s := startSink(t, cfg)
		eventually(t, "some rows", func() bool {
			out, err := ch.try("SELECT count() > 0 FROM sluice.events")
			return err == nil && out == "1"
		})
		if err := s.stop(); err != nil {
			t.Fatalf("Run: %v", err)
		}
		publishEvents(t, conn, 1000)
	}
	startSink(t, testConfig(mq.ClientURL(), ch.url))
	eventuallyQuery(t, ch, countRows, rows(6000))
	acknowledged(t, conn)
}

// An event that comes again long after, by the producer or the redactor: other
// sequence, other time of creation, other expiry, even another tenant.
func TestServiceStoresAPKOnce(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	conn := connect(t, mq)
	startSink(t, testConfig(mq.ClientURL(), ch.url))
	const pk = "f00f54e7-2b38-421f-bc78-e61f950048d6"
	publish(t, conn, cleanMsg("acme", "login", "first", `{"pk":"`+pk+`","created":"2026-01-01T00:00:00Z"}`))
	eventuallyQuery(t, ch, countRows, rows(1))
	publishEvents(t, conn, 500)
	eventuallyQuery(t, ch, countRows, rows(501))
	publish(t, conn,
		cleanMsg("acme", "login", "second", `{"pk":"`+pk+`","created":"2026-07-01T00:00:00Z","expires":"2088-01-01T00:00:00Z"}`),
		cleanMsg("acme", "login", "third", `{"pk":"`+pk+`"}`),
		cleanMsg("lab", "logout", "fourth", `{"pk":"`+pk+`"}`))
	acknowledged(t, conn)
	if got := ch.query(t, countRows); got != rows(501) {
		t.Errorf("got %q, want %q", got, rows(501))
	}
	if got := ch.query(t, "SELECT created FROM sluice.events WHERE pk = '"+pk+"'"); got != "2026-01-01 00:00:00.000000" {
		t.Errorf("the first one was not kept: %s", got)
	}
}

// Everything that the sink has stored is delivered once more, as after a crash
// between insert and acknowledgement.
func TestServiceStoresOnceUnderRedelivery(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	conn := connect(t, mq)
	publishEvents(t, conn, 2500)
	for range 3 {
		s := startSink(t, testConfig(mq.ClientURL(), ch.url))
		eventuallyQuery(t, ch, countRows, rows(2500))
		acknowledged(t, conn)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		if err := conn.JS.DeleteConsumer(t.Context(), schemas.StreamClean, schemas.ConsumerSink); err != nil {
			t.Fatal(err)
		}
	}
	if got := ch.query(t, countRows); got != rows(2500) {
		t.Errorf("got %q", got)
	}
}

// More months of expiry in one batch than ClickHouse lets an insert have by
// default.
func TestServiceStoresManyExpiries(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	conn := connect(t, mq)
	msgs := make([]*nats.Msg, 300)
	for i := range msgs {
		msgs[i] = cleanMsg("acme", "login", uuid.NewString(), fmt.Sprintf(`{"pk":%q,"expires":%q}`, uuid.New(),
			time.Date(2027, time.Month(1+5*i), 1, 0, 0, 0, 0, time.UTC).Format(time.RFC3339)))
	}
	publish(t, conn, msgs...)
	startSink(t, testConfig(mq.ClientURL(), ch.url))
	eventuallyQuery(t, ch, countRows, rows(300))
	eventuallyQuery(t, ch, "SELECT uniqExact(partition) < 300, max(expires) FROM sluice.events, (SELECT partition FROM system.parts WHERE database = 'sluice' AND table = 'events' AND active) AS p",
		"1\t2106-02-07 06:28:15")
}

func TestServiceRemovesWhatHasExpired(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	conn := connect(t, mq)
	if _, err := Migrate(t.Context(), ch.settings()); err != nil {
		t.Fatal(err)
	}
	ch.query(t, "ALTER TABLE sluice.events MODIFY SETTING merge_with_ttl_timeout = 1")
	expired := fmt.Sprintf(`{"pk":%q,"created":"2020-01-01T00:00:00Z","expires":"2020-02-01T00:00:00Z"}`, uuid.New())
	publish(t, conn, cleanMsg("acme", "login", "expired", expired), newEvent())
	s := startSink(t, testConfig(mq.ClientURL(), ch.url))
	acknowledged(t, conn)
	eventuallyQuery(t, ch, countRows, rows(1))
	// The projection that pks are looked up in forgets it too.
	eventuallyQuery(t, ch, "SELECT count() FROM mergeTreeProjection('sluice', 'events', 'by_pk')", "1")
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// Contexts that ClickHouse's JSON type refuses, or could stumble over. None may
// break the query for the others, and all are stored byte for byte.
func TestServiceStoresStrangeContexts(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	conn := connect(t, mq)
	deep := strings.Repeat(`{"a":`, schemas.MaxDepth-2) + "1" + strings.Repeat("}", schemas.MaxDepth-2)
	strange := []string{
		`{"http_request":{"path":"/plain"}}`, `{"a":1,"a":2}`, `{"a.b":1,"a":{"b":2}}`, `{"a":{"b":2},"a":1}`, `{"":{"":1}}`,
		`{"n":123456789012345678901234567890,"f":1e400}`, `{"s":"\ud800"}`, `{"z":"\u0000","k\u0000":1}`, `{"a":[1,"x",{"b":1},[1],null]}`,
		`{"http_request":"text"}`, `{"http_request":[{"path":"/list"}]}`, `{"http_request":null}`, deep, "{ \n\t}", `{"q":"'\\\"` + "\u2028" + `"}`,
	}
	msgs := make([]*nats.Msg, len(strange))
	for i, context := range strange {
		msgs[i] = cleanMsg("acme", fmt.Sprintf("a%d", i), uuid.NewString(), fmt.Sprintf(`{"pk":%q,"context":%s}`, uuid.New(), context))
	}
	publish(t, conn, msgs...)
	startSink(t, testConfig(mq.ClientURL(), ch.url))
	eventuallyQuery(t, ch, countRows, rows(len(strange)))
	for i, context := range strange {
		if got := ch.query(t, fmt.Sprintf("SELECT hex(context) FROM sluice.events WHERE action = 'a%d'", i)); got != fmt.Sprintf("%X", context) {
			t.Errorf("context %d is not what was published", i)
		}
	}
	if got := ch.query(t, "SELECT countIf(ctx.http_request.path = '/plain'), count() FROM sluice.events"); got != fmt.Sprintf("1\t%d", len(strange)) {
		t.Errorf("dot path: got %q", got)
	}
	if got := ch.query(t, "SELECT ctx.http_request.path::String AS path, count() FROM sluice.events GROUP BY path ORDER BY path"); !strings.Contains(got, "/plain\t1") {
		t.Errorf("grouped by dot path: got %q", got)
	}
}
