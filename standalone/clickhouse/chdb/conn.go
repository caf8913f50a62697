package chdb

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"unsafe"
)

// Parameter is one query parameter, {Name:Type} in the statement. The value is
// text in ClickHouse's escaped form, as on its HTTP interface.
type Parameter struct {
	Name, Value string
}

// Stats counts what a statement read and wrote.
type Stats struct {
	ReadRows, ReadBytes       uint64
	WrittenRows, WrittenBytes uint64
	ResultRows, ResultBytes   uint64
}

// Engine is a running ClickHouse on one directory. A process can have one.
type Engine struct {
	lib  *library
	args []string
	// keeper is the connection that keeps the engine alive: with its last
	// connection the library stops the engine and starts it anew with the next.
	keeper *Conn
}

// Open loads the library and starts the engine on dir. Settings are server and
// query settings by name, the defaults of every connection.
func Open(libPath, dir string, settings map[string]string) (*Engine, error) {
	lib, err := load(libPath)
	if err != nil {
		return nil, err
	}
	// The Go runtime and the service own the signals of this process.
	lib.setSignalHandlersEnabled(0)
	args := []string{"clickhouse", "--path=" + dir}
	for name, value := range settings {
		args = append(args, "--"+name+"="+value)
	}
	engine := &Engine{lib: lib, args: args}
	if engine.keeper, err = engine.Connect(); err != nil {
		return nil, fmt.Errorf("start engine on %s: %w", dir, err)
	}
	return engine, nil
}

// Close stops the engine: merges end, and what it holds is written. Every other
// connection must be closed before.
func (e *Engine) Close() { e.keeper.Close() }

// Connect opens a connection with a session of its own. A connection runs one
// statement at a time; several connections run in parallel.
func (e *Engine) Connect() (*Conn, error) {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	argv := make([]*byte, 0, len(e.args)+1)
	for _, arg := range e.args {
		text := append([]byte(arg), 0)
		pinner.Pin(&text[0])
		argv = append(argv, &text[0])
	}
	argv = append(argv, nil)
	opened := e.lib.connect(int32(len(e.args)), &argv[0])
	runtime.KeepAlive(argv)
	if opened == nil {
		return nil, errors.New("connect: the engine refused, its reason is on standard error")
	}
	return &Conn{lib: e.lib, outer: opened, inner: *opened}, nil
}

// Conn is one connection with its session: settings, current database and
// temporary tables. Its methods must not be called from several goroutines at
// the same time.
type Conn struct {
	lib   *library
	outer *handle
	inner handle
	once  sync.Once
}

// Close ends the session. It cancels a stream that is still open.
func (c *Conn) Close() { c.once.Do(func() { c.lib.closeConn(c.outer) }) }

// Query runs a statement to its end and gives its whole output in format. The
// result must be closed.
func (c *Conn) Query(statement, format string, params []Parameter) (*Result, error) {
	p := newParameters(params)
	defer p.release()
	result := c.lib.queryWithParams(c.inner, bytesOf(statement), uintptr(len(statement)), bytesOf(format), uintptr(len(format)),
		first(p.names), first(p.nameLens), first(p.values), first(p.valueLens), uintptr(len(params)))
	runtime.KeepAlive(p)
	return c.lib.take(result)
}

// Exec runs a statement whose output, if any, does not matter.
func (c *Conn) Exec(statement string) error {
	result, err := c.Query(statement, "Null", nil)
	if err != nil {
		return err
	}
	result.Close()
	return nil
}

// Value runs a query for a single value and gives it as text.
func (c *Conn) Value(query string) (string, error) {
	result, err := c.Query(query, "RawBLOB", nil)
	if err != nil {
		return "", err
	}
	defer result.Close()
	return string(result.Output), nil
}

// Result is the output of a statement, or a piece of it.
type Result struct {
	// Output lies in the library's memory: it ends with Close.
	Output []byte
	Stats  Stats

	lib    *library
	handle handle
}

// Close frees the result.
func (r *Result) Close() {
	r.Output = nil
	r.lib.destroyResult(r.handle)
}

// take turns what the library returned into a result or an error.
func (lib *library) take(result handle) (*Result, error) {
	if result == 0 {
		return nil, parseError("Code: 1002. DB::Exception: the engine gave no result. (UNKNOWN_EXCEPTION)")
	}
	if message := lib.resultError(result); message != "" {
		lib.destroyResult(result)
		return nil, parseError(message)
	}
	return &Result{
		// The buffer of an empty result is nil, which makes an empty slice.
		Output: unsafe.Slice(lib.resultBuffer(result), lib.resultLength(result)),
		Stats: Stats{
			ReadRows:     lib.resultStorageRows(result),
			ReadBytes:    lib.resultStorageBytes(result),
			WrittenRows:  lib.resultRowsWritten(result),
			WrittenBytes: lib.resultBytesWritten(result),
			ResultRows:   lib.resultRowsRead(result),
			ResultBytes:  lib.resultBytesRead(result),
		},
		lib:    lib,
		handle: result,
	}, nil
}

// Stream is a result that arrives block by block.
type Stream struct {
	conn   *Conn
	handle handle
	done   bool
}

// Stream starts a statement whose output is read with [Stream.Next]. The stream
// must be closed, and all its calls must come from the same OS thread, because
// the engine keeps the state of a running query by thread.
func (c *Conn) Stream(statement, format string, params []Parameter) (*Stream, error) {
	p := newParameters(params)
	defer p.release()
	stream := c.lib.streamQuery(c.inner, bytesOf(statement), uintptr(len(statement)), bytesOf(format), uintptr(len(format)),
		first(p.names), first(p.nameLens), first(p.values), first(p.valueLens), uintptr(len(params)))
	runtime.KeepAlive(p)
	if stream == 0 {
		return nil, parseError("Code: 1002. DB::Exception: the engine gave no result. (UNKNOWN_EXCEPTION)")
	}
	if message := c.lib.resultError(stream); message != "" {
		c.lib.destroyResult(stream)
		if strings.HasPrefix(message, notStreamable) {
			return nil, ErrNotStreamable
		}
		return nil, parseError(message)
	}
	return &Stream{conn: c, handle: stream}, nil
}

// Next gives the next piece of output, which must be closed, or io.EOF.
func (s *Stream) Next() (*Result, error) {
	if s.done {
		return nil, io.EOF
	}
	piece, err := s.conn.lib.take(s.conn.lib.streamFetch(s.conn.inner, s.handle))
	if err != nil {
		s.done = true
		return nil, err
	}
	if len(piece.Output) == 0 {
		s.done = true
		piece.Close()
		return nil, io.EOF
	}
	return piece, nil
}

// Close frees the stream; a query that still runs is cancelled.
func (s *Stream) Close() {
	if !s.done {
		s.conn.lib.streamCancel(s.conn.inner, s.handle)
		s.done = true
	}
	if s.handle != 0 {
		s.conn.lib.destroyResult(s.handle)
		s.handle = 0
	}
}
