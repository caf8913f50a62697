package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"sluice/internal/broker"
	"sluice/notifier/receiver"
	"sluice/schemas"
)

// world is a broker, and what the tests do to it besides the outbox.
type world struct {
	t    testing.TB
	url  string
	conn *broker.Conn
	n    int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	s := serveWith(t, brokerOptions(t.TempDir(), server.RANDOM_PORT))
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	w := &world{t: t, url: s.ClientURL()}
	w.conn = w.connect()
	if err := w.conn.EnsureStreams(t.Context(), schemas.AlertsStream()); err != nil {
		t.Fatal(err)
	}
	return w
}

func brokerOptions(dir string, port int) *server.Options {
	return &server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true, MaxPayload: schemas.MaxPayloadBytes,
	}
}

func serveWith(t testing.TB, opts *server.Options) *server.Server {
	t.Helper()
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker does not start")
	}
	return s
}

func (w *world) connect() *broker.Conn {
	w.t.Helper()
	conn, err := broker.Connect(w.t.Context(), broker.NATS{URL: w.url, ConnectWait: 5 * time.Second}, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(conn.Close)
	return conn
}

// alert publishes one for the receivers, with a number as its title.
func (w *world) alert(receivers ...string) string {
	w.t.Helper()
	w.n++
	id := fmt.Sprintf("alert-%04d", w.n)
	a := receiver.Sample(id, time.Now())
	a.Data.Title = id
	data, err := json.Marshal(a)
	if err != nil {
		w.t.Fatal(err)
	}
	w.publish(id, data, receivers...)
	return id
}

func (w *world) publish(id string, data []byte, receivers ...string) {
	w.t.Helper()
	msg := nats.NewMsg(schemas.AlertSubject("default", schemas.SeverityAlert, "system_exception"))
	msg.Data = data
	msg.Header.Set(nats.MsgIdHdr, id)
	if len(receivers) > 0 {
		names, err := json.Marshal(receivers)
		if err != nil {
			w.t.Fatal(err)
		}
		msg.Header.Set(schemas.HeaderReceivers, string(names))
	}
	if _, err := w.conn.JS.PublishMsg(w.t.Context(), msg); err != nil {
		w.t.Fatal(err)
	}
}

// running is an outbox at work.
type running struct {
	stop func()
	done chan error
}

// run starts an outbox with the receivers, definitions by name.
func (w *world) run(c clock, log *slog.Logger, receivers map[string]string) running {
	w.t.Helper()
	o, err := New(w.connect(), receiver.Env{}, prometheus.NewRegistry(), log)
	if err != nil {
		w.t.Fatal(err)
	}
	o.clock, o.ackWait = c, time.Second
	ctx, cancel := context.WithCancel(w.t.Context())
	r := running{stop: cancel, done: make(chan error, 1)}
	list := parse(w.t, receivers)
	go func() { r.done <- o.Run(ctx, list) }()
	w.t.Cleanup(cancel)
	return r
}

// drained stops the outbox and waits for it.
func (r running) drained(t testing.TB) {
	t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

func parse(t testing.TB, definitions map[string]string) []receiver.Receiver {
	t.Helper()
	var list []receiver.Receiver
	for name, text := range definitions {
		var node yaml.Node
		if err := yaml.Unmarshal([]byte(text), &node); err != nil {
			t.Fatal(err)
		}
		r, err := receiver.Parse(name, node.Content[0])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// eventually waits for a condition; what it waits for is told if it never comes.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

// peer is a webhook's other side, which remembers the ids of what it has taken.
type peer struct {
	*httptest.Server

	mu       sync.Mutex
	taken    []string
	attempts int
	answer   func(id string, w http.ResponseWriter) int
}

func newPeer(t testing.TB) *peer {
	t.Helper()
	p := &peer{}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// newPeerAt is a peer at the address of one that was closed.
func newPeerAt(t testing.TB, url string) *peer {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{}
	p.Server = httptest.NewUnstartedServer(p)
	_ = p.Listener.Close() // the one that comes with it
	p.Listener = listener
	p.Start()
	t.Cleanup(p.Close)
	return p
}

// ServeHTTP implements http.Handler.
func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Webhook-Id")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempts++
	status := http.StatusOK
	if p.answer != nil {
		status = p.answer(id, w)
	}
	if status < 300 {
		p.taken = append(p.taken, id)
	}
	w.WriteHeader(status)
}

func (p *peer) answers(f func(id string, w http.ResponseWriter) int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

func always(status int) func(string, http.ResponseWriter) int {
	return func(string, http.ResponseWriter) int { return status }
}

func (p *peer) has() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.taken)
}

// repeats is how many it has taken more than once.
func (p *peer) repeats() int {
	taken := p.has()
	different := map[string]bool{}
	for _, id := range taken {
		different[id] = true
	}
	return len(taken) - len(different)
}

func (p *peer) tried() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.attempts
}

// hook is the definition of a webhook to the address.
func hook(url string) string {
	return "{type: webhook, url: '" + url + "', allow: [127.0.0.0/8], rate: 10000/s}"
}

func wantTaken(t *testing.T, p *peer, want []string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d alerts taken", len(want)), func() bool { return len(p.has()) >= len(want) })
	if got := p.has(); !slices.Equal(got, want) {
		t.Errorf("got %s\nwant %s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

// fakeClock moves when it is told to.
type fakeClock struct {
	mu      sync.Mutex
	now     time.Time
	waiters []waiter
	waits   []time.Duration
}

type waiter struct {
	at time.Time
	c  chan time.Time
}

func newClock() *fakeClock { return &fakeClock{now: time.Now()} }

// Now implements clock.
func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// After implements clock.
func (c *fakeClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := waiter{c.now.Add(d), make(chan time.Time, 1)}
	c.waiters, c.waits = append(c.waiters, w), append(c.waits, d)
	return w.c
}

// skip moves to the first time that somebody waits for, and reports whether there
// is one.
func (c *fakeClock) skip() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiters) == 0 {
		return false
	}
	slices.SortFunc(c.waiters, func(a, b waiter) int { return a.at.Compare(b.at) })
	first := c.waiters[0]
	c.waiters = c.waiters[1:]
	if c.now.Before(first.at) {
		c.now = first.at
	}
	first.c <- c.now
	return true
}

// wait is how long was asked for the nth time, from 0.
func (c *fakeClock) wait(n int) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n >= len(c.waits) {
		return 0
	}
	return c.waits[n]
}
