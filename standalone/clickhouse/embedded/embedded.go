// Package embedded is the server process around the embedded engine: it holds
// the data directory, listens, serves the HTTP interface and drains.
//
// It promises one engine per directory, a start that takes over after any kind
// of death of the one before, and an end as soon as its context ends. It refuses
// to listen anywhere but on a loopback address, since there are no passwords.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"sluice/standalone/clickhouse/bridge"
	"sluice/standalone/clickhouse/chdb"
)

// Config says where the engine listens and where its data is.
type Config struct {
	// Addr is host:port on a loopback address. Port 0 takes a free one.
	Addr string
	// Dir is the data directory, created if it is missing.
	Dir string
	// LibPath is the library's file; empty looks in the usual places.
	LibPath string
	// MemoryBytes bounds the memory of the engine, its caches included.
	MemoryBytes int64
	// ConfigFile is a configuration of ClickHouse's own, XML, for trying users and
	// clusters; empty for none.
	ConfigFile string
}

const (
	// finishTimeout is how long running requests may take to finish once the
	// server drains; then their statements are killed.
	finishTimeout = 2 * time.Second
	// killTimeout is how long killed statements may take to end.
	killTimeout = 1 * time.Second
	// headerTimeout bounds how long a client may take to send its headers. Bodies
	// have no bound: an insert may trickle.
	headerTimeout = 10 * time.Second
)

// Run serves until ctx ends, then drains. When it is ready to serve it writes one
// line, "ready http://host:port", to ready.
func Run(ctx context.Context, cfg Config, ready io.Writer, log *slog.Logger) error {
	listener, err := listen(cfg.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // closed twice when served, which is harmless
	directory, err := lockDirectory(cfg.Dir)
	if err != nil {
		return err
	}
	defer directory.release()
	library, err := chdb.Locate(cfg.LibPath)
	if err != nil {
		return err
	}

	started := time.Now()
	engine, err := openEngine(library, directory.path, engineSettings(cfg))
	if err != nil {
		return err
	}
	handler, err := bridge.New(engine, log)
	if err != nil {
		return err
	}
	log.Info("engine started", "version", handler.Version(), "dir", directory.path, "elapsed", time.Since(started).Round(time.Millisecond).String())

	if err := serve(ctx, listener, handler, ready, log); err != nil {
		return err // what still runs would be closed under its feet
	}
	handler.Close()
	engine.Close()
	return nil
}

// serve serves requests until ctx ends and every request has.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, ready io.Writer, log *slog.Logger) error {
	requests, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	var active sync.WaitGroup
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			active.Add(1)
			defer active.Done()
			handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    1 << 20, // statements and settings come in the URL
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if _, err := fmt.Fprintf(ready, "ready http://%s\n", listener.Addr()); err != nil {
		return fmt.Errorf("say ready: %w", err)
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}

	log.Info("draining")
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	if server.Shutdown(finish) == nil {
		return nil
	}
	kill()             // ends statements
	_ = server.Close() // ends requests that wait for their body
	ended := make(chan struct{})
	go func() {
		active.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(killTimeout):
		return errors.New("drain: statements still run")
	}
}

func listen(addr string) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	if !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("listen on %s: not a loopback address, and the engine has no passwords", addr)
	}
	listener, err := net.ListenTCP("tcp", resolved)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, cause(err))
	}
	return listener, nil
}

// cause takes the operation and the address off a network error: the caller has
// named both.
func cause(err error) error {
	if network, ok := errors.AsType[*net.OpError](err); ok {
		return network.Err
	}
	return err
}
