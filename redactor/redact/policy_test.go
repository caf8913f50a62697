package redact

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/schemas"
)

func parsePaths(t *testing.T, texts ...string) []Path {
	t.Helper()
	paths := make([]Path, 0, len(texts))
	for _, text := range texts {
		p, err := ParsePath(text)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	const m = schemas.Mask
	engine, err := New(Config{
		Policy: Policy{
			Keys:   []KeyRule{{Name: "staff_badge", Match: []string{"badge number", "staffPin"}}},
			Values: []ValueRule{{Name: "employee_id", Pattern: regexp.MustCompile(`EMP-([0-9]{6})`)}, {Name: "case_id", Pattern: regexp.MustCompile(`\b[0-9]{3}/[0-9]{2}\b`)}},
			Deny:   parsePaths(t, "$.context.ssn", "$.context.people[*].born"),
			Allow:  parsePaths(t, "$.context.secret_label", "$..token_note"),
		},
		Tenants: map[string]Policy{"acme": {
			Keys: []KeyRule{{Name: "locker", Match: []string{"locker"}}},
			Deny: parsePaths(t, "$.context['home town']"),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ tenant, in, want, rules string }{
		{"", `{"badgeNumber":7,"X-Badge-Number":"b","badge":{"number":"c"}}`, `{"badgeNumber":"` + m + `","X-Badge-Number":"` + m + `","badge":{"number":"c"}}`, "staff_badge"},
		{"", `{"a":"badge_number=5 x"}`, `{"a":"badge_number=` + m + ` x"}`, "staff_badge"},
		{"", `{"a":"of EMP-123456, EMP-654321 and EMP-1"}`, `{"a":"of EMP-` + m + `, EMP-` + m + ` and EMP-1"}`, "employee_id"},
		{"", `{"a":"see 123/45 and 1123/45"}`, `{"a":"see ` + m + ` and 1123/45"}`, "case_id"},
		{"", `{"context":{"ssn":{"a":[1,"x",null]}},"ssn":"y"}`, `{"context":{"ssn":{"a":["` + m + `","` + m + `",null]}},"ssn":"y"}`, "denied"},
		{"", `{"context":{"people":[{"born":1,"n":2},{"born":3}]}}`, `{"context":{"people":[{"born":"` + m + `","n":2},{"born":"` + m + `"}]}}`, "denied"},
		{"", `{"context":{"secret_label":{"password":"x"},"b":{"token_note":"token=x"}}}`, `{"context":{"secret_label":{"password":"x"},"b":{"token_note":"token=x"}}}`, ""},
		{"", `{"locker":5,"context":{"home town":"x"}}`, `{"locker":5,"context":{"home town":"x"}}`, ""},
		{"acme", `{"locker":5,"context":{"home town":"x"}}`, `{"locker":"` + m + `","context":{"home town":"` + m + `"}}`, "denied locker"},
		{"acme", `{"badge_number":5}`, `{"badge_number":"` + m + `"}`, "staff_badge"},
		{"other", `{"badge_number":5,"locker":1}`, `{"badge_number":"` + m + `","locker":1}`, "staff_badge"},
	} {
		got, err := engine.For(test.tenant).RedactJSON(nil, []byte(test.in))
		if err != nil || string(got.Clean) != test.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", test.tenant, err, got.Clean, test.want)
		}
		var rules []string
		for _, m := range got.Masked {
			rules = append(rules, m.Rule)
		}
		slices.Sort(rules)
		if names := strings.Join(slices.Compact(rules), " "); names != test.rules {
			t.Errorf("%s: rules %q, want %q", test.in, names, test.rules)
		}
	}
	for _, want := range []string{"staff_badge", "employee_id", "locker"} {
		if !slices.ContainsFunc(engine.Rules(), func(r Rule) bool { return r.Name == want }) {
			t.Errorf("rule %s is not listed", want)
		}
	}
}

func TestPolicyErrors(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]Policy{
		"built-in name": {Keys: []KeyRule{{Name: "key", Match: []string{"a"}}}},
		"no words":      {Keys: []KeyRule{{Name: "x", Match: []string{"--"}}}},
		"empty match":   {Values: []ValueRule{{Name: "x", Pattern: regexp.MustCompile(`a*`)}}},
		"no pattern":    {Values: []ValueRule{{Name: "x"}}},
		"same name":     {Keys: []KeyRule{{Name: "x", Match: []string{"a"}}}, Values: []ValueRule{{Name: "x", Pattern: regexp.MustCompile(`a`)}}},
	} {
		if _, err := New(Config{Policy: p}); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := New(Config{Tenants: map[string]Policy{"t": p}}); err == nil {
			t.Errorf("%s of a tenant: no error", name)
		}
	}
}

func TestParsePath(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "$", "context", "$context", "$.", "$..", "$.a.", "$.a..", "$[", "$[]", "$['a", "$['a'", "$[01]", "$[-1]", "$[1:2]", "$[?@.a]",
		"$.a b", "$.a['b']c", "$.\xff", "$" + strings.Repeat(".a", maxSteps+1),
	} {
		if _, err := ParsePath(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
	for _, text := range []string{"$.a", "$..a", "$.a[*]", "$.*.b", "$['x y']", `$["it's"]`, `$['it\'s']`, "$.a[0][12]", "$..['a']", "$..*", "$.über"} {
		if p, err := ParsePath(text); err != nil || p.String() != text {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, text := range []string{"$.a", "$..a['b'][*][0]", `$['\'']`, "$[", "$..["} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := ParsePath(text); err == nil && (len(p.steps) == 0 || len(p.steps) > maxSteps) {
			t.Errorf("%d steps", len(p.steps))
		}
	})
}

func TestFingerprints(t *testing.T) {
	t.Parallel()
	prints := &Fingerprints{KeyID: "k1", Key: []byte(strings.Repeat("k", 32))}
	engine, err := New(Config{Fingerprints: prints})
	if err != nil {
		t.Fatal(err)
	}
	want := prints.Of([]byte("abc/def=1"))
	if !strings.HasPrefix(want, "k1:") || len(want) != len("k1:")+32 {
		t.Fatalf("fingerprint %q", want)
	}
	for _, in := range []string{
		`{"access_token":"abc/def=1"}`, `{"access_token":"abc\/def=1"}`, `{"a":"/p?access_token=abc%2Fdef%3D1"}`, `{"a":"{\"access_token\":\"abc/def=1\"}"}`,
	} {
		got, err := engine.Redact(nil, []byte(in))
		if err != nil || len(got.Masked) != 1 || got.Masked[0].Fingerprint != want {
			t.Errorf("%s: %+v, %v; want fingerprint %s", in, got.Masked, err, want)
		}
	}
	for _, in := range []string{`{"password":"abc/def=1"}`, `{"a":"password=abcdef1"}`, `{"a":"https://u:abcdef1@h/"}`, `{"secret":{"a":"abcdef1"}}`} {
		got, err := engine.Redact(nil, []byte(in))
		if err != nil || len(got.Masked) != 1 || got.Masked[0].Fingerprint != "" {
			t.Errorf("%s: %+v, %v; want no fingerprint", in, got.Masked, err)
		}
	}
	for _, bad := range []Fingerprints{{KeyID: "k1", Key: []byte("short")}, {KeyID: "", Key: prints.Key}, {KeyID: "a b", Key: prints.Key}} {
		if _, err := New(Config{Fingerprints: &bad}); err == nil {
			t.Errorf("key id %q, %d bytes: no error", bad.KeyID, len(bad.Key))
		}
	}
}
