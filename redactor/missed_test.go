package redactor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/schemas"
)

func TestMissed(t *testing.T) {
	made := time.Unix(1, 0)
	type look struct {
		stream, consumer uint64
		reconnects       uint64
		created          time.Time
		want             uint64
	}
	for name, looks := range map[string][]look{
		"all are given":        {{10, 10, 0, made, 0}, {20, 20, 0, made, 0}},
		"some repeated":        {{10, 10, 0, made, 0}, {20, 25, 0, made, 0}},
		"some purged":          {{10, 10, 0, made, 0}, {20, 13, 0, made, 7}, {21, 14, 0, made, 0}},
		"long ago":             {{1000, 10, 0, made, 0}, {1001, 11, 0, made, 0}},
		"a broker that died":   {{10, 15, 0, made, 0}, {12, 14, 1, made, 0}},
		"what it had lost":     {{100, 150, 0, made, 0}, {100, 150, 1, made, 0}, {100, 150, 1, made, 0}, {500, 151, 1, made, 0}, {510, 152, 1, made, 9}},
		"a new consumer":       {{10, 10, 0, made, 0}, {50, 20, 0, made.Add(1), 0}},
		"a stream made anew":   {{10, 10, 0, made, 0}, {3, 11, 0, made, 0}},
		"nothing, to be given": {{0, 0, 0, made, 0}, {0, 0, 0, made, 0}, {5, 0, 0, made, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			m := missed{}
			for i, l := range looks {
				info := &jetstream.ConsumerInfo{Created: l.created, Delivered: jetstream.SequenceInfo{Stream: l.stream, Consumer: l.consumer}}
				if got := m.look(info, l.reconnects); got != l.want {
					t.Errorf("look %d: got %d, want %d", i, got, l.want)
				}
			}
		})
	}
}

// TestPurgedBeforeRead: the redactor says how many events somebody has purged.
func TestPurgedBeforeRead(t *testing.T) {
	b := startBroker(t)
	consumer, err := b.conn.EnsureConsumer(t.Context(), schemas.RedactorConsumer())
	if err != nil {
		t.Fatal(err)
	}
	telemetry := daemon.NewTelemetry()
	m, err := newMetrics(telemetry.Registry, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := newForgetter(t.Context(), b.conn, m, b.logs.logger())
	if err != nil {
		t.Fatal(err)
	}
	read := func() {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		feed, err := b.conn.Subscribe(ctx, consumer, broker.Buffer{Msgs: 1})
		if err != nil {
			t.Fatal(err)
		}
		d := <-feed.C()
		if err := d.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
		cancel()
		for rest := range feed.C() {
			broker.Ack([]broker.Delivery{rest}, b.logs.logger())
		}
		if _, err := f.forget(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.publish(logins(1)...)
	read()
	b.publish(logins(40)...)
	stream, err := b.conn.JS.Stream(t.Context(), schemas.StreamRaw)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.publish(logins(1)...)
	read()
	if got := gathered(t, telemetry, "redactor_missed_total"); got != 40 {
		t.Errorf("missed are %v, want 40", got)
	}
	if !strings.Contains(b.logs.String(), "raw events were gone before they were redacted") {
		t.Error("the log does not say so")
	}
}

// gathered is the value of a counter without labels.
func gathered(t *testing.T, telemetry *daemon.Telemetry, name string) float64 {
	t.Helper()
	families, err := telemetry.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}
