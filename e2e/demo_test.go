package e2e_test

import (
	"bufio"
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The demo shows the whole path, plainly where it is not a terminal, and what it
// tells a person to try next works as printed.
func TestDemo(t *testing.T) {
	t.Parallel()
	notLocked(t, "standalone is what is tested")
	s := startSystem(t)
	s.stop()
	s.start("-demo")
	s.until("the demo has ended", func() error {
		if !strings.Contains(s.stdout.String(), "Sluice keeps running") {
			return errors.New("not yet")
		}
		return nil
	})
	shown := s.stdout.String()
	for _, want := range []string{
		`(?m)^  published  \w+ +….*s3cr-`, `(?m)^  redacted   \w+ +….*\*{20}`, `(?m)^  ALERT      \w+ `,
		`(?m)^  stored .* the first row is in ClickHouse \d+ ms after it was published$`,
		`(?m)^  stored .* all 300 events, each once; \d+ alerts were sent$`,
		`(?m)^  login +\d+ +\d+$`, `(?m)^  together +300 +\d+$`,
	} {
		if !regexp.MustCompile(want).MatchString(shown) {
			t.Errorf("the demo does not show %s", want)
		}
	}
	if strings.Contains(shown, "\x1b") {
		t.Error("terminal codes in a file")
	}
	for line := range strings.Lines(shown) {
		if strings.HasPrefix(line, "  redacted") && strings.Contains(line, "s3cr-") {
			t.Error("a secret in what is shown as redacted")
		}
	}
	if n := s.must("SELECT uniqExact(action) FROM sluice.events"); n != "24" {
		t.Errorf("got %s actions, want 24", n)
	}
	tryNext(t, s, shown)
	s.stop()
}

// tryNext runs the three commands as a shell runs them.
func tryNext(t *testing.T, s *system, shown string) {
	t.Helper()
	commands := map[string]string{}
	for line := range strings.Lines(shown) {
		for _, what := range []string{"publish your own", "query", "subscribe to alerts"} {
			if rest, ok := strings.CutPrefix(line, "  "+what+" "); ok {
				commands[what] = strings.ReplaceAll(strings.TrimSpace(rest), "bin/", strings.TrimSuffix(binary(t, "producer"), "producer"))
			}
		}
	}
	if len(commands) != 3 {
		t.Fatalf("got %d commands to try next, want 3", len(commands))
	}
	shell := func(command string) string {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Env = cleanEnv()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		return string(out)
	}
	if got := shell(commands["publish your own"]); !strings.HasSuffix(got, "published 1, duplicate 0, refused 0\n") {
		t.Errorf("publish your own: got %q", got)
	}
	s.until("the query shows it", func() error {
		if !strings.Contains(shell(commands["query"]), `['/context/password']`) {
			return errors.New("not yet")
		}
		return nil
	})
	watch := exec.CommandContext(t.Context(), "sh", "-c", "exec "+strings.Replace(commands["subscribe to alerts"], "NATS_URL", "env NATS_URL", 1))
	watch.Env = cleanEnv()
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watch.Process.Kill(); _ = watch.Wait() }()
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.Contains(lines.Text(), "  firing  ") || !strings.Contains(lines.Text(), "  default/") {
		t.Errorf("subscribe to alerts: got %q", lines.Text())
	}
}
