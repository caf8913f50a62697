// Package conform compares events with the JSON Schemas of the contract.
//
// It owns the compiled schemas and the words in which a departure is told. It
// promises that no word of these is a value of the event: a departure has the path,
// as a JSON Pointer, and the reason. It keeps no event out; a context that departs
// is stored all the same.
package conform

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice/schemas"
	"sluice/schemas/contract"
	"sluice/schemas/jsontoken"
)

// Departure is one place at which an event is not as the contract says.
type Departure struct {
	// Path is a JSON Pointer; "" is the event itself.
	Path string
	// Reason is in words, and quotes nothing.
	Reason string
	// Refused tells that the event breaks the contract and is quarantined. Else it is
	// unlike its schema, and is stored all the same.
	Refused bool
}

// Checker compares events. It is not safe for concurrent use.
type Checker struct {
	decoder  schemas.Decoder
	event    schemas.Event
	envelope *jsonschema.Schema
	contexts map[string]*jsonschema.Schema
	other    *jsonschema.Schema // of the context of any other action
}

// base is where the embedded documents are, for the references between them.
const base = "embedded:///"

// New compiles the schemas, which takes some milliseconds.
func New() (*Checker, error) {
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(loader{})
	compiler.AssertFormat()
	c := &Checker{contexts: map[string]*jsonschema.Schema{}}
	var err error
	compile := func(name string) *jsonschema.Schema {
		schema, e := compiler.Compile(base + name)
		err = errors.Join(err, e)
		return schema
	}
	c.envelope = compile("envelope.json")
	c.other = compile("definitions.json#/$defs/context")
	for _, action := range schemas.Actions() {
		c.contexts[action.Name] = compile(contract.Context(action.Name))
	}
	if err != nil {
		return nil, fmt.Errorf("compile the schemas: %w", err)
	}
	return c, nil
}

// loader reads the embedded documents, and no others.
type loader struct{}

// Load implements jsonschema.URLLoader.
func (loader) Load(url string) (any, error) {
	name, ok := strings.CutPrefix(url, base)
	if !ok {
		return nil, fmt.Errorf("%s is not embedded", url)
	}
	file, err := contract.Files().Open(name)
	if err != nil {
		return nil, err
	}
	defer func(file fs.File) { _ = file.Close() }(file)
	return jsonschema.UnmarshalJSON(file)
}

// Check returns where the event departs; action is that of an event which has none,
// and may be "". What a mask stands in place of may have been anything.
func (c *Checker) Check(event []byte, action string) []Departure {
	if err := c.decoder.Decode(event, &c.event); err != nil {
		return []Departure{refusal(err)}
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(event))
	if err != nil {
		return []Departure{{Reason: string(schemas.ReasonInvalidJSON), Refused: true}}
	}
	found := departures(nil, c.envelope, doc, "")
	if c.event.Action != "" {
		action = c.event.Action
	}
	schema := c.contexts[action]
	if schema == nil {
		schema = c.other
	}
	object, _ := doc.(map[string]any)
	context, ok := object["context"]
	if !ok {
		context = map[string]any{}
	}
	found = departures(found, schema, context, "/context")
	// The validator goes through objects in no order.
	slices.SortFunc(found, func(a, b Departure) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Reason, b.Reason))
	})
	return found
}

// refusal tells what the decoder found.
func refusal(err error) Departure {
	d := Departure{Reason: err.Error(), Refused: true}
	if rejection, ok := errors.AsType[*schemas.Rejection](err); ok && rejection.Field != "" {
		d.Path = "/" + rejection.Field
		if why := rejection.Unwrap(); why != nil {
			d.Reason = why.Error()
		}
	}
	return d
}

func departures(found []Departure, schema *jsonschema.Schema, value any, prefix string) []Departure {
	err := schema.Validate(value)
	if err == nil {
		return found
	}
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return append(found, Departure{Path: prefix, Reason: "cannot be compared"})
	}
	for _, leaf := range leaves(nil, invalid) {
		if at(value, leaf.InstanceLocation) == schemas.Mask {
			continue
		}
		path := []byte(prefix)
		for _, name := range leaf.InstanceLocation {
			path = jsontoken.AppendPointer(path, name)
		}
		found = append(found, Departure{Path: string(path), Reason: reason(leaf.ErrorKind)})
	}
	return found
}

// leaves are the errors that have no others under them.
func leaves(found []*jsonschema.ValidationError, err *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(err.Causes) == 0 {
		return append(found, err)
	}
	for _, cause := range err.Causes {
		found = leaves(found, cause)
	}
	return found
}
