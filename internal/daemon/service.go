package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
)

// Process is what a service's settings embed to be run by Service: how to log
// and where to serve health and metrics.
type Process struct {
	Logging
	PprofAddr string `envconfig:"PPROF_ADDR" desc:"loopback address of /debug/pprof, Go's profiles of the process; empty serves none"`
	// Telemetry is where the service reports; Service makes one.
	Telemetry *Telemetry `ignored:"true"`
}

// Service runs one service as a process: HTTP first, so that its health can be
// asked for from the start, and closed last.
func Service(ctx context.Context, name, addr string, process *Process,
	run func(ctx context.Context, log *slog.Logger) error,
) error {
	log := process.Logger(os.Stderr).With("service", name)
	process.Telemetry = NewTelemetry()
	process.Telemetry.Expect(name)
	stop, err := process.Telemetry.Serve(ctx, addr, "HTTP_ADDR")
	if err != nil {
		return err
	}
	defer stop()
	stopPprof, err := ServePprof(ctx, process.PprofAddr)
	if err != nil {
		return err
	}
	defer stopPprof()
	log.Info("starting", "version", Version, "http_addr", addr)
	if err := run(ctx, log); err != nil && !Stopped(ctx, err) {
		return err
	}
	log.Info("drained")
	return nil
}

// Stopped reports whether err only says that ctx ended, as it does when a
// service is stopped while it starts. A signal is the cause of ctx's end, not its
// error.
func Stopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}
