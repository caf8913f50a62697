package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/daemon"
	"sluice/notifier"
	"sluice/notifier/receiver"
	"sluice/schemas"
)

// The whole of it, as a person uses it: a receiver that refuses, seen by list, and
// after replay it has the alert.
func TestReceiversFromTheCommandLine(t *testing.T) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker does not start")
	}
	var status, taken atomic.Int32
	status.Store(http.StatusForbidden)
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if code := int(status.Load()); code == http.StatusOK {
			taken.Add(1)
		} else {
			w.WriteHeader(code)
		}
	}))
	t.Cleanup(peer.Close)
	config := filepath.Join(t.TempDir(), "notifier.yaml")
	text := "version: 1\nreceivers:\n  hook: {type: webhook, url: '" + peer.URL + "/T0KEN', allow: 127.0.0.0/8}\n  bus: {type: nats, subject: oncall}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NATS_URL", s.ClientURL())
	t.Setenv("NOTIFIER_CONFIG", config)

	var out bytes.Buffer
	err = test(t.Context(), []string{"hook"}, &out)
	if err == nil || err.Error() != "receiver hook (webhook) has not taken the test alert: answered 403 Forbidden" {
		t.Errorf("test: got %v", err)
	}
	if err := test(t.Context(), []string{"bus"}, &out); err != nil || !strings.HasPrefix(out.String(), "receiver bus (nats) took the test alert in ") {
		t.Errorf("test: got %s %v", out.String(), err)
	}
	if err := test(t.Context(), []string{"nobody"}, &out); !errors.Is(err, daemon.ErrUsage) || !strings.Contains(err.Error(), "there are: hook, bus") {
		t.Errorf("test: got %v", err)
	}

	serve(t)
	publish(t, s.ClientURL())
	outbox := func(args ...string) string {
		t.Helper()
		out.Reset()
		if err := tendOutbox(t.Context(), args, &out); err != nil {
			return err.Error()
		}
		return out.String()
	}
	until(t, "it is kept", func() bool { return strings.Contains(outbox("list"), "answered 403 Forbidden") })
	if got := outbox("list", "hook"); !strings.Contains(got, "SEQ  RECEIVER") || !strings.Contains(got, "Test alert") || strings.Contains(got, "bus") {
		t.Errorf("list: got %s", got)
	}
	if got := outbox("list", "-json", "hook"); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"kept":1`) || !strings.Contains(got, `"attempts":1`) {
		t.Errorf("list -json: got %s", got)
	}
	status.Store(http.StatusOK)
	if got := outbox("replay", "hook", "99"); got != "replay alert 99: it is not kept for receiver hook" {
		t.Errorf("replay 99: got %q", got)
	}
	if got := outbox("replay", "hook"); got != "receiver hook: 1 to be delivered again\n" {
		t.Errorf("replay: got %q", got)
	}
	until(t, "it is taken", func() bool { return taken.Load() == 1 })
	if got := outbox("list"); strings.Contains(got, "SEQ") || strings.Contains(got, "T0KEN") {
		t.Errorf("list: got %s", got)
	}
}

// serve runs the service until the test ends.
func serve(t *testing.T) {
	t.Helper()
	var cfg notifier.Config
	if err := daemon.Load("NOTIFIER", &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Telemetry = daemon.NewTelemetry()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- notifier.Run(ctx, cfg, cfg.Logger(t.Output())) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func publish(t *testing.T, url string) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(receiver.Sample("6ba7b810-9dad-11d1-80b4-00c04fd430c8", time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	msg := nats.NewMsg(schemas.AlertSubject("default", schemas.SeverityAlert, "system_exception"))
	msg.Data = data
	msg.Header.Set(schemas.HeaderReceivers, `["hook"]`)
	until(t, "the stream is there", func() bool {
		_, err := js.PublishMsg(t.Context(), msg)
		return err == nil
	})
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func TestOutboxArguments(t *testing.T) {
	for _, args := range [][]string{
		{"test"},
		{"test", "a", "b"},
		{"outbox"},
		{"outbox", "drop"},
		{"outbox", "list", "a", "b"},
		{"outbox", "list", "-x"},
		{"outbox", "replay"},
		{"outbox", "replay", "a", "x"},
		{"outbox", "replay", "a", "0"},
		{"outbox", "replay", "-json", "a"},
		{"test", "a"},
	} {
		if err := run(t.Context(), args); !errors.Is(err, daemon.ErrUsage) {
			t.Errorf("%v: got %v", args, err)
		}
	}
}

// What is wrong with the file is told with its line, by the service and by test.
func TestWrongReceivers(t *testing.T) {
	config := filepath.Join(t.TempDir(), "notifier.yaml")
	if err := os.WriteFile(config, []byte("version: 1\nreceivers:\n  a:\n    type: pigeon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFIER_CONFIG", config)
	want := fmt.Sprintf("NOTIFIER_CONFIG: %s:4: receivers.a.type: must be one of", config)
	if err := test(t.Context(), []string{"a"}, os.Stdout); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}
