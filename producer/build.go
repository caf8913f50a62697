package producer

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"sluice/schemas"
)

// Option adds to an event that one of the constructors makes.
type Option func(*draft)

// draft is an event whose context is still open.
type draft struct {
	event   schemas.Event
	context map[string]any
}

// User is who did it, in authentik's form. PK is a number or a string.
type User struct {
	PK          any    `json:"pk,omitempty"`
	Username    string `json:"username"`
	Email       string `json:"email,omitempty"`
	IsAnonymous bool   `json:"is_anonymous,omitempty"`
	// OnBehalfOf is whom the user impersonates.
	OnBehalfOf *User `json:"on_behalf_of,omitempty"`
	// AuthenticatedAs is whose session it was where that was another.
	AuthenticatedAs *User `json:"authenticated_as,omitempty"`
}

// Model names an object of a service: the application, the kind of object, its id,
// a number or a string, and what people call it.
type Model struct {
	App       string `json:"app,omitempty"`
	ModelName string `json:"model_name,omitempty"`
	PK        any    `json:"pk,omitempty"`
	Name      string `json:"name,omitempty"`
}

// Brand is the brand, or customer-facing site, that it happened under.
type Brand struct {
	PK        string `json:"pk,omitempty"`
	App       string `json:"app,omitempty"`
	ModelName string `json:"model_name,omitempty"`
	Name      string `json:"name,omitempty"`
}

// By says who did it.
func By(user User) Option { return func(d *draft) { d.event.User = raw(user) } }

// In says in which part of the service it happened.
func In(app string) Option { return func(d *draft) { d.event.App = app } }

// At says when it happened; without it that is now.
func At(t time.Time) Option { return func(d *draft) { d.event.Created = t } }

// Until says when the event is to be forgotten; without it the tenant's retention
// does.
func Until(t time.Time) Option { return func(d *draft) { d.event.Expires = t } }

// Under says under which brand it happened.
func Under(brand Brand) Option { return func(d *draft) { d.event.Brand = raw(brand) } }

// From says from which address it was done.
func From(addr netip.Addr) Option {
	return func(d *draft) { d.event.ClientIP = addr.Unmap().WithZone("") }
}

// ID gives the event an id of the caller's, so that what makes the same event
// twice publishes it once.
func ID(pk uuid.UUID) Option { return func(d *draft) { d.event.PK = pk } }

// With adds to the context, or replaces what is there under that name.
func With(name string, value any) Option { return func(d *draft) { d.context[name] = value } }

// Custom makes an event of any action with any context: a struct, a map or nil.
// What is no JSON object (a channel, a NaN, a list) makes an event that Publish
// refuses with ErrInvalid, and so do the constructors with such values in any.
func Custom(action string, context any, options ...Option) schemas.Event {
	d := draft{event: schemas.Event{Action: action}, context: map[string]any{}}
	for _, option := range options {
		option(&d)
	}
	d.event.Context = merged(context, d.context)
	return d.event
}

// merged is the JSON of context with the members of more in it.
func merged(context any, more map[string]any) json.RawMessage {
	if len(more) == 0 && context != nil {
		return raw(context)
	}
	members := map[string]json.RawMessage{}
	if context != nil && json.Unmarshal(raw(context), &members) != nil {
		return invalid
	}
	if members == nil { // null
		members = map[string]json.RawMessage{}
	}
	for name, value := range more {
		text, err := json.Marshal(value)
		if err != nil {
			return invalid
		}
		members[name] = text
	}
	return raw(members)
}

// invalid is what Publish refuses in place of an object.
var invalid = json.RawMessage(`null`)

func raw(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		return invalid
	}
	return text
}
