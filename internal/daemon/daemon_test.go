package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/daemon"
)

type shared struct {
	Secret string `envconfig:"SHARED_PASSWORD" desc:"a secret"`
}

type settings struct {
	shared
	daemon.Process

	Rows int           `envconfig:"TEST_ROWS" default:"10" desc:"rows in a batch"`
	Age  time.Duration `envconfig:"TEST_AGE" default:"1s" desc:"age of a batch"`
}

func (s settings) Validate() error {
	if s.Rows < 1 {
		return errors.New("TEST_ROWS: want at least 1")
	}
	return nil
}

func TestLoad(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		want string
	}{
		{"defaults", nil, ""},
		{"set", map[string]string{"TEST_ROWS": "5", "LOG_FORMAT": "json", "LOG_LEVEL": "debug"}, ""},
		{"not a number", map[string]string{"TEST_ROWS": "hunter2"}, "TEST_ROWS: not a valid number"},
		{"not a duration", map[string]string{"TEST_AGE": "hunter2"}, "TEST_AGE: not a valid duration such as 500ms, 10s or 5m"},
		{"not a level", map[string]string{"LOG_LEVEL": "hunter2"}, "LOG_LEVEL: not a valid level: debug, info, warn or error"},
		{"misspelt", map[string]string{"TEST_ROW": "5"}, "TEST_ROW: there is no such setting"},
		{"invalid", map[string]string{"TEST_ROWS": "0"}, "TEST_ROWS: want at least 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			var got settings
			err := daemon.Load("TEST", &got)
			if text := fmt.Sprint(err); tt.want == "" && err != nil || tt.want != "" && text != tt.want {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && !errors.Is(err, daemon.ErrUsage) {
				t.Error("want a usage error")
			}
		})
	}
}

func TestHelpListsEverySettingOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := daemon.Help{Name: "test", Summary: "Does a thing.", Commands: [][2]string{{"test", "run"}}}.Print(&out, &settings{}, &settings{})
	if code := daemon.ExitCode(io.Discard, "test", err); code != daemon.ExitOK {
		t.Errorf("got exit code %d, want 0", code)
	}
	for _, want := range []string{"TEST_ROWS", "TEST_AGE", "LOG_LEVEL", "LOG_FORMAT", "SHARED_PASSWORD", "rows in a batch"} {
		if n := strings.Count(out.String(), want); n != 1 {
			t.Errorf("%s stands there %d times, want once:\n%s", want, n, &out)
		}
	}
}

type coded struct{}

func (coded) Error() string { return "" }
func (coded) ExitCode() int { return 3 }

func TestExitCode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err    error
		code   int
		stderr string
	}{
		{nil, 0, ""},
		{errors.New("connect: refused"), 1, "sink: connect: refused\n"},
		{errors.Join(errors.New("a"), errors.New("b\x1b")), 1, "sink: a; b\n"},
		{daemon.Usage("X: wrong"), 2, "sink: X: wrong (sink -h lists what can be set)\n"},
		{fmt.Errorf("filter: %w", coded{}), 3, ""},
	}
	for _, tt := range tests {
		var stderr bytes.Buffer
		if code := daemon.ExitCode(&stderr, "sink", tt.err); code != tt.code || stderr.String() != tt.stderr {
			t.Errorf("%v: got %d %q, want %d %q", tt.err, code, stderr.String(), tt.code, tt.stderr)
		}
	}
}

// A service that is stopped while it starts says so in the words of whatever it
// waited for: ctx's error, or the cause, which is the signal.
func TestStopped(t *testing.T) {
	t.Parallel()
	signal := errors.New("terminated signal received")
	running := t.Context()
	stopped, cancel := context.WithCancelCause(t.Context())
	cancel(signal)
	tests := []struct {
		ctx  context.Context
		err  error
		want bool
	}{
		{running, context.Canceled, false},
		{stopped, fmt.Errorf("connect: %w", context.Canceled), true},
		{stopped, fmt.Errorf("wait for ClickHouse: %w", signal), true},
		{stopped, errors.New("disk full"), false},
		{stopped, nil, false},
	}
	for _, tt := range tests {
		if got := daemon.Stopped(tt.ctx, tt.err); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.err, got, tt.want)
		}
	}
}

func TestTelemetryServes(t *testing.T) {
	t.Parallel()
	tel := daemon.NewTelemetry()
	tel.Expect("sink")
	addr := freeAddr(t)
	stop, err := tel.Serve(t.Context(), addr, "HTTP_ADDR")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if code, body := get(t, addr, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "sink: starting") {
		t.Errorf("readyz before: %d %s", code, body)
	}
	tel.Ready("sink", func() error { return nil })
	for path, want := range map[string]string{"/livez": "ok", "/readyz": "ok", "/metrics": "sluice_build_info"} {
		if code, body := get(t, addr, path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.100s", path, code, body)
		}
	}
	if _, err := tel.Serve(t.Context(), addr, "HTTP_ADDR"); err == nil || !strings.Contains(err.Error(), "address already in use (set HTTP_ADDR to a free address)") {
		t.Errorf("taken address: got %v", err)
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

func get(t *testing.T, addr, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
