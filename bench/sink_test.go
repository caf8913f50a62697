package bench_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/producer/generate"
	"sluice/schemas"
	"sluice/sink"
)

// BenchmarkSink moves events of 1 KB from a filled EVENTS_CLEAN into the embedded
// ClickHouse: by the sink, and by a bare consumer, which reads and acknowledges in
// the same way and stores nothing. The insert alone is BenchmarkInsert in sink.
func BenchmarkSink(b *testing.B) {
	b.Run("bare consume", func(b *testing.B) {
		to, conn := startBroker(b)
		b.SetBytes(int64(fillClean(b, conn, b.N) / b.N))
		b.ResetTimer()
		consume(b, to, b.N)
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("sink", benchmarkSink)
}

func benchmarkSink(b *testing.B) {
	to, conn := startBroker(b)
	b.SetBytes(int64(fillClean(b, conn, b.N) / b.N))
	clickHouse := startClickHouse(b)
	cfg := sink.Config{}
	if err := daemon.Load("SINK", &cfg); err != nil {
		b.Fatal(err)
	}
	cfg.NATS, cfg.ClickHouseURL = to, clickHouse
	cfg.Telemetry = daemon.NewTelemetry()
	b.ResetTimer()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- sink.Run(ctx, cfg, slog.New(slog.DiscardHandler)) }()
	for tick := time.NewTicker(10 * time.Millisecond); !acknowledged(b, conn, b.N); {
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
	want := fmt.Sprintf("%d\t%d", b.N, b.N)
	if got := ask(b, clickHouse, "SELECT count(), uniqExact(pk) FROM sluice.events"); got != want {
		b.Fatalf("rows and different ones: %s, want %s", got, want)
	}
}

// acknowledged tells whether the sink has acknowledged the n messages.
func acknowledged(b *testing.B, conn *broker.Conn, n int) bool {
	b.Helper()
	consumer, err := conn.JS.Consumer(b.Context(), schemas.StreamClean, schemas.ConsumerSink)
	return err == nil && consumer.CachedInfo().AckFloor.Stream >= uint64(n)
}

func consume(b *testing.B, to broker.NATS, n int) {
	b.Helper()
	conn, err := broker.Connect(b.Context(), to, "consume", slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	consumer, err := conn.EnsureConsumer(b.Context(), schemas.SinkConsumer())
	if err != nil {
		b.Fatal(err)
	}
	feed, err := conn.Subscribe(b.Context(), consumer, broker.Buffer{Msgs: 10_000, Bytes: 16 << 20})
	if err != nil {
		b.Fatal(err)
	}
	var batch []broker.Delivery
	for n > 0 {
		if batch = feed.Batch(batch, 10_000); len(batch) == 0 {
			b.Fatal(feed.Err())
		}
		broker.Ack(batch[len(batch)-1:], slog.New(slog.DiscardHandler))
		n -= len(batch)
	}
}

// fillClean publishes n generated events as if they were redacted and returns
// their size.
func fillClean(b *testing.B, conn *broker.Conn, n int) (size int) {
	b.Helper()
	events := generate.New(generate.Config{Seed: 1})
	for n > 0 {
		msgs := make([]*nats.Msg, min(n, broker.MaxBatchMsgs))
		for i := range msgs {
			ev := events.Next()
			size += len(ev.JSON)
			msgs[i] = message(schemas.CleanSubject(schemas.DefaultTenant, ev.Action), ev.PK, ev.JSON)
		}
		publish(b, conn, msgs)
		n -= len(msgs)
	}
	return size
}

// startClickHouse starts the embedded ClickHouse and returns its address.
func startClickHouse(b *testing.B) string {
	b.Helper()
	path, err := filepath.Abs(filepath.Join("..", "bin", "clickhouse-embedded"))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil || os.Getenv("CHDB_LIB_PATH") == "" {
		b.Skipf("no embedded ClickHouse at %s, or CHDB_LIB_PATH does not name its library: run `make build engine`", path)
	}
	cmd := exec.Command(path, "-addr", "127.0.0.1:0", "-path", b.TempDir())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // it ends with its standard input
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	url, found := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if !found {
		b.Fatalf("the embedded ClickHouse did not start: %v: %s", err, line)
	}
	return url
}

func ask(b *testing.B, url, statement string) string {
	b.Helper()
	resp, err := http.Post(url, "text/plain", strings.NewReader(statement))
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Fatalf("HTTP %d: %s (%v)", resp.StatusCode, body, err)
	}
	return strings.TrimSpace(string(body))
}
