package e2e_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// stage is a broker in this process, a ClickHouse and some sinks in theirs.
type stage struct {
	t          *testing.T
	broker     *server.Server // none where it is locked down
	lock       *lockedBroker  // then this
	env        []string       // of a sink, for the broker
	js         jetstream.JetStream
	dir, addr  string // ClickHouse's
	clickHouse *process
	stdin      *io.PipeWriter
	published  int
}

func startStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, dir: t.TempDir(), addr: freeAddr(t)}
	if locked() {
		b, o := emptyBroker(t)
		s.lock, s.js, s.env = b, o, b.as("sink")
		s.startClickHouse()
		return s
	}
	var err error
	s.broker, err = server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(),
		MaxPayload: schemas.MaxPayloadBytes, NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.broker.Start()
	t.Cleanup(func() { s.broker.Shutdown(); s.broker.WaitForShutdown() })
	if !s.broker.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker did not get ready")
	}
	nc, err := nats.Connect(s.broker.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if s.js, err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(2000)); err != nil {
		t.Fatal(err)
	}
	s.env = []string{"NATS_URL=" + s.broker.ClientURL()}
	s.startClickHouse()
	return s
}

func (s *stage) startClickHouse() {
	s.t.Helper()
	stdin, stdinW := io.Pipe() // it ends with its standard input
	s.clickHouse = start(s.t, stdin, nil, "clickhouse-embedded", "-addr", s.addr, "-path", s.dir)
	s.stdin = stdinW
	s.t.Cleanup(func() { _ = stdinW.Close() }) // before it is waited for
	until(s.t, "ClickHouse is ready", func() error {
		_, err := s.ask("SELECT 1")
		return err
	})
}

// killClickHouse ends it by SIGKILL and starts it again on what it left.
func (s *stage) killClickHouse() {
	s.t.Helper()
	s.clickHouse.signal(s.t, syscall.SIGKILL)
	_ = s.stdin.Close() // else the end of the process is not noticed
	<-s.clickHouse.done
	s.startClickHouse()
}

func (s *stage) kill(p *process) {
	s.t.Helper()
	p.signal(s.t, syscall.SIGKILL)
	<-p.done
}

func (s *stage) startSink(env ...string) *process {
	s.t.Helper()
	return start(s.t, nil, slices.Concat(s.env, []string{
		"CLICKHOUSE_URL=http://" + s.addr, "HTTP_ADDR=", "SINK_BATCH_ROWS=500", "SINK_BATCH_AGE=20ms",
	}, env), "sink")
}

func (s *stage) ask(statement string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/", strings.NewReader(statement))
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", resp.StatusCode, body)
	}
	return strings.TrimSpace(string(body)), err
}

// publish stores n more events in EVENTS_CLEAN. One in a hundred is an event that
// came before, under another id, as from a producer that repeats itself when the
// broker has forgotten; those do not count.
func (s *stage) publish(n int) {
	s.t.Helper()
	var again []byte
	for i := range n {
		pk := uuid.NewString()
		data := fmt.Appendf(nil, `{"pk":%q,"action":"login","app":"e2e","user":{"username":"u%d"},"context":{"n":%d},"created":%q}`,
			pk, i%100, i, time.Now().UTC().Format(time.RFC3339Nano))
		s.send(pk, data)
		if i%100 == 0 {
			if again != nil {
				s.send(uuid.NewString(), again)
			}
			again = data
		}
	}
	select {
	case <-s.js.PublishAsyncComplete():
	case <-time.After(time.Minute):
		s.t.Fatal("the broker does not take the events")
	}
	s.published += n
}

func (s *stage) send(id string, data []byte) {
	s.t.Helper()
	msg := nats.NewMsg(schemas.CleanSubject("acme", "login"))
	msg.Header.Set(nats.MsgIdHdr, id)
	msg.Data = data
	if _, err := s.js.PublishMsgAsync(msg, jetstream.WithStallWait(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
}

// allStoredOnce waits until every event is a row, and checks that it is one row.
func (s *stage) allStoredOnce() {
	s.t.Helper()
	until(s.t, "the sink has acknowledged everything", func() error {
		lag, err := s.lag()
		if err == nil && lag > 0 {
			err = fmt.Errorf("%d events behind", lag)
		}
		return err
	})
	want := fmt.Sprintf("%d\t%d", s.published, s.published)
	if got, err := s.ask("SELECT count(), uniqExact(pk) FROM sluice.events"); got != want || err != nil {
		s.t.Errorf("rows and different events: %q, want %q (%v)", got, want, err)
	}
}

// TestSinksKilled kills the sink 10 times while 20,000 events pass through, and
// ClickHouse twice besides; alone, and with two sinks of which one waits.
// SLUICE_KILLS=100 makes it 100 times and 200,000 events, with a -timeout of 20m.
func TestSinksKilled(t *testing.T) {
	const each, engineEvery = 2000, 5
	kills := 10
	if n, err := strconv.Atoi(os.Getenv("SLUICE_KILLS")); err == nil {
		kills = n
	}
	for _, sinks := range []int{1, 2} {
		t.Run(fmt.Sprintf("sinks=%d", sinks), func(t *testing.T) {
			s := startStage(t)
			running := make([]*process, sinks)
			running[0] = s.startSink() // it makes the streams
			until(t, "the stream is there", func() error {
				_, err := s.js.Stream(t.Context(), schemas.StreamClean)
				return err
			})
			for i := 1; i < sinks; i++ {
				running[i] = s.startSink()
			}
			moments := rand.New(rand.NewPCG(1, uint64(sinks)))
			for kill := range kills {
				published := make(chan struct{})
				go func() { defer close(published); s.publish(each) }()
				// The moment to die is by rows, from none to all of these and some
				// in between, and by time within that.
				rows := kill*each + moments.IntN(each/2)
				until(t, "some rows", func() error { return s.rowsAtLeast(rows - each) })
				time.Sleep(time.Duration(moments.IntN(150)) * time.Millisecond) // a moment that nobody chose
				victim := moments.IntN(sinks)
				if kill%engineEvery == engineEvery/2 {
					s.killClickHouse()
				}
				s.kill(running[victim])
				running[victim] = s.startSink()
				<-published
			}
			s.allStoredOnce()
			for _, p := range running {
				p.signal(t, syscall.SIGTERM)
				if code := p.wait(t); code != 0 {
					t.Errorf("a sink ended with %d", code)
				}
			}
		})
	}
}
