// Package rules reads the file in which an installation adds rules of its own to
// the redaction engine: further names and shapes of secrets, places where
// everything is masked, and places where nothing is, for all tenants or for one.
//
// It owns the file's format. It promises that a file is taken as a whole or not
// at all, and that everything wrong with it is told at once, each with its line,
// and with nothing of the events. What the rules do is package redact's.
package rules

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"sluice/redactor/redact"
)

// Schema is the JSON Schema (2020-12) of the file.
//
//go:embed schema.json
var Schema []byte

// MaxBytes is the largest file that is read: a thousand rules take a tenth.
const MaxBytes = 1 << 20

// Set is what a file says.
type Set struct {
	Policy  redact.Policy
	Tenants map[string]redact.Policy
}

// Count is how many rules of any kind the set has.
func (s Set) Count() int {
	n := count(s.Policy)
	for _, p := range s.Tenants {
		n += count(p)
	}
	return n
}

func count(p redact.Policy) int { return len(p.Keys) + len(p.Values) + len(p.Deny) + len(p.Allow) }

// Load reads a file. An empty name is no file, and no rules.
func Load(file string) (Set, error) {
	if file == "" {
		return Set{}, nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return Set{}, fmt.Errorf("read rules: %w", err)
	}
	if info.Size() > MaxBytes {
		return Set{}, fmt.Errorf("read rules: %s has %d bytes of at most %d", file, info.Size(), MaxBytes)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return Set{}, fmt.Errorf("read rules: %w", err)
	}
	return Parse(file, text)
}

// Parse reads the text of a file. The error joins all that is wrong with it, each
// as "file:line: what".
func Parse(file string, text []byte) (Set, error) {
	r := &reader{file: file}
	if len(text) > MaxBytes {
		return Set{}, fmt.Errorf("%s: %d bytes of at most %d", file, len(text), MaxBytes)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return Set{}, fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return Set{}, fmt.Errorf("%s:1: the file is empty; it begins with version: 1", file)
	}
	set := r.document(doc.Content[0])
	if len(r.problems) == 0 {
		if _, err := redact.New(redact.Config{Policy: set.Policy, Tenants: set.Tenants}); err != nil {
			r.problems = append(r.problems, fmt.Errorf("%s: %w", file, err))
		}
	}
	return set, errors.Join(r.problems...)
}

// reader collects what is wrong while it reads.
type reader struct {
	file     string
	problems []error
}

func (r *reader) wrongf(at *yaml.Node, path, format string, args ...any) {
	where := ""
	if path != "" {
		where = path + ": "
	}
	r.problems = append(r.problems, fmt.Errorf("%s:%d: %s%s", r.file, at.Line, where, fmt.Sprintf(format, args...)))
}

// members calls a reader for each member of a mapping, and tells of unknown and
// repeated ones.
func (r *reader) members(node *yaml.Node, path string, known map[string]func(*yaml.Node, string)) {
	if node.Kind != yaml.MappingNode {
		r.wrongf(node, path, "must be a mapping")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		below := strings.TrimPrefix(path+"."+key.Value, ".")
		read, ok := known[key.Value]
		switch {
		case seen[key.Value]:
			r.wrongf(key, below, "stands there twice")
		case !ok:
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			r.wrongf(key, below, "unknown; known are %s", strings.Join(names, ", "))
		case value.Kind == yaml.AliasNode:
			r.wrongf(value, below, "aliases are not supported")
		default:
			read(value, below)
		}
		seen[key.Value] = true
	}
}

// elements calls a reader for each element of a list that has some.
func (r *reader) elements(node *yaml.Node, path string, read func(*yaml.Node, string)) {
	if node.Kind != yaml.SequenceNode || len(node.Content) == 0 {
		r.wrongf(node, path, "must be a list of at least one")
		return
	}
	for i, element := range node.Content {
		read(element, fmt.Sprintf("%s[%d]", path, i))
	}
}

// text reads a string that is not empty.
func (r *reader) text(node *yaml.Node, path string) string {
	if node.Kind != yaml.ScalarNode || node.Tag != "!!str" || node.Value == "" {
		r.wrongf(node, path, "must be a text")
		return ""
	}
	return node.Value
}

func (r *reader) document(root *yaml.Node) Set {
	set := Set{Tenants: map[string]redact.Policy{}}
	version := ""
	known := r.policy(&set.Policy)
	known["version"] = func(node *yaml.Node, path string) {
		if version = node.Value; version != "1" {
			r.wrongf(node, path, "must be 1")
		}
	}
	known["tenants"] = func(node *yaml.Node, path string) {
		if node.Kind != yaml.MappingNode {
			r.wrongf(node, path, "must be a mapping of tenants")
			return
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			tenant, below := node.Content[i].Value, path+"."+node.Content[i].Value
			if _, ok := set.Tenants[tenant]; ok {
				r.wrongf(node.Content[i], below, "stands there twice")
				continue
			}
			if !tenantForm.MatchString(tenant) {
				r.wrongf(node.Content[i], path, "a tenant is 1 to 64 letters, digits, - and _")
			}
			var p redact.Policy
			r.members(node.Content[i+1], below, r.policy(&p))
			set.Tenants[tenant] = p
		}
	}
	r.members(root, "", known)
	if version == "" && len(r.problems) == 0 {
		r.wrongf(root, "version", "is missing; it is 1")
	}
	return set
}

var (
	tenantForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	nameForm   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// policy are the readers of what a file and a tenant have in common.
func (r *reader) policy(p *redact.Policy) map[string]func(*yaml.Node, string) {
	return map[string]func(*yaml.Node, string){
		"keys": func(node *yaml.Node, path string) {
			r.elements(node, path, func(node *yaml.Node, path string) { p.Keys = append(p.Keys, r.key(node, path)) })
		},
		"values": func(node *yaml.Node, path string) {
			r.elements(node, path, func(node *yaml.Node, path string) { p.Values = append(p.Values, r.value(node, path)) })
		},
		"deny": func(node *yaml.Node, path string) {
			r.elements(node, path, func(node *yaml.Node, path string) { p.Deny = append(p.Deny, r.place(node, path)) })
		},
		"allow": func(node *yaml.Node, path string) {
			r.elements(node, path, func(node *yaml.Node, path string) { p.Allow = append(p.Allow, r.place(node, path)) })
		},
	}
}

// name reads the name of a rule.
func (r *reader) name(into *string) func(*yaml.Node, string) {
	return func(node *yaml.Node, path string) {
		*into = r.text(node, path)
		switch {
		case *into == "":
		case !nameForm.MatchString(*into):
			r.wrongf(node, path, "must be of the form [a-z][a-z0-9_]*, at most 64 long")
		case builtIn[*into]:
			r.wrongf(node, path, "is the name of a built-in rule")
		}
	}
}

// builtIn are the names that are taken.
var builtIn = func() map[string]bool {
	names := map[string]bool{}
	engine, err := redact.New(redact.Config{})
	if err != nil {
		panic(err) // of the zero value: it cannot
	}
	for _, rule := range engine.Rules() {
		names[rule.Name] = true
	}
	return names
}()

func (r *reader) key(node *yaml.Node, path string) (rule redact.KeyRule) {
	r.members(node, path, map[string]func(*yaml.Node, string){
		"name": r.name(&rule.Name),
		"match": func(node *yaml.Node, path string) {
			r.elements(node, path, func(node *yaml.Node, path string) {
				match := r.text(node, path)
				if match != "" && !strings.ContainsFunc(match, func(c rune) bool { return c > ' ' && !strings.ContainsRune("-_./:", c) }) {
					r.wrongf(node, path, "has no letters and digits")
				}
				rule.Match = append(rule.Match, match)
			})
		},
	})
	r.complete(node, path, map[string]bool{"name": rule.Name != "", "match": len(rule.Match) > 0})
	return rule
}

func (r *reader) value(node *yaml.Node, path string) (rule redact.ValueRule) {
	pattern := ""
	r.members(node, path, map[string]func(*yaml.Node, string){
		"name": r.name(&rule.Name),
		"pattern": func(node *yaml.Node, path string) {
			if pattern = r.text(node, path); pattern == "" {
				return
			}
			compiled, err := regexp.Compile(pattern)
			switch {
			case err != nil:
				r.wrongf(node, path, "%s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
			case compiled.MatchString(""):
				r.wrongf(node, path, "matches the empty text")
			case compiled.NumSubexp() > 1:
				r.wrongf(node, path, "has %d groups; one at most says what is masked, (?:…) is none", compiled.NumSubexp())
			}
			rule.Pattern = compiled
		},
	})
	r.complete(node, path, map[string]bool{"name": rule.Name != "", "pattern": pattern != ""})
	return rule
}

func (r *reader) place(node *yaml.Node, path string) (place redact.Path) {
	text := ""
	r.members(node, path, map[string]func(*yaml.Node, string){
		"path": func(node *yaml.Node, path string) {
			if text = r.text(node, path); text == "" {
				return
			}
			var err error
			if place, err = redact.ParsePath(text); err != nil {
				r.wrongf(node, path, "%v", err)
			}
		},
		"reason": func(node *yaml.Node, path string) { r.text(node, path) },
	})
	r.complete(node, path, map[string]bool{"path": text != ""})
	return place
}

// complete tells of members that are missing, unless something else is wrong.
func (r *reader) complete(node *yaml.Node, path string, has map[string]bool) {
	if node.Kind != yaml.MappingNode {
		return
	}
	present := map[string]bool{}
	for i := 0; i < len(node.Content); i += 2 {
		present[node.Content[i].Value] = true
	}
	for _, name := range []string{"name", "match", "pattern", "path"} {
		if ok, wanted := has[name]; wanted && !ok && !present[name] {
			r.wrongf(node, path, "%s is missing", name)
		}
	}
}
