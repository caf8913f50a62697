package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	// patience is how long the sink may take to store what there is.
	patience time.Duration
	progress io.Writer // nil for none
}

// suspect is a message of the person's.
type suspect struct {
	seq uint64
	id  string // its Nats-Msg-Id
}

// erase overwrites the messages and returns how many there were. It does not begin
// before the sink has stored what was in the stream, lest one of them is in its hands
// and becomes a row when the rows are erased already.
func (r replayable) erase(ctx context.Context) (int, error) {
	stream, err := r.conn.JS.Stream(ctx, schemas.StreamClean)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	last := stream.CachedInfo().State.LastSeq
	if !r.erasure.DryRun {
		if err := r.stored(ctx, last); err != nil {
			return 0, err
		}
	}
	suspects, err := r.find(ctx, stream, last)
	if err != nil || r.erasure.DryRun {
		return len(suspects), err
	}
	defer overwrite(r.progress, "")
	for i, s := range suspects {
		if i%100 == 0 {
			overwrite(r.progress, fmt.Sprintf("%d of %d events of the stream erased", i, len(suspects)))
		}
		if err := eraseMessage(ctx, stream, s); err != nil {
			return i, err
		}
	}
	return len(suspects), nil
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

// errBehind: the rows would be stored after they are erased.
var errBehind = errors.New("nothing was erased: the sink has yet to store events that are in " + schemas.StreamClean +
	", and may have some of the user in hand: run the command again when it has caught up")

// behindWait is enough for a sink that keeps up: longer than a batch waits for company
// and then for ClickHouse.
const behindWait = 30 * time.Second

// stored waits until the sink has stored everything up to last. If no sink runs, none
// has anything in hand.
func (r replayable) stored(ctx context.Context, last uint64) error {
	deadline := time.Now().Add(r.patience)
	for {
		consumer, err := r.conn.JS.Consumer(ctx, schemas.StreamClean, schemas.ConsumerSink)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		info := consumer.CachedInfo()
		if info.AckFloor.Stream >= last || info.NumPending == 0 && info.NumAckPending == 0 {
			return nil
		}
		if runs, err := r.sinkRuns(ctx); err != nil || !runs {
			return err
		}
		if time.Now().After(deadline) {
			return errBehind
		}
		if err := wait(ctx, turnPoll); err != nil {
			return err
		}
	}
}

// sinkRuns tells whether the sink that has the turn to store is there.
func (r replayable) sinkRuns(ctx context.Context) (bool, error) {
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
	return !errors.Is(t.ask(ctx, t.record.Owner), nats.ErrNoResponders), nil
}
