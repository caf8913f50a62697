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
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"sluice/internal/yamlfile"
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
	text, err := yamlfile.Load(file, MaxBytes)
	if err != nil {
		return Set{}, err
	}
	return Parse(file, text)
}

// Parse reads the text of a file. The error joins all that is wrong with it, each
// as "file:line: what".
func Parse(file string, text []byte) (Set, error) {
	root, err := yamlfile.Parse(file, text, MaxBytes)
	if err != nil {
		return Set{}, err
	}
	r := &reader{&yamlfile.Reader{File: file}}
	set := r.document(root)
	if err := r.Err(); err != nil {
		return set, err
	}
	if _, err := redact.New(redact.Config{Policy: set.Policy, Tenants: set.Tenants}); err != nil {
		return set, fmt.Errorf("%s: %w", file, err)
	}
	return set, nil
}

// reader reads the file into a set.
type reader struct{ *yamlfile.Reader }

func (r *reader) document(root *yaml.Node) Set {
	set := Set{Tenants: map[string]redact.Policy{}}
	version := ""
	known := r.policy(&set.Policy)
	known["version"] = func(node *yaml.Node, path string) {
		if version = node.Value; version != "1" {
			r.Wrongf(node, path, "must be 1")
		}
	}
	known["tenants"] = func(node *yaml.Node, path string) {
		if node.Kind != yaml.MappingNode {
			r.Wrongf(node, path, "must be a mapping of tenants")
			return
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			tenant, below := node.Content[i].Value, path+"."+node.Content[i].Value
			if _, ok := set.Tenants[tenant]; ok {
				r.Wrongf(node.Content[i], below, "stands there twice")
				continue
			}
			if !tenantForm.MatchString(tenant) {
				r.Wrongf(node.Content[i], path, "a tenant is 1 to 64 letters, digits, - and _")
			}
			var p redact.Policy
			r.Members(node.Content[i+1], below, r.policy(&p))
			set.Tenants[tenant] = p
		}
	}
	r.Members(root, "", known)
	if version == "" && r.Err() == nil {
		r.Wrongf(root, "version", "is missing; it is 1")
	}
	return set
}

var (
	tenantForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	nameForm   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// policy are the readers of what a file and a tenant have in common.
func (r *reader) policy(p *redact.Policy) map[string]yamlfile.Read {
	return map[string]yamlfile.Read{
		"keys": func(node *yaml.Node, path string) {
			r.Elements(node, path, func(node *yaml.Node, path string) { p.Keys = append(p.Keys, r.key(node, path)) })
		},
		"values": func(node *yaml.Node, path string) {
			r.Elements(node, path, func(node *yaml.Node, path string) { p.Values = append(p.Values, r.value(node, path)) })
		},
		"deny": func(node *yaml.Node, path string) {
			r.Elements(node, path, func(node *yaml.Node, path string) { p.Deny = append(p.Deny, r.place(node, path)) })
		},
		"allow": func(node *yaml.Node, path string) {
			r.Elements(node, path, func(node *yaml.Node, path string) { p.Allow = append(p.Allow, r.place(node, path)) })
		},
	}
}

// name reads the name of a rule.
func (r *reader) name(into *string) yamlfile.Read {
	return func(node *yaml.Node, path string) {
		*into = r.Text(node, path)
		switch {
		case *into == "":
		case !nameForm.MatchString(*into):
			r.Wrongf(node, path, "must be of the form [a-z][a-z0-9_]*, at most 64 long")
		case builtIn[*into]:
			r.Wrongf(node, path, "is the name of a built-in rule")
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
	r.Members(node, path, map[string]yamlfile.Read{
		"name": r.name(&rule.Name),
		"match": func(node *yaml.Node, path string) {
			r.Elements(node, path, func(node *yaml.Node, path string) {
				match := r.Text(node, path)
				if match != "" && !strings.ContainsFunc(match, func(c rune) bool { return c > ' ' && !strings.ContainsRune("-_./:", c) }) {
					r.Wrongf(node, path, "has no letters and digits")
				}
				rule.Match = append(rule.Match, match)
			})
		},
	}, "name", "match")
	return rule
}

func (r *reader) value(node *yaml.Node, path string) (rule redact.ValueRule) {
	pattern := ""
	r.Members(node, path, map[string]yamlfile.Read{
		"name": r.name(&rule.Name),
		"pattern": func(node *yaml.Node, path string) {
			if pattern = r.Text(node, path); pattern == "" {
				return
			}
			compiled, err := regexp.Compile(pattern)
			switch {
			case err != nil:
				r.Wrongf(node, path, "%s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
			case compiled.MatchString(""):
				r.Wrongf(node, path, "matches the empty text")
			case compiled.NumSubexp() > 1:
				r.Wrongf(node, path, "has %d groups; one at most says what is masked, (?:…) is none", compiled.NumSubexp())
			}
			rule.Pattern = compiled
		},
	}, "name", "pattern")
	return rule
}

func (r *reader) place(node *yaml.Node, path string) (place redact.Path) {
	text := ""
	r.Members(node, path, map[string]yamlfile.Read{
		"path": func(node *yaml.Node, path string) {
			if text = r.Text(node, path); text == "" {
				return
			}
			var err error
			if place, err = redact.ParsePath(text); err != nil {
				r.Wrongf(node, path, "%v", err)
			}
		},
		"reason": func(node *yaml.Node, path string) { r.Text(node, path) },
	}, "path")
	return place
}
