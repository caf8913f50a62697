package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/schemas"
)

// publisher is what the quarantine needs of the broker.
type publisher interface {
	Publish(ctx context.Context, msgs []*nats.Msg) []broker.Result
}

// quarantine publishes what cannot be stored to EVENTS_QUARANTINE.
type quarantine struct {
	conn publisher
	log  *slog.Logger
}

// How soon a message that the quarantine did not take is tried again, and how
// often that is said: a person has to make room there.
const (
	quarantineRetry = 5 * time.Second
	quarantineSay   = time.Minute
)

// put publishes the refused messages and returns once the quarantine has them
// all. While it is full the sink stores nothing more: an event that is neither a
// row nor in quarantine could be lost.
func (q *quarantine) put(ctx context.Context, refused []refusal) error {
	for said := (time.Time{}); ; {
		left, err := q.try(ctx, refused)
		if len(left) == 0 {
			return nil
		}
		refused = left
		if time.Since(said) >= quarantineSay {
			said = time.Now()
			hint := "see the broker"
			if errors.Is(err, broker.ErrFull) {
				hint = "replay or drop what is in " + schemas.StreamQuarantine
			}
			q.log.Error("nothing is stored until the quarantine takes the events that cannot be", "msgs", len(left),
				"seq", left[0].from.Sequence, "error", err, "hint", hint)
		}
		if err := wait(ctx, quarantineRetry); err != nil {
			return fmt.Errorf("quarantine %d events: %w", len(left), err)
		}
	}
}

// try publishes them once, and returns those that were not taken and why the last
// one was not.
func (q *quarantine) try(ctx context.Context, refused []refusal) (left []refusal, last error) {
	msgs := make([]*nats.Msg, len(refused))
	for i, r := range refused {
		msgs[i] = quarantineMsg(r)
	}
	for i, result := range q.conn.Publish(ctx, msgs) {
		if result.Err != nil {
			left, last = append(left, refused[i]), result.Err
			continue
		}
		d := refused[i].from
		q.log.Warn("quarantined an event that cannot be stored", "stream", d.Stream, "seq", d.Sequence, "detail", refused[i].detail)
	}
	return left, last
}

// quarantineMsg is the message as it came, with the reason. Its id is that of
// the message in its stream, so that a redelivery is not quarantined twice.
func quarantineMsg(r refusal) *nats.Msg {
	d := r.from
	tenant, _, err := schemas.ParseEventSubject(d.Subject())
	if err != nil {
		tenant = schemas.DefaultTenant
	}
	msg := nats.NewMsg(schemas.QuarantineSubject(tenant, schemas.ReasonStorageRefused))
	msg.Data = d.Data()
	for key, values := range d.Headers() {
		if !strings.HasPrefix(key, "Nats-") {
			msg.Header[key] = values
		}
	}
	msg.Header.Set(schemas.HeaderReason, string(schemas.ReasonStorageRefused))
	msg.Header.Set(schemas.HeaderDetail, r.detail)
	msg.Header.Set(schemas.HeaderSubject, d.Subject())
	msg.Header.Set(schemas.HeaderStoredAt, d.StoredAt.UTC().Format(time.RFC3339Nano))
	msg.Header.Set(nats.MsgIdHdr, fmt.Sprintf("%s:%d:%d", d.Stream, d.Sequence, d.StoredAt.UnixNano()))
	return msg
}
