package faults

import (
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// receiver is a webhook that remembers which alerts it was given.
type receiver struct {
	addr   string
	server *http.Server
	// marker is what no alert may hold.
	marker string

	mu    sync.Mutex
	seen  map[string]int
	leaks int
}

func newReceiver() (*receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // for the whole run
	if err != nil {
		return nil, err
	}
	r := &receiver{addr: listener.Addr().String(), seen: map[string]int{}}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 30 * time.Second}
	go func() { _ = r.server.Serve(listener) }()
	return r, nil
}

func (r *receiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // it was cut off, and comes again
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[req.Header.Get("Webhook-Id")]++
	if holds(body, r.marker) {
		r.leaks++
	}
}

func (r *receiver) times(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[id]
}

func (r *receiver) close() { _ = r.server.Close() }
