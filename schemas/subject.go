package schemas

import (
	"fmt"
	"strings"
)

// The first two tokens of each stream's subjects.
const (
	RawPrefix        = "events.raw"
	CleanPrefix      = "events.clean"
	QuarantinePrefix = "events.quarantine"
	AlertsPrefix     = "alerts"
)

// DefaultTenant is the tenant of whoever names none.
const DefaultTenant = "default"

// The headers that Sluice writes and reads besides NATS's own.
const (
	// HeaderRedacted is on a clean event: a JSON array of the JSON Pointers
	// (RFC 6901) of what was masked. A last pointer of "" (the whole event) says
	// that there were more than the header holds.
	HeaderRedacted = "Sluice-Redacted"
	// HeaderFingerprints is on a clean event where the redactor has a key for them: a
	// JSON object of the fingerprints of what was masked ("<key id>:<32 hex digits>"),
	// each with the JSON Pointer of where it was. What may be a password has none.
	HeaderFingerprints = "Sluice-Fingerprints"
	// HeaderReason is on a quarantined event: the Reason.
	HeaderReason = "Sluice-Reason"
	// HeaderDetail is on a quarantined event: what was found wrong, in words,
	// without any of the event.
	HeaderDetail = "Sluice-Detail"
	// HeaderSubject is on a quarantined event: the subject it was published to.
	HeaderSubject = "Sluice-Subject"
	// HeaderStoredAt is on a quarantined event: when its stream stored it.
	HeaderStoredAt = "Sluice-Stored-At"
	// HeaderReceivers is on an alert: a JSON array of the names of the receivers
	// that its rules chose. Without it the alert is for the stream alone.
	HeaderReceivers = "Sluice-Receivers"
	// HeaderTraceParent is the W3C trace context, passed through every stage.
	HeaderTraceParent = "traceparent"
)

// RawSubject is where a service publishes an event.
func RawSubject(tenant, action string) string { return RawPrefix + "." + tenant + "." + action }

// CleanSubject is where the redactor publishes an event.
func CleanSubject(tenant, action string) string { return CleanPrefix + "." + tenant + "." + action }

// QuarantineSubject is where an event goes that breaks the contract.
func QuarantineSubject(tenant string, reason Reason) string {
	return QuarantinePrefix + "." + tenant + "." + string(reason)
}

// AlertSubject is where the notifier publishes an alert.
func AlertSubject(tenant string, severity Severity, action string) string {
	return AlertsPrefix + "." + tenant + "." + string(severity) + "." + action
}

// ParseEventSubject splits a raw, clean or quarantine subject into its tenant
// and its last token (the action, or the reason).
func ParseEventSubject(subject string) (tenant, last string, err error) {
	tokens := strings.Split(subject, ".")
	if len(tokens) != 4 || tokens[0] != "events" {
		return "", "", fmt.Errorf("parse subject %q: not of the form events.<stage>.<tenant>.<action>", subject)
	}
	return tokens[2], tokens[3], nil
}

// maxTenantLen keeps subjects short; nats-server's own limit on a control line
// is 4096 bytes.
const maxTenantLen = 64

// CheckTenant says what is wrong with a tenant's name: it is one token of a
// subject, [A-Za-z0-9_-]+, at most 64 long.
func CheckTenant(tenant string) error {
	ok := tenant != "" && len(tenant) <= maxTenantLen
	for i := range len(tenant) {
		c := tenant[i]
		ok = ok && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-')
	}
	if !ok {
		return fmt.Errorf("tenant %q: want letters, digits, - and _, 1 to %d of them", tenant, maxTenantLen)
	}
	return nil
}
