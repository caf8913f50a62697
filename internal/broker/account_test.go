package broker_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"sluice/internal/broker"
	"sluice/schemas"
)

// twoAccounts is deploy/nats in small: the redactor in one account, the sink in the
// other, and neither may do more than it needs.
const twoAccounts = `
accounts {
  RAW {
    jetstream: enabled
    imports: [
      { service: { account: SLUICE, subject: "events.clean.*.*" } }
      { service: { account: SLUICE, subject: "$JS.API.>" }, to: "SLUICE.API.>" }
    ]
    users: [ { user: redactor, password: secret, permissions: { subscribe: "_INBOX_redactor.>" } } ]
  }
  SLUICE {
    jetstream: enabled
    exports: [ { service: "events.clean.*.*" }, { service: "$JS.API.>" } ]
    users: [ { user: sink, password: secret, permissions: {
      subscribe: "_INBOX_sink.>", publish: [ "$JS.API.STREAM.INFO.EVENTS_CLEAN", "$JS.API.STREAM.INFO.KV_SINK" ] } } ]
  }
}`

// lines is a log that a test looks into.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestWhoMayNotMakeAStreamWaitsForIt(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, []byte(twoAccounts), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	opts.Host, opts.Port, opts.JetStream, opts.StoreDir, opts.NoLog, opts.NoSigs = "127.0.0.1", -1, true, t.TempDir(), true, true
	ns, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { stopServer(ns) })
	if !ns.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server did not get ready")
	}
	said := &lines{}
	as := func(user string) *broker.Conn {
		cfg := broker.NATS{URL: ns.ClientURL(), User: user, Password: "secret", ConnectWait: 5 * time.Second}
		conn, err := broker.Connect(t.Context(), cfg, user, slog.New(slog.NewTextHandler(said, nil)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		return conn
	}
	sink, ready := as("sink"), make(chan error)
	if apart, err := sink.FindAccounts(t.Context()); apart || err != nil {
		t.Errorf("the sink found another account: %v, %v", apart, err)
	}
	go func() {
		// Of EVENTS_QUARANTINE it may not even ask whether it is there.
		ready <- sink.EnsureStreams(t.Context(), schemas.CleanStream(), schemas.QuarantineStream())
	}()
	go func() {
		_, err := sink.OpenBucket(t.Context(), schemas.SinkBucket())
		ready <- err
	}()
	until(t, "the sink says that it waits for both", func() bool { return strings.Count(said.String(), "waiting") == 2 })
	if got := said.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "name=EVENTS_CLEAN") || !strings.Contains(got, "name=SINK") {
		t.Errorf("want a line for EVENTS_CLEAN and one for SINK, got\n%s", got)
	}

	redactor := as("redactor")
	if apart, err := redactor.FindAccounts(t.Context()); !apart || err != nil {
		t.Fatalf("the redactor found another account: %v, %v", apart, err)
	}
	if err := redactor.EnsureStreams(t.Context(), schemas.Streams()...); err != nil {
		t.Fatal(err)
	}
	if _, err := redactor.OpenBucket(t.Context(), schemas.SinkBucket()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-ready; err != nil {
			t.Fatal(err)
		}
	}
	for name, account := range map[string]string{schemas.StreamRaw: "RAW", schemas.StreamQuarantine: "RAW", schemas.StreamClean: "SLUICE", schemas.StreamAlerts: "SLUICE"} {
		acc, err := ns.LookupAccount(account)
		if err != nil {
			t.Fatal(err)
		}
		if streams := acc.JetStreamUsage(); streams.Streams == 0 {
			t.Errorf("account %s has no streams", account)
		}
		if _, err := redactor.JetStream(name).Stream(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What the redactor publishes arrives in the other account, batch or not.
	for _, n := range []int{1, 100} {
		msgs := messages(n, "a")
		for i := range msgs {
			msgs[i].Subject = schemas.CleanSubject("acme", "login")
			msgs[i].Header.Set("Nats-Msg-Id", strings.Repeat("x", n)+string(rune('0'+i)))
		}
		for _, result := range redactor.Publish(t.Context(), msgs) {
			if result.Err != nil {
				t.Fatal(result.Err)
			}
		}
	}
	stream, err := sink.JS.Stream(t.Context(), schemas.StreamClean)
	if err != nil || stream.CachedInfo().State.Msgs != 101 {
		t.Errorf("EVENTS_CLEAN: %v, %+v; want 101 messages", err, stream.CachedInfo().State)
	}
}
