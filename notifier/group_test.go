package notifier

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/schemas"
)

var testTiming = timing{interval: 5 * time.Minute, resolveAfter: 24 * time.Hour}

// told is what the tests see of an alert.
type told struct {
	kind  string
	count uint64
	at    time.Duration // since the beginning of the test
}

// story plays events against one group in synctest's time, publishing at once.
type story struct {
	t     *testing.T
	group *group
	start time.Time
	last  uint64
	told  []told
	ids   []string
}

func newStory(t *testing.T) *story {
	t.Helper()
	return &story{t: t, group: &group{}, start: time.Now()}
}

// event folds the next event.
func (s *story) event(action, event string) {
	s.t.Helper()
	s.last++
	o := observe(s.t, action, event)
	o.sequence, o.storedAt, o.seenAt = s.last, time.Now(), time.Now()
	if !s.group.fold(o, time.Now(), testTiming) {
		s.t.Fatalf("event %d was not counted", s.last)
	}
	s.publish()
}

func (s *story) publish() {
	for _, p := range s.group.Pending {
		s.told = append(s.told, told{p.Alert.Type, p.Alert.Data.Count, time.Since(s.start)})
		s.ids = append(s.ids, p.Alert.ID)
	}
	s.group.Pending = nil
	if s.group.Closed {
		s.group = &group{}
	}
}

// wait lets time pass, with a look at the group whenever something is due.
func (s *story) wait(d time.Duration) {
	end := time.Now().Add(d)
	for {
		at := s.group.dueAt(testTiming)
		if at.IsZero() || at.After(end) {
			time.Sleep(time.Until(end))
			return
		}
		time.Sleep(time.Until(at))
		if !s.group.due(time.Now(), testTiming) {
			s.t.Fatal("nothing was due when it was said to be")
		}
		s.publish()
	}
}

func (s *story) want(want ...told) {
	s.t.Helper()
	if !slices.Equal(s.told, want) {
		s.t.Errorf("told\n got %v\nwant %v", s.told, want)
	}
	slices.Sort(s.ids)
	if n := len(s.ids); len(slices.Compact(s.ids)) != n {
		s.t.Errorf("ids repeat: %v", s.ids)
	}
}

const firing, update, resolved = schemas.AlertFiring, schemas.AlertUpdate, schemas.AlertResolved

func TestGroupOverTime(t *testing.T) {
	trouble := messageEvent("billing", "it broke")
	for name, play := range map[string]func(*story) []told{
		"one event": func(s *story) []told {
			s.event("system_exception", trouble)
			s.wait(time.Hour)
			return []told{{firing, 1, 0}}
		},
		"a flood is one alert and one update": func(s *story) []told {
			for range 1000 {
				s.event("system_exception", trouble)
			}
			s.wait(time.Hour)
			return []told{{firing, 1, 0}, {update, 1000, 5 * time.Minute}}
		},
		"a lasting flood is an update an interval": func(s *story) []told {
			for range 12 * 60 {
				s.event("system_exception", trouble)
				s.wait(time.Second)
			}
			s.wait(time.Hour)
			return []told{{firing, 1, 0}, {update, 300, 5 * time.Minute}, {update, 600, 10 * time.Minute}, {update, 720, 15 * time.Minute}}
		},
		"after a quiet interval the next one is told at once": func(s *story) []told {
			s.event("system_exception", trouble)
			s.wait(7 * time.Minute)
			s.event("system_exception", trouble)
			s.event("system_exception", trouble)
			s.wait(time.Hour)
			return []told{{firing, 1, 0}, {update, 2, 7 * time.Minute}, {update, 3, 12 * time.Minute}}
		},
		"a day of quiet resolves, then it fires anew": func(s *story) []told {
			s.event("system_exception", trouble)
			s.wait(time.Minute)
			s.event("system_exception", trouble)
			s.wait(25 * time.Hour)
			s.event("system_exception", trouble)
			return []told{{firing, 1, 0}, {update, 2, 5 * time.Minute}, {resolved, 2, 24*time.Hour + time.Minute}, {firing, 1, 25*time.Hour + time.Minute}}
		},
		"the same version is told once": func(s *story) []told {
			for range 60 * 24 {
				s.event("update_available", `{"app":"a","context":{"new_version":"2026.5.0"}}`)
				s.wait(time.Hour)
			}
			return []told{{firing, 1, 0}}
		},
		"only newer versions are told": func(s *story) []told {
			for _, version := range []string{"1.9.0", "1.10.0", "1.9.0", "1.9.5", "v1.10.0", "1.11.0-rc1", "1.11.0"} {
				s.event("update_available", fmt.Sprintf(`{"app":"a","context":{"new_version":%q}}`, version))
				s.wait(time.Hour)
			}
			return []told{{firing, 1, 0}, {firing, 1, time.Hour}, {firing, 1, 5 * time.Hour}, {firing, 1, 6 * time.Hour}}
		},
		"versions are forgotten in silence after 90 days": func(s *story) []told {
			s.event("update_available", `{"app":"a","context":{"new_version":"2.0.0"}}`)
			s.wait(80 * 24 * time.Hour)
			s.event("update_available", `{"app":"a","context":{"new_version":"2.0.0"}}`)
			s.wait(91 * 24 * time.Hour)
			s.event("update_available", `{"app":"a","context":{"new_version":"2.0.0"}}`)
			return []told{{firing, 1, 0}, {firing, 1, 171 * 24 * time.Hour}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStory(t)
				s.want(play(s)...)
			})
		})
	}
}

func TestFoldCountsEachEventOnce(t *testing.T) {
	g := &group{}
	now := storedAt
	fold := func(sequence uint64, seen time.Duration) bool {
		o := observe(t, "system_exception", messageEvent("a", fmt.Sprintf("order %d", sequence)))
		o.sequence, o.seenAt = sequence, storedAt.Add(seen)
		return g.fold(o, now, testTiming)
	}
	for i, c := range []struct {
		sequence uint64
		seen     time.Duration
		want     bool
	}{
		{10, 0, true}, {10, 0, false}, {12, time.Second, true}, {11, -time.Second, true}, {12, time.Hour, false}, {10, 0, false},
	} {
		if got := fold(c.sequence, c.seen); got != c.want {
			t.Errorf("step %d: counted %v, want %v", i, got, c.want)
		}
	}
	if g.Count != 3 || !g.FirstSeen.Equal(storedAt.Add(-time.Second)) || !g.LastSeen.Equal(storedAt.Add(time.Second)) {
		t.Errorf("count %d, seen %s to %s", g.Count, g.FirstSeen, g.LastSeen)
	}
	if g.Title != "order 10" || g.Message != "order 11" {
		t.Errorf("title %q and message %q: want the first and the last", g.Title, g.Message)
	}
	o := observe(t, "system_exception", messageEvent("a", "order 1"))
	o.sequence, o.stream = 10, 2
	if !g.fold(o, now, testTiming) {
		t.Error("an event of a stream that was made again was taken for one of the old")
	}
}

func TestNothingIsAddedToWhatIsPending(t *testing.T) {
	g := &group{}
	o := observe(t, "system_exception", messageEvent("a", "b"))
	g.fold(o, storedAt, testTiming)
	again := *o
	again.sequence++
	g.fold(&again, storedAt.Add(time.Hour), testTiming)
	if g.due(storedAt.Add(48*time.Hour), testTiming) || len(g.Pending) != 1 || g.Pending[0].Alert.Data.Count != 1 {
		t.Fatalf("pending %+v", g.Pending)
	}
	g.Pending = nil
	if !g.due(storedAt.Add(2*time.Hour), testTiming) || g.Pending[0].Alert.Type != update || g.Pending[0].Alert.Data.Count != 2 {
		t.Errorf("pending %+v", g.Pending)
	}
}

func TestReopenedBeforeTheEndWasTold(t *testing.T) {
	g := &group{}
	o := observe(t, "system_exception", messageEvent("a", "b"))
	g.fold(o, storedAt, testTiming)
	g.Pending = nil
	g.due(storedAt.Add(25*time.Hour), testTiming)
	again := *o
	again.sequence++
	g.fold(&again, storedAt.Add(26*time.Hour), testTiming)
	if len(g.Pending) != 2 || g.Closed {
		t.Fatalf("pending %+v, closed %v", g.Pending, g.Closed)
	}
	first, second := g.Pending[0].Alert, g.Pending[1].Alert
	if first.Type != resolved || second.Type != firing || first.ID == second.ID || second.Data.Count != 1 {
		t.Errorf("got %s %d, %s %d", first.Type, first.Data.Count, second.Type, second.Data.Count)
	}
}

func TestPendingIsBounded(t *testing.T) {
	g := &group{}
	for i := range 1000 {
		o := observe(t, "update_available", fmt.Sprintf(`{"app":"a","context":{"new_version":"1.0.%d","x":%q}}`, i, strings.Repeat("x", 4000)))
		o.sequence = uint64(i + 1)
		g.fold(o, storedAt, testTiming)
	}
	data, err := g.encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Pending) != maxPending || len(data) > 200<<10 || g.Pending[maxPending-1].Alert.Data.Event == nil {
		t.Errorf("%d pending, %d bytes", len(g.Pending), len(data))
	}
	if !g.shrink() || g.shrink() {
		t.Error("shrink must leave something out once")
	}
}

func TestGroupSurvivesTheStore(t *testing.T) {
	g := &group{key: "default.x"}
	o := observe(t, "update_available", `{"app":"a","context":{"new_version":"1.0.0","html":"<b>&"}}`)
	g.fold(o, storedAt, testTiming)
	data, err := g.encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := decodeGroup("default.x", data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.encode()
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != string(again) {
		t.Errorf("written\n%s\nread and written\n%s", data, again)
	}
	if string(back.Pending[0].Alert.Data.Event) != string(o.sample) {
		t.Errorf("the sample became %s", back.Pending[0].Alert.Data.Event)
	}
	for _, bad := range []string{"", "{}", "[]", `{"format":2,"opened":"x"}`, `{"format":1}`, `{"format":1,"opened":"x","folded":"?"}`} {
		if _, err := decodeGroup("k", []byte(bad)); err == nil {
			t.Errorf("%s was read as a group", bad)
		}
	}
	if !json.Valid(data) {
		t.Error("not JSON")
	}
}
