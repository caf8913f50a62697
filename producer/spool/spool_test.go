package spool

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/producer"
	"sluice/producer/internal/brokertest"
	"sluice/schemas"
)

func newProducer(t testing.TB, b *brokertest.Broker) *producer.Producer {
	t.Helper()
	p, err := producer.New(b.Connect(), producer.Config{Tenant: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func open(t testing.TB, p *producer.Producer, cfg Config) *Spool {
	t.Helper()
	s, err := Open(p, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func event(n int) schemas.Event {
	return schemas.Event{Action: "login", Context: json.RawMessage(fmt.Sprintf(`{"n":%d,"password":"hunter2"}`, n))}
}

func publish(t testing.TB, s *Spool, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if ack, err := s.Publish(t.Context(), event(i)); err != nil || ack.PK == uuid.Nil {
			t.Fatalf("event %d: %+v, %v", i, ack, err)
		}
	}
}

func drain(t testing.TB, s *Spool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		t.Fatal(err)
	}
}

// checkInOrder fails unless the stream holds the events 0 to n, each once and in
// order.
func checkInOrder(t testing.TB, stream jetstream.Stream, n int) {
	t.Helper()
	messages := brokertest.Messages(t, stream)
	for i := range min(n, len(messages)) {
		if want := fmt.Sprintf(`"context":{"n":%d,`, i); !bytes.Contains(messages[i].Data, []byte(want)) {
			t.Fatalf("message %d is %s, want %s", i, messages[i].Data, want)
		}
	}
	if len(messages) != n {
		t.Errorf("the stream holds %d events, want %d", len(messages), n)
	}
}

func TestHandsOverInOrder(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	dir := filepath.Join(t.TempDir(), "spool")
	s := open(t, newProducer(t, b), Config{Dir: dir})
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if _, err := s.Publish(producer.ContextWithTraceParent(t.Context(), trace), event(0)); err != nil {
		t.Fatal(err)
	}
	publish(t, s, 1, 200)
	drain(t, s)
	checkInOrder(t, stream, 200)
	first := brokertest.Messages(t, stream)[0]
	if first.Subject != "events.raw.acme.login" || first.Header.Get("traceparent") != trace {
		t.Errorf("got %s with trace %q", first.Subject, first.Header.Get("traceparent"))
	}
	// What is handed over does not stay on disk.
	brokertest.Eventually(t, "the segments removed", func() bool {
		left, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
		return err == nil && len(left) == 0
	})
	publish(t, s, 200, 210)
	drain(t, s)
	checkInOrder(t, stream, 210)
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
}

func TestWhileTheBrokerIsAway(t *testing.T) {
	b := brokertest.Start(t)
	b.Raw(0)
	var log bytes.Buffer
	s := open(t, newProducer(t, b), Config{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&log, nil))})
	publish(t, s, 0, 100)
	b.Stop()
	publish(t, s, 100, 1500)
	if s.Pending() < 1400 {
		t.Errorf("%d pending, want at least 1400", s.Pending())
	}
	b.Restart()
	publish(t, s, 1500, 1600)
	drain(t, s)
	checkInOrder(t, b.Raw(0), 1600)
	_ = s.Close()
	if text := log.String(); strings.Contains(text, "hunter2") {
		t.Errorf("logged %s", text)
	}
}

func TestAcrossProcesses(t *testing.T) {
	b := brokertest.Start(t)
	b.Raw(0)
	dir, p := t.TempDir(), newProducer(t, b)
	b.Stop()
	for i := range 5 {
		s := open(t, p, Config{Dir: dir})
		publish(t, s, 10*i, 10*i+10)
		if _, err := Open(p, Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
			t.Errorf("opened twice: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Publish(t.Context(), event(0)); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	b.Restart()
	s := open(t, p, Config{Dir: dir})
	drain(t, s)
	checkInOrder(t, b.Raw(0), 50)
}

func TestFull(t *testing.T) {
	b := brokertest.Start(t)
	b.Raw(0)
	p := newProducer(t, b)
	b.Stop()
	dir := t.TempDir()
	s := open(t, p, Config{Dir: dir, MaxBytes: MinMaxBytes})
	large := schemas.Event{Action: "login", Context: json.RawMessage(`{"x":"` + strings.Repeat("x", 1<<19) + `"}`)}
	stored := 0
	var err error
	for err == nil && stored < 100 {
		if _, err = s.Publish(t.Context(), large); err == nil {
			stored++
		}
	}
	if !errors.Is(err, ErrFull) || stored < 12 || stored > 16 {
		t.Fatalf("after %d events: %v", stored, err)
	}
	if _, err := s.Publish(t.Context(), event(0)); err != nil {
		t.Errorf("a small one finds room: %v", err)
	}
	var size int64
	files, _ := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
	}
	if size > MinMaxBytes {
		t.Errorf("it takes %d bytes, at most %d are allowed", size, MinMaxBytes)
	}
	b.Restart()
	drain(t, s)
	brokertest.Eventually(t, "room again", func() bool { _, err := s.Publish(t.Context(), large); return err == nil })
	drain(t, s)
	if got := len(brokertest.Messages(t, b.Raw(0))); got != stored+2 {
		t.Errorf("the stream holds %d, want %d", got, stored+2)
	}
}

func TestRefusedByTheBroker(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	cfg := stream.CachedInfo().Config
	cfg.MaxMsgSize = 10 << 10
	js, err := jetstream.New(b.Connect())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := open(t, newProducer(t, b), Config{Dir: dir})
	publish(t, s, 0, 2)
	if _, err := s.Publish(t.Context(), schemas.Event{Action: "login", Context: json.RawMessage(`{"x":"` + strings.Repeat("x", 20<<10) + `"}`)}); err != nil {
		t.Fatal(err)
	}
	publish(t, s, 2, 4)
	drain(t, s)
	checkInOrder(t, stream, 4)
	kept, err := os.ReadFile(filepath.Join(dir, refusedFile))
	if err != nil || bytes.Count(kept, []byte("\n")) != 1 || len(kept) < 20<<10 {
		t.Errorf("%d bytes kept aside, %v", len(kept), err)
	}
}

// filled returns a folder with one segment of n events and its text.
func filled(t *testing.T, n int) (dir, name string, text []byte) {
	t.Helper()
	b := brokertest.Start(t)
	p := newProducer(t, b)
	b.Stop()
	dir = t.TempDir()
	s := open(t, p, Config{Dir: dir})
	publish(t, s, 0, n)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	if text, err = os.ReadFile(names[0]); err != nil {
		t.Fatal(err)
	}
	return dir, names[0], text
}

func TestTornAtEveryByte(t *testing.T) {
	dir, name, text := filled(t, 3)
	record := len(text) / 3
	for size := range len(text) + 1 {
		if err := os.WriteFile(name, text[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		segments, err := recoverSegments(dir, slog.New(slog.DiscardHandler))
		if err != nil || len(segments) != 1 || int(segments[0].count) != size/record {
			t.Fatalf("cut at %d of %d: %+v, %v", size, len(text), segments, err)
		}
		if info, err := os.Stat(name); err != nil || info.Size() != segments[0].bytes {
			t.Fatalf("cut at %d: %d bytes are left of it, %v", size, info.Size(), err)
		}
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "*"+damagedSuffix)); len(kept) != 0 {
		t.Errorf("kept aside: %v", kept)
	}
}

func TestDamaged(t *testing.T) {
	dir, name, text := filled(t, 3)
	text[len(text)/2] ^= 1 // in the second of three
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	b := brokertest.Start(t)
	stream := b.Raw(0)
	var log bytes.Buffer
	s := open(t, newProducer(t, b), Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	publish(t, s, 1, 2)
	drain(t, s)
	checkInOrder(t, stream, 2)
	kept, err := os.ReadFile(name + damagedSuffix)
	if err != nil || len(kept) != 2*len(text)/3 {
		t.Errorf("%d bytes kept aside, %v", len(kept), err)
	}
	_ = s.Close()
	if !strings.Contains(log.String(), "cannot be read and is kept aside") {
		t.Errorf("logged %s", &log)
	}
}

// A process that keeps events is killed at any moment: what it was told is kept
// comes to the broker, once and in order.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("SPOOL_TEST_DIR"); dir != "" {
		keepUntilKilled(t, dir, os.Getenv("SPOOL_TEST_URL"))
		return
	}
	b := brokertest.Start(t)
	b.Raw(0)
	dir := t.TempDir()
	var acked []string
	for round := range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestKilled$", "-test.v")
		cmd.Env = append(os.Environ(), "SPOOL_TEST_DIR="+dir, "SPOOL_TEST_URL="+b.URL)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); {
			if pk, ok := strings.CutPrefix(lines.Text(), "kept "); ok {
				acked = append(acked, pk)
				n++
			}
			if n == 300 {
				_ = cmd.Process.Kill()
				if round == 1 { // the broker is away for a part of it
					b.Stop()
				}
				n++
			}
		}
		_ = cmd.Wait()
		if round == 1 {
			b.Restart()
		}
	}
	s := open(t, newProducer(t, b), Config{Dir: dir})
	drain(t, s)
	at := map[string]int{}
	for i, msg := range brokertest.Messages(t, b.Raw(0)) {
		id := msg.Header.Get(jetstream.MsgIDHeader)
		if _, twice := at[id]; twice {
			t.Errorf("%s is stored twice", id)
		}
		at[id] = i
	}
	last := -1
	for i, pk := range acked {
		place, stored := at[pk]
		if !stored || place < last {
			t.Fatalf("event %d of %d: stored %v at %d, the one before it at %d", i, len(acked), stored, place, last)
		}
		last = place
	}
	if len(acked) < 900 {
		t.Errorf("%d events were kept, want 900", len(acked))
	}
	t.Logf("%d events kept by three processes that were killed, all in the stream once and in order", len(acked))
}

func keepUntilKilled(t *testing.T, dir, url string) {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := producer.New(nc, producer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(p, Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		ack, err := s.Publish(context.Background(), event(i))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(os.Stdout, "kept", ack.PK)
	}
}

func TestFromManyGoroutines(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	s := open(t, newProducer(t, b), Config{Dir: t.TempDir()})
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() { publish(t, s, 0, 50) })
	}
	wg.Wait()
	drain(t, s)
	if got := len(brokertest.Messages(t, stream)); got != 1600 {
		t.Errorf("%d events, want 1600", got)
	}
}

func FuzzReadRecord(f *testing.F) {
	encoder, err := producer.NewEncoder("acme")
	if err != nil {
		f.Fatal(err)
	}
	m, err := encoder.JSON([]byte(`{"action":"login"}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(appendRecord(nil, m))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, text []byte) {
		in := bytes.NewReader(text)
		for {
			payload, err := readRecord(in, nil)
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, errBroken) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("unknown error %v", err)
				}
				return
			}
			if m, err := message(payload); err == nil && m.PK() == uuid.Nil {
				t.Fatal("a message without an id")
			}
		}
	})
}

// BenchmarkPublish keeps events of 1 KB, each synced to disk.
func BenchmarkPublish(b *testing.B) {
	for _, goroutines := range []int{1, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			broker := brokertest.Start(b)
			broker.Raw(0)
			s := open(b, newProducer(b, broker), Config{Dir: b.TempDir()})
			ev := schemas.Event{Action: "login", Context: json.RawMessage(`{"x":"` + strings.Repeat("x", 900) + `"}`)}
			work := make(chan struct{}, goroutines)
			var wg sync.WaitGroup
			for range goroutines {
				wg.Go(func() {
					for range work {
						if _, err := s.Publish(b.Context(), ev); err != nil {
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
