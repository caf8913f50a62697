package sink

import (
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"sluice/internal/broker"
	"sluice/schemas"
	"sluice/schemas/jsontoken"
)

// row is one event as the table holds it. Byte slices point into the message.
type row struct {
	pk                  uuid.UUID
	tenant, action, app string
	created, expires    time.Time
	expiry              expiry
	leaves              time.Time // the table's leaves and cohort
	userPK              string
	username, userEmail string
	clientIP            netip.Addr // the zero Addr becomes ::
	brandName           string
	context             []byte // JSON objects, byte for byte as they came
	user, brand, extra  []byte
	hot                 [hotTexts]textSpan
	unescaped           []byte // the hot texts that had escapes
	redacted            []string
	fingerprints        []string
	traceParent         string
	streamSeq           uint64
}

// cleanMessage is what a row is made of.
type cleanMessage struct {
	subject  string
	header   nats.Header
	data     []byte
	stream   string
	sequence uint64
	storedAt time.Time
}

func messageOf(d broker.Delivery) cleanMessage {
	return cleanMessage{
		subject: d.Subject(), header: d.Headers(), data: d.Data(),
		stream: d.Stream, sequence: d.Sequence, storedAt: d.StoredAt,
	}
}

// mapper turns messages into rows. It keeps its memory between them and is for
// one goroutine.
type mapper struct {
	retention retention
	decoder   schemas.Decoder
	event     schemas.Event
	pointers  jsontoken.Tape
	// departures is offered each event that became a row; nil for none.
	departures *departures
}

func newMapper(r retention) *mapper { return &mapper{retention: r} }

// row returns the message's row. The defaults for what is missing are the
// contract's; the same message gives the same row each time, as long as the
// retention is not changed. The error says what is wrong without any of the
// event.
func (m *mapper) row(msg cleanMessage) (row, error) {
	tenant, action, err := schemas.ParseEventSubject(msg.subject)
	if err != nil {
		return row{}, err
	}
	ev := &m.event
	if err := m.decoder.Decode(msg.data, ev); err != nil {
		return row{}, err
	}
	r := row{
		pk: ev.PK, tenant: tenant, action: ev.Action, app: ev.App,
		created:      ev.Created,
		userPK:       m.scalar("user", "pk"),
		username:     m.scalar("user", "username"),
		userEmail:    m.scalar("user", "email"),
		clientIP:     ev.ClientIP,
		brandName:    m.scalar("brand", "name"),
		context:      objectOr(ev.Context),
		user:         objectOr(ev.User),
		brand:        objectOr(ev.Brand),
		extra:        object(ev.Extra),
		redacted:     m.redacted(msg.header.Get(schemas.HeaderRedacted)),
		fingerprints: m.fingerprints(msg.header.Get(schemas.HeaderFingerprints)),
		traceParent:  msg.header.Get(schemas.HeaderTraceParent),
		streamSeq:    msg.sequence,
	}
	// The redactor stamps these; an event that somebody published past it gets
	// the same values.
	if r.pk == uuid.Nil {
		r.pk = schemas.DerivedPK(msg.stream, msg.sequence, msg.storedAt)
	}
	if r.action == "" {
		r.action = action
	}
	if r.created.IsZero() {
		r.created = msg.storedAt
	}
	r.created = r.created.UTC().Truncate(time.Microsecond)
	r.expires, r.expiry = m.expires(ev.Expires, r.created, tenant)
	r.leaves = leaving(r.expires, msg.storedAt)
	m.findHot(&r)
	m.departures.offer(msg.data, r.action)
	return r, nil
}

// scalar returns the text of a string, the digits of a number, true or false; ""
// for null and for what is missing or no scalar.
func (m *mapper) scalar(path ...string) string {
	tape := &m.decoder.Tape
	i, found := tape.Lookup(0, path...)
	if !found {
		return ""
	}
	switch tape.Tokens[i].Kind {
	case jsontoken.String:
		return tape.Text(i)
	case jsontoken.Number, jsontoken.True, jsontoken.False:
		return string(tape.Bytes(i))
	default:
		return ""
	}
}

// redacted reads the header's JSON array of pointers. A header that is none is
// kept as it is, so that nobody takes the event for untouched.
func (m *mapper) redacted(header string) []string {
	if header == "" {
		return nil
	}
	t := &m.pointers
	if t.Parse([]byte(header), 1) != nil || t.Tokens[0].Kind != jsontoken.Array {
		return []string{header}
	}
	var out []string
	for i := 1; i < len(t.Tokens); i = int(t.Tokens[i].Next) {
		if t.Tokens[i].Kind != jsontoken.String {
			return []string{header}
		}
		out = append(out, t.Text(i))
	}
	return out
}

var emptyObject = []byte("{}")

func objectOr(raw []byte) []byte {
	if raw == nil {
		return emptyObject
	}
	return raw
}

// object writes members as one JSON object, byte for byte.
func object(members []schemas.Member) []byte {
	if len(members) == 0 {
		return emptyObject
	}
	size := 2
	for _, m := range members {
		size += len(m.Name) + len(m.Value) + 2
	}
	out := append(make([]byte, 0, size), '{')
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, m.Name...), ':'), m.Value...)
	}
	return append(out, '}')
}

// fingerprints reads the names of the header's JSON object, nothing of a header
// that is none.
func (m *mapper) fingerprints(header string) []string {
	t := &m.pointers
	if header == "" || t.Parse([]byte(header), 1) != nil || t.Tokens[0].Kind != jsontoken.Object {
		return nil
	}
	var out []string
	for i := 1; i < len(t.Tokens); i = int(t.Tokens[i+1].Next) {
		out = append(out, t.Text(i))
	}
	return out
}
