package schemas

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"
	"unsafe"

	"github.com/google/uuid"

	"sluice/schemas/jsontoken"
)

// Reason is why an event was quarantined; the set is closed.
type Reason string

// The reasons for quarantine. All but the last are the redactor's.
const (
	// ReasonInvalidJSON is text that is not JSON (RFC 8259) in UTF-8.
	ReasonInvalidJSON Reason = "invalid_json"
	// ReasonNotAnObject is JSON whose root is not an object.
	ReasonNotAnObject Reason = "not_an_object"
	// ReasonInvalidField is a field of the contract that has the wrong type or
	// form, or stands there twice.
	ReasonInvalidField Reason = "invalid_field"
	// ReasonActionMismatch is an action unlike the subject's.
	ReasonActionMismatch Reason = "action_mismatch"
	// ReasonTooLarge is an event over MaxRawBytes, or one whose clean form the
	// broker does not take.
	ReasonTooLarge Reason = "too_large"
	// ReasonTooDeep is an event nested deeper than MaxDepth.
	ReasonTooDeep Reason = "too_deep"
	// ReasonInternal is a defect of the redactor itself: when in doubt, closed.
	ReasonInternal Reason = "internal"
	// ReasonStorageRefused is a clean event that ClickHouse will not take.
	ReasonStorageRefused Reason = "storage_refused"
)

// Reasons lists every reason, for whoever must name them all.
func Reasons() []Reason {
	return []Reason{
		ReasonInvalidJSON, ReasonNotAnObject, ReasonInvalidField, ReasonActionMismatch,
		ReasonTooLarge, ReasonTooDeep, ReasonInternal, ReasonStorageRefused,
	}
}

// Rejection is the error for an event that breaks the contract. Its text names
// the field and the place, never what stands there.
type Rejection struct { //nolint:errname // what it is, not that it is one; schemas.Rejection reads as such
	Reason Reason
	// Field is the field of the contract at fault, "" where it is none.
	Field string
	err   error
}

// Error implements error.
func (r *Rejection) Error() string {
	switch {
	case r.Field != "" && r.err != nil:
		return fmt.Sprintf("%s: field %q: %v", r.Reason, r.Field, r.err)
	case r.Field != "":
		return fmt.Sprintf("%s: field %q", r.Reason, r.Field)
	case r.err != nil:
		return fmt.Sprintf("%s: %v", r.Reason, r.err)
	}
	return string(r.Reason)
}

// Unwrap returns what was found wrong.
func (r *Rejection) Unwrap() error { return r.err }

// Decoder decodes events. A Decoder that is used again keeps its memory. It is
// not safe for concurrent use.
type Decoder struct {
	// Tape holds every token of the event decoded last; its root is the event.
	Tape jsontoken.Tape

	apps    map[string]string // the texts of app and action that came before
	scratch []byte            // the text of an escaped string
}

// Decode reads one event, which must stay unchanged while ev and the tape are in
// use: ev's raw fields point into it. The error is a *Rejection.
func (d *Decoder) Decode(src []byte, ev *Event) error {
	extra := ev.Extra[:0]
	*ev = Event{}
	if len(src) > MaxPayloadBytes {
		return &Rejection{Reason: ReasonTooLarge, err: fmt.Errorf("%d bytes of at most %d", len(src), MaxPayloadBytes)}
	}
	if err := d.Tape.Parse(src, MaxDepth); err != nil {
		if errors.Is(err, jsontoken.ErrDepth) {
			return &Rejection{Reason: ReasonTooDeep, err: fmt.Errorf("more than %d levels", MaxDepth)}
		}
		return &Rejection{Reason: ReasonInvalidJSON, err: err}
	}
	root := d.Tape.Tokens[0]
	if root.Kind != jsontoken.Object {
		return &Rejection{Reason: ReasonNotAnObject}
	}
	var seen [len(fieldNames)]bool
	for key := 1; key < int(root.Next); key = int(d.Tape.Tokens[key+1].Next) {
		field := d.field(key)
		if field < 0 {
			extra = append(extra, Member{Name: d.Tape.Bytes(key), Value: d.Tape.Bytes(key + 1)})
			continue
		}
		if seen[field] {
			return &Rejection{Reason: ReasonInvalidField, Field: fieldNames[field], err: errTwice}
		}
		seen[field] = true
		if err := d.set(ev, field, key+1); err != nil {
			return &Rejection{Reason: ReasonInvalidField, Field: fieldNames[field], err: err}
		}
	}
	ev.Extra = extra
	return nil
}

// The fields of the contract, in authentik's order.
const (
	fieldPK = iota
	fieldUser
	fieldAction
	fieldApp
	fieldContext
	fieldClientIP
	fieldCreated
	fieldExpires
	fieldBrand
)

var fieldNames = [...]string{"pk", "user", "action", "app", "context", "client_ip", "created", "expires", "brand"}

// longestField is how long the longest name of a field is, with quotes and with each
// letter as an escape.
const longestField = 2 + uint32(len("client_ip")*len(`\u0000`))

// field returns which field the key at that index names, -1 for none.
func (d *Decoder) field(key int) int {
	if name := d.Tape.Tokens[key]; name.End-name.Start > longestField {
		return -1
	}
	switch string(d.text(key)) {
	case "pk":
		return fieldPK
	case "user":
		return fieldUser
	case "action":
		return fieldAction
	case "app":
		return fieldApp
	case "context":
		return fieldContext
	case "client_ip":
		return fieldClientIP
	case "created":
		return fieldCreated
	case "expires":
		return fieldExpires
	case "brand":
		return fieldBrand
	}
	return -1
}

// text returns the text of the string at that index, valid until the next call.
func (d *Decoder) text(i int) []byte {
	quoted := d.Tape.Bytes(i)
	if !d.Tape.Tokens[i].Escaped {
		return quoted[1 : len(quoted)-1]
	}
	d.scratch = jsontoken.AppendText(d.scratch[:0], quoted)
	return d.scratch
}

// maxKnown is how many texts are kept, and maxKnownBytes how long they may be: an
// installation has some dozen apps and actions.
const (
	maxKnown      = 256
	maxKnownBytes = 64
)

// known returns a text as a string, without a copy if it came before.
func (d *Decoder) known(text []byte) string {
	if known, ok := d.apps[string(text)]; ok {
		return known
	}
	own := string(text)
	if len(own) <= maxKnownBytes {
		if d.apps == nil || len(d.apps) >= maxKnown {
			d.apps = make(map[string]string)
		}
		d.apps[own] = own
	}
	return own
}

func (d *Decoder) set(ev *Event, field, value int) (err error) {
	kind, raw := d.Tape.Tokens[value].Kind, d.Tape.Bytes(value)
	switch field {
	case fieldUser, fieldContext, fieldBrand:
		if kind != jsontoken.Object {
			return errNotObject
		}
		switch field {
		case fieldUser:
			ev.User = raw
		case fieldContext:
			ev.Context = raw
		case fieldBrand:
			ev.Brand = raw
		}
		return nil
	case fieldClientIP, fieldExpires:
		if kind == jsontoken.Null {
			return nil
		}
	}
	if kind != jsontoken.String {
		return errNotString
	}
	text := d.text(value)
	switch field {
	case fieldPK:
		ev.PK, err = parsePK(text)
	case fieldAction:
		action := d.known(text)
		if !ValidAction(action) {
			return errAction
		}
		ev.Action = action
	case fieldApp:
		ev.App = d.known(text)
	case fieldClientIP:
		ev.ClientIP, err = parseAddr(text)
	case fieldCreated:
		ev.Created, err = parseTime(text)
	case fieldExpires:
		ev.Expires, err = parseTime(text)
	}
	return err
}

// What can be wrong with a field. None of these quotes the value.
var (
	errTwice     = errors.New("stands there twice")
	errNotObject = errors.New("not an object")
	errNotString = errors.New("not a string")
	errAction    = errors.New("not of the form [a-z][a-z0-9_]*, at most 64 long")
	errUUID      = errors.New("not a UUID of 32 digits, with or without dashes")
	errAddr      = errors.New("not an IPv4 or IPv6 address")
	errTime      = errors.New("not an RFC 3339 time of the years 1900 to 2299")
)

func parsePK(s []byte) (uuid.UUID, error) {
	if len(s) != 36 && len(s) != 32 {
		return uuid.Nil, errUUID
	}
	pk, err := uuid.ParseBytes(s)
	if err != nil || pk == uuid.Nil {
		return uuid.Nil, errUUID
	}
	return pk, nil
}

func parseAddr(s []byte) (netip.Addr, error) {
	if len(s) == 0 {
		return netip.Addr{}, errAddr
	}
	// Nothing keeps the text: an address has none of it but a zone, and that is
	// refused.
	addr, err := netip.ParseAddr(unsafe.String(&s[0], len(s))) //nolint:gosec // read only while s is
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, errAddr
	}
	return addr, nil
}

// parseTime accepts what RFC 3339 does and the table can hold.
func parseTime(s []byte) (time.Time, error) {
	if len(s) > 64 {
		return time.Time{}, errTime
	}
	var t time.Time
	if t.UnmarshalText(s) != nil && t.UnmarshalText(bytes.ToUpper(s)) != nil { // RFC 3339 allows t and z
		return time.Time{}, errTime
	}
	if year := t.UTC().Year(); year < 1900 || year > 2299 {
		return time.Time{}, errTime
	}
	return t, nil
}

func appendUint(dst []byte, n uint64) []byte { return strconv.AppendUint(dst, n, 10) }
