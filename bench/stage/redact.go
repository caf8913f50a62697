package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/bench/peer"
	"sluice/bench/proc"
	"sluice/bench/report"
	"sluice/internal/broker"
	"sluice/producer/generate"
	"sluice/schemas"
)

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
	pool, err := h.pool(l, false)
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
	if err := r.makeRoom(ctx, int64(l.count)*int64(pool.MeanBytes())); err != nil {
		return err
	}
	l.bytes, err = r.fill(ctx, schemas.RawSubject, pool, l.count, l.tenant)
	if err != nil {
		return err
	}
	start := func() ([]*proc.Process, error) { return one(proc.Start(ctx, r.child("relay"))) }
	if who != nil {
		start = func() ([]*proc.Process, error) { return who.Start(ctx, report.StageRedact, r.env) }
	}
	err = h.measure(ctx, r, report.Measurement{Stage: report.StageRedact, Who: name, Round: round}, l, lookAtBroker,
		start, r.lastSequence(schemas.StreamClean))
	if err != nil || l.variant != report.PeersVariant {
		return err
	}
	m := &h.out.Measurements[len(h.out.Measurements)-1]
	m.Looked, m.Leaked, err = r.leaks(ctx)
	return err
}

// leaks looks through the first events of EVENTS_CLEAN for planted secrets.
func (r *rig) leaks(ctx context.Context) (looked, leaked int, err error) {
	const most, wait = 20_000, time.Second
	marker := []byte(generate.Marker(poolSeed))
	consumer, err := r.conn.JS.OrderedConsumer(ctx, schemas.StreamClean, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return 0, 0, fmt.Errorf("look for secrets: %w", err)
	}
	for looked < most {
		batch, err := consumer.Fetch(broker.MaxBatchMsgs, jetstream.FetchMaxWait(wait))
		if err != nil {
			return looked, leaked, fmt.Errorf("look for secrets: %w", err)
		}
		before := looked
		for msg := range batch.Messages() {
			if looked++; bytes.Contains(msg.Data(), marker) {
				leaked++
			}
		}
		if looked == before {
			break
		}
	}
	return looked, leaked, nil
}
