package notifier

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"sluice/schemas"
)

// group is what is known of one trouble, as the store holds it. It changes by
// fold, when an event comes, and by due, when time has passed; both only append
// to pending what is to be published, so that whoever has stored a group can be
// killed at any point: the next one publishes it under the same id.
type group struct {
	// Format is the version of this form.
	Format int `json:"format"`
	// Rule names the rules that matched, Why says so in words.
	Rule string `json:"rule"`
	Why  string `json:"why,omitempty"`
	// Receivers are who is told, Quiet names the quiet hours that hold that back.
	Receivers []string `json:"receivers,omitempty"`
	Quiet     string   `json:"quiet,omitempty"`

	Tenant      string           `json:"tenant"`
	Action      string           `json:"action"`
	App         string           `json:"app"`
	Fingerprint string           `json:"fingerprint"`
	Severity    schemas.Severity `json:"severity"`
	// Title is that of the first event, Message and Event are those of the last.
	Title   string          `json:"title"`
	Message string          `json:"message"`
	Event   json.RawMessage `json:"event,omitempty"`

	// Opened is the event that opened the group: its sequence and the instant at
	// which it was stored. It tells one run of the same trouble from the next.
	Opened string `json:"opened"`
	// Count is how many events were folded in since, Reported how many of them
	// were told of.
	Count     uint64    `json:"count"`
	Reported  uint64    `json:"reported"`
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	// ActiveAt is when the last event was folded in, by the notifier's clock:
	// the beginning of the quiet.
	ActiveAt time.Time `json:"active_at"`
	// WindowEnd is before when nothing more is told.
	WindowEnd time.Time `json:"window_end"`

	// Untold tells that nothing was told of this run yet: it is held, or a storm
	// that is still being counted. WindowEnd is when to look again.
	Untold bool `json:"untold,omitempty"`
	// Acknowledged is who takes care of it; then no more is told but the end.
	Acknowledged *acknowledgement `json:"acknowledged,omitempty"`

	// Transitions counts what was ever told, Pending is what is yet to be
	// published, in order.
	Transitions uint64       `json:"transitions"`
	Pending     []transition `json:"pending,omitempty"`
	// Closed is the end: once nothing is pending the group is forgotten.
	Closed bool `json:"closed,omitempty"`

	// Stream is when EVENTS_CLEAN was created, in Unix nanoseconds, and Folded
	// which of its events were counted. Of another stream it means nothing.
	Stream int64     `json:"stream"`
	Folded sequences `json:"folded"`
	// Storm is for the group that counts together what there is too much of.
	Storm *storm `json:"storm,omitempty"`
	// Versions is what is known of the product; nil for rules without versions.
	Versions *versions `json:"versions,omitempty"`

	key string
}

// opens tells whether the event would begin something new to tell of.
func (g *group) opens(o *observation) bool {
	switch {
	case g.counted(o):
		return false
	case g.Opened == "" || g.Closed:
		return true
	}
	return g.Versions != nil && g.Versions.isNews(o.version)
}

// counted tells whether the event was folded in before.
func (g *group) counted(o *observation) bool { return g.Stream == o.stream && g.Folded.has(o.sequence) }

// forgetVersionsAfter is how long the versions of a product are known that
// nobody speaks of any more.
const forgetVersionsAfter = 90 * 24 * time.Hour

// fold counts one event and reports whether it was not counted before.
func (g *group) fold(o *observation, now time.Time, t timing) bool {
	if g.Stream != o.stream {
		g.Stream, g.Folded = o.stream, sequences{}
	}
	if !g.Folded.add(o.sequence) {
		return false
	}
	g.ActiveAt = now.UTC()
	switch {
	case g.Opened == "" || g.Closed:
		g.open(o, now, t)
	case g.Versions != nil:
		g.foldVersion(o, now, t)
	case g.Storm != nil:
		g.addToStorm(o, now)
	default:
		g.add(o)
		g.due(now, t)
	}
	return true
}

// open begins to fire.
func (g *group) open(o *observation, now time.Time, t timing) {
	g.Format, g.key, g.Untold, g.Acknowledged = groupFormat, o.key, true, nil
	g.Tenant, g.Action, g.App = o.tenant, o.action, o.app
	g.Fingerprint, g.Title, g.Severity, g.Receivers = o.fingerprint.text, o.title, o.severity, nil
	g.Opened = strconv.FormatUint(o.sequence, 10) + "@" + strconv.FormatInt(o.storedAt.UnixNano(), 10)
	g.Count, g.Reported, g.FirstSeen, g.LastSeen = 0, 0, o.seenAt, o.seenAt
	if g.Storm != nil {
		g.Storm.begin(now)
	}
	g.add(o)
	if g.Closed || !o.versions {
		g.Closed, g.Versions = false, nil
	}
	if o.versions {
		if g.Versions == nil {
			g.Versions = &versions{}
		}
		g.Versions.learn(o.version)
	}
	if g.Storm != nil {
		g.WindowEnd = now.UTC().Add(stormSettle)
		return
	}
	if until := t.heldUntil(g, now); !until.IsZero() {
		g.WindowEnd = until.UTC()
		return
	}
	g.tell(schemas.AlertFiring, now, t)
	first := &g.Pending[len(g.Pending)-1]
	first.TraceParent, first.causedAt = o.traceParent, o.storedAt
}

// foldVersion fires for a version that is news and counts one that is told of;
// what is older than that is neither.
func (g *group) foldVersion(o *observation, now time.Time, t timing) {
	switch {
	case g.Versions.isNews(o.version):
		g.open(o, now, t)
	case g.Fingerprint == o.fingerprint.text:
		g.add(o)
	}
}

func (g *group) add(o *observation) {
	g.Count++
	g.Message, g.Event = o.message, o.sample
	if g.Storm == nil {
		g.Severity, g.Receivers = o.severity, o.receivers
	} else {
		g.Severity, g.Receivers = worse(g.Severity, o.severity), union(g.Receivers, o.receivers)
		g.Storm.note(o.kind)
	}
	g.Rule, g.Why, g.Quiet = o.rule, o.why, o.quiet
	if o.seenAt.Before(g.FirstSeen) {
		g.FirstSeen = o.seenAt
	}
	if o.seenAt.After(g.LastSeen) {
		g.LastSeen = o.seenAt
	}
}

// due does what time has brought about and reports whether that changed the
// group. While something is yet to be published nothing is added to it.
func (g *group) due(now time.Time, t timing) bool {
	at := g.dueAt(t)
	if at.IsZero() || now.Before(at) {
		return false
	}
	news := g.hasNews()
	silent := news && t.silenced != nil && t.silenced(g, now)
	if until := t.heldUntil(g, now); !until.IsZero() && g.speaks(news) && !silent {
		g.WindowEnd = until.UTC()
		return false // nobody else needs to know: they see it by the clock too
	}
	switch {
	case g.Opened == "": // the last of what a storm is measured by has passed
		g.Closed = true
	case silent:
		g.Reported, g.WindowEnd = g.Count, now.UTC().Add(t.intervalOf(g))
	case news && g.Untold:
		g.tell(schemas.AlertFiring, now, t)
	case news && (g.Storm == nil || g.Count-g.Reported > uint64(max(0, t.stormLimit))):
		g.tell(schemas.AlertUpdate, now, t)
	default: // it was quiet
		g.Closed = true
		if !g.Untold && g.Versions == nil { // an update that is known of is not over
			g.tell(schemas.AlertResolved, now, t)
		}
	}
	return true
}

// hasNews tells whether there is something to tell but the end.
func (g *group) hasNews() bool {
	return g.Count > g.Reported && (g.Untold || g.Versions == nil && g.Acknowledged == nil)
}

// speaks tells whether what is due is told to anybody.
func (g *group) speaks(news bool) bool {
	return g.Opened != "" && (news || !g.Untold && g.Versions == nil)
}

// dueAt is when due has something to do next; zero is never as things stand.
func (g *group) dueAt(t timing) time.Time {
	switch {
	case g.Closed || len(g.Pending) > 0:
		return time.Time{}
	case g.Opened == "":
		return g.Storm.measuredUntil()
	case g.hasNews() || g.Storm != nil:
		return g.WindowEnd
	case g.Versions != nil:
		return g.ActiveAt.Add(forgetVersionsAfter)
	}
	if quiet := g.ActiveAt.Add(t.resolveAfter); quiet.After(g.WindowEnd) {
		return quiet
	}
	return g.WindowEnd
}

// groupFormat is the version of a group's form in the store.
const groupFormat = 1

// shrink leaves out what is large and reports whether there was anything.
func (g *group) shrink() bool {
	changed := g.Event != nil || len(g.Message) > shrunkMessageBytes
	g.Event, g.Message = nil, cutBytes(g.Message, shrunkMessageBytes)
	for i := range g.Pending {
		a := &g.Pending[i].Alert
		changed = changed || a.Data.Event != nil || len(a.Data.Message) > shrunkMessageBytes
		*a = shrink(*a)
	}
	return changed
}

// encode writes the group as the store holds it.
func (g *group) encode() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // the sample stays as it came
	if err := enc.Encode(g); err != nil {
		return nil, fmt.Errorf("encode group: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// empty tells that there is nothing to keep.
func (g *group) empty() bool {
	return g.Opened == "" && len(g.Pending) == 0 && (g.Storm == nil || len(g.Storm.Grants) == 0)
}

var errGroupFormat = errors.New("written in another format")

// decodeGroup reads what encode wrote.
func decodeGroup(key string, data []byte) (*group, error) {
	g := &group{key: key}
	if err := json.Unmarshal(data, g); err != nil {
		// Its own words may quote the value.
		return nil, errGroupFormat
	}
	if g.Format != groupFormat || g.empty() {
		return nil, errGroupFormat
	}
	return g, nil
}
