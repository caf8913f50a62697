package rules_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"sluice/redactor/redact"
	"sluice/redactor/rules"
)

const good = `# comments are welcome
version: 1
keys:
  - name: staff_badge
    match: [badge number, staffPin]
values:
  - name: employee_id
    pattern: 'EMP-([0-9]{6})'
deny:
  - path: $.context.ssn
    reason: social security numbers
allow:
  - path: $.context.token_label
tenants:
  acme:
    keys:
      - name: locker
        match: [locker]
    deny:
      - path: $..born
`

func TestParse(t *testing.T) {
	t.Parallel()
	set, err := rules.Parse("rules.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if set.Count() != 6 || len(set.Tenants) != 1 {
		t.Fatalf("%d rules, %d tenants", set.Count(), len(set.Tenants))
	}
	engine, err := redact.New(redact.Config{Policy: set.Policy, Tenants: set.Tenants})
	if err != nil {
		t.Fatal(err)
	}
	const in = `{"badgeNumber":1,"a":"EMP-123456","context":{"ssn":2,"token_label":"x","born":3},"locker":4}`
	for tenant, masks := range map[string]int{"other": 3, "acme": 5} {
		got, err := engine.For(tenant).RedactJSON(nil, []byte(in))
		if err != nil || len(got.Masked) != masks {
			t.Errorf("%s: %+v, %v; want %d masked", tenant, got.Masked, err, masks)
		}
	}
}

// bad files, with all that is wrong with each.
var bad = []struct {
	name, text string
	want       []string
	// schema tells that the JSON Schema finds it too.
	schema bool
}{
	{"empty", "", []string{"r.yaml:1: the file is empty; it begins with version: 1"}, false},
	{"no mapping", "- 1", []string{"r.yaml:1: must be a mapping"}, true},
	{"no version", "keys:\n - name: a\n   match: [b]", []string{"r.yaml:1: version: is missing; it is 1"}, true},
	{"another version", "version: 2", []string{"r.yaml:1: version: must be 1"}, true},
	{"unknown", "version: 1\nkey: []", []string{"r.yaml:2: key: unknown; known are allow, deny, keys, tenants, values, version"}, true},
	{"twice", "version: 1\nversion: 1", []string{`r.yaml:2: version: stands there twice`}, false},
	{"empty list", "version: 1\nkeys: []", []string{"r.yaml:2: keys: must be a list of at least one"}, true},
	{"several", "version: 1\nkeys:\n - name: A\n   match: [x]\n - match: ['--']\nvalues:\n - name: v\n   pattern: '('\n - name: w\n   pattern: 'a*'\n - name: x\n   pattern: '(a)(b)'\n", []string{
		"r.yaml:3: keys[0].name: must be of the form [a-z][a-z0-9_]*, at most 64 long", "r.yaml:5: keys[1].match[0]: has no letters and digits", "r.yaml:5: keys[1]: name is missing",
		"r.yaml:8: values[0].pattern: missing closing ): `(`", "r.yaml:10: values[1].pattern: matches the empty text", "r.yaml:12: values[2].pattern: has 2 groups",
	}, true},
	{"built-in name", "version: 1\nkeys:\n - name: jwt\n   match: [x]", []string{"r.yaml:3: keys[0].name: is the name of a built-in rule"}, false},
	{"path", "version: 1\ndeny:\n - path: context.ssn\n - path: $.a[", []string{"r.yaml:3: deny[0].path: read path: it must begin with $", "r.yaml:4: deny[1].path: read path at character 4"}, true},
	{"types", "version: 1\nkeys:\n - name: 5\n   match: x\n - y", []string{"r.yaml:3: keys[0].name: must be a text", "r.yaml:4: keys[0].match: must be a list", "r.yaml:5: keys[1]: must be a mapping"}, true},
	{"tenant", "version: 1\ntenants:\n  'a b': {}\n  c: {tenants: {}}", []string{"r.yaml:3: tenants: a tenant is 1 to 64", "r.yaml:4: tenants.c.tenants: unknown"}, true},
	{"alias", "version: 1\nkeys: &k\n - name: a\n   match: [b]\nvalues: *k", []string{"r.yaml:5: values: aliases are not supported"}, false},
	{"no YAML", "version: [", []string{"r.yaml:1: did not find"}, false},
	{"name twice", "version: 1\nkeys:\n - name: a\n   match: [b]\nvalues:\n - name: a\n   pattern: x", []string{"r.yaml: rule a: there is another one of this name"}, false},
}

func TestBad(t *testing.T) {
	t.Parallel()
	for _, test := range bad {
		_, err := rules.Parse("r.yaml", []byte(test.text))
		if err == nil {
			t.Errorf("%s: no error", test.name)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(test.want) {
			t.Errorf("%s: %d errors, want %d:\n%v", test.name, len(lines), len(test.want), err)
			continue
		}
		for i, want := range test.want {
			if !strings.HasPrefix(lines[i], want) {
				t.Errorf("%s: got %q, want %q", test.name, lines[i], want)
			}
		}
	}
}

// TestSchema holds the JSON Schema to the parser.
func TestSchema(t *testing.T) {
	t.Parallel()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(rules.Schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(text string) error {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(instance)
	}
	if err := validate(good); err != nil {
		t.Errorf("the good file: %v", err)
	}
	for _, test := range bad {
		if test.schema && validate(test.text) == nil {
			t.Errorf("%s: the schema finds nothing wrong", test.name)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	if set, err := rules.Load(""); err != nil || set.Count() != 0 {
		t.Errorf("no file: %v", err)
	}
	if _, err := rules.Load(t.TempDir() + "/none"); err == nil || !strings.HasPrefix(err.Error(), "read rules: ") {
		t.Errorf("missing file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	for _, test := range bad {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if set, err := rules.Parse("r.yaml", []byte(text)); err == nil {
			if _, err := redact.New(redact.Config{Policy: set.Policy, Tenants: set.Tenants}); err != nil {
				t.Errorf("taken, and refused by the engine: %v", err)
			}
		}
	})
}
