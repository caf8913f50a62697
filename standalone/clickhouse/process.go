package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a running ClickHouse.
type Process struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	log     *slog.Logger

	url   string      // set before Start returns
	ready chan string // takes the address that the child says it serves on

	done chan struct{} // closed when the child has ended
	err  error         // why; set before done is closed

	mu       sync.Mutex
	stopping bool
	reason   string // what clickhouse-embedded says when it gives up
	lastLine string // the last line on standard error that was no log record
}

func newProcess(command *exec.Cmd, log *slog.Logger) *Process {
	return &Process{command: command, log: log, ready: make(chan string, 1), done: make(chan struct{})}
}

// URL gives the address of the HTTP interface, http://host:port.
func (p *Process) URL() string { return p.url }

// Addr gives host:port of the HTTP interface.
func (p *Process) Addr() string { return strings.TrimPrefix(p.url, "http://") }

// Done is closed when the process has ended, wanted or not.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says why the process ended, once [Process.Done] is closed. It is nil if it
// was stopped and ended well.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Stop drains the process and waits for its end. When ctx ends first the process
// is killed; acknowledged inserts are stored even so.
func (p *Process) Stop(ctx context.Context) error {
	p.mu.Lock()
	p.stopping = true
	p.mu.Unlock()
	// Either of the two is enough for the embedded engine; a server knows the
	// signal only. A process that has ended takes neither.
	_ = p.stdin.Close()
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		_ = p.command.Process.Kill()
		<-p.done
		return fmt.Errorf("stop ClickHouse: killed: %w", context.Cause(ctx))
	}
}

// start starts the child and a goroutine that owns it until it ends.
func (p *Process) start() error {
	stdin, err := p.command.StdinPipe()
	if err != nil {
		return err
	}
	p.stdin = stdin
	p.command.Stdout = &lineWriter{line: p.readStdout}
	p.command.Stderr = &lineWriter{line: p.readStderr}
	p.command.WaitDelay = time.Second // for output that somebody else holds open
	p.command.SysProcAttr = childAttributes()
	started := make(chan error, 1)
	go func() {
		// The death signal that childAttributes asks for comes when the thread that
		// started the child ends: this thread, which waits for the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.command.Start()
		started <- err
		if err == nil {
			p.end(p.command.Wait())
		}
	}()
	return <-started
}

func (p *Process) end(err error) {
	p.mu.Lock()
	switch {
	case p.reason != "":
		p.err = errors.New(p.reason)
	case err != nil && p.lastLine != "":
		p.err = fmt.Errorf("ClickHouse ended: %w: %s", err, p.lastLine)
	case err != nil:
		p.err = fmt.Errorf("ClickHouse ended: %w", err)
	case !p.stopping:
		p.err = errors.New("ClickHouse ended by itself")
	}
	p.mu.Unlock()
	close(p.done)
}

// waitReady waits until the child serves. A child that does not is ended.
func (p *Process) waitReady(ctx context.Context) (*Process, error) {
	select {
	case p.url = <-p.ready:
		return p, nil
	case <-p.done:
		return nil, p.err
	case <-ctx.Done():
		_ = p.command.Process.Kill()
		<-p.done
		return nil, fmt.Errorf("wait for ClickHouse to start: %w", context.Cause(ctx))
	}
}

// readStdout takes the ready line, the only one there is.
func (p *Process) readStdout(line string) {
	address, found := strings.CutPrefix(line, "ready ")
	if !found {
		return
	}
	if parsed, err := url.Parse(address); err != nil || parsed.Host == "" {
		return
	}
	select {
	case p.ready <- address:
	default: // said twice
	}
}

// readStderr passes a log record on. A line that is none is how a child says why
// it gives up, or what a crash left behind.
func (p *Process) readStderr(line string) {
	if line = strings.TrimSpace(line); line == "" || forwardRecord(p.log, line) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if reason, found := strings.CutPrefix(line, "clickhouse-embedded: "); found {
		p.reason = reason // whoever hears that the process has ended hears this too
		return
	}
	p.log.Warn("line on standard error of ClickHouse", "line", line)
	p.lastLine = line
}
