package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asCommand makes the test binary the command itself.
const asCommand = "TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// Each wrong use is one line, and says what is right.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args, env, stderr string
		code              int
	}{
		{"retention", "", "want show or set", 2},
		{"retention list", "", `"list" is no command`, 2},
		{"retention show acme", "", `no argument "acme"`, 2},
		{"retention show -x", "", "not defined: -x", 2},
		{"retention set acme", "", "want TENANT=PERIOD", 2},
		{"retention set acme=1x", "", "want a period", 2},
		{"retention set a.b=1d", "", `tenant "a.b"`, 2},
		{"retention set acme=1d acme=2d", "", "twice", 2},
		{"retention show", "RETENTION=never", "RETENTION:", 2},
		{"retention show", "CLICKHOUSE_URL=http://127.0.0.1:1", "set CLICKHOUSE_URL", 1},
		{"retention set -dry-run", "CLICKHOUSE_URL=http://127.0.0.1:1", "set CLICKHOUSE_URL", 1},
		{"erase", "", "--user", 2},
		{"erase --user=", "", "--user", 2},
		{"erase --user x", "", "-yes", 2},
		{"erase --user x y", "", `no argument "y"`, 2},
		{"erase --user x --tenant a.b -yes", "", `tenant "a.b"`, 2},
		{"erase --user x -dry-run", "CLICKHOUSE_URL=http://127.0.0.1:1", "set CLICKHOUSE_URL", 1},
		{"erase -h", "", "", 0},
		{"-h", "", "", 0},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], strings.Fields(tc.args)...)
		cmd.Env = []string{asCommand + "=1", tc.env}
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run() // its exit code is looked at
		text := stderr.String()
		if code := cmd.ProcessState.ExitCode(); code != tc.code || !strings.Contains(text, tc.stderr) || strings.Count(text, "\n") > 1 {
			t.Errorf("sink %s: exit %d, want %d; want %q in %q", tc.args, code, tc.code, tc.stderr, text)
		}
		if tc.code == 0 {
			for _, want := range []string{"sink migrate", "sink retention show", "sink retention set", "sink erase"} {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("sink %s: want %q in\n%s", tc.args, want, &stdout)
				}
			}
		}
	}
}
