package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

// fillClean stores n messages in EVENTS_CLEAN.
func fillClean(t *testing.T, conn *broker.Conn, n int) {
	t.Helper()
	if err := conn.EnsureStreams(t.Context(), schemas.CleanStream()); err != nil {
		t.Fatal(err)
	}
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		msgs[i] = message(schemas.CleanSubject("acme", "login"), fmt.Sprint("m", i), []byte("{}"))
	}
	for _, r := range conn.Publish(t.Context(), msgs) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}

// The consumer of an earlier version acknowledges each message by itself. It is
// made anew where it was, also by a process that goes on after one that died in
// the middle of that.
func TestConsumerChangesHowItAcknowledges(t *testing.T) {
	const acked = 3
	for _, tc := range []struct {
		name    string
		disturb func(t *testing.T, js jetstream.JetStream)
	}{
		{"at once", func(t *testing.T, _ jetstream.JetStream) { t.Helper() }},
		{"interrupted, with both there", func(t *testing.T, js jetstream.JetStream) {
			t.Helper()
			placeholder(t, js, acked+1)
		}},
		{"interrupted, with the old one gone", func(t *testing.T, js jetstream.JetStream) {
			t.Helper()
			placeholder(t, js, acked+1)
			if err := js.DeleteConsumer(t.Context(), schemas.StreamClean, schemas.ConsumerSink); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn := connect(t, startServer(t, t.TempDir(), -1))
			fillClean(t, conn, 10)
			before := schemas.SinkConsumer()
			before.InOrder = false
			old, err := conn.EnsureConsumer(t.Context(), before)
			if err != nil {
				t.Fatal(err)
			}
			batch, err := old.Fetch(acked, jetstream.FetchMaxWait(5*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			for msg := range batch.Messages() {
				if err := msg.DoubleAck(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			tc.disturb(t, conn.JS)
			consumer, err := conn.EnsureConsumer(t.Context(), schemas.SinkConsumer())
			if err != nil {
				t.Fatal(err)
			}
			info := consumer.CachedInfo()
			if info.Config.AckPolicy != jetstream.AckAllPolicy || info.AckFloor.Stream != acked || info.NumPending != 10-acked {
				t.Errorf("policy %s, floor %d, %d pending, want all, %d, %d", info.Config.AckPolicy, info.AckFloor.Stream, info.NumPending, acked, 10-acked)
			}
			if _, err := conn.JS.Consumer(t.Context(), schemas.StreamClean, schemas.ConsumerSink+"-moving"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
				t.Errorf("the placeholder is still there: %v", err)
			}
		})
	}
}

func placeholder(t *testing.T, js jetstream.JetStream, next uint64) {
	t.Helper()
	_, err := js.CreateOrUpdateConsumer(t.Context(), schemas.StreamClean, jetstream.ConsumerConfig{
		Durable: schemas.ConsumerSink + "-moving", AckPolicy: jetstream.AckAllPolicy, AckWait: 5 * time.Minute,
		MaxAckPending: 250_000, MaxDeliver: -1, Description: "stores in ClickHouse",
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: next,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A message that went to somebody else is a gap, and a feed in order ends there.
func TestFeedInOrderEndsAtAGap(t *testing.T) {
	conn := connect(t, startServer(t, t.TempDir(), -1))
	fillClean(t, conn, 10)
	consumer, err := conn.EnsureConsumer(t.Context(), schemas.SinkConsumer())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := consumer.Fetch(2, jetstream.FetchMaxWait(5*time.Second)); err != nil { // another reader
		t.Fatal(err)
	}
	until := func(ready func(*jetstream.ConsumerInfo) bool) {
		for {
			info, err := consumer.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if ready(info) {
				return
			}
		}
	}
	until(func(info *jetstream.ConsumerInfo) bool { return info.NumAckPending == 2 })
	feed, err := conn.Subscribe(t.Context(), consumer, broker.Buffer{Msgs: 10})
	if err != nil {
		t.Fatal(err)
	}
	for d := range feed.C() {
		t.Errorf("delivered message %d after a gap", d.Sequence)
	}
	if !errors.Is(feed.Err(), broker.ErrInterrupted) {
		t.Errorf("ended with %v", feed.Err())
	}

	// After a reset everything comes, in order.
	if err := conn.ResetTo(t.Context(), schemas.StreamClean, schemas.ConsumerSink, 1); err != nil {
		t.Fatal(err)
	}
	again, err := conn.Subscribe(t.Context(), consumer, broker.Buffer{Msgs: 10})
	if err != nil {
		t.Fatal(err)
	}
	for want := uint64(1); want <= 10; want++ {
		if d := <-again.C(); d.Sequence != want || d.Pending != 10-want {
			t.Errorf("got message %d with %d to come, want %d with %d", d.Sequence, d.Pending, want, 10-want)
		}
	}
}

// TestReaderTooSlowForTheEnd: a feed in order that is told to end while its reader is
// busy for longer than it waits leaves out the end, not one message in the middle: an
// acknowledgement of what came after it would be for it too.
func TestReaderTooSlowForTheEnd(t *testing.T) {
	const n, buffer = 40, 10
	conn := connect(t, startServer(t, t.TempDir(), -1))
	fillClean(t, conn, n)
	consumer, err := conn.EnsureConsumer(t.Context(), schemas.SinkConsumer())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.ResetTo(t.Context(), schemas.StreamClean, schemas.ConsumerSink, 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	feed, err := conn.Subscribe(ctx, consumer, broker.Buffer{Msgs: buffer})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "more is fetched than there is room for", func() bool {
		info, err := consumer.Info(t.Context())
		return err == nil && info.NumAckPending > buffer
	})
	cancel()
	<-time.After(2500 * time.Millisecond) // the reader is busy; nobody sees how long a feed waits for it
	next := uint64(1)
	for d := range feed.C() {
		if d.Sequence != next {
			t.Fatalf("message %d comes after %d", d.Sequence, next-1)
		}
		next++
	}
	if next <= buffer {
		t.Errorf("%d messages came, want those in the buffer at least", next-1)
	}
}
