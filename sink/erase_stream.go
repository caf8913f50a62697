package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

// replayable erases from EVENTS_CLEAN. It reads the whole stream, since the sequences
// of the table are not all: an event that was published twice is one row and two
// messages, and some are yet to be stored.
type replayable struct {
	conn    *broker.Conn
	erasure Erasure
}

// suspect is a message of the person's.
type suspect struct {
	seq uint64
	id  string // its Nats-Msg-Id
}

// erase overwrites the messages and returns how many there were. After that, no sink
// has one of them in hand.
func (r replayable) erase(ctx context.Context) (int, error) {
	stream, err := r.conn.JS.Stream(ctx, schemas.StreamClean)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	last := stream.CachedInfo().State.LastSeq
	suspects, err := r.find(ctx, stream, last)
	if err != nil || r.erasure.DryRun {
		return len(suspects), err
	}
	for i, s := range suspects {
		if err := eraseMessage(ctx, stream, s); err != nil {
			return i, err
		}
	}
	return len(suspects), r.settled(ctx, last)
}

// find reads the stream up to last.
func (r replayable) find(ctx context.Context, stream jetstream.Stream, last uint64) ([]suspect, error) {
	if stream.CachedInfo().State.Msgs == 0 {
		return nil, nil
	}
	tenant := r.erasure.Tenant
	if tenant == "" {
		tenant = "*"
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{schemas.CleanSubject(tenant, "*")}, DeliverPolicy: jetstream.DeliverAllPolicy,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	info, err := consumer.Info(ctx)
	if err != nil || info.NumPending == 0 {
		return nil, err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(fetchAhead))
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	var found []suspect
	mapper := newMapper(retention{})
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		at, err := msg.Metadata()
		if err != nil {
			return nil, err
		}
		if at.Sequence.Stream <= last && r.isSuspect(mapper, msg, at) {
			found = append(found, suspect{at.Sequence.Stream, msg.Headers().Get(jetstream.MsgIDHeader)})
		}
		if at.NumPending == 0 || at.Sequence.Stream >= last {
			return found, nil
		}
	}
}

// isSuspect tells whether the message is one of the person's. One that no row can be
// made of is in the quarantine.
func (r replayable) isSuspect(mapper *mapper, msg jetstream.Msg, at *jetstream.MsgMetadata) bool {
	row, err := mapper.row(cleanMessage{
		subject: msg.Subject(), header: msg.Headers(), data: msg.Data(),
		stream: at.Stream, sequence: at.Sequence.Stream, storedAt: at.Timestamp,
	})
	return err == nil && r.erasure.matches(&row, mapper)
}

// eraseMessage overwrites the message, if it is still the one that was found: a stream
// that is made anew counts from one again.
func eraseMessage(ctx context.Context, stream jetstream.Stream, s suspect) error {
	msg, err := stream.GetMsg(ctx, s.seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil // somebody was faster
	}
	if err != nil {
		return err
	}
	if id := msg.Header.Get(jetstream.MsgIDHeader); id != s.id {
		return fmt.Errorf("message %d is another one now: run the command again", s.seq)
	}
	return stream.SecureDeleteMsg(ctx, s.seq)
}

// errInHand: the rows would be stored again after they are erased.
var errInHand = errors.New("the sink is storing events that it took before they were erased from " + schemas.StreamClean +
	", and does not get on; nothing was erased from the table: run the command again when it does")

// inHandWait is how long a sink may take for what it has in hand.
const inHandWait = 30 * time.Second

// settled waits until the sink has in hand nothing from up to last.
func (r replayable) settled(ctx context.Context, last uint64) error {
	deadline := time.Now().Add(inHandWait)
	for {
		consumer, err := r.conn.JS.Consumer(ctx, schemas.StreamClean, schemas.ConsumerSink)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		info := consumer.CachedInfo()
		if info.NumAckPending == 0 || info.AckFloor.Stream >= last {
			return nil
		}
		stores, err := r.sinkStores(ctx)
		if err != nil || !stores {
			return err // what a sink had in hand that is gone is gone with it
		}
		if time.Now().After(deadline) {
			return errInHand
		}
		if err := wait(ctx, turnPoll); err != nil {
			return err
		}
	}
}

// sinkStores tells whether the sink that has the turn to store is there.
func (r replayable) sinkStores(ctx context.Context) (bool, error) {
	kv, err := r.conn.JS.KeyValue(ctx, schemas.BucketSink)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t := &turn{conn: r.conn, kv: kv}
	if err := t.read(ctx); err != nil || t.record.Owner == "" {
		return false, err
	}
	err = t.ask(ctx, t.record.Owner)
	return !errors.Is(err, nats.ErrNoResponders), nil
}
