// Package intake publishes events that come as lines, from files or a pipe.
//
// It owns what lies between a reader and a producer.Producer: lines of bounded
// length, batches that form while the one before is at the broker, patience with
// a broker that is away or full, and the count of what became of each line. It
// promises to keep the order as long as nothing goes wrong, to hold a few MiB of
// events however long the input is, to let no bad line stop the good ones, and
// never to quote a line. What a line means is for the caller's Encode to say.
package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"sluice/producer"
	"sluice/schemas"
)

// Input is one source of lines.
type Input struct {
	// Name stands before the line's number in reports.
	Name string
	Open func() (io.ReadCloser, error)
}

// Config says how to take lines in.
type Config struct {
	// Encode makes a message of a line, which it must copy. Its error is what is
	// wrong with the line, in words that quote none of it.
	Encode func(line []byte) (producer.Message, error)
	// Timeout is how long to go on without any event being stored; 0 is for ever.
	Timeout time.Duration
	// Report gets one line for each line that is refused, and one for each kind
	// of wait.
	Report io.Writer
	// Progress is told the counts after each batch; it may be nil.
	Progress func(Summary)
	// Settled is told the Position of each item that has one once the item, and
	// all before it, are stored, refused or skipped; it may be nil. Progress and
	// Settled are called by the goroutine that called Run.
	Settled func(position any)
}

// Item is one record of the input on its way, which has either a message or one
// reason why it has none.
type Item struct {
	// Input and Line say in reports where it stands.
	Input string
	Line  int
	// Bytes is how much input there was since the item before.
	Bytes   int64
	Message producer.Message
	// Refused is what is wrong with an event, in words that quote none of it.
	Refused error
	// Skipped names the kind of thing that this is instead of an event.
	Skipped string
	// Position is what a later run needs to go on behind this item.
	Position any

	broken error // the input cannot be read any further
}

// Reader reads an input to its end and emits what it finds, until emit says that
// nobody listens any more. Its error is why the input cannot be read any further.
type Reader func(ctx context.Context, emit func(Item) bool) error

// Publisher is a producer.Producer.
type Publisher interface {
	PublishMessages(ctx context.Context, messages []producer.Message) []producer.Ack
}

// Summary counts what became of the lines.
type Summary struct {
	// Published events are new in the stream.
	Published int
	// Duplicate events were there already, from an earlier run or from an attempt
	// whose answer was lost.
	Duplicate int
	// Refused lines are no valid events, or too large.
	Refused int
	// Skipped counts, by kind, what is no event at all.
	Skipped map[string]int
	// Bytes is how much of the input these are.
	Bytes int64
}

// String returns the line that a run ends with.
func (s Summary) String() string {
	return fmt.Sprintf("published %d, duplicate %d, refused %d", s.Published, s.Duplicate, s.Refused)
}

// ErrInterrupted is returned when ctx ends before the input does.
var ErrInterrupted = errors.New("interrupted; run it again to publish the rest")

// What a batch holds at most: the broker's limit, and half of what the broker
// package sends as one.
const (
	batchMsgs  = 1000
	batchBytes = 4 << 20
)

// Run publishes the inputs one after the other. When ctx ends it reads no
// further, waits some seconds for what is at the broker and returns
// ErrInterrupted. Any error means that events are left; publishing them all
// again is harmless as long as Encode gives each the same id again.
func Run(ctx context.Context, publisher Publisher, cfg Config, inputs []Input) (Summary, error) {
	return RunReader(ctx, publisher, cfg, func(ctx context.Context, emit func(Item) bool) error {
		for _, input := range inputs {
			if err := readInput(ctx, input, cfg.Encode, emit); err != nil {
				return err
			}
		}
		return nil
	})
}

// RunReader is Run for input that is not one event a line; Config.Encode is not
// used.
func RunReader(ctx context.Context, publisher Publisher, cfg Config, reader Reader) (Summary, error) {
	items, batches := make(chan Item, 16), make(chan []Item)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// A goroutine that is caught in a read of a terminal or pipe ends with it.
	go read(ctx, reader, items)
	go gather(ctx, items, batches)

	d := delivery{cfg: cfg, publisher: publisher}
	for {
		select {
		case batch, open := <-batches:
			if !open {
				if ctx.Err() != nil {
					return d.summary, ErrInterrupted
				}
				return d.summary, nil
			}
			if err := d.deliver(ctx, batch); err != nil {
				return d.summary, err
			}
		case <-ctx.Done():
			return d.summary, ErrInterrupted
		}
	}
}

// read turns the input into items until it or ctx ends.
func read(ctx context.Context, reader Reader, items chan<- Item) {
	defer close(items)
	emit := func(it Item) bool {
		select {
		case items <- it:
			return true
		case <-ctx.Done():
			return false
		}
	}
	if err := reader(ctx, emit); err != nil {
		emit(Item{broken: err})
	}
}

// readInput reads one input. Opening a file has its name in the error.
func readInput(ctx context.Context, input Input, encode func([]byte) (producer.Message, error), emit func(Item) bool) error {
	in, err := input.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	lines, before := newLineReader(in, schemas.MaxRawBytes), int64(0)
	for {
		line, tooLong, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s from line %d on: %w", input.Name, lines.number+1, err)
		}
		if !tooLong && len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		it := Item{Input: input.Name, Line: lines.number, Bytes: lines.bytes - before}
		before = lines.bytes
		if tooLong {
			it.Refused = fmt.Errorf("%w: the line is longer than %d bytes", producer.ErrTooLarge, schemas.MaxRawBytes)
		} else {
			it.Message, it.Refused = encode(line)
		}
		if !emit(it) {
			return ctx.Err()
		}
	}
}

// gather forms the next batch while the one before is being delivered: a lone
// line goes at once, a flood in full batches.
func gather(ctx context.Context, items <-chan Item, batches chan<- []Item) {
	defer close(batches)
	var batch []Item
	size := 0
	for {
		in, out := items, chan<- []Item(nil)
		if len(batch) > 0 {
			out = batches
		}
		if len(batch) >= batchMsgs || size >= batchBytes {
			in = nil
		}
		if in == nil && out == nil {
			return // nothing comes, nothing is left
		}
		select {
		case it, open := <-in:
			if !open {
				items = nil
				continue
			}
			batch, size = append(batch, it), size+len(it.Message.JSON())
		case out <- batch:
			batch, size = nil, 0
		case <-ctx.Done():
			return
		}
	}
}
