package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"sluice/schemas"
)

// asCommand makes the test binary the command itself.
const asCommand = "TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// command is the command as a process of its own, without the settings of
// whoever runs the tests.
func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = []string{asCommand + "=1"}
	return cmd
}

// result runs the command to its end.
func result(t *testing.T, cmd *exec.Cmd, stdin string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestCommands(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/event.json"
	if err := os.WriteFile(file, []byte("{\n\"token\": 5\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args, stdin, stdout, stderr string
		code                        int
	}{
		{"filter", "{\"token\":1}\n", "{\"token\":\"********************\"}\n", "", 0},
		{"filter", "{}\n\n", "{}\n", "{\"line\":2,\"reason\":\"invalid_json\"}\n", 3},
		{"filter", "", "", "", 0},
		{"filter x", "", "", "takes no files", 2},
		{"explain", "{\"token\":1}\n", "line 1: 1 masked\n  \"/token\" key: a value, or the elements of a list, under a name that means a secret\n", "", 0},
		{"explain " + file, "", "event: 1 masked\n  \"/token\" key: a value, or the elements of a list, under a name that means a secret\n", "", 0},
		{"explain -", "[]", "line 1: refused: not_an_object: the event is JSON, but not an object\n", "", 3},
		{"explain /does/not/exist", "", "", "no such file", 1},
		{"explain a b", "", "", "takes one file", 2},
		{"-version", "", "dev\n", "", 0},
		{"quarantine", "", "", "say list, show, replay or drop", 2},
		{"quarantine drop 1", "", "", "say -yes", 2},
		{"rename", "", "", `"rename" is no command`, 2},
	} {
		stdout, stderr, code := result(t, command(t.Context(), strings.Fields(test.args)...), test.stdin)
		if stdout != test.stdout || code != test.code || !strings.Contains(stderr, test.stderr) || (test.stderr == "") != (stderr == "") {
			t.Errorf("redactor %s: exit code %d\n%s\n%s", test.args, code, stdout, stderr)
		}
	}
	for _, args := range []string{"-h", "--help", "filter -h", "quarantine --help"} {
		stdout, _, code := result(t, command(t.Context(), strings.Fields(args)...), "")
		if code != 0 || !strings.Contains(stdout, "REDACTOR_DRAIN_TIMEOUT") || !strings.Contains(stdout, "redactor quarantine replay") {
			t.Errorf("redactor %s: exit code %d\n%s", args, code, stdout)
		}
	}
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"REDACTOR_DRAIN=1s": "REDACTOR_DRAIN: there is no such setting", "REDACTOR_DRAIN_TIMEOUT=0s": "must be more than 0",
		"NATS_URL=nats://127.0.0.1:1": "connect to NATS at nats://127.0.0.1:1", "LOG_LEVEL=loud": "LOG_LEVEL",
	} {
		cmd := command(t.Context())
		cmd.Env = append(cmd.Env, "NATS_CONNECT_WAIT=1ms", "HTTP_ADDR=", setting)
		if _, stderr, code := result(t, cmd, ""); code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %s", setting, code, stderr)
		}
	}
}

// TestBrokenPipe: a reader that has had enough is no error to speak of.
func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	cmd := command(t.Context(), "filter")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := stdout.Close(); err != nil {
		t.Fatal(err)
	}
	for err == nil { // until the command has gone away
		_, err = io.WriteString(stdin, "{}\n")
	}
	_ = cmd.Wait()
	if stderr.Len() > 0 {
		t.Errorf("it says %s", stderr.String())
	}
}

// TestInterrupted: waiting for input, the filter stops at once.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	cmd := command(t.Context(), "filter")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, "{}\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, len("{}\n"))); err != nil { // so the signal is listened for
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("exit code %d", cmd.ProcessState.ExitCode())
	}
}

// TestService runs the service and the quarantine commands as processes against
// a broker.
func TestService(t *testing.T) {
	t.Parallel()
	const planted = "S3CR3T-hunter2"
	b, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true, MaxPayload: schemas.MaxPayloadBytes,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Start()
	t.Cleanup(func() {
		b.Shutdown()
		b.WaitForShutdown()
	})
	if !b.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker does not start")
	}
	env := []string{"NATS_URL=" + b.ClientURL(), "HTTP_ADDR=" + freeAddr(t), "LOG_LEVEL=debug"}
	service := command(t.Context())
	service.Env = append(service.Env, env...)
	var logs bytes.Buffer
	service.Stderr = &logs
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	addr := strings.TrimPrefix(env[1], "HTTP_ADDR=")
	poll(t, "the service is ready", func() bool { return get(t, "http://"+addr+"/readyz") == "ok\n" })

	nc, err := nats.Connect(b.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	clean, err := nc.SubscribeSync("events.clean.>")
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range []string{`{"pk":5,"token":"` + planted + `"}`, `{"context":{"password":"` + planted + `"}}`} {
		if _, err := nc.Request("events.raw.default.login", []byte(event), 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	msg, err := clean.NextMsg(30 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got := msg.Header.Get(schemas.HeaderRedacted); got != `["/context/password"]` || bytes.Contains(msg.Data, []byte(planted)) {
		t.Errorf("clean: %s %v", msg.Data, msg.Header)
	}
	tend := func(args string) string {
		cmd := command(t.Context(), strings.Fields("quarantine "+args)...)
		cmd.Env = append(cmd.Env, env...)
		stdout, stderr, code := result(t, cmd, "")
		if code != 0 || stderr != "" || strings.Contains(stdout, planted) {
			t.Errorf("quarantine %s: exit code %d\n%s%s", args, code, stdout, stderr)
		}
		return stdout
	}
	poll(t, "one event is quarantined", func() bool { return strings.Contains(tend("list"), "invalid_field") })
	if out := tend("show 1"); !strings.Contains(out, `field "pk"`) {
		t.Errorf("shown:\n%s", out)
	}
	if out := tend("replay -all"); out != "replayed 1\n" {
		t.Errorf("replay: %s", out)
	}
	poll(t, "it is quarantined again", func() bool { return strings.HasPrefix(tend("list -json"), `{"seq":2,`) })
	if out := tend("drop 2 -yes"); out != "dropped 1\n" {
		t.Errorf("drop: %s", out)
	}
	metrics := get(t, "http://"+addr+"/metrics")
	for _, want := range []string{
		`redactor_events_total{outcome="clean",reason=""} 1`, `redactor_masked_total{rule="key"} 1`,
		`redactor_events_total{outcome="quarantined",reason="invalid_field"} 2`, `redactor_batch_events_count`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if err := service.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := service.Wait(); err != nil {
		t.Errorf("the service ended with %v\n%s", err, logs.String())
	}
	if strings.Contains(logs.String()+metrics, planted) || !strings.Contains(logs.String(), "drained") {
		t.Errorf("logs:\n%s", logs.String())
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// get returns what is served there, or why nothing is.
func get(t *testing.T, url string) string {
	t.Helper()
	reply, err := http.Get(url)
	if err != nil {
		return fmt.Sprint(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func poll(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute it still does not hold that %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
