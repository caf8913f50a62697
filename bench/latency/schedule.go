package latency

import (
	"context"
	"time"
)

// Schedule is an open loop: event i is due at a fixed time, whatever became of
// those before it.
type Schedule struct {
	Start time.Time
	// Rate is in events per second, above zero.
	Rate float64
}

// At is when event i, counted from 0, is due.
func (s Schedule) At(i int) time.Time {
	return s.Start.Add(time.Duration(float64(i) / s.Rate * float64(time.Second)))
}

// Due is how many events are due at a time: all i with At(i) <= now.
func (s Schedule) Due(now time.Time) int {
	elapsed := now.Sub(s.Start)
	if elapsed < 0 {
		return 0
	}
	n := int(elapsed.Seconds()*s.Rate) + 1
	for n > 0 && s.At(n-1).After(now) { // floating point may be off by one
		n--
	}
	for !s.At(n).After(now) {
		n++
	}
	return n
}

// Run calls send for events 0 to n-1, each as soon as it is due and with the time
// it was due at. A send that blocks makes the following ones late, never fewer, and
// their time stays what it was. It returns early when ctx ends.
func (s Schedule) Run(ctx context.Context, n int, send func(i int, due time.Time)) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next := 0; next < n; {
		for due := min(s.Due(time.Now()), n); next < due; next++ {
			send(next, s.At(next))
		}
		if next == n {
			break
		}
		timer.Reset(time.Until(s.At(next)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
