package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// proc is a process that is kept running, as an operator's supervisor does it.
type proc struct {
	name string
	path string
	args []string
	env  []string
	// dir is its working directory, where a core file would be; logs is the file
	// that it prints to.
	dir, logs string
	// hold is for a process that ends with its standard input.
	hold bool

	mu      sync.Mutex
	cmd     *exec.Cmd
	stdin   io.Closer
	done    chan struct{}
	wanted  bool // it is to be started again when it ends
	excused bool // the end that comes is a fault's
	exits   []exit
	started time.Time
}

// exit is an end of a process that nobody had asked for.
type exit struct {
	at  time.Time
	how string
}

// restartAfter is how soon a process that has ended by itself is started again.
const restartAfter = 300 * time.Millisecond

// start starts it and keeps it running.
func (p *proc) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = true
	return p.launch()
}

func (p *proc) launch() error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(p.logs, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(p.path, p.args...) //nolint:noctx // it outlives whoever starts it, and is ended by signals
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, out, out
	cmd.Env = append(cleanEnv(), p.env...)
	bind(cmd)
	if p.hold {
		if p.stdin, err = cmd.StdinPipe(); err != nil {
			return err
		}
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	done := make(chan struct{})
	p.cmd, p.done, p.excused = cmd, done, false
	p.started = time.Now()
	go p.watch(cmd, done)
	return nil
}

func (p *proc) watch(cmd *exec.Cmd, done chan struct{}) {
	err := cmd.Wait()
	p.mu.Lock()
	if !p.excused && (p.wanted || err != nil) { // else it was to run once
		how := "exit 0"
		if err != nil {
			how = err.Error()
		}
		p.exits = append(p.exits, exit{time.Now(), how})
	}
	wanted := p.wanted && !p.excused
	p.mu.Unlock()
	close(done) // not before: whoever waits for it may start the process again, and that is no more excused
	if !wanted {
		return
	}
	<-time.After(restartAfter)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted && p.cmd == cmd {
		_ = p.launch() // it shows: nothing is there
	}
}

// signal sends a signal to it, if it runs.
func (p *proc) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// end ends it by the signal and waits; nothing starts it again.
func (p *proc) end(sig syscall.Signal) error {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.excused, p.wanted = true, false
	stdin := p.stdin
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	_ = cmd.Process.Signal(sig)
	if sig == syscall.SIGKILL && stdin != nil {
		_ = stdin.Close()
	}
	select {
	case <-done:
		return nil
	case <-time.After(drainMost):
	}
	_ = cmd.Process.Kill()
	<-done
	return fmt.Errorf("%s does not end within %s of signal %q", p.name, drainMost, sig)
}

// drainMost is longer than any service's drain timeout.
const drainMost = 40 * time.Second

func (p *proc) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

func (p *proc) startedAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.started
}

// unasked are the ends that nobody had asked for.
func (p *proc) unasked() []exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]exit(nil), p.exits...)
}

// cores are the core files that it has left.
func (p *proc) cores() []string {
	found, _ := filepath.Glob(filepath.Join(p.dir, "core*")) // the pattern is valid
	return found
}

// cleanEnv is the environment without settings of whoever runs this. A crash is to
// leave as much as a crash can leave.
func cleanEnv() []string {
	env := []string{"GOTRACEBACK=crash"}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		keep := name != "GOTRACEBACK"
		for _, prefix := range []string{"NATS_", "CLICKHOUSE_", "STANDALONE_", "REDACTOR_", "SINK_", "NOTIFIER_", "PRODUCER_", "RETENTION", "LOG_", "HTTP_ADDR"} {
			keep = keep && !strings.HasPrefix(name, prefix)
		}
		if keep {
			env = append(env, entry)
		}
	}
	return env
}

// once runs it to its end, and returns how that was.
func (p *proc) once(ctx context.Context) error {
	p.mu.Lock()
	p.wanted = false
	err := p.launch()
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-done:
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		<-done
	}
	if !cmd.ProcessState.Success() {
		return fmt.Errorf("%s: %s", p.name, cmd.ProcessState)
	}
	return nil
}

// excuse says that the next end is a fault's.
func (p *proc) excuse() {
	p.mu.Lock()
	p.excused = true
	p.mu.Unlock()
}

const sigTerm = syscall.SIGTERM
