package receiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/redactor/redact"
	"sluice/schemas"
)

// Notice is an alert on its way to a receiver, redacted once more.
type Notice struct {
	Alert schemas.Alert
	// Why says why the alert came, and Silence how to stop it; "" if it does not.
	Why, Silence string
	// Body is the alert's CloudEvent with every member it came with.
	Body []byte
	// TraceParent is the W3C trace context, if there is one.
	TraceParent string
	engine      *redact.Engine
}

// ErrUnreadable is returned for what is not an alert.
var ErrUnreadable = errors.New("not a CloudEvent with an alert")

// NewNotice reads an alert as it stands on the stream. The engine must take texts
// of schemas.MaxPayloadBytes.
func NewNotice(engine *redact.Engine, data []byte, traceParent string) (Notice, error) {
	var tenant struct {
		Data struct {
			Tenant string `json:"tenant"`
		} `json:"data"`
	}
	if json.Unmarshal(data, &tenant) != nil {
		return Notice{}, ErrUnreadable
	}
	n := Notice{engine: engine.For(tenant.Data.Tenant), TraceParent: traceParent}
	clean, err := n.engine.RedactJSON(nil, data)
	if err != nil {
		return Notice{}, ErrUnreadable
	}
	n.Body = clean.Clean
	if err := json.Unmarshal(n.Body, &n.Alert); err != nil || n.Alert.ID == "" {
		return Notice{}, ErrUnreadable
	}
	var advice struct {
		Data struct {
			Why     string `json:"why"`
			Silence string `json:"silence"`
		} `json:"data"`
	}
	if err := json.Unmarshal(n.Body, &advice); err != nil {
		return Notice{}, ErrUnreadable
	}
	n.Why, n.Silence = advice.Data.Why, advice.Data.Silence
	return n, nil
}

// encode writes a body and redacts it: what is built of clean parts may spell a
// secret as a whole.
func (n Notice) encode(body any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return nil, refused("the alert cannot be encoded")
	}
	return n.redactJSON(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
}

func (n Notice) redactJSON(body []byte) ([]byte, error) {
	clean, err := n.engine.RedactJSON(nil, body)
	if err != nil {
		return nil, refused("the redaction engine refuses what was rendered")
	}
	return clean.Clean, nil
}

// redactText redacts text that is not JSON.
func (n Notice) redactText(text string) (string, error) {
	quoted, err := json.Marshal(strings.ToValidUTF8(text, "\uFFFD"))
	if err != nil {
		return "", refused("the alert cannot be encoded")
	}
	quoted, err = n.redactJSON(quoted)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(quoted, &text); err != nil {
		return "", refused("the redaction engine refuses what was rendered")
	}
	return text, nil
}

// state is what the alert is about: firing, update or resolved.
func (n Notice) state() string { return strings.TrimPrefix(n.Alert.Type, "sluice.alert.") }

// fact is a line of what is known about an alert besides its text.
type fact struct{ name, value string }

// facts lists them for receivers that show an alert to a person.
func (n Notice) facts() []fact {
	d := n.Alert.Data
	out := []fact{{"Severity", string(d.Severity)}, {"Tenant", d.Tenant}, {"Action", d.Action}}
	if d.App != "" {
		out = append(out, fact{"App", d.App})
	}
	if d.Count > 1 {
		out = append(out, fact{"Count", fmt.Sprintf("%d since %s", d.Count, stamp(d.FirstSeen))})
	}
	out = append(out, fact{"Last seen", stamp(d.LastSeen)}, fact{"Fingerprint", d.Fingerprint})
	if n.Why != "" {
		out = append(out, fact{"Why", n.Why})
	}
	if n.Silence != "" {
		out = append(out, fact{"To stop it", n.Silence})
	}
	return out
}

// headline is the alert in one line.
func (n Notice) headline() string {
	title := n.Alert.Data.Title
	switch n.Alert.Type {
	case schemas.AlertResolved:
		return "Resolved: " + title
	case schemas.AlertUpdate:
		return fmt.Sprintf("%s (%d times)", title, n.Alert.Data.Count)
	}
	return title
}

// color is for receivers that show one: red, amber, blue, and green once it is
// over.
func (n Notice) color() int {
	if n.Alert.Type == schemas.AlertResolved {
		return 0x2e7d32
	}
	switch n.Alert.Data.Severity {
	case schemas.SeverityAlert:
		return 0xc62828
	case schemas.SeverityWarning:
		return 0xf9a825
	case schemas.SeverityNotice:
	}
	return 0x1565c0
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }

// cut shortens a text to at most limit characters.
func cut(text string, limit int) string {
	count := 0
	for i := range text {
		if count++; count > limit {
			head := []rune(text[:i])
			return string(head[:limit-1]) + "…"
		}
	}
	return text
}

// Sample is an alert to try a receiver with.
func Sample(id string, now time.Time) schemas.Alert {
	now = now.UTC()
	return schemas.Alert{
		SpecVersion: "1.0", ID: id, Source: "sluice/notifier", Type: schemas.AlertFiring,
		Subject: schemas.DefaultTenant + "/" + schemas.ActionSystemException, Time: now, DataContentType: "application/json",
		Data: schemas.AlertData{
			Severity: schemas.SeverityNotice, Tenant: schemas.DefaultTenant, Action: schemas.ActionSystemException,
			App: "sluice/notifier", Title: "Test alert: nothing is wrong",
			Message:     "This alert was made by \"notifier test\" to see whether it arrives.\nNothing is wrong.",
			Fingerprint: "v1:00000000000000000000000000000000", Count: 1, FirstSeen: now, LastSeen: now,
			Event: json.RawMessage(`{"pk":"` + id + `","action":"system_exception","app":"sluice/notifier","context":{"message":"Test alert: nothing is wrong"}}`),
		},
	}
}
