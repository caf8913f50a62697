package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/producer/generate"
	"sluice/schemas"
)

// TestLockedDown is the whole on the broker as deploy/nats has it, each part with a key
// of its own: events come in by a tenant's producer, by the door and by a plain client,
// services die, and rows, alerts, quarantine, outbox and silences are as they should be.
// In the end no secret, planted or of the configuration, is anywhere but in the keys.
func TestLockedDown(t *testing.T) {
	t.Parallel()
	const n, seed = 3000, 77
	var broken atomic.Bool
	broken.Store(true)
	taken := make(chan string, 64)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		if broken.Load() {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		taken <- body.String()
	}))
	t.Cleanup(hook.Close)
	config := filepath.Join(t.TempDir(), "notifier.yaml")
	write(t, filepath.Dir(config), filepath.Base(config), "version: 1\nreceivers:\n  hook: {type: webhook, url: '"+hook.URL+
		"', allow: 127.0.0.0/8}\nrules:\n  - name: tries\n    match: {action: login_failed, tenant: acme}\n    receivers: hook\n    title: 'somebody tries'\n")
	s := &system{t: t, dir: t.TempDir(), nats: "", clickhouse: freeAddr(t), http: freeAddr(t)}
	s.startAsLocked([]string{"NOTIFIER_GROUP_INTERVAL=2s", "NOTIFIER_CONFIG=" + config})
	broker, js := s.lock.broker, s.lock.broker.observer()
	needles := append(broker.secrets(t), generate.Marker(seed))
	var printed strings.Builder // by commands

	// A producer publishes while each service is killed and comes again.
	ndjson, secrets, _ := generated(n, seed)
	for _, secret := range secrets {
		if !strings.Contains(secret.Encoded, generate.Marker(seed)) {
			needles = append(needles, secret.Value)
		}
	}
	load := start(t, strings.NewReader(ndjson), s.as("producer-default"), "producer", "publish")
	for _, name := range lockedServices {
		s.killService(name)
	}
	if code := load.wait(t); code != 0 || !strings.HasSuffix(load.stdout.String(), "refused 0\n") {
		t.Fatalf("publish: exit %d, %s%s", code, load.stdout.String(), load.stderr.String())
	}
	printed.WriteString(load.stdout.String() + load.stderr.String())
	s.untilServices()

	// The subscriber sees its tenant's alerts as they come; the door takes an event.
	subscriber, err := broker.connect("subscriber-acme")
	if err != nil {
		t.Fatal(err)
	}
	defer subscriber.Close()
	alerts, err := subscriber.SubscribeSync("alerts.acme.>")
	if err != nil || flush(subscriber) != nil {
		t.Fatal(err)
	}
	const token = "0123456789abcdef0123456789abcdef-of-the-door"
	needles = append(needles, token)
	tokens := t.TempDir()
	write(t, tokens, "tokens", "app acme * "+token+"\n")
	door := door(t, s, filepath.Join(tokens, "tokens"))
	post(t, "http://"+door+"/v1/events", token, `{"action":"login_failed","user":{"username":"ann"},"context":{"password":"`+generate.Marker(seed)+`"}}`)
	alert, err := alerts.NextMsg(time.Minute)
	if err != nil || !strings.Contains(string(alert.Data), "somebody tries") {
		t.Fatalf("the subscriber's alert: %v, %.300s", err, dataOf(alert))
	}
	leaks(t, "the alert", string(alert.Data), needles)

	// A plain client, of which one event is no event.
	nc, err := broker.connect("producer-acme")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	plain, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{`{"context":{"password":"` + generate.Marker(seed) + `"}}`, `{"password":"` + generate.Marker(seed)} {
		if _, err := plain.Publish(t.Context(), "events.raw.acme.login", []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	s.untilRows(n + 2)
	if got := s.must("SELECT count() = uniqExact(pk), countIf(tenant = 'acme') FROM sluice.events"); got != "1\t2" {
		t.Errorf("rows: got %q, want each once and two of acme", got)
	}

	// What the redactor's user does: quarantine.
	command := func(name string, args ...string) string {
		t.Helper()
		stdout, stderr, code := s.run(nil, name, args...)
		if code != 0 {
			t.Errorf("%s %v: exit %d: %s", name, args, code, stderr)
		}
		printed.WriteString(stdout + stderr)
		return stdout
	}
	s.until("the event is in quarantine", func() error {
		if held := streamState(t, js, schemas.StreamQuarantine).Msgs; held != 1 {
			return fmt.Errorf("%d are", held)
		}
		return nil
	})
	if out := command("redactor", "quarantine", "list"); !strings.Contains(out, "invalid_json") {
		t.Errorf("quarantine list: %s", out)
	}
	command("redactor", "quarantine", "show", "1")
	command("redactor", "quarantine", "replay", "-all")
	s.until("it is back in quarantine", func() error {
		if last := streamState(t, js, schemas.StreamQuarantine).LastSeq; last != 2 {
			return fmt.Errorf("the last is %d", last)
		}
		return nil
	})
	command("redactor", "quarantine", "drop", "-all", "-yes")

	// The notifier's: the outbox holds what the receiver has refused, and gives it out.
	s.until("the alert is in the outbox", func() error {
		stdout, _, _ := s.run(nil, "notifier", "outbox", "list")
		if !strings.Contains(stdout, "hook") || streamState(t, js, schemas.StreamOutbox).Msgs == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	broken.Store(false)
	command("notifier", "outbox", "replay", "hook")
	select {
	case body := <-taken:
		leaks(t, "what the receiver got", body, needles)
	case <-time.After(time.Minute):
		t.Error("the alert was not delivered again")
	}

	// The responder's, by the command and by a plain client.
	silence := start(t, nil, broker.as("responder"), "notifier", "silence", "add", "-for", "1h", "-author", "ann", "tenant=acme")
	if code := silence.wait(t); code != 0 {
		t.Errorf("silence add: exit %d: %s", code, silence.stderr.String())
	}
	printed.WriteString(silence.stdout.String() + silence.stderr.String())
	responder, err := broker.connect("responder")
	if err != nil {
		t.Fatal(err)
	}
	defer responder.Close()
	answer, err := responder.Request("notifier.silence.list", nil, 20*time.Second)
	if err != nil || !strings.Contains(string(answer.Data), `"tenant":"acme"`) {
		t.Errorf("the silences: %v, %.300s", err, dataOf(answer))
	}
	s.checkNothingShows(t, needles, printed.String())
}

func dataOf(msg *nats.Msg) []byte {
	if msg == nil {
		return nil
	}
	return msg.Data
}

func post(t *testing.T, url, token, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out struct {
		Stored int `json:"stored"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.Stored != 1 {
		t.Fatalf("the door: %s, %v, stored %d", resp.Status, err, out.Stored)
	}
}

// checkNothingShows looks for secrets in all that the stack prints, serves and stores,
// EVENTS_RAW and EVENTS_QUARANTINE included, which the broker has encrypted.
func (s *system) checkNothingShows(t *testing.T, needles []string, printed string) {
	t.Helper()
	broker := s.lock.broker
	rows := s.must("SELECT * FROM sluice.events FORMAT JSONEachRow")
	if !strings.Contains(rows, schemas.Mask) {
		t.Fatal("the rows hold no mask: this looked at nothing")
	}
	places := map[string]string{
		"the rows": rows, "what commands printed": printed, "what the services printed": s.printed(),
		"what the broker printed": broker.process.stdout.String() + broker.process.stderr.String(),
	}
	for i, addr := range s.lock.http {
		for _, page := range []string{"/metrics", "/readyz", "/livez", "/debug/pprof/cmdline", "/debug/vars"} {
			text, _ := s.body("http://" + addr + page) // those that are not there are empty
			places[lockedServices[i]+page] = text
		}
	}
	for _, name := range append([]string{"producer", "keys", "standalone"}, lockedServices...) {
		env := broker.as("sink")
		if name != "keys" && name != "producer" && name != "standalone" {
			env = broker.as(name)
		}
		help := start(t, nil, env, name, "-h")
		help.wait(t)
		places[name+" -h"] = help.stdout.String() + help.stderr.String()
	}
	for where, text := range places {
		leaks(t, where, text, needles)
	}
	searched := 0
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // merges and the broker remove files as we walk
		}
		if content, err := os.ReadFile(path); err == nil {
			searched++
			rel, _ := filepath.Rel(s.dir, path)
			leaks(t, rel, string(content), needles)
		}
		return nil
	})
	if err != nil || searched < 50 {
		t.Errorf("searched %d files (%v)", searched, err)
	}
	t.Logf("looked for %d secrets in %d pages and outputs and %d files", len(needles), len(places), searched)
}
