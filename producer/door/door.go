// Package door takes events over HTTP and publishes them, for whoever speaks no
// NATS and for authentik's webhooks.
//
// It owns tokens and what each may publish, limits of size, rate and memory, and
// the answers: 202 says that the broker has stored the event, anything else says
// which event is not stored and why (RFC 9457). It promises that no request
// costs more memory than the settings allow, however it is sent, that a bad event
// does not keep the good ones beside it from being stored, and that no answer,
// log line or metric holds anything of an event. It masks nothing.
package door

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"sluice/internal/broker"
	"sluice/internal/daemon"
	"sluice/producer"
)

// server answers requests. Only reload changes it.
type server struct {
	cfg       Config
	log       *slog.Logger
	metrics   *metrics
	publisher *producer.Producer
	memory    memory
	// decompressing has a place for each body that is being decompressed.
	decompressing chan struct{}
	grants        atomic.Pointer[[]*grant]
	certificate   atomic.Pointer[tls.Certificate]
}

// Run takes events until ctx ends, then answers what is under way.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	s := &server{
		cfg: cfg, log: log,
		memory:        memory{most: int64(cfg.MaxMemoryBytes)},
		decompressing: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	if err := s.read(); err != nil {
		return daemon.Usage("%w", err)
	}
	telemetry := cfg.Telemetry
	if telemetry == nil {
		telemetry = daemon.NewTelemetry()
	}
	var err error
	if s.metrics, err = newMetrics(telemetry.Registry, &s.memory); err != nil {
		return err
	}
	conn, err := broker.Connect(ctx, cfg.NATS, "producer", log)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // it flushes after ctx has ended
	if s.publisher, err = producer.New(conn.NC, producer.Config{Log: quiet(ctx, log)}); err != nil {
		return err
	}
	defer s.publisher.Close()
	return s.serve(ctx, telemetry, conn)
}

// quiet keeps the line for each published event for those who ask for it: a
// service that is sent thousands a second has metrics.
func quiet(ctx context.Context, log *slog.Logger) *slog.Logger {
	if log.Enabled(ctx, slog.LevelDebug) {
		return log
	}
	return slog.New(slog.DiscardHandler)
}

func (s *server) serve(ctx context.Context, telemetry *daemon.Telemetry, conn *broker.Conn) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return daemon.ListenError(s.cfg.Addr, "PRODUCER_SERVE_ADDR", err)
	}
	addr := listener.Addr().String()
	listener = limitConnections(listener, s.cfg.MaxConnections)
	web := &http.Server{
		Handler:           s.routes(telemetry),
		ReadHeaderTimeout: s.cfg.ReadTimeout,
		ReadTimeout:       s.cfg.ReadTimeout,
		// The answer comes after the body and the broker.
		WriteTimeout:   s.cfg.ReadTimeout + s.cfg.Timeout + answerTime,
		IdleTimeout:    time.Minute,
		MaxHeaderBytes: 16 << 10,
		// What the library logs there is what clients do wrong.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	if s.cfg.TLSCert != "" {
		listener = tls.NewListener(listener, &tls.Config{
			MinVersion:     tls.VersionTLS12,
			NextProtos:     []string{"http/1.1"},
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate.Load(), nil },
		})
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	telemetry.Ready("producer", conn.Healthy)
	s.log.Info("taking events", "addr", addr, "tls", s.cfg.TLSCert != "", "tokens", len(*s.grants.Load()))
	if s.cfg.Listening != nil {
		s.cfg.Listening(addr)
	}
	for {
		select {
		case <-s.cfg.Reload:
			s.reload()
		case err := <-served:
			return fmt.Errorf("serve events: %w", err)
		case <-ctx.Done():
			return s.drain(ctx, web)
		}
	}
}

// answerTime is how long a client may take to fetch an answer.
const answerTime = 10 * time.Second

// drain answers what is under way, then ends.
func (s *server) drain(ctx context.Context, web *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout+time.Second)
	defer cancel()
	err := web.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("some requests were not answered in time; their senders have no word that they are stored")
		return web.Close()
	}
	return err
}

// read takes tokens and certificate from their files.
func (s *server) read() error {
	grants, err := readTokens(s.cfg.TokensFile, s.cfg.Rate)
	if err != nil {
		return err
	}
	if s.cfg.TLSCert != "" {
		certificate, err := tls.LoadX509KeyPair(s.cfg.TLSCert, s.cfg.TLSKey)
		if err != nil {
			return fmt.Errorf("PRODUCER_TLS_CERT and PRODUCER_TLS_KEY: %w", err)
		}
		s.certificate.Store(&certificate)
	}
	if old := s.grants.Load(); old != nil {
		keepLimits(*old, grants)
	}
	s.grants.Store(&grants)
	return nil
}

// keepLimits leaves tokens that were there before with what they have used up.
func keepLimits(old, grants []*grant) {
	for _, g := range grants {
		for _, was := range old {
			if was.hash == g.hash && was.limit.Limit() == g.limit.Limit() {
				g.limit = was.limit
			}
		}
	}
}

// reload keeps what it has when the files are wrong.
func (s *server) reload() {
	if err := s.read(); err != nil {
		s.metrics.reloads.WithLabelValues("failed").Inc()
		s.log.Error("tokens not read again; those from before stay in force", "error", err)
		return
	}
	s.metrics.reloads.WithLabelValues("ok").Inc()
	s.log.Info("tokens read again", "tokens", len(*s.grants.Load()))
}
