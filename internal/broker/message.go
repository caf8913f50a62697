package broker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Delivery is one message with where it stands in its stream.
type Delivery struct {
	jetstream.Msg
	Stream string
	// Sequence is the message's number in the stream.
	Sequence uint64
	// ConsumerSequence counts the consumer's deliveries since it was made or reset.
	ConsumerSequence uint64
	// Deliveries counts from 1; more than 1 means that it was in work before.
	Deliveries uint64
	// StoredAt is when the stream stored the message, the same at each delivery.
	StoredAt time.Time
	// Pending is how many messages the consumer had yet to deliver after this one.
	Pending uint64
}

func delivery(msg *nats.Msg) (Delivery, error) {
	m := message{msg}
	meta, err := m.Metadata()
	if err != nil {
		return Delivery{}, err
	}
	return Delivery{
		Msg: m, Stream: meta.Stream, Sequence: meta.Sequence.Stream, ConsumerSequence: meta.Sequence.Consumer,
		Deliveries: meta.NumDelivered, StoredAt: meta.Timestamp, Pending: meta.NumPending,
	}, nil
}

// message is a delivered message as jetstream.Msg; the library makes those for
// its own subscriptions alone.
type message struct{ msg *nats.Msg }

func (m message) Data() []byte                              { return m.msg.Data }
func (m message) Headers() nats.Header                      { return m.msg.Header }
func (m message) Subject() string                           { return m.msg.Subject }
func (m message) Reply() string                             { return m.msg.Reply }
func (m message) Ack() error                                { return m.msg.Ack() }
func (m message) DoubleAck(ctx context.Context) error       { return m.msg.AckSync(nats.Context(ctx)) }
func (m message) Nak() error                                { return m.msg.Nak() }
func (m message) NakWithDelay(delay time.Duration) error    { return m.msg.NakWithDelay(delay) }
func (m message) InProgress() error                         { return m.msg.InProgress() }
func (m message) Term() error                               { return m.msg.Term() }
func (m message) TermWithReason(reason string) error        { return m.msg.Respond([]byte("+TERM " + reason)) }
func (m message) Metadata() (*jetstream.MsgMetadata, error) { return metadata(m.msg.Reply) }

// ackPrefix begins the reply subject of every delivered message and of no word
// of the broker's own, whatever the message's headers say.
const ackPrefix = "$JS.ACK."

// metadata reads where a message stands from its reply subject:
// $JS.ACK.[<domain>.<account hash>.]<stream>.<consumer>.<deliveries>.<stream
// sequence>.<consumer sequence>.<nanoseconds>.<pending>[.<token>].
func metadata(reply string) (*jetstream.MsgMetadata, error) {
	tokens := strings.Split(reply, ".")
	if !strings.HasPrefix(reply, ackPrefix) || len(tokens) != 9 && len(tokens) < 11 {
		return nil, fmt.Errorf("read a delivery: %w", jetstream.ErrMsgNoReply)
	}
	meta := &jetstream.MsgMetadata{}
	tokens = tokens[2:]
	if len(tokens) > 7 {
		if tokens[0] != "_" {
			meta.Domain = tokens[0]
		}
		tokens = tokens[2:]
	}
	meta.Stream, meta.Consumer = tokens[0], tokens[1]
	var numbers [5]uint64
	for i := range numbers {
		n, err := strconv.ParseUint(tokens[2+i], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read a delivery of consumer %s: %w", meta.Consumer, err)
		}
		numbers[i] = n
	}
	meta.NumDelivered, meta.NumPending = numbers[0], numbers[4]
	meta.Sequence = jetstream.SequencePair{Stream: numbers[1], Consumer: numbers[2]}
	meta.Timestamp = time.Unix(0, int64(numbers[3]))
	return meta, nil
}
