package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/producer"
	"sluice/producer/spool"
	"sluice/schemas"
)

// outage is how long the broker is away: E2E_OUTAGE, such as 1m, or a few seconds.
func outage(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("E2E_OUTAGE")
	if text == "" {
		return 3 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("E2E_OUTAGE: %v", err)
	}
	return d
}

// The broker is stopped while `producer publish` and a service with a spool go on:
// every event is one row afterwards, and the service was never kept waiting for
// the broker.
func TestBrokerAwayWhilePublishing(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	away := outage(t)

	in, lines := io.Pipe()
	command := start(t, in, s.as("producer-piped"), "producer", "publish", "-tenant", "piped")
	nc, _ := s.connect()
	p, err := producer.New(nc, producer.Config{Tenant: "spooled"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	kept, err := spool.Open(p, spool.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var piped, spooled atomic.Int64
	var publishing sync.WaitGroup
	tick := func(publish func(n int64) error, count *atomic.Int64) {
		ticker := time.NewTicker(2 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := publish(count.Load()); err != nil {
				t.Error(err)
				return
			}
			count.Add(1)
		}
	}
	publishing.Go(func() {
		defer lines.Close()
		tick(func(n int64) error {
			_, err := fmt.Fprintf(lines, `{"action":"login","context":{"n":%d}}`+"\n", n)
			return err
		}, &piped)
	})
	publishing.Go(func() {
		tick(func(n int64) error {
			_, err := kept.Publish(t.Context(), schemas.Event{Action: "login", Context: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))})
			return err
		}, &spooled)
	})
	some := func(what string, count *atomic.Int64, more int64) {
		want := count.Load() + more
		s.until(what, func() error {
			if got := count.Load(); got < want {
				return fmt.Errorf("%d of %d", got, want)
			}
			return nil
		})
	}
	some("the command has published", &piped, 200)
	some("the service has published", &spooled, 200)
	s.stop()
	before := spooled.Load()
	<-time.After(away)
	during := spooled.Load() - before
	s.start()
	some("the service has published again", &spooled, 200)
	some("the command has published again", &piped, 200)
	cancel()
	publishing.Wait()

	if code := command.wait(t); code != 0 {
		t.Errorf("publish: exit %d\n%s%s", code, command.stdout.String(), command.stderr.String())
	}
	if !strings.HasSuffix(command.stdout.String(), "refused 0\n") {
		t.Errorf("publish printed %q", command.stdout.String())
	}
	draining, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if err := kept.Drain(draining); err != nil {
		t.Error(err)
	}
	for tenant, want := range map[string]int64{"piped": piped.Load(), "spooled": spooled.Load()} {
		s.untilAnswer("SELECT count(), uniqExact(pk), uniqExact(toUInt64(ctx.n)) FROM sluice.events WHERE tenant = '"+tenant+"'",
			fmt.Sprintf("%d\t%d\t%d", want, want, want))
	}
	if during == 0 {
		t.Error("the service published nothing while the broker was away")
	}
	t.Logf("the broker was away for %s; %s events by publish and %d with a spool, %d of them meanwhile: each is one row",
		away, strconv.FormatInt(piped.Load(), 10), spooled.Load(), during)
}
