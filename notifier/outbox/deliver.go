package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/internal/broker"
	"sluice/notifier/receiver"
)

// deliver tries until the alert is taken, refused or a day old.
func (w *worker) deliver(ctx context.Context, d broker.Delivery, n receiver.Notice) error {
	for attempts := 1; ; attempts++ {
		if err := w.turn(ctx); err != nil {
			return err
		}
		err := w.attempt(ctx, n)
		now := w.clock.Now()
		if err == nil {
			w.recovered()
			w.metrics.delivered.Inc()
			w.metrics.delay.Observe(max(now.Sub(d.StoredAt), 0).Seconds())
			w.log.Debug("delivered", "alert_id", n.Alert.ID, "attempts", attempts)
			crashpoint("sent")
			return nil
		}
		failure := &receiver.SendError{What: "it failed"}
		errors.As(err, &failure)
		w.metrics.failed.Inc()
		switch failure.Verdict {
		case receiver.Gone:
			return w.disable(ctx, failure)
		case receiver.Refused:
			w.recovered()
			w.metrics.refused.Inc()
			return w.keep(ctx, d, n, failure.What, attempts)
		case receiver.Retry:
		}
		w.failing(now, failure)
		if exhausted(d.StoredAt, now, attempts) {
			w.metrics.exhausted.Inc()
			return w.keep(ctx, d, n, "given up after a day: "+failure.What, attempts)
		}
	}
}

// turn waits until the receiver may be sent to: first for the breaker, then for
// the rate.
func (w *worker) turn(ctx context.Context) error {
	if err := sleep(ctx, w.clock, w.breaker.wait(w.clock.Now())); err != nil {
		return errStopped
	}
	now := w.clock.Now()
	if err := sleep(ctx, w.clock, w.limit.ReserveN(now, 1).DelayFrom(now)); err != nil {
		return errStopped
	}
	return nil
}

// attempt sends once. It is not interrupted when ctx ends: what is half sent would
// be sent twice.
func (w *worker) attempt(ctx context.Context, n receiver.Notice) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.receiver.Timeout)
	defer cancel()
	begun := time.Now()
	defer func() { w.metrics.seconds.Observe(time.Since(begun).Seconds()) }()
	return w.sender.Send(ctx, n)
}

func (w *worker) failing(now time.Time, failure *receiver.SendError) {
	if w.breaker.failures == 0 {
		w.log.Warn("the receiver does not take alerts; they wait, and it is tried again", "error", failure)
		w.metrics.state.Set(stateFailing)
	}
	w.breaker.failed(now, failure.After, random())
}

func (w *worker) recovered() {
	if w.breaker.failures > 0 {
		w.log.Info("the receiver answers again", "failures", w.breaker.failures)
		w.metrics.state.Set(stateWorking)
	}
	w.breaker.answered()
}

// disable stops sending until a person has looked. The alert is not given up.
func (w *worker) disable(ctx context.Context, failure *receiver.SendError) error {
	w.log.Error("the receiver is gone and now disabled; its alerts wait until it is replayed or the notifier restarted", "error", failure)
	w.metrics.state.Set(stateDisabled)
	w.breaker.answered()
	if err := w.store.disable(ctx, w.receiver.Name, failure.What, w.clock.Now()); err != nil {
		w.breaker.failed(w.clock.Now(), 0, random())
		return fmt.Errorf("disable the receiver: %w", err)
	}
	crashpoint("disabled")
	return errDisabled
}

// keep puts an alert into the outbox for a person. Until the broker has it, it is
// not given up.
func (w *worker) keep(ctx context.Context, d broker.Delivery, n receiver.Notice, why string, attempts int) error {
	w.log.Warn("the receiver has not taken an alert; it is kept in the outbox", "alert_id", n.Alert.ID, "seq", d.Sequence,
		"attempts", attempts, "error", why)
	for failures := 1; ; failures++ {
		err := w.store.keep(ctx, w.receiver.Name, d, n, why, attempts)
		if err == nil {
			crashpoint("kept")
			return nil
		}
		if failures == 1 && ctx.Err() == nil {
			w.log.Warn("keep an alert in the outbox; trying again", "error", err)
		}
		if sleep(ctx, w.clock, delay(failures, random())) != nil {
			return errStopped
		}
	}
}
