package redactor

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"sluice/redactor/redact"
	"sluice/redactor/rules"
)

// block returns the first block of a language behind a text of a page.
func block(t *testing.T, page, behind, language string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), behind)
	_, rest, opened := strings.Cut(rest, "```"+language+"\n")
	inside, _, closed := strings.Cut(rest, "```")
	if !found || !opened || !closed {
		t.Fatalf("%s: no block of %q behind %q", page, language, behind)
	}
	return inside
}

func TestRedactionPage(t *testing.T) {
	t.Parallel()
	command := block(t, "redaction.md", "## To look", "sh")
	event, ok := strings.CutPrefix(command, `printf '%s\n' '`)
	event, after, found := strings.Cut(event, "'")
	if !ok || !found || strings.TrimSpace(after) != "| bin/redactor filter" {
		t.Fatalf("the command is %q", command)
	}
	var out, refused bytes.Buffer
	if _, err := Filter(t.Context(), engineFor(t), strings.NewReader(event), &out, &refused); err != nil {
		t.Fatal(err)
	}
	if want := block(t, "redaction.md", command+"```\n", ""); out.String() != want {
		t.Errorf("got %s, the page says %s", out.String(), want)
	}
}

func TestRulesPage(t *testing.T) {
	t.Parallel()
	set, err := rules.Parse("redaction-rules.md", []byte(block(t, "redaction-rules.md", "# Rules", "yaml")))
	if err != nil || set.Count() != 5 {
		t.Fatalf("%d rules, %v", set.Count(), err)
	}
	engine, err := redact.New(redact.Config{Policy: set.Policy, Tenants: set.Tenants})
	if err != nil {
		t.Fatal(err)
	}
	const event = `{"context":{"badgeNumber":7,"note":"EMP-123456","ssn":"1","token_label":"x","lockerCode":"9"}}`
	for tenant, want := range map[string]int{"": 3, "acme": 4} {
		if got, err := engine.For(tenant).Redact(nil, []byte(event)); err != nil || len(got.Masked) != want {
			t.Errorf("tenant %q: %+v, %v; want %d masked", tenant, got.Masked, err, want)
		}
	}
}
