// Package corpus is the labelled collection of events by which the redactor is
// judged: secrets of every family in every carrier that it can stand in, and
// events in which there is nothing to mask.
//
// It owns the labels, and decides nothing about redaction: it does not know the
// rules. The secrets are made up by a seeded generator, so that each run has the
// same ones and none is written down; the harmless events are frozen in testdata.
//
// Left out is what nobody could know: a password in a sentence, or under a name
// that says nothing; and what is encrypted, compressed or split.
package corpus

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Case is one event with its label.
type Case struct {
	// Name identifies the case.
	Name string
	// Family is what kind of secret is in it, Carrier how it stands there. For
	// harmless events the family is "benign" and the carrier what it stands for.
	Family, Carrier string
	// Event is the text.
	Event []byte
	// Secrets are texts that may not be in what comes out, in no encoding.
	Secrets []string
	// Keep are texts beside the secret that must stay.
	Keep []string
}

// Seed makes the secrets; the report names it.
const Seed = 20261124

// Secrets returns the events with secrets in them.
func Secrets() []Case {
	r := rand.New(rand.NewPCG(Seed, 0))
	var cases []Case
	add := func(family string, item int, carrier carrier, s secret) {
		text, ok := carrier.build(s)
		if !ok {
			return
		}
		event, err := json.Marshal(text)
		if err != nil {
			panic(err) // of plain maps and strings: it cannot
		}
		if carrier.rewrite != nil {
			event = carrier.rewrite(event)
		}
		c := Case{
			Name: fmt.Sprintf("%s/%d/%s", family, item, carrier.name), Family: family, Carrier: carrier.name,
			Event: event, Secrets: append([]string{s.core}, s.more...), Keep: carrier.keep,
		}
		if encoded := carrier.encoded; encoded != nil {
			c.Secrets = append(c.Secrets, encoded(s)...)
		}
		cases = append(cases, c)
	}
	for _, family := range families(r) {
		for i, s := range family.secrets {
			for _, carrier := range carriersFor(family.kind) {
				add(family.name, i, carrier, s)
			}
		}
	}
	return cases
}

//go:embed testdata/benign.ndjson
var benign string

// Benign returns the harmless events: none of their bytes may change.
func Benign() []Case {
	var cases []Case
	for line := range strings.Lines(benign) {
		var labelled struct {
			Name   string          `json:"name"`
			Source string          `json:"source"`
			Event  json.RawMessage `json:"event"`
		}
		if err := json.Unmarshal([]byte(line), &labelled); err != nil {
			panic(fmt.Sprintf("the frozen events are broken: %v", err))
		}
		cases = append(cases, Case{Name: labelled.Name, Family: "benign", Carrier: labelled.Source, Event: labelled.Event})
	}
	return cases
}
