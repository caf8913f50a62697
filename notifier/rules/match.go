package rules

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"sluice/schemas"
)

// Event is what rules see of an event.
type Event struct {
	Tenant, Action, App string
	// Severity is what the rules before have given, at first that of the action.
	Severity schemas.Severity
	Address  netip.Addr
	// User and Brand are the members of the event, as they came.
	User, Brand json.RawMessage
	// Data is the clean event.
	Data []byte

	people, brands []string
	decoded        map[string]any
}

// Match says which events a rule is for: all that it names must hold, and of the
// texts in one list any.
type Match struct {
	Action, App, Tenant, User, Brand globs
	Severity                         []schemas.Severity
	Address                          []netip.Prefix
	When                             *Condition
}

// globs are texts in which * stands for any text.
type globs []string

// has tells whether one of the patterns matches the text.
func (g globs) has(text string) bool {
	return slices.ContainsFunc(g, func(pattern string) bool { return Glob(pattern, text) })
}

// literal tells that no pattern has a *.
func (g globs) literal() bool {
	return !slices.ContainsFunc(g, func(pattern string) bool { return strings.Contains(pattern, "*") })
}

// Glob compares a text with a pattern in which * stands for any text.
func Glob(pattern, text string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for {
		part, behind, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, rest)
		}
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text, rest = text[at+len(part):], behind
	}
}

// against returns why the event does not match, "" if it does. An error says that
// the condition cannot be applied to this event.
func (m *Match) against(e *Event) (because string, err error) {
	for _, c := range []struct {
		name     string
		patterns globs
		text     string
	}{{"action", m.Action, e.Action}, {"tenant", m.Tenant, e.Tenant}, {"app", m.App, e.App}} {
		if len(c.patterns) > 0 && !c.patterns.has(c.text) {
			return c.name, nil
		}
	}
	switch {
	case len(m.Severity) > 0 && !slices.Contains(m.Severity, e.Severity):
		return "severity", nil
	case len(m.Address) > 0 && !slices.ContainsFunc(m.Address, func(p netip.Prefix) bool { return p.Contains(e.Address.Unmap()) }):
		return "address", nil
	case len(m.User) > 0 && !slices.ContainsFunc(e.userNames(), m.User.has):
		return "user", nil
	case len(m.Brand) > 0 && !slices.ContainsFunc(e.brandNames(), m.Brand.has):
		return "brand", nil
	case m.When == nil:
		return "", nil
	}
	ok, err := m.When.holds(e)
	switch {
	case err != nil:
		return "", err
	case !ok:
		return "when", nil
	}
	return "", nil
}

// String says for a person what is compared.
func (m *Match) String() string {
	var parts []string
	add := func(name string, values ...string) {
		if len(values) > 0 {
			parts = append(parts, name+" "+strings.Join(values, " or "))
		}
	}
	add("action", m.Action...)
	add("tenant", m.Tenant...)
	add("app", m.App...)
	for _, severity := range m.Severity {
		add("severity", string(severity))
	}
	for _, prefix := range m.Address {
		add("address", prefix.String())
	}
	add("user", m.User...)
	add("brand", m.Brand...)
	if m.When != nil {
		add("when", m.When.text)
	}
	if len(parts) == 0 {
		return "every event"
	}
	return strings.Join(parts, ", ")
}

func (e *Event) userNames() []string {
	if e.people == nil {
		e.people = names(e.User, "username", "email", "pk")
	}
	return e.people
}

func (e *Event) brandNames() []string {
	if e.brands == nil {
		e.brands = names(e.Brand, "name", "pk")
	}
	return e.brands
}

// names returns the texts and numbers of those members of an object, never nil.
func names(object json.RawMessage, members ...string) []string {
	out := []string{}
	var values map[string]json.RawMessage
	if json.Unmarshal(object, &values) != nil {
		return out
	}
	for _, name := range members {
		var text string
		switch value := values[name]; {
		case json.Unmarshal(value, &text) == nil && text != "":
			out = append(out, text)
		case len(value) > 0 && (value[0] == '-' || value[0] >= '0' && value[0] <= '9'):
			out = append(out, string(value))
		}
	}
	return out
}

// env is the event for conditions and templates: its members, and what is known
// of it besides.
func (e *Event) env() map[string]any {
	if e.decoded == nil {
		e.decoded = map[string]any{}
		if json.Unmarshal(e.Data, &e.decoded) != nil || e.decoded == nil {
			e.decoded = map[string]any{}
		}
		for _, name := range []string{"user", "context", "brand"} {
			if e.decoded[name] == nil {
				e.decoded[name] = map[string]any{}
			}
		}
		e.decoded["app"], e.decoded["action"], e.decoded["tenant"] = e.App, e.Action, e.Tenant
	}
	e.decoded["severity"] = string(e.Severity)
	return e.decoded
}
