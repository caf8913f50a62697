package bench_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/producer/generate"
	"sluice/redactor"
	"sluice/schemas"
)

// BenchmarkRelay moves events of 1 KB from EVENTS_RAW to EVENTS_CLEAN on a broker
// that syncs every write: by the redactor, and by the bare relay, which reads,
// publishes in the same batches and acknowledges, with nothing in between. The
// relay is the redactor's ceiling.
func BenchmarkRelay(b *testing.B) {
	b.Run("bare", func(b *testing.B) { benchmarkRelay(b, relay) })
	b.Run("redactor", func(b *testing.B) {
		benchmarkRelay(b, func(ctx context.Context, to broker.NATS) error {
			cfg := redactor.Config{NATS: to, DrainTimeout: 10 * time.Second}
			cfg.Telemetry = daemon.NewTelemetry()
			return redactor.Run(ctx, cfg, slog.New(slog.DiscardHandler))
		})
	})
}

func benchmarkRelay(b *testing.B, run func(context.Context, broker.NATS) error) {
	b.Helper()
	to, conn := startBroker(b)
	size := fill(b, conn, b.N)
	b.SetBytes(int64(size / b.N))
	b.ResetTimer()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, to) }()
	for tick := time.NewTicker(2 * time.Millisecond); stored(b, conn) < uint64(b.N); {
		select {
		case err := <-done:
			b.Fatalf("ended early: %v", err)
		case <-tick.C:
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

func startBroker(b *testing.B) (broker.NATS, *broker.Conn) {
	b.Helper()
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: b.TempDir(), SyncAlways: true,
		JetStreamMaxStore: 1 << 40, MaxPayload: schemas.MaxPayloadBytes, NoLog: true, NoSigs: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	ns.Start()
	if !ns.ReadyForConnections(10 * time.Second) {
		b.Fatal("the broker did not get ready")
	}
	b.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	to := broker.NATS{URL: ns.ClientURL(), ConnectWait: 5 * time.Second}
	conn, err := broker.Connect(b.Context(), to, "bench", slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	if err := conn.EnsureStreams(b.Context(), schemas.Streams()...); err != nil {
		b.Fatal(err)
	}
	return to, conn
}

// fill publishes n generated events and returns their size.
func fill(b *testing.B, conn *broker.Conn, n int) (size int) {
	b.Helper()
	events := generate.New(generate.Config{Seed: 1})
	for n > 0 {
		msgs := make([]*nats.Msg, min(n, broker.MaxBatchMsgs))
		for i := range msgs {
			ev := events.Next()
			size += len(ev.JSON)
			msgs[i] = message(schemas.RawSubject(schemas.DefaultTenant, ev.Action), ev.PK, ev.JSON)
		}
		publish(b, conn, msgs)
		n -= len(msgs)
	}
	return size
}

func message(subject, id string, data []byte) *nats.Msg {
	return &nats.Msg{Subject: subject, Header: nats.Header{jetstream.MsgIDHeader: {id}}, Data: data}
}

func publish(b *testing.B, conn *broker.Conn, msgs []*nats.Msg) {
	b.Helper()
	for i, result := range conn.Publish(b.Context(), msgs) {
		if result.Err != nil || result.Duplicate {
			b.Fatalf("publish %s: %+v", msgs[i].Subject, result)
		}
	}
}

func stored(b *testing.B, conn *broker.Conn) uint64 {
	b.Helper()
	stream, err := conn.JS.Stream(b.Context(), schemas.StreamClean)
	if err != nil {
		b.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

func relay(ctx context.Context, to broker.NATS) error {
	log := slog.New(slog.DiscardHandler)
	conn, err := broker.Connect(ctx, to, "relay", log)
	if err != nil {
		return err
	}
	defer conn.Close()
	consumer, err := conn.EnsureConsumer(ctx, schemas.RedactorConsumer())
	if err != nil {
		return err
	}
	feed, err := conn.Subscribe(ctx, consumer, broker.Buffer{Msgs: broker.MaxBatchMsgs, Bytes: 4 * schemas.MaxPayloadBytes})
	if err != nil {
		return err
	}
	var batch []broker.Delivery
	for {
		if batch = feed.Batch(batch, broker.MaxBatchMsgs); len(batch) == 0 {
			return feed.Err()
		}
		msgs := make([]*nats.Msg, len(batch))
		for i, d := range batch {
			tenant, action, err := schemas.ParseEventSubject(d.Subject())
			if err != nil {
				return err
			}
			msgs[i] = message(schemas.CleanSubject(tenant, action), d.Headers().Get(jetstream.MsgIDHeader), d.Data())
		}
		for _, result := range conn.Publish(ctx, msgs) {
			if ctx.Err() != nil {
				return nil
			}
			if result.Err != nil {
				return fmt.Errorf("publish: %w", result.Err)
			}
		}
		broker.Ack(batch, log)
	}
}
