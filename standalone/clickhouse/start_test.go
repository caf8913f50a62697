package clickhouse

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	used := t.TempDir()
	start(t, used, nil)
	for _, test := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"address taken", Config{Addr: taken.Addr().String(), Dir: t.TempDir()}, "listen on " + taken.Addr().String() + ": bind: address already in use"},
		{"address of everybody", Config{Addr: "0.0.0.0:0", Dir: t.TempDir()}, "listen on 0.0.0.0:0: not a loopback address, and the engine has no passwords"},
		{"no directory", Config{Addr: "127.0.0.1:0", Dir: file}, "create data directory " + file + "/embedded: not a directory"},
		{"directory in use", Config{Addr: "127.0.0.1:0", Dir: used}, "data directory " + used + "/embedded is in use by another engine, process "},
		{"no library", Config{Addr: "127.0.0.1:0", Dir: t.TempDir(), LibPath: "/nowhere/libchdb.so"}, "the ClickHouse engine is not installed: run `make engine`, or set CHDB_LIB_PATH"},
		{"no executable", Config{Addr: "127.0.0.1:0", Dir: t.TempDir(), EmbeddedPath: "/nowhere/clickhouse-embedded"}, "clickhouse-embedded is not at /nowhere/clickhouse-embedded: run `make build`"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
			defer cancel()
			process, err := Start(ctx, test.cfg)
			if err == nil {
				_ = process.Stop(ctx)
				t.Fatal("it started")
			}
			if !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

// TestReadOnlyDirectory runs the executable itself, as a user who may not write.
func TestReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	command := exec.CommandContext(t.Context(), os.Getenv("CLICKHOUSE_EMBEDDED_PATH"), "-addr", "127.0.0.1:0", "-path", dir)
	if os.Geteuid() == 0 { // root may write anywhere
		const nobody = 65534
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		for _, path := range []string{filepath.Dir(command.Path), filepath.Dir(dir)} {
			if err := os.Chmod(path, 0o755); err != nil { // #nosec G302 -- nobody must get there
				t.Fatal(err)
			}
		}
	} else if err := os.Chmod(dir, 0o500); err != nil { // #nosec G302 -- a directory
		t.Fatal(err)
	}
	output, err := command.CombinedOutput()
	want := "clickhouse-embedded: write to data directory " + dir + ": permission denied\n"
	if command.ProcessState.ExitCode() != 1 || string(output) != want {
		t.Errorf("got %v, %q, want %q", err, output, want)
	}
}

func TestStartGivesUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if process, err := Start(ctx, Config{Addr: "127.0.0.1:0", Dir: t.TempDir()}); err == nil {
		_ = process.Stop(context.Background())
		t.Error("it started although its context had ended")
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	output, err := exec.CommandContext(ctx, os.Getenv("CLICKHOUSE_EMBEDDED_PATH"), "-h").CombinedOutput()
	if err != nil || !strings.Contains(string(output), "-addr") || !strings.Contains(string(output), "CHDB_LIB_PATH") {
		t.Errorf("-h: %v\n%s", err, output)
	}
}
