// Package bare holds the ceilings: what broker and ClickHouse do by themselves,
// moving the same bytes with the same batches, guarantees and libraries as the
// services, and doing nothing with them. A stage cannot be faster than its ceiling
// and shows what it costs by how far it is below.
package bare

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/internal/broker"
	"sluice/schemas"
)

// inFlight is how many batches a ceiling has at the broker at a time: while one is
// synced to disk the next is on its way. More gains nothing, since the broker
// stores one stream's batches one after the other.
const inFlight = 2

// Relay reads EVENTS_RAW, publishes the same bytes to EVENTS_CLEAN in atomic batches
// and acknowledges what is stored, until ctx ends: the ceiling of the redactor.
func Relay(ctx context.Context, to broker.NATS, log *slog.Logger) error {
	conn, err := broker.Connect(ctx, to, "bench-relay", log)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // it must still flush when ctx has ended
	consumer, err := conn.EnsureConsumer(ctx, schemas.RedactorConsumer())
	if err != nil {
		return err
	}
	feed, err := conn.Subscribe(ctx, consumer, broker.Buffer{Msgs: inFlight * broker.MaxBatchMsgs, Bytes: 4 * schemas.MaxPayloadBytes})
	if err != nil {
		return err
	}
	work := make(chan []broker.Delivery)
	failed := make(chan error, inFlight)
	var group sync.WaitGroup
	for range inFlight {
		group.Go(func() {
			for batch := range work {
				if err := relay(ctx, conn, batch, log); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	defer group.Wait()
	defer close(work)
	for {
		batch := feed.Batch(nil, broker.MaxBatchMsgs)
		if len(batch) == 0 {
			return feed.Err()
		}
		select {
		case work <- batch:
		case err := <-failed:
			return err
		}
	}
}

func relay(ctx context.Context, conn *broker.Conn, batch []broker.Delivery, log *slog.Logger) error {
	msgs := make([]*nats.Msg, len(batch))
	for i, d := range batch {
		tenant, action, err := schemas.ParseEventSubject(d.Subject())
		if err != nil {
			return err
		}
		msgs[i] = Message(schemas.CleanSubject(tenant, action), d.Headers().Get(jetstream.MsgIDHeader), d.Data())
	}
	if err := publish(ctx, conn, msgs); err != nil {
		return err
	}
	broker.Ack(batch, log)
	return nil
}

// Message makes a message with an id.
func Message(subject, id string, data []byte) *nats.Msg {
	return &nats.Msg{Subject: subject, Header: nats.Header{jetstream.MsgIDHeader: {id}}, Data: data}
}

// publish stores all messages or fails; when ctx has ended that is no failure.
func publish(ctx context.Context, conn *broker.Conn, msgs []*nats.Msg) error {
	for i, result := range conn.Publish(ctx, msgs) {
		if result.Err != nil && ctx.Err() == nil {
			return fmt.Errorf("publish to %s: %w", msgs[i].Subject, result.Err)
		}
	}
	return nil
}

// Consume reads EVENTS_CLEAN as the sink does, in order and with one acknowledgement
// for a batch, until ctx ends: one ceiling of the sink.
func Consume(ctx context.Context, to broker.NATS, log *slog.Logger) error {
	const batchRows, bufferBytes = 10_000, 16 << 20 // the sink's defaults
	conn, err := broker.Connect(ctx, to, "bench-consume", log)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // it must still flush when ctx has ended
	consumer, err := conn.EnsureConsumer(ctx, schemas.SinkConsumer())
	if err != nil {
		return err
	}
	feed, err := conn.Subscribe(ctx, consumer, broker.Buffer{Msgs: batchRows, Bytes: bufferBytes})
	if err != nil {
		return err
	}
	var batch []broker.Delivery
	for {
		if batch = feed.Batch(batch, batchRows); len(batch) == 0 {
			return feed.Err()
		}
		broker.Ack(batch[len(batch)-1:], log)
	}
}

// Publish reads NDJSON events and publishes them to a stream in atomic batches,
// without looking at what they are: the ceiling of producer publish. subject makes
// an event's subject from its action.
func Publish(ctx context.Context, to broker.NATS, in io.Reader, subject func(action string) string, log *slog.Logger) error {
	conn, err := broker.Connect(ctx, to, "bench-publish", log)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:contextcheck // it must still flush when ctx has ended
	work := make(chan []*nats.Msg)
	failed := make(chan error, inFlight)
	var group sync.WaitGroup
	for range inFlight {
		group.Go(func() {
			for msgs := range work {
				if err := publish(ctx, conn, msgs); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	err = readBatches(ctx, in, subject, work, failed)
	close(work)
	group.Wait()
	if err == nil && len(failed) > 0 {
		err = <-failed
	}
	return err
}

// batchBytes is half of what the broker package sends as one batch.
const batchBytes = 4 << 20

func readBatches(ctx context.Context, in io.Reader, subject func(string) string, work chan<- []*nats.Msg, failed <-chan error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<20), 2*schemas.MaxRawBytes)
	var batch []*nats.Msg
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		select {
		case work <- batch:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		batch, size = make([]*nats.Msg, 0, broker.MaxBatchMsgs), 0
		return nil
	}
	for lines.Scan() {
		msg, err := message(bytes.Clone(lines.Bytes()), subject)
		if err != nil {
			return err
		}
		batch = append(batch, msg)
		if size += len(msg.Data); len(batch) == broker.MaxBatchMsgs || size >= batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return flush()
}

var (
	pkMember     = []byte(`{"pk":"`)
	actionMember = []byte(`"action":"`)
	errForeign   = errors.New("a line is no event of producer generate")
)

// message knows where pk and action stand in an event of producer generate: the
// first members of their names are the event's own.
func message(event []byte, subject func(string) string) (*nats.Msg, error) {
	const pkLen = 36
	at := bytes.Index(event, actionMember)
	if !bytes.HasPrefix(event, pkMember) || at < 0 || len(event) < len(pkMember)+pkLen {
		return nil, errForeign
	}
	action, _, found := bytes.Cut(event[at+len(actionMember):], []byte(`"`))
	if !found {
		return nil, errForeign
	}
	return Message(subject(string(action)), string(event[len(pkMember):len(pkMember)+pkLen]), event), nil
}
