package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// binary is the path of one of the built commands: in SLUICE_BIN, or in bin/.
func binary(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("SLUICE_BIN")
	if dir == "" {
		dir = filepath.Join("..", "bin")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make engine build` first", err)
	}
	return path
}

// output collects what a process prints, while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// process is a command that was started and will be stopped by its process id.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	done           chan struct{}
	err            error // once done is closed

	wrap  []string   // the command that starts it, such as one that enters a network
	out   *process   // where what it prints goes too, instead of its own
	parts []*process // of a system of several
}

func newProcess() *process { return &process{done: make(chan struct{})} }

func start(t testing.TB, stdin io.Reader, env []string, name string, args ...string) *process {
	t.Helper()
	p := newProcess()
	p.launch(t, stdin, env, "", name, args...)
	return p
}

// startWrapped starts a command by another, such as one that enters a network.
func startWrapped(t testing.TB, wrap, env []string, name string, args ...string) *process {
	t.Helper()
	p := newProcess()
	p.wrap = wrap
	p.launch(t, nil, env, "", name, args...)
	return p
}

func (p *process) launch(t testing.TB, stdin io.Reader, env []string, dir, name string, args ...string) {
	t.Helper()
	out := p
	if p.out != nil {
		out = p.out
	}
	command := append(append(slices.Clone(p.wrap), binary(t, name)), args...)
	p.cmd = exec.CommandContext(context.Background(), command[0], command[1:]...)
	p.cmd.Env, p.cmd.Dir = append(cleanEnv(), env...), dir
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, &out.stdout, &out.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s %s printed\n%s\nand as errors\n%s", name, strings.Join(args, " "), tail(out.stdout.String()), tail(out.stderr.String()))
		}
	})
}

func tail(s string) string {
	const most = 6000
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}

// cleanEnv is the environment without settings of whoever runs the tests.
func cleanEnv() []string {
	var env []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		keep := true
		for _, prefix := range []string{"NATS_", "CLICKHOUSE_", "STANDALONE_", "REDACTOR_", "SINK_", "NOTIFIER_", "PRODUCER_", "RETENTION", "LOG_", "HTTP_ADDR"} {
			keep = keep && !strings.HasPrefix(name, prefix)
		}
		if keep {
			env = append(env, entry)
		}
	}
	return env
}

// wait waits for the end of the process and returns its exit code.
func (p *process) wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(2 * time.Minute):
		t.Fatal("the process does not end")
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.err); ok {
		return exit.ExitCode()
	}
	if p.err != nil {
		t.Fatalf("wait: %v", p.err)
	}
	return 0
}

func (p *process) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if p.parts != nil {
		for _, part := range p.parts {
			if sig != syscall.SIGHUP || !strings.HasSuffix(part.cmd.Path, "clickhouse-embedded") { // which has nothing to read again
				part.signal(t, sig)
			}
		}
		return
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("signal %s: %v", sig, err)
	}
}

// system is a standalone on free ports with a folder of its own, which can be
// stopped and started again.
type system struct {
	*process
	t                      testing.TB
	dir                    string
	nats, clickhouse, http string
	env                    []string
	log                    []string // of those that ran before
	locked                 bool
	lock                   *lockedStack // once it has been started
}

func startSystem(t testing.TB, env ...string) *system {
	t.Helper()
	s := &system{t: t, dir: t.TempDir(), nats: freeAddr(t), clickhouse: freeAddr(t), http: freeAddr(t)}
	if locked() {
		return s.startAsLocked(env)
	}
	s.env = append([]string{
		"STANDALONE_DIR=" + s.dir, "STANDALONE_NATS_ADDR=" + s.nats,
		"STANDALONE_CLICKHOUSE_ADDR=" + s.clickhouse, "STANDALONE_HTTP_ADDR=" + s.http,
		"LOG_LEVEL=debug",
	}, env...)
	s.start()
	return s
}

func (s *system) start(args ...string) {
	s.t.Helper()
	if s.process != nil {
		s.log = append(s.log, s.stdout.String(), s.stderr.String())
	}
	if s.locked {
		s.startLocked()
		return
	}
	s.process = start(s.t, nil, s.env, "standalone", args...)
	s.until("standalone is ready", func() error {
		select {
		case <-s.done:
			s.t.Fatalf("standalone ended: %v\n%s", s.err, tail(s.stderr.String()))
		default:
		}
		return s.get("http://" + s.http + "/readyz")
	})
}

// stop stops it by SIGTERM, as an operator does.
func (s *system) stop() {
	s.t.Helper()
	if s.lock != nil {
		s.stopLocked()
		return
	}
	s.signal(s.t, syscall.SIGTERM)
	if code := s.wait(s.t); code != 0 {
		s.t.Errorf("standalone ended with %d after SIGTERM\n%s", code, tail(s.stderr.String()))
	}
}

// printed is all that it has printed, over restarts.
func (s *system) printed() string {
	return strings.Join(append(s.log, s.stdout.String(), s.stderr.String()), "\n")
}

func (s *system) get(url string) error {
	_, err := s.body(url)
	return err
}

// body gets a page.
func (s *system) body(url string) (string, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

// until polls a condition; it is how these tests wait for another process.
func (s *system) until(what string, ok func() error) {
	s.t.Helper()
	until(s.t, what, ok)
}

func until(t testing.TB, what string, ok func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	t.Fatalf("waited in vain until %s: %v", what, err)
}

// run runs a command against the system to its end.
func (s *system) run(stdin io.Reader, name string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	p := start(s.t, stdin, append(s.as(userOf(name, args)), "CLICKHOUSE_URL=http://"+s.clickhouse), name, args...)
	code = p.wait(s.t)
	return p.stdout.String(), p.stderr.String(), code
}

// connect is a plain NATS client, as any service has.
func (s *system) connect() (*nats.Conn, jetstream.JetStream) {
	s.t.Helper()
	if s.lock != nil {
		nc, err := s.lock.broker.connect("door", nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(nc.Close)
		return nc, s.lock.broker.observer()
	}
	nc, err := nats.Connect("nats://"+s.nats, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	return nc, js
}

func freeAddr(t testing.TB) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
