package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

// turn is the right to store. Of all the sinks on a stream one has it; the others
// wait. It is one key of a bucket in the broker, which also holds the plan of the
// batch that is being inserted: both change by compare-and-set only, so whoever
// has lost the turn cannot begin another batch, and whoever takes it over knows
// the one batch of which it is not known what became of it.
type turn struct {
	conn *broker.Conn
	kv   jetstream.KeyValue
	log  *slog.Logger
	id   string

	record   record
	revision uint64 // 0 while there is no key yet

	// ready is whether this sink stores, or another one that has answered.
	ready atomic.Bool
}

// record is the value of the key.
type record struct {
	// Owner is the id of the sink that stores, "" for none.
	Owner string `json:"owner"`
	// Plan is the batch that was inserted last, or is about to be.
	Plan *plan `json:"plan,omitempty"`
}

// plan is a batch as it is written down before it is inserted.
type plan struct {
	// First and Last are sequences of the stream: the batch is every message
	// between them.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	// Token is what its blocks' deduplication tokens begin with.
	Token string `json:"token"`
	// Stream is when the stream was made: one that is made anew counts from one
	// again.
	Stream time.Time `json:"stream"`
}

// errTurnLost: another sink stores now. Nothing more may be inserted.
var errTurnLost = errors.New("another sink has taken over")

const (
	// turnPoll is how often a waiting sink looks whether the turn is free.
	turnPoll = 200 * time.Millisecond
	// turnWait is how long the broker may take to answer about the turn.
	turnWait = 5 * time.Second
	// aliveWait is how long a sink may take to say that it is there.
	aliveWait = time.Second
	// goneAfter is how many times in a row nobody may be there under an id: a sink
	// whose connection is being restored is away for a moment.
	goneAfter = 3
	// silentAfter is the same for a sink that is connected and does not answer,
	// because it is stopped or cut off.
	silentAfter = 10
)

// openTurn makes the bucket if it is not there, and answers for this sink until
// the connection closes.
func openTurn(ctx context.Context, conn *broker.Conn, log *slog.Logger) (*turn, error) {
	kv, err := conn.OpenBucket(ctx, jetstream.KeyValueConfig{
		Bucket: schemas.BucketSink, Description: "which sink stores, and what it stores",
		History: 1, MaxBytes: 1 << 20, Storage: jetstream.FileStorage,
	})
	if err != nil {
		return nil, err
	}
	t := &turn{conn: conn, kv: kv, log: log, id: uuid.NewString()}
	_, err = conn.NC.Subscribe(schemas.SinkSubject(t.id), func(m *nats.Msg) { _ = m.Respond(nil) })
	if err != nil {
		return nil, fmt.Errorf("answer that this sink is there: %w", err)
	}
	return t, nil
}

// take waits until no other sink stores, and takes the turn. It returns an error
// only when ctx ends.
func (t *turn) take(ctx context.Context) error {
	t.ready.Store(false)
	said, silent := false, 0
	for ctx.Err() == nil {
		free, err := t.look(ctx, &silent)
		if err == nil && free {
			err = t.write(ctx, record{Owner: t.id, Plan: t.record.Plan})
			if err == nil {
				t.ready.Store(false) // until the table is there
				return nil
			}
		}
		switch {
		case errors.Is(err, jetstream.ErrKeyExists): // another one was faster
			continue
		case err != nil && ctx.Err() == nil:
			t.log.Warn("ask the broker whose turn it is to store; trying again", "error", err)
		case err == nil && !said:
			said = true
			t.log.Info("another sink stores; waiting to take over from it", "owner", t.record.Owner)
		}
		_ = wait(ctx, turnPoll)
	}
	return ctx.Err()
}

// look reads the record and tells whether the turn is free. Silent counts how
// often in a row the owner did not answer.
func (t *turn) look(ctx context.Context, silent *int) (bool, error) {
	before := t.record.Owner
	if err := t.read(ctx); err != nil {
		return false, err
	}
	switch owner := t.record.Owner; {
	case owner == "" || owner == t.id:
		return true, nil
	case owner != before:
		*silent = 0
	}
	switch err := t.ask(ctx, t.record.Owner); {
	case err == nil:
		*silent = 0
		t.ready.Store(true)
		return false, nil
	case errors.Is(err, nats.ErrNoResponders):
		*silent += silentAfter/goneAfter + 1
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		*silent++
	default:
		return false, err
	}
	return *silent >= silentAfter, nil
}

// healthy says whether events are stored: by this sink, or by the one that it
// waits for.
func (t *turn) healthy() error {
	if t.ready.Load() {
		return nil
	}
	return errNoTurn
}

var errNoTurn = errors.New("takes its turn to store")

// ask asks a sink whether it is there.
func (t *turn) ask(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, aliveWait)
	defer cancel()
	_, err := t.conn.NC.RequestWithContext(ctx, schemas.SinkSubject(id), nil)
	return err
}

func (t *turn) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	entry, err := t.kv.Get(ctx, schemas.KeySinkWriter)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		t.record, t.revision = record{}, 0
		return nil
	}
	if err != nil {
		return err
	}
	r := record{}
	if err := json.Unmarshal(entry.Value(), &r); err != nil {
		return fmt.Errorf("read key %s of %s: %w", schemas.KeySinkWriter, schemas.BucketSink, err)
	}
	t.record, t.revision = r, entry.Revision()
	return nil
}

// write puts the record in place of the one that was read or written last.
func (t *turn) write(ctx context.Context, r record) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	var revision uint64
	if t.revision == 0 {
		revision, err = t.kv.Create(ctx, schemas.KeySinkWriter, value)
	} else {
		revision, err = t.kv.Update(ctx, schemas.KeySinkWriter, value, t.revision)
	}
	if err != nil {
		return err
	}
	t.record, t.revision = r, revision
	return nil
}

// plan writes down what is about to be inserted. It waits for a broker that is
// away, and returns errTurnLost if another sink has the turn.
func (t *turn) plan(ctx context.Context, p plan) error {
	return t.keep(ctx, record{Owner: t.id, Plan: &p})
}

// pass gives the turn to whoever waits. Nothing of this sink is at work any more.
func (t *turn) pass(ctx context.Context) error { return t.keep(ctx, record{Plan: t.record.Plan}) }

// keep writes as the owner, again while the broker does not answer.
func (t *turn) keep(ctx context.Context, r record) error {
	for delay := retryFirst; ; delay = min(2*delay, retryLast) {
		err := t.write(ctx, r)
		if err == nil {
			return nil
		}
		// The write may have been done and its answer lost, or another sink's
		// write may stand there: the record tells.
		if t.read(ctx) == nil && t.record.Owner != t.id {
			if t.record.same(r) {
				return nil
			}
			return errTurnLost
		}
		t.log.Warn("write down a batch; trying again", "bucket", schemas.BucketSink, "error", err)
		if wait(ctx, delay) != nil {
			return fmt.Errorf("write down a batch: %w", ctx.Err())
		}
	}
}

// same tells whether both say the same.
func (r record) same(other record) bool {
	return r.Owner == other.Owner && (r.Plan == nil) == (other.Plan == nil) && (r.Plan == nil || r.Plan.Token == other.Plan.Token)
}
