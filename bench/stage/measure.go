package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/bench/proc"
	"sluice/bench/report"
)

// progress tells how many events are through.
type progress func(ctx context.Context) (int, error)

// warmUp is the share of the events that is through before the clock starts: until
// then a process starts, connects and sets up what it needs.
const warmUp = 10 // one in

// mark is how far it was when.
type mark struct {
	at    time.Time
	count int
	used  []proc.Usage
}

// startUpMost is how long a busy machine may take to start what is measured.
const startUpMost = time.Minute

// follow measures from when a tenth of total is through to when all of it is, or to
// the last progress within limit of that: what is slow is not waited for. Until that tenth
// it may take startUpMost longer. If all came through at
// once, it counts from the beginning.
func follow(ctx context.Context, all []*proc.Process, total int, every, limit time.Duration, through progress) (from, to mark, err error) {
	end := time.NewTimer(limit + startUpMost)
	defer end.Stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	used, err := usage(all)
	if err != nil {
		return from, to, err
	}
	beginning := mark{time.Now(), 0, used}
	for {
		ended := failed(all) // before the look, which then sees all that it did
		count, err := through(ctx)
		now := time.Now()
		switch {
		case err != nil:
			return from, to, errors.Join(err, ended)
		case count > to.count && count >= total/warmUp:
			if used, err = usage(all); err != nil {
				return from, to, err
			}
			to = mark{now, count, used}
			if from.count == 0 {
				from = to
				end.Reset(limit)
			}
		}
		if to.count >= total {
			break
		}
		if ended != nil {
			return from, to, ended
		}
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
			return from, to, ctx.Err()
		case <-end.C:
		}
		break
	}
	if to.count >= total && to.count == from.count {
		from = beginning
	}
	if to.count == from.count {
		return from, to, fmt.Errorf("%d of %d events in %s are too few to measure by", to.count, total, limit)
	}
	return from, to, nil
}

// failed is why one of them is not running any more, if that is no good end.
func failed(all []*proc.Process) error {
	for _, p := range all {
		if err := p.Failed(); err != nil {
			return err
		}
	}
	return nil
}

func usage(all []*proc.Process) ([]proc.Usage, error) {
	used := make([]proc.Usage, len(all))
	var err error
	for i, p := range all {
		if used[i], err = p.Usage(); err != nil {
			return nil, err
		}
	}
	return used, nil
}

// measurement is what two marks say. bytes is the size of all the events.
func measurement(all []*proc.Process, from, to mark, bytes int64, total int) report.Measurement {
	n := to.count - from.count
	return report.Measurement{
		Events: n, Bytes: int64(float64(bytes) / float64(total) * float64(n)),
		Seconds: to.at.Sub(from.at).Seconds(), Processes: used(all, from, to),
	}
}

func used(all []*proc.Process, from, to mark) []report.Process {
	out := make([]report.Process, len(all))
	for i, p := range all {
		out[i] = report.Process{Name: p.Name(), Usage: to.used[i].Since(from.used[i])}
	}
	return out
}
