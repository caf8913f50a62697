package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/notifier/receiver"
	"sluice/schemas"
)

// keep stores an alert that the receiver has not taken, once.
func (s *Store) keep(ctx context.Context, name string, d broker.Delivery, n receiver.Notice, why string, attempts int) error {
	msg := nats.NewMsg(schemas.OutboxKept(name))
	if msg.Data = n.Body; msg.Data == nil {
		msg.Data = d.Data()
	}
	seq := strconv.FormatUint(d.Sequence, 10)
	msg.Header.Set(nats.MsgIdHdr, "kept/"+name+"/"+d.Stream+"/"+seq)
	msg.Header.Set(schemas.HeaderFailure, why)
	msg.Header.Set(schemas.HeaderAttempts, strconv.Itoa(attempts))
	if alertSeq := d.Headers().Get(schemas.HeaderAlertSequence); alertSeq != "" {
		seq = alertSeq
	}
	msg.Header.Set(schemas.HeaderAlertSequence, seq)
	if n.TraceParent != "" {
		msg.Header.Set(schemas.HeaderTraceParent, n.TraceParent)
	}
	ctx, cancel := context.WithTimeout(ctx, brokerWait)
	defer cancel()
	_, err := s.conn.JS.PublishMsg(ctx, msg)
	if tooLarge(err) { // with its headers; ALERTS still has it
		msg.Data = nil
		_, err = s.conn.JS.PublishMsg(ctx, msg)
	}
	return err
}

// tooLarge tells an alert that the broker takes without its headers, not with them.
func tooLarge(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, nats.ErrMaxPayload) || errors.As(err, &api) && api.ErrorCode == errCodeMsgTooLarge
}

const errCodeMsgTooLarge jetstream.ErrorCode = 10054

// forget removes a message that is through. One that stays is acknowledged and
// leaves by its age.
func (s *Store) forget(ctx context.Context, seq uint64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), brokerWait)
	defer cancel()
	_ = s.stream.DeleteMsg(ctx, seq)
}

// Entry is an alert in the outbox.
type Entry struct {
	// Sequence is its number in the outbox.
	Sequence uint64    `json:"seq"`
	Receiver string    `json:"receiver"`
	KeptAt   time.Time `json:"kept_at"`
	Attempts int       `json:"attempts"`
	// Why the receiver has not taken it.
	Why     string `json:"why"`
	AlertID string `json:"alert_id"`
	Title   string `json:"title"`
}

// Each calls f for each alert kept for the receiver, "*" for any, oldest first.
func (s *Store) Each(ctx context.Context, name string, f func(Entry, jetstream.Msg) error) error {
	info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(schemas.OutboxKept(name)))
	if err != nil {
		return fmt.Errorf("list outbox: %w", err)
	}
	left := uint64(0)
	for _, n := range info.State.Subjects {
		left += n
	}
	if left == 0 {
		return nil
	}
	consumer, err := s.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{schemas.OutboxKept(name)}})
	if err != nil {
		return fmt.Errorf("list outbox: %w", err)
	}
	for ; left > 0; left-- {
		msg, err := consumer.Next(jetstream.FetchMaxWait(brokerWait))
		if errors.Is(err, nats.ErrTimeout) {
			return nil // removed meanwhile
		}
		if err != nil {
			return fmt.Errorf("list outbox: %w", err)
		}
		entry, err := entryOf(msg)
		if err == nil {
			err = f(entry, msg)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func entryOf(msg jetstream.Msg) (Entry, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return Entry{}, fmt.Errorf("list outbox: %w", err)
	}
	e := Entry{
		Sequence: meta.Sequence.Stream, KeptAt: meta.Timestamp.UTC(), Why: msg.Headers().Get(schemas.HeaderFailure),
		Receiver: msg.Subject()[strings.LastIndexByte(msg.Subject(), '.')+1:],
	}
	e.Attempts, _ = strconv.Atoi(msg.Headers().Get(schemas.HeaderAttempts)) // 0 if it has none
	var alert schemas.Alert
	if json.Unmarshal(msg.Data(), &alert) == nil {
		e.AlertID, e.Title = alert.ID, alert.Data.Title
	}
	return e, nil
}

// Replay has alerts of a receiver delivered again, all that are kept or those of
// the numbers given, oldest first, and enables it if it is disabled.
func (s *Store) Replay(ctx context.Context, name string, only ...uint64) (replayed int, enabled bool, err error) {
	wanted := map[uint64]bool{}
	for _, seq := range only {
		wanted[seq] = true
	}
	err = s.Each(ctx, name, func(e Entry, msg jetstream.Msg) error {
		if len(only) > 0 && !wanted[e.Sequence] {
			return nil
		}
		delete(wanted, e.Sequence)
		if len(msg.Data()) == 0 {
			return fmt.Errorf("replay alert %d: it was too large to be kept; it is number %s in %s",
				e.Sequence, msg.Headers().Get(schemas.HeaderAlertSequence), schemas.StreamAlerts)
		}
		again := nats.NewMsg(schemas.OutboxReplay(name))
		again.Data = msg.Data()
		again.Header.Set(nats.MsgIdHdr, "replay/"+strconv.FormatUint(e.Sequence, 10))
		for _, h := range []string{schemas.HeaderAlertSequence, schemas.HeaderTraceParent} {
			if v := msg.Headers().Get(h); v != "" {
				again.Header.Set(h, v)
			}
		}
		if _, err := s.conn.JS.PublishMsg(ctx, again); err != nil {
			return fmt.Errorf("replay alert %d: %w", e.Sequence, err)
		}
		// Only now: interrupted in between, it is replayed and kept, and may be
		// delivered twice.
		if err := s.stream.DeleteMsg(ctx, e.Sequence); err != nil {
			return fmt.Errorf("remove alert %d, which is replayed: %w", e.Sequence, err)
		}
		replayed++
		return nil
	})
	if err != nil {
		return replayed, false, err
	}
	for seq := range wanted {
		return replayed, false, fmt.Errorf("replay alert %d: it is not kept for receiver %s", seq, name)
	}
	was, err := s.isDisabled(ctx, name)
	if err != nil || was == nil {
		return replayed, false, err
	}
	return replayed, true, s.enable(ctx, name)
}

// Status is how a receiver stands.
type Status struct {
	Receiver string `json:"receiver"`
	// Disabled says why, and DisabledAt since when, if it is.
	Disabled   string    `json:"disabled,omitempty"`
	DisabledAt time.Time `json:"disabled_at,omitzero"`
	// Waiting is how many alerts its consumer has yet to look at or is trying.
	Waiting uint64 `json:"waiting"`
	// Kept is how many it has not taken.
	Kept uint64 `json:"kept"`
}

// consumerPrefix begins the names of receivers' consumers.
var consumerPrefix = schemas.ReceiverConsumer("").Durable

// Receivers lists every receiver that has a consumer or an alert in the outbox.
func (s *Store) Receivers(ctx context.Context) ([]Status, error) {
	alerts, err := s.conn.JS.Stream(ctx, schemas.StreamAlerts)
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", schemas.StreamAlerts, err)
	}
	info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(schemas.OutboxKept("*")))
	if err != nil {
		return nil, fmt.Errorf("list outbox: %w", err)
	}
	kept := map[string]uint64{}
	for subject, n := range info.State.Subjects {
		kept[subject[strings.LastIndexByte(subject, '.')+1:]] = n
	}
	var out []Status
	consumers := alerts.ListConsumers(ctx)
	for c := range consumers.Info() {
		if name, ok := strings.CutPrefix(c.Name, consumerPrefix); ok {
			out = append(out, Status{Receiver: name, Waiting: c.NumPending + uint64(max(c.NumAckPending, 0)), Kept: kept[name]})
			delete(kept, name)
		}
	}
	if err := consumers.Err(); err != nil {
		return nil, fmt.Errorf("list receivers: %w", err)
	}
	for name, n := range kept {
		out = append(out, Status{Receiver: name, Kept: n})
	}
	for i := range out {
		d, err := s.isDisabled(ctx, out[i].Receiver)
		if err != nil {
			return nil, err
		}
		if d != nil {
			out[i].Disabled, out[i].DisabledAt = d.Why, d.At
		}
	}
	return out, nil
}
