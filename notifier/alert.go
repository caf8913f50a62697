package notifier

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"sluice/schemas"
)

// cloudEventType is the media type of a CloudEvent in its JSON format, which the
// NATS binding of CloudEvents wants in the header.
const cloudEventType = "application/cloudevents+json"

// alert is the group as a CloudEvent.
func (g *group) alert(id uuid.UUID, kind string, at time.Time) schemas.Alert {
	message, different := g.Message, 0
	if g.Storm != nil {
		message, different = g.Storm.words(g), g.Storm.different()
	}
	return schemas.Alert{
		SpecVersion: "1.0", ID: id.String(), Source: source, Type: kind,
		Subject: g.Tenant + "/" + g.Action, Time: at, DataContentType: "application/json",
		Data: schemas.AlertData{
			Severity: g.Severity, Tenant: g.Tenant, Action: g.Action, App: g.App,
			Title: g.Title, Message: message, Fingerprint: g.Fingerprint,
			Count: g.Count, FirstSeen: g.FirstSeen, LastSeen: g.LastSeen, Event: g.Event,
			Different: different, Rule: g.Rule, Group: g.key, Why: g.Why, Silence: silenceCommand(g.Tenant, g.Fingerprint),
		},
	}
}

// msg is the alert as a message for ALERTS. Its id is that of the
// transition, so a repetition within the stream's window is dropped there.
func (t *transition) msg() (*nats.Msg, error) {
	alert := t.Alert
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // the sample stays as it came
	if err := enc.Encode(alert); err != nil {
		return nil, fmt.Errorf("encode alert: %w", err)
	}
	msg := nats.NewMsg(schemas.AlertSubject(alert.Data.Tenant, alert.Data.Severity, alert.Data.Action))
	msg.Data = bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	msg.Header.Set(nats.MsgIdHdr, alert.ID)
	msg.Header.Set("Content-Type", cloudEventType)
	if t.TraceParent != "" {
		msg.Header.Set(schemas.HeaderTraceParent, t.TraceParent)
	}
	if len(t.Receivers) > 0 {
		names, err := json.Marshal(t.Receivers)
		if err != nil {
			return nil, fmt.Errorf("encode receivers: %w", err)
		}
		msg.Header.Set(schemas.HeaderReceivers, string(names))
	}
	return msg, nil
}

// silenceCommand is what a person types to hear no more of a trouble for a while.
// It holds nothing that a shell would take for more than text.
func silenceCommand(tenant, fingerprint string) string {
	return "notifier silence add -for 4h tenant=" + tenant + " fingerprint=" + fingerprint
}

// shrink leaves out of an alert what is large, for a broker that takes only
// small messages.
func shrink(alert schemas.Alert) schemas.Alert {
	alert.Data.Event = nil
	alert.Data.Message = cutBytes(alert.Data.Message, shrunkMessageBytes)
	return alert
}

// shrunkMessageBytes is what shrink leaves of a message: with everything else
// some 2 KB, which every broker takes.
const shrunkMessageBytes = 1 << 10
