package daemon

import (
	"context"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// pprofSetting is the address of the profiles.
const pprofSetting = "PPROF_ADDR"

// ServePprof serves Go's profiles under /debug/pprof on addr until stop is called; addr
// "" serves nothing. It takes loopback addresses alone: a profile tells how the process
// works, and making one slows it down.
func ServePprof(ctx context.Context, addr string) (stop func(), err error) {
	if addr == "" {
		return func() {}, nil
	}
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && !ip.IsLoopback() {
		return nil, Usage("%s: want a loopback address such as 127.0.0.1:6060", pprofSetting)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	// Not cmdline: arguments may name people, as those of `sink erase` do.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, ListenError(addr, pprofSetting, err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
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
