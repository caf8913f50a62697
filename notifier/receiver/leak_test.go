package receiver

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

// leaky is an alert in which the redactor has missed secrets everywhere.
func leaky(a *schemas.Alert) {
	const text = "login failed: password=hunter2 at postgres://app:hunter2@db/app, Authorization: Bearer hunter2hunter2"
	a.Data.Title, a.Data.Message, a.Data.App = text, text, "password=hunter2"
	a.Data.Event = json.RawMessage(`{"context":{"password":"hunter2","nested":"{\"api_key\":\"hunter2\"}"}}`)
}

// A secret that was planted in an alert reaches no wire, whatever the receiver.
func TestSecretsDoNotReachTheWire(t *testing.T) {
	p := newPeer(t, nil)
	env := secretURL(p.URL)
	for name, definition := range map[string]string{
		"webhook":      "type: webhook\nurl: " + p.URL + "\n" + loopback,
		"template":     "type: webhook\nurl: " + p.URL + "\n" + loopback + "body: '{\"m\":{{json .data.message}},\"e\":{{json .data.event}},\"password\":{{json .data.action}}}'",
		"text":         "type: webhook\nurl: " + p.URL + "\n" + loopback + "content_type: text/plain\nbody: 'password: {{.data.action}} {{.data.message}}'",
		"slack":        "type: slack\nurl_env: URL\n" + loopback,
		"slack text":   "type: slack\nurl_env: URL\n" + loopback + "text: 'password: {{.data.action}} {{.data.message}}'",
		"discord":      "type: discord\nurl_env: URL\n" + loopback,
		"teams":        "type: teams\nurl_env: URL\n" + loopback,
		"alertmanager": "type: alertmanager\nurl: " + p.URL + "\n" + loopback,
	} {
		mustSend(t, open(t, env, definition), notice(t, leaky))
		got := p.last(t)
		if bytes.Contains(got.body, []byte("hunter2")) || strings.Contains(got.path, "hunter2") {
			t.Errorf("%s: %s", name, got.body)
		}
		// What only the rendering makes a secret is one.
		if (name == "template" || name == "text" || name == "slack text") && bytes.Contains(got.body, []byte("system_exception ")) ||
			name == "template" && strings.Contains(string(got.body), `"password":"system_exception"`) {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	mails, dir := startMail(t, securityNone)
	mustSend(t, open(t, nil, mails.definition(securityNone, dir)), notice(t, leaky))
	_, parts := readMail(t, mails.mails[0].data)
	for media, text := range parts {
		if strings.Contains(text, "hunter2") {
			t.Errorf("email %s: %s", media, text)
		}
	}
	if bytes.Contains(mails.mails[0].data, []byte("hunter2")) {
		t.Error("the mail has a secret")
	}
}

// What is no secret comes through as it was.
func TestRedactionLeavesTheRest(t *testing.T) {
	n := notice(t, nil)
	if n.Alert.ID != "4ad95e67-c916-5d01-9198-bfe8e2bdac3a" || n.Alert.Data.Fingerprint != "v1:efd973ed946ea4464227aced08c71d57" ||
		n.Alert.Source != "sluice/notifier" || bytes.Contains(n.Body, []byte("***")) {
		t.Errorf("got %s", n.Body)
	}
}

// Whoever is told is told why, and how to stop it.
func TestWhyAndHowToStop(t *testing.T) {
	data := bytes.Replace(notice(t, nil).Body, []byte(`"data":{`), []byte(`"data":{"why":"rule \"exceptions\": action is system_exception",`+
		`"silence":"notifier silence add -for 4h tenant=default fingerprint=v1:efd973ed946ea4464227aced08c71d57",`), 1)
	n, err := NewNotice(testEnv(t, nil).Engine, data, "")
	if err != nil {
		t.Fatal(err)
	}
	mails, dir := startMail(t, securityNone)
	mustSend(t, open(t, nil, mails.definition(securityNone, dir)), n)
	_, parts := readMail(t, mails.mails[0].data)
	p := newPeer(t, nil)
	texts := []string{parts["text/plain"], parts["text/html"]}
	for _, definition := range []string{"type: slack\nurl_env: URL\n", "type: discord\nurl_env: URL\n", "type: teams\nurl_env: URL\n", "type: alertmanager\nurl_env: URL\n"} {
		mustSend(t, open(t, secretURL(p.URL), definition+loopback), n)
		texts = append(texts, strings.ReplaceAll(string(p.last(t).body), `\\_`, "_"))
	}
	for i, text := range texts {
		if !strings.Contains(text, "action is system_exception") || !strings.Contains(text, "silence add -for 4h tenant=default fingerprint=v1:efd973ed946ea4464227aced08c71d57") {
			t.Errorf("text %d: %s", i, text)
		}
	}
}

// No failure shows the address, which holds a token, or a word of the other side.
func TestFailuresShowNothing(t *testing.T) {
	p := newPeer(t, nil)
	closed := newPeer(t, nil)
	closed.Close()
	for name, base := range map[string]string{"refused": p.URL, "closed": closed.URL, "no such host": "https://no-such-host.invalid", "no TLS": strings.Replace(p.URL, "http", "https", 1)} {
		for _, status := range []int{http.StatusForbidden, http.StatusBadGateway, http.StatusFound} {
			p.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/T0KEN-again")
				w.WriteHeader(status)
				_, _ = w.Write([]byte("hunter2"))
			}
			err := send(t, open(t, secretURL(base), "type: slack\nurl_env: URL\n"+loopback), notice(t, nil))
			if err == nil || strings.Contains(err.Error(), "T0KEN") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
	// A server that answers nonsense is not quoted.
	p.answer = func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = conn.Write([]byte("hunter2 is no HTTP\r\n\r\n"))
		_ = conn.Close()
	}
	if err := send(t, open(t, secretURL(p.URL), "type: slack\nurl_env: URL\n"+loopback), notice(t, nil)); err == nil || err.Error() != "its answer cannot be read" {
		t.Errorf("got %v", err)
	}
}

func TestNATS(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker does not start")
	}
	env := testEnv(t, nil)
	if env.Broker, err = broker.Connect(t.Context(), broker.NATS{URL: s.ClientURL()}, "test", slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	defer env.Broker.Close()
	opened := func(definition string) Sender {
		t.Helper()
		r, err := parse(definition)
		if err != nil {
			t.Fatal(err)
		}
		sender, err := r.Open(env)
		if err != nil {
			t.Fatal(err)
		}
		return sender
	}
	n := notice(t, leaky)
	stored := opened("type: nats\nsubject: oncall.sluice\njetstream: true")
	if err := send(t, stored, n); err == nil || err.Error() != "no stream has the subject" {
		t.Errorf("without a stream: got %v", err)
	}
	if _, err := env.Broker.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ONCALL", Subjects: []string{"oncall.>"}}); err != nil {
		t.Fatal(err)
	}
	sub, err := env.Broker.NC.SubscribeSync("oncall.sluice")
	if err != nil {
		t.Fatal(err)
	}
	for _, sender := range []Sender{stored, opened("type: nats\nsubject: oncall.sluice")} {
		mustSend(t, sender, n)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		msg, err := sub.NextMsgWithContext(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(msg.Data, []byte("hunter2")) || msg.Header.Get("Nats-Msg-Id") != n.Alert.ID || msg.Header.Get("Content-Type") != CloudEventType {
			t.Errorf("got %v %s", msg.Header, msg.Data)
		}
	}
}
