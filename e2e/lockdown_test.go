package e2e_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// locked tells to run the tests of the whole on the broker as deploy/nats has it, with
// each service a process and a user of its own, instead of on standalone.
func locked() bool { return os.Getenv("E2E_LOCKED") != "" }

// notLocked skips a test of what only standalone does.
func notLocked(t testing.TB, why string) {
	t.Helper()
	if locked() {
		t.Skip("with the broker locked down: " + why)
	}
}

// lockedBroker is nats-server with the configuration of deploy/nats, and keys made for it.
type lockedBroker struct {
	*process // that runs

	t             testing.TB
	dir           string // nats and keys, beside each other
	store         string
	addr, monitor string
}

// newLockedBroker makes keys and copies the configuration. Observers are two users that
// the tests look at the streams with, and no installation has.
func newLockedBroker(t testing.TB, store string, observers bool) *lockedBroker {
	t.Helper()
	b := &lockedBroker{t: t, dir: t.TempDir(), store: store, addr: freeAddr(t), monitor: freeAddr(t)}
	b.makeKeys("default acme piped")
	for _, name := range []string{"nats.conf", "accounts.conf"} {
		text, err := os.ReadFile(filepath.Join("..", "deploy", "nats", name))
		if err != nil {
			t.Fatal(err)
		}
		conf := string(text)
		if observers {
			conf = strings.NewReplacer(
				"{ nkey: $NKEY_redactor,", "{ user: observer-RAW, password: observer }\n      { nkey: $NKEY_redactor,",
				"{ nkey: $NKEY_sink,", "{ user: observer-SLUICE, password: observer }\n      { nkey: $NKEY_sink,",
			).Replace(conf)
		}
		if err := os.WriteFile(filepath.Join(b.dir, "nats", name), []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.start()
	return b
}

// makeKeys is `make keys`.
func (b *lockedBroker) makeKeys(tenants string) {
	b.t.Helper()
	p := start(b.t, nil, []string{"KEYS_DIR=" + filepath.Join(b.dir, "keys"), "TENANTS=" + tenants}, "keys")
	if code := p.wait(b.t); code != 0 {
		b.t.Fatalf("make keys: exit %d: %s", code, p.stderr.String())
	}
	if err := os.MkdirAll(filepath.Join(b.dir, "nats"), 0o700); err != nil {
		b.t.Fatal(err)
	}
}

func (b *lockedBroker) start() {
	b.t.Helper()
	b.process = newProcess()
	b.startInto(b.process)
	until(b.t, "the broker is ready", func() error {
		nc, err := b.connect("door")
		if err == nil {
			nc.Close()
		}
		return err
	})
}

func (b *lockedBroker) startInto(p *process) {
	b.t.Helper()
	port := func(addr string) string { _, port, _ := net.SplitHostPort(addr); return port }
	p.launch(b.t, nil, []string{"NATS_STORE_DIR=" + b.store}, filepath.Join(b.dir, "nats"), "nats-server",
		"-c", "nats.conf", "-a", "127.0.0.1", "-p", port(b.addr), "-m", port(b.monitor))
}

// key is the path of one of the keys.
func (b *lockedBroker) key(name string) string { return filepath.Join(b.dir, "keys", name) }

// as is the environment of a process that is that user.
func (b *lockedBroker) as(user string) []string {
	return []string{"NATS_URL=nats://" + b.addr, "NATS_CA=" + b.key("ca.pem"), "NATS_NKEY_FILE=" + b.key(user+".nk")}
}

// connect is a plain client that is that user.
func (b *lockedBroker) connect(user string, opts ...nats.Option) (*nats.Conn, error) {
	auth := nats.UserInfo(user, "observer")
	if !strings.HasPrefix(user, "observer-") {
		var err error
		if auth, err = nats.NkeyOptionFromSeed(b.key(user + ".nk")); err != nil {
			return nil, err
		}
	}
	opts = append([]nats.Option{auth, nats.RootCAs(b.key("ca.pem")), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}, opts...)
	return nats.Connect("nats://"+b.addr, opts...)
}

// observer looks at every stream, in whichever account it is.
func (b *lockedBroker) observer() *observer {
	b.t.Helper()
	o := &observer{}
	for account, js := range map[string]*jetstream.JetStream{"RAW": &o.raw, "SLUICE": &o.JetStream} {
		nc, err := b.connect("observer-"+account, nats.MaxReconnects(-1), nats.ReconnectWait(50e6))
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(nc.Close)
		if *js, err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(2000)); err != nil {
			b.t.Fatal(err)
		}
	}
	return o
}

type observer struct {
	jetstream.JetStream
	raw jetstream.JetStream
}

func (o *observer) of(stream string) jetstream.JetStream {
	if stream == schemas.StreamRaw || stream == schemas.StreamQuarantine {
		return o.raw
	}
	return o.JetStream
}

func (o *observer) Stream(ctx context.Context, stream string) (jetstream.Stream, error) {
	return o.of(stream).Stream(ctx, stream)
}

func (o *observer) UpdateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	return o.of(cfg.Name).UpdateStream(ctx, cfg)
}

func (o *observer) Consumer(ctx context.Context, stream, consumer string) (jetstream.Consumer, error) {
	return o.of(stream).Consumer(ctx, stream, consumer)
}

func (o *observer) OrderedConsumer(ctx context.Context, stream string, cfg jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	return o.of(stream).OrderedConsumer(ctx, stream, cfg)
}

func (o *observer) CreateOrUpdateConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	return o.of(stream).CreateOrUpdateConsumer(ctx, stream, cfg)
}

func (o *observer) Publish(ctx context.Context, subject string, data []byte, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if strings.HasPrefix(subject, schemas.RawPrefix) {
		return o.raw.Publish(ctx, subject, data, opts...)
	}
	return o.JetStream.Publish(ctx, subject, data, opts...)
}

// lockedStack is what standalone is in one process.
type lockedStack struct {
	broker   *lockedBroker
	services []*process // each writes what it prints to the system's
	store    *process
	stdin    *os.File // the store ends with it
	http     []string
}

// startAsLocked makes it a locked one.
func (s *system) startAsLocked(env []string) *system {
	s.locked, s.env = true, append([]string{"LOG_LEVEL=debug"}, env...)
	s.start()
	return s
}

// startLocked starts the system's parts.
func (s *system) startLocked() {
	s.t.Helper()
	if s.lock == nil {
		s.lock = &lockedStack{broker: newLockedBroker(s.t, filepath.Join(s.dir, "nats"), true)}
		s.nats = s.lock.broker.addr
	} else {
		s.lock.broker.start()
	}
	l := s.lock
	s.process = newProcess()
	part := func() *process { return &process{done: make(chan struct{}), out: s.process} }
	// A pipe of the system's: the end of a process that was killed is noticed without it.
	stdin, stdinW, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	l.store, l.stdin = part(), stdinW
	l.store.launch(s.t, stdin, nil, "", "clickhouse-embedded", "-addr", s.clickhouse, "-path", filepath.Join(s.dir, "clickhouse"))
	_ = stdin.Close()
	s.t.Cleanup(func() { _ = stdinW.Close() })
	l.services, l.http = nil, nil
	for _, name := range lockedServices {
		http := freeAddr(s.t)
		if name == "sink" {
			http = s.http
		}
		p := part()
		s.launchService(p, name, http)
		l.services, l.http = append(l.services, p), append(l.http, http)
	}
	parts, whole := l.parts(), s.process
	go func() {
		for _, p := range parts {
			<-p.done
		}
		close(whole.done)
	}()
	s.process.parts = parts
	s.untilServices()
}

// lockedServices: the first two have to wait for the third.
var lockedServices = []string{"sink", "notifier", "redactor"}

func (s *system) launchService(p *process, name, http string) {
	s.t.Helper()
	p.launch(s.t, nil, append(append(slices.Clone(s.env), s.lock.broker.as(name)...), "CLICKHOUSE_URL=http://"+s.clickhouse, "HTTP_ADDR="+http), "", name)
}

// killService ends one of the services by SIGKILL and starts it again.
func (s *system) killService(name string) {
	s.t.Helper()
	i := slices.Index(lockedServices, name)
	killed := s.lock.services[i]
	killed.signal(s.t, syscall.SIGKILL)
	<-killed.done
	s.lock.services[i] = &process{done: make(chan struct{}), out: s.process}
	s.launchService(s.lock.services[i], name, s.lock.http[i])
}

func (s *system) untilServices() {
	s.t.Helper()
	l := s.lock
	s.until("all services are ready", func() error {
		for i, addr := range l.http {
			select {
			case <-l.services[i].done:
				s.t.Fatalf("a service ended: %v\n%s", l.services[i].err, tail(s.stderr.String()))
			default:
			}
			if err := s.get("http://" + addr + "/readyz"); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *lockedStack) parts() []*process {
	return append(append([]*process{}, l.services...), l.store, l.broker.process)
}

// stopLocked stops the parts in the order in which standalone does.
func (s *system) stopLocked() {
	s.t.Helper()
	for _, p := range s.lock.services {
		p.signal(s.t, syscall.SIGTERM)
	}
	for _, p := range s.lock.services {
		if code := p.wait(s.t); code != 0 {
			s.t.Errorf("a service ended with %d after SIGTERM\n%s", code, tail(s.stderr.String()))
		}
	}
	for _, p := range []*process{s.lock.store, s.lock.broker.process} {
		p.signal(s.t, syscall.SIGTERM)
		_ = s.lock.stdin.Close()
		p.wait(s.t)
	}
	<-s.done
}

// as is the environment of a command that is that user of the broker.
func (s *system) as(user string) []string {
	if s.lock == nil {
		return []string{"NATS_URL=nats://" + s.nats}
	}
	return s.lock.broker.as(user)
}

// userOf is who a command has to be.
func userOf(name string, args []string) string {
	tenant, serve := "default", false
	for i, arg := range args {
		if arg == "-tenant" && i+1 < len(args) {
			tenant = args[i+1]
		}
		serve = serve || arg == "serve"
	}
	switch {
	case name == "producer" && serve:
		return "door"
	case name == "producer":
		return "producer-" + tenant
	}
	return name
}
