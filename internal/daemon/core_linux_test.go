package daemon

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// secretInMemory is what a process holds that crashes: put together when it runs,
// so that it stands in no binary.
func secretInMemory() []byte { return append([]byte("s3cr"), bytes.Repeat([]byte("-et"), 20)...) }

// TestCoreOfACrash crashes a command that holds a secret, as GOTRACEBACK=crash and an
// unlimited core file let it leave everything.
func TestCoreOfACrash(t *testing.T) {
	if os.Getenv("DAEMON_CRASH") == "1" {
		secret := secretInMemory()
		Main("crash", func(context.Context, []string) error {
			_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
			time.Sleep(time.Minute)
			return errors.New(string(secret))
		})
		return
	}
	dir := t.TempDir()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -c unlimited; exec "$0" "$@"`, binary, "-test.run=^TestCoreOfACrash$")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "DAEMON_CRASH=1", "GOTRACEBACK=crash")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("it did not crash:\n%s", out)
	}
	cores, err := filepath.Glob(filepath.Join(dir, "core*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, core := range cores {
		if data, err := os.ReadFile(core); err != nil || bytes.Contains(data, secretInMemory()) {
			t.Errorf("%s holds the secret (%v)", filepath.Base(core), err)
		}
	}
}
