package receiver

import (
	"context"
	"errors"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.yaml.in/yaml/v3"

	"sluice/internal/broker"
	"sluice/schemas"
)

// CloudEventType is the media type of a CloudEvent in its JSON format.
const CloudEventType = "application/cloudevents+json"

// readNATS reads a subject that alerts are published to, as CloudEvents.
func readNATS(d *definition) (members, finish) {
	var (
		subject string
		stored  bool
	)
	known := members{
		"subject": func(n *yaml.Node) {
			subject = d.line(n, "subject")
			if what := checkSubject(subject); what != "" {
				d.wrongf(n, "subject", "%s", what)
			}
		},
		"jetstream": func(n *yaml.Node) { stored = d.boolean(n, "jetstream") },
	}
	return known, func() func(Env) (Sender, error) {
		if subject == "" {
			d.wrongf(d.node, "", "subject is missing")
		}
		return func(env Env) (Sender, error) {
			if env.Broker == nil {
				return nil, errors.New("there is no broker")
			}
			return &natsSender{conn: env.Broker, subject: subject, stored: stored}, nil
		}
	}
}

// checkSubject says what is wrong with a subject. Sluice's own are refused: an
// alert must never become an event.
func checkSubject(subject string) string {
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || strings.ContainsAny(token, "*> \t") {
			return "must be a subject without wildcards, such as oncall.sluice"
		}
	}
	for _, own := range []string{"events", "alerts", schemas.OutboxPrefix, "sink", "notifier", "$", "_INBOX"} {
		if first, _, _ := strings.Cut(subject, "."); first == own || own == "$" && strings.HasPrefix(subject, own) {
			return "is one of Sluice's or the broker's own"
		}
	}
	return ""
}

type natsSender struct {
	conn    *broker.Conn
	subject string
	stored  bool
}

// Send implements Sender. With jetstream a stream must have stored the alert;
// without, the broker must have it.
func (s *natsSender) Send(ctx context.Context, n Notice) error {
	msg := nats.NewMsg(s.subject)
	msg.Data = n.Body
	msg.Header.Set("Content-Type", CloudEventType)
	msg.Header.Set(nats.MsgIdHdr, n.Alert.ID)
	if n.TraceParent != "" {
		msg.Header.Set(schemas.HeaderTraceParent, n.TraceParent)
	}
	var err error
	if s.stored {
		_, err = s.conn.JS.PublishMsg(ctx, msg)
	} else if err = s.conn.NC.PublishMsg(msg); err == nil {
		err = s.conn.NC.FlushWithContext(ctx)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return refused("the broker takes no message of that size")
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return retryable("no stream has the subject")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return retryable("no answer in time")
	case errors.Is(err, nats.ErrPermissionViolation):
		return retryable("the broker does not let the notifier publish there")
	}
	return retryable("the broker does not take it")
}

// Close implements Sender; the connection is the caller's.
func (s *natsSender) Close() {}
