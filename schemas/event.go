// Package schemas is the contract between everything that speaks Sluice: the
// event and its codec, the actions, the subjects, the streams and consumers with
// their limits, and the alert.
//
// It promises that an event which authentik's API prints is a valid event as it
// stands, and that decoding keeps the bytes it does not need to understand. It
// talks to nobody: it imports the standard library and a UUID, so a service in
// need of the names alone pays for nothing else.
package schemas

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"sluice/schemas/jsontoken"
)

// Limits of an event. What exceeds them is quarantined, never cut.
const (
	// MaxRawBytes is the largest raw event that is passed on: 1 MiB, the default
	// max_payload of nats-server, which every client can send.
	MaxRawBytes = 1 << 20
	// MaxPayloadBytes is the max_payload of the shipped broker: 4 MiB, because
	// masks can make an event grow, and no more, because nats-server warns above
	// 8 MiB and a batch of the largest is held in memory.
	MaxPayloadBytes = 4 << 20
	// MaxDepth is how many objects and arrays may be nested, the event itself
	// included: the depth to which ClickHouse parses JSON by default
	// (input_format_json_max_depth, 1000) less the room that a query needs.
	MaxDepth = 900
)

// Mask stands in place of a credential, as in authentik: 20 asterisks.
const Mask = "********************"

// Event is one audit event. User, Context, Brand and Extra are kept as the bytes
// they came as.
type Event struct {
	// PK identifies the event; uuid.Nil means that it has none yet.
	PK uuid.UUID
	// Action is what happened, [a-z][a-z0-9_]*.
	Action string
	// App is the part of the publishing service that says so.
	App string
	// User is a JSON object: pk, username, email and perhaps more; nil is {}.
	User json.RawMessage
	// Context is a JSON object of any shape; nil is {}.
	Context json.RawMessage
	// ClientIP is the address the action came from; invalid means unknown.
	ClientIP netip.Addr
	// Created is when it happened; zero means when EVENTS_RAW stored it.
	Created time.Time
	// Expires is when it is to be forgotten; zero means by the tenant's retention.
	Expires time.Time
	// Brand is a JSON object: pk, app, name, model_name; nil is {}.
	Brand json.RawMessage
	// Extra are the members beyond the contract, in order and byte for byte.
	Extra []Member
}

// Member is one name and value of a JSON object as they stand in its text.
type Member struct {
	// Name is a JSON string with its quotes.
	Name []byte
	// Value is any JSON value.
	Value []byte
}

// timeLayout writes microseconds, which is what authentik and the table keep.
const timeLayout = "2006-01-02T15:04:05.000000Z07:00"

// AppendJSON appends the event as one line of JSON in authentik's field order.
// Fields that are missing are left out, so that whoever reads it applies the
// contract's defaults.
func (e *Event) AppendJSON(dst []byte) []byte {
	first := len(dst)
	dst = append(dst, '{')
	if e.PK != uuid.Nil {
		dst = jsontoken.AppendString(append(dst, `,"pk":`...), e.PK.String())
	}
	dst = appendRaw(dst, `,"user":`, e.User)
	if e.Action != "" {
		dst = jsontoken.AppendString(append(dst, `,"action":`...), e.Action)
	}
	if e.App != "" {
		dst = jsontoken.AppendString(append(dst, `,"app":`...), e.App)
	}
	dst = appendRaw(dst, `,"context":`, e.Context)
	if e.ClientIP.IsValid() {
		dst = jsontoken.AppendString(append(dst, `,"client_ip":`...), e.ClientIP.String())
	}
	dst = appendTime(dst, `,"created":`, e.Created)
	dst = appendTime(dst, `,"expires":`, e.Expires)
	dst = appendRaw(dst, `,"brand":`, e.Brand)
	for _, m := range e.Extra {
		dst = append(append(append(append(dst, ','), m.Name...), ':'), m.Value...)
	}
	if len(dst) > first+1 { // the first member needs no comma before it
		dst = append(dst[:first+1], dst[first+2:]...)
	}
	return append(dst, '}')
}

// MarshalJSON implements json.Marshaler by AppendJSON.
func (e *Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

func appendRaw(dst []byte, name string, value json.RawMessage) []byte {
	if value == nil {
		return dst
	}
	return append(append(dst, name...), value...)
}

func appendTime(dst []byte, name string, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	dst = append(append(dst, name...), '"')
	return append(t.UTC().AppendFormat(dst, timeLayout), '"')
}

// DerivedPK returns the id of an event that was published without one: a UUIDv5
// of the stream, the sequence and the instant at which the stream stored it, so
// that every redelivery gets the same one. The instant is part of it because a
// stream that is deleted and made again counts from one again.
func DerivedPK(stream string, sequence uint64, storedAt time.Time) uuid.UUID {
	name := make([]byte, 0, 64)
	name = append(append(name, stream...), ':')
	name = appendUint(name, sequence)
	name = append(name, ':')
	name = appendUint(name, uint64(storedAt.UnixNano()))
	return uuid.NewSHA1(pkNamespace, name)
}

// pkNamespace is the UUIDv5 of "sluice/events" in the URL namespace.
var pkNamespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("sluice/events"))
