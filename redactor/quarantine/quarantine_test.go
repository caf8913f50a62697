package quarantine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/redactor/redact"
	"sluice/schemas"
)

// planted is the secret in every event here: what is shown must not hold it.
const planted = "S3CR3T-hunter2"

// open starts a broker with a quarantine that holds what put adds.
func open(t *testing.T) (*Store, *broker.Conn) {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true, MaxPayload: schemas.MaxPayloadBytes,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker does not start")
	}
	address, ok := s.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("the broker listens on %v", s.Addr())
	}
	log := slog.New(slog.DiscardHandler)
	conn, err := broker.Connect(t.Context(), broker.NATS{URL: fmt.Sprintf("nats://127.0.0.1:%d", address.Port), ConnectWait: 10 * time.Second}, "test", log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.NC.Close)
	engine, err := redact.New(redact.Config{MaxBytes: schemas.MaxPayloadBytes})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), conn, engine); err == nil || !strings.Contains(err.Error(), schemas.StreamQuarantine) {
		t.Fatalf("without a quarantine: %v", err)
	}
	if err := conn.EnsureStreams(t.Context(), schemas.RawStream(), schemas.CleanStream(), schemas.QuarantineStream()); err != nil {
		t.Fatal(err)
	}
	store, err := Open(t.Context(), conn, engine)
	if err != nil {
		t.Fatal(err)
	}
	return store, conn
}

var storedAt = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

// put quarantines one event.
func put(t *testing.T, conn *broker.Conn, n int, tenant string, reason schemas.Reason, data string) {
	t.Helper()
	m := &nats.Msg{Subject: schemas.QuarantineSubject(tenant, reason), Data: []byte(data), Header: nats.Header{
		jetstream.MsgIDHeader: {fmt.Sprint(n)}, "Authorization": {planted}, "Custom": {"kept"},
		schemas.HeaderReason: {string(reason)}, schemas.HeaderDetail: {"detail " + fmt.Sprint(n)},
		schemas.HeaderSubject: {schemas.RawSubject(tenant, "login")}, schemas.HeaderStoredAt: {storedAt.Format(time.RFC3339Nano)},
	}}
	if r := conn.Publish(t.Context(), []*nats.Msg{m}); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
}

// command runs a command line and returns what it printed.
func command(t *testing.T, store *Store, args ...string) (string, error) {
	t.Helper()
	c, err := Parse(args)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = c.Run(t.Context(), store, &out)
	if strings.Contains(out.String(), planted) || err != nil && strings.Contains(err.Error(), planted) {
		t.Errorf("%v shows the secret:\n%s\n%v", args, out.String(), err)
	}
	return out.String(), err
}

func TestList(t *testing.T) {
	store, conn := open(t)
	if out, err := command(t, store, "list"); err != nil || out != "nothing is quarantined\n" {
		t.Errorf("empty: %q, %v", out, err)
	}
	const n = 2*fetchAtOnce + 3
	for i := range n {
		reason := schemas.ReasonInvalidJSON
		if i%2 == 1 {
			reason = schemas.ReasonTooLarge
		}
		put(t, conn, i, "acme", reason, planted)
	}
	put(t, conn, n, "other", schemas.ReasonInvalidField, "")
	out, err := command(t, store, "list", "-json")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != n+1 {
		t.Fatalf("%d lines, want %d", len(lines), n+1)
	}
	var first Entry
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	want := Entry{
		Sequence: 1, StoredAt: storedAt, Tenant: "acme", Reason: schemas.ReasonInvalidJSON,
		Detail: "detail 0", Bytes: len(planted), Subject: "events.raw.acme.login",
	}
	if first != want {
		t.Errorf("got  %+v\nwant %+v", first, want)
	}
	for args, want := range map[string]int{
		"list -reason too_large -json": n / 2, "list -tenant other -json": 1, "list -tenant=other -reason too_large -json": 0,
	} {
		out, err := command(t, store, strings.Fields(args)...)
		if got := strings.Count(out, "\n"); err != nil || got != want {
			t.Errorf("%s: %d lines, %v; want %d", args, got, err, want)
		}
	}
	out, err = command(t, store, "list", "-tenant", "other")
	if err != nil || !strings.Contains(out, "invalid_field") || !strings.Contains(out, `"events.raw.other.login"`) || strings.Count(out, "\n") != 2 {
		t.Errorf("table: %v\n%s", err, out)
	}
}

func TestShow(t *testing.T) {
	store, conn := open(t)
	put(t, conn, 1, "acme", schemas.ReasonInvalidField, `{"pk":5,"context":{"password":"`+planted+`","n":1}}`)
	put(t, conn, 2, "acme", schemas.ReasonInvalidJSON, `{"password":`+planted)
	out, err := command(t, store, "show", "1")
	for _, want := range []string{`{"pk":5,"context":{"password":"********************","n":1}}`, `"Custom": "kept"`, "invalid_field", "detail 1", "2026-01-02T03:04:05.678"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing, %v:\n%s", want, err, out)
		}
	}
	if out, err = command(t, store, "show", "2"); err != nil || !strings.Contains(out, "cannot be shown masked: invalid_json: invalid JSON at byte 12") {
		t.Errorf("broken JSON: %v\n%s", err, out)
	}
	if _, err = command(t, store, "show", "3"); err == nil || !strings.Contains(err.Error(), "event 3: not in the quarantine") {
		t.Errorf("none: %v", err)
	}
}

func TestReplay(t *testing.T) {
	store, conn := open(t)
	for i := range 5 {
		put(t, conn, i, "acme", schemas.ReasonInvalidField, `{"n":`+fmt.Sprint(i)+`}`)
	}
	put(t, conn, 6, "acme", schemas.ReasonTooDeep, `{}`)
	if out, err := command(t, store, "replay", "2", "9"); err == nil || out != "replayed 1\n" {
		t.Errorf("one of two: %q, %v", out, err)
	}
	raw, err := conn.JS.Stream(t.Context(), schemas.StreamRaw)
	if err != nil {
		t.Fatal(err)
	}
	m, err := raw.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Data) != `{"n":1}` || m.Subject != "events.raw.acme.login" || m.Header.Get("Custom") != "kept" || m.Header.Get("Authorization") != planted ||
		m.Header.Get(schemas.HeaderReason) != "" || !strings.HasPrefix(m.Header.Get(jetstream.MsgIDHeader), "replay:EVENTS_QUARANTINE:2:") {
		t.Errorf("replayed as %s %v", m.Subject, m.Header)
	}
	if out, err := command(t, store, "replay", "-all", "-reason", "invalid_field"); err != nil || out != "replayed 4\n" {
		t.Errorf("all: %q, %v", out, err)
	}
	if out, _ := command(t, store, "list", "-json"); strings.Count(out, "\n") != 1 || !strings.Contains(out, "too_deep") {
		t.Errorf("left are\n%s", out)
	}
	if m := (&nats.Msg{Subject: "events.quarantine.acme.internal", Header: nats.Header{jetstream.MsgIDHeader: {"x"}}}); true {
		if r := conn.Publish(t.Context(), []*nats.Msg{m}); r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
	}
	if _, err := command(t, store, "replay", "7"); err == nil || !strings.Contains(err.Error(), "which subject") {
		t.Errorf("without a subject: %v", err)
	}
}

// TestReplayIsRepeatable: a replay that was cut off between publishing and
// removing does not publish twice.
func TestReplayIsRepeatable(t *testing.T) {
	store, conn := open(t)
	put(t, conn, 1, "acme", schemas.ReasonInternal, `{}`)
	msg, err := store.get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Replay(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	// As if it had not been removed: the same message at the same place.
	again := &nats.Msg{Subject: "events.raw.acme.login", Header: nats.Header{jetstream.MsgIDHeader: {
		fmt.Sprintf("replay:%s:%d:%d", schemas.StreamQuarantine, 1, msg.Time.UnixNano()),
	}}}
	if r := conn.Publish(t.Context(), []*nats.Msg{again}); r[0].Err != nil || !r[0].Duplicate {
		t.Errorf("%+v, want a duplicate", r[0])
	}
}

func TestDrop(t *testing.T) {
	store, conn := open(t)
	for i := range 3 {
		put(t, conn, i, "acme", schemas.ReasonInvalidField, planted)
	}
	if out, err := command(t, store, "drop", "2", "-yes"); err != nil || out != "dropped 1\n" {
		t.Errorf("one: %q, %v", out, err)
	}
	if out, err := command(t, store, "drop", "-yes", "-all", "-tenant", "acme"); err != nil || out != "dropped 2\n" {
		t.Errorf("all: %q, %v", out, err)
	}
	if out, _ := command(t, store, "list"); out != "nothing is quarantined\n" {
		t.Errorf("left are\n%s", out)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "rename", "list 1", "list -all", "show", "show x", "show 0", "show -all", "replay", "replay -all 1", "replay 1 -reason too_deep",
		"replay -all -reason none", "replay -all -tenant a.b", "drop 1", "drop -all", "drop -yes", "list -nothing",
	} {
		if _, err := Parse(strings.Fields(line)); !errors.Is(err, daemon.ErrUsage) {
			t.Errorf("%q: %v, want an error of usage", line, err)
		}
	}
	for _, line := range []string{"list", "list -json -tenant a", "show 1 2", "replay 1 2", "replay -all -reason too_deep", "drop 1 -yes", "drop -yes -all"} {
		if _, err := Parse(strings.Fields(line)); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
}
