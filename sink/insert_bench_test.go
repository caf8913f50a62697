package sink

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/broker"
	"sluice/schemas"
)

// BenchmarkInsert inserts blocks of made-up events of 1 KB, what BenchmarkSink in bench
// does besides reading. The environment variable SINK_BENCH_SETTINGS has settings of the table to try.
func BenchmarkInsert(b *testing.B) {
	for _, rows := range []int{10_000, 20_000, 50_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) { benchmarkInsert(b, rows) })
	}
}

func benchmarkInsert(b *testing.B, rows int) {
	b.Helper()
	e, err := launch(b.TempDir(), "127.0.0.1:0")
	if err != nil {
		b.Skip(err)
	}
	defer e.kill()
	if _, err := Migrate(context.Background(), e.settings()); err != nil {
		b.Fatal(err)
	}
	if s := os.Getenv("SINK_BENCH_SETTINGS"); s != "" {
		if _, err := e.try("ALTER TABLE sluice.events MODIFY SETTING " + s); err != nil {
			b.Fatal(err)
		}
	}
	db, err := openClickHouse(context.Background(), e.settings(), newMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	m, all := newMapper(testRetention), newBatch()
	for i := range rows {
		msg := newEvent()
		msg.Data = []byte(strings.Replace(string(msg.Data), secret, fmt.Sprintf("%s %x", words[i%len(words)], i*7919), 1))
		all.add(broker.Delivery{Msg: &fakeMsg{data: string(msg.Data)}, Stream: schemas.StreamClean, Sequence: uint64(i), StoredAt: time.Now()}, m, time.Now())
	}
	b.ResetTimer()
	before := cpuOf(b, e.cmd.Process.Pid)
	for range b.N {
		for i := range all.entries {
			all.entries[i].pk = uuid.New()
		}
		if err := db.insert(context.Background(), all.entries, uuid.NewString()); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64((cpuOf(b, e.cmd.Process.Pid)-before).Microseconds())/float64(b.N*rows), "cpu-µs/row")
	if out, err := e.try("SELECT count(), uniqExact(pk) FROM sluice.events"); err != nil || out != fmt.Sprintf("%d\t%d", b.N*rows, b.N*rows) {
		b.Fatalf("rows: %s (%v)", out, err)
	}
}

// words fill the events up to 1 KB with text that compresses as text does.
var words = func() []string {
	out := make([]string, 64)
	for i := range out {
		for j := range 110 {
			out[i] += fmt.Sprintf("%s ", []string{"flow", "stage", "policy", "login", "default", "executor", "request", "agent"}[(i*31+j*j*7)%8])
		}
	}
	return out
}()

// cpuOf is the time that this process and another one have worked, which says more
// than the clock does on a machine with other work.
func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	const tick = 10 * time.Millisecond // USER_HZ of Linux
	var sum time.Duration
	for _, pid := range []int{os.Getpid(), pid} {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			b.Skip("needs Linux: ", err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for _, field := range fields[11:13] { // user, system
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(ticks) * tick
		}
	}
	return sum
}
