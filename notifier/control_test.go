package notifier

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/micro"

	"sluice/notifier/rules"
	"sluice/schemas"
)

// request asks the notifiers and returns the answer, or the error's code.
func (w *world) request(subject string, body, answer any) string {
	w.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	msg, err := w.conn.NC.Request(subject, data, 10*time.Second)
	if err != nil {
		w.t.Fatalf("request on %s: %v", subject, err)
	}
	if code := msg.Header.Get(micro.ErrorCodeHeader); code != "" {
		return code
	}
	if err := json.Unmarshal(msg.Data, answer); err != nil {
		w.t.Fatal(err)
	}
	return ""
}

func TestSilence(t *testing.T) {
	w := newWorld(t)
	s := w.start(short, long, nil)
	w.events(1, "system_exception", boom)
	first := w.wantAlerts("firing 1")[0]

	// The command that the alert names, as a request.
	command := strings.Fields(strings.TrimPrefix(first.Data.Silence, "notifier silence add -for 4h "))
	matchers, err := ParseMatchers(command)
	if err != nil {
		t.Fatal(err)
	}
	var added Silence
	if code := w.request(SubjectSilenceAdd, map[string]any{"matchers": matchers, "for": "4h", "author": "ann", "comment": "being repaired"}, &added); code != "" {
		t.Fatalf("code %s", code)
	}
	if code := w.request(SubjectSilenceAdd, map[string]any{"matchers": map[string]string{"app": "quiet*"}, "for": "1h"}, &Silence{}); code != "" {
		t.Fatalf("code %s", code)
	}
	// What opens nothing counts by its metric: the desk knows of the silences.
	sent := 0.0
	w.eventually("a silenced event", func() bool {
		sent++
		w.events(1, "system_exception", messageEvent("quiet-app", distinct(int(sent))))
		w.wantAcknowledged()
		return s.metric(t, "notifier_events_total", "outcome=silenced") > 0
	}, func() any { return sent })
	before := len(w.alerts())
	w.events(5, "system_exception", boom)
	w.events(5, "configuration_error", messageEvent("quiet-app", "other"))
	w.wantAcknowledged()
	w.eventually("the count in the store", func() bool {
		return slices.ContainsFunc(w.groups(), func(g *group) bool { return g.App == "billing" && g.Count == 6 && g.Reported == 6 })
	}, func() any { return w.groups() })
	if got := len(w.alerts()); got != before {
		t.Errorf("%d alerts, %d before", got, before)
	}
	var list struct{ Silences []Silence }
	w.request(SubjectSilenceList, nil, &list)
	if len(list.Silences) != 2 || list.Silences[1].ID != added.ID || list.Silences[1].Author != "ann" {
		t.Errorf("list %+v", list)
	}

	// They hold over a restart, and end when they are removed.
	s.stop(t)
	s = w.start(short, long, nil)
	w.events(1, "system_exception", boom)
	w.wantAcknowledged()
	if got := len(w.alerts()); got != before {
		t.Errorf("%d alerts after a restart, %d before", got, before)
	}
	if code := w.request(SubjectSilenceRemove, map[string]string{"id": added.ID}, &struct{}{}); code != "" {
		t.Errorf("code %s", code)
	}
	w.eventually("an update", func() bool {
		w.events(1, "system_exception", boom)
		w.wantAcknowledged()
		alerts := w.alerts()
		return len(alerts) > before && alerts[len(alerts)-1].Data.Fingerprint == first.Data.Fingerprint
	}, func() any { return brief(w.alerts()) })
	for subject, body := range map[string]any{
		SubjectSilenceRemove: map[string]string{"id": added.ID}, SubjectAcknowledge: map[string]string{"group": "default." + strings.Repeat("0", 32)},
	} {
		if code := w.request(subject, body, nil); code != "404" {
			t.Errorf("%s: code %q", subject, code)
		}
	}
	for name, body := range map[string]any{
		"nothing": nil, "no duration": map[string]any{"matchers": matchers}, "another name": map[string]any{"for": "1h", "matchers": map[string]string{"x": "y"}},
		"for ever": map[string]any{"for": "99999h", "matchers": matchers}, "a list": []int{1},
	} {
		if code := w.request(SubjectSilenceAdd, body, nil); code != "400" {
			t.Errorf("%s: code %q", name, code)
		}
	}
}

func TestAcknowledge(t *testing.T) {
	w := newWorld(t)
	w.start(short, 4*time.Second, nil)
	w.events(1, "system_exception", boom)
	first := w.wantAlerts("firing 1")[0]
	if code := w.request(SubjectAcknowledge, map[string]string{"group": first.Data.Group, "by": "ann"}, &struct{}{}); code != "" {
		t.Fatalf("code %s", code)
	}
	w.eventually("the word in the store", func() bool { return w.groups()[0].Acknowledged != nil }, func() any { return w.groups() })
	w.events(3, "system_exception", boom)
	w.wantAlerts("firing 1", "resolved 4")
	w.events(1, "system_exception", boom)
	w.wantAlerts("firing 1", "resolved 4", "firing 1")
}

func TestReload(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "notifier.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("version: 1\n")
	reload := make(chan os.Signal)
	w.config = func(c *Config) { c.File, c.Reload = file, reload }
	s := w.start(long, long, nil)
	w.events(1, "system_exception", boom)
	w.wantAlerts("firing 1")

	write("version: 1\nrules:\n  - {name: x, match: {actoin: login}}\n")
	reload <- syscall.SIGHUP
	w.eventually("a failed reload", func() bool { return s.metric(t, "notifier_rules_reloads_total", "result=failed") == 1 }, func() any { return s.log.String() })
	if log := s.log.String(); !strings.Contains(log, file+":3: rules[0].match.actoin: unknown") || !strings.Contains(log, "the old ones stay in force") {
		t.Errorf("log:\n%s", log)
	}

	write(`version: 1
receivers: {slack: {type: nats, subject: a.b}, mail: {type: nats, subject: a.c}}
rules:
  - name: logins
    match: {action: login_failed, when: 'context.attempts > 3'}
    severity: warning
    receivers: [slack, mail]
    title: '{{.user.username}} cannot log in'
    message: 'http://{{.user.username}}:{{.context.a}}{{.context.b}}@db/'
`)
	reload <- syscall.SIGHUP
	w.eventually("a reload", func() bool { return s.metric(t, "notifier_rules_reloads_total", "result=ok") == 1 }, func() any { return s.log.String() })
	const login = `{"action":"login_failed","app":"a","user":{"username":"bob"},"context":{"attempts":9,"a":"hunt","b":"er2x9"}}`
	w.events(1, "login_failed", login)
	w.events(1, "login_failed", strings.Replace(login, "9,", "1,", 1))
	w.events(1, "policy_exception", messageEvent("a", "the built-in rules stand behind"))
	alerts := w.wantAlerts("firing 1", "firing 1", "firing 1")
	w.wantAcknowledged()
	i := slices.IndexFunc(alerts, func(a schemas.Alert) bool { return a.Data.Action == "login_failed" })
	got := alerts[i]
	if got.Data.Title != "bob cannot log in" || got.Data.Severity != schemas.SeverityWarning || got.Data.Rule != "logins" ||
		!strings.Contains(got.Data.Why, "rule logins matched action login_failed") {
		t.Errorf("got %+v", got.Data)
	}
	if strings.Contains(got.Data.Message, "hunter2x9") || !strings.Contains(got.Data.Message, schemas.Mask) {
		t.Errorf("a credential that the template put together is shown: %q", got.Data.Message)
	}
	stream, err := w.conn.JS.Stream(t.Context(), schemas.StreamAlerts)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(t.Context(), "alerts.default.warning.login_failed")
	if err != nil {
		t.Fatal(err)
	}
	if got := msg.Header.Get(schemas.HeaderReceivers); got != `["slack","mail"]` {
		t.Errorf("receivers %q", got)
	}
	if msg, err = stream.GetLastMsgForSubject(t.Context(), "alerts.default.alert.policy_exception"); err != nil || msg.Header.Get(schemas.HeaderReceivers) != "" {
		t.Errorf("receivers of a built-in rule: %v, %v", msg.Header, err)
	}
}

// TestQuietHoursHold plays a night: what is held is told in the morning, as one.
func TestQuietHoursHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it begins on Saturday, 2000-01-01, at midnight
		set, err := rules.Parse("r.yaml", []byte(`version: 1
quiet_hours:
  nights: {windows: [{from: "22:00", to: "07:00"}], hold: [notice, warning]}
rules:
  - {name: held, match: {action: login_failed}, severity: warning, quiet_hours: nights}
  - {name: not-held, match: {action: secret_view}, severity: alert, quiet_hours: nights}
`))
		if err != nil {
			t.Fatal(err)
		}
		d := testDesk(t)
		d.obey(set)
		play := func(action string, want ...told) {
			t.Helper()
			g, start := &group{}, time.Now()
			var got []told
			for n := range 5 {
				o, err := d.reader.read(incoming{
					subject: schemas.CleanSubject("default", action), data: []byte(boom), stream: 1, sequence: uint64(n + 1), storedAt: time.Now(),
				})
				if err != nil {
					t.Fatal(err)
				}
				g.fold(o, time.Now(), d.timing)
				for range 5 {
					for _, p := range g.Pending {
						got = append(got, told{p.Alert.Type, p.Alert.Data.Count, time.Since(start)})
					}
					g.Pending = nil
					if at := g.dueAt(d.timing); n == 4 && !g.Closed {
						time.Sleep(time.Until(at))
						g.due(time.Now(), d.timing)
					}
				}
				if n < 4 {
					time.Sleep(time.Minute)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", action, got, want)
			}
		}
		play("login_failed", told{firing, 5, 7 * time.Hour}, told{resolved, 5, 31 * time.Hour})
		if now := time.Now(); now.Hour() != 7 {
			t.Fatalf("it is %s", now)
		}
		time.Sleep(16 * time.Hour)
		play("secret_view", told{firing, 1, 0}, told{update, 5, 5 * time.Minute}, told{resolved, 5, 24*time.Hour + 4*time.Minute})
	})
}

func TestSilenceMatches(t *testing.T) {
	about := subject{"acme", "system_exception", "billing.tasks", "a,b", "v1:0f", "acme.1", schemas.SeverityAlert}
	now := storedAt
	for text, want := range map[string]bool{
		"tenant=acme": true, "tenant=acm": false, "app=billing.*": true, "app=*.tasks": true, "app=": false, "rule=b": true, "rule=c": false,
		"severity=alert tenant=*": true, "severity=notice": false, "fingerprint=v1:0f group=acme.1": true, "action=system_*": true, "group=x": false,
	} {
		matchers, err := ParseMatchers(strings.Fields(text))
		if err != nil {
			t.Fatal(err)
		}
		s := Silence{Matchers: matchers, CreatedAt: now, Until: now.Add(time.Hour)}
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := s.covers(&about, now); got != want {
			t.Errorf("%s: %v", text, got)
		}
		if s.covers(&about, now.Add(time.Hour)) {
			t.Errorf("%s: in force after its end", text)
		}
	}
	if (&Silence{Until: now.Add(time.Hour)}).covers(&about, now) {
		t.Error("a silence of nothing covers everything")
	}
}

// TestForeignSilencesStopNothing puts into the store what is no silence.
func TestForeignSilencesStopNothing(t *testing.T) {
	w := newWorld(t)
	silences, err := OpenSilences(t.Context(), w.conn)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"a": "{", "b": "{}", "c": `{"matchers":{},"until":"2999-01-01T00:00:00Z"}`} {
		if _, err := silences.kv.PutString(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	w.start(long, long, nil)
	w.events(1, "system_exception", boom)
	w.wantAlerts("firing 1")
	if list, err := silences.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("list %v, %v", list, err)
	}
}

// TestRemote asks a notifier what the commands else write to the store themselves.
func TestRemote(t *testing.T) {
	w := newWorld(t)
	remote := NewRemote(w.conn.NC)
	if _, err := remote.List(t.Context()); err == nil || !strings.Contains(err.Error(), "no notifier answers") {
		t.Errorf("without a notifier: %v", err)
	}
	w.start(long, long, nil)
	wanted := Silence{Matchers: map[string]string{"app": "billing.*"}, Author: "ann", Comment: "being repaired"}
	added, err := remote.Add(t.Context(), wanted, time.Hour)
	if err != nil || added.ID == "" || added.Author != "ann" {
		t.Fatalf("added %+v, %v", added, err)
	}
	if list, err := remote.List(t.Context()); err != nil || len(list) != 1 || list[0].ID != added.ID {
		t.Errorf("list %+v, %v", list, err)
	}
	if err := remote.Remove(t.Context(), added.ID); err != nil {
		t.Error(err)
	}
	if err := remote.Remove(t.Context(), added.ID); err == nil || !strings.Contains(err.Error(), ErrNoSilence.Error()) {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := remote.Add(t.Context(), Silence{}, time.Hour); err == nil {
		t.Error("a silence of nothing was added")
	}
	if err := remote.Acknowledge(t.Context(), "no.group", "ann", ""); err == nil || !strings.Contains(err.Error(), ErrNoGroup.Error()) {
		t.Errorf("acknowledge: %v", err)
	}
}
