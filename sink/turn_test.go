package sink

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"sluice/internal/broker"
	"sluice/schemas"
)

// leaveTurn leaves the turn to a sink of that id, which need not be there.
func leaveTurn(t *testing.T, conn *broker.Conn, id string) {
	t.Helper()
	left, err := openTurn(t.Context(), conn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := left.write(t.Context(), record{Owner: id}); err != nil {
		t.Fatal(err)
	}
}

// Who is told that the sink is ready may ask for the table.
func TestServiceIsReadyOnceTheTableIsThere(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	leaveTurn(t, connect(t, mq), "a-sink-that-died")
	cfg := testConfig(mq.ClientURL(), ch.url)
	cfg.Telemetry.Expect("sink")
	startSink(t, cfg)
	eventually(t, "ready", func() bool { return cfg.Telemetry.Unready() == nil })
	if out, err := ch.try("SELECT count() FROM sluice.events"); err != nil || out != "0" {
		t.Errorf("ready without a table: %q, %v", out, err)
	}
}

// A sink that waits for one that stores is ready to take over, and does not wait
// once that one has stopped.
func TestServiceWaitsReady(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	first, second := testConfig(mq.ClientURL(), ch.url), testConfig(mq.ClientURL(), ch.url)
	first.Telemetry.Expect("sink")
	second.Telemetry.Expect("sink")
	storing := startSink(t, first)
	eventually(t, "the first one ready", func() bool { return first.Telemetry.Unready() == nil })
	waiting := startSink(t, second)
	eventually(t, "the second one ready", func() bool { return second.Telemetry.Unready() == nil })
	if text := waiting.log.String(); !strings.Contains(text, "waiting to take over") {
		t.Errorf("the log:\n%s", text)
	}
	if err := storing.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second one stores", func() bool { return strings.Contains(waiting.log.String(), "msg=storing") })
}

// A sink that is told to stop before it stores leaves the turn to the next one.
func TestServiceStoppedWhileItMigratesPassesTheTurn(t *testing.T) {
	ch, mq := cleanEngine(t), startBroker(t)
	conn := connect(t, mq)
	// Somebody else migrates, so that this sink waits with the turn in hand.
	ch.query(t, "CREATE DATABASE IF NOT EXISTS sluice")
	ch.query(t, "CREATE TABLE sluice.migration_lock_1 (x UInt8) ENGINE = Memory COMMENT '"+ch.query(t, "SELECT toUnixTimestamp(now() + 3600)")+"'")
	s := startSink(t, testConfig(mq.ClientURL(), ch.url))
	look, err := openTurn(t.Context(), conn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the turn taken", func() bool { return look.read(t.Context()) == nil && look.record.Owner != "" })
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if err := look.read(t.Context()); err != nil || look.record.Owner != "" {
		t.Errorf("the turn is still %q's (%v)", look.record.Owner, err)
	}
}

// The broker goes away in mid-load and comes back: whoever stores goes on from
// what is settled.
func TestServiceSurvivesABrokerRestart(t *testing.T) {
	ch := cleanEngine(t)
	options := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(),
		NoLog: true, NoSigs: true, MaxPayload: schemas.MaxPayloadBytes,
	}
	launch := func() *server.Server {
		mq, err := server.NewServer(options.Clone())
		if err != nil {
			t.Fatal(err)
		}
		mq.Start()
		t.Cleanup(func() { mq.Shutdown(); mq.WaitForShutdown() })
		if !mq.ReadyForConnections(10 * time.Second) {
			t.Fatal("the broker did not start")
		}
		return mq
	}
	mq := launch()
	options.Port = mq.Addr().(*net.TCPAddr).Port
	conn := connect(t, mq)
	for range 2 {
		cfg := testConfig(mq.ClientURL(), ch.url)
		cfg.BatchRows = 100
		startSink(t, cfg)
	}
	total := 0
	for range 3 {
		publishEvents(t, conn, 2000)
		total += 2000
		eventually(t, "some of them stored", func() bool {
			out, err := ch.try(fmt.Sprintf("SELECT count() > %d FROM sluice.events", total-2000))
			return err == nil && out == "1"
		})
		mq.Shutdown()
		mq.WaitForShutdown()
		mq = launch()
		eventually(t, "connected again", func() bool { return conn.Healthy() == nil })
	}
	eventuallyQuery(t, ch, countRows, rows(total))
	acknowledged(t, conn)
	if got := ch.query(t, countRows); got != rows(total) {
		t.Errorf("got %q, want %q", got, rows(total))
	}
}
