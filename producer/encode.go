package producer

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"sluice/schemas"
	"sluice/schemas/jsontoken"
)

// Message is one event that has been checked and completed. It has its id, so
// however often it is published, it is stored once. It does not change.
type Message struct {
	pk                  uuid.UUID
	tenant, action, app string
	trace               string
	json                []byte
}

// PK returns the event's id.
func (m Message) PK() uuid.UUID { return m.pk }

// Action returns what happened.
func (m Message) Action() string { return m.action }

// Tenant returns whose event it is.
func (m Message) Tenant() string { return m.tenant }

// JSON returns the event as it is published. It must not be changed.
func (m Message) JSON() []byte { return m.json }

// Encoder turns events into messages; it talks to nobody. It keeps its memory
// from one event to the next and is not safe for concurrent use.
type Encoder struct {
	// App is the app of an Event that has none. JSON is left as it is.
	App string
	// Action is the action of an event that has none; "" refuses such an event.
	Action string
	// NewPK makes the id for JSON that has none, from the event as it would be
	// published without; nil means a random UUIDv7.
	NewPK func(event []byte) uuid.UUID

	tenant  string
	decoder schemas.Decoder
	decoded schemas.Event
}

// NewEncoder returns an Encoder for the events of one tenant.
func NewEncoder(tenant string) (*Encoder, error) {
	if err := schemas.CheckTenant(tenant); err != nil {
		return nil, err
	}
	return &Encoder{tenant: tenant}, nil
}

// Event checks and completes an event: a missing pk becomes a UUIDv7, a missing
// created the present time. The error is ErrInvalid or ErrTooLarge; the message
// has its id even then, unless the id could not be told.
func (e *Encoder) Event(ev schemas.Event) (Message, error) {
	e.fill(&ev)
	m := Message{pk: ev.PK, tenant: e.tenant, action: ev.Action, app: ev.App}
	if ev.Action == "" {
		return m, fmt.Errorf("%w: %w", ErrInvalid, ErrNoAction)
	}
	m.json = ev.AppendJSON(nil)
	if err := e.decode(m.json); err != nil {
		return m, err
	}
	return m, e.sameAs(&ev)
}

func (e *Encoder) fill(ev *schemas.Event) {
	if ev.PK == uuid.Nil {
		ev.PK = newPK()
	}
	if ev.Created.IsZero() {
		ev.Created = time.Now()
	}
	if ev.Action == "" {
		ev.Action = e.Action
	}
	if ev.App == "" {
		ev.App = e.App
	}
	// Raw JSON may come with space around it, and empty is as good as missing.
	if ev.User = bytes.TrimSpace(ev.User); len(ev.User) == 0 {
		ev.User = nil
	}
	if ev.Context = bytes.TrimSpace(ev.Context); len(ev.Context) == 0 {
		ev.Context = nil
	}
	if ev.Brand = bytes.TrimSpace(ev.Brand); len(ev.Brand) == 0 {
		ev.Brand = nil
	}
}

// sameAs refuses an event whose raw JSON does not stay where it was put: text
// such as `{},"user":{"username":"root"}` for a context would be valid JSON once
// it stands in the event, and a forgery.
func (e *Encoder) sameAs(ev *schemas.Event) error {
	same := bytes.Equal(e.decoded.User, ev.User) && bytes.Equal(e.decoded.Context, ev.Context) &&
		bytes.Equal(e.decoded.Brand, ev.Brand) &&
		slices.EqualFunc(e.decoded.Extra, ev.Extra, func(a, b schemas.Member) bool {
			return bytes.Equal(a.Name, bytes.TrimSpace(b.Name)) && bytes.Equal(a.Value, bytes.TrimSpace(b.Value))
		})
	if !same {
		return fmt.Errorf("%w: user, context, brand or an extra member is not one JSON value", ErrInvalid)
	}
	return nil
}

// JSON checks an event that is JSON already. Its bytes stay as they are; only a
// missing action and a missing pk are added, before the closing brace. The text
// is copied. The error is ErrInvalid or ErrTooLarge.
func (e *Encoder) JSON(text []byte) (Message, error) {
	if err := e.decode(text); err != nil {
		return Message{}, err
	}
	m := Message{pk: e.decoded.PK, tenant: e.tenant, action: e.decoded.Action, app: e.decoded.App}
	root := e.decoder.Tape.Tokens[0]
	c := completion{text: append(make([]byte, 0, len(text)+added), text...), end: int(root.End) - 1, empty: root.Next == 1}
	if m.action == "" {
		if e.Action == "" {
			return Message{}, fmt.Errorf("%w: %w", ErrInvalid, ErrNoAction)
		}
		m.action = e.Action
		c.add("action", m.action)
	}
	if m.pk == uuid.Nil {
		if m.pk = newPK(); e.NewPK != nil {
			m.pk = e.NewPK(c.text)
		}
		c.add("pk", m.pk.String())
	}
	m.json = c.text
	if len(m.json) > schemas.MaxRawBytes {
		return Message{}, tooLarge(len(m.json))
	}
	return m, nil
}

// added is room for what JSON adds: an action of 64, a pk of 36 and their names.
const added = len(`,"action":"",`) + 64 + len(`"pk":""`) + 36

func (e *Encoder) decode(text []byte) error {
	if len(text) > schemas.MaxRawBytes {
		return tooLarge(len(text))
	}
	if err := e.decoder.Decode(text, &e.decoded); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

func tooLarge(size int) error {
	return fmt.Errorf("%w: %d bytes of at most %d", ErrTooLarge, size, schemas.MaxRawBytes)
}

func newPK() uuid.UUID {
	return uuid.Must(uuid.NewV7()) // fails only without a source of randomness, when crypto/rand panics first
}

// completion adds members to the text of a JSON object.
type completion struct {
	text  []byte
	end   int // where the closing brace is
	empty bool
}

// add puts one more member before the closing brace.
func (c *completion) add(name, value string) {
	member := make([]byte, 0, len(name)+len(value)+len(`,"":""`))
	if !c.empty {
		member = append(member, ',')
	}
	member = jsontoken.AppendString(member, name)
	member = jsontoken.AppendString(append(member, ':'), value)
	c.text = slices.Insert(c.text, c.end, member...)
	c.end += len(member)
	c.empty = false
}
