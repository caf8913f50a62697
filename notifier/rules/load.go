package rules

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"sluice/internal/yamlfile"
	"sluice/schemas"
)

// MaxBytes is the largest file that is read: a thousand rules take a quarter.
const MaxBytes = 1 << 20

// maxRules bounds what each event may have to be compared with.
const maxRules = 1000

// Load reads a file. An empty name is no file: the built-in rules.
func Load(file string) (*Set, error) {
	if file == "" {
		return Default(), nil
	}
	text, err := yamlfile.Load(file, MaxBytes)
	if err != nil {
		return nil, err
	}
	return Parse(file, text)
}

// Parse reads the text of a file. The error joins all that is wrong with it, each
// as "file:line: what".
func Parse(file string, text []byte) (*Set, error) {
	root, err := yamlfile.Parse(file, text, MaxBytes)
	if err != nil {
		return nil, err
	}
	r := &reader{Reader: &yamlfile.Reader{File: file}, set: &Set{Quiet: map[string]Quiet{}}}
	r.document(root)
	if err := r.Err(); err != nil {
		return nil, err
	}
	return r.set, nil
}

// reader reads the file into a set.
type reader struct {
	*yamlfile.Reader
	set *Set
	// uses are the names that rules refer to, looked up when all is read.
	uses []use
}

type use struct {
	node       *yaml.Node
	path, kind string
}

type read = yamlfile.Read

// oneOrMore calls a reader for a scalar, or for each element of a list.
func (r *reader) oneOrMore(node *yaml.Node, path string, each read) {
	if node.Kind == yaml.ScalarNode {
		each(node, path)
		return
	}
	r.Elements(node, path, each)
}

func (r *reader) flag(into *bool) read {
	return func(node *yaml.Node, path string) {
		if node.Tag != "!!bool" || node.Decode(into) != nil {
			r.Wrongf(node, path, "must be true or false")
		}
	}
}

var nameForm = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// name reads the name of a rule, a receiver or quiet hours.
func (r *reader) name(node *yaml.Node, path string) string {
	name := r.Text(node, path)
	if name != "" && !nameForm.MatchString(name) {
		r.Wrongf(node, path, "must be of the form [a-z0-9-]+, at most 64 long")
	}
	return name
}

func (r *reader) document(root *yaml.Node) {
	builtIn := true
	r.Members(root, "", map[string]read{
		"version": func(node *yaml.Node, path string) {
			if node.Value != "1" {
				r.Wrongf(node, path, "must be 1")
			}
		},
		"built_in_rules": r.flag(&builtIn),
		"receivers":      r.receivers,
		"quiet_hours":    r.quietHours,
		"rules": func(node *yaml.Node, path string) {
			r.Elements(node, path, r.rule)
		},
	}, "version")
	for _, u := range r.uses {
		switch {
		case u.kind == "receiver" && !slices.Contains(r.set.Names, u.node.Value):
			r.Wrongf(u.node, u.path, "there is no receiver %q; known are: %s", u.node.Value, orNone(r.set.Names))
		case u.kind == "quiet hours":
			if _, ok := r.set.Quiet[u.node.Value]; !ok {
				r.Wrongf(u.node, u.path, "there are no quiet hours %q", u.node.Value)
			}
		}
	}
	if len(r.set.Rules) > maxRules {
		r.Wrongf(root, "rules", "%d of at most %d", len(r.set.Rules), maxRules)
	}
	if builtIn {
		r.set.Rules = append(r.set.Rules, builtInRules()...)
	}
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// receivers takes note of the names; what a receiver is, is not this package's.
func (r *reader) receivers(node *yaml.Node, path string) {
	r.set.Receivers = *node
	r.Entries(node, path, func(key, _ *yaml.Node, below string) {
		if !nameForm.MatchString(key.Value) {
			r.Wrongf(key, below, "must be of the form [a-z0-9-]+, at most 64 long")
		}
		r.set.Names = append(r.set.Names, key.Value)
	})
	slices.Sort(r.set.Names)
}

func (r *reader) rule(node *yaml.Node, path string) {
	rule := Rule{}
	r.Members(node, path, map[string]read{
		"name": func(node *yaml.Node, path string) {
			rule.Name = r.name(node, path)
			if slices.ContainsFunc(r.set.Rules, func(o Rule) bool { return o.Name == rule.Name }) {
				r.Wrongf(node, path, "there is another rule %q", rule.Name)
			}
		},
		"match":    func(node *yaml.Node, path string) { r.match(node, path, &rule.Match) },
		"severity": func(node *yaml.Node, path string) { rule.Severity = r.severity(node, path) },
		"receivers": func(node *yaml.Node, path string) {
			r.oneOrMore(node, path, func(node *yaml.Node, path string) {
				rule.Receivers = append(rule.Receivers, r.name(node, path))
				r.uses = append(r.uses, use{node, path, "receiver"})
			})
		},
		"title":    r.template(&rule.Title),
		"message":  r.template(&rule.Message),
		"continue": r.flag(&rule.Continue),
		"ignore":   r.flag(&rule.Ignore),
		"versions": r.flag(&rule.Versions),
		"quiet_hours": func(node *yaml.Node, path string) {
			rule.Quiet = r.name(node, path)
			r.uses = append(r.uses, use{node, path, "quiet hours"})
		},
	}, "name", "match")
	if rule.Ignore && (rule.Continue || len(rule.Receivers) > 0) {
		r.Wrongf(node, path, "ignore goes with neither continue nor receivers")
	}
	r.set.Rules = append(r.set.Rules, rule)
}

func (r *reader) severity(node *yaml.Node, path string) schemas.Severity {
	switch s := schemas.Severity(node.Value); s {
	case schemas.SeverityNotice, schemas.SeverityWarning, schemas.SeverityAlert:
		return s
	}
	r.Wrongf(node, path, "must be notice, warning or alert")
	return ""
}

func (r *reader) template(into **Template) read {
	return func(node *yaml.Node, path string) {
		text := r.Text(node, path)
		if text == "" {
			return
		}
		var err error
		if *into, err = newTemplate(text); err != nil {
			r.Wrongf(node, path, "%v", err)
		}
	}
}
