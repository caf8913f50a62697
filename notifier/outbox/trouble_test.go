package outbox

import (
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"sluice/schemas"
)

// The broker restarts while alerts are delivered, and again while one is being sent:
// every alert comes, in order, and a restart repeats one at most.
func TestBrokerRestarts(t *testing.T) {
	dir := t.TempDir()
	s := serveWith(t, brokerOptions(dir, server.RANDOM_PORT))
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	port := s.Addr().(*net.TCPAddr).Port
	w := &world{t: t, url: s.ClientURL()}
	w.conn = w.connect()
	if err := w.conn.EnsureStreams(t.Context(), schemas.AlertsStream()); err != nil {
		t.Fatal(err)
	}
	p := newPeer(t)
	out := w.run(wallClock{}, silent, map[string]string{"a": hook(p.URL)})
	var want []string
	const restarts = 3
	for range restarts {
		// Sending the second one takes until the broker is back.
		arrived, goOn := make(chan struct{}), make(chan struct{})
		n := 0
		p.answers(func(string, http.ResponseWriter) int {
			if n++; n == 2 {
				close(arrived)
				<-goOn
			}
			return http.StatusOK
		})
		for range 10 {
			want = append(want, w.alert("a"))
		}
		<-arrived
		s.Shutdown()
		s.WaitForShutdown()
		s = serveWith(t, brokerOptions(dir, port))
		close(goOn)
		eventually(t, "all are taken", func() bool { return len(p.missing(want)) == 0 })
		eventually(t, "nothing waits", func() bool { return w.waiting("a") == 0 })
	}
	got := p.has()
	if !slices.Equal(slices.Compact(got), want) {
		t.Errorf("lost or out of order: %v", got)
	}
	if n := p.repeats(); n > restarts {
		t.Errorf("%d repeated in %d restarts", n, restarts)
	}
	out.drained(t)
}

// A receiver that never ends its answer costs its time-out, and delays no other one.
func TestTricklingReceiver(t *testing.T) {
	w, other := newWorld(t), newPeer(t)
	stop := make(chan struct{})
	slow := newPeer(t)
	slow.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.WriteHeader(http.StatusOK)
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-stop:
				return
			case <-r.Context().Done():
				return
			case <-tick.C:
				_, _ = rw.Write([]byte{' '})
				rw.(http.Flusher).Flush()
			}
		}
	})
	out := w.run(wallClock{}, silent, map[string]string{
		"slow": "{type: webhook, url: '" + slow.URL + "', allow: [127.0.0.0/8], timeout: 1s}", "other": hook(other.URL),
	})
	var want []string
	for range 20 {
		want = append(want, w.alert("slow", "other"))
	}
	wantTaken(t, other, want)
	close(stop)
	out.drained(t)
}
