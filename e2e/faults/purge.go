package faults

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// victimsRaw and victimsClean are how many events are taken away by purging: more
// than a service that was stopped may have fetched already.
const (
	victimsRaw   = 5000
	victimsClean = 20_000
)

// idleMost is how long a backlog may take to be gone in the middle of a run: whatever
// the faults before have left, on a machine that is busy.
const idleMost = 4 * time.Minute

// purge purges a stream by mistake, of events of which nobody has read most. What
// is lost is known then, and whoever should have read it has to say how much.
func (r *runner) purge(ctx context.Context, s Step) (string, error) {
	reader, n := "redactor", victimsRaw
	if s.Target == schemas.StreamClean {
		reader, n = "sink", victimsClean
	}
	r.load.gate.Lock()
	defer r.load.gate.Unlock()
	if err := r.idle(ctx, idleMost); err != nil {
		return "", err
	}
	before, err := r.missed(ctx, reader)
	if err != nil {
		return "", err
	}
	if err := r.signalAll(reader, syscall.SIGSTOP); err != nil {
		return "", err
	}
	b := r.load.victims(n, s.Dice)
	err = r.publishTo(ctx, b, s.Target)
	if err == nil {
		err = r.purgeStream(ctx, s.Target)
	}
	r.ledger.risk(b.pks)
	if err := errors.Join(err, r.signalAll(reader, syscall.SIGCONT)); err != nil {
		return "", err
	}
	// The next event tells the reader that there were others before it.
	if err := r.load.extra(ctx, r.nextVictim(s.Dice)); err != nil {
		return "", err
	}
	if err := r.idle(ctx, idleMost); err != nil {
		return "", err
	}
	return r.admits(ctx, reader, before, b)
}

func (r *runner) nextVictim(dice uint64) *batch {
	b := r.load.victims(1, dice+1)
	r.ledger.risk(b.pks)
	return b
}

// admits compares how many are lost with how many the reader says are lost.
func (r *runner) admits(ctx context.Context, reader string, before float64, b *batch) (string, error) {
	stored, err := r.w.ask(ctx, "SELECT count() FROM sluice.events WHERE tenant = '"+b.tenant+"'")
	if err != nil {
		return "", err
	}
	var there int
	if _, err := fmt.Sscan(stored, &there); err != nil {
		return "", err
	}
	lost := float64(len(b.pks) - there)
	var said float64
	err = until(ctx, time.Minute, fmt.Sprintf("the %s says that %.0f events are lost", reader, lost), func() error {
		after, err := r.missed(ctx, reader)
		if said = after - before; err == nil && said < lost {
			err = fmt.Errorf("it says %.0f", said)
		}
		return err
	})
	return fmt.Sprintf("%.0f of %d events lost on purpose, the %s says %.0f", lost, len(b.pks), reader, said), err
}

// missedMetric is in which a service counts events that were gone before it read
// them.
func missedMetric(reader string) string { return reader + "_missed_total" }

// missed is the most that one of the services of that role counts.
func (r *runner) missed(ctx context.Context, reader string) (float64, error) {
	most := 0.0
	for name, address := range r.w.metrics {
		if role(name) != reader {
			continue
		}
		page, err := get(ctx, address+"/metrics")
		if err != nil {
			return 0, err
		}
		most = max(most, value(page, missedMetric(reader)))
	}
	return most, nil
}

func (r *runner) signalAll(service string, sig syscall.Signal) error {
	var errs []error
	for name, p := range r.w.procs {
		if role(name) == service {
			errs = append(errs, p.signal(sig))
		}
	}
	return errors.Join(errs...)
}

// publishTo publishes the batch, and waits until it is in the stream.
func (r *runner) publishTo(ctx context.Context, b *batch, stream string) error {
	before, err := r.state(ctx, stream)
	if err != nil {
		return err
	}
	if err := r.load.extra(ctx, b); err != nil {
		return err
	}
	return until(ctx, idleMost, "the events are in "+stream, func() error {
		state, err := r.state(ctx, stream)
		if err == nil && state.LastSeq < before.LastSeq+uint64(len(b.pks)) {
			err = fmt.Errorf("%d of %d", state.LastSeq-before.LastSeq, len(b.pks))
		}
		return err
	})
}

func (r *runner) state(ctx context.Context, name string) (jetstream.StreamState, error) {
	stream, err := r.w.js.Stream(ctx, name)
	if err != nil {
		return jetstream.StreamState{}, err
	}
	return stream.CachedInfo().State, nil
}

func (r *runner) purgeStream(ctx context.Context, name string) error {
	stream, err := r.w.js.Stream(ctx, name)
	if err != nil {
		return err
	}
	return stream.Purge(ctx)
}
