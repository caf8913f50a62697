// Package generate makes synthetic audit events in the shape of authentik's:
// the life of one organisation, people who log in before they act, failed
// logins in bursts, deploys that break, with credentials planted in some events.
//
// It owns the organisation, the order of what happens in it and the places in
// an event where a credential can stand. It promises that the same [Config]
// gives the same bytes on every machine, that every event is valid, that every
// planted value is unique and announced in [Event.Secrets], and that any 500
// consecutive events hold each of the 24 actions at least once.
//
// It refuses to know about subjects, tenants, rates and files: whoever calls it
// decides where the events go and how fast. Nothing in it is a real person, a
// real address or a working credential.
package generate

import (
	"bytes"
	"strconv"
	"time"
)

// DefaultSecretRate is the share of events that carry a secret when
// [Config.SecretRate] is zero. Most audit events carry none; 5 % is enough to
// meet every carrier within a few hundred events.
const DefaultSecretRate = 0.05

// DefaultInterval is the mean time between two events when [Config.Interval] is
// zero: an organisation of some hundred people at 86,000 events a day.
const DefaultInterval = time.Second

// DefaultStart is the time before the first event when [Config.Start] is zero.
// It is fixed so that the same seed gives the same bytes on any day. Whoever
// stores the events under a retention should set Start instead, since a fixed
// time grows older than any retention some day.
func DefaultStart() time.Time {
	return time.Date(2026, time.November, 2, 8, 0, 0, 0, time.UTC)
}

// Config says which events to make. The zero value is usable.
type Config struct {
	// Seed chooses the organisation and everything that happens in it.
	Seed uint64
	// Start is the time before the first event, from 1970 on, cut to whole
	// microseconds. Zero means [DefaultStart].
	Start time.Time
	// Interval is the mean time between two events, at most a year; each gap is
	// spread evenly between none and twice that, and never less than a
	// microsecond. Zero or less means [DefaultInterval].
	Interval time.Duration
	// SecretRate is the share of events, 0 to 1, that carry a planted secret.
	// Zero means [DefaultSecretRate]; a negative rate plants none. The rate
	// changes nothing else in the events.
	SecretRate float64
}

// Event is one audit event together with what is known about it.
type Event struct {
	// JSON is the event on one line, without a line end. It belongs to the caller.
	JSON []byte
	// PK is the event's id as it stands in JSON, a UUID of version 7.
	PK string
	// Action is the event's action as it stands in JSON.
	Action string
	// Secrets are the credentials planted in this event, mostly none.
	Secrets []Secret
}

// Generator makes events. It is not safe for concurrent use.
type Generator struct {
	schedule   *schedule
	draft      draft
	planter    *planter
	random     random // times, ids and the wording of events
	actions    []action
	created    time.Time
	gapMicros  int // upper limit of the time between two events, in µs
	secretRate float64
}

// New makes a generator that starts at the first event of cfg.
func New(cfg Config) *Generator {
	if cfg.Start.IsZero() {
		cfg.Start = DefaultStart()
	}
	if cfg.Interval <= 0 {
		cfg.Interval = DefaultInterval
	}
	cfg.Interval = min(cfg.Interval, 365*24*time.Hour)
	if cfg.SecretRate == 0 {
		cfg.SecretRate = DefaultSecretRate
	}
	// Separate streams of randomness, so that the wording of an event or a
	// planted secret does not change what happens next.
	seeds := random{state: cfg.Seed}
	orgRandom, lifeRandom := random{seeds.next()}, random{seeds.next()}
	wording, secrets := random{seeds.next()}, random{seeds.next()}

	org := newOrganisation(&orgRandom)
	return &Generator{
		schedule:   newSchedule(org, lifeRandom),
		draft:      draft{org: org},
		planter:    newPlanter(cfg.Seed, secrets),
		random:     wording,
		actions:    actions(),
		created:    cfg.Start.UTC().Truncate(time.Microsecond),
		gapMicros:  2 * int(cfg.Interval/time.Microsecond),
		secretRate: cfg.SecretRate,
	}
}

// Next makes the next event. There is always a next one.
func (g *Generator) Next() Event {
	step := g.schedule.next()
	g.created = g.created.Add(time.Duration(1+g.random.below(g.gapMicros+1)) * time.Microsecond)

	d := &g.draft
	d.begin(step, &g.actions[step.kind], &g.random)
	pk := d.uuid7(g.created)
	if g.planter.due(g.secretRate) {
		g.planter.plant(d)
	}
	d.write(pk, g.created)
	return Event{JSON: bytes.Clone(d.buf), PK: pk, Action: d.action.name, Secrets: d.secrets}
}

// Actions lists the actions that a generator makes, in the order of authentik's
// documentation.
func Actions() []string {
	names := make([]string, 0, kindCount)
	for _, a := range actions() {
		names = append(names, a.name)
	}
	return names
}

// Marker is the text that every planted secret of a seed begins with, whatever
// its carrier and encoding, save numbers. It holds letters, digits and dashes
// alone, so no encoding of the value touches it, and it stands nowhere else in
// an event: a search for it finds any secret that got through.
func Marker(seed uint64) string {
	const digits = 16
	hex := strconv.FormatUint(seed, 16)
	return "s3cr-" + "0000000000000000"[:digits-len(hex)] + hex + "-"
}
