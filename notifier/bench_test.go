package notifier

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/schemas"
)

// BenchmarkRead is the work for one event without any I/O.
func BenchmarkRead(b *testing.B) {
	mb := strings.Repeat("x y'1 ", 1<<17)
	for name, event := range map[string]string{
		"exception": exceptionEvent("billing", "ValueError", "amount 17 is too small", frames(library, library, "/app/billing/views.py charge")),
		"message":   messageEvent("billing", "order 17 of f00f54e7-2b38-421f-bc78-e61f950048d6 failed at 2026-03-01T12:00:00Z"),
		"traceback": `{"context":{"exception":` + quote(traceback) + `}}`,
		"megabyte":  messageEvent("billing", mb),
	} {
		b.Run(name, func(b *testing.B) {
			r := newReader(b)
			in := incoming{subject: "events.clean.default.system_exception", data: []byte(event), storedAt: storedAt}
			b.SetBytes(int64(len(event)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.read(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAlert measures the time from the publish of an event to its alert on
// NATS while 1,000 events a second arrive, in batches as the redactor publishes
// them, one event in twenty a new trouble, on a broker that syncs every write. It
// reports quantiles; ns/op is the pace.
func BenchmarkAlert(b *testing.B) {
	w := newWorld(b)
	w.start(long, long, nil)
	type arrival struct {
		msg *nats.Msg
		at  time.Time
	}
	alerts := make(chan arrival, 100_000)
	if _, err := w.conn.NC.Subscribe(schemas.AlertsPrefix+".>", func(msg *nats.Msg) { alerts <- arrival{msg, time.Now()} }); err != nil {
		b.Fatal(err)
	}
	const (
		batch = 5
		every = 20
	)
	sent := map[string]time.Time{}
	tick := time.NewTicker(batch * time.Millisecond)
	defer tick.Stop()
	for n := 0; b.Loop(); n++ {
		if n%batch == 0 {
			<-tick.C
		}
		message, app := "known", "bench"
		if n%every == 0 {
			app = fmt.Sprintf("bench-%d", len(sent)/5) // no storm
			message = strings.Repeat("n", len(sent)%50) + " " + strings.Repeat("m", len(sent)/50+1)
			sent[message] = time.Now()
		}
		w.queue("system_exception", messageEvent(app, message))
		if n%batch == batch-1 {
			w.flush()
		}
	}
	w.flush()
	var delays []time.Duration
	deadline := time.After(30 * time.Second)
	for len(delays) < len(sent) {
		select {
		case got := <-alerts:
			var a schemas.Alert
			if err := json.Unmarshal(got.msg.Data, &a); err != nil {
				b.Fatal(err)
			}
			if at, ok := sent[a.Data.Message]; ok {
				delays = append(delays, got.at.Sub(at))
			}
		case <-deadline:
			b.Fatalf("%d of %d alerts", len(delays), len(sent))
		}
	}
	slices.Sort(delays)
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50-ms", 0.5}, {"p99-ms", 0.99}, {"max-ms", 1}} {
		b.ReportMetric(float64(delays[int(q.at*float64(len(delays)-1))].Microseconds())/1000, q.name)
	}
}

// BenchmarkFlood measures how fast identical events are counted, and what that
// costs the store.
func BenchmarkFlood(b *testing.B) {
	w := newWorld(b)
	const batch = 10_000
	event := exceptionEvent("billing", "ValueError", "amount 17 is too small", frames(library, library, "/app/billing/views.py charge"))
	for range max(1, b.N/batch) {
		w.events(batch, "system_exception", event)
	}
	b.ResetTimer()
	s := w.start(long, long, nil)
	events := float64(max(1, b.N/batch) * batch)
	for s.metric(b, "notifier_events_total", "outcome=folded") < events {
		time.Sleep(time.Millisecond)
	}
	w.wantAcknowledged()
	b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(s.metric(b, "notifier_state_writes_total"), "writes")
	b.StopTimer()
}
