package notifier

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/notifier/rules"
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

// observation is what the rules make of an event.
type observation struct {
	// rule names the rules that matched, why says for a person by what, and what
	// makes two events the same trouble.
	rule, why string
	severity  schemas.Severity
	receivers []string
	// quiet names the quiet hours that hold its alert back, "" for none.
	quiet string
	// versions makes one alert for each new version of a product.
	versions bool
	// custom are the names of the rules where a file decided: they are part of
	// the group, since each may have other receivers.
	custom []string
	// key names the group in the store.
	key                 string
	tenant, action, app string
	fingerprint         fingerprint
	title, message      string
	// version is what an update is available to, "" for rules without versions.
	version string
	// kind tells a storm which group it would have been.
	kind uint64
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
	errNoRule = errors.New("no rule matches")
)

// reader turns events into observations. It keeps its memory and is not safe for
// concurrent use.
type reader struct {
	rules *rules.Set
	clean *cleaner
	// broken and badTemplate take note of a rule that cannot be applied to an
	// event; both may be nil.
	broken func(rule string)
	// passed takes note of the rules that do not match; it may be nil.
	passed  func(rules.Passed)
	decoder schemas.Decoder

	because, becauseRule, becauseBasis string
	event                              schemas.Event
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
	if err := r.decoder.Decode(in.data, &r.event); err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	if r.event.App == source {
		return nil, errOwn
	}
	event := rules.Event{
		Tenant: tenant, Action: action, App: r.event.App, Address: r.event.ClientIP,
		User: r.event.User, Brand: r.event.Brand, Data: in.data,
	}
	decision, ok, broken := r.rules.Decide(&event, r.passed)
	for _, name := range broken {
		r.complain(name)
	}
	if !ok {
		return nil, errNoRule
	}
	o := &observation{
		rule: strings.Join(decision.Rules, ","), severity: decision.Severity, receivers: decision.Receivers,
		quiet: decision.Quiet, versions: decision.Versions,
		tenant: tenant, action: action, app: cutBytes(r.event.App, maxAppBytes),
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
	if decision.Custom {
		o.custom = decision.Rules
	}
	if decision.Versions {
		o.describeVersion(tape, context)
	} else {
		o.describeTrouble(tape, context)
	}
	o.why = r.why(o, &decision)
	r.word(o, &event, &decision)
	return o, nil
}

// why says by what the event became an alert. It remembers the last: a flood comes
// for one reason.
func (r *reader) why(o *observation, decision *rules.Decision) string {
	if r.because == "" || r.becauseRule != o.rule || r.becauseBasis != o.fingerprint.basis {
		r.becauseRule, r.becauseBasis = o.rule, o.fingerprint.basis
		r.because = fmt.Sprintf("rule %s matched %s; the same trouble is known by: %s",
			o.rule, titleOf(decision.Matched()), o.fingerprint.basis)
	}
	return r.because
}

// word applies the rule's templates, and takes out of the texts what must not be
// shown: a template may have put a credential together.
func (r *reader) word(o *observation, event *rules.Event, decision *rules.Decision) {
	texts := rules.Texts{Title: o.title, Message: o.message, Fingerprint: o.fingerprint.text, Rule: o.rule}
	render := func(t *rules.Template, plain string) string {
		if t == nil {
			return plain
		}
		text, err := t.Render(event, texts)
		if err != nil {
			r.complain(decision.Rules[0])
			return plain
		}
		return text
	}
	title, message := r.clean.texts(o.tenant, render(decision.Title, o.title), render(decision.Message, o.message))
	if title = titleOf(title); title != "" {
		o.title = title
	} else {
		o.title = titleOf(o.action)
	}
	o.message = cutBytes(message, maxMessageBytes)
}

func (r *reader) complain(rule string) {
	if r.broken != nil {
		r.broken(rule)
	}
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
	o.key = groupKey(o.tenant, o.action, o.fingerprint.text, o.custom...)
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
	o.key = groupKey(o.tenant, o.action, digest("product", product), o.custom...)
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
	c.versions, c.version = false, ""
	c.fingerprint = fingerprint{digest("overflow"), basisOverflow}
	c.key = groupKey(o.tenant, o.action, c.fingerprint.text, o.custom...)
	c.title = fmt.Sprintf("More than %d different alerts are open: further ones by %s are counted here", maxGroups, o.action)
	return &c
}

// groupKey names a group in the store: the tenant, for permissions by tenant,
// and a digest of all that makes it this group.
func groupKey(tenant, action, identity string, rules ...string) string {
	return tenant + "." + hexDigest(append([]string{fingerprintVersion, tenant, action, identity}, rules...)...)
}
