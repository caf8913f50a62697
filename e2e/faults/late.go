package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/schemas"
)

// publishAgain publishes what was acknowledged before once more.
func (r *runner) publishAgain(ctx context.Context, s Step) (string, error) {
	b := r.load.sampleBefore(time.Now(), s.Dice)
	if b == nil {
		return "", errSkipped
	}
	return fmt.Sprintf("%d events", len(b.lines)), r.load.extra(ctx, b)
}

// publishLate does that after the broker has forgotten the ids: with events that
// are older than its window, or else with a window that is made small for a moment.
func (r *runner) publishLate(ctx context.Context, s Step) (string, error) {
	if b := r.load.sampleBefore(time.Now().Add(-schemas.RawStream().Duplicates-10*time.Second), s.Dice); b != nil {
		return fmt.Sprintf("%d events, later than the window", len(b.lines)), r.load.extra(ctx, b)
	}
	b := r.load.sampleBefore(time.Now(), s.Dice)
	if b == nil {
		return "", errSkipped
	}
	if err := r.untilStored(ctx, b); err != nil {
		return "", err
	}
	// Twice, since nats-server 2.15 may set its timer by the window before.
	for _, window := range []time.Duration{200 * time.Millisecond, 100 * time.Millisecond} {
		if err := r.setWindow(ctx, window); err != nil {
			return "", err
		}
	}
	pause(ctx, 500*time.Millisecond)
	err := r.load.extra(ctx, b)
	if err == nil {
		err = r.untilRedacted(ctx)
	}
	err = errors.Join(err, r.setWindow(ctx, schemas.RawStream().Duplicates))
	return fmt.Sprintf("%d events, with a window of 100ms", len(b.lines)), err
}

// untilStored waits until the events are rows: a sink that has them in hand still
// sees without a look at the table that they come twice.
func (r *runner) untilStored(ctx context.Context, b *batch) error {
	last := b.pks[len(b.pks)-1]
	return until(ctx, time.Minute, "what is to come late is stored", func() error {
		rows, err := r.w.ask(ctx, "SELECT count() FROM sluice.events WHERE pk = '"+last.String()+"'")
		if err == nil && rows == "0" {
			err = errors.New("it is no row yet")
		}
		return err
	})
}

// untilRedacted waits until what is in EVENTS_RAW now is in EVENTS_CLEAN, or was
// refused by it.
func (r *runner) untilRedacted(ctx context.Context) error {
	raw, err := r.state(ctx, schemas.StreamRaw)
	if err != nil {
		return err
	}
	return until(ctx, time.Minute, "what came late is redacted", func() error {
		consumer, err := r.w.js.Consumer(ctx, schemas.StreamRaw, schemas.ConsumerRedactor)
		if err != nil {
			return err
		}
		if floor := consumer.CachedInfo().AckFloor.Stream; floor < raw.LastSeq {
			return fmt.Errorf("%s is redacted up to %d of %d", schemas.StreamRaw, floor, raw.LastSeq)
		}
		return nil
	})
}

func (r *runner) setWindow(ctx context.Context, window time.Duration) error {
	for _, name := range []string{schemas.StreamRaw, schemas.StreamClean} {
		err := until(ctx, 30*time.Second, "the window is set", func() error {
			stream, err := r.w.js.Stream(ctx, name)
			if err != nil {
				return err
			}
			cfg := stream.CachedInfo().Config
			cfg.Duplicates = window
			_, err = r.w.js.UpdateStream(ctx, cfg)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
