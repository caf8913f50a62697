package notifier

import (
	"time"

	"sluice/schemas"
)

// timing is how long things take, and what is told at all.
type timing struct {
	// interval is the least time between two alerts of a group.
	interval time.Duration
	// resolveAfter is how long a trouble must be quiet to be over.
	resolveAfter time.Duration
	// stormLimit is how many new groups an app may open in a minute before
	// further ones are counted together; 0 is no limit.
	stormLimit int
	// held is until when quiet hours hold an alert back, the zero time for not at
	// all; silenced tells whether somebody wants no alerts of the group. Both may
	// be nil.
	held     func(quiet string, severity schemas.Severity, now time.Time) time.Time
	silenced func(g *group, now time.Time) bool
}

func (t timing) heldUntil(g *group, now time.Time) time.Time {
	if t.held == nil {
		return time.Time{}
	}
	return t.held(g.Quiet, g.Severity, now)
}

// intervalOf is the least time between two alerts of the group.
func (t timing) intervalOf(g *group) time.Duration {
	if g.Storm != nil {
		return max(t.interval, stormWindow)
	}
	return t.interval
}
