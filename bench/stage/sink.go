package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"sluice/bench/peer"
	"sluice/bench/proc"
	"sluice/bench/report"
	"sluice/schemas"
)

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
func (h *Harness) filled(ctx context.Context, l *load, sync string, withClickHouse bool) (r *rig, err error) {
	pool, err := h.pool(*l, true)
	if err != nil {
		return nil, err
	}
	if r, err = h.newRig(ctx, sync, withClickHouse); err != nil {
		return nil, err
	}
	if l.bytes, err = r.fill(ctx, schemas.CleanSubject, pool, l.count, l.tenant); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (h *Harness) consumeOnce(ctx context.Context, l load, round int) error {
	r, err := h.filled(ctx, &l, peer.SyncAlways, false)
	if err != nil {
		return err
	}
	err = h.measure(ctx, r, report.Measurement{Stage: report.StageSink, Who: report.BareConsume, Round: round}, l, lookAtBroker,
		func() ([]*proc.Process, error) { return one(proc.Start(ctx, r.child("consume"))) }, r.acknowledged(schemas.ConsumerSink))
	return errors.Join(err, r.close())
}

// sinkOnce measures a peer, and right after it the bare insert of what it has stored.
func (h *Harness) sinkOnce(ctx context.Context, l load, who peer.Peer, round int, insert bool) (err error) {
	r, err := h.filled(ctx, &l, who.Sync(), true)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, r.close()); err != nil {
			err = fmt.Errorf("%s: %w", who.Name(), err)
		}
	}()
	err = h.measure(ctx, r, report.Measurement{Stage: report.StageSink, Who: who.Name(), Round: round}, l, lookAtClickHouse,
		func() ([]*proc.Process, error) { return who.Start(ctx, report.StageSink, r.env) }, r.rows(who.Table()))
	if err != nil || !insert {
		return err
	}
	if err := h.insertOnce(ctx, r, l, round); err != nil {
		return fmt.Errorf("%s: %w", report.BareInsert, err)
	}
	return nil
}

// What the bare insert takes into its memory at most.
const (
	insertMost  = 200_000
	insertBytes = 256 << 20
)

func (h *Harness) insertOnce(ctx context.Context, r *rig, l load, round int) error {
	most := min(l.count, insertMost, int(insertBytes*int64(l.count)/l.bytes))
	out, in := io.Pipe()
	begin, ready := io.Pipe()
	spec := r.child("insert", strconv.Itoa(most))
	spec.Stdout, spec.Stdin = in, begin
	lines := bufio.NewReader(out)
	start := func() ([]*proc.Process, error) {
		p, err := proc.Start(ctx, spec)
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
	l.count, l.bytes = most, l.bytes/int64(l.count)*int64(most)
	return h.measure(ctx, r, report.Measurement{Stage: report.StageSink, Who: report.BareInsert, Round: round}, l, lookAtClickHouse,
		start, r.rows("sluice.bench_bare"))
}
