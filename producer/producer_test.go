package producer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/producer"
	"sluice/producer/internal/brokertest"
	"sluice/schemas"
)

func newProducer(t testing.TB, b *brokertest.Broker, cfg producer.Config) *producer.Producer {
	t.Helper()
	p, err := producer.New(b.Connect(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// ids counts how often each id is in the stream, by what the events say.
func ids(t testing.TB, messages []*jetstream.RawStreamMsg) map[uuid.UUID]int {
	t.Helper()
	out := map[uuid.UUID]int{}
	var decoder schemas.Decoder
	for _, msg := range messages {
		var ev schemas.Event
		if err := decoder.Decode(msg.Data, &ev); err != nil {
			t.Fatalf("message %d: %v", msg.Sequence, err)
		}
		if id := msg.Header.Get("Nats-Msg-Id"); id != ev.PK.String() {
			t.Errorf("message %d: Nats-Msg-Id %q, pk %s", msg.Sequence, id, ev.PK)
		}
		out[ev.PK]++
	}
	return out
}

func TestPublish(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	var logged bytes.Buffer
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	p := newProducer(t, b, producer.Config{
		Tenant: "acme", App: "billing", Log: slog.New(slog.NewJSONHandler(&logged, nil)),
		TraceParent: func(context.Context) string { return trace },
	})
	ack, err := p.Publish(t.Context(), schemas.Event{
		Action: "login_failed", Context: json.RawMessage(`{"password":"hunter2"}`), User: json.RawMessage(`{"username":"secret-ann"}`),
	})
	if err != nil || ack.Err != nil || ack.Sequence != 1 || ack.Duplicate {
		t.Fatalf("got %+v, %v", ack, err)
	}
	messages := brokertest.Messages(t, stream)
	if len(messages) != 1 || messages[0].Subject != "events.raw.acme.login_failed" {
		t.Fatalf("stream holds %d messages: %+v", len(messages), messages)
	}
	if got := messages[0].Header.Get("traceparent"); got != trace {
		t.Errorf("traceparent %q, want %q", got, trace)
	}
	if got := ids(t, messages); got[ack.PK] != 1 {
		t.Errorf("stream has ids %v, want %s", got, ack.PK)
	}

	var line map[string]any
	if err := json.Unmarshal(logged.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	delete(line, "time")
	want := map[string]any{
		"level": "INFO", "msg": "event published", "event_id": ack.PK.String(), "action": "login_failed", "tenant": "acme",
		"app": "billing", "seq": 1.0, "duplicate": false,
	}
	if fmt.Sprint(line) != fmt.Sprint(want) {
		t.Errorf("logged %v\nwant   %v", line, want)
	}
}

func TestPublishAgainIsHarmless(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	p := newProducer(t, b, producer.Config{})
	event := schemas.Event{PK: uuid.MustParse("6f9619ff-8b86-4011-b42d-00c04fc964ff"), Action: "login"}
	other := schemas.Event{Action: "logout"}

	first, err := p.Publish(t.Context(), event)
	if err != nil || first.Duplicate {
		t.Fatalf("first: %+v, %v", first, err)
	}
	second, err := p.Publish(t.Context(), event)
	if err != nil || !second.Duplicate || second.PK != first.PK {
		t.Errorf("second: %+v, %v, want a duplicate", second, err)
	}
	// Across batches, and twice within one.
	third := schemas.Event{PK: uuid.MustParse("0190163d-8694-739b-aea5-966c26f8ad91"), Action: "login"}
	acks, err := p.PublishMany(t.Context(), []schemas.Event{other, event, third, third})
	if err != nil {
		t.Fatal(err)
	}
	var duplicates []bool
	for _, ack := range acks {
		duplicates = append(duplicates, ack.Duplicate)
	}
	if fmt.Sprint(duplicates) != "[false true false true]" {
		t.Errorf("duplicates %v", duplicates)
	}
	if got := ids(t, brokertest.Messages(t, stream)); len(got) != 3 {
		t.Errorf("stream has %v, want three events", got)
	}
}

func TestPublishManyKeepsOrderAndReportsEach(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	p := newProducer(t, b, producer.Config{})
	events := make([]schemas.Event, 2500)
	for i := range events {
		events[i] = schemas.Event{Action: "login", Context: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))}
	}
	events[7].Action = "No Action"
	events[2400].Context = json.RawMessage(`"hunter2"`)
	acks, err := p.PublishMany(t.Context(), events)
	if !errors.Is(err, producer.ErrInvalid) || !strings.HasPrefix(err.Error(), "2 of 2500 events not published") {
		t.Errorf("got %v", err)
	}
	messages := brokertest.Messages(t, stream)
	if len(messages) != len(events)-2 {
		t.Fatalf("stream holds %d messages", len(messages))
	}
	at := 0
	for i, ack := range acks {
		if i == 7 || i == 2400 {
			if !errors.Is(ack.Err, producer.ErrInvalid) || ack.PK == uuid.Nil {
				t.Errorf("event %d: %+v", i, ack)
			}
			continue
		}
		if want := fmt.Sprintf(`"context":{"n":%d}`, i); ack.Sequence != messages[at].Sequence || !bytes.Contains(messages[at].Data, []byte(want)) {
			t.Fatalf("event %d: %+v, message %d is %s", i, ack, messages[at].Sequence, messages[at].Data)
		}
		at++
	}
	if none, err := p.PublishMany(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("nothing: %v, %v", none, err)
	}
}

func TestPublishFromManyGoroutines(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	p := newProducer(t, b, producer.Config{})
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			for range 25 {
				if _, err := p.Publish(t.Context(), schemas.Event{Action: "login"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := ids(t, brokertest.Messages(t, stream)); len(got) != 1000 {
		t.Errorf("stream has %d events, want 1000", len(got))
	}
}

func TestPublishThroughABrokerRestart(t *testing.T) {
	b := brokertest.Start(t)
	b.Raw(0)
	p := newProducer(t, b, producer.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var mu sync.Mutex
	acked := map[uuid.UUID]bool{}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(acked) }
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				ack, err := p.Publish(ctx, schemas.Event{Action: "login"})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acked[ack.PK] = true
				mu.Unlock()
			}
		})
	}
	brokertest.Eventually(t, "a hundred events", func() bool { return count() >= 100 })
	b.Stop()
	b.Restart()
	wg.Wait()
	got := ids(t, brokertest.Messages(t, b.Raw(0)))
	if len(got) != 800 || len(acked) != 800 {
		t.Errorf("%d acknowledged, %d stored, want 800", len(acked), len(got))
	}
	for pk, n := range got {
		if n != 1 || !acked[pk] {
			t.Errorf("%s: stored %d times, acknowledged: %v", pk, n, acked[pk])
		}
	}
}

func TestPublishIntoAFullStream(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(64 << 10)
	for name, gather := range map[string]time.Duration{"gathering": 0, "not gathering": -1} {
		t.Run(name, func(t *testing.T) {
			p := newProducer(t, b, producer.Config{Gather: gather})
			event := schemas.Event{Action: "login", Context: json.RawMessage(`{"x":"` + strings.Repeat("x", 20<<10) + `"}`)}
			var ack producer.Ack
			var err error
			for range 10 {
				if ack, err = p.Publish(t.Context(), event); err != nil {
					break
				}
			}
			if !errors.Is(err, producer.ErrFull) {
				t.Fatalf("got %v, want %v", err, producer.ErrFull)
			}
			if acks, err := p.PublishMany(t.Context(), []schemas.Event{event, event, event}); !errors.Is(err, producer.ErrFull) {
				t.Fatalf("many: got %+v, %v, want %v", acks, err, producer.ErrFull)
			}
			if err := stream.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			event.PK = ack.PK
			if again, err := p.Publish(t.Context(), event); err != nil || again.Duplicate || again.PK != ack.PK {
				t.Errorf("with room: %+v, %v", again, err)
			}
		})
	}
}

func TestPublishTooLargeForTheBroker(t *testing.T) {
	b := brokertest.Start(t)
	cfg := b.Raw(0).CachedInfo().Config
	cfg.MaxMsgSize = 10 << 10
	js, err := jetstream.New(b.Connect())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	large := schemas.Event{Action: "login", Context: json.RawMessage(`{"x":"` + strings.Repeat("x", 20<<10) + `"}`)}
	p := newProducer(t, b, producer.Config{})
	if _, err := p.Publish(t.Context(), large); !errors.Is(err, producer.ErrTooLarge) {
		t.Errorf("one: %v, want %v", err, producer.ErrTooLarge)
	}
	acks, err := p.PublishMany(t.Context(), []schemas.Event{{Action: "login"}, large, {Action: "login"}})
	if !errors.Is(err, producer.ErrTooLarge) || acks[0].Err != nil || acks[2].Err != nil || acks[1].Sequence != 0 {
		t.Errorf("many: %+v, %v", acks, err)
	}
}

func TestPublishWithoutAStream(t *testing.T) {
	b := brokertest.Start(t)
	p := newProducer(t, b, producer.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := p.Publish(ctx, schemas.Event{Action: "login"}); !errors.Is(err, producer.ErrNoStream) {
		t.Errorf("one: %v, want %v", err, producer.ErrNoStream)
	}
	if _, err := p.Publish(ctx, schemas.Event{Action: "login"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if acks, err := p.PublishMany(ctx, []schemas.Event{{Action: "login"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("many: %+v, %v", acks, err)
	}
	// The stream comes up while Publish waits.
	done := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := p.Publish(ctx, schemas.Event{Action: "login"})
		done <- err
	}()
	b.Raw(0)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPublishAfterClose(t *testing.T) {
	b := brokertest.Start(t)
	b.Raw(0)
	p := newProducer(t, b, producer.Config{})
	p.Close()
	if _, err := p.Publish(t.Context(), schemas.Event{Action: "login"}); !errors.Is(err, producer.ErrClosed) {
		t.Errorf("got %v, want %v", err, producer.ErrClosed)
	}
}

func TestNewRefusesATenantThatIsNoToken(t *testing.T) {
	b := brokertest.Start(t)
	if _, err := producer.New(b.Connect(), producer.Config{Tenant: "a.b"}); err == nil {
		t.Error("want an error")
	}
}

// BenchmarkPublish stores events of 1 KB into a broker that syncs each write.
func BenchmarkPublish(b *testing.B) {
	context1KB := json.RawMessage(`{"x":"` + strings.Repeat("x", 900) + `"}`)
	for _, goroutines := range []int{1, 8, 16, 32, 64, 512} {
		for name, gather := range map[string]time.Duration{"gather": 0, "single": -1} {
			b.Run(fmt.Sprintf("%s/goroutines=%d", name, goroutines), func(b *testing.B) {
				broker := brokertest.Start(b)
				broker.Raw(0)
				p := newProducer(b, broker, producer.Config{Gather: gather})
				work := make(chan struct{}, goroutines)
				var wg sync.WaitGroup
				for range goroutines {
					wg.Go(func() {
						for range work {
							if _, err := p.Publish(b.Context(), schemas.Event{Action: "login", Context: context1KB}); err != nil {
								b.Error(err)
							}
						}
					})
				}
				for b.Loop() {
					work <- struct{}{}
				}
				close(work)
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
