package broker_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/schemas"
)

func TestTrimKeepsWhatIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	conn := connect(t, startServer(t, t.TempDir(), -1))
	if err := conn.EnsureStreams(t.Context(), schemas.CleanStream()); err != nil {
		t.Fatal(err)
	}
	msgs := make([]*nats.Msg, 100)
	for i := range msgs {
		msgs[i] = message(schemas.CleanSubject("acme", "login"), string(rune('a'+i)), make([]byte, 1000))
	}
	conn.Publish(t.Context(), msgs)
	perMsg := state(t, conn, schemas.StreamClean).Bytes / 100
	everything := broker.Replay{Stream: schemas.StreamClean, Required: []string{schemas.ConsumerSink}, Bytes: 1, Age: time.Hour}

	trim := func(want uint64, r broker.Replay) {
		t.Helper()
		got, err := conn.Trim(t.Context(), r)
		if err != nil || got != want {
			t.Fatalf("got %d removed, error %v; want %d", got, err, want)
		}
	}
	trim(0, everything) // the sink does not exist yet
	sink, err := conn.EnsureConsumer(t.Context(), schemas.SinkConsumer())
	if err != nil {
		t.Fatal(err)
	}
	// A notifier that wants none of these events holds nothing back.
	if _, err := conn.EnsureConsumer(t.Context(), schemas.NotifierConsumer(schemas.ActionSystemException)); err != nil {
		t.Fatal(err)
	}
	trim(0, everything) // the sink has acknowledged nothing

	feed, err := conn.Subscribe(t.Context(), sink, broker.Buffer{Msgs: 200})
	if err != nil {
		t.Fatal(err)
	}
	var taken []broker.Delivery
	for len(taken) < 100 {
		taken = append(taken, <-feed.C())
	}
	broker.Ack(taken[:60], slog.New(slog.DiscardHandler))
	until(t, "60 are acknowledged", func() bool {
		info, err := sink.Info(t.Context())
		return err == nil && info.AckFloor.Stream == 60
	})
	trim(20, broker.Replay{Stream: schemas.StreamClean, Required: []string{schemas.ConsumerSink}, Bytes: 80*perMsg + perMsg/2, Age: time.Hour})
	trim(0, broker.Replay{Stream: schemas.StreamClean, Required: []string{schemas.ConsumerSink}, Bytes: 80*perMsg + perMsg/2, Age: time.Hour})
	trim(40, broker.Replay{Stream: schemas.StreamClean, Required: []string{schemas.ConsumerSink}, Bytes: 1 << 30, Age: 0})
	if got := state(t, conn, schemas.StreamClean); got.Msgs != 40 || got.FirstSeq != 61 {
		t.Errorf("got %d messages from %d on, want the 40 unacknowledged from 61 on", got.Msgs, got.FirstSeq)
	}
}
