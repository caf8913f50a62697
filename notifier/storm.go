package notifier

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"

	"sluice/schemas"
)

// storm is how many new groups an app opens, and what is counted together because
// it is too many. It stands in the store as a group of its own for each tenant
// and app. A notifier that would open a group asks it first, and writes it,
// compare-and-set, before the group: so the limit holds for all notifiers
// together, and over restarts.
type storm struct {
	// Grants are the groups that were opened a short time ago, at most the limit.
	Grants []grant `json:"grants,omitempty"`
	// Kinds are the groups that are counted together, as the first 8 bytes of
	// their digests, in order, at most maxKinds.
	Kinds []byte `json:"kinds,omitempty"`
	// BeganAt is when the last storm began.
	BeganAt time.Time `json:"began_at,omitzero"`
}

// grant is one group that was opened.
type grant struct {
	Group string    `json:"group"`
	Until time.Time `json:"until"`
}

const (
	// stormWindow is the time in which new groups are counted.
	stormWindow = time.Minute
	// stormSettle is how long a storm is counted before it is told: the groups
	// that were opened have alerted whoever is on call, and the notice is to say
	// how many more there are. It waits for the storm to pause that long, at most
	// stormWindow.
	stormSettle = 3 * time.Second
	// maxKinds bounds how many different groups are told apart, some 20 KB in the
	// store.
	maxKinds  = 2048
	kindBytes = 8
	// maxStormLimit bounds the setting: as many grants take 100 KB in the store.
	maxStormLimit = 1000
)

// grants tells whether the group may be opened, and takes note of it. changed is
// false if it was granted before.
func (g *group) grants(key string, until, now time.Time, limit int) (ok, changed bool) {
	s := g.Storm
	if slices.ContainsFunc(s.Grants, func(other grant) bool { return other.Group == key && now.Before(other.Until) }) {
		return true, false
	}
	if g.Opened != "" && !g.Closed {
		return false, false // a storm is on
	}
	s.Grants = slices.DeleteFunc(s.Grants, func(old grant) bool { return !now.Before(old.Until) })
	if len(s.Grants) >= limit {
		return false, false
	}
	g.Format, g.Opened, g.Closed = groupFormat, "", false // the storm before, if any, is over
	s.Grants = append(s.Grants, grant{key, until.UTC()})
	return true, true
}

// measuredUntil is when the last grant has passed, zero without any.
func (s *storm) measuredUntil() time.Time {
	var last time.Time
	if s == nil {
		return last
	}
	for _, g := range s.Grants {
		if g.Until.After(last) {
			last = g.Until
		}
	}
	return last
}

// addToStorm counts an event of a storm that is on. What is worse than all
// before, or reaches somebody new, is told at once.
func (g *group) addToStorm(o *observation, now time.Time) {
	severity, receivers := g.Severity, len(g.Receivers)
	g.add(o)
	switch {
	case g.Untold:
		if end := now.UTC().Add(stormSettle); end.After(g.WindowEnd) && end.Before(g.Storm.BeganAt.Add(stormWindow)) {
			g.WindowEnd = end
		}
	case g.Severity != severity || len(g.Receivers) > receivers:
		g.Untold, g.WindowEnd = true, now.UTC()
	}
}

// note remembers a group that is counted together with others.
func (s *storm) note(kind uint64) {
	var own [kindBytes]byte
	binary.BigEndian.PutUint64(own[:], kind)
	count := len(s.Kinds) / kindBytes
	at := 0
	for end := count; at < end; {
		middle := (at + end) / 2
		switch order := slices.Compare(s.Kinds[middle*kindBytes:(middle+1)*kindBytes], own[:]); {
		case order == 0:
			return
		case order < 0:
			at = middle + 1
		default:
			end = middle
		}
	}
	if count < maxKinds {
		s.Kinds = slices.Insert(s.Kinds, at*kindBytes, own[:]...)
	}
}

// begin begins a storm.
func (s *storm) begin(now time.Time) { s.Kinds, s.BeganAt = nil, now.UTC() }

// different is how many groups are counted together.
func (s *storm) different() int { return len(s.Kinds) / kindBytes }

// words are the message of a storm's alert.
func (s *storm) words(g *group) string {
	different := strconv.Itoa(s.different())
	if s.different() >= maxKinds {
		different = "more than " + different
	}
	return fmt.Sprintf("%d events of %s different troubles since %s. The last one: %s",
		g.Count, different, g.FirstSeen.UTC().Format(time.RFC3339), g.Message)
}

// storm turns the observation into one of the storm in its app.
func (o *observation) storm(key string, limit int) *observation {
	c := *o
	c.key, c.versions, c.version = key, false, ""
	c.kind = binary.BigEndian.Uint64(rawDigest(o.key))
	c.fingerprint = fingerprint{digest("storm", o.tenant, key), basisStorm}
	app := o.app
	if app == "" {
		app = "events without an app"
	}
	c.title = titleOf(fmt.Sprintf("%s: more than %d new alerts a minute; further ones are counted here", app, limit))
	c.message = o.title
	c.why = fmt.Sprintf("more than %d new alerts of this app came within a minute; the last one by rule %s (storm %s)", limit, o.rule, key)
	return &c
}

// stormKey names the storm of an app in the store. What quiet hours hold back is
// counted by itself: it must not use up what may be told now.
func (o *observation) stormKey(held bool) string {
	quiet := ""
	if held {
		quiet = o.quiet
	}
	return o.tenant + "." + hexDigest(fingerprintVersion, "storm", o.tenant, o.app, quiet)
}

// severityRank orders the severities.
var severityRank = map[schemas.Severity]int{schemas.SeverityNotice: 1, schemas.SeverityWarning: 2, schemas.SeverityAlert: 3}

// worse returns the severity that matters more.
func worse(a, b schemas.Severity) schemas.Severity {
	if severityRank[b] > severityRank[a] {
		return b
	}
	return a
}

func union(a, b []string) []string {
	out := a
	for _, name := range b {
		if !slices.Contains(out, name) {
			out = append(slices.Clip(out), name)
		}
	}
	return out
}
