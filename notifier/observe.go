package notifier

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sluice/schemas"
	"sluice/schemas/jsontoken"
)

// source is the notifier's name in its alerts. Events with this app are its own
// and never become alerts: it must not answer itself.
const source = "sluice/notifier"

// The bounds of what an alert shows.
const (
	// maxTitle is in characters: what a phone's lock screen shows.
	maxTitle = 120
	// maxMessageBytes is some hundred lines.
	maxMessageBytes = 8 << 10
	maxAppBytes     = 256
	maxVersionBytes = 128
	// maxSampleBytes is how large an event may be that an alert carries with
	// it; ten thousand groups of that size fit the store. Larger ones are in
	// ClickHouse.
	maxSampleBytes = 32 << 10
	// maxTraceParent is the length of a W3C traceparent, with room for a later
	// version's.
	maxTraceParent = 128
)

// incoming is a clean event as it came.
type incoming struct {
	subject     string
	data        []byte
	traceParent string
	// stream is when EVENTS_CLEAN was created, in Unix nanoseconds.
	stream   int64
	sequence uint64
	storedAt time.Time
}

// observation is what a rule sees in an event.
type observation struct {
	rule rule
	// key names the group in the store.
	key                 string
	tenant, action, app string
	fingerprint         fingerprint
	title, message      string
	// version is what an update is available to, "" for rules without versions.
	version string
	// sample is the event, nil if it is too large to be shown.
	sample      json.RawMessage
	traceParent string
	stream      int64
	sequence    uint64
	// seenAt is when it happened, storedAt when the clean stream stored it.
	seenAt, storedAt time.Time
}

// Why an event is not observed.
var (
	errOwn    = errors.New("the notifier's own event")
	errNoRule = errors.New("no rule for the action")
)

// reader turns events into observations. It keeps its memory and is not safe for
// concurrent use.
type reader struct {
	rules   []rule
	decoder schemas.Decoder
	event   schemas.Event
}

// read observes one event. The error is errOwn, errNoRule or says, without any
// of the event, why it cannot be read.
func (r *reader) read(in incoming) (*observation, error) {
	tenant, action, err := schemas.ParseEventSubject(in.subject)
	if err != nil {
		return nil, err
	}
	if err := schemas.CheckTenant(tenant); err != nil {
		return nil, err
	}
	matched, ok := match(r.rules, action)
	if !ok {
		return nil, errNoRule
	}
	if err := r.decoder.Decode(in.data, &r.event); err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	if r.event.App == source {
		return nil, errOwn
	}
	o := &observation{
		rule: matched, tenant: tenant, action: action, app: cutBytes(r.event.App, maxAppBytes),
		stream: in.stream, sequence: in.sequence, storedAt: in.storedAt.UTC(),
		seenAt: seenAt(r.event.Created, in.storedAt),
	}
	if len(in.data) <= maxSampleBytes {
		o.sample = in.data
	}
	if len(in.traceParent) <= maxTraceParent {
		o.traceParent = in.traceParent
	}
	tape := &r.decoder.Tape
	context, ok := tape.Member(0, "context")
	if !ok {
		context = -1
	}
	if matched.versions {
		o.describeVersion(tape, context)
	} else {
		o.describeTrouble(tape, context)
	}
	return o, nil
}

// seenAt is the event's own time, to the microsecond like all times here, but
// never later than it was stored: a clock that runs fast would make an alert of
// tomorrow.
func seenAt(created, storedAt time.Time) time.Time {
	if created.IsZero() || created.After(storedAt) {
		created = storedAt
	}
	return created.UTC().Truncate(time.Microsecond)
}

// describeTrouble fills in what an exception or a message tells. The context is
// at that index of the tape, -1 if there is none.
func (o *observation) describeTrouble(tape *jsontoken.Tape, context int) {
	t := trouble{app: o.app}
	if context >= 0 {
		t.own = readOwnFingerprint(tape, context)
		t.message = memberText(tape, context, maxMessageBytes, "message", "error", "detail")
		if i, ok := tape.Member(context, "exception"); ok {
			t.exception = readException(tape, i)
		}
	}
	o.fingerprint = fingerprintOf(t)
	o.key = groupKey(o.tenant, o.action, o.fingerprint.text)
	o.title, o.message = t.words(o.action)
}

// words makes a title and a message of what there is.
func (t *trouble) words(action string) (title, message string) {
	said := t.exception.value
	if t.exception.kind != "" {
		said = t.exception.kind
		if t.exception.value != "" {
			said += ": " + t.exception.value
		}
	}
	if said == "" {
		said = t.exception.text
	}
	fallback := action
	if t.app != "" {
		fallback = action + " in " + t.app
	}
	title, message = titleOf(t.message), t.message
	switch {
	case title == "" && said != "":
		title, message = titleOf(said), said
	case title != "" && title == titleOf(t.exception.value) && t.exception.kind != "":
		// A message that only repeats the exception: its type is worth a word.
		title = titleOf(said)
	}
	if title == "" {
		title, message = titleOf(fallback), fallback
	}
	return title, cutBytes(message, maxMessageBytes)
}

// describeVersion fills in which product has which new version.
func (o *observation) describeVersion(tape *jsontoken.Tape, context int) {
	product, message, shown := o.app, "", ""
	if context >= 0 {
		if named := memberText(tape, context, maxAppBytes, "product"); named != "" {
			product = named
		}
		message = memberText(tape, context, maxMessageBytes, "message")
		if i, ok := member(tape, context, "new_version", "version"); ok {
			shown = scalarText(tape, i, maxMessageBytes)
			o.version = versionName(shown)
		}
	}
	if o.version == "" {
		// Without a version it is the message that is new or not.
		o.version = fingerprintOf(trouble{app: o.app, message: message}).text
	}
	o.fingerprint = fingerprint{digest("version", product, o.version), basisVersion}
	o.key = groupKey(o.tenant, o.action, digest("product", product))
	fallback := "An update is available"
	if product != "" {
		fallback = product + ": an update is available"
	}
	if shown != "" {
		fallback += ": " + shown
	}
	// The version is the news; a message, as authentik writes it, is a link to
	// what has changed.
	if o.title = titleOf(message); o.title == "" || shown != "" {
		o.title = titleOf(fallback)
	}
	if message == "" {
		message = fallback
	}
	o.message = cutBytes(message, maxMessageBytes)
}

// overflow turns the observation into one of the group that counts what there
// is no room for to keep apart.
func (o *observation) overflow() *observation {
	c := *o
	c.rule.versions, c.version = false, ""
	c.fingerprint = fingerprint{digest("overflow"), basisOverflow}
	c.key = groupKey(o.tenant, o.action, c.fingerprint.text)
	c.title = fmt.Sprintf("More than %d different alerts are open: further ones by %s are counted here", maxGroups, o.action)
	return &c
}

// groupKey names a group in the store: the tenant, for permissions by tenant,
// and a digest of all that makes it this group.
func groupKey(tenant, action, identity string) string {
	return tenant + "." + hexDigest(fingerprintVersion, tenant, action, identity)
}
