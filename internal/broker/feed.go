package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Delivery is one message with where it stands in its stream.
type Delivery struct {
	jetstream.Msg
	Stream string
	// Sequence is the message's number in the stream.
	Sequence uint64
	// Deliveries counts from 1; more than 1 means that it was in work before.
	Deliveries uint64
	// StoredAt is when the stream stored the message, the same at each delivery.
	StoredAt time.Time
}

// Buffer bounds what a Feed holds in memory.
type Buffer struct {
	// Msgs is how many messages are fetched ahead; as many again may wait for
	// the reader.
	Msgs int
	// Bytes is how large those fetched ahead may be together, at least
	// schemas.MaxPayloadBytes; 0 is no bound but Msgs.
	Bytes int
}

// Feed delivers a consumer's messages as they come. One goroutine fetches, one
// reads.
type Feed struct {
	messages chan Delivery
	err      error // set before messages is closed
}

// Subscribe starts to fetch. When ctx ends the feed stops fetching, delivers what
// already waits for the reader, hands what else was fetched back to the broker,
// so that it is redelivered at once and not after the acknowledgement wait, and
// ends.
func Subscribe(ctx context.Context, consumer jetstream.Consumer, buffer Buffer, log *slog.Logger) (*Feed, error) {
	opts := []jetstream.PullMessagesOpt{
		jetstream.PullMaxMessages(buffer.Msgs),
		jetstream.PullHeartbeat(heartbeat),
	}
	if buffer.Bytes > 0 {
		opts[0] = jetstream.PullMaxMessagesWithBytesLimit(buffer.Msgs, buffer.Bytes)
	}
	iterator, err := consumer.Messages(opts...)
	if err != nil {
		return nil, fmt.Errorf("fetch from consumer %s: %w", consumer.CachedInfo().Name, err)
	}
	f := &Feed{messages: make(chan Delivery, buffer.Msgs)}
	go f.fetch(ctx, iterator, log)
	return f, nil
}

// drainWait is how long a feed that ends waits for messages on their way.
const drainWait = 2 * time.Second

// heartbeat is how soon a silent broker is noticed; twice this and the fetch is
// made again.
const heartbeat = 5 * time.Second

// C delivers the messages and is closed when the feed ends.
func (f *Feed) C() <-chan Delivery { return f.messages }

// Err says why the feed ended, once C is closed: nil when ctx ended.
func (f *Feed) Err() error { return f.err }

// Batch waits for one message and takes what else is there already, at most
// maxMsgs, so at low load a message waits for nobody. An empty batch means that
// the feed has ended.
func (f *Feed) Batch(batch []Delivery, maxMsgs int) []Delivery {
	batch = batch[:0]
	d, open := <-f.messages
	if !open {
		return batch
	}
	batch = append(batch, d)
	for len(batch) < maxMsgs {
		select {
		case d, open := <-f.messages:
			if !open {
				return batch
			}
			batch = append(batch, d)
		default:
			return batch
		}
	}
	return batch
}

func (f *Feed) fetch(ctx context.Context, iterator jetstream.MessagesContext, log *slog.Logger) {
	defer close(f.messages)
	last, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		iterator.Drain()
		time.AfterFunc(drainWait, stop) // draining waits far longer for a broker that is away
	})()
	for {
		msg, err := iterator.Next(jetstream.NextContext(last))
		switch {
		case err == nil:
		case ctx.Err() != nil && (errors.Is(err, jetstream.ErrMsgIteratorClosed) || last.Err() != nil):
			return
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			log.Warn("broker is silent; fetching again", "error", err)
			continue
		default:
			f.err = fmt.Errorf("fetch: %w", err)
			iterator.Stop()
			return
		}
		d, err := delivery(msg)
		if err != nil {
			f.err = err
			iterator.Stop()
			return
		}
		select {
		case f.messages <- d:
		case <-ctx.Done():
			handBack(d, log)
		}
	}
}

func handBack(d Delivery, log *slog.Logger) {
	if err := d.Nak(); err != nil {
		log.Warn("hand back a message; it will be redelivered later", "stream", d.Stream, "seq", d.Sequence, "error", err)
	}
}

func delivery(msg jetstream.Msg) (Delivery, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return Delivery{}, fmt.Errorf("read the metadata of a message on %s: %w", msg.Subject(), err)
	}
	return Delivery{
		Msg: msg, Stream: meta.Stream, Sequence: meta.Sequence.Stream,
		Deliveries: meta.NumDelivered, StoredAt: meta.Timestamp,
	}, nil
}

// Ack acknowledges the deliveries. One that does not reach the broker is
// redelivered, which every stage must tolerate anyway, so it is logged and no
// more.
func Ack(deliveries []Delivery, log *slog.Logger) {
	failed, last := 0, error(nil)
	for i := range deliveries {
		if err := deliveries[i].Ack(); err != nil {
			failed, last = failed+1, err
		}
	}
	if failed > 0 {
		log.Warn("acknowledge; they will be redelivered", "msgs", failed, "error", last)
	}
}
