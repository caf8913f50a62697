package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// errSkipped is returned for a fault that is not possible here and now.
var errSkipped = errors.New("not possible here")

// inject does what the step says and returns when it is over, with words about it.
func (r *runner) inject(ctx context.Context, s Step) (string, error) {
	w := r.w
	switch s.Kind {
	case "kill":
		return "", r.kill(ctx, s.Target, syscall.SIGKILL, 0)
	case "crash":
		return "", r.kill(ctx, s.Target, syscall.SIGABRT, 0)
	case "restart":
		return "", r.kill(ctx, s.Target, sigTerm, 0)
	case "dying":
		return "", r.killWithClickHouse(ctx, s)
	case "outage":
		return "", r.kill(ctx, s.Target, syscall.SIGKILL, s.For)
	case "stop", "freeze":
		p := w.procs[s.Target]
		if err := p.signal(syscall.SIGSTOP); err != nil {
			return "", err
		}
		pause(ctx, s.For)
		return "", p.signal(syscall.SIGCONT)
	case "power":
		return r.cutPower(ctx, s)
	case "full":
		return r.fillDisk(ctx, s)
	case "slow", "cut", "reset", "half", "torn":
		return "", w.links[s.Target].disturb(ctx, s.Kind, s.For, s.Dice)
	case "clock":
		return r.setClock(ctx, s)
	case "again":
		return r.publishAgain(ctx, s)
	case "late":
		return r.publishLate(ctx, s)
	case "steal":
		return r.steal(ctx, s)
	case "forget":
		return "", r.forget(ctx, s)
	case "table":
		return r.hideTable(ctx, s)
	case "purge":
		return r.purge(ctx, s)
	}
	return "", fmt.Errorf("no kind of fault is called %q", s.Kind)
}

// kill ends a process and starts it again after a while.
func (r *runner) kill(ctx context.Context, name string, sig syscall.Signal, away time.Duration) error {
	p := r.w.procs[name]
	if name == "publish" { // whoever started it does so again
		p.excuse()
		return p.signal(sig)
	}
	if sig == sigTerm {
		pause(ctx, time.Until(p.startedAt().Add(upFor))) // before it listens to signals it would just die
	}
	err := p.end(sig)
	if code := p.cmd.ProcessState.ExitCode(); err == nil && sig == sigTerm && code != 0 {
		err = fmt.Errorf("%s ends with %d after SIGTERM", name, code)
	}
	pause(ctx, away)
	return errors.Join(err, p.start())
}

// killWithClickHouse kills ClickHouse, and some time later the sinks that have events
// in hand and nowhere to store them.
func (r *runner) killWithClickHouse(ctx context.Context, s Step) error {
	w := r.w
	if err := w.procs["clickhouse"].end(syscall.SIGKILL); err != nil {
		return err
	}
	pause(ctx, s.For)
	return errors.Join(
		r.kill(ctx, "sink-0", syscall.SIGKILL, 0), r.kill(ctx, "sink-1", syscall.SIGKILL, 0),
		w.procs["clickhouse"].start())
}

// upFor is how long a process is left to come up before it is told to stop.
const upFor = 2 * time.Second

// cutPower loses what the broker has not synced, up to an arbitrary byte of what it
// wrote last.
func (r *runner) cutPower(ctx context.Context, s Step) (string, error) {
	if !r.w.disk.real() {
		return "", errSkipped
	}
	p := r.w.procs["broker"]
	pause(ctx, time.Duration(s.Dice%50)*time.Millisecond)
	r.untilWritten(ctx)
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return "", err
	}
	dice := rand.New(rand.NewPCG(s.Dice, 3))
	unsynced, kept, err := r.w.disk.cutPower(
		func() error { return p.end(syscall.SIGKILL) },
		func(most int64) int64 { return dice.Int64N(most + 1) })
	if err != nil {
		return "", err
	}
	pause(ctx, s.For)
	return fmt.Sprintf("%d bytes of messages were not synced, %d of them kept", unsynced, kept), p.start()
}

// untilWritten waits for a moment in which the broker has written a message, and
// perhaps not synced it yet.
func (r *runner) untilWritten(ctx context.Context) {
	before, err := lengths(r.w.disk.path())
	for end := time.Now().Add(time.Second); err == nil && time.Now().Before(end) && ctx.Err() == nil; {
		for _, path := range newest(before) {
			if info, err := os.Stat(path); err == nil && info.Size() > before[path] {
				return
			}
		}
	}
}

// fillDisk takes all room from the broker and gives it back. nats-server gives a
// stream up of which it could not write a message, so it is started again then, as its
// operator has to (docs/operations.md).
func (r *runner) fillDisk(ctx context.Context, s Step) (string, error) {
	if !r.w.disk.real() {
		return "", errSkipped
	}
	if err := r.w.disk.fill(); err != nil {
		return "", err
	}
	pause(ctx, s.For)
	return "freed, and the broker started again", errors.Join(r.w.disk.free(), r.kill(ctx, "broker", sigTerm, 0))
}

func (r *runner) setClock(ctx context.Context, s Step) (string, error) {
	c := r.w.clocks[s.Target]
	if c == nil {
		return "", errSkipped
	}
	d := time.Duration(60+s.Dice%7200) * time.Second
	if s.Target == "broker" { // less than the window in which it knows ids
		d = time.Duration(10+s.Dice%80) * time.Second
	}
	switch {
	case s.Dice%2 == 1:
		d = -d
	case role(s.Target) == "notifier": // what it has put off by a fast clock stays put off
		d = time.Duration(5+s.Dice%15) * time.Second
	}
	if err := c.set(d); err != nil {
		return "", err
	}
	pause(ctx, s.For)
	r.mu.Lock()
	r.moved = append(r.moved, moved{s.Target, d})
	r.mu.Unlock()
	return "moved by " + d.String(), c.set(0)
}

// consumerOf is where a service reads.
func consumerOf(service string) (stream, consumer string) {
	if service == "redactor" {
		return schemas.StreamRaw, schemas.ConsumerRedactor
	}
	return schemas.StreamClean, service
}

// steal takes messages from a service's consumer and hands them back in another
// order and late.
func (r *runner) steal(ctx context.Context, s Step) (string, error) {
	stream, name := consumerOf(s.Target)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	consumer, err := r.w.js.Consumer(ctx, stream, name)
	if err != nil {
		return "", errSkipped // the broker is away
	}
	batch, err := consumer.Fetch(100, jetstream.FetchMaxWait(time.Second))
	if err != nil {
		return "", errSkipped
	}
	n := 0
	dice := rand.New(rand.NewPCG(s.Dice, 4))
	for msg := range batch.Messages() {
		n++
		if dice.IntN(4) > 0 {
			_ = msg.NakWithDelay(time.Duration(dice.IntN(2000)) * time.Millisecond)
		} else {
			_ = msg.Nak()
		}
	}
	return fmt.Sprintf("%d messages handed back", n), nil
}

// forget deletes a service's consumer. It must be there again soon, and the service
// has to say what happened.
func (r *runner) forget(ctx context.Context, s Step) error {
	stream, name := consumerOf(s.Target)
	since := time.Now()
	err := until(ctx, 30*time.Second, "the consumer is deleted", func() error {
		return r.w.js.DeleteConsumer(ctx, stream, name)
	})
	if err != nil {
		return err
	}
	err = until(ctx, 2*time.Minute, "the consumer is there again", func() error {
		_, err := r.w.js.Consumer(ctx, stream, name)
		return err
	})
	if err != nil {
		return err
	}
	return r.says(ctx, s.Target, since, "consumer")
}

// says waits until a service of that role says what is wanted, in its log.
func (r *runner) says(ctx context.Context, service string, since time.Time, want string) error {
	return until(ctx, 90*time.Second, service+" says "+want, func() error {
		for name, p := range r.w.procs {
			if role(name) != service {
				continue
			}
			lines, err := readLog(p.logs)
			if err != nil {
				return err
			}
			for _, line := range lines {
				if !line.at.Before(since) && line.level != "INFO" && strings.Contains(line.text, want) {
					return nil
				}
			}
		}
		return errors.New("it does not")
	})
}

// hideTable takes the table away, and puts it back once the sink has said so.
func (r *runner) hideTable(ctx context.Context, s Step) (string, error) {
	since := time.Now()
	if _, err := r.w.ask(ctx, "RENAME TABLE sluice.events TO sluice.events_away"); err != nil {
		return "", errSkipped // ClickHouse is away
	}
	pause(ctx, s.For)
	said := r.says(ctx, "sink", since, "UNKNOWN_TABLE")
	var shown error
	if said == nil {
		shown = r.unready(ctx, "UNKNOWN_TABLE")
	}
	err := until(ctx, 2*time.Minute, "the table is back", func() error {
		_, err := r.w.ask(ctx, "RENAME TABLE sluice.events_away TO sluice.events")
		return err
	})
	return "the sink says UNKNOWN_TABLE, in its log and in /readyz", errors.Join(said, shown, err)
}

// unready waits until a sink's /readyz says what is wanted.
func (r *runner) unready(ctx context.Context, want string) error {
	return until(ctx, time.Minute, "a sink's /readyz says "+want, func() error {
		var said []error
		for name, address := range r.w.metrics {
			if role(name) != "sink" {
				continue
			}
			switch _, err := get(ctx, address+"/readyz"); {
			case err == nil:
				said = append(said, fmt.Errorf("%s is ready", name))
			case strings.Contains(err.Error(), want):
				return nil
			default:
				said = append(said, fmt.Errorf("%s: %w", name, err))
			}
		}
		return errors.Join(said...)
	})
}
