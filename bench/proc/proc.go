// Package proc runs the programs that are measured, each a process of its own, and
// reads from Linux's /proc what they have used: so a service, its ceiling, a peer
// and the broker are all measured alike.
package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Spec says what to run.
type Spec struct {
	// Name is what the report calls it.
	Name string
	Path string
	Args []string
	// Env is added to the environment without its settings of Sluice.
	Env []string
	// Stdin may be nil. Stdout gets what the process prints besides what Process
	// remembers of it; it may be nil.
	Stdin  io.Reader
	Stdout io.Writer
	// EndsWithStdin tells that the process is to be stopped by closing its
	// standard input, for which Stdin must be nil.
	EndsWithStdin bool
}

// Process is a program that runs or has run.
type Process struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.Closer
	output *tail
	done   chan struct{}
	err    error // once done is closed
	last   Usage // what the last look has seen
}

// The time that a process gets to end by itself.
const stopWait = 20 * time.Second

// Start starts it. Whoever starts a process stops it: the end of ctx does not.
func Start(ctx context.Context, spec Spec) (*Process, error) {
	p := &Process{name: spec.Name, output: &tail{}, done: make(chan struct{})}
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), spec.Path, spec.Args...)
	p.cmd.Env = append(cleanEnv(os.Environ()), spec.Env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = spec.Stdin, p.output, p.output
	if spec.Stdout != nil {
		p.cmd.Stdout = spec.Stdout
	}
	if spec.EndsWithStdin {
		stdin, err := p.cmd.StdinPipe()
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", spec.Name, err)
		}
		p.stdin = stdin
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Name is what the report calls it.
func (p *Process) Name() string { return p.name }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Failed is an error if the process has ended by itself though it should run.
func (p *Process) Failed() error {
	select {
	case <-p.done:
		return p.failure("ended early")
	default:
		return nil
	}
}

// Wait waits for the process to end by itself.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		if p.err != nil {
			return p.failure("failed")
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", p.name, ctx.Err())
	}
}

// failure says how it ended, with what it printed last.
func (p *Process) failure(what string) error {
	if p.err == nil {
		return fmt.Errorf("%s %s with exit code 0; it printed:\n%s", p.name, what, p.output)
	}
	return fmt.Errorf("%s %s: %w; it printed:\n%s", p.name, what, p.err, p.output)
}

// Stop asks the process to end and waits, and ends it by force if it does not.
func (p *Process) Stop() error {
	if p.stdin != nil {
		_ = p.stdin.Close() // that is how it is asked
	} else if err := p.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	timer := time.NewTimer(stopWait)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end within %s and was killed; it printed:\n%s", p.name, stopWait, p.output)
	}
}

// cleanEnv is the environment without settings that would reach a service.
func cleanEnv(all []string) []string {
	var env []string
	for _, entry := range all {
		name, _, _ := strings.Cut(entry, "=")
		keep := true
		for _, prefix := range []string{
			"NATS_", "CLICKHOUSE_", "REDACTOR_", "SINK_", "NOTIFIER_", "PRODUCER_", "RETENTION", "LOG_", "HTTP_ADDR",
		} {
			keep = keep && !strings.HasPrefix(name, prefix)
		}
		if keep {
			env = append(env, entry)
		}
	}
	return env
}

// tail keeps the end of what a process prints.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 4000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - tailBytes; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
