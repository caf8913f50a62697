package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/bench/latency"
	"sluice/bench/openloop"
	"sluice/bench/peer"
	"sluice/bench/proc"
	"sluice/bench/report"
	"sluice/schemas"
)

// probeRate is how many events a second make an alert of their own.
const probeRate = 50

// pollEvery is how long to wait between two looks at the table: the resolution of
// publish to queryable, beside the time that the look itself takes. Each look costs
// ClickHouse some 1.5 ms of CPU: with one each 5 ms it used half a core at light load, a third of
// one now.
const pollEvery = 25 * time.Millisecond

// lightLoad measures the latency at the rate of the settings. It comes before the
// minutes at full load, after which a disk may be slow for a while.
func (h *Harness) lightLoad(ctx context.Context) error {
	return h.latencyAt(ctx, "light load", h.cfg.LatencyRate)
}

// halfLoad measures it at half of what was sustained.
func (h *Harness) halfLoad(ctx context.Context) error {
	if h.out.Sustained == nil {
		h.skip("latency at half load", "what can be sustained was not measured in this run")
		return nil
	}
	return h.latencyAt(ctx, "half load", h.out.Sustained.Rate()/2)
}

func (h *Harness) latencyAt(ctx context.Context, name string, rate float64) (err error) {
	r, err := h.newRig(ctx, peer.SyncAlways, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.startServices(ctx); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	alerts, err := r.watchAlerts(watching)
	if err != nil {
		return err
	}
	looks := r.watchTable(watching)

	path := filepath.Join(r.env.Dir, "sent")
	sender, err := proc.Start(ctx, r.child("openloop", fmt.Sprint(rate), strconv.Itoa(probeRate), h.cfg.LatencyFor.String(), path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sender.Stop()) }()
	all := append(append([]*proc.Process{sender}, r.owned...), r.servers()...)
	before, err := usage(all)
	if err != nil {
		return err
	}
	if err := sender.Wait(ctx); err != nil {
		return err
	}
	after, err := usage(all)
	if err != nil {
		return err
	}
	sent, err := readSent(path)
	if err != nil {
		return err
	}
	l := report.Latency{
		Name: name, Rate: rate, Seconds: h.cfg.LatencyFor.Seconds(), Published: len(sent), PollEvery: pollEvery,
		Processes: used(all, mark{used: before}, mark{used: after}),
	}
	if err := r.settle(ctx, len(sent), sent, alerts); err != nil {
		return err
	}
	stop()
	if l.Rows, _, err = r.distinct(ctx); err != nil {
		return err
	}
	sequences, err := r.sequences(ctx)
	if err != nil {
		return err
	}
	if err := summarize(&l, sent, sequences, looks.all(), alerts); err != nil {
		return err
	}
	h.log.Info("measured", "stage", "latency", "at", name, "acknowledged", l.Acknowledged.String(),
		"queryable", l.Queryable.String(), "alert", l.Alert.String(), "alerts_missing", l.AlertsMissing)
	h.out.Latencies = append(h.out.Latencies, l)
	return nil
}

func readSent(path string) ([]openloop.Sent, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	sent, err := openloop.Read(f)
	if err != nil {
		return nil, fmt.Errorf("read what was sent: %w", err)
	}
	return sent, nil
}

// settle waits until every event is a row, and gives the alerts some time more.
func (r *rig) settle(ctx context.Context, rows int, sent []openloop.Sent, alerts *arrivals) error {
	count := r.rows("sluice.events")
	err := r.until(ctx, "every event is a row", 2*time.Minute, func() (bool, error) {
		n, err := count(ctx)
		return n >= rows, err
	})
	if err != nil {
		return err
	}
	probes := 0
	for i := range sent {
		if sent[i].Probe {
			probes++
		}
	}
	const patience = 10 * time.Second
	for deadline := time.Now().Add(patience); alerts.count() < probes && time.Now().Before(deadline); {
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// summarize brings together what was sent and what was seen.
func summarize(l *report.Latency, sent []openloop.Sent, sequences map[string]uint64, looks []look, alerts *arrivals) error {
	var acknowledged, queryable, alert latency.Histogram
	seen := firstSeen(looks)
	for i := range sent {
		s := &sent[i]
		acknowledged.Record(s.Acknowledged.Sub(s.Due))
		sequence, found := sequences[s.PK]
		if !found {
			return errors.New("an event that was acknowledged is no row")
		}
		at, found := seen(sequence)
		if !found {
			return fmt.Errorf("no look at the table saw sequence %d", sequence)
		}
		queryable.Record(at.Sub(s.Due))
		if !s.Probe {
			continue
		}
		if at, found := alerts.at(s.PK); found {
			alert.Record(at.Sub(s.Due))
		} else {
			l.AlertsMissing++
		}
	}
	l.Acknowledged, l.Queryable, l.Alert = acknowledged.Summarize(), queryable.Summarize(), alert.Summarize()
	return nil
}

// arrivals are when the alerts of the probes came.
type arrivals struct {
	mu    sync.Mutex
	times map[string]time.Time
}

func (a *arrivals) add(pk string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, again := a.times[pk]; !again {
		a.times[pk] = at
	}
}

func (a *arrivals) at(pk string) (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, found := a.times[pk]
	return at, found
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.times)
}

// probeApp begins the app of every probe, see events.Probe.
const probeApp = "bench-"

// watchAlerts notes when the alert of each probe is delivered from the stream, which
// is once it is stored.
func (r *rig) watchAlerts(ctx context.Context) (*arrivals, error) {
	a := &arrivals{times: map[string]time.Time{}}
	consumer, err := r.conn.JS.OrderedConsumer(ctx, schemas.StreamAlerts, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, fmt.Errorf("subscribe to the alerts: %w", err)
	}
	subscription, err := consumer.Consume(func(msg jetstream.Msg) {
		now := time.Now()
		var alert struct {
			Data struct {
				App   string `json:"app"`
				Event struct {
					PK string `json:"pk"`
				} `json:"event"`
			} `json:"data"`
		}
		if json.Unmarshal(msg.Data(), &alert) == nil && strings.HasPrefix(alert.Data.App, probeApp) {
			a.add(alert.Data.Event.PK, now)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to the alerts: %w", err)
	}
	context.AfterFunc(ctx, subscription.Stop)
	return a, nil
}

// sequences are where EVENTS_CLEAN has each event.
func (r *rig) sequences(ctx context.Context) (map[string]uint64, error) {
	rows, err := r.db.Query(ctx, "SELECT pk, stream_seq FROM sluice.events")
	if err != nil {
		return nil, fmt.Errorf("read the sequences: %w", err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]uint64{}
	for rows.Next() {
		var pk uuid.UUID
		var sequence uint64
		if err := rows.Scan(&pk, &sequence); err != nil {
			return nil, fmt.Errorf("read the sequences: %w", err)
		}
		out[pk.String()] = sequence
	}
	return out, rows.Err()
}
