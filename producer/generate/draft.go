package generate

import (
	"strings"
	"time"
)

// retention is how long an event lives that says so itself: authentik's default.
const retention = 365 * 24 * time.Hour

// draft is the event being made. Its buffers serve one event after the other.
type draft struct {
	line
	org    *organisation
	random *random
	action *action
	step   step

	planted line   // members of the context that hold secrets
	args    []byte // the request's arguments if they hold a secret, else empty
	secrets []Secret

	method, path string // of the request, set by the action
	query        string // the request's arguments, JSON, set by the action
}

func (d *draft) begin(st step, a *action, r *random) {
	d.step, d.action, d.random = st, a, r
	d.buf, d.planted.buf, d.args = d.buf[:0], d.planted.buf[:0], d.args[:0]
	d.secrets = nil
	d.method, d.path, d.query = "GET", "/", "{}"
}

// holds notes a planted secret.
func (d *draft) holds(carrier, pointer, value, encoded string) {
	d.secrets = append(d.secrets, Secret{Value: value, Encoded: encoded, Pointer: pointer, Carrier: carrier})
}

// taken tells whether a planted secret stands in the context's member key, which
// the action must then leave out: a key twice would hide the first value.
func (d *draft) taken(key string) bool {
	for _, s := range d.secrets {
		rest, found := strings.CutPrefix(s.Pointer, "/context/"+key)
		if found && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// request says which request caused the event; args is JSON.
func (d *draft) request(method, path, args string) {
	d.method, d.path, d.query = method, path, args
}

// write writes the whole event, in the order of authentik's API.
func (d *draft) write(pk string, created time.Time) {
	d.buf = append(d.buf, '{')
	d.str("pk", pk)
	d.writeUser()
	d.str("action", d.action.name)
	d.str("app", d.action.app)
	d.writeContext()
	if d.action.background {
		d.raw("client_ip", "null")
	} else {
		d.str("client_ip", d.step.from.ip)
	}
	d.time("created", created)
	if d.random.oneIn(4) {
		d.time("expires", created.Add(retention))
	}
	brand := &d.org.brands[0]
	if d.step.who != nil {
		brand = d.step.who.brand
	}
	d.raw("brand", brand.json)
	d.end()
}

func (d *draft) writeContext() {
	d.object("context")
	d.action.context(d)
	if len(d.planted.buf) > 0 {
		d.separate()
		d.buf = append(d.buf, d.planted.buf...)
	}
	if !d.action.background {
		d.members(d.step.from.network.json)
		d.writeRequest()
	}
	d.end()
}

func (d *draft) writeRequest() {
	d.object("http_request")
	d.key("args")
	if len(d.args) > 0 {
		d.buf = append(d.buf, d.args...)
	} else {
		d.buf = append(d.buf, d.query...)
	}
	d.str("path", d.path)
	d.str("method", d.method)
	d.hex("request_id", [2]uint64{d.random.next(), d.random.next()})
	d.str("user_agent", d.step.from.agent)
	d.end()
}

// model writes a member that names one of authentik's objects.
func (d *draft) model(key, pk, app, name, model string) {
	d.reference(key, `"`+pk+`"`, app, name, model)
}

// reference is model with the pk in JSON, which is a number for some objects.
func (d *draft) reference(key, pk, app, name, model string) {
	d.object(key)
	d.raw("pk", pk)
	d.str("app", app)
	d.str("name", name)
	d.str("model_name", model)
	d.end()
}

// anonymousUser is how authentik names who has not logged in.
const anonymousUser = `"pk":2,"email":"","username":"AnonymousUser","is_anonymous":true`

// writeUser writes one of authentik's forms: nobody, somebody, somebody on
// behalf of another, somebody who is not logged in yet, and the anonymous user.
func (d *draft) writeUser() {
	d.object("user")
	who := d.step.who
	switch {
	case d.action.background:
	case d.step.anonymous && d.action.unidentified:
		d.members(anonymousUser)
	case d.step.anonymous && d.step.kind == loginFailed: // a known name, or one that nobody has
		if d.random.oneIn(2) {
			d.members(who.json)
		} else {
			d.members(anonymousUser)
		}
	case d.step.anonymous:
		d.members(who.json)
		d.object("authenticated_as")
		d.members(anonymousUser)
		d.end()
	default:
		d.members(who.json)
		if who.impersonating != nil {
			d.object("on_behalf_of")
			d.members(who.impersonating.json)
			d.end()
		}
	}
	d.end()
}

// time writes a member in RFC 3339, UTC, with microseconds.
func (d *draft) time(key string, t time.Time) {
	d.key(key)
	d.buf = t.AppendFormat(d.buf, `"2006-01-02T15:04:05.000000Z"`)
}

// uuid7 makes a UUID of version 7 (RFC 9562): the milliseconds of its time, then
// 12 bits of the fraction of the millisecond (its method 3), so that the ids of
// a run rise with time, then random bits.
func (d *draft) uuid7(created time.Time) string {
	micros := uint64(created.UnixMicro())
	high := micros/1000<<16 | 7<<12 | micros%1000*4096/1000
	low := 2<<62 | d.random.next()>>2
	b := make([]byte, 0, 36)
	var digits [32]byte
	appendHex(appendHex(digits[:0], high), low)
	for i, c := range digits {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			b = append(b, '-')
		}
		b = append(b, c)
	}
	return string(b)
}
