package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/daemon"
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
	for _, args := range [][]string{{"nonsense"}, {"explain"}, {"explain", "a", "b"}, {"explain", "-x", "a"}, {"explain", "-tenant", "a.b", "-"}} {
		if err := run(t.Context(), args); !errors.Is(err, daemon.ErrUsage) {
			t.Errorf("%v: got %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"explain", filepath.Join(t.TempDir(), "missing")}); err == nil || errors.Is(err, daemon.ErrUsage) {
		t.Errorf("a missing file: got %v", err)
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
