package rules

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

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
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	if info.Size() > MaxBytes {
		return nil, fmt.Errorf("read rules: %s has %d bytes of at most %d", file, info.Size(), MaxBytes)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	return Parse(file, text)
}

// Parse reads the text of a file. The error joins all that is wrong with it, each
// as "file:line: what".
func Parse(file string, text []byte) (*Set, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("%s: %d bytes of at most %d", file, len(text), MaxBytes)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, syntaxError(file, err)
	}
	if len(doc.Content) == 0 {
		return nil, fmt.Errorf("%s:1: the file is empty; it begins with version: 1", file)
	}
	r := &reader{file: file, set: &Set{Quiet: map[string]Quiet{}}}
	r.document(doc.Content[0])
	if len(r.problems) > 0 {
		return nil, errors.Join(r.problems...)
	}
	return r.set, nil
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// syntaxError gives the words of the YAML library the form of all others.
func syntaxError(file string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if found := yamlLine.FindStringSubmatch(text); found != nil {
		return fmt.Errorf("%s:%s: %s", file, found[1], text[len(found[0]):])
	}
	return fmt.Errorf("%s: %s", file, text)
}

// reader collects what is wrong while it reads.
type reader struct {
	file     string
	set      *Set
	problems []error
	// uses are the names that rules refer to, looked up when all is read.
	uses []use
}

type use struct {
	node       *yaml.Node
	path, kind string
}

type read func(node *yaml.Node, path string)

func (r *reader) wrongf(at *yaml.Node, path, format string, args ...any) {
	where := ""
	if path != "" {
		where = path + ": "
	}
	r.problems = append(r.problems, fmt.Errorf("%s:%d: %s%s", r.file, at.Line, where, fmt.Sprintf(format, args...)))
}

// entries calls a reader for each entry of a mapping and tells of repeated ones.
func (r *reader) entries(node *yaml.Node, path string, each func(key, value *yaml.Node, below string)) {
	if node.Kind != yaml.MappingNode {
		r.wrongf(node, path, "must be a mapping")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		below := strings.TrimPrefix(path+"."+key.Value, ".")
		switch {
		case seen[key.Value]:
			r.wrongf(key, below, "stands there twice")
		case value.Kind == yaml.AliasNode:
			r.wrongf(value, below, "aliases are not supported")
		default:
			each(key, value, below)
		}
		seen[key.Value] = true
	}
}

// members calls the reader of each member that is known, and tells of others and
// of those that are missing.
func (r *reader) members(node *yaml.Node, path string, known map[string]read, required ...string) {
	r.entries(node, path, func(key, value *yaml.Node, below string) {
		if known[key.Value] == nil {
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			r.wrongf(key, below, "unknown; known are %s", strings.Join(names, ", "))
			return
		}
		known[key.Value](value, below)
	})
	if node.Kind != yaml.MappingNode {
		return
	}
	for _, name := range required {
		if !slices.ContainsFunc(node.Content, func(n *yaml.Node) bool { return n.Value == name }) {
			r.wrongf(node, path, "%s is missing", name)
		}
	}
}

// elements calls a reader for each element of a list that has some.
func (r *reader) elements(node *yaml.Node, path string, each read) {
	if node.Kind != yaml.SequenceNode || len(node.Content) == 0 {
		r.wrongf(node, path, "must be a list of at least one")
		return
	}
	for i, element := range node.Content {
		if below := fmt.Sprintf("%s[%d]", path, i); element.Kind == yaml.AliasNode {
			r.wrongf(element, below, "aliases are not supported")
		} else {
			each(element, below)
		}
	}
}

// oneOrMore calls a reader for a scalar, or for each element of a list.
func (r *reader) oneOrMore(node *yaml.Node, path string, each read) {
	if node.Kind == yaml.ScalarNode {
		each(node, path)
		return
	}
	r.elements(node, path, each)
}

// text reads a string that is not empty.
func (r *reader) text(node *yaml.Node, path string) string {
	if node.Kind != yaml.ScalarNode || node.Tag != "!!str" || node.Value == "" {
		r.wrongf(node, path, "must be a text")
		return ""
	}
	return node.Value
}

func (r *reader) flag(into *bool) read {
	return func(node *yaml.Node, path string) {
		if node.Tag != "!!bool" || node.Decode(into) != nil {
			r.wrongf(node, path, "must be true or false")
		}
	}
}

var nameForm = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// name reads the name of a rule, a receiver or quiet hours.
func (r *reader) name(node *yaml.Node, path string) string {
	name := r.text(node, path)
	if name != "" && !nameForm.MatchString(name) {
		r.wrongf(node, path, "must be of the form [a-z0-9-]+, at most 64 long")
	}
	return name
}

func (r *reader) document(root *yaml.Node) {
	builtIn := true
	r.members(root, "", map[string]read{
		"version": func(node *yaml.Node, path string) {
			if node.Value != "1" {
				r.wrongf(node, path, "must be 1")
			}
		},
		"built_in_rules": r.flag(&builtIn),
		"receivers":      r.receivers,
		"quiet_hours":    r.quietHours,
		"rules": func(node *yaml.Node, path string) {
			r.elements(node, path, r.rule)
		},
	}, "version")
	for _, u := range r.uses {
		switch {
		case u.kind == "receiver" && !slices.Contains(r.set.Names, u.node.Value):
			r.wrongf(u.node, u.path, "there is no receiver %q; known are: %s", u.node.Value, orNone(r.set.Names))
		case u.kind == "quiet hours":
			if _, ok := r.set.Quiet[u.node.Value]; !ok {
				r.wrongf(u.node, u.path, "there are no quiet hours %q", u.node.Value)
			}
		}
	}
	if len(r.set.Rules) > maxRules {
		r.wrongf(root, "rules", "%d of at most %d", len(r.set.Rules), maxRules)
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
	r.entries(node, path, func(key, _ *yaml.Node, below string) {
		if !nameForm.MatchString(key.Value) {
			r.wrongf(key, below, "must be of the form [a-z0-9-]+, at most 64 long")
		}
		r.set.Names = append(r.set.Names, key.Value)
	})
	slices.Sort(r.set.Names)
}

func (r *reader) rule(node *yaml.Node, path string) {
	rule := Rule{}
	r.members(node, path, map[string]read{
		"name": func(node *yaml.Node, path string) {
			rule.Name = r.name(node, path)
			if slices.ContainsFunc(r.set.Rules, func(o Rule) bool { return o.Name == rule.Name }) {
				r.wrongf(node, path, "there is another rule %q", rule.Name)
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
		r.wrongf(node, path, "ignore goes with neither continue nor receivers")
	}
	r.set.Rules = append(r.set.Rules, rule)
}

func (r *reader) severity(node *yaml.Node, path string) schemas.Severity {
	switch s := schemas.Severity(node.Value); s {
	case schemas.SeverityNotice, schemas.SeverityWarning, schemas.SeverityAlert:
		return s
	}
	r.wrongf(node, path, "must be notice, warning or alert")
	return ""
}

func (r *reader) template(into **Template) read {
	return func(node *yaml.Node, path string) {
		text := r.text(node, path)
		if text == "" {
			return
		}
		var err error
		if *into, err = newTemplate(text); err != nil {
			r.wrongf(node, path, "%v", err)
		}
	}
}
