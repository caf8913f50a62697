package corpus_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"sluice/redactor/redact"
	"sluice/redactor/redact/corpus"
)

func newEngine(tb testing.TB) *redact.Engine {
	tb.Helper()
	engine, err := redact.New(redact.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return engine
}

// tally counts failures by family and carrier, and tells the first ones by name.
// The secrets are made up, and are not printed all the same.
type tally map[string][]string

func (t tally) add(c corpus.Case) {
	key := c.Family + " in " + c.Carrier
	t[key] = append(t[key], c.Name)
}

func (t tally) report(tb testing.TB, what string, of int) {
	tb.Helper()
	failed := 0
	for _, key := range slices.Sorted(maps.Keys(t)) {
		failed += len(t[key])
		tb.Errorf("%s: %s: %d, as %s", what, key, len(t[key]), t[key][0])
	}
	tb.Logf("%s: %d of %d", what, failed, of)
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	leaked, lost, changed := tally{}, tally{}, tally{}
	cases := corpus.Secrets()
	names := map[string]bool{}
	for _, c := range cases {
		if names[c.Name] {
			t.Errorf("%s twice", c.Name)
		}
		names[c.Name] = true
		got, err := engine.Redact(nil, c.Event)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		header := got.Header()
		for _, secret := range c.Secrets {
			if !bytes.Contains(c.Event, []byte(secret)) && !strings.Contains(c.Carrier, "base64") && c.Carrier != "used_as_key" {
				t.Errorf("%s: the label is wrong: no such secret in the event", c.Name)
			}
			if bytes.Contains(got.Clean, []byte(secret)) || strings.Contains(header, secret) {
				leaked.add(c)
				break
			}
		}
		for _, keep := range c.Keep {
			if !bytes.Contains(got.Clean, []byte(keep)) {
				lost.add(c)
			}
		}
		again, err := engine.Redact(nil, got.Clean)
		if err != nil || !bytes.Equal(again.Clean, got.Clean) || len(again.Counts) > 0 || !json.Valid(got.Clean) || len(got.Masked) == 0 {
			changed.add(c)
		}
	}
	leaked.report(t, "leaked", len(cases))
	lost.report(t, "lost beside it", len(cases))
	changed.report(t, "not masked, not JSON or not the same when masked again", len(cases))
}

func TestBenign(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	cases := corpus.Benign()
	if len(cases) < 250 {
		t.Errorf("%d harmless events, want 250 and more", len(cases))
	}
	names := map[string]bool{}
	for _, c := range cases {
		if names[c.Name] || c.Carrier == "" {
			t.Errorf("%s: twice, or without what it stands for", c.Name)
		}
		names[c.Name] = true
		got, err := engine.RedactJSON(nil, c.Event)
		if err != nil || !bytes.Equal(got.Clean, c.Event) {
			t.Errorf("%s (%s): %v\n%s\n%s", c.Name, c.Carrier, err, got.Clean, fmt.Sprint(got.Masked))
		}
	}
}
