// Package spool keeps events on disk until the broker has them, for a service
// that must go on while the broker is away.
//
// It promises that an event whose Publish returned without error is on disk
// (fsync) and reaches the broker once it is back, also when the process is killed
// or the machine loses power in between, in the order in which they were
// accepted. It is bounded: a full spool refuses. After a crash some events may be
// handed over again, which their ids make harmless.
//
// The folder holds raw events with the passwords that are in them, until they are
// handed over: it is readable by its owner alone and belongs on a disk that is
// encrypted if disks are. It works on Unix only.
package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"sluice/producer"
	"sluice/schemas"
)

// Config says where and how much to keep.
type Config struct {
	// Dir is the folder, of one process alone; it is made if missing.
	Dir string
	// MaxBytes is how much the spool may take on disk; 0 is DefaultMaxBytes, less
	// than MinMaxBytes is refused. A quarter of it may be events that are handed
	// over already.
	MaxBytes int64
	// Log is told of faults and of what was handed over after them; nil logs
	// nothing. It gets nothing of an event but its id.
	Log *slog.Logger
}

const (
	// DefaultMaxBytes holds a million events of 1 KB.
	DefaultMaxBytes = 1 << 30
	// MinMaxBytes holds some of the largest events.
	MinMaxBytes = 8 << 20
	// maxSegmentBytes is how much is removed at once.
	maxSegmentBytes = 16 << 20
)

// Errors that a caller can act on.
var (
	// ErrFull is returned when the spool is full, or the disk. The event is not
	// kept: wait until some are handed over, or give it more room.
	ErrFull = errors.New("the spool is full")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the spool is closed")
)

// Spool keeps events. It is safe for concurrent use.
type Spool struct {
	state // of mu

	cfg       Config
	publisher *producer.Producer
	lock      *os.File

	requests chan request
	// tidy asks the writer to remove what is handed over.
	tidy    chan struct{}
	stop    context.CancelFunc
	stopped context.Context //nolint:containedctx // it ends the spool's own goroutines
	done    sync.WaitGroup
	// closing keeps Close from overtaking a Publish.
	closing sync.RWMutex

	mu sync.Mutex
	// changed is closed, and replaced, whenever state changes.
	changed chan struct{}
}

// state is what writer and deliverer share.
type state struct {
	segments []*segment
	bytes    int64
	// next is the number of the record that will be written next, delivered that
	// of the first which is not handed over.
	next, delivered uint64
}

type request struct {
	message producer.Message
	outcome chan error
}

// Open opens the spool in its folder and begins to hand over what is left there.
// The Producer stays the caller's to close, after the spool.
func Open(p *producer.Producer, cfg Config) (*Spool, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.MaxBytes < MinMaxBytes {
		return nil, fmt.Errorf("open spool: room for %d bytes: want at least %d", cfg.MaxBytes, MinMaxBytes)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	file, err := lock(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s := &Spool{
		cfg: cfg, publisher: p, lock: file,
		requests: make(chan request), tidy: make(chan struct{}), changed: make(chan struct{}),
	}
	if s.segments, err = recoverSegments(cfg.Dir, cfg.Log); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s.next, s.delivered = 1, max(readPosition(cfg.Dir), 1)
	for _, one := range s.segments {
		s.bytes += one.bytes
		s.next = one.end()
	}
	if len(s.segments) > 0 {
		s.delivered = max(s.delivered, s.segments[0].first)
	}
	s.next = max(s.next, s.delivered)
	s.stopped, s.stop = context.WithCancel(context.Background())
	s.done.Go(s.write)
	s.done.Go(s.deliver)
	return s, nil
}

// Publish keeps one event and returns when it is on disk. What the event lacks is
// filled in as by Producer.Publish. The Ack has the id alone: whether the stream
// had the event already is not known yet. A ctx that ends early leaves it open
// whether the event is kept: publish it again with the PK of the Ack.
func (s *Spool) Publish(ctx context.Context, ev schemas.Event) (producer.Ack, error) {
	m, err := s.publisher.Encode(ctx, ev)
	if err == nil {
		err = s.keep(ctx, m)
	}
	return producer.Ack{PK: m.PK(), Err: err}, err
}

func (s *Spool) keep(ctx context.Context, m producer.Message) error {
	r := request{message: m, outcome: make(chan error, 1)}
	s.closing.RLock()
	defer s.closing.RUnlock()
	select {
	case s.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped.Done():
		return ErrClosed
	}
	select {
	case err := <-r.outcome:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Pending is how many events are not handed over.
func (s *Spool) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.next - s.delivered)
}

// Drain waits until all events are handed over, or ctx ends.
func (s *Spool) Drain(ctx context.Context) error {
	for {
		s.mu.Lock()
		left, changed := s.next-s.delivered, s.changed
		s.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d events are not handed over: %w", left, ctx.Err())
		case <-s.stopped.Done():
			return ErrClosed
		}
	}
}

// Close ends the spool. What is not handed over stays on disk, for the next Open.
func (s *Spool) Close() error {
	s.stop()
	s.closing.Lock() // whoever is in Publish has an answer first
	defer s.closing.Unlock()
	s.done.Wait()
	if err := s.lock.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// update changes the state and wakes whoever waits for that.
func (s *Spool) update(change func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
	close(s.changed)
	s.changed = make(chan struct{})
}
