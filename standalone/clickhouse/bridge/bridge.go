// Package bridge serves ClickHouse's HTTP interface on an embedded engine.
//
// It owns everything between an HTTP request and a statement on the engine:
// parameters, settings, encodings, the split of an INSERT into head and data,
// Native at the client's protocol revision, error texts and their statuses. It
// promises that a client that speaks to a ClickHouse server over HTTP needs no
// change to speak to it, and that neither a statement nor a row is ever logged.
//
// It refuses what a developer's machine must not offer: other users than
// "default", requests that a web page of another origin makes, and files on the
// client's side (INTO OUTFILE, FROM INFILE), of which a server has none. Two
// things of a server's are missing, because the library lacks them: INSERT …
// SELECT … FROM input(), and progress in headers.
//
// Results stream in the formats that allow it, see formats.go; in the others they
// are held in memory up to a bound. Inserts always stream.
package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"

	"sluice/standalone/clickhouse/chdb"
)

// Handler is the HTTP interface. Make one with [New].
type Handler struct {
	engine   *chdb.Engine
	log      *slog.Logger
	version  string
	name     string
	sessions *sessions
	slots    chan struct{}
}

// maxConcurrent bounds the statements that run at the same time; further ones
// wait. ClickHouse's own limit is none, but each one takes a thread here.
const maxConcurrent = 100

// New makes the HTTP interface of an engine.
func New(engine *chdb.Engine, log *slog.Logger) (*Handler, error) {
	conn, err := engine.Connect()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	version, err := conn.Value("SELECT version()")
	if err != nil {
		return nil, fmt.Errorf("ask for version: %w", err)
	}
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	return &Handler{
		engine:   engine,
		log:      log,
		version:  version,
		name:     name,
		sessions: newSessions(engine.Connect),
		slots:    make(chan struct{}, maxConcurrent),
	}, nil
}

// Version gives the engine's version.
func (h *Handler) Version() string { return h.version }

// Close ends the sessions. Requests must have ended before.
func (h *Handler) Close() { h.sessions.closeAll() }

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if foreignOrigin(r) {
		http.Error(w, "requests from web pages and to names other than localhost are refused", http.StatusForbidden)
		return
	}
	header := w.Header()
	header["X-ClickHouse-Server-Display-Name"] = []string{h.name}
	header.Set("Content-Type", "text/html; charset=UTF-8")
	asked := r.URL.Query().Has("query")
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case reads && (r.URL.Path == "/ping" || r.URL.Path == "/replicas_status" || r.URL.Path == "/" && !asked):
		fmt.Fprint(w, "Ok.\n")
	case (r.URL.Path == "/" || r.URL.Path == "/query") && (reads || r.Method == http.MethodPost):
		h.serveQuery(w, r)
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
	default:
		header.Set("Content-Type", "text/plain; charset=UTF-8")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "There is no handle here.\n\nUse / or /ping for health checks.\n"+
			"Send queries from your program with POST method or GET /?query=...\n")
	}
}

// foreignOrigin reports whether a page of another site makes the request: the
// browser says so, or the request is for a name that such a page has made stand
// for this machine. A page can reach a loopback address, and without passwords
// this is all that keeps it from the data.
func foreignOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return true
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return !strings.EqualFold(host, "localhost") && !net.ParseIP(strings.Trim(host, "[]")).IsLoopback()
}

func (h *Handler) serveQuery(w http.ResponseWriter, r *http.Request) {
	out := newOutput(w, h.version)
	kind, err := h.run(out, r)
	elapsed := time.Since(out.started)
	if err == nil {
		err = out.finish()
	}
	attrs := []any{
		"query_id", out.request.queryID, "kind", kind, "elapsed", elapsed.Round(time.Microsecond).String(),
		"read_rows", out.stats.ReadRows, "written_rows", out.stats.WrittenRows,
	}
	if err == nil {
		h.log.Debug("statement done", attrs...)
		return
	}
	raised := asException(err)
	// The text of an exception may quote the statement or the data.
	h.log.Debug("statement failed", append(attrs, "code", raised.Code)...)
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // nobody is listening
	}
	out.fail(raised)
}

// run reads the request, runs its statement and writes the result to out. It
// gives the kind of statement for the log.
func (h *Handler) run(out *output, r *http.Request) (string, error) {
	req, err := parseRequest(r)
	if err != nil {
		return "refused", err
	}
	out.request = req
	// Spelt as ClickHouse spells them, for what compares them byte by byte.
	header := out.writer.Header()
	header["X-ClickHouse-Query-Id"] = []string{req.queryID}
	header["X-ClickHouse-Timezone"] = []string{"UTC"}
	header["X-ClickHouse-Exception-Tag"] = []string{out.tag}

	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-r.Context().Done():
		return "refused", r.Context().Err()
	}
	// The engine keeps the state of a running statement by thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	conn, release, err := h.sessions.acquire(req)
	if err != nil {
		return "refused", err
	}
	defer release()
	restore, err := preserve(conn, req)
	if err != nil {
		return "refused", err
	}
	defer restore()
	if err := applySettings(conn, req, out.tag); err != nil {
		return "refused", err
	}
	stop := h.cancelWith(r.Context(), out.tag)
	defer stop()
	return h.runBody(conn, req, out, r)
}

// requestSetting carries a request's tag to system.processes, where it finds the
// statement again. The engine chooses query ids itself, and of the free-form
// settings this one means nothing without a query result cache.
const requestSetting = "query_cache_tag"

// applySettings prepares the connection: database first, since a statement
// resolves its tables there, and readonly last, since it forbids what follows.
// In a named session readonly could not be taken back, so there the bridge
// itself refuses what a GET may not do.
func applySettings(conn *chdb.Conn, req *request, tag string) error {
	if req.database != "" {
		if err := conn.Exec("USE " + quoteName(req.database)); err != nil {
			return err
		}
	}
	assignments := make([]string, 0, len(req.settings)+2)
	for _, s := range req.settings {
		assignments = append(assignments, quoteName(s.name)+" = "+quoteString(s.value))
	}
	assignments = append(assignments, requestSetting+" = "+quoteString(tag))
	if req.readOnly && req.sessionID == "" {
		assignments = append(assignments, "readonly = 2")
	}
	return conn.Exec("SET " + strings.Join(assignments, ", "))
}

// killInterval is how often a statement is killed that its client has left. Once
// may be too early: a statement shows only when it has started.
const killInterval = 100 * time.Millisecond

// cancelWith kills the request's statement when its client goes away. The
// function that it returns must be called when the statement has ended.
func (h *Handler) cancelWith(ctx context.Context, tag string) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	never := context.AfterFunc(ctx, func() {
		defer close(stopped)
		conn, err := h.engine.Connect()
		if err != nil {
			h.log.Warn("cancel statement", "error", err)
			return
		}
		defer conn.Close()
		kill := "KILL QUERY WHERE Settings['" + requestSetting + "'] = " + quoteString(tag) + " ASYNC"
		for {
			if err := conn.Exec(kill); err != nil {
				h.log.Warn("cancel statement", "code", asException(err).Code)
				return
			}
			select {
			case <-done:
				return
			case <-time.After(killInterval):
			}
		}
	})
	return func() {
		close(done)
		if !never() {
			<-stopped
		}
	}
}
