package intake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/producer"
	"sluice/producer/intake"
	"sluice/producer/internal/brokertest"
	"sluice/schemas"
)

// run is one run of the command's way: ids derived from the lines.
type run struct {
	t      testing.TB
	p      *producer.Producer
	report *report
	cfg    intake.Config
}

func newRun(t testing.TB, b *brokertest.Broker) *run {
	t.Helper()
	r := &run{t: t, report: &report{}}
	var err error
	r.p, err = producer.New(b.Connect(), producer.Config{Log: slog.New(slog.NewTextHandler(r.report, nil)), Gather: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.p.Close)
	encoder, err := producer.NewEncoder("acme")
	if err != nil {
		t.Fatal(err)
	}
	encoder.NewPK = intake.NewIdentity("acme").PK
	r.cfg = intake.Config{Encode: encoder.JSON, Timeout: time.Minute, Report: r.report}
	return r
}

func (r *run) over(ctx context.Context, inputs ...string) (intake.Summary, error) {
	var list []intake.Input
	for i, text := range inputs {
		list = append(list, intake.Input{
			Name: fmt.Sprintf("file%d", i+1), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
		})
	}
	return intake.Run(ctx, r.p, r.cfg, list)
}

// report is what a person sees, safe for the goroutines that log into it.
type report struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *report) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *report) String() string { r.mu.Lock(); defer r.mu.Unlock(); return r.buf.String() }

// lines makes n events, each with a secret and none with a pk.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"action":"login_failed","context":{"n":%d,"password":"hunter2-%d"}}`+"\n", i, i)
	}
	return b.String()
}

// stored returns the context of every event in the stream, and fails if an id is
// there twice.
func stored(t testing.TB, stream jetstream.Stream) []string {
	t.Helper()
	var out []string
	seen := map[uuid.UUID]bool{}
	for _, msg := range brokertest.Messages(t, stream) {
		var ev schemas.Event
		if err := new(schemas.Decoder).Decode(msg.Data, &ev); err != nil {
			t.Fatal(err)
		}
		if seen[ev.PK] {
			t.Errorf("%s is stored twice", ev.PK)
		}
		seen[ev.PK] = true
		out = append(out, string(ev.Context))
	}
	return out
}

func TestRunKeepsOrderAndReportsBadLines(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	r := newRun(t, b)
	long := `{"action":"login","x":"` + strings.Repeat("hunter2", 200_000) + `"}`
	first := "\n" + `{"action":"login","context":{"at":1}}` + "\n  \t\n" + `{"password":"hunter2"}` + "\n" +
		`{"action":"login","context":{"at":2}}` + "\r\n" + `{"action":"login","context":"hunter2"}` + "\n" + long + "\n"
	second := `hunter2` + "\n" + `{"action":"login","context":{"at":3}}`
	summary, err := r.over(t.Context(), first, second)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := summary.String(), "published 3, duplicate 0, refused 4"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if summary.Bytes != int64(len(first)+len(second)) {
		t.Errorf("%d bytes, want %d", summary.Bytes, len(first)+len(second))
	}
	if got := strings.Join(stored(t, stream), ""); got != `{"at":1}{"at":2}{"at":3}` {
		t.Errorf("stream holds %s", got)
	}
	for _, want := range []string{"file1:4: ", "file1:6: ", "file1:7: ", "file2:1: ", `field "context"`, "no action", "longer than 1048576"} {
		if !strings.Contains(r.report.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, r.report)
		}
	}
	if strings.Contains(r.report.String(), "hunter2") {
		t.Errorf("the report quotes an event:\n%s", r.report)
	}
}

func TestRunTellsEqualLinesApart(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	text := strings.Repeat(`{"action":"login"}`+"\n", 1500)
	if summary, err := newRun(t, b).over(t.Context(), text, text); err != nil || summary.Published != 3000 {
		t.Fatalf("first: %v, %v", summary, err)
	}
	if summary, err := newRun(t, b).over(t.Context(), text); err != nil || summary.Duplicate != 1500 || summary.Published != 0 {
		t.Errorf("again: %v, %v, want duplicates only", summary, err)
	}
	if got := len(stored(t, stream)); got != 3000 {
		t.Errorf("stream holds %d events, want 3000", got)
	}
}

func TestRunInterruptedAndRepeated(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	const n = 10_000
	r := newRun(t, b)
	ctx, interrupt := context.WithCancel(t.Context())
	r.cfg.Progress = func(s intake.Summary) {
		if s.Published > n/3 {
			interrupt()
		}
	}
	summary, err := r.over(ctx, lines(n))
	if !errors.Is(err, intake.ErrInterrupted) {
		t.Fatalf("got %v, want %v", err, intake.ErrInterrupted)
	}
	before := len(stored(t, stream))
	if summary.Published != before || before <= n/3 || before >= n {
		t.Errorf("published %d, the stream holds %d of %d", summary.Published, before, n)
	}
	again, err := newRun(t, b).over(t.Context(), lines(n))
	if err != nil || again.Duplicate != before || again.Published != n-before {
		t.Errorf("again: %v, %v, want %d duplicates of %d", again, err, before, n)
	}
	checkAll(t, stored(t, stream), n)
	if strings.Contains(r.report.String(), "hunter2") {
		t.Error("the log quotes an event")
	}
}

// checkAll fails unless the contexts are those of lines(n).
func checkAll(t *testing.T, contexts []string, n int) {
	t.Helper()
	seen := map[string]int{}
	for _, c := range contexts {
		seen[c]++
	}
	for i := range n {
		if c := fmt.Sprintf(`{"n":%d,"password":"hunter2-%d"}`, i, i); seen[c] != 1 {
			t.Fatalf("event %d is stored %d times", i, seen[c])
		}
	}
	if len(contexts) != n {
		t.Errorf("%d events stored, want %d", len(contexts), n)
	}
}

func TestRunThroughABrokerRestart(t *testing.T) {
	b := brokertest.Start(t)
	b.Raw(0)
	const n = 20_000
	r := newRun(t, b)
	var restart sync.WaitGroup
	var once sync.Once
	r.cfg.Progress = func(s intake.Summary) {
		if s.Published > n/4 {
			once.Do(func() {
				restart.Go(func() {
					b.Stop()
					b.Restart()
				})
			})
		}
	}
	summary, err := r.over(t.Context(), lines(n))
	restart.Wait()
	if err != nil || summary.Published+summary.Duplicate != n || summary.Refused != 0 {
		t.Errorf("got %v, %v", summary, err)
	}
	checkAll(t, stored(t, b.Raw(0)), n)
}

func TestRunGivesUpWhenTheBrokerStaysAway(t *testing.T) {
	b := brokertest.Start(t)
	b.Raw(0)
	r := newRun(t, b)
	r.cfg.Timeout = 300 * time.Millisecond
	var once sync.Once
	in, out := io.Pipe()
	defer out.Close()
	r.cfg.Progress = func(intake.Summary) {
		once.Do(func() {
			b.Stop()
			go func() { _, _ = io.WriteString(out, "\n"+lines(1)) }()
		})
	}
	go func() { _, _ = io.WriteString(out, lines(1)) }()
	summary, err := intake.Run(t.Context(), r.p, r.cfg, []intake.Input{{Name: "pipe", Open: func() (io.ReadCloser, error) { return in, nil }}})
	b.Restart()
	if err == nil || !strings.HasPrefix(err.Error(), "stopped at pipe:3, ") || !strings.HasSuffix(err.Error(), "run it again to publish the rest") {
		t.Errorf("got %v", err)
	}
	if summary.Published != 1 {
		t.Errorf("got %v", summary)
	}
}

func TestRunIntoAFullStream(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(300 << 10)
	const n = 4000 // some 700 KB with headers and ids
	r := newRun(t, b)
	r.cfg.Timeout = 2 * time.Second
	summary, err := r.over(t.Context(), lines(n))
	if !errors.Is(err, producer.ErrFull) || !strings.Contains(err.Error(), "stopped at file1:") {
		t.Fatalf("got %v, want %v", err, producer.ErrFull)
	}
	if got := len(stored(t, stream)); got != summary.Published || got == 0 {
		t.Errorf("published %d, stored %d", summary.Published, got)
	}
	if !strings.Contains(r.report.String(), "the stream is full; trying again for up to 2s\n") {
		t.Errorf("reported %q", r.report)
	}

	// A redactor comes up and makes room.
	var contexts []string
	var mu sync.Mutex
	consumer, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "redactor", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		var ev schemas.Event
		if err := new(schemas.Decoder).Decode(msg.Data(), &ev); err != nil {
			t.Error(err)
		}
		mu.Lock()
		contexts = append(contexts, string(ev.Context))
		mu.Unlock()
		if err := msg.Ack(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer consuming.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	var purging sync.WaitGroup
	defer purging.Wait()
	defer cancel()
	purging.Go(func() { purgeAcknowledged(ctx, t, stream, consumer) })
	r = newRun(t, b)
	again, err := r.over(t.Context(), lines(n))
	if err != nil || again.Published+again.Duplicate != n {
		t.Errorf("again: %v, %v", again, err)
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(contexts) }
	brokertest.Eventually(t, "all events consumed", func() bool { return count() >= n })
	checkAll(t, contexts, n)
}

// purgeAcknowledged forgets what is acknowledged, as the redactor does.
func purgeAcknowledged(ctx context.Context, t *testing.T, stream jetstream.Stream, consumer jetstream.Consumer) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		info, err := consumer.Info(ctx)
		if err == nil && info.AckFloor.Stream > 0 {
			err = stream.Purge(ctx, jetstream.WithPurgeSequence(info.AckFloor.Stream+1))
		}
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
}

func TestRunPublishesALoneLineAtOnce(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	r := newRun(t, b)
	in, out := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := intake.Run(t.Context(), r.p, r.cfg, []intake.Input{{Name: "pipe", Open: func() (io.ReadCloser, error) { return in, nil }}})
		done <- err
	}()
	for i := range 3 {
		if _, err := fmt.Fprintf(out, `{"action":"login","context":{"n":%d}}`+"\n", i); err != nil {
			t.Fatal(err)
		}
		brokertest.Eventually(t, "the line in the stream", func() bool { return len(stored(t, stream)) == i+1 })
	}
	_ = out.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRunInterruptedWhileNothingComes(t *testing.T) {
	b := brokertest.Start(t)
	b.Raw(0)
	r := newRun(t, b)
	in, out := io.Pipe()
	defer out.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	r.cfg.Progress = func(intake.Summary) { interrupt() }
	go func() { _, _ = io.WriteString(out, lines(1)) }()
	summary, err := intake.Run(ctx, r.p, r.cfg, []intake.Input{{Name: "pipe", Open: func() (io.ReadCloser, error) { return in, nil }}})
	if !errors.Is(err, intake.ErrInterrupted) || summary.Published != 1 {
		t.Errorf("got %v, %v", summary, err)
	}
}

func TestRunStopsAtAnInputThatBreaks(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	r := newRun(t, b)
	bad := errors.New("the disk is gone")
	inputs := []intake.Input{
		{Name: "good", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(lines(2))), nil }},
		{Name: "bad", Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(`{"action":"login","context":{}}`+"\n"), failing{bad})), nil
		}},
	}
	summary, err := intake.Run(t.Context(), r.p, r.cfg, inputs)
	if !errors.Is(err, bad) || !strings.HasPrefix(err.Error(), "read bad from line 2 on: ") {
		t.Errorf("got %v", err)
	}
	if got := len(stored(t, stream)); got != 3 || summary.Published != 3 {
		t.Errorf("%v, and %d events stored, want 3", summary, got)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
