package redactor

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// BenchmarkRedactor is how fast the service empties EVENTS_RAW of events of 1 KB,
// on a broker beside it that fsyncs each write, with a raw stream as the contract
// has it, and with a work queue, which removes what is acknowledged.
func BenchmarkRedactor(b *testing.B) {
	b.Run("contract", func(b *testing.B) { emptyRaw(b, func(*testBroker) {}, (*testBroker).run) })
	b.Run("work_queue", func(b *testing.B) { emptyRaw(b, (*testBroker).workQueueRaw, (*testBroker).runParts) })
}

func emptyRaw(b *testing.B, prepare func(*testBroker), run func(*testBroker) (stop func())) {
	b.Helper()
	broker := startBroker(b)
	prepare(broker)
	msgs := make([]*nats.Msg, 0, b.N)
	for i := range b.N {
		m := login(`{"context":{"password":"` + planted + `","n":` + strconv.Itoa(i) + `,"padding":"` + strings.Repeat("x", 950) + `"}}`)
		m.Header = nats.Header{jetstream.MsgIDHeader: {strconv.Itoa(i)}}
		msgs = append(msgs, m)
	}
	for _, r := range broker.conn.Publish(b.Context(), msgs) {
		if r.Err != nil {
			b.Fatal(r.Err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	stop := run(broker)
	broker.drained()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	stop()
	if n := broker.count(schemas.StreamClean); n != b.N {
		b.Errorf("%d clean events, want %d", n, b.N)
	}
}

// BenchmarkLatency is how long one event takes from its publisher to
// EVENTS_CLEAN when there is nothing else to do.
func BenchmarkLatency(b *testing.B) {
	broker := startBroker(b)
	broker.run()
	clean, err := broker.conn.NC.SubscribeSync(schemas.CleanPrefix + ".>")
	if err != nil {
		b.Fatal(err)
	}
	if err := broker.conn.NC.Flush(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		broker.publish(login(`{"context":{"password":"` + planted + `"}}`))
		if _, err := clean.NextMsg(10 * time.Second); err != nil {
			b.Fatal(err)
		}
	}
}
