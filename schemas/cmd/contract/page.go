package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"sluice/schemas"
	"sluice/schemas/contract"
)

// schema is as much of a JSON Schema as the page tells.
type schema struct {
	Ref         string            `json:"$ref"`
	Description string            `json:"description"`
	Type        any               `json:"type"`
	Const       any               `json:"const"`
	Enum        []string          `json:"enum"`
	Required    []string          `json:"required"`
	Properties  map[string]schema `json:"properties"`
	Defs        map[string]schema `json:"$defs"`
}

func load(name string) schema {
	var s schema
	text, err := fs.ReadFile(contract.Files(), name)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		panic(fmt.Errorf("%s: %w", name, err)) // it is embedded
	}
	return s
}

// page is docs/schemas.md.
func page() []byte {
	var out bytes.Buffer
	out.WriteString(head)
	out.WriteString("\n## The envelope\n\n" + load("envelope.json").Description + "\n\n")
	table(&out, load("envelope.json"))
	defs := load("definitions.json").Defs
	out.WriteString("\n## What contexts share\n")
	for _, name := range []string{"context", "http_request", "geo", "asn", "model", "user", "exception"} {
		def := defs[name]
		fmt.Fprintf(&out, "\n### %s\n\n%s\n", name, def.Description)
		if len(def.Properties) > 0 {
			out.WriteString("\n")
			table(&out, def)
		}
	}
	out.WriteString("\n## The context of each action\n\nBesides `http_request`, `geo` and `asn`.\n")
	for _, action := range schemas.Actions() {
		s := load("context/" + action.Name + ".json")
		fmt.Fprintf(&out, "\n### %s\n\n%s. %s\n", action.Name, strings.ToUpper(action.Meaning[:1])+action.Meaning[1:], s.Description)
		if len(s.Properties) > 0 {
			out.WriteString("\n")
			table(&out, s)
		}
	}
	alert := load("alert.json")
	out.WriteString("\n## The alert, as a CloudEvent\n\n" + alert.Description + cloudEvents)
	table(&out, alert)
	out.WriteString("\n### data\n\n")
	table(&out, alert.Properties["data"])
	return out.Bytes()
}

const head = `# Schemas

For whoever writes a publisher or a reader in any language, or generates one. This page is written by ` + "`make schemas`" + `.

The documents are in [schemas/contract](../schemas/contract), embedded in ` + "`bin/producer`" + `:

| file | what it is |
|---|---|
| ` + "`event.json`" + ` | JSON Schema 2020-12 of an event: the envelope and, by its action, its context |
| ` + "`envelope.json`, `context/<action>.json`, `definitions.json`" + ` | what it is made of |
| ` + "`alert.json`" + ` | JSON Schema of an alert, a CloudEvent |
| ` + "`asyncapi.json`" + ` | AsyncAPI 3.0: every subject with its messages and headers |

` + "```sh" + `
bin/producer generate -n 10000 | bin/producer validate
` + "```" + `

checks events, one a line, and says for each that departs ` + "`FILE:LINE: PATH: REASON`" + `, never what stands there. The
envelope is the contract: an event that breaks it is quarantined. The context is not: the schemas say what authentik's
own events hold, allow any member beside, and an event whose context departs from them is stored all the same.
`

const cloudEvents = ` It maps to the other modes of CloudEvents as
their specification says: in binary mode each attribute below is a header (` + "`ce-id`, `ce-type`" + ` …) and ` + "`data`" + ` the body.
Two attributes identify it, ` + "`source` and `id`" + `.

`

// table lists the members of an object.
func table(out *bytes.Buffer, s schema) {
	out.WriteString("| member | type | what it is |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		member := s.Properties[name]
		required := ""
		if slices.Contains(s.Required, name) {
			required = " (always there)"
		}
		fmt.Fprintf(out, "| `%s` | %s | %s%s |\n", name, member.kind(), strings.TrimSuffix(member.Description, "."), required)
	}
}

// kind says in a word or two what a member may be.
func (s schema) kind() string {
	switch t := s.Type.(type) {
	case string:
		return withEnum(t, s.Enum)
	case []any:
		var names []string
		for _, name := range t {
			names = append(names, fmt.Sprint(name))
		}
		return strings.Join(names, " or ")
	}
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndex(s.Ref, "/")+1:]
		if def, ok := strings.CutSuffix(name, ".json"); ok {
			return def
		}
		if name == "pk" {
			return "string or integer"
		}
		return "[" + name + "](#" + name + ")"
	case s.Const != nil:
		return fmt.Sprintf("`%v`", s.Const)
	default:
		return "any"
	}
}

func withEnum(kind string, enum []string) string {
	if len(enum) == 0 {
		return kind
	}
	return "`" + strings.Join(enum, "`, `") + "`"
}
