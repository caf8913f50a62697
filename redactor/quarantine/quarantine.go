// Package quarantine is what a person does with events that were refused: see
// which there are and why, look at one, send them through again, or remove them.
//
// It promises that what it shows of an event is masked. It decides nothing by
// itself: events stay in EVENTS_QUARANTINE until somebody replays or drops them.
package quarantine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/redactor/redact"
	"sluice/schemas"
)

// Store is the quarantine on a broker.
type Store struct {
	conn   *broker.Conn
	stream jetstream.Stream
	engine *redact.Engine
}

// Open finds the quarantine. The engine masks what is shown; it must take texts of
// schemas.MaxPayloadBytes.
func Open(ctx context.Context, conn *broker.Conn, engine *redact.Engine) (*Store, error) {
	stream, err := conn.JS.Stream(ctx, schemas.StreamQuarantine)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("there is no stream %s on this broker: start a redactor, which makes it", schemas.StreamQuarantine)
	}
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", schemas.StreamQuarantine, err)
	}
	return &Store{conn: conn, stream: stream, engine: engine}, nil
}

// Selection says which events are meant; the zero value means all.
type Selection struct {
	Tenant string
	Reason schemas.Reason
}

func (s Selection) subject() string {
	tenant, reason := s.Tenant, s.Reason
	if tenant == "" {
		tenant = "*"
	}
	if reason == "" {
		reason = "*"
	}
	return schemas.QuarantineSubject(tenant, reason)
}

// Entry is one quarantined event without its content.
type Entry struct {
	// Sequence is its number in EVENTS_QUARANTINE, by which the other functions
	// know it.
	Sequence uint64 `json:"seq"`
	// StoredAt is when the stream that it came from stored it.
	StoredAt time.Time      `json:"stored_at"`
	Tenant   string         `json:"tenant"`
	Reason   schemas.Reason `json:"reason"`
	Detail   string         `json:"detail"`
	Bytes    int            `json:"bytes"`
	// Subject is where it was published to.
	Subject string `json:"subject"`
}

// fetchAtOnce is how many entries are read per request; they come without their
// payload.
const fetchAtOnce = 500

// Each calls f for each selected event that is there now, oldest first. What
// arrives meanwhile is left out, so that a replay which fails again ends.
func (s *Store) Each(ctx context.Context, selected Selection, f func(Entry) error) error {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	last := info.State.LastSeq
	consumer, err := s.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{selected.subject()}, HeadersOnly: true,
	})
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	for {
		batch, err := consumer.FetchNoWait(fetchAtOnce)
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		n := 0
		for msg := range batch.Messages() {
			n++
			entry, err := entryOf(msg)
			if err != nil {
				return err
			}
			if entry.Sequence > last {
				return nil
			}
			if err := f(entry); err != nil {
				return err
			}
		}
		if err := batch.Error(); err != nil {
			return fmt.Errorf("list: %w", err)
		}
		if n == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func entryOf(msg jetstream.Msg) (Entry, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return Entry{}, fmt.Errorf("list: %w", err)
	}
	size, _ := strconv.Atoi(msg.Headers().Get(nats.MsgSize)) // 0 for no content
	return entry(meta.Sequence.Stream, msg.Subject(), meta.Timestamp, msg.Headers(), size), nil
}

func entry(seq uint64, subject string, quarantinedAt time.Time, h nats.Header, size int) Entry {
	tenant, reason, _ := schemas.ParseEventSubject(subject) // the stream has no other subjects
	e := Entry{
		Sequence: seq, StoredAt: quarantinedAt, Tenant: tenant, Reason: schemas.Reason(reason),
		Detail: h.Get(schemas.HeaderDetail), Subject: h.Get(schemas.HeaderSubject), Bytes: size,
	}
	if t, err := time.Parse(time.RFC3339Nano, h.Get(schemas.HeaderStoredAt)); err == nil {
		e.StoredAt = t
	}
	return e
}

// get reads one event whole.
func (s *Store) get(ctx context.Context, seq uint64) (*jetstream.RawStreamMsg, error) {
	msg, err := s.stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("event %d: not in the quarantine", seq)
	}
	if err != nil {
		return nil, fmt.Errorf("event %d: %w", seq, err)
	}
	return msg, nil
}

// Replay publishes an event to the subject it came from, as it came, and removes
// it here once that is acknowledged. Its message id is the same each time, so
// that a replay which was interrupted can be repeated.
func (s *Store) Replay(ctx context.Context, seq uint64) error {
	msg, err := s.get(ctx, seq)
	if err != nil {
		return err
	}
	subject := msg.Header.Get(schemas.HeaderSubject)
	if !strings.HasPrefix(subject, schemas.RawPrefix+".") && !strings.HasPrefix(subject, schemas.CleanPrefix+".") {
		return fmt.Errorf("event %d: it does not say which subject it came from", seq)
	}
	again := &nats.Msg{Subject: subject, Header: original(msg.Header), Data: msg.Data}
	again.Header.Set(jetstream.MsgIDHeader,
		"replay:"+schemas.StreamQuarantine+":"+strconv.FormatUint(seq, 10)+":"+strconv.FormatInt(msg.Time.UnixNano(), 10))
	if result := s.conn.Publish(ctx, []*nats.Msg{again})[0]; result.Err != nil {
		return fmt.Errorf("replay event %d: %w", seq, result.Err)
	}
	return s.Drop(ctx, seq)
}

// original are the headers that the event came with.
func original(h nats.Header) nats.Header {
	out := nats.Header{}
	for name, values := range h {
		switch name {
		case schemas.HeaderReason, schemas.HeaderDetail, schemas.HeaderSubject, schemas.HeaderStoredAt:
		default:
			if !strings.HasPrefix(strings.ToLower(name), "nats-") {
				out[name] = values
			}
		}
	}
	return out
}

// Drop removes an event for good; its bytes are overwritten, since they may hold
// secrets.
func (s *Store) Drop(ctx context.Context, seq uint64) error {
	if err := s.stream.SecureDeleteMsg(ctx, seq); err != nil {
		return fmt.Errorf("remove event %d from the quarantine: %w", seq, err)
	}
	return nil
}
