package notifier

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/schemas"
)

// distinct is a text that is another trouble for each n.
func distinct(n int) string {
	return "trouble " + strings.Map(func(r rune) rune { return 'g' + r - '0' }, fmt.Sprintf("%06d", n))
}

// byApp sorts the alerts into those of one trouble and those of storms.
func byApp(alerts []schemas.Alert) (singles map[string]int, storms map[string][]schemas.Alert) {
	singles, storms = map[string]int{}, map[string][]schemas.Alert{}
	for _, a := range alerts {
		if a.Data.Different > 0 {
			storms[a.Data.App] = append(storms[a.Data.App], a)
		} else {
			singles[a.Data.App]++
		}
	}
	return singles, storms
}

// TestStorm lets a thousand different troubles come in each of two apps, with two
// notifiers, one of which is started again in the middle.
func TestStorm(t *testing.T) {
	w := newWorld(t)
	a := w.start(long, long, nil)
	w.start(long, long, nil)
	const kinds, limit = 1000, 10
	for n := range kinds {
		w.queue("system_exception", messageEvent("billing", distinct(n)))
		w.queue("configuration_error", messageEvent("login", distinct(n)))
		if n%50 == 49 {
			w.flush()
		}
		if n == kinds/2 {
			a.stop(t)
			w.start(long, long, nil)
		}
	}
	w.wantAcknowledged()
	var (
		singles map[string]int
		storms  map[string][]schemas.Alert
	)
	w.eventually("two storms", func() bool {
		singles, storms = byApp(w.alerts())
		return len(storms["billing"]) == 1 && len(storms["login"]) == 1
	}, func() any { return brief(w.alerts()) })
	for app := range storms {
		storm := storms[app][0]
		if singles[app] > limit || storm.Type != schemas.AlertFiring {
			t.Errorf("%s: %d singles, and a storm that is %s", app, singles[app], storm.Type)
		}
		if got := uint64(singles[app]) + storm.Data.Count; got != kinds || storm.Data.Different != kinds-limit {
			t.Errorf("%s: %d singles and a storm with %d events of %d troubles", app, singles[app], storm.Data.Count, storm.Data.Different)
		}
		t.Logf("%s: %d singles; %q: %q", app, singles[app], storm.Data.Title, storm.Data.Message)
	}
	// While the storm is on, what is open already is told as ever, and each event
	// has been counted once.
	total := uint64(0)
	for _, g := range w.groups() {
		total += g.Count
	}
	if total != 2*kinds {
		t.Errorf("%d of %d events counted", total, 2*kinds)
	}
}

// A storm over time, with events that come in different speeds.
func TestStormOverTime(t *testing.T) {
	for name, c := range map[string]struct {
		events int
		every  time.Duration
		want   []told
	}{
		"a burst is told when it pauses": {100, time.Millisecond, []told{
			{firing, 100, 3*time.Second + 99*time.Millisecond},
			{resolved, 100, 5*time.Minute + 3*time.Second + 99*time.Millisecond},
		}},
		"what lasts is told after a minute, and then at the interval": {400, time.Second, []told{
			{firing, 60, 60*time.Second - time.Second},
			{update, 360, 6*time.Minute - time.Second},
			{update, 400, 11*time.Minute - time.Second},
			{resolved, 400, 16*time.Minute - time.Second},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				timing := testTiming
				timing.stormLimit = 10
				g := &group{key: "default.x", Storm: &storm{}}
				start := time.Now()
				var got []told
				say := func() {
					for _, p := range g.Pending {
						got = append(got, told{p.Alert.Type, p.Alert.Data.Count, time.Since(start)})
					}
					g.Pending = nil
				}
				wait := func(d time.Duration) {
					for end := time.Now().Add(d); ; {
						at := g.dueAt(timing)
						if at.IsZero() || at.After(end) {
							time.Sleep(time.Until(end))
							return
						}
						time.Sleep(time.Until(at))
						g.due(time.Now(), timing)
						say()
					}
				}
				for n := range c.events {
					o := observe(t, "system_exception", messageEvent("a", distinct(n))).storm(g.key, 10)
					o.sequence = uint64(n + 1)
					if !g.fold(o, time.Now(), timing) {
						t.Fatal("not counted")
					}
					say()
					if n < c.events-1 {
						wait(c.every)
					}
				}
				wait(time.Hour)
				if len(got) != len(c.want) {
					t.Fatalf("got %v, want %v", got, c.want)
				}
				for i := range got {
					if got[i].kind != c.want[i].kind || (got[i].at-c.want[i].at).Abs() > 4*time.Second {
						t.Errorf("got %v, want %v", got[i], c.want[i])
					}
				}
				if last := got[len(got)-1]; last.count != uint64(c.events) || !g.Closed {
					t.Errorf("the end: %v, closed %v", last, g.Closed)
				}
			})
		})
	}
}

func TestGrants(t *testing.T) {
	g := &group{Storm: &storm{}}
	now := storedAt
	ask := func(key string, want bool) {
		t.Helper()
		if ok, _ := g.grants(key, now.Add(stormWindow), now, 2); ok != want {
			t.Errorf("%s at %s: %v, want %v", key, now, ok, want)
		}
	}
	ask("a", true)
	ask("b", true)
	ask("c", false)
	ask("a", true) // it comes again
	now = now.Add(stormWindow)
	ask("c", true)
	ask("d", true)
	ask("a", false)
	if len(g.Storm.Grants) != 2 || !g.Storm.measuredUntil().Equal(now.Add(stormWindow)) {
		t.Errorf("grants %v", g.Storm.Grants)
	}
	data, err := g.encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := decodeGroup("k", data); err != nil || len(back.Storm.Grants) != 2 {
		t.Errorf("the store keeps %s: %v", data, err)
	}
}

func TestWhatIsWorseIsToldAtOnce(t *testing.T) {
	timing := testTiming
	timing.stormLimit = 1
	g := &group{key: "default.x", Storm: &storm{}}
	o := observe(t, "system_exception", messageEvent("a", "b")).storm(g.key, 1)
	o.severity, o.receivers = schemas.SeverityNotice, []string{"mail"}
	g.fold(o, storedAt, timing)
	g.due(storedAt.Add(stormWindow), timing)
	g.Pending = nil
	again := *o
	for i, c := range []struct {
		severity  schemas.Severity
		receivers []string
		told      bool
	}{
		{schemas.SeverityNotice, []string{"mail"}, false},
		{schemas.SeverityAlert, nil, true},
		{schemas.SeverityWarning, []string{"mail"}, false},
		{schemas.SeverityWarning, []string{"slack"}, true},
	} {
		again.sequence++
		again.severity, again.receivers = c.severity, c.receivers
		at := storedAt.Add(stormWindow + time.Duration(i+1)*time.Second)
		g.fold(&again, at, timing)
		if g.due(at, timing) != c.told || c.told && g.Pending[0].Alert.Type != firing {
			t.Errorf("step %d: told %v", i, g.Pending)
		}
		g.Pending = nil
	}
	if g.Severity != schemas.SeverityAlert || len(g.Receivers) != 2 {
		t.Errorf("severity %s, receivers %v", g.Severity, g.Receivers)
	}
}

func TestKindsAreCountedOnceAndBounded(t *testing.T) {
	s := &storm{}
	for range 3 {
		for n := range 2 * maxKinds {
			s.note(uint64(n) * 0x9e3779b97f4a7c15)
		}
	}
	if s.different() != maxKinds {
		t.Errorf("%d different", s.different())
	}
}

// TestQuietHoursHaveALimitOfTheirOwn opens groups that are held back: the morning
// begins with no more than the limit, and what is told at once is not held up.
func TestQuietHoursHaveALimitOfTheirOwn(t *testing.T) {
	d := testDesk(t)
	d.timing.stormLimit = 10
	morning := storedAt.Add(8 * time.Hour)
	d.timing.held = func(quiet string, _ schemas.Severity, now time.Time) time.Time {
		if quiet != "" && now.Before(morning) {
			return morning
		}
		return time.Time{}
	}
	open := func(n int, quiet string, at time.Time) *group {
		o := observe(t, "system_exception", messageEvent("billing", distinct(n)))
		o.sequence, o.quiet = uint64(n+1), quiet
		e := d.admit(&o, at)
		e.group.fold(o, at, d.timing)
		return e.group
	}
	for n := range 30 {
		g := open(n, "nights", storedAt.Add(time.Duration(n)*10*time.Minute))
		if (g.Storm != nil) != (n >= 10) || len(g.Pending) > 0 {
			t.Errorf("event %d: storm %v, %d pending", n, g.Storm != nil, len(g.Pending))
		}
	}
	if g := open(30, "", storedAt.Add(6*time.Hour)); g.Storm != nil || len(g.Pending) != 1 {
		t.Errorf("what is not held is not told: %+v", g)
	}
	told := 0
	for _, e := range d.groups {
		if e.group.Untold && !e.group.dueAt(d.timing).After(morning) {
			e.group.due(morning.Add(-time.Second), d.timing)
			if len(e.group.Pending) > 0 {
				t.Error("told before the morning")
			}
			e.group.due(morning, d.timing)
			told += len(e.group.Pending)
		}
	}
	if told != 11 {
		t.Errorf("%d alerts in the morning", told)
	}
}
