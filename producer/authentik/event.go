package authentik

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"sluice/producer"
	"sluice/schemas"
	"sluice/schemas/jsontoken"
)

// App is the app of events from logs, which do not say which part of authentik
// made them.
const App = "authentik"

// reader makes events of log lines. It is for one goroutine.
type reader struct {
	encoder   *producer.Encoder
	namespace uuid.UUID
	location  *time.Location // of times without an offset
	tape      jsontoken.Tape
}

// namespace is the UUIDv5 of "sluice/producer/authentik" in the URL namespace.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("sluice/producer/authentik"))

func newReader(tenant string, location *time.Location) (*reader, error) {
	encoder, err := producer.NewEncoder(tenant)
	if err != nil {
		return nil, err
	}
	return &reader{encoder: encoder, namespace: uuid.NewSHA1(namespace, []byte(tenant)), location: location}, nil
}

// read makes the event of a line that has had its frame taken off. skipped says
// why there is none; err says what is wrong with one that there is.
func (r *reader) read(f framed) (m producer.Message, skipped string, err error) {
	text := bytes.TrimSpace(plain(f.text))
	switch {
	case f.tooLong:
		return m, SkipTooLong, nil
	case len(text) == 0:
		return m, SkipBlank, nil
	case !bytes.Contains(text, created):
		switch i := bytes.Index(text, opening); {
		case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
			return m, SkipNotText, nil
		case i >= 0 && !r.whole(text[i:]):
			return m, SkipTorn, nil
		}
		return m, SkipOther, nil
	}
	object, found, err := r.find(text)
	switch {
	case err != nil:
		return m, "", err
	case object == nil && found:
		return m, SkipOther, nil
	case object == nil:
		return m, SkipTorn, nil
	}
	event, err := r.event(object, f.at)
	if err != nil {
		return m, "", err
	}
	m, err = r.encoder.JSON(event)
	return m, "", err
}

// created is what authentik logs for each event, perhaps escaped once more.
var created = []byte(`"Created Event`)

// opening is how a line of an event begins, since its members are sorted; lines of
// other kinds may begin so too.
var opening = []byte(`{"action": "`)

// maxOpenings is at how many opening braces an event may begin: prefixes of log
// collectors hold a few at most.
const maxOpenings = 16

func (r *reader) whole(object []byte) bool { return r.tape.Parse(object, schemas.MaxDepth) == nil }

// find looks for the log line's object behind whatever stands before it, and
// leaves it on the tape. found tells that there is an object, though none that
// reports an event.
func (r *reader) find(text []byte) (object []byte, found bool, err error) {
	at := 0
	for range maxOpenings {
		i := bytes.IndexByte(text[at:], '{')
		if i < 0 {
			break
		}
		at += i
		switch err := r.tape.Parse(text[at:], schemas.MaxDepth); {
		case errors.Is(err, jsontoken.ErrDepth):
			return nil, false, fmt.Errorf("%w: %s: more than %d levels", producer.ErrInvalid, schemas.ReasonTooDeep, schemas.MaxDepth)
		case err == nil && r.reportsEvent():
			return text[at:], true, nil
		case err == nil:
			return nil, true, nil
		}
		at++
	}
	return nil, false, nil
}

// reportsEvent tells an event's line from one that only speaks of such lines. The
// logger is authentik.events in old versions, authentik.events.models since.
func (r *reader) reportsEvent() bool {
	return r.says("event", "Created Event") && (r.says("logger", "authentik.events.models") || r.says("logger", "authentik.events"))
}

// says tells whether the member is that string.
func (r *reader) says(member, want string) bool {
	value, ok := r.tape.Member(0, member)
	return ok && r.tape.Tokens[value].Kind == jsontoken.String && r.tape.TextIs(value, want)
}

// event writes the event that the object on the tape reports. What the line says
// beyond the event, such as the host that was asked for, goes into a member "log".
func (r *reader) event(object []byte, received time.Time) ([]byte, error) {
	out := make([]byte, 0, len(object)+256)
	out = append(out, `{"pk":"`...)
	out = append(out, uuid.NewSHA1(r.namespace, object).String()...)
	out = append(out, `","app":"`+App+`"`...)
	var log []byte
	stamp, seen := received, map[string]bool{}
	root := r.tape.Tokens[0]
	for key := 1; key < int(root.Next); key = int(r.tape.Tokens[key+1].Next) {
		name := r.tape.Text(key)
		if seen[name] {
			return nil, fmt.Errorf("%w: %s: a member of the log line stands there twice", producer.ErrInvalid, schemas.ReasonInvalidField)
		}
		seen[name] = true
		switch name {
		case "event", "level", "logger":
		case "action", "user", "context", "client_ip":
			out = appendMember(out, r.tape.Bytes(key), r.tape.Bytes(key+1))
		case "timestamp":
			if t, ok := r.time(key + 1); ok {
				stamp = t
			}
		default:
			log = appendMember(log, r.tape.Bytes(key), r.tape.Bytes(key+1))
		}
	}
	if !stamp.IsZero() {
		out = stamp.UTC().AppendFormat(append(out, `,"created":"`...), "2006-01-02T15:04:05.000000Z")
		out = append(out, '"')
	}
	if len(log) > 0 {
		out = append(append(append(out, `,"log":{`...), log[1:]...), '}')
	}
	return append(out, '}'), nil
}

func appendMember(dst, name, value []byte) []byte {
	return append(append(append(append(dst, ','), name...), ':'), value...)
}

// time reads authentik's time: local and without an offset, in old versions the
// seconds since 1970, and whatever else RFC 3339 allows.
func (r *reader) time(value int) (time.Time, bool) {
	switch r.tape.Tokens[value].Kind {
	case jsontoken.Number:
		seconds, err := strconv.ParseFloat(string(r.tape.Bytes(value)), 64)
		if err != nil || seconds <= 0 || seconds > 1e10 {
			return time.Time{}, false
		}
		return time.UnixMicro(int64(seconds * 1e6)), true
	case jsontoken.String:
		text := r.tape.Text(value)
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return t, inRange(t)
		}
		t, err := time.ParseInLocation("2006-01-02T15:04:05.999999999", text, r.location)
		return t, err == nil && inRange(t)
	default:
		return time.Time{}, false
	}
}

// inRange keeps out a time that would make the event invalid.
func inRange(t time.Time) bool {
	return t.UTC().Year() >= 1970 && t.UTC().Year() < 2300
}
