package generate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sluice/producer/generate"
)

// keyWords are what authentik masks by: a secret under another key would be in a
// carrier of its own.
var keyWords = regexp.MustCompile(`password|token|secret|key|api|auth|signature|pass|cookie`)

// inText are the carriers in which a text says that it holds a secret.
var inText = map[string]bool{"url": true, "header": true, "traceback": true, "command": true, "json_text": true}

// holdsItsSecrets says whether each secret stands where its event says it does.
func holdsItsSecrets(e generate.Event) error {
	decoder := json.NewDecoder(bytes.NewReader(e.JSON))
	decoder.UseNumber()
	var event any
	if err := decoder.Decode(&event); err != nil {
		return fmt.Errorf("decode event: %w", err)
	}
	for _, s := range e.Secrets {
		leaf, err := resolve(event, s.Pointer)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Carrier, err)
		}
		switch {
		case s.Carrier == "query":
			err = queryHolds(leaf, s.Value)
		case inText[s.Carrier]:
			if !strings.Contains(leaf, s.Value) || leaf == s.Value {
				err = fmt.Errorf("leaf is %q, want a text around %q", leaf, s.Value)
			}
		case leaf != s.Value:
			err = fmt.Errorf("leaf is %q, want %q", leaf, s.Value)
		}
		if err != nil {
			return fmt.Errorf("%s at %s: %w", s.Carrier, s.Pointer, err)
		}
		if n := bytes.Count(e.JSON, []byte(s.Encoded)); n != 1 {
			return fmt.Errorf("%s at %s: encoded value %q stands %d times in the event", s.Carrier, s.Pointer, s.Encoded, n)
		}
	}
	return nil
}

func queryHolds(query, value string) error {
	params, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("parse query: %w", err)
	}
	for key, values := range params {
		if values[0] == value && keyWords.MatchString(key) {
			return nil
		}
	}
	return errors.New("no parameter of the query is the value")
}

// resolve finds the leaf of a JSON Pointer without escapes.
func resolve(value any, pointer string) (string, error) {
	for _, step := range strings.Split(pointer, "/")[1:] {
		switch container := value.(type) {
		case map[string]any:
			value = container[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(container) {
				return "", fmt.Errorf("no element %q", step)
			}
			value = container[i]
		default:
			return "", fmt.Errorf("no member %q", step)
		}
	}
	switch leaf := value.(type) {
	case string:
		return leaf, nil
	case json.Number:
		return leaf.String(), nil
	default:
		return "", fmt.Errorf("no leaf at %s", pointer)
	}
}

func TestSecretsStandWhereTheySayTheyDo(t *testing.T) {
	t.Parallel()
	carriers, pairs, values := map[string]int{}, map[string]bool{}, map[string]bool{}
	marker := generate.Marker(21)
	for i, e := range take(generate.Config{Seed: 21, SecretRate: 1}, 40_000) {
		if err := holdsItsSecrets(e); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		marked := 0
		for _, s := range e.Secrets {
			carriers[s.Carrier]++
			pairs[s.Carrier+" in "+e.Action] = true
			if values[s.Value] {
				t.Fatalf("event %d: secret %q a second time", i, s.Value)
			}
			values[s.Value] = true
			if s.Carrier != "query" && !inText[s.Carrier] && !keyWords.MatchString(strings.TrimPrefix(s.Pointer, "/context")) {
				t.Fatalf("event %d: no key of %s says that its value is secret", i, s.Pointer)
			}
			if s.Carrier == "number" {
				if f, err := strconv.ParseFloat(s.Value, 64); err != nil || len(s.Value) < 8 || strconv.FormatFloat(f, 'f', 0, 64) != s.Value {
					t.Fatalf("event %d: number %q is too short or does not survive a float64", i, s.Value)
				}
				continue
			}
			marked++
			if !strings.HasPrefix(s.Value, marker) || !strings.HasPrefix(s.Encoded, marker) {
				t.Fatalf("event %d: %q, %q do not begin with the marker %q", i, s.Value, s.Encoded, marker)
			}
		}
		if n := bytes.Count(e.JSON, []byte(marker)); n != marked {
			t.Fatalf("event %d: marker stands %d times, %d secrets carry it", i, n, marked)
		}
	}
	for _, name := range generate.Carriers() {
		t.Logf("%-14s %d", name, carriers[name])
		if carriers[name] < 500 {
			t.Errorf("carrier %s has %d secrets, want its share", name, carriers[name])
		}
	}
	// 4 actions come from the background and have no request to carry anything.
	const background, needRequest = 4, 2
	if want := 24*len(generate.Carriers()) - background*needRequest; len(pairs) != want {
		t.Errorf("%d pairs of carrier and action, want %d", len(pairs), want)
	}
}

func TestSecretRate(t *testing.T) {
	t.Parallel()
	const n = 20_000
	tests := []struct {
		rate     float64
		low, top int
	}{
		{-1, 0, 0},
		{0, n * 45 / 1000, n * 55 / 1000},
		{0.5, n * 48 / 100, n * 52 / 100},
		{1, n, n},
	}
	for _, tt := range tests {
		got := 0
		for _, e := range take(generate.Config{Seed: 2, SecretRate: tt.rate}, n) {
			if len(e.Secrets) > 0 {
				got++
			} else if bytes.Contains(e.JSON, []byte(generate.Marker(2))) {
				t.Fatalf("rate %g: %s holds a secret that it does not announce", tt.rate, e.PK)
			}
		}
		if got < tt.low || got > tt.top {
			t.Errorf("rate %g: %d of %d events carry a secret, want %d to %d", tt.rate, got, n, tt.low, tt.top)
		}
	}
}

func TestMarker(t *testing.T) {
	t.Parallel()
	tests := []struct {
		seed uint64
		want string
	}{
		{0, "s3cr-0000000000000000-"},
		{0x1a, "s3cr-000000000000001a-"},
		{1<<64 - 1, "s3cr-ffffffffffffffff-"},
	}
	for _, tt := range tests {
		if got := generate.Marker(tt.seed); got != tt.want {
			t.Errorf("Marker(%#x) = %q, want %q", tt.seed, got, tt.want)
		}
	}
}
