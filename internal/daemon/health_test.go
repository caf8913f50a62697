package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice/internal/daemon"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	ready, unready := daemon.NewTelemetry(), daemon.NewTelemetry()
	ready.Ready("sink", func() error { return nil })
	unready.Ready("broker", func() error { return errors.New("reconnecting") })
	unready.Expect("sink")
	serve := func(handler http.Handler) string {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	readyAddr := serve(ready.Handler())
	_, readyPort, err := net.SplitHostPort(readyAddr)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, addr, want string
		code             int
	}{
		{"ready", readyAddr, "ready\n", 0},
		{"it listens on every address", ":" + readyPort, "ready\n", 0},
		{"on every IPv4 address", "0.0.0.0:" + readyPort, "ready\n", 0},
		{"not ready", serve(unready.Handler()), "test: not ready: broker: reconnecting; sink: starting\n", 1},
		{"another program", serve(http.NotFoundHandler()), "is HTTP_ADDR the address of another program?", 1},
		{"no program", freeAddr(t), "is the service running?", 1},
		{"no telemetry", "", "HTTP_ADDR is empty", 1},
		{"no address", "a b", "HTTP_ADDR: want an address", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			code := daemon.ExitCode(&out, "test", daemon.Health(t.Context(), tt.addr, "HTTP_ADDR", &out))
			if code != tt.code || !strings.Contains(out.String(), tt.want) || strings.Count(out.String(), "\n") != 1 {
				t.Errorf("got %d %q, want %d and one line with %q", code, out.String(), tt.code, tt.want)
			}
		})
	}
}

// A service that hangs is not well, and the check says so by itself before
// whoever runs it loses patience.
func TestHealthOfWhatHangs(t *testing.T) {
	t.Parallel()
	asked, hang := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-hang
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(hang) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	err := daemon.Health(ctx, server.Listener.Addr().String(), "HTTP_ADDR", &bytes.Buffer{})
	if err == nil {
		t.Error("what does not answer counts as ready")
	}
}
