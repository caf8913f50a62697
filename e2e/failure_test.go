package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever keeps standalone from starting is said in one line that names the
// setting, and the exit code is not zero.
func TestStartFailures(t *testing.T) {
	t.Parallel()
	notLocked(t, "standalone is what is tested")
	taken := func(t *testing.T) string {
		t.Helper()
		var lc net.ListenConfig
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l.Addr().String()
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	running := startSystem(t)
	tests := []struct {
		name string
		env  []string
		args []string
		want []string
	}{
		{name: "broker's port is taken", env: []string{"STANDALONE_NATS_ADDR=" + taken(t)}, want: []string{"address already in use", "STANDALONE_NATS_ADDR"}},
		{name: "ClickHouse's port is taken", env: []string{"STANDALONE_CLICKHOUSE_ADDR=" + taken(t)}, want: []string{"address already in use", "STANDALONE_CLICKHOUSE_ADDR"}},
		{name: "HTTP port is taken", env: []string{"STANDALONE_HTTP_ADDR=" + taken(t)}, want: []string{"address already in use", "STANDALONE_HTTP_ADDR"}},
		{name: "folder cannot be made", env: []string{"STANDALONE_DIR=" + file + "/data"}, want: []string{"STANDALONE_DIR"}},
		{name: "folder cannot be written", env: []string{"STANDALONE_DIR=/proc"}, want: []string{"STANDALONE_DIR"}},
		{name: "folder is in use", env: []string{"STANDALONE_DIR=" + running.dir}, want: []string{"in use", "STANDALONE_DIR"}},
		{name: "no engine", env: []string{"CHDB_LIB_PATH=" + file + ".so"}, want: []string{"CHDB_LIB_PATH", "make engine"}},
		{name: "no such setting", env: []string{"STANDALONE_DRI=x"}, want: []string{"STANDALONE_DRI", "no such setting"}},
		{name: "wrong setting", env: []string{"SINK_BATCH_ROWS=many"}, want: []string{"SINK_BATCH_ROWS"}},
		{name: "wrong argument", args: []string{"-deom"}, want: []string{"deom"}},
		{name: "external broker is away", env: []string{"NATS_URL=nats://user:hunter2@127.0.0.1:1", "NATS_CONNECT_WAIT=100ms"}, want: []string{"NATS_URL", "127.0.0.1:1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := append([]string{
				"STANDALONE_DIR=" + t.TempDir(), "STANDALONE_NATS_ADDR=" + freeAddr(t),
				"STANDALONE_CLICKHOUSE_ADDR=" + freeAddr(t), "STANDALONE_HTTP_ADDR=" + freeAddr(t), "LOG_LEVEL=warn",
			}, tt.env...)
			p := start(t, nil, env, "standalone", tt.args...)
			code := p.wait(t)
			lines := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
			last := lines[len(lines)-1]
			if code == 0 || len(lines) != 1 || !strings.HasPrefix(last, "standalone: ") {
				t.Errorf("exit %d, want one line and not 0:\n%s", code, p.stderr.String())
			}
			for _, want := range tt.want {
				if !strings.Contains(last, want) {
					t.Errorf("got %q, want it to say %q", last, want)
				}
			}
			if strings.Contains(p.stderr.String(), "hunter2") {
				t.Error("it prints a password")
			}
		})
	}
}

// Every command explains itself and refuses what it does not know.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"standalone", "producer", "redactor", "sink", "notifier"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"-h"}
			if name == "producer" { // it has settings for each of its commands
				args = []string{"publish", "-h"}
			}
			p := start(t, nil, nil, name, args...)
			if code := p.wait(t); code != 0 || p.stderr.String() != "" {
				t.Errorf("-h: exit %d, stderr %q", code, p.stderr.String())
			}
			for _, want := range []string{"Usage:", "NATS_URL", "LOG_LEVEL"} {
				if !strings.Contains(p.stdout.String(), want) {
					t.Errorf("-h does not tell of %s", want)
				}
			}
			p = start(t, nil, nil, name, "no-such-command")
			if code := p.wait(t); code != 2 || strings.Count(p.stderr.String(), "\n") != 1 {
				t.Errorf("unknown command: exit %d, stderr %q; want 2 and one line", code, p.stderr.String())
			}
		})
	}
}
