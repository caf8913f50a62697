package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

const (
	// healthTimeout is less than any health check waits, so that the reason is
	// printed rather than the check cut off. Readiness is answered without I/O.
	healthTimeout = 3 * time.Second
	// maxHealthBytes is more than any list of what is not ready.
	maxHealthBytes = 16 << 10
)

// Health asks the process that serves its telemetry on addr, the setting's value,
// whether it is ready, and prints "ready" if so. Its error says what is not. It
// is the health check of a container that holds the service and nothing else.
func Health(ctx context.Context, addr, setting string, stdout io.Writer) error {
	if addr == "" {
		return fmt.Errorf("%s is empty, so there is no health to ask for: set it to an address", setting)
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ownAddr(addr)+"/readyz", nil)
	if err != nil {
		return Usage("%s: want an address such as 127.0.0.1:8080", setting)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and no proxy: this is the machine itself
	resp, err := client.Do(req)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer at %s (%s) within %s", addr, setting, healthTimeout)
	}
	if err != nil {
		return fmt.Errorf("nothing answers at %s (%s): is the service running?", addr, setting)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHealthBytes))
	switch {
	case err != nil:
		return fmt.Errorf("read the answer of %s (%s): %w", addr, setting, err)
	case resp.StatusCode == http.StatusServiceUnavailable:
		return fmt.Errorf("not ready: %s", strings.TrimSpace(string(body)))
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answers %s: is %s the address of another program?", addr, resp.Status, setting)
	}
	_, err = fmt.Fprintln(stdout, "ready")
	return err
}

// ownAddr is where a process on this machine reaches what listens on addr: one
// that listens everywhere has no address of its own.
func ownAddr(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && ip.IsUnspecified() && ip.Is4():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
