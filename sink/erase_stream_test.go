package sink

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/schemas"
)

// What a sink has in hand it would store after the erasure.
func TestEraseWaitsForTheSink(t *testing.T) {
	mq := startBroker(t)
	conn := connect(t, mq)
	r := replayable{conn: conn, erasure: Erasure{User: erasedUser}, patience: 300 * time.Millisecond}
	publish(t, conn, eventOf("acme", erasedUser, erasedTale))
	if n, err := r.erase(t.Context()); err != nil || n != 1 {
		t.Errorf("without a sink: %d, %v", n, err)
	}
	publish(t, conn, eventOf("acme", erasedUser, erasedTale))
	consumer, err := conn.EnsureConsumer(t.Context(), schemas.SinkConsumer())
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(1)
	if err != nil {
		t.Fatal(err)
	}
	msg := <-batch.Messages()
	turn, err := openTurn(t.Context(), conn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := turn.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.erase(t.Context()); !errors.Is(err, errBehind) {
		t.Errorf("in hand: %v", err)
	}
	if err := msg.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := r.erase(t.Context()); err != nil || n != 1 {
		t.Errorf("acknowledged: %d, %v", n, err)
	}
	// A sink was killed at an insert, which may be at work in ClickHouse still.
	publish(t, conn, eventOf("acme", erasedUser, erasedTale))
	seq := r.lastSeq(t)
	if err := turn.write(t.Context(), record{Owner: "killed", Plan: &plan{First: seq, Last: seq}}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r.orphans, r.progress = time.Hour, onWrite(stop) // stopped in its wait
	if n, err := r.erase(ctx); !errors.Is(err, context.Canceled) || n != 0 {
		t.Errorf("killed at an insert: %d, %v", n, err)
	}
	r.orphans, r.progress = time.Millisecond, nil
	if n, err := r.erase(t.Context()); err != nil || n != 1 {
		t.Errorf("after its longest: %d, %v", n, err)
	}
}

func (r replayable) lastSeq(t *testing.T) uint64 {
	t.Helper()
	stream, err := r.conn.JS.Stream(t.Context(), schemas.StreamClean)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.LastSeq
}

// onWrite calls itself at the first line of progress.
type onWrite func()

func (f onWrite) Write(p []byte) (int, error) { f(); return len(p), nil }

// The rest of the stream may be trimmed while it is read.
func TestEraseOfAStreamThatIsTrimmed(t *testing.T) {
	conn := connect(t, startBroker(t))
	var msgs []*nats.Msg
	for range 5000 {
		msgs = append(msgs, eventOf("acme", "another", "another"))
	}
	publish(t, conn, msgs...)
	stream, err := conn.JS.Stream(t.Context(), schemas.StreamClean)
	if err != nil {
		t.Fatal(err)
	}
	trim := onWrite(sync.OnceFunc(func() {
		if err := stream.Purge(t.Context()); err != nil {
			t.Error(err)
		}
	}))
	r := replayable{conn: conn, erasure: Erasure{User: "another"}, progress: trim}
	if _, err := r.erase(t.Context()); err != nil {
		t.Errorf("got %v", err)
	}
}
