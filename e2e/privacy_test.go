package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestPrivacyPage runs every command and query of docs/privacy.md as it is printed.
func TestPrivacyPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "privacy.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := startSystem(t)
	var events strings.Builder
	for i := range 40 {
		fmt.Fprintf(&events, `{"pk":%q,"action":"login","user":{"pk":%d,"email":%q},"context":{}}`+"\n",
			uuid.NewString(), i%2, []string{"alice@example.org", "bob@example.org"}[i%2])
	}
	publish(s, events.String(), "-tenant", "acme")
	s.untilRows(40)
	commands := blocks(string(page), "sh")
	if len(commands) != 6 {
		t.Fatalf("found %d commands", len(commands))
	}
	said := ""
	for _, command := range commands {
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", strings.ReplaceAll(command, "bin/sink", binary(t, "sink")))
		cmd.Env = append(append(cleanEnv(), "CLICKHOUSE_URL=http://"+s.clickhouse), s.as("sink")...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
		said += string(out)
	}
	for _, want := range []string{"Retention in force: 365d", "20 events of the table", "Erased 20 events from the stream", "Erased 20 events from the table"} {
		if !strings.Contains(said, want) {
			t.Errorf("want %q in\n%s", want, said)
		}
	}
	answers := []string{"acme\t20\t0", "0"}
	queries := blocks(string(page), "sql")
	if len(queries) != 3 {
		t.Fatalf("found %d queries", len(queries))
	}
	for i, query := range queries {
		if got := s.must(query); i < len(answers) && got != answers[i] {
			t.Errorf("%s\ngot %q, want %q", query, got, answers[i])
		}
	}
}
