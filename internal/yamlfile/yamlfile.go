// Package yamlfile reads the YAML files in which people configure Sluice: rules of
// redaction, rules of alerts.
//
// It promises that all that is wrong with a file is told at once, each thing as
// "file:line: path: what", that an unknown or repeated name is never passed over, and
// that nothing of a file is expanded: aliases are refused. What the names mean is
// for the packages whose files these are.
package yamlfile

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Load reads a file of at most so many bytes.
func Load(file string, maxBytes int) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	if info.Size() > int64(maxBytes) {
		return nil, fmt.Errorf("read rules: %s has %d bytes of at most %d", file, info.Size(), maxBytes)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	return text, nil
}

// Parse returns the document in the text of a file.
func Parse(file string, text []byte, maxBytes int) (*yaml.Node, error) {
	if len(text) > maxBytes {
		return nil, fmt.Errorf("%s: %d bytes of at most %d", file, len(text), maxBytes)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, syntaxError(file, err)
	}
	if len(doc.Content) == 0 {
		return nil, fmt.Errorf("%s:1: the file is empty; it begins with version: 1", file)
	}
	return doc.Content[0], nil
}

var yamlLine = regexp.MustCompile(`^line (\d+): `)

// syntaxError gives the words of the YAML library the form of all others.
func syntaxError(file string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if found := yamlLine.FindStringSubmatch(text); found != nil {
		return fmt.Errorf("%s:%s: %s", file, found[1], text[len(found[0]):])
	}
	return fmt.Errorf("%s: %s", file, text)
}

// Reader collects what is wrong while a document is read.
type Reader struct {
	// File is its name, for what is wrong.
	File     string
	problems []error
}

// Read reads what stands at a path of the document, such as "rules[2].match".
type Read func(node *yaml.Node, path string)

// Err joins all that is wrong, in the order in which it was found.
func (r *Reader) Err() error { return errors.Join(r.problems...) }

// Wrongf tells what is wrong at a place.
func (r *Reader) Wrongf(at *yaml.Node, path, format string, args ...any) {
	where := ""
	if path != "" {
		where = path + ": "
	}
	r.problems = append(r.problems, fmt.Errorf("%s:%d: %s%s", r.File, at.Line, where, fmt.Sprintf(format, args...)))
}

// Entries calls a reader for each entry of a mapping, and tells of repeated ones.
func (r *Reader) Entries(node *yaml.Node, path string, each func(key, value *yaml.Node, below string)) {
	if node.Kind != yaml.MappingNode {
		r.Wrongf(node, path, "must be a mapping")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		below := strings.TrimPrefix(path+"."+key.Value, ".")
		switch {
		case seen[key.Value]:
			r.Wrongf(key, below, "stands there twice")
		case value.Kind == yaml.AliasNode:
			r.Wrongf(value, below, "aliases are not supported")
		default:
			each(key, value, below)
		}
		seen[key.Value] = true
	}
}

// Members calls the reader of each member that is known, and tells of others and of
// those that are missing.
func (r *Reader) Members(node *yaml.Node, path string, known map[string]Read, required ...string) {
	present := map[string]bool{}
	r.Entries(node, path, func(key, value *yaml.Node, below string) {
		present[key.Value] = true
		read := known[key.Value]
		if read == nil {
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			r.Wrongf(key, below, "unknown; known are %s", strings.Join(names, ", "))
			return
		}
		read(value, below)
	})
	if node.Kind != yaml.MappingNode {
		return
	}
	for _, name := range required {
		if !present[name] {
			r.Wrongf(node, path, "%s is missing", name)
		}
	}
}

// Elements calls a reader for each element of a list that has some.
func (r *Reader) Elements(node *yaml.Node, path string, each Read) {
	if node.Kind != yaml.SequenceNode || len(node.Content) == 0 {
		r.Wrongf(node, path, "must be a list of at least one")
		return
	}
	for i, element := range node.Content {
		if below := fmt.Sprintf("%s[%d]", path, i); element.Kind == yaml.AliasNode {
			r.Wrongf(element, below, "aliases are not supported")
		} else {
			each(element, below)
		}
	}
}

// Text reads a string that is not empty.
func (r *Reader) Text(node *yaml.Node, path string) string {
	if node.Kind != yaml.ScalarNode || node.Tag != "!!str" || node.Value == "" {
		r.Wrongf(node, path, "must be a text")
		return ""
	}
	return node.Value
}
