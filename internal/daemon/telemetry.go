package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Telemetry is what a process tells about itself: metrics and readiness. Several
// services of one process share one. It is safe for concurrent use.
type Telemetry struct {
	Registry *prometheus.Registry

	mu     sync.Mutex
	checks map[string]func() error
}

// NewTelemetry returns a Telemetry with the metrics of the Go runtime.
func NewTelemetry() *Telemetry {
	t := &Telemetry{Registry: prometheus.NewRegistry(), checks: map[string]func() error{}}
	t.Registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sluice_build_info", Help: "Always 1; the label has the version.",
			ConstLabels: prometheus.Labels{"version": Version},
		}, func() float64 { return 1 }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sluice_ready", Help: "1 while every part of the process is ready, as /readyz says, else 0.",
		}, func() float64 {
			if t.Unready() != nil {
				return 0
			}
			return 1
		}),
	)
	return t
}

// Expect makes the process unready until the named part reports a check.
func (t *Telemetry) Expect(name string) {
	t.Ready(name, func() error { return errors.New("starting") })
}

// Ready makes readiness depend on the check, which must answer at once, without
// I/O.
func (t *Telemetry) Ready(name string, check func() error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checks[name] = check
}

// Unready says what is not ready, nil if all is.
func (t *Telemetry) Unready() error {
	t.mu.Lock()
	checks := make(map[string]func() error, len(t.checks))
	names := make([]string, 0, len(t.checks))
	for name, check := range t.checks {
		checks[name], names = check, append(names, name)
	}
	t.mu.Unlock()
	sort.Strings(names)
	var errs []error
	for _, name := range names {
		if err := checks[name](); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// Handler serves /livez, /readyz and /metrics.
func (t *Telemetry) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := t.Unready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.Registry, promhttp.HandlerOpts{}))
	return mux
}

// Serve serves the telemetry on addr until ctx ends; addr "" serves nothing. The
// listener is open when it returns.
func (t *Telemetry) Serve(ctx context.Context, addr, setting string) (stop func(), err error) {
	if addr == "" {
		return func() {}, nil
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, ListenError(addr, setting, err)
	}
	server := &http.Server{Handler: t.Handler(), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends by Close alone
	}()
	return func() {
		_ = server.Close()
		<-done
	}, nil
}

// ListenError says in one line why an address cannot be listened on and which
// setting has another.
func ListenError(addr, setting string, err error) error {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:] // the last part tells, the rest repeats the address
	}
	return fmt.Errorf("listen on %s: %s (set %s to a free address)", addr, text, setting)
}
