package receiver

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The programs of docs/receivers.md that verify a signature do, and refuse
// another's.
func TestDocumentedVerification(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "receivers.md"))
	if err != nil {
		t.Fatal(err)
	}
	const ours, other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, tt := range []struct {
		language, file, command string
	}{
		{"go", "verify.go", "go"},
		{"python", "verify.py", "python3"},
	} {
		t.Run(tt.language, func(t *testing.T) {
			if _, err := exec.LookPath(tt.command); err != nil {
				t.Skip(err)
			}
			_, program, ok := strings.Cut(string(page), "\n```"+tt.language+"\n")
			if !ok {
				t.Fatal("the page has no such program")
			}
			program, _, _ = strings.Cut(program, "\n```\n")
			addr := freeAddr(t)
			host, port, _ := net.SplitHostPort(addr)
			program = strings.NewReplacer("127.0.0.1:8090", addr, `"127.0.0.1", 8090`, `"`+host+`", `+port).Replace(program)
			file := filepath.Join(t.TempDir(), tt.file)
			if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
				t.Fatal(err)
			}
			command := []string{tt.command, file}
			if tt.language == "go" {
				command = []string{filepath.Join(filepath.Dir(file), "verify")}
				if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", command[0], file).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			run(t, addr, command, "WEBHOOK_SECRET="+ours)
			definition := "type: webhook\nurl: http://" + addr + "/sluice\n" + loopback + "signing_secrets_env: SECRETS"
			mustSend(t, open(t, map[string]string{"SECRETS": ours}, definition), notice(t, nil))
			if err := send(t, open(t, map[string]string{"SECRETS": other}, definition), notice(t, nil)); err == nil || err.Error() != "answered 401 Unauthorized" {
				t.Errorf("signed with another secret: got %v", err)
			}
			both := "type: webhook\nurl: http://" + addr + "/sluice\n" + loopback + "signing_secrets_env: [NEW, OLD]"
			mustSend(t, open(t, map[string]string{"NEW": other, "OLD": ours}, both), notice(t, nil))
		})
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// run starts a server and waits until it listens.
func run(t *testing.T, addr string, command []string, env string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // stopped
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		var d net.Dialer
		if conn, err := d.DialContext(ctx, "tcp", addr); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it does not listen")
		}
	}
}
