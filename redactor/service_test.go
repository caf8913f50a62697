package redactor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/schemas"
)

func TestRun(t *testing.T) {
	b := startBroker(t)
	b.run()
	const (
		pk    = "f00f54e7-2b38-421f-bc78-e61f950048d6"
		trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	)
	in := login(`{"pk":"f00f54e72b38421fbc78e61f950048d6","action":"login","created":"2023-02-15T15:33:42.771091Z","context":{"n":1.50,"password":"` + planted + `"}}`)
	in.Header = nats.Header{schemas.HeaderTraceParent: {trace}, "Authorization": {planted}}
	odd := login(`{}`)
	odd.Header = nats.Header{schemas.HeaderTraceParent: {planted}}
	b.publish(in, odd)
	b.drained()
	clean := b.all(schemas.StreamClean)
	if len(clean) != 2 || b.count(schemas.StreamQuarantine) != 0 {
		t.Fatalf("%d clean, %d quarantined", len(clean), b.count(schemas.StreamQuarantine))
	}
	first := clean[0]
	if first.Subject != "events.clean.default.login" {
		t.Errorf("subject %s", first.Subject)
	}
	if want := `{"pk":"f00f54e72b38421fbc78e61f950048d6","action":"login","created":"2023-02-15T15:33:42.771091Z","context":{"n":1.50,"password":"` + schemas.Mask + `"}}`; string(first.Data) != want {
		t.Errorf("got  %s\nwant %s", first.Data, want)
	}
	for name, want := range map[string]string{
		jetstream.MsgIDHeader: pk, schemas.HeaderRedacted: `["/context/password"]`, schemas.HeaderTraceParent: trace, "Authorization": "",
	} {
		if got := first.Header.Get(name); got != want {
			t.Errorf("header %s: %q, want %q", name, got, want)
		}
	}
	second := clean[1]
	var stamped struct {
		PK      string `json:"pk"`
		Action  string `json:"action"`
		Created string `json:"created"`
	}
	if err := json.Unmarshal(second.Data, &stamped); err != nil {
		t.Fatal(err)
	}
	if stamped.PK == "" || stamped.PK != second.Header.Get(jetstream.MsgIDHeader) || stamped.Action != "login" || stamped.Created == "" {
		t.Errorf("stamped %s %v", second.Data, second.Header)
	}
	if second.Header.Values(schemas.HeaderRedacted) != nil || second.Header.Values(schemas.HeaderTraceParent) != nil {
		t.Errorf("headers %v", second.Header)
	}
	leaksNothing(t, fmt.Sprint(clean))
}

func TestQuarantine(t *testing.T) {
	// Masked, the largest event outgrows this broker.
	b := startBroker(t, func(o *server.Options) { o.MaxPayload = 3 << 19 })
	b.run()
	secret := `"context":{"password":"` + planted + `"}`
	for _, test := range []struct {
		name, subject, in string
		reason            schemas.Reason
		want              string // subject
	}{
		{"not JSON", "events.raw.acme.login", `{` + secret, schemas.ReasonInvalidJSON, "events.quarantine.acme.invalid_json"},
		{"nothing", "events.raw.acme.login", ``, schemas.ReasonInvalidJSON, "events.quarantine.acme.invalid_json"},
		{"a text", "events.raw.acme.login", `"` + planted + `"`, schemas.ReasonNotAnObject, "events.quarantine.acme.not_an_object"},
		{"wrong type", "events.raw.acme.login", `{"user":"` + planted + `"}`, schemas.ReasonInvalidField, "events.quarantine.acme.invalid_field"},
		{"other action", "events.raw.acme.login", `{"action":"logout",` + secret + `}`, schemas.ReasonActionMismatch, "events.quarantine.acme.action_mismatch"},
		{"odd tenant", "events.raw.ac@me.login", `{` + secret + `}`, schemas.ReasonInvalidField, "events.quarantine.ac@me.invalid_field"},
		{"foreign tenant", "events.raw.ümlaut.login", `{` + secret + `}`, schemas.ReasonInvalidField, "events.quarantine.ümlaut.invalid_field"},
		{"long tenant", "events.raw." + strings.Repeat("t", 1000) + ".login", `{` + secret + `}`, schemas.ReasonInvalidField, "events.quarantine.!.invalid_field"},
		{"long action", "events.raw.acme." + strings.Repeat("a", 1000), `{` + secret + `}`, schemas.ReasonInvalidField, "events.quarantine.acme.invalid_field"},
		{"too deep", "events.raw.acme.login", `{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, schemas.ReasonTooDeep, "events.quarantine.acme.too_deep"},
		{"too large", "events.raw.acme.login", `{"a":"` + strings.Repeat("x", schemas.MaxRawBytes) + `"}`, schemas.ReasonTooLarge, "events.quarantine.acme.too_large"},
		{"too large for the broker", "events.raw.acme.login", `{"tokens":[` + strings.Repeat("1,", 100_000) + `1]}`, schemas.ReasonTooLarge, "events.quarantine.acme.too_large"},
	} {
		before := b.count(schemas.StreamQuarantine)
		b.publish(&nats.Msg{Subject: test.subject, Data: []byte(test.in), Header: nats.Header{"Custom": {"kept"}, "Nats-Expected-Stream": {schemas.StreamRaw}}})
		b.drained()
		all := b.all(schemas.StreamQuarantine)
		if len(all) != before+1 {
			t.Errorf("%s: not quarantined", test.name)
			continue
		}
		got := all[before]
		if got.Subject != test.want || string(got.Data) != test.in {
			t.Errorf("%s: on %s with %d bytes of %d", test.name, got.Subject, len(got.Data), len(test.in))
		}
		if got.Header.Get(schemas.HeaderReason) != string(test.reason) || got.Header.Get(schemas.HeaderDetail) == "" ||
			got.Header.Get(schemas.HeaderSubject) != test.subject || got.Header.Get("Custom") != "kept" || got.Header.Get("Nats-Expected-Stream") != "" {
			t.Errorf("%s: headers %v", test.name, got.Header)
		}
		storedAt, err := time.Parse(time.RFC3339Nano, got.Header.Get(schemas.HeaderStoredAt))
		if err != nil || time.Since(storedAt) > time.Minute {
			t.Errorf("%s: stored at %v, %v", test.name, storedAt, err)
		}
		id := strings.Split(got.Header.Get(jetstream.MsgIDHeader), ":")
		if len(id) != 3 || id[0] != schemas.StreamRaw || id[2] != fmt.Sprint(storedAt.UnixNano()) {
			t.Errorf("%s: id %v", test.name, id)
		}
	}
	if n := b.count(schemas.StreamClean); n != 0 {
		t.Errorf("%d clean events", n)
	}
	// Good events pass as before.
	b.publish(logins(3)...)
	b.drained()
	exactlyOnce(t, 3, b.all(schemas.StreamClean))
}

// TestDuplicates publishes events of the same pk under different message ids, in
// one batch and later.
func TestDuplicates(t *testing.T) {
	b := startBroker(t)
	b.run()
	b.publish(append(logins(5), logins(5)...)...)
	b.drained()
	b.publish(logins(5)...)
	b.drained()
	exactlyOnce(t, 5, b.all(schemas.StreamClean))
}

// TestTwoRedactors share the work.
func TestTwoRedactors(t *testing.T) {
	b := startBroker(t)
	const n = 2000
	b.run()
	b.run()
	b.publish(logins(n)...)
	b.drained()
	exactlyOnce(t, n, b.all(schemas.StreamClean))
}

// TestHeaderSurvives: pointers hold whatever the names do.
func TestHeaderSurvives(t *testing.T) {
	b := startBroker(t)
	b.run()
	b.publish(login(`{"ключ\r\n":{"\u007f \"\\/~\u2028😀":{"password":"`+planted+`"}}}`), login(`{"x":{`+strings.Repeat(`"token\u0000":1,`, 20_000)+`"y":2}}`))
	b.drained()
	clean := b.all(schemas.StreamClean)
	if len(clean) != 2 {
		t.Fatalf("%d clean events, want 2", len(clean))
	}
	for i, want := range []string{"/ключ\r\n/\x7f \"\\~1~0\u2028😀/password", "/x/token\x00"} {
		var pointers []string
		if err := json.Unmarshal([]byte(clean[i].Header.Get(schemas.HeaderRedacted)), &pointers); err != nil || pointers[0] != want {
			t.Errorf("%q, %v; want %q", pointers, err, want)
		}
		if last := pointers[len(pointers)-1]; i == 1 && last != "" {
			t.Errorf("%d pointers, the last one %q", len(pointers), last)
		}
	}
}

// TestCleanFull fills EVENTS_CLEAN: nothing may be lost, and all goes on once
// there is room.
func TestCleanFull(t *testing.T) {
	b := startBroker(t)
	const n = 300
	if _, err := b.conn.JS.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: schemas.StreamClean, Subjects: []string{schemas.CleanPrefix + ".*.*"}, Storage: jetstream.FileStorage,
		MaxBytes: 20_000, Discard: jetstream.DiscardNew,
	}); err != nil {
		t.Fatal(err)
	}
	bad := login(`{"pk":"` + planted + `"}`)
	b.publish(append([]*nats.Msg{bad}, logins(n)...)...)
	b.run()
	eventually(t, "the log says that it waits", func() bool { return strings.Contains(b.logs.String(), "clean events cannot be stored") })
	eventually(t, "the bad event is quarantined all the same", func() bool { return b.count(schemas.StreamQuarantine) == 1 })
	var clean []*jetstream.RawStreamMsg
	eventually(t, "all have passed", func() bool {
		part := b.all(schemas.StreamClean)
		if len(part) > 0 {
			clean = append(clean, part...)
			stream, err := b.conn.JS.Stream(t.Context(), schemas.StreamClean)
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(part[len(part)-1].Sequence+1)); err != nil {
				t.Fatal(err)
			}
		}
		return b.count(schemas.StreamRaw) == 0
	})
	exactlyOnce(t, n, append(clean, b.all(schemas.StreamClean)...))
	eventually(t, "the log says that it goes on", func() bool { return strings.Contains(b.logs.String(), "clean events are stored again") })
	if got := strings.Count(b.logs.String(), "clean events cannot be stored"); got > n/10 {
		t.Errorf("%d log lines", got)
	}
}

// TestDrainWhileFull: a service that waits for room stops at once, and hands
// back what it holds.
func TestDrainWhileFull(t *testing.T) {
	b := startBroker(t)
	if _, err := b.conn.JS.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: schemas.StreamClean, Subjects: []string{schemas.CleanPrefix + ".*.*"}, MaxBytes: 2000, Discard: jetstream.DiscardNew,
	}); err != nil {
		t.Fatal(err)
	}
	b.publish(logins(50)...)
	stop := b.run()
	eventually(t, "the log says that it waits", func() bool { return strings.Contains(b.logs.String(), "clean events cannot be stored") })
	stop()
	// Those stored may wait behind others for their raw event to be forgotten.
	if raw, clean := b.count(schemas.StreamRaw), b.count(schemas.StreamClean); raw > 50 || raw+clean < 50 {
		t.Errorf("%d raw, %d clean", raw, clean)
	}
	stream, err := b.conn.JS.Stream(t.Context(), schemas.StreamClean)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxBytes = -1
	if _, err := b.conn.JS.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	b.run()
	b.drained()
	exactlyOnce(t, 50, b.all(schemas.StreamClean))
}

// TestQuarantineFull: bad events wait, good ones pass.
func TestQuarantineFull(t *testing.T) {
	b := startBroker(t)
	if _, err := b.conn.JS.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: schemas.StreamQuarantine, Subjects: []string{schemas.QuarantinePrefix + ".*.*"}, MaxBytes: 100, Discard: jetstream.DiscardNew,
	}); err != nil {
		t.Fatal(err)
	}
	b.publish(append([]*nats.Msg{login(planted), login(planted)}, logins(5)...)...)
	b.run()
	eventually(t, "only the bad ones are in work", func() bool {
		consumer, err := b.conn.JS.Consumer(t.Context(), schemas.StreamRaw, schemas.ConsumerRedactor)
		if err != nil {
			return false
		}
		info := consumer.CachedInfo()
		return b.count(schemas.StreamClean) == 5 && info.NumAckPending == 2 && info.NumPending == 0
	})
	exactlyOnce(t, 5, b.all(schemas.StreamClean))
	if b.count(schemas.StreamRaw) < 2 {
		t.Error("a bad event is gone")
	}
	eventually(t, "the log says what to do", func() bool { return strings.Contains(b.logs.String(), "redactor quarantine list") })
	if n := strings.Count(b.logs.String(), "cannot be quarantined"); n != 1 {
		t.Errorf("%d log lines about it", n)
	}
}

// diesAfterPublishing is a broker that stores the batch, and the redactor's last
// sign of life.
type diesAfterPublishing struct{ *broker.Conn }

func (d diesAfterPublishing) Publish(ctx context.Context, msgs []*nats.Msg) []broker.Result {
	results := d.Conn.Publish(ctx, msgs)
	d.NC.Close()
	return results
}

// TestKilledBeforeAcknowledging: published and not acknowledged, the events come
// again, also those whose id is derived, and are known.
func TestKilledBeforeAcknowledging(t *testing.T) {
	b := startBroker(t)
	const n = 40
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		msgs[i] = login(fmt.Sprintf(`{"context":{"n":%d,"password":"%s"}}`, i, planted))
	}
	b.publish(msgs...)

	dying, err := broker.Connect(t.Context(), b.settings(), "dying", b.logs.logger())
	if err != nil {
		t.Fatal(err)
	}
	if err := dying.EnsureStreams(t.Context(), schemas.CleanStream(), schemas.QuarantineStream()); err != nil {
		t.Fatal(err)
	}
	impatient := schemas.RedactorConsumer()
	impatient.AckWait = time.Second
	consumer, err := dying.EnsureConsumer(t.Context(), impatient)
	if err != nil {
		t.Fatal(err)
	}
	feed, err := dying.Subscribe(t.Context(), consumer, broker.Buffer{Msgs: 100})
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMetrics(daemon.NewTelemetry().Registry, nil)
	if err != nil {
		t.Fatal(err)
	}
	batch := feed.Batch(nil, n)
	for len(batch) < n {
		batch = append(batch, feed.Batch(nil, n-len(batch))...)
	}
	s := &stage{engines: using(engineFor(t), m), broker: diesAfterPublishing{dying}, metrics: m, log: b.logs.logger(), acknowledged: func([]broker.Delivery) {}, makeRoom: func() {}}
	s.store(t.Context(), judged{batch, judgeAll(s.engines.current.Load(), batch), func() {}})
	if b.count(schemas.StreamClean) != n || b.count(schemas.StreamRaw) != n {
		t.Fatalf("%d clean, %d raw", b.count(schemas.StreamClean), b.count(schemas.StreamRaw))
	}

	b.run()
	b.impatient()
	b.drained()
	exactlyOnce(t, n, b.all(schemas.StreamClean))
}

// impatient makes the broker redeliver soon what a killed redactor had.
func (b *testBroker) impatient() {
	b.t.Helper()
	c := schemas.RedactorConsumer()
	c.AckWait = time.Second
	if _, err := b.conn.EnsureConsumer(b.t.Context(), c); err != nil {
		b.t.Fatal(err)
	}
}

// TestDrainAndResume stops the service amid its work and starts it again.
func TestDrainAndResume(t *testing.T) {
	b := startBroker(t)
	const n = 4000
	b.publish(logins(n)...)
	for round := 1; round <= 3; round++ {
		before := b.count(schemas.StreamRaw)
		stop := b.run()
		eventually(t, "some have passed", func() bool { return b.count(schemas.StreamRaw) < before })
		stop()
		if b.count(schemas.StreamRaw) == 0 {
			break
		}
	}
	b.run()
	b.drained()
	exactlyOnce(t, n, b.all(schemas.StreamClean))
}

// TestBrokerRestarts restarts the broker amid the work.
func TestBrokerRestarts(t *testing.T) {
	b := startBroker(t)
	const n = 4000
	b.publish(logins(n)...)
	b.run()
	b.impatient()
	eventually(t, "some have passed", func() bool { return b.count(schemas.StreamRaw) < n })
	b.restart()
	eventually(t, "the connection is restored", func() bool { return b.conn.Healthy() == nil })
	b.drained()
	exactlyOnce(t, n, b.all(schemas.StreamClean))
}

func TestTrim(t *testing.T) {
	b := startBroker(t)
	b.run()
	stream, err := b.conn.JS.Stream(t.Context(), schemas.StreamClean)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxBytes = 40_000
	if _, err := b.conn.JS.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	sink, err := b.conn.EnsureConsumer(t.Context(), schemas.SinkConsumer())
	if err != nil {
		t.Fatal(err)
	}
	// Four times what fits: it goes on only because what is acknowledged goes.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	feed, err := b.conn.Subscribe(ctx, sink, broker.Buffer{Msgs: 100})
	if err != nil {
		t.Fatal(err)
	}
	const n = 400
	read := make(chan int, 1)
	go func() {
		seen := map[string]bool{}
		for d := range feed.C() {
			seen[d.Headers().Get(jetstream.MsgIDHeader)] = true
			broker.Ack([]broker.Delivery{d}, b.logs.logger())
			if len(seen) == n {
				break
			}
		}
		read <- len(seen)
	}()
	b.publish(logins(n)...)
	b.drained()
	if got := <-read; got != n {
		t.Errorf("the sink saw %d events, want %d", got, n)
	}
}

// TestRunReports: what stands in the way of the service is an error that says so.
func TestRunReports(t *testing.T) {
	t.Parallel()
	cfg := Config{NATS: broker.NATS{URL: "nats://127.0.0.1:1", ConnectWait: time.Millisecond}, DrainTimeout: time.Second}
	cfg.Telemetry = daemon.NewTelemetry()
	logs := &logBuffer{}
	if err := Run(t.Context(), cfg, logs.logger()); err == nil || !strings.Contains(err.Error(), "NATS_URL") {
		t.Errorf("without a broker: %v", err)
	}
	if err := Run(t.Context(), cfg, logs.logger()); err == nil || !strings.Contains(err.Error(), "register metrics") {
		t.Errorf("metrics registered twice: %v", err)
	}
	if err := (Config{}).Validate(); err == nil {
		t.Error("no drain timeout: no error")
	}
	cfg.URL = "nats://:x/"
	if err := cfg.Validate(); err == nil || errors.Is(err, context.Canceled) {
		t.Error("no address: no error")
	}
}

// TestConsumerGone: a consumer that somebody removes is made again.
func TestConsumerGone(t *testing.T) {
	b := startBroker(t)
	b.run()
	if err := b.conn.JS.DeleteConsumer(t.Context(), schemas.StreamRaw, schemas.ConsumerRedactor); err != nil {
		t.Fatal(err)
	}
	b.publish(logins(3)...)
	b.drained()
	exactlyOnce(t, 3, b.all(schemas.StreamClean))
}

// TestStreamGone: with nothing to read from any more, the service ends and says so.
func TestStreamGone(t *testing.T) {
	b := startBroker(t)
	cfg := Config{NATS: b.settings(), DrainTimeout: time.Second}
	cfg.Telemetry = daemon.NewTelemetry()
	cfg.Telemetry.Expect("redactor")
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), cfg, b.logs.logger()) }()
	eventually(t, "the redactor is ready", func() bool { return cfg.Telemetry.Unready() == nil })
	if err := b.conn.JS.DeleteStream(t.Context(), schemas.StreamRaw); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), schemas.StreamRaw) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it goes on")
	}
}
