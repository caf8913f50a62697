// Package rules reads the file that says which events become alerts, for whom and
// when, and applies it to events.
//
// It owns the file's format (NOTIFIER_CONFIG, docs/alerts.md) but for what a
// receiver is. It promises that a file is taken as a whole or not at all, that
// everything wrong with it is told at once, each with its line, and that applying
// a rule costs a bounded time, never panics, and tells nothing of an event. It
// talks to nobody.
package rules

import (
	_ "embed"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"sluice/schemas"
)

// Schema is the JSON Schema (2020-12) of the file.
//
//go:embed schema.json
var Schema []byte

// Set is what is in force.
type Set struct {
	// Rules in the order in which they are tried, the built-in ones last.
	Rules []Rule
	// Quiet are the quiet hours by their names.
	Quiet map[string]Quiet
	// Receivers is the section of that name, a mapping of names; its Kind is 0
	// where there is none.
	Receivers yaml.Node
	// Names are the names of the receivers, in order.
	Names []string
}

// Rule says which events become alerts, and how.
type Rule struct {
	Name  string
	Match Match
	// Severity is that of the alerts; "" leaves it to the action.
	Severity schemas.Severity
	// Receivers are who is told, besides the stream.
	Receivers []string
	// Title and Message make the alert's texts; nil leaves them as they are.
	Title, Message *Template
	// Continue lets the rules behind this one match too.
	Continue bool
	// Ignore makes no alert of what matches.
	Ignore bool
	// Versions makes one alert for each new version of a product; otherwise
	// there is one for each trouble, with a count of its repetitions.
	Versions bool
	// Quiet names the quiet hours that hold its alerts back, "" for none.
	Quiet string

	// builtIn tells that it is not of a file.
	builtIn bool
}

// Default is what is in force without a file.
func Default() *Set { return &Set{Rules: builtInRules()} }

// builtInRules are the troubles of a service as authentik names them, and updates.
func builtInRules() []Rule {
	var out []Rule
	for _, action := range []string{
		schemas.ActionSystemException, schemas.ActionSystemTaskException, schemas.ActionPolicyException,
		schemas.ActionPropertyMappingException, schemas.ActionConfigurationError, schemas.ActionSuspiciousRequest,
	} {
		out = append(out, builtIn(action, schemas.SeverityAlert))
	}
	update := builtIn(schemas.ActionUpdateAvailable, schemas.SeverityNotice)
	update.Versions = true
	return append(out, update)
}

func builtIn(action string, severity schemas.Severity) Rule {
	name := []byte(action)
	for i, c := range name {
		if c == '_' {
			name[i] = '-'
		}
	}
	return Rule{Name: string(name), Match: Match{Action: globs{action}}, Severity: severity, builtIn: true}
}

// Severity returns that of an action where no rule says more, "" for the actions
// that make no alert by themselves.
func Severity(action string) schemas.Severity { return severities[action] }

var severities = func() map[string]schemas.Severity {
	out := map[string]schemas.Severity{}
	for _, r := range builtInRules() {
		out[r.Match.Action[0]] = r.Severity
	}
	return out
}()

// Actions lists the actions that the rules are about; nil is any action.
func (s *Set) Actions() []string {
	var (
		out []string
		set = map[schemas.Severity][]string{} // what earlier rules have given that severity
	)
	for _, r := range s.Rules {
		actions, every := r.actions(set)
		if every {
			return nil
		}
		out = append(out, actions...)
		if r.Continue && r.Severity != "" {
			set[r.Severity] = append(set[r.Severity], actions...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// actions lists what the rule can match: what it names, or else what has its
// severity.
func (r *Rule) actions(given map[schemas.Severity][]string) (actions []string, every bool) {
	switch {
	case len(r.Match.Action) > 0 && r.Match.Action.literal():
		return r.Match.Action, false
	case len(r.Match.Action) > 0 || len(r.Match.Severity) == 0:
		return nil, true
	}
	for _, severity := range r.Match.Severity {
		actions = append(actions, given[severity]...)
		for _, b := range builtInRules() {
			if b.Severity == severity {
				actions = append(actions, b.Match.Action...)
			}
		}
	}
	return actions, false
}

// Decision is what the rules make of an event.
type Decision struct {
	// Rules are the names of those that matched, in order.
	Rules     []string
	matched   *Match // by the first one
	Severity  schemas.Severity
	Receivers []string
	Title     *Template
	Message   *Template
	Versions  bool
	// Quiet names the quiet hours, "" for none.
	Quiet string
	// Custom tells that a rule of a file decided.
	Custom bool
}

// Passed tells for a person why a rule did not match.
type Passed struct{ Rule, Because string }

// Decide applies the rules: the first that matches, and while those that match
// go on, the next that do. The first word counts: what a rule leaves open, one
// behind it may say; receivers add up. The last result are the rules that could
// not be applied, which do not match.
func (s *Set) Decide(e *Event, passed func(Passed)) (d Decision, ok bool, broken []string) {
	e.Severity = Severity(e.Action)
	for i := range s.Rules {
		r := &s.Rules[i]
		because, err := r.Match.against(e)
		if err != nil {
			broken = append(broken, r.Name)
			because = err.Error()
		}
		if because != "" {
			if passed != nil {
				passed(Passed{r.Name, because})
			}
			continue
		}
		if r.Ignore {
			if passed != nil {
				passed(Passed{r.Name, "it ignores what it matches"})
			}
			break
		}
		ok = true
		d.add(r)
		if d.Severity != "" {
			e.Severity = d.Severity
		}
		if !r.Continue {
			break
		}
	}
	if ok && d.Severity == "" {
		d.Severity = Severity(e.Action)
	}
	if ok && d.Severity == "" {
		d.Severity = schemas.SeverityNotice
	}
	return d, ok, broken
}

// Matched says for a person what of the event the first of the rules was for.
func (d *Decision) Matched() string { return d.matched.String() }

func (d *Decision) add(r *Rule) {
	if len(d.Rules) == 0 {
		d.matched, d.Versions = &r.Match, r.Versions
	}
	d.Rules = append(d.Rules, r.Name)
	d.Custom = d.Custom || !r.builtIn
	if d.Severity == "" {
		d.Severity = r.Severity
	}
	if d.Title == nil {
		d.Title = r.Title
	}
	if d.Message == nil {
		d.Message = r.Message
	}
	if d.Quiet == "" {
		d.Quiet = r.Quiet
	}
	for _, name := range r.Receivers {
		if !slices.Contains(d.Receivers, name) {
			d.Receivers = append(d.Receivers, name)
		}
	}
}

// HeldUntil is until when the quiet hours of that name hold an alert of the
// severity back; the zero time if they do not.
func (s *Set) HeldUntil(quiet string, severity schemas.Severity, now time.Time) time.Time {
	q, ok := s.Quiet[quiet]
	if !ok || !slices.Contains(q.Hold, severity) {
		return time.Time{}
	}
	return q.until(now)
}
