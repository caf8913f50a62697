package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/schemas"
	"sluice/schemas/contract"
)

func TestDocumentsAreCurrent(t *testing.T) {
	t.Parallel()
	for name, want := range documents() {
		have, err := os.ReadFile(filepath.Join("..", "..", "..", filepath.FromSlash(name)))
		if err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s is not current: make schemas (%v)", name, err)
		}
	}
}

// TestEveryReferenceLeadsSomewhere holds for all documents, and that each action has
// its context and its message.
func TestEveryReferenceLeadsSomewhere(t *testing.T) {
	t.Parallel()
	docs := map[string]any{}
	err := fs.WalkDir(contract.Files(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(contract.Files(), name)
		if err != nil {
			return err
		}
		var doc any
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		docs[name] = doc
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	refs := 0
	var walk func(name string, value any)
	walk = func(name string, value any) {
		switch v := value.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				refs++
				file, pointer, _ := strings.Cut(ref, "#")
				target := name
				if file != "" {
					target = filepath.ToSlash(filepath.Join(filepath.Dir(name), file))
				}
				if !found(docs[target], pointer) {
					t.Errorf("%s: %s leads nowhere", name, ref)
				}
			}
			for _, member := range v {
				walk(name, member)
			}
		case []any:
			for _, element := range v {
				walk(name, element)
			}
		}
	}
	for name, doc := range docs {
		walk(name, doc)
	}
	if refs < 100 {
		t.Errorf("%d references", refs)
	}
	for _, action := range schemas.Actions() {
		if contract.Context(action.Name) == "" || !found(docs["asyncapi.json"], "/channels/raw/messages/"+action.Name) {
			t.Errorf("%s has no schema or no message", action.Name)
		}
	}
	if contract.Context("of_my_own") != "" || contract.Context("../envelope") != "" {
		t.Error("an action that is none has a schema")
	}
	for _, stream := range []string{schemas.StreamRaw, schemas.StreamClean, schemas.StreamQuarantine, schemas.StreamAlerts} {
		text, err := fs.ReadFile(contract.Files(), "asyncapi.json")
		if err != nil || !bytes.Contains(text, []byte(`"title": "`+stream+`"`)) {
			t.Errorf("%s is no channel: %v", stream, err)
		}
	}
}

func found(doc any, pointer string) bool {
	for step := range strings.SplitSeq(pointer, "/") {
		if step == "" {
			continue
		}
		object, ok := doc.(map[string]any)
		if !ok {
			return false
		}
		doc = object[step]
	}
	return doc != nil
}
