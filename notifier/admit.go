package notifier

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/notifier/rules"
)

// What may open a group: the limit of new groups a minute, silences, and rules
// that were read anew.

// admit returns the entry of a group that the event would open: its own, or that
// of the storm in its app, of which the observation then becomes one.
func (d *desk) admit(o **observation, now time.Time) *entry {
	own := *o
	e := d.entry(o)
	if *o != own || d.timing.stormLimit == 0 { // more groups than are kept apart
		return e
	}
	held := time.Time{}
	if d.timing.held != nil {
		held = d.timing.held(own.quiet, own.severity, now)
	}
	until := now.Add(stormWindow)
	if !held.IsZero() {
		until = held.Add(stormWindow) // when they are all told at once
	}
	meter := d.meter(own.stormKey(!held.IsZero()))
	ok := false
	if !meter.group.counted(own) { // else it was counted by a storm, and comes again
		var changed bool
		if ok, changed = meter.group.grants(own.key, until, now, d.timing.stormLimit); changed {
			meter.asks = append(meter.asks, ask{e, until})
			e.meter = meter
			if meter.storeAt.IsZero() {
				meter.storeAt = now
			}
			d.hurry(meter, now)
		}
	}
	if ok {
		if meter.index < 0 {
			d.settle(meter)
		}
		return e
	}
	if e.index < 0 && e.group.empty() && len(e.folded) == 0 {
		d.drop(e)
	}
	*o = own.storm(meter.group.key, d.timing.stormLimit)
	return meter
}

func (d *desk) meter(key string) *entry {
	e := d.groups[key]
	if e == nil {
		e = d.add(key)
	}
	if e.group.Storm == nil {
		e.group.Storm = &storm{}
		d.meters++
	}
	return e
}

// granted takes note that what the entry was asked for is in the store.
func (e *entry) granted() {
	for _, a := range e.asks {
		if a.entry.meter == e {
			a.entry.meter = nil
		}
	}
	e.asks = nil
}

// measured returns those of the entries that may be written: what they have asked
// is in the store. Others are written after that.
func (d *desk) measured(entries []*entry) []*entry {
	out := entries[:0:0]
	for _, e := range entries {
		switch {
		case d.groups[e.group.key] != e || e.storeAt.IsZero():
		case e.meter != nil:
			e.storeAt = e.meter.storeAt
			if e.storeAt.IsZero() {
				e.storeAt = time.Now()
			}
		default:
			out = append(out, e)
		}
	}
	return out
}

// askAgain asks for the groups once more after another notifier has written the
// meter. What there is no room for any more is counted by the storm.
func (d *desk) askAgain(meter *entry, now time.Time) {
	if meter.group.Storm == nil {
		return
	}
	asks := meter.asks
	meter.asks = nil
	for _, a := range asks {
		e := a.entry
		if e.meter != meter || d.groups[e.group.key] != e {
			continue
		}
		ok, changed := meter.group.grants(e.group.key, a.until, now, d.timing.stormLimit)
		if !ok && e.revision == 0 {
			d.divert(e, meter, now)
			continue
		}
		// A group that is in the store from before stays: taking this run of it
		// back is worse than one alert too many.
		if changed {
			meter.asks = append(meter.asks, a)
		} else {
			e.meter = nil
		}
	}
}

// divert has the storm count what a group was to be opened for that is not in the
// store.
func (d *desk) divert(e, meter *entry, now time.Time) {
	for _, o := range e.folded {
		so := o.storm(meter.group.key, d.timing.stormLimit)
		if meter.group.fold(so, now, d.timing) {
			meter.folded = append(meter.folded, so)
		}
	}
	meter.deliveries = append(meter.deliveries, e.deliveries...)
	if len(meter.deliveries) > 0 {
		d.holding[meter] = struct{}{}
	}
	delete(d.holding, e)
	e.folded, e.deliveries, e.meter, e.storeAt = nil, nil, nil, time.Time{}
	d.drop(e)
}

// silenced tells whether a silence in force is about that.
func (d *desk) silenced(about subject, now time.Time) bool {
	for _, s := range d.silences {
		if s.covers(&about, now) {
			return true
		}
	}
	return false
}

// learnSilence takes note of what the store says about a silence.
func (d *desk) learnSilence(change jetstream.KeyValueEntry) {
	if change == nil {
		return
	}
	delete(d.silences, change.Key())
	if change.Operation() != jetstream.KeyValuePut {
		return
	}
	s, err := decodeSilence(change.Key(), change.Value())
	if err != nil {
		d.log.Warn("silence cannot be read and is not in force", "key", change.Key(), "error", err)
		return
	}
	if time.Now().Before(s.Until) {
		d.silences[s.ID] = s
	}
}

// obey puts rules in force: for what comes, and for what quiet hours hold.
func (d *desk) obey(set *rules.Set) {
	d.reader.rules, d.timing.held, d.reader.because = set, set.HeldUntil, ""
	complained := map[string]bool{}
	d.reader.broken = func(rule string) {
		d.metrics.ruleErrors.Inc()
		if !complained[rule] {
			complained[rule] = true
			d.log.Warn("rule cannot be applied to some events: its condition does not match them, its texts are left out; notifier explain shows it for one",
				"rule", rule)
		}
	}
	now := time.Now().UTC()
	for _, e := range d.groups {
		if e.group.Untold && e.group.Storm == nil && e.group.WindowEnd.After(now) {
			e.group.WindowEnd = now // where it is held still, it is put off again
			d.settle(e)
		}
	}
}
