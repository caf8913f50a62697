package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"sluice/bench/events"
	"sluice/bench/peer"
	"sluice/bench/report"
)

// Config says what to measure and for how long. The defaults make a run of less than
// 15 minutes on two cores.
type Config struct {
	// Bin has the programs of make build, Self is this program, Dir is where the
	// servers store; it should be on the disk that is to be measured.
	Bin, Self, Dir string
	// ClickHouseURL is a server to use instead of the embedded engine. It must not
	// have the databases that are made and removed.
	ClickHouseURL string
	// Rounds is how often each stage and its ceilings are measured, one after the
	// other; PeerRounds the same for the peers and the growth.
	Rounds, PeerRounds int
	// Events is how many of 1 KB make one measurement; of larger ones as many as
	// make the same bytes.
	Events int
	// Limit is how long one measurement may take; what is slow is measured by what
	// is through by then.
	Limit time.Duration
	// Sustained is how long everything runs end to end at full load, Backlog how
	// many events may be under way then.
	Sustained time.Duration
	Backlog   int
	// LatencyFor is how long each latency is measured for, LatencyRate the rate of the first.
	LatencyFor  time.Duration
	LatencyRate float64
	// GrowthEvents is how large a stream the redactor is to work off at once, 0 for none.
	GrowthEvents int
}

// Harness measures.
type Harness struct {
	cfg   Config
	store store
	log   *slog.Logger
	out   *report.Results
	pools map[poolKey]*events.Pool
}

// New makes a harness that adds to out what it measures.
func New(cfg Config, out *report.Results, log *slog.Logger) *Harness {
	return &Harness{cfg: cfg, store: store{url: cfg.ClickHouseURL}, log: log, out: out, pools: map[poolKey]*events.Pool{}}
}

// Parts are what can be measured, in this order.
var Parts = []string{"publish", "redact", "sink", "latency", "sustained", "half-load", "growth", "peers"}

// Run measures the parts. One that fails is noted in the results, and the others are
// measured all the same; the error is that of all that failed.
func (h *Harness) Run(ctx context.Context, parts map[string]bool) error {
	if err := h.checkStore(ctx); err != nil {
		return err
	}
	run := map[string]func(context.Context) error{
		"publish": h.publish, "redact": h.redact, "sink": h.sink, "sustained": h.sustained,
		"latency": h.lightLoad, "half-load": h.halfLoad, "growth": h.growth, "peers": h.peers,
	}
	var failures []error
	for _, part := range Parts {
		if !parts[part] {
			h.skip(part, "not asked for")
			continue
		}
		h.log.Info("measuring", "part", part)
		if err := run[part](ctx); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("%s: %w", part, err)
			}
			h.log.Error("not measured to its end", "part", part, "error", err)
			h.skip(part+", from a failure on", err.Error())
			failures = append(failures, fmt.Errorf("%s: %w", part, err))
		}
	}
	return errors.Join(failures...)
}

// checkStore keeps the harness from emptying somebody's database.
func (h *Harness) checkStore(ctx context.Context) error {
	if h.store.url == "" {
		return nil
	}
	opts, err := clickhouse.ParseDSN(h.store.url)
	if err != nil {
		return errors.New("CLICKHOUSE_URL: not an address such as http://127.0.0.1:8123")
	}
	opts.Auth.Database = ""
	db, err := clickhouse.Open(opts)
	if err != nil {
		return fmt.Errorf("open ClickHouse: %w", err)
	}
	defer func() { _ = db.Close() }()
	var count uint64
	row := db.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name IN ('sluice', '"+peer.OTelDatabase+"')")
	if err := row.Scan(&count); err != nil {
		return fmt.Errorf("ask ClickHouse at CLICKHOUSE_URL: %w", err)
	}
	if count > 0 {
		return errors.New("CLICKHOUSE_URL: this server has a database sluice or otel already, which would be removed; " +
			"use one without, or none for the embedded engine")
	}
	return nil
}

func (h *Harness) skip(what, why string) {
	h.out.Skipped = append(h.out.Skipped, report.Skipped{What: what, Why: why})
}

// add takes a measurement into the results.
func (h *Harness) add(m report.Measurement) {
	h.log.Info("measured", "stage", m.Stage, "who", m.Who, "variant", m.Variant, "round", m.Round,
		"events_per_second", int(m.Rate()), "events", m.Events)
	h.out.Measurements = append(h.out.Measurements, m)
}

// load is what one measurement is fed with.
type load struct {
	variant string
	size    int // bytes of an event, 0 for 1 KB in the median
	count   int
	bytes   int64 // of all of them, once they are made
	// instances of the redactor, and tenants.
	instances, tenants int
	// limit is how long it may take, 0 for that of the settings.
	limit time.Duration
}

func (h *Harness) standard() load { return load{count: h.cfg.Events, instances: 1, tenants: 1} }

// poolEvents is how many different events there are; larger ones are fewer, so that
// they fit into memory.
const (
	poolSeed   = 1
	poolEvents = 20_000
	poolBytes  = 64 << 20
)

// poolKey is what tells two pools apart.
type poolKey struct {
	count, size int
	redacted    bool
}

// pool makes the events of a load, once: the next measurement gets the same ones under
// new ids.
func (h *Harness) pool(l load, redacted bool) (*events.Pool, error) {
	count := poolEvents
	if l.size > 0 {
		count = max(poolBytes/l.size, 10)
	}
	key := poolKey{min(count, l.count), l.size, redacted}
	if p := h.pools[key]; p != nil {
		return p, nil
	}
	p, err := events.NewPool(key.count, l.size, poolSeed, time.Now().Add(-time.Hour))
	if err == nil && redacted {
		err = p.Redact()
	}
	if err != nil {
		return nil, err
	}
	h.pools[key] = p
	return p, nil
}

// tenant spreads the events over the tenants.
func (l load) tenant(i int) string {
	if l.tenants == 1 {
		return "default"
	}
	return fmt.Sprintf("tenant%04d", i%l.tenants)
}
