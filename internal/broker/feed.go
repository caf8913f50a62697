package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
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

// nextPrefix is where a consumer's messages are asked for.
const nextPrefix = "$JS.API.CONSUMER.MSG.NEXT."

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
	failing := false
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
			failing = false
			continue
		case final(err):
			f.err = fmt.Errorf("fetch: %w", err)
			return
		case !failing:
			failing = true
			f.log.Warn("fetch; trying again", "error", err)
		}
		_ = wait(ctx, fetchAgain) // the loop sees the end of ctx
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

var (
	errSilent = errors.New("the broker does not answer")
	// errStillThere asks whether the connection is the one that the request went
	// over; if not, the broker has forgotten the request.
	errStillThere = errors.New("the connection was restored")
)

// final tells whether no further request can succeed.
func final(err error) bool {
	return errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrBadRequest) ||
		errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) ||
		errors.Is(err, ErrInterrupted)
}

// request asks for messages; its names are the broker's.
type request struct {
	Expires   time.Duration `json:"expires"`
	Batch     int           `json:"batch"`
	MaxBytes  int           `json:"max_bytes,omitempty"`
	Heartbeat time.Duration `json:"idle_heartbeat"`
}

// fetch makes one request and delivers what comes of it, each message as it
// comes.
func (f *Feed) fetch(ctx context.Context) error {
	r := request{Expires: fetchWait, Batch: f.buffer.Msgs, Heartbeat: fetchBeat}
	if f.buffer.Bytes > 0 {
		// A request for less than a message's size never gets that message.
		r.MaxBytes = max(f.buffer.Bytes, 2*schemas.MaxPayloadBytes)
	}
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := f.uninterrupted(); err != nil {
		return err
	}
	f.requests++
	connection := f.js.Conn().Stats().Reconnects
	answers := f.inbox + "." + strconv.FormatUint(f.requests, 10)
	if err := f.js.Conn().PublishRequest(nextPrefix+f.stream+"."+f.consumer, answers, body); err != nil {
		return err
	}
	patience := 2*fetchBeat + brokerSilent
	silence := time.NewTimer(patience)
	defer silence.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	over := false // the broker takes the request for done; what it has sent is on its way
	for left := r.Batch; left > 0; {
		msg, err := f.arrival(ctx, silence.C, look.C)
		if err == errStillThere && f.js.Conn().Stats().Reconnects == connection { //nolint:errorlint // our own, as it is
			continue
		}
		if msg == nil && over {
			return nil // it was lost on the way, and comes again
		}
		if msg == nil {
			return err
		}
		silence.Reset(patience)
		if !strings.HasPrefix(msg.Reply, ackPrefix) {
			ended, err := status(msg)
			if !ended || msg.Subject != answers {
				continue // or about a request that was given up
			}
			if left -= unsent(msg); err != nil || left <= 0 {
				return err
			}
			over, patience = true, brokerSilent
			silence.Reset(patience)
			continue
		}
		d, err := delivery(msg)
		if err != nil {
			return err
		}
		left--
		if err := f.deliverInTurn(ctx, d); err != nil {
			return err
		}
		silence.Reset(patience) // the reader may have kept this waiting for long
	}
	return nil
}

// unsent is how many messages of a request that ends will not come. The others may
// come after the word that it ends: where a consumer is kept on several nodes, each
// message waits until they know of it, and the word does not.
func unsent(msg *nats.Msg) int {
	n, err := strconv.Atoi(msg.Header.Get("Nats-Pending-Messages"))
	if err != nil {
		return math.MaxInt // the broker does not say
	}
	return n
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

// arrival waits for the next message or word of the broker's. What has arrived
// goes before silence: the reader may have kept this waiting for long.
func (f *Feed) arrival(ctx context.Context, silence, look <-chan time.Time) (*nats.Msg, error) {
	select {
	case msg := <-f.arrivals:
		return msg, nil
	default:
	}
	select {
	case msg := <-f.arrivals:
		return msg, nil
	case <-silence:
		return nil, errSilent
	case <-look:
		return nil, errStillThere
	case <-ctx.Done():
		return nil, nil //nolint:nilnil // run takes what is on its way
	}
}

// status reads a word of the broker's own: whether it ends the request, and why
// if that is not as expected.
func status(msg *nats.Msg) (ended bool, err error) {
	code, text := msg.Header.Get("Status"), msg.Header.Get("Description")
	switch {
	case code == "100": // still there
		return false, nil
	case code == "404", code == "408": // none, or time is up
		return true, nil
	case code == "400":
		return true, jetstream.ErrBadRequest
	case code == "503":
		return true, nats.ErrNoResponders
	case strings.EqualFold(text, "Consumer Deleted"):
		return true, jetstream.ErrConsumerDeleted
	case strings.EqualFold(text, "Message Size Exceeds MaxBytes"), strings.EqualFold(text, "Batch Completed"):
		return true, nil
	}
	return true, fmt.Errorf("the broker ends the request with status %q: %q", code, text)
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
