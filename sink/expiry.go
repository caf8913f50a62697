package sink

import (
	"time"

	"sluice/schemas/jsontoken"
)

// expiry says where the moment of expiry is from: the values of the table's
// column of that name.
type expiry int8

const (
	byRetention expiry = 1 // created, and what its tenant keeps events for
	byItself    expiry = 2 // the event says when
	never       expiry = 3 // the event says expiring: false
)

// The ends of the columns of expiry, a DateTime each. Its zero is left out,
// because ClickHouse takes that for "never".
var (
	firstExpiry = time.Unix(1, 0).UTC()
	lastExpiry  = time.Unix(1<<32-1, 0).UTC() // 2106-02-07T06:28:15Z, and the moment of what never expires
)

// expires is the event's own expiry, or its creation and the tenant's retention.
// What the column cannot hold is moved to its nearer end.
func (m *mapper) expires(own, created time.Time, tenant string) (time.Time, expiry) {
	if m.keptForEver() {
		return lastExpiry, never
	}
	from := byItself
	if own.IsZero() {
		own, from = created.Add(m.retention.of(tenant)), byRetention
	}
	t := own.UTC().Truncate(time.Second)
	switch {
	case t.Before(firstExpiry):
		return firstExpiry, from
	case t.After(lastExpiry):
		return lastExpiry, from
	}
	return t, from
}

// keptForEver reports whether the event says "expiring": false, as authentik's do
// that shall stay.
func (m *mapper) keptForEver() bool {
	if len(m.event.Extra) == 0 {
		return false
	}
	i, found := m.decoder.Tape.Member(0, "expiring")
	return found && m.decoder.Tape.Tokens[i].Kind == jsontoken.False
}

// leaving is when a row is removed that expires then and was stored at stored:
// the expiry, rounded up to a minute, hour, day or month, the coarser the farther
// it is away. Rows that leave together make a partition, so this bounds how many
// there are: some 60 minutes, 48 hours, 400 days and a month for every month until
// 2106. What had expired when it was stored leaves at once, and shares the one
// moment of its day, so that an import of old events makes one partition.
//
// The same message gives the same moment, since stored is the broker's time.
func leaving(expires, stored time.Time) time.Time {
	var leaves time.Time
	switch ahead := expires.Sub(stored); {
	case ahead <= 0:
		leaves = stored.UTC().Truncate(oneDay)
	case ahead <= time.Hour:
		leaves = roundUp(expires, time.Minute)
	case ahead <= 2*oneDay:
		leaves = roundUp(expires, time.Hour)
	case ahead <= 400*oneDay:
		leaves = roundUp(expires, oneDay)
	default:
		last := expires.Add(-time.Second)
		leaves = time.Date(last.Year(), last.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	}
	if leaves.After(lastExpiry) {
		return lastExpiry
	}
	return leaves
}

const oneDay = 24 * time.Hour

// roundUp rounds to the next whole step since year 1, which is a whole one of UTC
// for minutes, hours and days.
func roundUp(t time.Time, step time.Duration) time.Time {
	return t.Add(step - 1).UTC().Truncate(step)
}
