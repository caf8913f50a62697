package receiver

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// ParseError is one thing that is wrong with a definition.
type ParseError struct {
	// Line is the line of the file, from 1.
	Line int
	// Path is where in the file: receivers.oncall.url.
	Path string
	// What is wrong. It never quotes a value, which may be a secret in the wrong
	// place.
	What string
}

// Error implements error.
func (e *ParseError) Error() string { return fmt.Sprintf("line %d: %s: %s", e.Line, e.Path, e.What) }

// definition collects what is wrong while a receiver is read.
type definition struct {
	path     string
	node     *yaml.Node
	problems []error
}

func (d *definition) err() error { return errors.Join(d.problems...) }

func (d *definition) wrongf(at *yaml.Node, key, format string, args ...any) {
	path := d.path
	if key != "" {
		path += "." + key
	}
	d.problems = append(d.problems, &ParseError{Line: at.Line, Path: path, What: fmt.Sprintf(format, args...)})
}

// members calls the reader of each member of a mapping.
func (d *definition) members(node *yaml.Node, below string, known members) {
	if node.Kind != yaml.MappingNode {
		d.wrongf(node, strings.TrimSuffix(below, "."), "must be a mapping")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		read, ok := known[key.Value]
		switch {
		case seen[key.Value]:
			d.wrongf(key, below+key.Value, "stands there twice")
		case !ok:
			d.wrongf(key, strings.TrimSuffix(below, "."), "%q is not known here; known are %s", key.Value, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		case value.Kind == yaml.AliasNode:
			d.wrongf(value, below+key.Value, "aliases are not supported")
		default:
			read(value)
		}
		seen[key.Value] = true
	}
}

// text reads a string that is not empty.
func (d *definition) text(node *yaml.Node, key string) string {
	if node.Kind != yaml.ScalarNode || node.Tag != "!!str" || node.Value == "" {
		d.wrongf(node, key, "must be a text")
		return ""
	}
	return node.Value
}

// line reads a text for a header: printable and on one line.
func (d *definition) line(node *yaml.Node, key string) string {
	text := d.text(node, key)
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		d.wrongf(node, key, "must be one line of printable characters")
	}
	return text
}

func (d *definition) boolean(node *yaml.Node, key string) bool {
	if node.Kind != yaml.ScalarNode || node.Tag != "!!bool" {
		d.wrongf(node, key, "must be true or false")
	}
	return node.Value == "true"
}

func (d *definition) number(node *yaml.Node, key string, least, most int) int {
	n, err := strconv.Atoi(node.Value)
	if node.Kind != yaml.ScalarNode || err != nil || n < least || n > most {
		d.wrongf(node, key, "must be a number from %d to %d", least, most)
	}
	return n
}

func (d *definition) duration(node *yaml.Node, key string, least, most time.Duration) time.Duration {
	v, err := time.ParseDuration(node.Value)
	if node.Kind != yaml.ScalarNode || err != nil || v < least || v > most {
		d.wrongf(node, key, "must be a duration from %s to %s, such as 10s", least, most)
	}
	return v
}

// rate reads "30/m".
func (d *definition) rate(node *yaml.Node, key string, otherwise Rate) Rate {
	number, unit, _ := strings.Cut(node.Value, "/")
	per, ok := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	n, err := strconv.Atoi(number)
	if node.Kind != yaml.ScalarNode || !ok || err != nil || n < 1 || n > 100_000 {
		d.wrongf(node, key, "must be a number of alerts per s, m or h, such as 30/m")
		return otherwise
	}
	return Rate{n, per}
}

// list calls read for each element of a list, or for a single value.
func (d *definition) list(node *yaml.Node, key string, most int, read func(*yaml.Node, string)) {
	switch {
	case node.Kind == yaml.ScalarNode:
		read(node, key)
		return
	case node.Kind != yaml.SequenceNode || len(node.Content) == 0:
		d.wrongf(node, key, "must be a list of at least one")
		return
	case len(node.Content) > most:
		d.wrongf(node, key, "at most %d", most)
		return
	}
	for i, element := range node.Content {
		read(element, fmt.Sprintf("%s[%d]", key, i))
	}
}

func (d *definition) texts(node *yaml.Node, key string, most int) []string {
	var out []string
	d.list(node, key, most, func(n *yaml.Node, key string) { out = append(out, d.line(n, key)) })
	return out
}

// maxAllowed is how many ranges of addresses one receiver may have.
const maxAllowed = 64

func (d *definition) prefixes(node *yaml.Node, key string) []netip.Prefix {
	var out []netip.Prefix
	d.list(node, key, maxAllowed, func(n *yaml.Node, key string) {
		p, err := netip.ParsePrefix(n.Value)
		if err != nil {
			d.wrongf(n, key, "must be a range of addresses such as 10.1.2.0/24 or fd12::/64")
			return
		}
		out = append(out, p.Masked())
	})
	return out
}

// pairs reads a mapping of names to texts.
func (d *definition) pairs(node *yaml.Node, key string, each func(node *yaml.Node, key, name, value string)) {
	if node.Kind != yaml.MappingNode {
		d.wrongf(node, key, "must be a mapping")
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i].Value, node.Content[i+1]
		each(node.Content[i], key+"."+name, name, d.line(value, key+"."+name))
	}
}
