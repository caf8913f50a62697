package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/schemas"
)

// flow is the whole pipeline on a cluster, each service a process of its own, with
// events that come at a steady rate until they are told to end.
type flow struct {
	*stage
	cluster  *cluster
	services map[string]*process

	made    atomic.Int64 // events, and of them exceptions
	raised  atomic.Int64
	halt    chan struct{}
	done    chan struct{}
	without []stretch // without a new row
}

// stretch is a time in which nothing came.
type stretch struct{ from, to time.Time }

func (s stretch) long() time.Duration { return s.to.Sub(s.from) }

func (s stretch) String() string {
	return fmt.Sprintf("%s (%s)", s.long().Round(time.Millisecond), s.to.Local().Format("15:04:05"))
}

// longest is the longest of the stretches.
func longest(all []stretch) (most stretch) {
	for _, s := range all {
		if s.long() > most.long() {
			most = s
		}
	}
	return most
}

// exceptionEvery is which event is an exception, three of them in each app: one
// alert at once, and one that counts the other two.
const (
	exceptionEvery = 100
	eachApp        = 3
)

func startFlow(t *testing.T, c *cluster) *flow {
	t.Helper()
	f := &flow{
		stage: &stage{t: t, js: c.js, dir: t.TempDir(), addr: freeAddr(t)}, cluster: c,
		services: map[string]*process{}, halt: make(chan struct{}), done: make(chan struct{}),
	}
	f.startClickHouse()
	for _, name := range []string{"redactor", "sink", "notifier"} {
		f.startService(name, name)
	}
	c.untilReplicated()
	return f
}

// startService starts an instance under a name of its own.
func (f *flow) startService(instance, name string, env ...string) {
	f.t.Helper()
	var args []string
	if name == "producer" {
		args = []string{"serve"}
	}
	f.services[instance] = start(f.t, nil, append([]string{
		"NATS_URL=" + f.cluster.url(), "CLICKHOUSE_URL=http://" + f.addr, "HTTP_ADDR=",
		"NOTIFIER_GROUP_INTERVAL=2s", "NOTIFIER_STORM_LIMIT=0", "SINK_BATCH_AGE=100ms",
	}, env...), name, args...)
}

// event makes the next event.
func (f *flow) event() []byte {
	n := f.made.Add(1)
	pk, now := uuid.NewString(), time.Now().UTC().Format(time.RFC3339Nano)
	if n%exceptionEvery == 0 {
		app := word(f.raised.Add(1) / eachApp)
		return fmt.Appendf(nil, `{"pk":%q,"action":"system_exception","app":%q,"context":{"message":"KeyError: no such key"},"created":%q}`+"\n", pk, app, now)
	}
	return fmt.Appendf(nil, `{"pk":%q,"action":"login","app":"e2e","user":{"username":"u%d"},"context":{"n":%d,"password":"s3cr-e2e-%d"},"created":%q}`+"\n",
		pk, n%100, n, n, now)
}

// word is a number in letters, since numbers do not tell two troubles apart.
func word(n int64) string {
	out := []byte("app-")
	for ; n > 0 || len(out) == 4; n /= 20 {
		out = append(out, "bcdfghjklmnpqrstvwxz"[n%20])
	}
	return string(out)
}

// atOnce is how many events are sent at a time when a stop has left many due.
const atOnce = 1000

// pace calls send ten times a second with what is due by then, until halt.
func (f *flow) pace(rate int, send func(events []byte)) {
	begin, sent := time.Now(), 0
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-f.halt:
			return
		case <-tick.C:
		}
		var events []byte
		due := int(time.Since(begin).Seconds() * float64(rate))
		for n := 0; sent < due && n < atOnce; n, sent = n+1, sent+1 {
			events = append(events, f.event()...)
		}
		send(events)
	}
}

// publish feeds `producer publish` and returns it.
func (f *flow) publish(rate int) *process {
	f.t.Helper()
	stdin, feed := io.Pipe()
	p := start(f.t, stdin, []string{"NATS_URL=" + f.cluster.url()}, "producer", "publish")
	go func() {
		defer close(f.done)
		f.pace(rate, func(events []byte) { _, _ = feed.Write(events) })
		_ = feed.Close()
	}()
	return p
}

// watch notes the times without a new row while events come. The clock starts with
// the first row.
func (f *flow) watch() (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		before, since := 0, time.Now()
		for ctx.Err() == nil {
			if rows, err := f.ask("SELECT count() FROM sluice.events"); err == nil {
				if n, _ := strconv.Atoi(rows); n > before {
					now := time.Now()
					if before > 0 {
						f.without = append(f.without, stretch{since, now})
					}
					before, since = n, now
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
		f.without = append(f.without, stretch{since, time.Now()}) // the last one has no row behind it
	})
	return func() { cancel(); running.Wait() }
}

func (f *flow) rows() int {
	f.t.Helper()
	rows, err := f.ask("SELECT count() FROM sluice.events")
	n, _ := strconv.Atoi(rows)
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// allThere waits until every event is a row, and holds that each is there once, in
// the stream too, and that every exception was counted once.
func (f *flow) allThere() {
	f.t.Helper()
	made := strconv.FormatInt(f.made.Load(), 10)
	until(f.t, "every event is a row", func() error {
		got, err := f.ask("SELECT uniqExact(pk) FROM sluice.events")
		if err == nil && got != made {
			err = fmt.Errorf("%s of %s", got, made)
		}
		return err
	})
	until(f.t, "nothing is left to redact", func() error { return f.empty(schemas.StreamRaw) })
	if got, err := f.ask("SELECT count() FROM sluice.events"); got != made {
		f.t.Errorf("got %s rows for %s events (%v)", got, made, err)
	}
	if got := streamState(f.t, f.js, schemas.StreamClean).Msgs; strconv.FormatUint(got, 10) != made {
		f.t.Errorf("got %d clean events for %s", got, made)
	}
	if err := f.empty(schemas.StreamQuarantine); err != nil {
		f.t.Errorf("EVENTS_QUARANTINE: %v", err)
	}
	until(f.t, "every exception is counted once", f.alertsCounted)
}

func (f *flow) empty(stream string) error {
	ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second)
	defer cancel()
	s, err := f.js.Stream(ctx, stream)
	if err == nil && s.CachedInfo().State.Msgs > 0 {
		err = fmt.Errorf("%d are left", s.CachedInfo().State.Msgs)
	}
	return err
}

// alertsCounted adds up what the last alert of each trouble counts.
func (f *flow) alertsCounted() error {
	counts, fired := map[string]uint64{}, map[string]string{}
	for _, msg := range readAll(f.t, f.js, schemas.StreamAlerts) {
		var alert schemas.Alert
		if err := json.Unmarshal(msg.Data(), &alert); err != nil {
			return err
		}
		app := alert.Data.App
		counts[app] = max(counts[app], alert.Data.Count)
		if first := fired[app]; alert.Type == schemas.AlertFiring && first != "" && first != alert.ID {
			f.t.Fatalf("%s fired as %s and %s", app, first, alert.ID)
		} else if alert.Type == schemas.AlertFiring {
			fired[app] = alert.ID
		}
	}
	total := uint64(0)
	for app, n := range counts {
		if n > eachApp {
			f.t.Fatalf("%s counts %d exceptions, want at most %d", app, n, eachApp)
		}
		total += n
	}
	if want := uint64(f.raised.Load()); total != want {
		return fmt.Errorf("%d of %d", total, want)
	}
	return nil
}

// withoutAlert are the times between two alerts in the stream, up to the end of the
// load.
func (f *flow) withoutAlert(end time.Time) (all []stretch) {
	f.t.Helper()
	var before time.Time
	for _, msg := range readAll(f.t, f.js, schemas.StreamAlerts) {
		meta, err := msg.Metadata()
		if err != nil {
			f.t.Fatal(err)
		}
		if meta.Timestamp.After(end) {
			break
		}
		if !before.IsZero() {
			all = append(all, stretch{before, meta.Timestamp})
		}
		before = meta.Timestamp
	}
	if before.IsZero() {
		f.t.Fatal("there are no alerts")
	}
	return append(all, stretch{before, end}) // the last one has no alert behind it
}

// ended ends the events, and holds that the publisher had each of them acknowledged.
func (f *flow) ended(p *process) {
	f.t.Helper()
	close(f.halt)
	<-f.done
	code := p.wait(f.t)
	var published, duplicate, refused int64
	line := p.stdout.String()
	_, err := fmt.Sscanf(line[strings.LastIndex(strings.TrimSpace(line), "\n")+1:], "published %d, duplicate %d, refused %d", &published, &duplicate, &refused)
	if code != 0 || err != nil || published+duplicate != f.made.Load() || refused != 0 {
		f.t.Errorf("publish: exit %d, %q for %d events\n%s", code, line, f.made.Load(), tail(p.stderr.String()))
	}
}
