// Package standalone runs all of Sluice in one process: an embedded nats-server,
// ClickHouse as a child process, the redactor, the sink and the notifier. With
// NATS_URL or CLICKHOUSE_URL set it uses that server instead of its own.
//
// It promises what the services promise by themselves, since it runs them by
// their own Run: what was acknowledged to a publisher is on disk, and a stop at
// any moment loses and repeats nothing. It owns its folder, which one process
// may use at a time.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/notifier"
	"sluice/redactor"
	"sluice/schemas"
	"sluice/sink"
)

// Run starts everything and blocks until ctx ends or a part fails. Then it
// drains: the services stop fetching, flush and acknowledge; after them
// ClickHouse, the broker and the HTTP server are closed, in this order. Stopped
// while it starts it returns nil too.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := run(ctx, cfg, log); err != nil && !daemon.Stopped(ctx, err) {
		return err
	}
	return nil
}

func run(ctx context.Context, cfg Config, log *slog.Logger) (err error) {
	unlock, err := lockDir(cfg.Dir)
	if err != nil {
		return err
	}
	defer unlock()

	cfg.Telemetry = daemon.NewTelemetry()
	for _, name := range []string{"redactor", "sink", "notifier"} {
		cfg.Telemetry.Expect(name)
	}
	stopHTTP, err := cfg.Telemetry.Serve(ctx, cfg.HTTPAddr, "STANDALONE_HTTP_ADDR")
	if err != nil {
		return err
	}
	defer stopHTTP()

	stopPprof, err := daemon.ServePprof(ctx, cfg.PprofAddr)
	if err != nil {
		return err
	}
	defer stopPprof()

	at := endpoints{NATS: cfg.Redactor.URL, ClickHouse: cfg.Sink.ClickHouseURL, HTTP: cfg.HTTPAddr}
	var inProcess nats.InProcessConnProvider
	if !cfg.ExternalNATS {
		ns, err := startBroker(ctx, cfg, log.With("service", "nats"))
		if err != nil {
			return err
		}
		defer stopBroker(ns)
		inProcess, at.NATS = ns, ns.ClientURL()
	}
	var engine *engine
	if !cfg.ExternalClickHouse {
		if engine, err = startEngine(ctx, cfg, log.With("service", "clickhouse")); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, engine.stop()) }() //nolint:contextcheck // it stops when ctx has ended
		at.ClickHouse = engine.url
	}

	conn, err := setUp(ctx, cfg, inProcess, log)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // it must still flush when ctx has ended
	return runServices(ctx, cfg, at, inProcess, engine, conn, log)
}

// endpoints are where the outside finds the parts.
type endpoints struct{ NATS, ClickHouse, HTTP string }

// setUp makes all streams, so that publishing works as soon as the broker
// answers, whichever service is up first.
func setUp(ctx context.Context, cfg Config, inProcess nats.InProcessConnProvider, log *slog.Logger) (*broker.Conn, error) {
	to := cfg.Redactor.NATS
	to.InProcess = inProcess
	conn, err := broker.Connect(ctx, to, "standalone", log)
	if err != nil {
		return nil, err
	}
	streams := schemas.Streams()
	if inProcess != nil {
		free, err := freeBytes(cfg.Dir)
		if err != nil {
			return nil, err
		}
		if scaled := fitStreams(streams, free); scaled != nil {
			log.Warn("little room on the disk: the streams are made smaller", "dir", cfg.Dir, "free_bytes", free)
			streams = scaled
		}
	}
	if err := conn.EnsureStreams(ctx, streams...); err != nil {
		conn.Close() //nolint:contextcheck // the same
		return nil, err
	}
	return conn, nil
}

// runServices runs the services until ctx ends or one of them fails, which ends
// the others.
func runServices(ctx context.Context, cfg Config, at endpoints, inProcess nats.InProcessConnProvider,
	engine *engine, conn *broker.Conn, log *slog.Logger,
) error {
	cfg.Redactor.Telemetry, cfg.Sink.Telemetry, cfg.Notifier.Telemetry = cfg.Telemetry, cfg.Telemetry, cfg.Telemetry
	cfg.Redactor.InProcess, cfg.Sink.InProcess, cfg.Notifier.InProcess = inProcess, inProcess, inProcess
	if !cfg.ExternalClickHouse { // users and clusters are a server's
		cfg.Sink.ClickHouse = sink.ClickHouse{ClickHouseURL: at.ClickHouse}
	}

	g := newGroup(ctx)
	g.run("redactor", log, func(ctx context.Context, log *slog.Logger) error { return redactor.Run(ctx, cfg.Redactor, log) })
	g.run("sink", log, func(ctx context.Context, log *slog.Logger) error { return sink.Run(ctx, cfg.Sink, log) })
	g.run("notifier", log, func(ctx context.Context, log *slog.Logger) error { return notifier.Run(ctx, cfg.Notifier, log) })
	if engine != nil {
		g.run("clickhouse", log, engine.supervise)
	}
	g.run("standalone", log, func(ctx context.Context, log *slog.Logger) error {
		if err := awaitReady(ctx, cfg.Telemetry); err != nil {
			return nil //nolint:nilerr // stopped before it was ready: nothing to say
		}
		log.Info("ready", "nats", at.NATS, "clickhouse", at.ClickHouse, "http", at.HTTP, "dir", cfg.Dir)
		if cfg.Demo {
			return runDemo(ctx, cfg, at, conn)
		}
		return printReady(cfg.Out, at)
	})
	if err := g.wait(); err != nil {
		return err
	}
	log.Info("drained")
	return nil
}

// part is the outcome of one part.
type part struct {
	name string
	err  error
}

// group runs parts side by side. The first failure ends all; a part that ends
// without one, such as the demo, ends only itself.
type group struct {
	ctx    context.Context //nolint:containedctx // the group is the scope of its parts and does not outlive wait
	cancel context.CancelFunc
	ended  chan part
	parts  int
}

func newGroup(ctx context.Context) *group {
	g := &group{ended: make(chan part)}
	g.ctx, g.cancel = context.WithCancel(ctx)
	return g
}

func (g *group) run(name string, log *slog.Logger, work func(context.Context, *slog.Logger) error) {
	g.parts++
	go func() { g.ended <- part{name, work(g.ctx, log.With("service", name))} }()
}

func (g *group) wait() error {
	defer g.cancel()
	var errs []error
	for range g.parts {
		if p := <-g.ended; p.err != nil && !daemon.Stopped(g.ctx, p.err) {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, p.err))
			g.cancel()
		}
	}
	return errors.Join(errs...)
}
