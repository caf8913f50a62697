package outbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/notifier/receiver"
)

// A secret that was missed before the alert, and the address of the webhook,
// reach neither the wire nor the log nor the outbox.
func TestNothingLeaks(t *testing.T) {
	w, p := newWorld(t), newPeer(t)
	var log bytes.Buffer
	var lock sync.Mutex
	logger := slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		lock.Lock()
		defer lock.Unlock()
		return log.Write(b)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	out := w.run(wallClock{}, logger, map[string]string{"a": hook(p.URL + "/T0KEN")})
	p.answers(func(id string, _ http.ResponseWriter) int {
		n, _ := strconv.Atoi(id[len(id)-1:])
		return []int{200, 403, 500, 410}[n%4]
	})
	for i := range 4 {
		id := fmt.Sprintf("leak-%d", i)
		a := receiver.Sample(id, time.Now())
		a.Data.Message = "connect postgres://app:hunter2@db/app failed, password=hunter2"
		a.Data.Title = a.Data.Message
		data, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		w.publish(id, data, "a")
	}
	eventually(t, "it retries", func() bool { return p.tried() >= 4 })
	out.drained(t)
	lock.Lock()
	defer lock.Unlock()
	for _, secret := range []string{"hunter2", "T0KEN", "postgres"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %s:\n%s", secret, log.String())
		}
	}
	if log.Len() == 0 {
		t.Error("nothing was logged")
	}
	store, err := Open(t.Context(), w.conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Each(t.Context(), "*", func(_ Entry, m jetstream.Msg) error {
		if bytes.Contains(m.Data(), []byte("hunter2")) || strings.Contains(fmt.Sprint(m.Headers()), "T0KEN") {
			t.Error("the outbox has a secret")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

type writer func([]byte) (int, error)

// Write implements io.Writer.
func (w writer) Write(b []byte) (int, error) { return w(b) }
