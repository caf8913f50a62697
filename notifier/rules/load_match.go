package rules

import (
	"net/netip"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // time zones by name where the machine has none

	"go.yaml.in/yaml/v3"

	"sluice/schemas"
)

func (r *reader) match(node *yaml.Node, path string, m *Match) {
	r.Members(node, path, map[string]read{
		"action": r.globs(&m.Action, func(text string) string {
			if !strings.Contains(text, "*") && !schemas.ValidAction(text) {
				return "must be of the form [a-z][a-z0-9_]*, at most 64 long; * stands for any text"
			}
			return ""
		}),
		"app": r.globs(&m.App, nil), "tenant": r.globs(&m.Tenant, nil),
		"user": r.globs(&m.User, nil), "brand": r.globs(&m.Brand, nil),
		"severity": func(node *yaml.Node, path string) {
			r.oneOrMore(node, path, func(node *yaml.Node, path string) {
				m.Severity = append(m.Severity, r.severity(node, path))
			})
		},
		"address": func(node *yaml.Node, path string) {
			r.oneOrMore(node, path, func(node *yaml.Node, path string) {
				prefix, ok := parsePrefix(r.Text(node, path))
				if !ok && node.Value != "" {
					r.Wrongf(node, path, "must be an address or a network such as 10.0.0.0/8 or 2001:db8::/32")
				}
				m.Address = append(m.Address, prefix)
			})
		},
		"when": func(node *yaml.Node, path string) {
			text := r.Text(node, path)
			if text == "" {
				return
			}
			var err error
			if m.When, err = newCondition(text); err != nil {
				// expr shows the place on lines of its own.
				message, _, _ := strings.Cut(err.Error(), "\n")
				r.Wrongf(node, path, "%s", message)
			}
		},
	})
}

func (r *reader) globs(into *globs, check func(string) string) read {
	return func(node *yaml.Node, path string) {
		r.oneOrMore(node, path, func(node *yaml.Node, path string) {
			text := r.Text(node, path)
			if text != "" && check != nil {
				if wrong := check(text); wrong != "" {
					r.Wrongf(node, path, "%s", wrong)
				}
			}
			*into = append(*into, text)
		})
	}
}

func parsePrefix(text string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(text); err == nil && !prefix.Addr().Is4In6() {
		return prefix.Masked(), true
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	return netip.Prefix{}, false
}

func (r *reader) quietHours(node *yaml.Node, path string) {
	r.Entries(node, path, func(key, value *yaml.Node, below string) {
		r.name(key, below)
		q := Quiet{Zone: time.UTC, Hold: []schemas.Severity{schemas.SeverityNotice, schemas.SeverityWarning}}
		r.Members(value, below, map[string]read{
			"time_zone": func(node *yaml.Node, path string) {
				name := r.Text(node, path)
				zone, err := time.LoadLocation(name)
				if err != nil || name == "Local" {
					r.Wrongf(node, path, "there is no time zone %q; one is Europe/Berlin", name)
					return
				}
				q.Zone = zone
			},
			"hold": func(node *yaml.Node, path string) {
				q.Hold = nil
				r.oneOrMore(node, path, func(node *yaml.Node, path string) { q.Hold = append(q.Hold, r.severity(node, path)) })
			},
			"windows": func(node *yaml.Node, path string) {
				r.Elements(node, path, func(node *yaml.Node, path string) { q.Windows = append(q.Windows, r.window(node, path)) })
			},
		}, "windows")
		r.set.Quiet[key.Value] = q
	})
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (r *reader) window(node *yaml.Node, path string) Window {
	w := Window{Days: [7]bool{true, true, true, true, true, true, true}}
	r.Members(node, path, map[string]read{
		"days": func(node *yaml.Node, path string) {
			w.Days = [7]bool{}
			r.oneOrMore(node, path, func(node *yaml.Node, path string) {
				day := slices.Index(weekdays, node.Value)
				if day < 0 {
					r.Wrongf(node, path, "must be one of mon, tue, wed, thu, fri, sat, sun")
					return
				}
				w.Days[day] = true
			})
		},
		"from": r.clock(&w.From),
		"to":   r.clock(&w.To),
	}, "from", "to")
	return w
}

// clock reads a time of the day, in minutes.
func (r *reader) clock(into *int) read {
	return func(node *yaml.Node, path string) {
		if node.Value == "24:00" {
			*into = 24 * 60
			return
		}
		at, err := time.Parse("15:04", node.Value)
		if err != nil || len(node.Value) != len("15:04") {
			r.Wrongf(node, path, "must be a time such as \"07:30\"")
			return
		}
		*into = at.Hour()*60 + at.Minute()
	}
}
