package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"sluice/internal/daemon"
	"sluice/notifier"
)

func TestExplainReadsFileOrStdin(t *testing.T) {
	const event = `{"action":"system_exception","context":{"message":"boom"}}`
	file := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(file, []byte(event), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{file}, {"-"}, {"-tenant", "default", "-"}} {
		var out bytes.Buffer
		if err := explain(args, strings.NewReader(event), &out); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		if !strings.Contains(out.String(), "boom") {
			t.Errorf("%v: got %s", args, out.String())
		}
	}
}

func TestWrongArguments(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"},
		{"explain"},
		{"explain", "a", "b"},
		{"explain", "-x", "a"},
		{"explain", "-tenant", "a.b", "-"},
		{"silence"},
		{"silence", "x"},
		{"silence", "add"},
		{"silence", "add", "app"},
		{"silence", "add", "user=x"},
		{"silence", "add", "-for", "0s", "app=x"},
		{"silence", "add", "-for", "9999h", "app=x"},
		{"silence", "list", "x"},
		{"silence", "remove"},
		{"acknowledge"},
		{"rules"},
		{"rules", "check"},
	} {
		if err := run(t.Context(), args); !errors.Is(err, daemon.ErrUsage) {
			t.Errorf("%v: got %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"explain", filepath.Join(t.TempDir(), "missing")}); err == nil || errors.Is(err, daemon.ErrUsage) {
		t.Errorf("a missing file: got %v", err)
	}
}

func TestExplainFollowsTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notifier.yaml")
	const text = "version: 1\nreceivers: {mail: {type: nats, subject: a.c}}\nrules:\n - {name: logins, match: {action: login}, receivers: mail, title: 'Hello {{.user.username}}'}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFIER_CONFIG", file)
	var out bytes.Buffer
	if err := explain([]string{"-"}, strings.NewReader(`{"action":"login","user":{"username":"bob"}}`), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"rule:         logins\n", "receivers:    mail\n", "title:        Hello bob\n", "silence:      notifier silence add"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := checkRules([]string{"check", file}, &out); err != nil || !strings.Contains(out.String(), "8 rules") {
		t.Errorf("check: %v, %s", err, out.String())
	}
}

// TestSilenceCommands adds, lists and removes silences in a real store.
func TestSilenceCommands(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker does not start")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	t.Setenv("NATS_URL", s.ClientURL())
	command := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if err := silence(t.Context(), args, &out); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out.String()
	}
	added := command("add", "-for", "1h", "-author", "ann", "-comment", "being repaired", "app=billing", "severity=alert")
	id, _, _ := strings.Cut(added, ":")
	if list := command("list"); !strings.Contains(list, id) || !strings.Contains(list, "app=billing severity=alert  ann     being repaired") {
		t.Errorf("list:\n%s", list)
	}
	if list := command("list", "-json"); !strings.Contains(list, `"matchers":{"app":"billing","severity":"alert"}`) {
		t.Errorf("list: %s", list)
	}
	command("remove", id)
	if list := command("list", "-json"); list != "" {
		t.Errorf("after its removal: %s", list)
	}
	if err := silence(t.Context(), []string{"remove", id}, io.Discard); !errors.Is(err, notifier.ErrNoSilence) {
		t.Errorf("removed twice: %v", err)
	}
	if err := acknowledge(t.Context(), []string{"default." + strings.Repeat("0", 32)}, io.Discard); !errors.Is(err, notifier.ErrNoGroup) {
		t.Errorf("acknowledged what is not open: %v", err)
	}
}

func TestWrongSettingsEndAtOnce(t *testing.T) {
	for name, value := range map[string]string{"NOTIFIER_GROUP_INTERVAL": "often", "NOTIFIER_INTERVALL": "5m", "NOTIFIER_RESOLVE_AFTER": "1s"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			if err := run(t.Context(), nil); !errors.Is(err, daemon.ErrUsage) || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v", err)
			}
		})
	}
}
