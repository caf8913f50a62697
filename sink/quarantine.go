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

// quarantineRetry is when a message that the quarantine did not take comes again:
// a person has to make room there.
const quarantineRetry = time.Minute

// put publishes the refused messages. Those it returns are not in the quarantine;
// they are handed back to the broker for later, so that they do not stop others.
func (q *quarantine) put(ctx context.Context, refused []refusal) (left []broker.Delivery) {
	msgs := make([]*nats.Msg, len(refused))
	for i, r := range refused {
		msgs[i] = quarantineMsg(r)
	}
	for i, result := range q.conn.Publish(ctx, msgs) {
		d := refused[i].from
		if result.Err == nil {
			q.log.Warn("quarantined an event that cannot be stored", "stream", d.Stream, "seq", d.Sequence, "detail", refused[i].detail)
			continue
		}
		left = append(left, d)
		hint := "see the broker"
		if errors.Is(result.Err, broker.ErrFull) {
			hint = "replay or drop what is in " + schemas.StreamQuarantine
		}
		q.log.Error("quarantine an event; it will be tried again", "stream", d.Stream, "seq", d.Sequence,
			"error", result.Err, "hint", hint, "after", quarantineRetry)
		if err := d.NakWithDelay(quarantineRetry); err != nil {
			q.log.Warn("hand back a message; it will be redelivered", "stream", d.Stream, "seq", d.Sequence, "error", err)
		}
	}
	return left
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
