package door_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document compiles the OpenAPI document once: each answer of these tests is held
// against it.
var document = sync.OnceValues(func() (*jsonschema.Compiler, error) {
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		return nil, err
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	return c, c.AddResource("openapi.json", parsed)
})

func schema(t testing.TB, pointer string) *jsonschema.Schema {
	t.Helper()
	c, err := document()
	if err != nil {
		t.Fatal(err)
	}
	// A Compiler is not safe for concurrent use.
	compiling.Lock()
	defer compiling.Unlock()
	s, err := c.Compile("openapi.json#" + pointer)
	if err != nil {
		t.Fatalf("%s: %v", pointer, err)
	}
	return s
}

var compiling sync.Mutex

// checkAnswer fails unless the document describes the answer.
func checkAnswer(t testing.TB, a answer) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(a.text))
	if err != nil {
		t.Fatal(err)
	}
	name := "/components/schemas/Answer"
	if a.header.Get("Content-Type") == "application/problem+json" {
		name = "/components/schemas/Problem"
	}
	if err := schema(t, name).Validate(value); err != nil {
		t.Errorf("the document does not describe %.300s: %v", a.text, err)
	}
	var doc struct {
		Paths map[string]struct {
			Post struct{ Responses map[string]any }
		}
	}
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &doc); err != nil { //nolint:musttag // names differ in case alone
		t.Fatal(err)
	}
	if _, known := doc.Paths["/v1/events"].Post.Responses[strconv.Itoa(a.status)]; !known && a.status != 404 {
		t.Errorf("the document does not name the status %d", a.status)
	}
}

// The document is OpenAPI 3.1 by the specification's own schema, and its schemas
// are JSON Schemas.
func TestOpenAPIDocument(t *testing.T) {
	c := jsonschema.NewCompiler()
	meta, err := c.Compile("testdata/openapi-3.1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := meta.Validate(value); err != nil {
		t.Error(err)
	}
	root := value.(map[string]any)
	for name := range root["components"].(map[string]any)["schemas"].(map[string]any) {
		schema(t, "/components/schemas/"+name)
	}
	checkReferences(t, root, value)
}

// checkReferences fails for a $ref that leads nowhere.
func checkReferences(t *testing.T, root map[string]any, value any) {
	t.Helper()
	switch v := value.(type) {
	case []any:
		for _, one := range v {
			checkReferences(t, root, one)
		}
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			var at any = root
			for token := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
				object, _ := at.(map[string]any)
				at = object[token]
			}
			if at == nil {
				t.Errorf("%s leads nowhere", ref)
			}
		}
		for _, one := range v {
			checkReferences(t, root, one)
		}
	}
}
