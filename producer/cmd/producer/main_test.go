package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/producer/generate"
	"sluice/producer/internal/brokertest"
	"sluice/schemas"
)

// binary is the command, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "producer")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "producer")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, ".")
	build.Stderr = os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// result is what a process left.
type result struct {
	stdout, stderr string
	code           int
}

// command prepares the process with nothing of the shell's own settings.
func command(t *testing.T, b *brokertest.Broker, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = []string{"NATS_CONNECT_WAIT=200ms", "LOG_LEVEL=debug"}
	if b != nil {
		cmd.Env = append(cmd.Env, "NATS_URL="+b.URL)
	}
	return cmd
}

func runCommand(t *testing.T, cmd *exec.Cmd, stdin string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

func TestPublishFilesAndStdin(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	file := filepath.Join(t.TempDir(), "events.ndjson")
	text := `{"pk":"6f9619ff-8b86-4011-b42d-00c04fc964ff", "action":"login","context":{"password":"hunter2"}}` + "\n" +
		`{"action":"login","context":"hunter2"}` + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stdin := `{"context":{"password":"hunter2"}}` + "\n" + `hunter2`
	got := runCommand(t, command(t, b, "publish", "-tenant", "acme", "-action", "login_failed", file, "-"), stdin)
	if got.stdout != "published 2, duplicate 0, refused 2\n" || got.code != 1 {
		t.Errorf("got %+v", got)
	}
	for _, want := range []string{file + ":2: ", `field "context"`, "stdin:2: ", "event published"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, got.stderr)
		}
	}
	if strings.Contains(got.stdout+got.stderr, "hunter2") {
		t.Errorf("a secret came out: %+v", got)
	}
	var sent []string
	for _, msg := range brokertest.Messages(t, stream) {
		sent = append(sent, msg.Subject+" "+string(msg.Data))
	}
	want := []string{
		`events.raw.acme.login {"pk":"6f9619ff-8b86-4011-b42d-00c04fc964ff", "action":"login","context":{"password":"hunter2"}}`,
		`events.raw.acme.login_failed {"context":{"password":"hunter2"},"action":"login_failed","pk":"6a1694b7-9056-5dc2-8910-de23f1af37f7"}`,
	}
	if len(sent) != 2 || sent[0] != want[0] || sent[1] != want[1] {
		t.Errorf("stream holds\n%s\nwant\n%s", strings.Join(sent, "\n"), strings.Join(want, "\n"))
	}

	again := runCommand(t, command(t, b, "publish", "-tenant", "acme", "-action", "login_failed"), `{"context":{"password":"hunter2"}}`)
	if again.stdout != "published 0, duplicate 1, refused 0\n" || again.code != 0 {
		t.Errorf("again: %+v", again)
	}
	fresh := runCommand(t, command(t, b, "publish", "-tenant", "acme", "-action", "login_failed", "-new-ids"), `{"context":{"password":"hunter2"}}`)
	if fresh.stdout != "published 1, duplicate 0, refused 0\n" || fresh.code != 0 {
		t.Errorf("with new ids: %+v", fresh)
	}
}

func TestPublishWhatGenerateMakes(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	const n = 3000
	made := runCommand(t, command(t, nil, "generate", "-n", fmt.Sprint(n), "-seed", "7"), "")
	if made.code != 0 || made.stderr != "" || strings.Count(made.stdout, "\n") != n {
		t.Fatalf("generate: exit %d, %d lines, %s", made.code, strings.Count(made.stdout, "\n"), made.stderr)
	}
	got := runCommand(t, command(t, b, "publish"), made.stdout)
	if got.stdout != fmt.Sprintf("published %d, duplicate 0, refused 0\n", n) || got.code != 0 {
		t.Errorf("publish: exit %d, %s", got.code, got.stdout)
	}
	if strings.Contains(got.stderr, generate.Marker(7)) {
		t.Error("the log holds a planted secret")
	}
	lines := strings.Split(made.stdout, "\n")
	for i, msg := range brokertest.Messages(t, stream) {
		if string(msg.Data) != lines[i] {
			t.Fatalf("message %d is not line %d", msg.Sequence, i+1)
		}
	}
}

func TestPublishInterrupted(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			if err := stream.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			cmd := command(t, b, "publish", "-new-ids")
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			// It stays open: there is more to come.
			defer stdin.Close()
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(stdin, strings.Repeat(`{"action":"login"}`+"\n", 10)); err != nil {
				t.Fatal(err)
			}
			brokertest.Eventually(t, "ten events", func() bool {
				info, err := stream.Info(t.Context())
				return err == nil && info.State.Msgs == 10
			})
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if stdout.String() != "published 10, duplicate 0, refused 0\n" || cmd.ProcessState.ExitCode() != 1 ||
				!strings.HasSuffix(stderr.String(), "producer: interrupted; run it again to publish the rest\n") {
				t.Errorf("exit %d, stdout %q, stderr %q", cmd.ProcessState.ExitCode(), &stdout, &stderr)
			}
		})
	}
}

func TestPublishGivesUp(t *testing.T) {
	b := brokertest.Start(t)
	cmd := command(t, b, "publish")
	cmd.Env = append(cmd.Env, "PRODUCER_TIMEOUT=300ms", "LOG_LEVEL=error")
	got := runCommand(t, cmd, "\n"+`{"action":"login"}`)
	if got.code != 1 || got.stdout != "published 0, duplicate 0, refused 0\n" ||
		!strings.Contains(got.stderr, "producer: stopped at stdin:2, ") || !strings.Contains(got.stderr, "is it running?") {
		t.Errorf("without a stream: %+v", got)
	}

	b.Raw(1 << 10)
	cmd = command(t, b, "publish")
	cmd.Env = append(cmd.Env, "PRODUCER_TIMEOUT=300ms")
	got = runCommand(t, cmd, `{"action":"login","context":{"x":"`+strings.Repeat("x", 2000)+`"}}`)
	if got.code != 1 || !strings.Contains(got.stderr, "the stream is full; trying again for up to 300ms\n") ||
		!strings.Contains(got.stderr, "producer: stopped at stdin:1, ") {
		t.Errorf("into a full stream: %+v", got)
	}
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	for name, tc := range map[string]struct {
		args []string
		env  string
		code int
		says string
	}{
		"no command":        {nil, "", 2, "say what to do: publish, "},
		"unknown command":   {[]string{"push"}, "", 2, `"push"`},
		"unknown flag":      {[]string{"publish", "-tenent", "x"}, "", 2, "tenent"},
		"tenant":            {[]string{"publish", "-tenant", "a.b"}, "", 2, `"a.b"`},
		"tenant setting":    {[]string{"publish"}, "PRODUCER_TENANT=a.b", 2, "PRODUCER_TENANT"},
		"timeout":           {[]string{"publish"}, "PRODUCER_TIMEOUT=0s", 2, "PRODUCER_TIMEOUT"},
		"unknown setting":   {[]string{"publish"}, "PRODUCER_TENNANT=a", 2, "PRODUCER_TENNANT"},
		"action":            {[]string{"publish", "-action", "Log In"}, "", 2, "-action"},
		"missing file":      {[]string{"publish", filepath.Join(dir, "none")}, "", 1, "none"},
		"directory":         {[]string{"publish", dir}, "", 1, "is a directory"},
		"flag behind files": {[]string{"publish", "-", "-tenant", "x"}, "", 2, "flags go before the files"},
		"no broker":         {[]string{"publish"}, "NATS_URL=nats://127.0.0.1:1", 1, "start the broker, or set NATS_URL"},
		"serve untold":      {[]string{"serve"}, "", 2, "PRODUCER_TOKENS_FILE: name the file"},
		"serve a file":      {[]string{"serve", "x"}, "", 2, "serve takes no arguments"},
		"serve too little":  {[]string{"serve"}, "PRODUCER_MAX_BODY_BYTES=10", 2, "PRODUCER_MAX_BODY_BYTES: want at least 1048576"},
		"negative n":        {[]string{"generate", "-n", "-1"}, "", 2, "-n -1"},
		"negative rate":     {[]string{"generate", "-rate", "-1"}, "", 2, "-rate -1"},
		"rate no number":    {[]string{"generate", "-rate", "NaN"}, "", 2, "-rate NaN"},
		"start no time":     {[]string{"generate", "-start", "today"}, "", 2, "-start"},
		"generate a file":   {[]string{"generate", "x"}, "", 2, `"x"`},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := command(t, nil, tc.args...)
			cmd.Env = append(cmd.Env, tc.env)
			got := runCommand(t, cmd, "")
			if got.code != tc.code || !strings.Contains(got.stderr, tc.says) || strings.Count(got.stderr, "\n") != 1 || got.stdout != "" {
				t.Errorf("got %+v, want exit %d and one line with %q", got, tc.code, tc.says)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, tc := range []struct {
		args []string
		says []string
	}{
		{[]string{"-h"}, []string{"producer publish", "producer serve", "producer generate"}},
		{[]string{"serve", "-h"}, []string{"NAME TENANT ACTIONS TOKEN", "PRODUCER_TOKENS_FILE", "HTTP_ADDR", "/openapi.json"}},
		{[]string{"publish", "-h"}, []string{"-tenant", "-action", "-new-ids", "NATS_URL", "PRODUCER_TIMEOUT", "LOG_LEVEL"}},
		{[]string{"publish", "-tenant", "x", "--help"}, []string{"-new-ids"}},
		{[]string{"generate", "--help"}, []string{"-n", "-rate", "-seed", "-start"}},
		{[]string{"-version"}, []string{"dev"}},
	} {
		got := runCommand(t, command(t, nil, tc.args...), "")
		if got.code != 0 || got.stderr != "" {
			t.Errorf("%v: %+v", tc.args, got)
		}
		for _, want := range tc.says {
			if !strings.Contains(got.stdout, want) {
				t.Errorf("%v lacks %q:\n%s", tc.args, want, got.stdout)
			}
		}
	}
}

func TestGenerateEndsWithItsReader(t *testing.T) {
	cmd := command(t, nil, "generate", "-n", "0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var ev schemas.Event
	if err := new(schemas.Decoder).Decode(line, &ev); err != nil {
		t.Error(err)
	}
	if err := stdout.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
		t.Errorf("got %v, stderr %q", err, &stderr)
	}
}

func TestGenerateInterrupted(t *testing.T) {
	for n, want := range map[string]struct {
		code   int
		stderr string
	}{"0": {0, ""}, "1000000": {1, "producer: interrupted after "}} {
		cmd := command(t, nil, "generate", "-n", n, "-rate", "100")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out := bufio.NewReader(stdout)
		if _, err := out.ReadBytes('\n'); err != nil {
			t.Fatal(err)
		}
		var rest []byte
		var drained sync.WaitGroup
		drained.Go(func() { rest, _ = io.ReadAll(out) })
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		drained.Wait()
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != want.code || !strings.HasPrefix(stderr.String(), want.stderr) {
			t.Errorf("-n %s: exit %d, stderr %q", n, code, &stderr)
		}
		if len(rest) > 0 && !bytes.HasSuffix(rest, []byte("}\n")) {
			t.Errorf("-n %s: the last line is cut", n)
		}
	}
}

const createdLine = `server-1  | {"action": "login", "client_ip": "::1", "context": {"n": %d, "password": "hunter2"}, "event": "Created Event", ` +
	`"level": "info", "logger": "authentik.events.models", "timestamp": "2026-08-30T19:25:26.%06d", "user": {"pk": 1}}` + "\n"

func logLines(from, to int) string {
	var b strings.Builder
	for n := from; n < to; n++ {
		fmt.Fprintf(&b, createdLine, n, n)
		b.WriteString("server-1  | {\"event\": \"/-/health/live/ hunter2\", \"logger\": \"authentik.asgi\"}\n")
	}
	return b.String()
}

func TestAuthentikFollows(t *testing.T) {
	b := brokertest.Start(t)
	stream := b.Raw(0)
	dir := t.TempDir()
	log, state := filepath.Join(dir, "server.log"), filepath.Join(dir, "state")
	add := func(from, to int) {
		t.Helper()
		file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.WriteString(logLines(from, to))
		if e := file.Close(); err != nil || e != nil {
			t.Fatal(err, e)
		}
	}
	stored := func(want uint64) {
		t.Helper()
		brokertest.Eventually(t, fmt.Sprintf("%d events", want), func() bool {
			info, err := stream.Info(t.Context())
			return err == nil && info.State.Msgs >= want
		})
	}
	begin := func() (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
		t.Helper()
		cmd := command(t, b, "authentik", "-tenant", "acme", "-state", state, "-follow", log)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, &stdout, &stderr
	}

	add(0, 500)
	cmd, _, _ := begin()
	stored(500)
	add(500, 600)
	stored(600)
	if err := cmd.Process.Kill(); err != nil { // and nothing is lost or twice
		t.Fatal(err)
	}
	_ = cmd.Wait()

	add(600, 700)
	cmd, stdout, stderr := begin()
	stored(700)
	b.Stop() // for which it waits
	add(700, 800)
	b.Restart()
	stored(800)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != 0 || !strings.HasPrefix(stdout.String(), "published ") || !strings.Contains(stderr.String(), "skipped: other_log_line ") {
		t.Errorf("exit %d, %s%s", cmd.ProcessState.ExitCode(), stdout, stderr)
	}
	if strings.Contains(stdout.String()+stderr.String(), "hunter2") {
		t.Error("a line is quoted")
	}
	seen := map[string]bool{}
	for _, msg := range brokertest.Messages(t, stream) {
		seen[msg.Header.Get("Nats-Msg-Id")] = true
	}
	if info, err := stream.Info(t.Context()); err != nil || len(seen) != 800 || info.State.Msgs != 800 {
		t.Errorf("%d events with %d ids, want 800: %v", info.State.Msgs, len(seen), err)
	}

	got := runCommand(t, command(t, b, "authentik", "-tenant", "acme", "-state", state, log), "")
	if got.code != 0 || got.stdout != "published 0, duplicate 0, refused 0, skipped 0\n" {
		t.Errorf("where it stopped there is something left: %+v", got)
	}
	got = runCommand(t, command(t, b, "authentik", "-tenant", "acme"), logLines(0, 3)+"server-1  | {\"action\": \"login\", \"context\": {\"x\": \"hunter2\n"+
		strings.Replace(fmt.Sprintf(createdLine, 1, 1), `"login"`, `"Not One"`, 1))
	if got.code != 1 || got.stdout != "published 0, duplicate 3, refused 1, skipped 4\n" || !strings.Contains(got.stderr, "stdin:7: skipped: ") ||
		!strings.Contains(got.stderr, "stdin:8: the event is not valid") || !strings.Contains(got.stderr, "skipped: other_log_line 3, torn 1") {
		t.Errorf("from a pipe: %+v", got)
	}
}

func TestValidate(t *testing.T) {
	got := runCommand(t, command(t, nil, "validate"), `{"action":"login","context":{"auth_method":"password"}}`+"\n\n"+
		`{"action":"email_sent","context":{"to_email":["a",5],"http_request":"hunter2"}}`+"\n"+`{"action":"login","context":"hunter2"}`+"\nhunter2\n")
	want := "stdin:3: /context/http_request: is of type string, want object\nstdin:3: /context/to_email/1: is of type number, want string\n" +
		"stdin:4: /context: not an object (refused)\nstdin:5: /: invalid_json: invalid JSON at byte 0: expected a value (refused)\n" +
		"valid 1, departing 1, refused 2\n"
	if got.code != 1 || got.stdout != want {
		t.Errorf("exit %d, got\n%s\nwant\n%s", got.code, got.stdout, want)
	}
}

func TestGenerateListsItsSecrets(t *testing.T) {
	list := filepath.Join(t.TempDir(), "secrets")
	made := runCommand(t, command(t, nil, "generate", "-n", "500", "-secret-rate", "0.5", "-secrets", list), "")
	text, err := os.ReadFile(list)
	if err != nil || made.code != 0 {
		t.Fatal(made.code, err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) < 200 {
		t.Fatalf("%d secrets", len(lines))
	}
	for _, line := range lines {
		var s listed
		if err := json.Unmarshal([]byte(line), &s); err != nil || s.PK == "" || s.Pointer == "" || strings.Count(made.stdout, s.Encoded) != 1 {
			t.Fatalf("a secret that is not as listed: %v", err)
		}
	}
	if none := runCommand(t, command(t, nil, "generate", "-n", "500", "-secret-rate", "0"), ""); strings.Contains(none.stdout, generate.Marker(1)) {
		t.Error("a secret at the rate 0")
	}
}
