package yamlfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"sluice/internal/yamlfile"
)

// read reads a document with the members name, a text, and list, a list of texts.
func read(text string) error {
	root, err := yamlfile.Parse("f.yaml", []byte(text), 100)
	if err != nil {
		return err
	}
	r := &yamlfile.Reader{File: "f.yaml"}
	one := func(node *yaml.Node, path string) { r.Text(node, path) }
	r.Members(root, "", map[string]yamlfile.Read{
		"name": one,
		"list": func(node *yaml.Node, path string) { r.Elements(node, path, one) },
	}, "name", "list")
	return r.Err()
}

func TestWhatIsWrongIsTold(t *testing.T) {
	for text, want := range map[string]string{
		"name: a\nlist: [b, c]":             "",
		"":                                  "f.yaml:1: the file is empty; it begins with version: 1",
		"- a":                               "f.yaml:1: must be a mapping",
		"name: [\n":                         "f.yaml:1: did not find expected node content",
		"name: list":                        "f.yaml:1: list is missing",
		"name: 1\nlist: []":                 "f.yaml:1: name: must be a text\nf.yaml:2: list: must be a list of at least one",
		"name: a\nname: b\nlist: [c]":       "f.yaml:2: name: stands there twice",
		"name: &x a\nlist: [*x]":            "f.yaml:2: list[0]: aliases are not supported",
		"name: a\nlist: &l [b]\nother: *l":  "f.yaml:3: other: aliases are not supported",
		"name: a\nlist: [b]\nsurname: c":    "f.yaml:3: surname: unknown; known are list, name",
		"name: a\nlist:\n  - b\n  - {c: d}": "f.yaml:4: list[1]: must be a text",
		strings.Repeat("#", 101):            "f.yaml: 101 bytes of at most 100",
	} {
		got := ""
		if err := read(text); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte("a: b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := yamlfile.Load(file, 5); err != nil || string(text) != "a: b\n" {
		t.Errorf("got %q: %v", text, err)
	}
	if _, err := yamlfile.Load(file, 4); err == nil || !strings.HasSuffix(err.Error(), "has 5 bytes of at most 4") {
		t.Errorf("a larger file: %v", err)
	}
	if _, err := yamlfile.Load(file+"x", 5); !os.IsNotExist(err) && err == nil {
		t.Error("a file that is not there was read")
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"name: a\nlist: [b]", "&a [*a]", "? {a: b}\n: c", "name: !!binary x", "\xff", "a: |\n b\n--- \nc"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if err := read(text); err != nil && !strings.HasPrefix(err.Error(), "f.yaml:") {
			t.Errorf("%q: %v", text, err)
		}
	})
}
