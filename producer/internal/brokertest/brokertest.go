// Package brokertest starts a real broker for tests: nats-server in this
// process, on a free port, syncing each write to disk as the shipped one does.
package brokertest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server" //nolint:depguard // only tests import this package
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

// Broker is a running nats-server.
type Broker struct {
	URL    string
	t      testing.TB
	opts   server.Options
	server *server.Server
}

// Start starts a broker on a new store, without any stream. It stops with the
// test.
func Start(t testing.TB) *Broker {
	t.Helper()
	b := &Broker{t: t, opts: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: schemas.MaxPayloadBytes,
	}}
	b.Restart()
	t.Cleanup(func() { b.Stop() })
	return b
}

// Stop stops the broker; its store stays.
func (b *Broker) Stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// Restart starts the stopped broker again, on its port and store.
func (b *Broker) Restart() {
	b.t.Helper()
	opts := b.opts // the server changes its own
	s, err := server.NewServer(&opts)
	if err != nil {
		b.t.Fatalf("make broker: %v", err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		b.t.Fatal("broker does not start")
	}
	b.server, b.URL = s, s.ClientURL()
	if b.opts.Port == server.RANDOM_PORT {
		b.opts.Port = opts.Port
	}
}

// Connect connects as a service would, with nats.go's defaults. The connection
// closes with the test.
func (b *Broker) Connect() *nats.Conn {
	b.t.Helper()
	nc, err := nats.Connect(b.URL, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // the default prints
	if err != nil {
		b.t.Fatalf("connect: %v", err)
	}
	b.t.Cleanup(nc.Close)
	return nc
}

// Raw creates EVENTS_RAW as the redactor does. maxBytes 0 is the usual size.
func (b *Broker) Raw(maxBytes int64) jetstream.Stream {
	b.t.Helper()
	conn, err := broker.New(b.Connect(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.t.Fatalf("open JetStream: %v", err)
	}
	want := schemas.RawStream()
	if maxBytes > 0 {
		want.MaxBytes = maxBytes
	}
	if err := conn.EnsureStreams(context.Background(), want); err != nil {
		b.t.Fatalf("create stream: %v", err)
	}
	stream, err := conn.JS.Stream(context.Background(), want.Name)
	if err != nil {
		b.t.Fatalf("find stream: %v", err)
	}
	return stream
}

// Messages returns what the stream holds, in order.
func Messages(t testing.TB, stream jetstream.Stream) []*jetstream.RawStreamMsg {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	info, err := stream.Info(ctx)
	if err != nil {
		t.Fatalf("look at stream: %v", err)
	}
	var out []*jetstream.RawStreamMsg
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
		msg, err := stream.GetMsg(ctx, seq)
		if err != nil {
			t.Fatalf("read message %d: %v", seq, err)
		}
		out = append(out, msg)
	}
	return out
}

// Eventually polls until the condition holds, and fails the test when it does
// not within half a minute.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick, patience := time.NewTicker(5*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-patience:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
