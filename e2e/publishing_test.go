package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// door is a `producer serve` beside a system, for tenants and tokens of
// docs/publishing.md.
func door(t *testing.T, s *system, tokens string) (addr string) {
	t.Helper()
	addr = freeAddr(t)
	start(t, nil, append(s.as("door"),
		"PRODUCER_SERVE_ADDR="+addr, "PRODUCER_TOKENS_FILE="+tokens, "HTTP_ADDR="+freeAddr(t),
	), "producer", "serve")
	s.until("the door is open", func() error { return s.get("http://" + addr + "/readyz") })
	return addr
}

// TestPublishingFirstEvent runs each way to publish the first event that
// docs/publishing.md shows, as it stands there. The clients of the CLI and of
// JavaScript come by `make clients`.
func TestPublishingFirstEvent(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "publishing.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := startSystem(t)
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	clients := filepath.Join(root, "bin", "clients")
	dir := t.TempDir()
	block := func(language, has string) string {
		for _, b := range blocks(string(page), language) {
			if strings.Contains(b, has) {
				return b
			}
		}
		t.Fatalf("the page has no %s block with %q", language, has)
		return ""
	}
	token := sh(t, dir, nil, block("sh", "token=$(")+"\nprintf %s \"$token\"")
	addr := door(t, s, filepath.Join(dir, "tokens"))
	here := strings.NewReplacer("127.0.0.1:8090", addr, "nats://127.0.0.1:4222", "nats://"+s.nats, "bin/producer", binary(t, "producer"))
	env := append(s.as("producer-default"), "token="+token, "PATH="+clients+":"+os.Getenv("PATH"))

	rows := 0
	for _, way := range []struct{ name, needs, language, has, says string }{
		{"CLI", filepath.Join(clients, "nats"), "sh", "nats pub -J", "Stored in Stream: EVENTS_RAW"},
		{"curl", "curl", "sh", "curl -sS", `"stored":1`},
		{"Go", "go", "go", "func main()", "duplicate: false"},
		{"producer", "sh", "sh", "publish -action login", "published 1, duplicate 0, refused 0"},
		{"JavaScript", filepath.Join(clients, "node_modules", "@nats-io", "jetstream", "package.json"), "js", "jetstream(nc)", "duplicate: false"},
		{"Python", "python3", "python", "urllib", "202 stored"},
	} {
		if locked() && slices.Contains([]string{"CLI", "Go", "JavaScript"}, way.name) {
			t.Logf("%s is not tried: the page's own has no key", way.name)
			continue
		}
		if !there(way.needs) {
			t.Logf("%s is not tried: there is no %s", way.name, way.needs)
			continue
		}
		text := here.Replace(block(way.language, way.has))
		var out string
		switch way.language {
		case "sh":
			out = sh(t, dir, env, text)
		case "go":
			module := filepath.Join(dir, "billing")
			if err := os.Mkdir(module, 0o700); err != nil {
				t.Fatal(err)
			}
			link(t, root, filepath.Join(dir, "sluice"))
			write(t, module, "main.go", text)
			out = sh(t, module, append(env, "GOWORK=off"), block("sh", "go mod init"))
		case "js":
			link(t, filepath.Join(clients, "node_modules"), filepath.Join(dir, "node_modules"))
			out = script(t, dir, env, "first.mjs", text, "node")
		case "python":
			out = script(t, dir, env, "first.py", text, "python3")
		}
		if !strings.Contains(out, way.says) {
			t.Errorf("%s: printed %q, want %q", way.name, out, way.says)
			continue
		}
		rows++
		s.untilAnswer("SELECT count(), countIf(ctx.password = '********************') FROM sluice.events WHERE tenant = 'default' AND action = 'login'",
			fmt.Sprintf("%d\t%d", rows, rows))
		t.Logf("%s: one row, its password masked", way.name)
	}
}

// TestAuthentikMapping runs the property mapping of docs/publishing.md as authentik
// does, over an event whose context must come through, and sends what it makes, for
// two users.
func TestAuthentikMapping(t *testing.T) {
	t.Parallel()
	if !there("python3") {
		t.Skip("there is no python3, in which the mapping is written")
	}
	page, err := os.ReadFile(filepath.Join("..", "docs", "publishing.md"))
	if err != nil {
		t.Fatal(err)
	}
	var mapping string
	for _, b := range blocks(string(page), "text") {
		if strings.Contains(b, "notification.event") {
			mapping = b
		}
	}
	const setting = `
import json, sys, urllib.request, uuid
from datetime import datetime, timezone
from types import SimpleNamespace as Object

event = Object(
    pk=uuid.UUID("6f9619ff-8b86-4011-b42d-00c04fc964ff"), action="login_failed", app="authentik.events.signals",
    user={"pk": 4, "username": "ann", "email": "ann@example.com"},
    context={"username": "ann", "stage": {"pk": "c0ad2df11f11428a8ca68c73980bd067"}, "http_request": {"path": "/x", "method": "POST"}},
    client_ip="203.0.113.77", created=datetime.now(timezone.utc), expires=None,
    brand={"pk": "fcba828076b94dedb2d5a6b4c5556fa1", "name": "Default brand"},
)
for subject in (event, event, None):
    body = mapping(Object(event=subject, body="hello", severity="notice"))
    request = urllib.request.Request(sys.argv[1], json.dumps(body).encode(), {
        "Content-Type": "application/json", "Authorization": "Bearer " + sys.argv[2]})
    print(json.load(urllib.request.urlopen(request, timeout=15))["results"][0]["outcome"])
`
	s := startSystem(t)
	dir := t.TempDir()
	const token = "0123456789abcdef0123456789abcdef"
	if err := os.WriteFile(filepath.Join(dir, "tokens"), []byte("authentik sso * "+token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := door(t, s, filepath.Join(dir, "tokens"))
	text := "def mapping(notification):\n    " + strings.ReplaceAll(mapping, "\n", "\n    ") + "\n" + setting
	out := script(t, dir, nil, "mapping.py", text, "python3", "http://"+addr+"/v1/authentik", token)
	if out != "stored\nduplicate\nstored\n" {
		t.Errorf("printed %q", out)
	}
	s.untilAnswer("SELECT pk, action, username, client_ip, brand_name, ctx.http_request.path FROM sluice.events WHERE tenant = 'sso' AND action = 'login_failed'",
		"6f9619ff-8b86-4011-b42d-00c04fc964ff\tlogin_failed\tann\t::ffff:203.0.113.77\tDefault brand\t/x")
	s.untilAnswer("SELECT count(), countIf(ctx.message = 'hello') FROM sluice.events WHERE tenant = 'sso'", "2\t1")
}

// there tells whether a file, or a command, is there.
func there(name string) bool {
	if strings.Contains(name, "/") {
		_, err := os.Stat(name)
		return err == nil
	}
	_, err := exec.LookPath(name)
	return err == nil
}

func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Symlink(from, to); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func script(t *testing.T, dir string, env []string, name, text, interpreter string, args ...string) string {
	t.Helper()
	write(t, dir, name, text)
	return sh(t, dir, env, strings.Join(append([]string{interpreter, name}, args...), " "))
}

// sh runs a script and returns what it prints.
func sh(t *testing.T, dir string, env []string, text string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", text)
	cmd.Dir, cmd.Env = dir, append(cleanEnv(), env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", text, err, &stdout, &stderr)
	}
	return stdout.String() + stderr.String()
}
