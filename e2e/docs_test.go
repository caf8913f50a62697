package e2e_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// docs/settings.md is what the commands say of themselves.
func TestSettingsPage(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	page.WriteString("# Settings\n\nEvery command with every setting, its default and its meaning, as `-h` prints them.\n" +
		"Settings are environment variables; a misspelt one is refused. Durations are written\nlike `500ms`, `10s`, `5m` or `24h`.\n" +
		"A secret may stand in a file, readable by the service alone, that the variable ending in\n`_FILE` names.\n")
	for _, args := range [][]string{
		{"standalone"},
		{"producer"},
		{"producer", "publish"},
		{"producer", "serve"},
		{"producer", "authentik"},
		{"producer", "authentik-api"},
		{"producer", "validate"},
		{"producer", "generate"},
		{"redactor"},
		{"sink"},
		{"notifier"},
		{"keys"},
	} {
		p := start(t, nil, nil, args[0], append(args[1:], "-h")...)
		if code := p.wait(t); code != 0 {
			t.Fatalf("%v -h: exit %d", args, code)
		}
		page.WriteString("\n## " + strings.Join(args, " ") + "\n\n```\n" + strings.TrimSpace(p.stdout.String()) + "\n```\n")
	}
	name := filepath.Join("..", "docs", "settings.md")
	if *update {
		if err := os.WriteFile(name, []byte(page.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page.String() {
		t.Errorf("%s is not what the commands print: go test ./e2e -run TestSettingsPage -update", name)
	}
}

// TestAnalystsQuestions runs every query of docs/analysts.md as it is printed, and
// the curl commands by their meaning.
func TestAnalystsQuestions(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "analysts.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := startSystem(t)
	ndjson, _, _ := generated(2000, 11)
	publish(s, ndjson)
	publish(s, unexpired(seedEvents(t)))
	s.untilRows(2005)
	model := s.must("SELECT any(model_pk) FROM sluice.events WHERE model_pk != ''")
	queries := blocks(string(page), "sql")
	if len(queries) < 10 {
		t.Fatalf("found %d queries", len(queries))
	}
	for _, sql := range queries {
		// The sample has no attack, and objects of its own.
		sql = strings.NewReplacer("people = 5", "people = 1", "failures = 10", "failures = 1",
			"e8d0ac8450cfdf16dccdac447c1daeb9", model).Replace(sql)
		if answer := s.must(sql); answer == "" {
			t.Errorf("no rows: %s", sql)
		}
	}
	commands := blocks(string(page), "sh")
	if len(commands) != 2 {
		t.Fatalf("found %d commands", len(commands))
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Log("the curl commands are not tried: there is no curl")
		return
	}
	for _, command := range commands {
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", strings.ReplaceAll(command, "127.0.0.1:8123", s.clickhouse))
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), "login") {
			t.Errorf("%s: %v, got %.200q", command, err, out)
		}
	}
}

// blocks are the code blocks of a page in one language.
func blocks(page, language string) []string {
	var found []string
	for {
		_, rest, ok := strings.Cut(page, "\n```"+language+"\n")
		if !ok {
			return found
		}
		block, rest, _ := strings.Cut(rest, "\n```\n")
		found, page = append(found, block), rest
	}
}
