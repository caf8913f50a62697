package notifier

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/schemas"
)

// watched is an alert as the stream holds it.
func watched(t *testing.T, id, tenant, title string, count uint64) *nats.Msg {
	t.Helper()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	data, err := json.Marshal(schemas.Alert{
		SpecVersion: "1.0", ID: id, Type: schemas.AlertUpdate, Time: at,
		Data: schemas.AlertData{Severity: schemas.SeverityAlert, Tenant: tenant, Action: "system_exception", Title: title, Count: count, FirstSeen: at},
	})
	if err != nil {
		t.Fatal(err)
	}
	msg := nats.NewMsg(schemas.AlertSubject(tenant, schemas.SeverityAlert, "system_exception"))
	msg.Header.Set(nats.MsgIdHdr, id)
	msg.Data = data
	return msg
}

// TestWatch prints what is there and what comes, of the tenant that was asked for.
func TestWatch(t *testing.T) {
	w := newWorld(t)
	w.conn.Publish(t.Context(), []*nats.Msg{watched(t, "1", "acme", "it broke", 1), watched(t, "2", "other", "not theirs", 1)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- Watch(ctx, broker.NATS{URL: w.url, ConnectWait: 5 * time.Second}, WatchOptions{Tenant: "acme", Since: time.Hour}, in, slog.New(slog.DiscardHandler))
		_ = in.Close()
	}()
	lines := bufio.NewScanner(out)
	for i, want := range []string{
		"2026-03-01T12:00:00Z update alert acme/system_exception it broke",
		"2026-03-01T12:00:00Z update alert acme/system_exception [31mred (7 times since 2026-03-01T12:00:00Z)",
	} {
		if i == 1 {
			w.conn.Publish(t.Context(), []*nats.Msg{watched(t, "3", "acme", "\x1b[31mred", 7)})
		}
		if !lines.Scan() {
			t.Fatalf("line %d does not come", i)
		}
		if got := strings.Join(strings.Fields(lines.Text()), " "); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("ended with %v", err)
	}
}
