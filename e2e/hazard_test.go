package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

const rawPassword = "hunter2-of-the-raw-stream"

// emptyBroker is a broker on which the redactor has made everything, and stopped.
func emptyBroker(t *testing.T) (*lockedBroker, *observer) {
	t.Helper()
	b := newLockedBroker(t, filepath.Join(t.TempDir(), "store"), true)
	redactor := start(t, nil, append(b.as("redactor"), "HTTP_ADDR="), "redactor")
	o := b.observer()
	until(t, "the redactor has made the last bucket", func() error {
		_, err := o.JetStream.KeyValue(t.Context(), schemas.BucketReceivers)
		return err
	})
	until(t, "the redactor has made its consumer", func() error {
		_, err := o.Consumer(t.Context(), schemas.StreamRaw, schemas.ConsumerRedactor)
		return err
	})
	redactor.signal(t, syscall.SIGTERM)
	if code := redactor.wait(t); code != 0 {
		t.Fatalf("the redactor ended with %d", code)
	}
	return b, o
}

// furnished is such a broker with a message that holds a password in each of the
// redactor's two streams, and consumers at work.
func furnished(t *testing.T) (*lockedBroker, *observer) {
	t.Helper()
	b, o := emptyBroker(t)
	body := []byte(`{"context":{"password":"` + rawPassword + `"}}`)
	for subject, js := range map[string]jetstream.JetStream{
		"events.raw.acme.login": o.raw, "events.raw.default.login": o.raw, "events.quarantine.acme.invalid_json": o.raw,
		"events.clean.acme.login": o.JetStream, "alerts.acme.critical.login": o.JetStream, "outbox.kept.mail": o.JetStream,
	} {
		data := body
		if js == o.JetStream {
			data = []byte(`{}`)
		}
		if _, err := js.Publish(t.Context(), subject, data); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sink", "notifier"} {
		if _, err := o.CreateConsumer(t.Context(), schemas.StreamClean, jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
			t.Fatal(err)
		}
	}
	// A raw message in work, which somebody else's acknowledgement would lose.
	consumer, err := o.Consumer(t.Context(), schemas.StreamRaw, schemas.ConsumerRedactor)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(1, jetstream.FetchMaxWait(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for range batch.Messages() { // it stays in work
	}
	return b, o
}

// settled are the holdings once the broker has done what it was asked for: twice the same.
func (o *observer) settled(t *testing.T, accounts ...jetstream.JetStream) map[string]string {
	t.Helper()
	var held map[string]string
	until(t, "the streams change no more", func() error {
		before := held
		held = o.holdings(t, accounts...)
		if !maps.Equal(before, held) {
			return errors.New("they do")
		}
		return nil
	})
	return held
}

// holdings are the messages of every stream by subject, and how far consumers are.
func (o *observer) holdings(t *testing.T, accounts ...jetstream.JetStream) map[string]string {
	t.Helper()
	held := map[string]string{}
	for _, js := range accounts {
		list := js.ListStreams(t.Context())
		for info := range list.Info() {
			stream, err := js.Stream(t.Context(), info.Config.Name)
			if err != nil {
				t.Fatal(err)
			}
			info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
			if err != nil {
				t.Fatal(err)
			}
			held[info.Config.Name] = fmt.Sprintf("%d to %d of %v, %+v", info.State.FirstSeq, info.State.LastSeq, info.State.Subjects, info.Config)
			consumers := stream.ListConsumers(t.Context())
			for c := range consumers.Info() {
				held[info.Config.Name+"/"+c.Name] = fmt.Sprintf("acknowledged %d, in work %d, waiting %d", c.AckFloor.Stream, c.NumAckPending, c.NumPending)
			}
			if err := consumers.Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := list.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return held
}

// answersTo is where an answer would do harm.
func answersTo() []string {
	return []string{
		"$JS.API.STREAM.DELETE.EVENTS_RAW", "$JS.API.STREAM.PURGE.EVENTS_RAW", "$JS.API.STREAM.PURGE.EVENTS_QUARANTINE", "$JS.API.STREAM.DELETE.EVENTS_QUARANTINE",
		"$JS.API.CONSUMER.DELETE.EVENTS_RAW.redactor", "$JS.API.STREAM.MSG.DELETE.EVENTS_RAW", "$JS.API.STREAM.CREATE.EVIL",
		"SLUICE.API.STREAM.DELETE.EVENTS_CLEAN", "$JS.API.STREAM.DELETE.EVENTS_CLEAN", "$JS.API.STREAM.PURGE.ALERTS",
		"$JS.ACK.EVENTS_RAW.redactor.1.1.1.1.1", "$JS.ACK._.x.EVENTS_RAW.redactor.1.1.1.1.1", "$JS.ACK.EVENTS_CLEAN.sink.1.1.1.1.1",
		"events.raw.other.login", "events.clean.other.login", "events.quarantine.other.invalid_json", "alerts.other.critical.login", "outbox.replay.other",
	}
}

// TestAnswersGoNowhere: a client names the subject of the answer, and the broker sends
// there without asking for permission. Whoever is in no account with streams can do
// nothing with that; the sink and the notifier nothing to raw events.
func TestAnswersGoNowhere(t *testing.T) {
	t.Parallel()
	b, o := furnished(t)
	for _, user := range []string{"responder", "operator", "sys", "sink", "notifier"} {
		accounts := []jetstream.JetStream{o.raw, o.JetStream}
		if user == "sink" || user == "notifier" {
			accounts = accounts[:1]
		}
		before := o.settled(t, accounts...)
		nc, err := b.connect(user)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		asked := 0
		for _, subject := range subjects() {
			if !covers(allowed[user].publish, subject) {
				continue
			}
			for _, reply := range answersTo() {
				// Calls that look at something, and answers without content: there is none.
				bodies := []string{"", `{"no_wait":true,"batch":1}`, `{"seq":999999}`}
				if !strings.Contains(subject, ".MSG.NEXT.") && !strings.Contains(subject, ".DIRECT.GET.") {
					bodies = bodies[:1]
				}
				for _, body := range bodies {
					if strings.Contains(subject, "CONSUMER.DELETE") || strings.Contains(subject, "MSG.DELETE") {
						continue // those would be effects of their own
					}
					msg := &nats.Msg{Subject: subject, Reply: reply, Data: []byte(body)}
					if asked%2 == 0 { // says that it comes from elsewhere
						msg.Header = nats.Header{"Nats-Request-Info": {`{"acc":"RAW"}`}}
					}
					err := nc.PublishMsg(msg)
					if err == nil {
						err = flush(nc)
					}
					if err != nil { // a reply that the broker itself forbids ends the connection
						nc.Close()
						if nc, err = b.connect(user); err != nil {
							t.Fatal(err)
						}
					}
					asked++
				}
			}
		}
		_ = flush(nc)
		after := o.settled(t, accounts...)
		maps.DeleteFunc(after, func(name, held string) bool { return before[name] == held })
		for name, held := range after {
			if !harmless(user, name) {
				t.Errorf("%s, asking for answers elsewhere, changed %s\nfrom %s\nto   %s", user, name, before[name], held)
			}
		}
		t.Logf("%s asked %d times for an answer elsewhere", user, asked)
	}
	// Within its own account the notifier has done harm: so the attempts were real.
	if _, err := o.Stream(t.Context(), schemas.StreamClean); err == nil {
		t.Error("EVENTS_CLEAN is still there: this tried nothing")
	}
}

// TestAcknowledgementsGoNowhere: a producer's own events are stored, and the broker's
// acknowledgements reach nothing that the producer may not.
func TestAcknowledgementsGoNowhere(t *testing.T) {
	t.Parallel()
	b, o := furnished(t)
	for _, user := range []string{"producer-acme", "door"} {
		before := o.settled(t, o.raw, o.JetStream)
		nc, err := b.connect(user)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		stored := 0
		for _, reply := range answersTo() {
			msg := &nats.Msg{Subject: "events.raw.acme.login", Reply: reply, Data: []byte("{}")}
			if user != "door" { // which may publish there
				msg.Header = nats.Header{"Nats-Trace-Dest": {"events.raw.other.login"}}
			}
			if strings.HasPrefix(reply, "$JS.ACK") {
				continue // forbidden by the broker itself, and tried above
			}
			if err := nc.PublishMsg(msg); err != nil {
				t.Fatal(err)
			}
			stored++
		}
		if err := flush(nc); err != nil {
			t.Fatal(err)
		}
		stream, err := o.raw.Stream(t.Context(), schemas.StreamRaw)
		if err != nil {
			t.Fatal(err)
		}
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
		if err != nil {
			t.Fatal(err)
		}
		if len(info.State.Subjects) != 2 {
			t.Errorf("%s: events on %v, want the two subjects of before", user, info.State.Subjects)
		}
		after := o.settled(t, o.raw, o.JetStream)
		for name := range after {
			if !strings.HasPrefix(name, schemas.StreamRaw) && after[name] != before[name] {
				t.Errorf("%s changed %s\nfrom %s\nto   %s", user, name, before[name], after[name])
			}
		}
		t.Logf("%s stored %d events with answers elsewhere", user, stored)
	}
}

// harmless: the sink may add to quarantine what ClickHouse does not take.
func harmless(user, name string) bool { return user == "sink" && name == schemas.StreamQuarantine }

func flush(nc *nats.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return nc.FlushWithContext(ctx)
}

// TestRawIsOutOfReach: not even a user of SLUICE without any restriction, more than the
// sink, the notifier or whoever has taken them over can become, sees a raw event.
func TestRawIsOutOfReach(t *testing.T) {
	t.Parallel()
	b, o := furnished(t)
	before := o.holdings(t, o.raw)
	seen := make(chan string, 1000)
	nc, err := b.connect("observer-SLUICE")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Subscribe(">", func(m *nats.Msg) {
		if strings.Contains(string(m.Data), rawPassword) || strings.Contains(fmt.Sprint(m.Header), rawPassword) {
			seen <- m.Subject
		}
	}); err != nil {
		t.Fatal(err)
	}
	sys, err := b.connect("sys")
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	if _, err := sys.Subscribe("$SYS.>", func(m *nats.Msg) {
		if strings.Contains(string(m.Data), rawPassword) {
			seen <- m.Subject
		}
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// A stream that takes the raw subjects away.
	if _, err := o.JetStream.CreateStream(ctx, jetstream.StreamConfig{Name: "EVIL_SUBJECTS", Subjects: []string{"events.raw.>", "events.quarantine.>"}}); err != nil {
		t.Fatal(err)
	}
	// Copies by sources and mirrors, by name and by another API.
	for i, stream := range rawStreams {
		for k, external := range []*jetstream.ExternalStream{nil, {APIPrefix: "$JS.RAW.API"}, {APIPrefix: "$JS.API"}, {APIPrefix: "RAW.API"}} {
			source := &jetstream.StreamSource{Name: stream, External: external}
			name := fmt.Sprintf("EVIL%d%d", i, k)
			_, _ = o.JetStream.CreateStream(ctx, jetstream.StreamConfig{Name: name, Sources: []*jetstream.StreamSource{source}})
			_, _ = o.JetStream.CreateStream(ctx, jetstream.StreamConfig{Name: name + "M", Mirror: source})
		}
	}
	for _, stream := range rawStreams {
		for _, call := range []string{"STREAM.MSG.GET.S", "DIRECT.GET.S", "STREAM.SNAPSHOT.S", "CONSUMER.CREATE.S", "CONSUMER.MSG.NEXT.S.redactor", "STREAM.PURGE.S", "STREAM.DELETE.S"} {
			for _, body := range []string{"", `{"seq":1}`, `{"deliver_subject":"_INBOX_sink.x"}`, `{"stream_name":"` + stream + `","config":{"deliver_subject":"_INBOX_sink.x","ack_policy":"none"}}`} {
				_ = nc.PublishRequest("$JS.API."+replaceStream(call, stream), "_INBOX_sink.y", []byte(body))
			}
		}
	}
	for range 3 {
		_ = nc.PublishRequest("$JS.ACK.EVENTS_RAW.redactor.1.1.1.1.1", "", []byte("+ACK"))
	}
	// Its own messages, delivered to raw subjects by a consumer.
	for i, to := range []string{"events.raw.acme.login", "$JS.API.STREAM.DELETE.EVENTS_RAW", "$JS.ACK.EVENTS_RAW.redactor.1.1.1.1.1"} {
		body := fmt.Sprintf(`{"stream_name":"EVENTS_CLEAN","config":{"durable_name":"evil%d","deliver_subject":%q,"ack_policy":"none","headers_only":true}}`, i, to)
		_, _ = nc.RequestWithContext(ctx, fmt.Sprintf("$JS.API.CONSUMER.CREATE.EVENTS_CLEAN.evil%d", i), []byte(body))
	}
	// An event comes while all that is there, and goes its way.
	producer, err := b.connect("producer-acme")
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if ack, err := producer.RequestWithContext(ctx, "events.raw.acme.login", []byte(`{"context":{"password":"`+rawPassword+`"}}`)); err != nil || !strings.Contains(string(ack.Data), "EVENTS_RAW") {
		t.Errorf("a producer's event: %v", err)
	}
	if err := flush(nc); err != nil {
		t.Fatal(err)
	}
	list := o.JetStream.ListStreams(ctx)
	for info := range list.Info() {
		if strings.HasPrefix(info.Config.Name, "EVIL") && info.State.Msgs > 0 {
			t.Errorf("%s has %d messages", info.Config.Name, info.State.Msgs)
		}
	}
	select {
	case subject := <-seen:
		t.Errorf("the password was seen on %s", subject)
	default:
	}
	after := o.holdings(t, o.raw)
	for name, held := range before {
		if name != schemas.StreamRaw && after[name] != held && !strings.Contains(name, "/") {
			t.Errorf("%s changed\nfrom %s\nto   %s", name, held, after[name])
		}
	}
	if got, want := after["EVENTS_RAW/redactor"], "acknowledged 0, in work 1, waiting 2"; got != want {
		t.Errorf("the redactor's consumer: %s, want %s", got, want)
	}
	b.showsNothing(t)
}

// replaceStream puts a stream's name for the token S.
func replaceStream(call, stream string) string {
	tokens := strings.Split(call, ".")
	for i, token := range tokens {
		if token == "S" {
			tokens[i] = stream
		}
	}
	return strings.Join(tokens, ".")
}

// showsNothing: neither the pages about the broker nor its store hold a password or a key.
func (b *lockedBroker) showsNothing(t *testing.T) {
	t.Helper()
	needles := append([]string{rawPassword}, b.secrets(t)...)
	for _, page := range []string{"/varz", "/connz?auth=1&subs=detail", "/subsz?subs=1", "/jsz?accounts=1&streams=1&consumers=1&config=1", "/accountz?acc=RAW", "/accstatz", "/healthz", "/routez", "/leafz", "/gatewayz", "/ipqueuesz", "/raftz"} {
		path, query, _ := strings.Cut(page, "?")
		text, err := (&system{}).body("http://" + b.monitor + path + "?" + query)
		if err != nil && path != "/raftz" {
			t.Errorf("%s: %v", page, err)
		}
		leaks(t, page, text, needles)
	}
	searched := 0
	err := filepath.WalkDir(b.store, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // the broker removes files as we walk
		}
		if content, err := os.ReadFile(path); err == nil {
			searched++
			leaks(t, path, string(content), needles)
		}
		return nil
	})
	if err != nil || searched < 20 {
		t.Errorf("searched %d files of the store (%v)", searched, err)
	}
	leaks(t, "what the broker printed", b.process.stdout.String()+b.process.stderr.String(), needles)
}

// secrets are the configuration's own: seeds, private keys, passwords, the store's key.
func (b *lockedBroker) secrets(t testing.TB) []string {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(b.dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	var secrets []string
	for _, file := range files {
		text, err := os.ReadFile(b.key(file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		switch name := file.Name(); {
		case strings.HasSuffix(name, ".nk"), strings.HasSuffix(name, ".password"):
			secrets = append(secrets, strings.TrimSpace(string(text)))
		case name == "store.key":
			_, key, _ := strings.Cut(strings.TrimSpace(string(text)), `"`)
			secrets = append(secrets, strings.Trim(key, `"`))
		case strings.HasSuffix(name, "-key.pem"):
			secrets = append(secrets, strings.Split(string(text), "\n")[1])
		}
	}
	if len(secrets) < 15 {
		t.Fatalf("found %d secrets", len(secrets))
	}
	return secrets
}

// TestTenantIsAdded: one command and a reload, which nobody's connection notices.
func TestTenantIsAdded(t *testing.T) {
	t.Parallel()
	b, o := furnished(t)
	sink, err := b.connect("sink")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	acme, err := b.connect("producer-acme")
	if err != nil {
		t.Fatal(err)
	}
	defer acme.Close()
	b.makeKeys("newcomer")
	b.signal(t, syscall.SIGHUP)
	var nc *nats.Conn
	until(t, "the newcomer is let in", func() error {
		nc, err = b.connect("producer-newcomer")
		return err
	})
	defer nc.Close()
	b.signal(t, syscall.SIGHUP)
	for user, nc := range map[string]*nats.Conn{"newcomer": nc, "acme": acme} {
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the event of "+user+" is stored", func() error {
			_, err := js.Publish(t.Context(), "events.raw."+user+".login", []byte("{}"))
			return err
		})
	}
	for name, nc := range map[string]*nats.Conn{"the sink": sink, "acme's producer": acme} {
		if nc.Stats().Reconnects != 0 || !nc.IsConnected() {
			t.Errorf("%s had to connect again", name)
		}
	}
	subscriber, err := b.connect("subscriber-newcomer")
	if err != nil {
		t.Fatal(err)
	}
	defer subscriber.Close()
	sub, err := subscriber.SubscribeSync("alerts.newcomer.>")
	if err != nil || flush(subscriber) != nil {
		t.Fatal(err)
	}
	if _, err := o.JetStream.Publish(t.Context(), "alerts.newcomer.critical.login", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.NextMsg(20 * time.Second); err != nil {
		t.Errorf("the newcomer's subscriber: %v", err)
	}
}

// TestOperatorSees: each call that the operator may make is answered, and by the account
// that has the stream.
func TestOperatorSees(t *testing.T) {
	t.Parallel()
	b, _ := furnished(t)
	nc, err := b.connect("operator")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, call := range allowed["operator"].publish {
		answer, err := nc.Request(call, nil, 20*time.Second)
		if err != nil || strings.Contains(string(answer.Data), `"error"`) || !strings.Contains(string(answer.Data), "_response") {
			t.Errorf("%s: %v, %.200s", call, err, dataOf(answer))
			continue
		}
		leaks(t, call, string(answer.Data), []string{rawPassword})
	}
}
