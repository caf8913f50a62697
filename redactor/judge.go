package redactor

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/redactor/redact"
	"sluice/schemas"
	"sluice/schemas/jsontoken"
)

// arrival is a raw event with where it came from: all that the verdict depends
// on, so that a redelivery gets the same one.
type arrival struct {
	subject  string
	header   nats.Header
	data     []byte
	stream   string
	sequence uint64
	storedAt time.Time
}

func arrivalOf(d *broker.Delivery) arrival {
	return arrival{
		subject: d.Subject(), header: d.Headers(), data: d.Data(), stream: d.Stream, sequence: d.Sequence, storedAt: d.StoredAt,
	}
}

// verdict is what is to become of an event.
type verdict struct {
	// reason is why the event is quarantined, "" if it is passed on, and detail
	// the same in words; neither holds any of the event.
	reason schemas.Reason
	detail string
	// tenant is the subject's.
	tenant string

	// What follows is for an event that is passed on.

	action string
	pk     uuid.UUID
	// redacted is the value of the header schemas.HeaderRedacted, "" for none.
	redacted string
	// fingerprints is the value of the header schemas.HeaderFingerprints.
	fingerprints string
	counts       []redact.Count
	// clean is the event as it is published.
	clean []byte
}

func refuse(tenant string, reason schemas.Reason, format string, args ...any) verdict {
	return verdict{tenant: tenant, reason: reason, detail: fmt.Sprintf(format, args...)}
}

// judge redacts, validates and stamps one event. The clean event is appended to
// arena, which is returned as long as it has become.
func judge(engine *redact.Engine, arena []byte, a arrival) (verdict, []byte) {
	tenant, action, err := schemas.ParseEventSubject(a.subject)
	if err != nil { // the stream has no other subjects
		return refuse(noTenant, schemas.ReasonInvalidField, "the subject is not of the form events.raw.<tenant>.<action>"), arena
	}
	if schemas.CheckTenant(tenant) != nil {
		return refuse(subjectToken(tenant), schemas.ReasonInvalidField,
			`field "tenant": the subject's is not 1 to 64 letters, digits, - and _`), arena
	}
	start := len(arena)
	result, err := engine.For(tenant).Redact(arena, a.data)
	if err != nil {
		reason, detail := explainRejection(err, len(a.data))
		return refuse(tenant, reason, "%s", detail), arena
	}
	switch {
	case result.Action == "" && !schemas.ValidAction(action):
		return refuse(tenant, schemas.ReasonInvalidField,
			`field "action": the event has none, and the subject's is not of the form [a-z][a-z0-9_]*, at most 64 long`), arena
	case result.Action != "" && result.Action != action:
		return refuse(tenant, schemas.ReasonActionMismatch, "the event's action is not the subject's"), arena
	}
	v := verdict{
		tenant: tenant, action: action, pk: result.PK,
		redacted: result.Header(), fingerprints: result.Fingerprints(), counts: result.Counts,
	}
	if v.pk == uuid.Nil {
		v.pk = schemas.DerivedPK(a.stream, a.sequence, a.storedAt)
	}
	arena = stamp(result.Clean, start, missing{
		pk: result.PK == uuid.Nil, action: result.Action == "", created: result.Created.IsZero(),
	}, v, a.storedAt)
	v.clean = arena[start:len(arena):len(arena)]
	return v, arena
}

// explainRejection gives the reason and what the quarantine tells a person.
func explainRejection(err error, size int) (schemas.Reason, string) {
	var rejection *schemas.Rejection
	if !errors.As(err, &rejection) {
		return schemas.ReasonInternal, "the redactor failed"
	}
	switch {
	case rejection.Unwrap() != nil:
		return rejection.Reason, strings.TrimPrefix(rejection.Error(), string(rejection.Reason)+": ")
	case rejection.Reason == schemas.ReasonTooLarge && size > schemas.MaxRawBytes:
		return rejection.Reason, fmt.Sprintf("%d bytes of at most %d", size, schemas.MaxRawBytes)
	case rejection.Reason == schemas.ReasonTooLarge:
		return rejection.Reason, fmt.Sprintf("masked it has more than %d bytes", schemas.MaxPayloadBytes)
	case rejection.Reason == schemas.ReasonNotAnObject:
		return rejection.Reason, "the event is JSON, but not an object"
	case rejection.Reason == schemas.ReasonInternal:
		return rejection.Reason, "the redaction engine failed"
	}
	return rejection.Reason, string(rejection.Reason)
}

// noTenant stands in a quarantine subject for a tenant that cannot stand there.
// It is no tenant's name, so nobody's quarantine shows another's events.
const noTenant = "!"

// subjectToken keeps a tenant that breaks the rules as it is, where it can be a
// token of a subject that a broker takes; a longer one may break the connection
// (max_control_line). The whole subject stands in the header.
func subjectToken(tenant string) string {
	wild := func(r rune) bool { return r <= ' ' || r == '*' || r == '>' || r == 0x7f }
	if tenant == "" || len(tenant) > 256 || strings.ContainsFunc(tenant, wild) {
		return noTenant
	}
	return tenant
}

// missing are the fields that an event has not, and is given.
type missing struct{ pk, action, created bool }

const createdLayout = "2006-01-02T15:04:05.000000Z"

// stamp adds the missing fields behind the last member of the event, an object
// that begins at text[start]. All that stood there stays as it is.
func stamp(text []byte, start int, m missing, v verdict, storedAt time.Time) []byte {
	if m == (missing{}) {
		return text
	}
	end := start + bytes.LastIndexByte(text[start:], '}') // behind it is nothing but white space
	tail := append([]byte(nil), text[end:]...)
	text = text[:end]
	comma := !bytes.HasSuffix(bytes.TrimRight(text[start:], " \t\r\n"), []byte("{"))
	member := func(name, value string) {
		if comma {
			text = append(text, ',')
		}
		comma = true
		text = append(jsontoken.AppendString(text, name), ':')
		text = jsontoken.AppendString(text, value)
	}
	if m.pk {
		member("pk", v.pk.String())
	}
	if m.action {
		member("action", v.action)
	}
	if m.created {
		member("created", storedAt.UTC().Format(createdLayout))
	}
	return append(text, tail...)
}
