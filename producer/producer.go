// Package producer publishes audit events to Sluice from a Go service.
//
// It owns what a publisher must get right: the subject, the id that makes a
// repetition harmless, the check that keeps an event out of the quarantine, and
// the batches that make a broker which syncs each write to disk fast. It
// promises that an event whose Ack has no error is stored, and that publishing
// the same event again stores it no second time, which the Ack reports.
//
// It refuses to queue: Publish returns when the broker has answered, so that a
// full stream slows its publishers down. It does not redact, and it logs nothing
// of an event but its id, action, tenant and app. The connection stays the
// caller's.
package producer

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

// Config says how to publish. The zero value is usable.
type Config struct {
	// Tenant is whose events these are: letters, digits, - and _, at most 64.
	// "" is schemas.DefaultTenant.
	Tenant string
	// App is the app of events that have none.
	App string
	// Log gets one line per published event, at info; nil logs nothing.
	Log *slog.Logger
	// Gather is how long Publish waits for other goroutines that publish too, so
	// that their events share one batch: 0 is DefaultGather, negative turns it
	// off. Whoever publishes alone never waits.
	Gather time.Duration
	// TraceParent returns the W3C traceparent of ctx, or "". It goes with the
	// event through every stage. Nil takes what ContextWithTraceParent has put
	// there. With OpenTelemetry: inject with propagation.TraceContext into a map
	// and return its "traceparent".
	TraceParent func(ctx context.Context) string
}

// DefaultGather is one millisecond: about as long as the disk takes to sync what
// is waited for, so an event comes back at most once as late.
const DefaultGather = time.Millisecond

// attemptWait is how long one attempt may take before the caller's context is
// looked at again: an atomic batch and one round of single messages.
const attemptWait = 10 * time.Second

// Ack tells what became of one event.
type Ack struct {
	// PK is the event's id. Whoever publishes the event again after an error
	// sets it as the event's PK, so that it is stored once even if the first
	// attempt did arrive.
	PK uuid.UUID
	// Sequence is the event's number in EVENTS_RAW.
	Sequence uint64
	// Duplicate tells that the stream had the event already: it was published
	// before, or an earlier attempt had arrived though its answer was lost.
	Duplicate bool
	// Err is why the event is not stored, or not known to be.
	Err error
}

// Producer publishes events. It is safe for concurrent use.
type Producer struct {
	conn     *broker.Conn
	cfg      Config
	gatherer *gatherer // nil when gathering is off
}

// New returns a Producer over nc, which stays the caller's to close, after the
// Producer.
func New(nc *nats.Conn, cfg Config) (*Producer, error) {
	if cfg.Tenant == "" {
		cfg.Tenant = schemas.DefaultTenant
	}
	if err := schemas.CheckTenant(cfg.Tenant); err != nil {
		return nil, fmt.Errorf("new producer: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	conn, err := broker.New(nc, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("new producer: %w", err)
	}
	p := &Producer{conn: conn, cfg: cfg}
	if cfg.Gather == 0 {
		cfg.Gather = DefaultGather
	}
	if cfg.Gather > 0 {
		p.gatherer = newGatherer(cfg.Gather, p.conn.Publish)
	}
	return p, nil
}

// Close waits for what Publish has in flight, at most some ten seconds. What is
// published afterwards is refused with ErrClosed.
func (p *Producer) Close() {
	if p.gatherer != nil {
		p.gatherer.close()
	}
}

// Publish stores one event and returns when the broker has said so. What the
// event lacks is filled in, see Encoder.Event. Faults that may pass are retried
// until ctx ends, so ctx should have a deadline; ErrFull, ErrTooLarge and
// ErrInvalid come back at once. The error is that of the Ack.
func (p *Producer) Publish(ctx context.Context, ev schemas.Event) (Ack, error) {
	m, err := p.encoder().Event(ev)
	if err != nil {
		return Ack{PK: m.pk, Err: err}, err
	}
	ack := p.PublishMessage(ctx, m)
	return ack, ack.Err
}

// PublishMessage is Publish for a message that an Encoder made: it shares a batch
// with what other goroutines publish at the same time.
func (p *Producer) PublishMessage(ctx context.Context, m Message) Ack {
	if p.gatherer == nil {
		return p.PublishMessages(ctx, []Message{m})[0]
	}
	return p.acknowledge(ctx, m, p.gatherer.publish(ctx, p.wire(ctx, m)))
}

// Encode checks and completes an event as Publish does, and leaves publishing it
// to later: the message keeps the trace of ctx. The error is ErrInvalid or
// ErrTooLarge.
func (p *Producer) Encode(ctx context.Context, ev schemas.Event) (Message, error) {
	m, err := p.encoder().Event(ev)
	return m.WithTraceParent(p.traceParent(ctx)), err
}

// PublishMany stores the events, some thousand at most, in batches and in order,
// and reports what became of each. One that is refused does not keep the others
// from being stored. The error is nil if all are stored, otherwise it wraps that
// of the first which is not.
func (p *Producer) PublishMany(ctx context.Context, events []schemas.Event) ([]Ack, error) {
	acks := make([]Ack, len(events))
	messages, at := make([]Message, 0, len(events)), make([]int, 0, len(events))
	encoder := p.encoder()
	for i := range events {
		m, err := encoder.Event(events[i])
		acks[i] = Ack{PK: m.pk, Err: err}
		if err == nil {
			messages, at = append(messages, m), append(at, i)
		}
	}
	for i, ack := range p.PublishMessages(ctx, messages) {
		acks[at[i]] = ack
	}
	return acks, summarize(acks)
}

func summarize(acks []Ack) error {
	failed, first := 0, error(nil)
	for _, ack := range acks {
		if ack.Err == nil {
			continue
		}
		if failed++; failed == 1 {
			first = ack.Err
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d events not published, the first: %w", failed, len(acks), first)
}

// PublishMessages stores messages that an Encoder made, in batches and in order,
// and reports what became of each. It is for whoever has events as JSON, or keeps
// them for a while before they are published. Faults that may pass are retried
// until ctx ends.
func (p *Producer) PublishMessages(ctx context.Context, messages []Message) []Ack {
	acks := make([]Ack, len(messages))
	wire := make([]*nats.Msg, len(messages))
	for i, m := range messages {
		wire[i] = p.wire(ctx, m)
	}
	if err := ctx.Err(); err != nil {
		for i, m := range messages {
			acks[i] = Ack{PK: m.pk, Err: err}
		}
		return acks
	}
	for i, result := range p.conn.Publish(ctx, wire) {
		acks[i] = p.acknowledge(ctx, messages[i], result)
	}
	return acks
}

func (p *Producer) encoder() *Encoder {
	return &Encoder{tenant: p.cfg.Tenant, App: p.cfg.App}
}

// wire makes the NATS message.
func (p *Producer) wire(ctx context.Context, m Message) *nats.Msg {
	header := nats.Header{jetstream.MsgIDHeader: {m.pk.String()}}
	if parent := cmp.Or(m.trace, p.traceParent(ctx)); parent != "" {
		header[schemas.HeaderTraceParent] = []string{parent}
	}
	return &nats.Msg{Subject: schemas.RawSubject(m.tenant, m.action), Header: header, Data: m.json}
}

// acknowledge turns the broker's result into an Ack and logs a success.
func (p *Producer) acknowledge(ctx context.Context, m Message, result broker.Result) Ack {
	ack := Ack{PK: m.pk, Sequence: result.Sequence, Duplicate: result.Duplicate, Err: result.Err}
	if ack.Err != nil {
		ack.Err = fmt.Errorf("publish event %s: %w", m.pk, ack.Err)
		return ack
	}
	if p.cfg.Log.Enabled(ctx, slog.LevelInfo) {
		p.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "event published",
			slog.String("event_id", m.pk.String()), slog.String("action", m.action),
			slog.String("tenant", m.tenant), slog.String("app", loggedApp(m.app)),
			slog.Uint64("seq", ack.Sequence), slog.Bool("duplicate", ack.Duplicate))
	}
	return ack
}

// loggedApp cuts an app to what a log line bears: longer is no name of a program
// part, and nobody has checked what it holds.
func loggedApp(app string) string {
	const most = 100
	if len(app) > most {
		app = strings.ToValidUTF8(app[:most], "")
	}
	return app
}
