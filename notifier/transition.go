package notifier

import (
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"sluice/schemas"
)

// transition is one thing to be told: the alert as it stood when it came about,
// so that a repetition under the same id says the same.
type transition struct {
	Alert       schemas.Alert `json:"alert"`
	TraceParent string        `json:"traceparent,omitempty"`
	Receivers   []string      `json:"receivers,omitempty"`
	// ClaimedAt is when another notifier than the one that stored it has last
	// taken it over.
	ClaimedAt time.Time `json:"claimed_at,omitzero"`

	// causedAt is when the event was stored that this is the first word of; zero
	// for a transition that time brought about or that was read from the store.
	causedAt time.Time
	// own tells that this notifier brought it about, and publishes it; else
	// another one is about to, and knownAt is when this one heard of it.
	// An own one is stored once a write has said so: until then another notifier
	// may have stored the same, which has the same id.
	own, stored bool
	knownAt     time.Time
}

// takeOverAt is when another notifier's transition may be claimed; zero for one
// that is this notifier's to publish.
func (t *transition) takeOverAt() time.Time {
	if t.own {
		return time.Time{}
	}
	since := t.Alert.Time
	if t.ClaimedAt.After(since) {
		since = t.ClaimedAt
	}
	if t.knownAt.Before(since) { // the other's clock is fast
		since = t.knownAt
	}
	return since.Add(takeOver)
}

// claim takes over what another notifier has not published in time, and reports
// whether there was anything: then the group is to be written first, so that one
// alone publishes it.
func (g *group) claim(now time.Time) bool {
	claimed := false
	for i := range g.Pending {
		t := &g.Pending[i]
		if at := t.takeOverAt(); !at.IsZero() && !now.Before(at) {
			t.own, t.stored, t.ClaimedAt, claimed = true, false, now.UTC(), true
		}
	}
	return claimed
}

// tell appends a transition and begins a new interval.
func (g *group) tell(kind string, now time.Time, t timing) {
	g.Transitions++
	g.Untold, g.Reported, g.WindowEnd = false, g.Count, now.UTC().Add(t.intervalOf(g))
	name := g.key + " " + g.Opened + " " + strconv.FormatUint(g.Transitions, 10)
	for i := range g.Pending {
		g.Pending[i].Alert = shrink(g.Pending[i].Alert) // one sample is enough
	}
	if len(g.Pending) == maxPending {
		g.Pending = slices.Delete(g.Pending, 0, 1)
	}
	g.Pending = append(g.Pending, transition{
		Alert:     g.alert(uuid.NewSHA1(alertNamespace, []byte(name)), kind, now.UTC().Truncate(time.Microsecond)),
		Receivers: g.Receivers, own: true,
	})
}

// maxPending bounds what waits to be published. Only a product of which that many
// versions come at once gets there; the latest of them are told.
const maxPending = 16

// alertNamespace is the UUIDv5 of "sluice/alerts" in the URL namespace.
var alertNamespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("sluice/alerts"))
