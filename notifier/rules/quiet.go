package rules

import (
	"time"

	"sluice/schemas"
)

// Quiet are quiet hours: windows of the week in which alerts of some severities
// are held until the window ends.
type Quiet struct {
	Zone    *time.Location
	Windows []Window
	// Hold are the severities that are held.
	Hold []schemas.Severity
}

// Window is a span of each of its days: From up to To, in minutes from midnight
// by the clock on the wall. A To that is not after From is on the day behind.
type Window struct {
	Days     [7]bool // from Sunday
	From, To int
}

// until returns when the quiet ends that now is in, the zero time if it is in
// none. Windows that touch or overlap are one.
func (q *Quiet) until(now time.Time) time.Time {
	var end time.Time
	for at := now; ; at = end {
		next := q.windowEnd(at)
		if next.IsZero() || !next.After(at) || next.After(now.Add(maxQuiet)) {
			return end
		}
		end = next
	}
}

// maxQuiet bounds how long windows that touch may hold something: a week that is
// quiet from end to end would hold for ever.
const maxQuiet = 7 * 24 * time.Hour

// windowEnd returns the latest end of the windows that hold at.
func (q *Quiet) windowEnd(at time.Time) time.Time {
	local := at.In(q.Zone)
	var end time.Time
	for back := range 2 { // a window of yesterday may reach into today
		year, month, day := local.AddDate(0, 0, -back).Date()
		weekday := time.Date(year, month, day, 12, 0, 0, 0, q.Zone).Weekday()
		for _, w := range q.Windows {
			if !w.Days[weekday] {
				continue
			}
			from := time.Date(year, month, day, 0, w.From, 0, 0, q.Zone)
			to := time.Date(year, month, day, 0, w.To, 0, 0, q.Zone)
			if w.To <= w.From {
				to = time.Date(year, month, day+1, 0, w.To, 0, 0, q.Zone)
			}
			if !at.Before(from) && at.Before(to) && to.After(end) {
				end = to
			}
		}
	}
	return end
}
