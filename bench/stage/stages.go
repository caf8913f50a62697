package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sluice/bench/peer"
	"sluice/bench/proc"
	"sluice/bench/report"
	"sluice/schemas"
)

// How often it is looked how far a stage is.
const (
	lookAtBroker     = 5 * time.Millisecond
	lookAtClickHouse = 20 * time.Millisecond
)

// publish measures producer publish and the bare publisher.
func (h *Harness) publish(ctx context.Context) error {
	l := h.standard()
	pool, err := h.pool(l, false)
	if err != nil {
		return err
	}
	h.out.EventBytes = pool.MeanBytes()
	for round := range h.cfg.Rounds {
		for _, who := range []string{report.BarePublish, report.Sluice} {
			dir, err := os.MkdirTemp(h.cfg.Dir, "bench-events-")
			if err != nil {
				return err
			}
			path := filepath.Join(dir, "events.ndjson")
			err = errors.Join(h.publishOnce(ctx, l, pool.WriteLines, path, who, round), os.RemoveAll(dir))
			if err != nil {
				return fmt.Errorf("%s: %w", who, err)
			}
		}
	}
	return nil
}

func (h *Harness) publishOnce(ctx context.Context, l load, write func(io.Writer, int) error, path, who string, round int) (err error) {
	l.bytes, err = writeFile(path, l.count, write)
	if err != nil {
		return err
	}
	r, err := h.newRig(ctx, peer.SyncAlways, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	spec := r.child("publish", path)
	if who == report.Sluice {
		spec = peer.ServiceSpec(r.env, "producer")
		spec.Args = []string{"publish", path}
	}
	return h.measure(ctx, r, report.Measurement{Stage: report.StagePublish, Who: who, Round: round}, l, lookAtBroker,
		func() ([]*proc.Process, error) { return one(proc.Start(ctx, spec)) }, r.lastSequence(schemas.StreamRaw))
}

func writeFile(path string, n int, write func(io.Writer, int) error) (int64, error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(write(f, n), f.Sync(), f.Close()); err != nil {
		return 0, fmt.Errorf("write the events: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func one(p *proc.Process, err error) ([]*proc.Process, error) {
	if err != nil {
		return nil, err
	}
	return []*proc.Process{p}, nil
}

// child is a ceiling in a process of its own.
func (r *rig) child(name string, args ...string) proc.Spec {
	return proc.Spec{
		Name: "bare " + name, Path: r.env.Self, Args: append([]string{"child", name}, args...),
		Env: []string{"NATS_URL=" + r.env.NATSURL, "CLICKHOUSE_URL=" + r.env.ClickHouseURL},
	}
}

// measure starts a contender, follows it to the end and stops it.
func (h *Harness) measure(ctx context.Context, r *rig, m report.Measurement, l load, every time.Duration,
	start func() ([]*proc.Process, error), through progress,
) error {
	var err error
	if r.owned, err = start(); err != nil {
		return err
	}
	all := slices.Concat(r.owned, r.servers())
	from, to, err := follow(ctx, all, l.count, every, cmp.Or(l.limit, h.cfg.Limit), through)
	if err != nil {
		return err
	}
	got := measurement(all, from, to, l.bytes, l.count)
	m.Variant, m.Events, m.Bytes, m.Seconds, m.Processes = l.variant, got.Events, got.Bytes, got.Seconds, got.Processes
	h.add(m)
	return r.stopOwned()
}

// lastSequence is how many messages a stream has ever stored.
func (r *rig) lastSequence(stream string) progress {
	return func(ctx context.Context) (int, error) {
		s, err := r.conn.JS.Stream(ctx, stream)
		if err != nil {
			return 0, fmt.Errorf("look at %s: %w", stream, err)
		}
		return int(s.CachedInfo().State.LastSeq), nil
	}
}

// acknowledged is how far a consumer of EVENTS_CLEAN is.
func (r *rig) acknowledged(consumer string) progress {
	return func(ctx context.Context) (int, error) {
		c, err := r.conn.JS.Consumer(ctx, schemas.StreamClean, consumer)
		if err != nil {
			return 0, nil //nolint:nilerr // it is not there yet; the time is limited
		}
		return int(c.CachedInfo().AckFloor.Stream), nil
	}
}

// rows is how many rows a table has.
func (r *rig) rows(table string) progress {
	return func(ctx context.Context) (int, error) {
		var n uint64
		if err := r.db.QueryRow(ctx, "SELECT count() FROM "+table).Scan(&n); err != nil {
			return 0, nil //nolint:nilerr // it is not there yet; the time is limited
		}
		return int(n), nil
	}
}
