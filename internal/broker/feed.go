package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Buffer bounds what a Feed holds in memory.
type Buffer struct {
	// Msgs is how many messages are fetched at a time; as many again may wait for
	// the reader.
	Msgs int
	// Bytes is how large those that wait may be before no more are fetched. A
	// fetch takes as much again at most, so twice this is the bound; 0 is no
	// bound but Msgs.
	Bytes int
}

// Feed delivers a consumer's messages as they come. One goroutine fetches, one
// reads.
type Feed struct {
	js               jetstream.JetStream
	stream, consumer string
	sub              *nats.Subscription
	inbox            string // a request's answers come to inbox.<its number>
	requests         uint64
	silent           int // requests in a row that were not answered
	arrivals         chan *nats.Msg
	log              *slog.Logger

	messages chan Delivery
	buffer   Buffer
	err      error // set before messages is closed

	// Of a consumer that acknowledges in order nothing may be missing between two
	// deliveries: order is what came last, and reconnects how often the
	// connection had been lost when the feed began.
	inOrder    bool
	order      jetstream.SequencePair
	reconnects uint64

	// sizes are those of the messages sent last, as many as messages can hold:
	// the newest len(messages) of them wait to be read. newest is where the next
	// one goes.
	sizes  []int
	newest int
}

// Subscribe starts to fetch. When ctx ends the feed stops fetching, delivers what
// it has, and ends.
//
// It asks the broker by itself, since the library's subscriptions take a message
// without content and with a header Status for the broker's own word: any
// publisher could end them. And it keeps one inbox over all requests, so that
// nothing that is on its way is lost between two.
//
// A consumer that acknowledges in order must have been reset (ResetTo) right
// before: its feed delivers each message once, in the stream's order and without
// a gap, and ends with ErrInterrupted where it cannot.
func (c *Conn) Subscribe(ctx context.Context, consumer jetstream.Consumer, buffer Buffer) (*Feed, error) {
	if buffer.Msgs < 1 {
		return nil, errors.New("fetch: a buffer needs room for one message at least")
	}
	info := consumer.CachedInfo()
	// Several times what is asked for, should requests be made while the broker still
	// answers others that seemed lost, as a cluster does that has lost a node, and
	// some words of its own.
	arrivals := make(chan *nats.Msg, 4*buffer.Msgs+64)
	inbox := c.NC.NewInbox()
	sub, err := c.NC.ChanSubscribe(inbox+".*", arrivals)
	if err != nil {
		return nil, fmt.Errorf("fetch from consumer %s: %w", info.Name, err)
	}
	f := &Feed{
		js: c.JS, stream: info.Stream, consumer: info.Name, sub: sub, inbox: inbox, arrivals: arrivals, log: c.log,
		messages: make(chan Delivery, buffer.Msgs), buffer: buffer, sizes: make([]int, buffer.Msgs),
		inOrder: info.Config.AckPolicy == jetstream.AckAllPolicy, reconnects: c.NC.Stats().Reconnects,
	}
	go f.run(ctx)
	return f, nil
}

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

const (
	// fetchWait is how long a fetch waits for messages before it is made again.
	fetchWait = 5 * time.Second
	// fetchBeat is how often the broker says of a request without messages that it is
	// still there. One whose node was killed is forgotten without a word.
	fetchBeat = 500 * time.Millisecond
	// brokerSilent is how much later than that the broker may be.
	brokerSilent = time.Second
	// mostSilent is how often patience is doubled: to 32 seconds.
	mostSilent = 4
	// lookEvery is how soon a request is made again that went with its connection.
	lookEvery = 500 * time.Millisecond
	// fetchAgain is how long to wait after a fetch that failed.
	fetchAgain = 200 * time.Millisecond
	// roomEvery is how often to look whether the reader has made room; a channel
	// does not tell when it is read.
	roomEvery = 2 * time.Millisecond
	// handBackAfter is how long a reader that was told to end may leave its
	// messages waiting before they go back to the broker.
	handBackAfter = 2 * time.Second
)

func (f *Feed) run(ctx context.Context) {
	defer close(f.messages)
	defer f.drain(ctx)
	failed := 0
	for ctx.Err() == nil {
		for !f.hasRoom() {
			if wait(ctx, roomEvery) != nil {
				return
			}
		}
		err := f.fetch(ctx)
		if errors.Is(err, nats.ErrNoResponders) && f.isGone(ctx) {
			err = jetstream.ErrConsumerDeleted
		}
		switch {
		case err == nil:
			failed = 0
			continue
		case final(err):
			f.err = fmt.Errorf("fetch: %w", err)
			return
		}
		// One that fails is nothing to act on: a node of the broker was restarted, or it
		// had much to write.
		if failed++; failed == 2 {
			f.log.Warn("fetch; trying again", "error", err)
		}
		if errors.Is(err, errSilent) {
			f.untilAnswered(ctx)
		}
		_ = wait(ctx, fetchAgain) // the loop sees the end of ctx
	}
}

// untilAnswered waits until the broker answers at all. What was asked of one that is
// held up is answered when it goes on, all of it at once.
func (f *Feed) untilAnswered(ctx context.Context) {
	for ctx.Err() == nil && !f.js.Conn().IsClosed() && f.js.Conn().FlushTimeout(brokerSilent) != nil {
		_ = wait(ctx, fetchAgain)
	}
}

// drain tells the broker to send no more, and delivers what it had sent by then.
// What it takes back when it finds nobody there is redelivered, at the latest
// after the acknowledgement wait.
func (f *Feed) drain(ctx context.Context) {
	if f.sub.Drain() != nil || f.js.Conn().FlushTimeout(brokerSilent) != nil {
		_ = f.sub.Unsubscribe() // the broker is away
	}
	for {
		select {
		case msg := <-f.arrivals:
			d, err := delivery(msg)
			if err != nil {
				continue // a word of the broker's own
			}
			if f.deliverInTurn(ctx, d) != nil {
				return
			}
		default:
			return
		}
	}
}

// isGone tells a consumer that is no more from a broker that is not ready.
func (f *Feed) isGone(ctx context.Context) bool {
	_, err := f.js.Consumer(ctx, f.stream, f.consumer)
	return errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound)
}

// ErrInterrupted is why a feed in order ended that may have missed a message:
// reset the consumer to the last message that is done, and subscribe again.
var ErrInterrupted = errors.New("the order of delivery was interrupted")

// uninterrupted tells a feed in order that was connected all the time. What was
// on its way when the connection broke counts as delivered at the broker.
func (f *Feed) uninterrupted() error {
	if f.inOrder && f.js.Conn().Stats().Reconnects != f.reconnects {
		return ErrInterrupted
	}
	return nil
}

// deliverInTurn delivers, of a consumer in order only what comes next. A
// redelivery of what was delivered before is passed over: it is in work.
func (f *Feed) deliverInTurn(ctx context.Context, d Delivery) error {
	if f.inOrder {
		if d.ConsumerSequence != f.order.Consumer+1 {
			return ErrInterrupted // lost on the way, or given to another reader
		}
		if d.Sequence <= f.order.Stream {
			f.order.Consumer = d.ConsumerSequence
			return nil
		}
		if !f.deliver(ctx, d) {
			return ErrInterrupted // what comes after it must not be delivered either
		}
		f.order = jetstream.SequencePair{Consumer: d.ConsumerSequence, Stream: d.Sequence}
		return nil
	}
	f.deliver(ctx, d)
	return nil
}

// hasRoom tells whether what waits is small enough to fetch more.
func (f *Feed) hasRoom() bool {
	if f.buffer.Bytes == 0 {
		return true
	}
	waiting, n := 0, len(f.messages)
	for i := 1; i <= n; i++ {
		waiting += f.sizes[(f.newest-i+len(f.sizes))%len(f.sizes)]
	}
	return waiting < f.buffer.Bytes
}

// deliver waits for the reader, of a feed that was told to end for a while only, and
// tells whether the reader has the message.
func (f *Feed) deliver(ctx context.Context, d Delivery) bool {
	f.sizes[f.newest] = len(d.Data())
	f.newest = (f.newest + 1) % len(f.sizes)
	select {
	case f.messages <- d:
		return true
	case <-ctx.Done():
	}
	timer := time.NewTimer(handBackAfter)
	defer timer.Stop()
	select {
	case f.messages <- d:
		return true
	case <-timer.C:
	}
	if !f.inOrder { // else it comes again with all after it, once the consumer is reset
		if err := d.Nak(); err != nil {
			f.log.Warn("hand back a message; it will be redelivered later", "stream", d.Stream, "seq", d.Sequence, "error", err)
		}
	}
	return false
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
