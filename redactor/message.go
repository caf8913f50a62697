package redactor

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/schemas"
)

// cleanMsg is the message for an event that is passed on. Of the raw message's
// headers only a traceparent goes with it, since they may hold anything.
func cleanMsg(a arrival, v *verdict) *nats.Msg {
	m := &nats.Msg{
		Subject: schemas.CleanSubject(v.tenant, v.action),
		Header:  nats.Header{jetstream.MsgIDHeader: {v.pk.String()}},
		Data:    v.clean,
	}
	if v.redacted != "" {
		m.Header[schemas.HeaderRedacted] = []string{v.redacted}
	}
	if v.fingerprints != "" {
		m.Header[schemas.HeaderFingerprints] = []string{v.fingerprints}
	}
	if parent := a.header.Get(schemas.HeaderTraceParent); isTraceParent(parent) {
		m.Header[schemas.HeaderTraceParent] = []string{parent}
	}
	return m
}

// isTraceParent reports whether s has the form of a W3C traceparent, four groups
// of hexadecimal digits. Anything else in that header is no trace, and might be
// a secret.
func isTraceParent(s string) bool {
	const form = "00-00000000000000000000000000000000-0000000000000000-00"
	if len(s) != len(form) {
		return false
	}
	for i := range len(s) {
		digit := '0' <= s[i] && s[i] <= '9' || 'a' <= s[i] && s[i] <= 'f'
		if (form[i] == '-') != (s[i] == '-') || form[i] != '-' && !digit {
			return false
		}
	}
	return true
}

const (
	// headerStatus, on a message without content, marks the broker's own word to a
	// client: nothing there, time is up, the consumer is gone.
	headerStatus = "Status"
	// headerRawStatus is on a quarantined event in its place, so that who reads
	// the quarantine is not misled.
	headerRawStatus = "Sluice-Raw-Status"
)

// quarantineMsg is the message for an event that is refused: as it came, headers
// included, with the reason. Its id is that of the raw message, so that a
// redelivery is not quarantined twice.
func quarantineMsg(a arrival, v *verdict) *nats.Msg {
	header := nats.Header{}
	for name, values := range a.header {
		switch {
		case strings.HasPrefix(strings.ToLower(name), "nats-"): // the broker's own, about another stream
		case name == headerStatus:
			header[headerRawStatus] = values
		default:
			header[name] = values
		}
	}
	id := a.stream + ":" + strconv.FormatUint(a.sequence, 10) + ":" + strconv.FormatInt(a.storedAt.UnixNano(), 10)
	header.Set(jetstream.MsgIDHeader, id)
	header.Set(schemas.HeaderReason, string(v.reason))
	header.Set(schemas.HeaderDetail, v.detail)
	header.Set(schemas.HeaderSubject, a.subject)
	header.Set(schemas.HeaderStoredAt, a.storedAt.UTC().Format(time.RFC3339Nano))
	return &nats.Msg{Subject: schemas.QuarantineSubject(v.tenant, v.reason), Header: header, Data: a.data}
}
