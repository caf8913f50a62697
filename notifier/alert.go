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
	return schemas.Alert{
		SpecVersion: "1.0", ID: id.String(), Source: source, Type: kind,
		Subject: g.Tenant + "/" + g.Action, Time: at, DataContentType: "application/json",
		Data: schemas.AlertData{
			Severity: g.Severity, Tenant: g.Tenant, Action: g.Action, App: g.App,
			Title: g.Title, Message: g.Message, Fingerprint: g.Fingerprint,
			Count: g.Count, FirstSeen: g.FirstSeen, LastSeen: g.LastSeen, Event: g.Event,
		},
	}
}

// alertMsg is the alert as a message for ALERTS. Its id is that of the
// transition, so a repetition within the stream's window is dropped there.
func alertMsg(alert schemas.Alert, traceParent string) (*nats.Msg, error) {
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
	if traceParent != "" {
		msg.Header.Set(schemas.HeaderTraceParent, traceParent)
	}
	return msg, nil
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
