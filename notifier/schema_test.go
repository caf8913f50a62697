package notifier

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

func TestConfigSchema(t *testing.T) {
	text, err := ConfigSchema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("config.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := os.ReadFile(filepath.Join("..", "deploy", "notifier", "receivers.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const rule = "version: 1\nrules: [{name: a, match: {action: login}, receivers: b}]\n"
	for name, test := range map[string]struct {
		text  string
		valid bool
	}{
		"shipped":      {string(shipped), true},
		"both":         {rule + "receivers: {b: {type: nats, subject: a.b}}", true},
		"no receiver":  {rule + "receivers: {b: {type: pigeon}}", false},
		"no such rule": {"version: 1\nrules: [{name: a, matches: {}}]", false},
		"wrong name":   {"version: 1\nreceivers: {A_b: {type: nats, subject: a.b}}", false},
	} {
		var value any
		if err := yaml.Unmarshal([]byte(test.text), &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); (err == nil) != test.valid {
			t.Errorf("%s: valid %v, want %v: %v", name, err == nil, test.valid, err)
		}
	}
}

// Everything wrong with the receivers is told with the file and its line, as for rules.
func TestWrongReceiversAreTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "n.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nreceivers:\n  a: {type: pigeon}\n  b: {type: nats}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := loadFile(file)
	want := file + ":3: receivers.a.type: must be one of "
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "\n"+file+":4: receivers.b: ") {
		t.Errorf("got %v", err)
	}
}
