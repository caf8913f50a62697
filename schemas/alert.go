package schemas

import (
	"encoding/json"
	"time"
)

// Severity is how much an alert matters, in authentik's three steps.
type Severity string

// The severities.
const (
	SeverityNotice  Severity = "notice"
	SeverityWarning Severity = "warning"
	SeverityAlert   Severity = "alert"
)

// The types of the CloudEvents that carry alerts.
const (
	AlertFiring   = "sluice.alert.firing"
	AlertUpdate   = "sluice.alert.update"
	AlertResolved = "sluice.alert.resolved"
)

// Alert is a CloudEvent 1.0 in its JSON format, as it stands on the ALERTS
// stream. ID is the same over retries: whoever sees it twice may drop the second.
type Alert struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	Data            AlertData `json:"data"`
}

// AlertData is what an alert tells.
type AlertData struct {
	Severity Severity `json:"severity"`
	Tenant   string   `json:"tenant"`
	Action   string   `json:"action"`
	App      string   `json:"app"`
	// Title is one line, Message the whole; both come from the clean event.
	Title   string `json:"title"`
	Message string `json:"message"`
	// Fingerprint names the group: events with the same one are the same trouble.
	Fingerprint string `json:"fingerprint"`
	// Count is how many events the group has seen since it began to fire.
	Count     uint64    `json:"count"`
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	// Different is how many groups a storm has counted together; 0 for an alert of
	// one trouble.
	Different int `json:"different,omitempty"`
	// Rule names the rules that matched, Group the group in the notifier's state,
	// Why says both in words, and Silence is the command that stops these alerts.
	Rule    string `json:"rule,omitempty"`
	Group   string `json:"group,omitempty"`
	Why     string `json:"why,omitempty"`
	Silence string `json:"silence,omitempty"`
	// Event is a sample: the clean event that caused the alert.
	Event json.RawMessage `json:"event,omitempty"`
}
