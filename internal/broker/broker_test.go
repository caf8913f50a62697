package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

// startServer runs a real broker as Sluice ships it, on the port given or a free
// one.
func startServer(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, SyncAlways: true,
		MaxPayload: schemas.MaxPayloadBytes, NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatalf("make the server: %v", err)
	}
	ns.Start()
	if !ns.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server did not get ready")
	}
	t.Cleanup(func() { stopServer(ns) })
	return ns
}

func stopServer(ns *server.Server) {
	ns.Shutdown()
	ns.WaitForShutdown()
}

func connect(t *testing.T, ns *server.Server) *broker.Conn {
	t.Helper()
	conn, err := broker.Connect(t.Context(), broker.NATS{URL: ns.ClientURL(), ConnectWait: 5 * time.Second}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func message(subject, id string, data []byte) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Header.Set(jetstream.MsgIDHeader, id)
	m.Data = data
	return m
}

func messages(n int, prefix string) []*nats.Msg {
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		msgs[i] = message("events.raw.acme.login", prefix+strconv.Itoa(i), []byte(`{}`))
	}
	return msgs
}

func state(t *testing.T, conn *broker.Conn, name string) jetstream.StreamState {
	t.Helper()
	stream, err := conn.JS.Stream(t.Context(), name)
	if err != nil {
		t.Fatalf("look up %s: %v", name, err)
	}
	return stream.CachedInfo().State
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestEnsureStreamsMakesAndKeeps(t *testing.T) {
	t.Parallel()
	conn := connect(t, startServer(t, t.TempDir(), -1))
	if err := conn.EnsureStreams(t.Context(), schemas.Streams()...); err != nil {
		t.Fatal(err)
	}
	stream, err := conn.JS.Stream(t.Context(), schemas.StreamRaw)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	if cfg.Retention != jetstream.LimitsPolicy || cfg.MaxMsgSize >= schemas.MaxPayloadBytes || cfg.Discard != jetstream.DiscardNew || !cfg.AllowAtomicPublish {
		t.Errorf("got %+v", cfg)
	}
	// An operator's sizes stay; what the contract demands comes back.
	cfg.MaxBytes, cfg.Duplicates = 123<<20, time.Minute
	if _, err := conn.JS.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := conn.EnsureStreams(t.Context(), schemas.Streams()...); err != nil {
		t.Fatal(err)
	}
	stream, err = conn.JS.Stream(t.Context(), schemas.StreamRaw)
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().Config; got.MaxBytes != 123<<20 || got.Duplicates != schemas.RawStream().Duplicates {
		t.Errorf("got max_bytes %d, duplicates %s", got.MaxBytes, got.Duplicates)
	}
}

func TestPublishReportsSequencesInOrder(t *testing.T) {
	t.Parallel()
	conn := connect(t, startServer(t, t.TempDir(), -1))
	if err := conn.EnsureStreams(t.Context(), schemas.RawStream()); err != nil {
		t.Fatal(err)
	}
	for i, r := range conn.Publish(t.Context(), messages(2500, "a")) {
		if r.Err != nil || r.Duplicate || r.Sequence != uint64(i+1) {
			t.Fatalf("message %d: got %+v, want sequence %d", i, r, i+1)
		}
	}
}

func TestPublishDuplicates(t *testing.T) {
	t.Parallel()
	conn := connect(t, startServer(t, t.TempDir(), -1))
	if err := conn.EnsureStreams(t.Context(), schemas.RawStream()); err != nil {
		t.Fatal(err)
	}
	conn.Publish(t.Context(), messages(10, "a"))
	// Five old ones, five new ones, and one of the new ones twice.
	msgs := messages(10, "a")[5:]
	msgs = append(msgs, messages(5, "b")...)
	msgs = append(msgs, messages(1, "b")...)
	duplicates := 0
	for i, r := range conn.Publish(t.Context(), msgs) {
		if r.Err != nil {
			t.Fatalf("message %d: %v", i, r.Err)
		}
		if r.Duplicate {
			duplicates++
		}
	}
	if got := state(t, conn, schemas.StreamRaw).Msgs; duplicates != 6 || got != 15 {
		t.Errorf("got %d duplicates and %d stored, want 6 and 15", duplicates, got)
	}
}

func TestPublishFullAndTooLarge(t *testing.T) {
	t.Parallel()
	conn := connect(t, startServer(t, t.TempDir(), -1))
	small := schemas.RawStream()
	small.MaxBytes = 100 << 10
	if err := conn.EnsureStreams(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	huge := message("events.raw.acme.login", "huge", make([]byte, schemas.MaxPayloadBytes))
	big := message("events.raw.acme.login", "big", make([]byte, schemas.MaxPayloadBytes-(32<<10)))
	results := conn.Publish(t.Context(), []*nats.Msg{huge, message("events.raw.acme.login", "ok", nil), big})
	for i, want := range []error{broker.ErrTooLarge, nil, broker.ErrTooLarge} {
		if !errors.Is(results[i].Err, want) {
			t.Errorf("message %d: got %v, want %v", i, results[i].Err, want)
		}
	}
	for _, n := range []int{1, broker.MinBatchMsgs} {
		msgs := make([]*nats.Msg, n)
		for i := range msgs {
			msgs[i] = message("events.raw.acme.login", fmt.Sprintf("f%d-%d", n, i), make([]byte, 110<<10/n))
		}
		for i, r := range conn.Publish(t.Context(), msgs) {
			if !errors.Is(r.Err, broker.ErrFull) {
				t.Errorf("batch of %d, message %d: got %v, want ErrFull", n, i, r.Err)
			}
		}
	}
}

func TestPublishWithoutStreamEndsWithContext(t *testing.T) {
	t.Parallel()
	conn := connect(t, startServer(t, t.TempDir(), -1))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for _, r := range conn.Publish(ctx, messages(3, "a")) {
		if !errors.Is(r.Err, broker.ErrNoStream) {
			t.Errorf("got %v, want ErrNoStream", r.Err)
		}
	}
}

func TestPublishOutlivesBrokerRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ns := startServer(t, dir, -1)
	conn := connect(t, ns)
	if err := conn.EnsureStreams(t.Context(), schemas.RawStream()); err != nil {
		t.Fatal(err)
	}
	port := ns.Addr().(*net.TCPAddr).Port
	published := make(chan int)
	go func() {
		failed := 0
		for i := range 20 {
			for _, r := range conn.Publish(t.Context(), messages(200, fmt.Sprintf("b%d-", i))) {
				if r.Err != nil {
					failed++
				}
			}
			if i == 3 {
				published <- failed // let the test stop the broker in mid-run
			}
		}
		published <- failed
	}()
	<-published
	stopServer(ns)
	startServer(t, dir, port)
	if failed := <-published; failed != 0 {
		t.Errorf("%d messages failed", failed)
	}
	if got := state(t, conn, schemas.StreamRaw).Msgs; got != 4000 {
		t.Errorf("got %d messages stored, want 4000", got)
	}
}

func TestFeedDeliversAndHandsBack(t *testing.T) {
	t.Parallel()
	conn := connect(t, startServer(t, t.TempDir(), -1))
	if err := conn.EnsureStreams(t.Context(), schemas.RawStream()); err != nil {
		t.Fatal(err)
	}
	consumer, err := conn.EnsureConsumer(t.Context(), schemas.RedactorConsumer())
	if err != nil {
		t.Fatal(err)
	}
	const n = 5000
	conn.Publish(t.Context(), messages(n, "a"))
	seen := map[uint64]bool{}
	log := slog.New(slog.DiscardHandler)
	// The first reader stops early; what it fetched and did not take must come to
	// the second one at once, well before the acknowledgement wait of 30 s.
	for _, stopAfter := range []int{700, n} {
		ctx, cancel := context.WithCancel(t.Context())
		feed, err := conn.Subscribe(ctx, consumer, broker.Buffer{Msgs: 500})
		if err != nil {
			t.Fatal(err)
		}
		var batch []broker.Delivery
		for len(seen) < n {
			if batch = feed.Batch(batch, 100); len(batch) == 0 {
				break
			}
			for _, d := range batch {
				seen[d.Sequence] = true
			}
			broker.Ack(batch, log)
			if len(seen) >= stopAfter {
				cancel()
			}
		}
		cancel()
		for range feed.C() { // drained, so that the feed can end
		}
		if err := feed.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != n {
		t.Fatalf("got %d messages, want %d", len(seen), n)
	}
	until(t, "everything is acknowledged", func() bool {
		info, err := consumer.Info(t.Context())
		return err == nil && info.AckFloor.Stream == n && info.NumAckPending == 0
	})
}

func TestFeedEndsWhileBrokerIsAway(t *testing.T) {
	t.Parallel()
	ns := startServer(t, t.TempDir(), -1)
	conn := connect(t, ns)
	if err := conn.EnsureStreams(t.Context(), schemas.RawStream()); err != nil {
		t.Fatal(err)
	}
	consumer, err := conn.EnsureConsumer(t.Context(), schemas.RedactorConsumer())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	feed, err := conn.Subscribe(ctx, consumer, broker.Buffer{Msgs: 10})
	if err != nil {
		t.Fatal(err)
	}
	stopServer(ns)
	until(t, "the client notices", func() bool { return conn.Healthy() != nil })
	cancel()
	select {
	case <-feed.C():
	case <-time.After(20 * time.Second):
		t.Fatal("the feed does not end")
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	_, err := broker.Connect(ctx, broker.NATS{URL: "nats://127.0.0.1:1", ConnectWait: time.Minute}, "test", slog.New(slog.DiscardHandler))
	if !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
}

func TestConnectErrorNamesTheSettingAndNoSecret(t *testing.T) {
	t.Parallel()
	_, err := broker.Connect(t.Context(), broker.NATS{URL: "nats://user:hunter2@127.0.0.1:1", ConnectWait: 10 * time.Millisecond}, "test", slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "NATS_URL") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

// A reader that pauses costs no more memory than the buffer allows, and loses
// nothing.
func TestFeedIsBoundedByBytes(t *testing.T) {
	t.Parallel()
	conn := connect(t, startServer(t, t.TempDir(), -1))
	if err := conn.EnsureStreams(t.Context(), schemas.RawStream()); err != nil {
		t.Fatal(err)
	}
	consumer, err := conn.EnsureConsumer(t.Context(), schemas.RedactorConsumer())
	if err != nil {
		t.Fatal(err)
	}
	const n, size = 60, 1 << 20
	for i := range n {
		if r := conn.Publish(t.Context(), []*nats.Msg{message("events.raw.acme.login", strconv.Itoa(i), make([]byte, size))})[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	var logged bytes.Buffer
	logging, err := broker.New(conn.NC, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const bound = 8 << 20
	feed, err := logging.Subscribe(ctx, consumer, broker.Buffer{Msgs: 256, Bytes: bound})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the buffer is full", func() bool { return len(feed.C())*size >= bound })
	for range 50 { // while it pauses for some fetches
		info, err := consumer.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.NumAckPending*size > 2*bound+size {
			t.Fatalf("%d MiB are fetched, want at most %d", info.NumAckPending, (2*bound+size)>>20)
		}
		time.Sleep(10 * time.Millisecond)
	}
	seen := map[uint64]bool{}
	for len(seen) < n {
		d := <-feed.C()
		if d.Deliveries != 1 {
			t.Fatalf("message %d was delivered %d times", d.Sequence, d.Deliveries)
		}
		seen[d.Sequence] = true
		broker.Ack([]broker.Delivery{d}, slog.New(slog.DiscardHandler))
	}
	cancel()
	for range feed.C() { // drained, so that the feed can end
	}
	if logged.Len() > 0 {
		t.Errorf("it complains: %s", &logged)
	}
}

// What a publisher sends is a message, even if it looks like the broker's word,
// and takes nothing else with it.
func TestFeedTakesNoPublisherForTheBroker(t *testing.T) {
	t.Parallel()
	conn := connect(t, startServer(t, t.TempDir(), -1))
	if err := conn.EnsureStreams(t.Context(), schemas.RawStream()); err != nil {
		t.Fatal(err)
	}
	consumer, err := conn.EnsureConsumer(t.Context(), schemas.RedactorConsumer())
	if err != nil {
		t.Fatal(err)
	}
	feed, err := conn.Subscribe(t.Context(), consumer, broker.Buffer{Msgs: 100})
	if err != nil {
		t.Fatal(err)
	}
	statuses := []string{"100", "400", "404", "408", "409", "503", "999"}
	for i, status := range statuses {
		m := message("events.raw.acme.login", "poison"+strconv.Itoa(i), nil)
		m.Header.Set("Status", status)
		m.Header.Set("Description", "Consumer Deleted")
		for _, r := range conn.Publish(t.Context(), append([]*nats.Msg{m}, messages(20, status+"-")...)) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
	}
	for i := range 21 * len(statuses) {
		select {
		case d := <-feed.C():
			if d.Deliveries != 1 || i%21 == 0 && d.Headers().Get("Status") != statuses[i/21] {
				t.Fatalf("message %d: delivered %d times with headers %v", i, d.Deliveries, d.Headers())
			}
			broker.Ack([]broker.Delivery{d}, slog.New(slog.DiscardHandler))
		case <-time.After(20 * time.Second):
			t.Fatalf("message %d does not come", i)
		}
	}
}

// A consumer that is deleted ends the feed, with the reason.
func TestFeedEndsWithItsConsumer(t *testing.T) {
	t.Parallel()
	conn := connect(t, startServer(t, t.TempDir(), -1))
	if err := conn.EnsureStreams(t.Context(), schemas.RawStream()); err != nil {
		t.Fatal(err)
	}
	consumer, err := conn.EnsureConsumer(t.Context(), schemas.RedactorConsumer())
	if err != nil {
		t.Fatal(err)
	}
	feed, err := conn.Subscribe(t.Context(), consumer, broker.Buffer{Msgs: 100})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.JS.DeleteConsumer(t.Context(), schemas.StreamRaw, schemas.ConsumerRedactor); err != nil {
		t.Fatal(err)
	}
	for range feed.C() { // nothing comes but the end
	}
	if !errors.Is(feed.Err(), jetstream.ErrConsumerDeleted) {
		t.Errorf("got %v", feed.Err())
	}
}

// A reader that pauses for longer than a request lives gets everything all the
// same, and at once.
func TestFeedOutlivesAPause(t *testing.T) {
	t.Parallel()
	conn := connect(t, startServer(t, t.TempDir(), -1))
	if err := conn.EnsureStreams(t.Context(), schemas.RawStream()); err != nil {
		t.Fatal(err)
	}
	consumer, err := conn.EnsureConsumer(t.Context(), schemas.RedactorConsumer())
	if err != nil {
		t.Fatal(err)
	}
	feed, err := conn.Subscribe(t.Context(), consumer, broker.Buffer{Msgs: 20})
	if err != nil {
		t.Fatal(err)
	}
	const n = 1000
	for round := range 2 {
		conn.Publish(t.Context(), messages(n, fmt.Sprintf("r%d-", round)))
		time.Sleep(8 * time.Second)
		for i := range n {
			select {
			case d := <-feed.C():
				if d.Deliveries != 1 {
					t.Fatalf("message %d was delivered %d times", d.Sequence, d.Deliveries)
				}
				broker.Ack([]broker.Delivery{d}, slog.New(slog.DiscardHandler))
			case <-time.After(10 * time.Second):
				t.Fatalf("round %d: message %d does not come", round, i)
			}
		}
	}
}
