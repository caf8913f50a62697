package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/daemon"
	"sluice/schemas"
)

// freeAddress is an address at which nobody listens yet.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestServiceWaitsForClickHouse(t *testing.T) {
	mq, address := startBroker(t), freeAddress(t)
	conn := connect(t, mq)
	publishEvents(t, conn, 10)
	s := startSink(t, testConfig(mq.ClientURL(), "http://"+address))
	eventually(t, "a line that says so", func() bool { return strings.Contains(s.log.String(), "waiting for ClickHouse") })
	if text := s.log.String(); !strings.Contains(text, "CLICKHOUSE_URL") || !strings.Contains(text, address) || strings.Count(text, "\n") != 1 {
		t.Errorf("the log:\n%s", text)
	}
	ch := ownEngine(t, t.TempDir(), address)
	eventuallyQuery(t, ch, countRows, rows(10))
}

func TestServiceEndsWithAWrongPassword(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	cfg := testConfig(mq.ClientURL(), strings.Replace(ch.url, "http://", "http://nobody:"+secret+"@", 1))
	s := startSink(t, cfg)
	var err error
	eventually(t, "the end of the service", func() bool {
		select {
		case err = <-s.done:
			s.done <- err
			return true
		default:
			return false
		}
	})
	if err == nil || !strings.Contains(err.Error(), "CLICKHOUSE_URL") || strings.Contains(err.Error(), secret) {
		t.Errorf("Run: %v", err)
	}
}

func TestServiceDrainsWhileItWaits(t *testing.T) {
	mq := startBroker(t)
	s := startSink(t, testConfig(mq.ClientURL(), "http://"+freeAddress(t)))
	eventually(t, "waiting", func() bool { return strings.Contains(s.log.String(), "waiting for ClickHouse") })
	if err := s.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestServiceSurvivesTheDeathOfClickHouse(t *testing.T) {
	mq, dir := startBroker(t), t.TempDir()
	conn := connect(t, mq)
	ch := ownEngine(t, dir, "127.0.0.1:0")
	cfg := testConfig(mq.ClientURL(), ch.url)
	cfg.BatchRows = 250
	s := startSink(t, cfg)
	const rounds, each = 3, 1500
	for round := range rounds {
		publishEvents(t, conn, each)
		eventually(t, "some of them stored", func() bool {
			out, err := ch.try(fmt.Sprintf("SELECT count() > %d FROM sluice.events", round*each))
			return err == nil && out == "1"
		})
		ch.kill()
		publishEvents(t, conn, 10)
		eventually(t, "not ready", func() bool { return cfg.Telemetry.Unready() != nil })
		ch = ownEngine(t, dir, ch.address)
	}
	eventuallyQuery(t, ch, countRows, rows(rounds*(each+10)))
	acknowledged(t, conn)
	if text := s.log.String(); strings.Count(text, "does not take events") != rounds || strings.Count(text, "answers again") != rounds {
		t.Errorf("the log:\n%s", text)
	}
	eventually(t, "ready again", func() bool { return cfg.Telemetry.Unready() == nil })
}

// Two sinks share the stream: each message goes to one of them.
func TestTwoSinksShareTheStream(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	conn := connect(t, mq)
	for range 2 {
		cfg := testConfig(mq.ClientURL(), ch.url)
		cfg.BatchRows = 100
		startSink(t, cfg)
	}
	publishEvents(t, conn, 4000)
	eventuallyQuery(t, ch, countRows, rows(4000))
	acknowledged(t, conn)
	if got := ch.query(t, countRows); got != rows(4000) {
		t.Errorf("got %q", got)
	}
}

// lossyProxy passes everything on and drops the answers to some inserts: the
// connection ends instead.
func lossyProxy(t *testing.T, to string, drop func(n int64) bool) (address string, dropped *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	var inserts atomic.Int64
	dropped = new(atomic.Int64)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	proxy.ModifyResponse = func(resp *http.Response) error {
		if !strings.HasPrefix(resp.Request.URL.Query().Get("query"), "INSERT") || !drop(inserts.Add(1)) {
			return nil
		}
		_, err := io.Copy(io.Discard, resp.Body)
		dropped.Add(1)
		return errors.Join(err, errLostAnswer)
	}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: proxy, ReadHeaderTimeout: time.Minute, ErrorLog: proxy.ErrorLog}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return "http://" + l.Addr().String(), dropped
}

// SLUICE_LOST_EVENTS=200000 makes it that many events, in batches of the usual size.
func TestServiceStoresOnceWhenAnswersGetLost(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	conn := connect(t, mq)
	proxy, dropped := lossyProxy(t, ch.url, func(n int64) bool { return n%3 != 0 })
	cfg := testConfig(mq.ClientURL(), proxy)
	count := 3000
	cfg.BatchRows = count / 10
	if more, err := strconv.Atoi(os.Getenv("SLUICE_LOST_EVENTS")); err == nil {
		count, cfg.BatchRows = more, 10_000
	}
	for left := count; left > 0; left -= 5000 {
		publishEvents(t, conn, min(left, 5000))
	}
	start := time.Now()
	startSink(t, cfg)
	// A lost answer costs a pause and two look-ups: seconds for a batch at most.
	deadline := time.Now().Add(time.Minute + time.Duration(count/cfg.BatchRows)*30*time.Second)
	for time.Now().Before(deadline) && t.Context().Err() == nil {
		if out, err := ch.try(countRows); err == nil && out == rows(count) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	acknowledged(t, conn)
	if got := ch.query(t, countRows); got != rows(count) || dropped.Load() < 5 {
		t.Errorf("got %q after %d lost answers", got, dropped.Load())
	}
	t.Logf("%d events, %d answers lost, stored in %s", count, dropped.Load(), time.Since(start).Round(time.Millisecond))
}

func TestServiceQuarantinesWhatIsRefused(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	conn := connect(t, mq)
	if _, err := Migrate(t.Context(), ch.settings()); err != nil {
		t.Fatal(err)
	}
	ch.query(t, "ALTER TABLE sluice.events ADD CONSTRAINT no_poison CHECK username != 'poison'")
	publishEvents(t, conn, 500)
	poison := `{"user":{"username":"poison"},"context":{"x":"` + secret + `"}}`
	publish(t, conn, cleanMsg("acme", "login", "p1", poison), cleanMsg("acme", "login", "p2", `{"context":"`+secret+`"}`))
	publishEvents(t, conn, 498)
	s := startSink(t, testConfig(mq.ClientURL(), ch.url))
	eventuallyQuery(t, ch, countRows, rows(998))
	acknowledged(t, conn)

	stream, err := conn.JS.Stream(t.Context(), schemas.StreamQuarantine)
	if err != nil {
		t.Fatal(err)
	}
	bySubject := map[string]*jetstream.RawStreamMsg{}
	for seq := uint64(1); seq <= 2; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		bySubject[string(msg.Data)] = msg
	}
	for data, detail := range map[string]string{
		poison:                         "clickhouse: code 469 (VIOLATED_CONSTRAINT)",
		`{"context":"` + secret + `"}`: `invalid_field: field "context": not an object`,
	} {
		msg := bySubject[data]
		if msg == nil {
			t.Fatalf("not in the quarantine: %s", detail)
		}
		if msg.Subject != "events.quarantine.acme.storage_refused" || msg.Header.Get(schemas.HeaderReason) != "storage_refused" ||
			msg.Header.Get(schemas.HeaderDetail) != detail || msg.Header.Get(schemas.HeaderSubject) != "events.clean.acme.login" ||
			msg.Header.Get(schemas.HeaderStoredAt) == "" {
			t.Errorf("quarantined as %s with %v", msg.Subject, msg.Header)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// One full batch with seven rows that ClickHouse refuses: all others are stored.
func TestServiceStoresAllButTheRefused(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	conn := connect(t, mq)
	if _, err := Migrate(t.Context(), ch.settings()); err != nil {
		t.Fatal(err)
	}
	ch.query(t, "ALTER TABLE sluice.events ADD CONSTRAINT no_poison CHECK username != 'poison'")
	const total, bad = 10_000, 7
	msgs := make([]*nats.Msg, total)
	for i := range msgs {
		if msgs[i] = newEvent(); i%1429 == 3 {
			msgs[i].Data = bytes.Replace(msgs[i].Data, []byte("akadmin"), []byte("poison"), 1)
		}
	}
	publish(t, conn, msgs...)
	cfg := testConfig(mq.ClientURL(), ch.url)
	cfg.BatchRows, cfg.BatchAge = total, 10*time.Second
	startSink(t, cfg)
	eventuallyQuery(t, ch, countRows, rows(total-bad))
	acknowledged(t, conn)
	stream, err := conn.JS.Stream(t.Context(), schemas.StreamQuarantine)
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().State.Msgs; got != bad {
		t.Errorf("%d in quarantine, want %d", got, bad)
	}
	if got := ch.query(t, countRows); got != rows(total-bad) {
		t.Errorf("got %q, want %q", got, rows(total-bad))
	}
}

func TestMigrateTwiceAndAtOnce(t *testing.T) {
	ch := cleanEngine(t)
	done := make(chan error)
	for range 4 {
		go func() { _, err := Migrate(context.Background(), ch.settings()); done <- err }()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	applied, err := Migrate(t.Context(), ch.settings())
	if err != nil || len(applied) != 0 {
		t.Errorf("once more: %v, %v", applied, err)
	}
	if got := ch.query(t, "SELECT count() FROM system.tables WHERE database = 'sluice' AND name = 'events'"); got != "1" {
		t.Errorf("%s tables", got)
	}
}

func TestMigrateRefusesANewerSchema(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	if _, err := Migrate(t.Context(), ch.settings()); err != nil {
		t.Fatal(err)
	}
	ch.query(t, "INSERT INTO sluice.schema_version (version_id, is_applied) VALUES (9999, 1)")
	if _, err := Migrate(t.Context(), ch.settings()); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("Migrate: %v", err)
	}
	err := Run(t.Context(), testConfig(mq.ClientURL(), ch.url), slog.New(slog.DiscardHandler))
	if !errors.Is(err, ErrNewerSchema) {
		t.Errorf("Run: %v", err)
	}
}

func TestMigrateNeedsARecentClickHouse(t *testing.T) {
	for version, want := range map[string]bool{
		"26.7.2.1": false, "26.8.1.1-lts": false, "27.1": false, "26.6.9.9": true, "25.8.1.1": true, "9.99": true, "": false, "head": false,
	} {
		if got := tooOld(version); got != want {
			t.Errorf("tooOld(%q) = %t", version, got)
		}
	}
	if _, err := Migrate(t.Context(), ClickHouse{ClickHouseURL: "http://" + freeAddress(t)}); err == nil || !unreachable(err) || !strings.Contains(err.Error(), "CLICKHOUSE_URL") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestMigrateNamesWhatFailed(t *testing.T) {
	ch := cleanEngine(t)
	_, err := migrate(t.Context(), ch.settings(), fstest.MapFS{"0001_bad.sql": {Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE sluice.x (a Nonsense) ENGINE = Memory;\n")}})
	if err == nil || !strings.Contains(err.Error(), "0001_bad.sql") || !strings.Contains(err.Error(), "Nonsense") {
		t.Errorf("got %v", err)
	}
}

// The look-up finds exactly the pks that are there, whatever their bytes.
func TestLookup(t *testing.T) {
	ch := cleanEngine(t)
	if _, err := Migrate(t.Context(), ch.settings()); err != nil {
		t.Fatal(err)
	}
	db, err := openClickHouse(t.Context(), ch.settings(), newMetrics(daemon.NewTelemetry().Registry), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := entries(lookupRows + 2500)
	all[0].pk, all[1].pk = uuid.UUID{15: 1}, uuid.Max
	for i := range all {
		all[i].row = row{pk: all[i].pk, expires: lastExpiry, created: testStored}
	}
	var half []entry
	for i := 0; i < len(all); i += 2 {
		half = append(half, all[i])
	}
	if err := db.insert(t.Context(), half, uuid.NewString()); err != nil {
		t.Fatal(err)
	}
	known, err := db.known(t.Context(), all)
	if err != nil || len(known) != len(half) {
		t.Fatalf("%d known of %d, %v", len(known), len(half), err)
	}
	for _, e := range half {
		if _, there := known[e.pk]; !there {
			t.Fatalf("%s is not found", e.pk)
		}
	}
	if got := ch.query(t, "SELECT count() FROM system.parts WHERE database = 'sluice' AND table = 'events' AND active"); got != "1" {
		t.Errorf("an insert made %s parts, want one block", got)
	}
}

// A token is a token: the same block under it is stored once.
func TestInsertTokenAndErrors(t *testing.T) {
	ch := cleanEngine(t)
	if _, err := Migrate(t.Context(), ch.settings()); err != nil {
		t.Fatal(err)
	}
	db, err := openClickHouse(t.Context(), ch.settings(), newMetrics(daemon.NewTelemetry().Registry), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := entries(10)
	for i := range all {
		all[i].expires, all[i].created, all[i].username = lastExpiry, testStored, secret
	}
	token := uuid.NewString()
	for range 3 {
		if err := db.insert(t.Context(), all, token); err != nil {
			t.Fatal(err)
		}
	}
	if got := ch.query(t, countRows); got != rows(10) {
		t.Errorf("got %q", got)
	}
	ch.query(t, "ALTER TABLE sluice.events ADD CONSTRAINT c CHECK username != '"+secret+"'")
	if err := db.insert(t.Context(), entries(0), token); err != nil {
		t.Errorf("no rows: %v", err)
	}
	err = db.insert(t.Context(), all, uuid.NewString())
	if !refused(err) || strings.Contains(err.Error(), secret) || db.healthy() != nil {
		t.Errorf("refused rows: %v, healthy %v", err, db.healthy())
	}
	ch.query(t, "DROP TABLE sluice.events SYNC")
	err = db.insert(t.Context(), all, uuid.NewString())
	if err == nil || refused(err) || !strings.Contains(err.Error(), "UNKNOWN_TABLE") || db.healthy() == nil {
		t.Errorf("no table: %v, healthy %v", err, db.healthy())
	}
}
