package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
	pool, err := l.pool(false)
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
	size, err := writeFile(path, l.count, write)
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
	return h.measure(ctx, r, report.Measurement{Stage: report.StagePublish, Who: who, Round: round}, l, size, lookAtBroker,
		func() ([]*proc.Process, error) { return one(proc.Start(spec)) }, r.lastSequence(schemas.StreamRaw))
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
func (h *Harness) measure(ctx context.Context, r *rig, m report.Measurement, l load, size int64, every time.Duration,
	start func() ([]*proc.Process, error), through progress,
) error {
	var err error
	if r.owned, err = start(); err != nil {
		return err
	}
	all := append(r.owned[:len(r.owned):len(r.owned)], r.servers()...)
	from, to, err := follow(ctx, all, l.count, every, h.cfg.Limit, through)
	if err != nil {
		return err
	}
	got := measurement(all, from, to, size, l.count)
	m.Variant, m.Events, m.Bytes, m.Seconds, m.Processes = l.variant, got.Events, got.Bytes, got.Seconds, got.Processes
	h.add(m)
	return r.stopOwned()
}

// redact measures the redactor and the bare relay.
func (h *Harness) redact(ctx context.Context) error {
	return h.redactPairs(ctx, h.standard(), h.cfg.Rounds)
}

func (h *Harness) redactPairs(ctx context.Context, l load, rounds int) error {
	for round := range rounds {
		for _, who := range []peer.Peer{nil, peer.Sluice{Bin: h.cfg.Bin}} {
			if err := h.redactOnce(ctx, l, who, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// redactOnce measures a peer, or the bare relay if that is nil.
func (h *Harness) redactOnce(ctx context.Context, l load, who peer.Peer, round int) (err error) {
	name, sync := report.BareRelay, peer.SyncAlways
	if who != nil {
		name, sync = who.Name(), who.Sync()
	}
	pool, err := l.pool(false)
	if err != nil {
		return err
	}
	r, err := h.newRig(ctx, sync, false)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, r.close()); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	r.env.Instances = l.instances
	size, err := r.fill(ctx, schemas.RawSubject, pool, l.count, l.tenant)
	if err != nil {
		return err
	}
	start := func() ([]*proc.Process, error) { return one(proc.Start(r.child("relay"))) }
	if who != nil {
		start = func() ([]*proc.Process, error) { return who.Start(report.StageRedact, r.env) }
	}
	return h.measure(ctx, r, report.Measurement{Stage: report.StageRedact, Who: name, Round: round}, l, size, lookAtBroker,
		start, r.lastSequence(schemas.StreamClean))
}

// sink measures the sink, bare consuming and the bare insert of the same rows.
func (h *Harness) sink(ctx context.Context) error {
	return h.sinkTriples(ctx, h.standard(), h.cfg.Rounds)
}

func (h *Harness) sinkTriples(ctx context.Context, l load, rounds int) error {
	for round := range rounds {
		if err := h.consumeOnce(ctx, l, round); err != nil {
			return fmt.Errorf("%s: %w", report.BareConsume, err)
		}
		if err := h.sinkOnce(ctx, l, peer.Sluice{Bin: h.cfg.Bin}, round, true); err != nil {
			return err
		}
	}
	return nil
}

// filled is a rig whose EVENTS_CLEAN holds the load.
func (h *Harness) filled(ctx context.Context, l load, sync string, withClickHouse bool) (r *rig, size int64, err error) {
	pool, err := l.pool(true)
	if err != nil {
		return nil, 0, err
	}
	if r, err = h.newRig(ctx, sync, withClickHouse); err != nil {
		return nil, 0, err
	}
	if size, err = r.fill(ctx, schemas.CleanSubject, pool, l.count, l.tenant); err != nil {
		return nil, 0, errors.Join(err, r.close())
	}
	return r, size, nil
}

func (h *Harness) consumeOnce(ctx context.Context, l load, round int) error {
	r, size, err := h.filled(ctx, l, peer.SyncAlways, false)
	if err != nil {
		return err
	}
	err = h.measure(ctx, r, report.Measurement{Stage: report.StageSink, Who: report.BareConsume, Round: round}, l, size, lookAtBroker,
		func() ([]*proc.Process, error) { return one(proc.Start(r.child("consume"))) }, r.acknowledged(schemas.ConsumerSink))
	return errors.Join(err, r.close())
}

// sinkOnce measures a peer, and right after it the bare insert of what it has stored.
func (h *Harness) sinkOnce(ctx context.Context, l load, who peer.Peer, round int, insert bool) (err error) {
	r, size, err := h.filled(ctx, l, who.Sync(), true)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, r.close()); err != nil {
			err = fmt.Errorf("%s: %w", who.Name(), err)
		}
	}()
	err = h.measure(ctx, r, report.Measurement{Stage: report.StageSink, Who: who.Name(), Round: round}, l, size, lookAtClickHouse,
		func() ([]*proc.Process, error) { return who.Start(report.StageSink, r.env) }, r.rows(who.Table()))
	if err != nil || !insert {
		return err
	}
	if err := h.insertOnce(ctx, r, l, size, round); err != nil {
		return fmt.Errorf("%s: %w", report.BareInsert, err)
	}
	return nil
}

// What the bare insert takes into its memory at most.
const (
	insertMost  = 200_000
	insertBytes = 256 << 20
)

func (h *Harness) insertOnce(ctx context.Context, r *rig, l load, size int64, round int) error {
	most := min(l.count, insertMost, int(insertBytes*int64(l.count)/size))
	out, in := io.Pipe()
	begin, ready := io.Pipe()
	spec := r.child("insert", strconv.Itoa(most))
	spec.Stdout, spec.Stdin = in, begin
	lines := bufio.NewReader(out)
	start := func() ([]*proc.Process, error) {
		p, err := proc.Start(spec)
		if err != nil {
			return nil, err
		}
		go func() { // a child that fails prints nothing
			<-p.Done()
			_ = in.CloseWithError(p.Failed())
		}()
		line, err := lines.ReadString('\n')
		if err != nil || strings.TrimSpace(line) != "ready" {
			return []*proc.Process{p}, fmt.Errorf("the bare insert printed %q: %w", line, err)
		}
		go func() { _, _ = io.Copy(io.Discard, lines) }()
		return []*proc.Process{p}, ready.Close()
	}
	l.count, size = most, size/int64(l.count)*int64(most)
	return h.measure(ctx, r, report.Measurement{Stage: report.StageSink, Who: report.BareInsert, Round: round}, l, size, lookAtClickHouse,
		start, r.rows("sluice.bench_bare"))
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
