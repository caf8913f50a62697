// Package redact takes the credentials out of events.
//
// It owns the decision what a credential is and the bytes that come out: an
// event goes in as it was published, and comes out with every secret replaced by
// the mask and every other byte as it was: number text, order, escapes, white
// space and duplicate keys. It promises to be linear in the size of its input
// whatever that is, to change nothing on a second run, and when in doubt to
// refuse: broken input, a limit or a defect of its own is a
// [schemas.Rejection], never the raw bytes.
//
// # What is masked
//
// A value is a secret because of its name or because of its shape.
//
// By name (package name decides, by words): everything under a member called
// password, apiKey, X-Auth-Token …, objects and lists too; the other half of a
// pair such as {"name":"Authorization","value":…} or ["Cookie","…"]; and the same
// names wherever text has them: in query strings, forms, headers, log lines,
// tracebacks, connection strings, command lines, SQL, XML. A name that may mean a
// secret or something else (key, auth, code) is decided by what stands there.
//
// By shape (package credential knows the formats): tokens of some hundred
// vendors, JSON Web Tokens, private keys, webhook addresses, one-time links; and
// here: passwords in URLs, credentials behind an authentication scheme.
//
// Text is searched as it is and with its encodings undone: JSON inside strings,
// percent-encoding, backslash escapes, base64, in any mixture up to the limits
// below. Only the secret's own span is masked there; of base64 the whole run.
//
// # What is not
//
// Booleans and null hold no secret. Inside a model reference (pk, app,
// model_name) the identity stays, so that the record still says which secret was
// viewed. There is no rule on bare hexadecimal digits, UUIDs or entropy. A
// password in free text with nothing beside it that says so cannot be known, and
// what is encrypted, compressed or encoded in other ways is not looked into.
//
// It does not read, write, log, count or look at a clock; it knows neither
// broker nor file. What it returns besides the event, paths and rule names, holds
// no values.
package redact

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"sluice/schemas"
	"sluice/schemas/jsontoken"
)

// Config says how to redact. The zero value is what the service uses.
type Config struct {
	// MaxBytes is the largest text that is taken, at most
	// schemas.MaxPayloadBytes; 0 is schemas.MaxRawBytes, the contract's limit.
	MaxBytes int
	// Policy are rules for every event.
	Policy Policy
	// Tenants are rules in addition, for the events of these tenants.
	Tenants map[string]Policy
	// Fingerprints are given for what is masked; nil for none.
	Fingerprints *Fingerprints
}

// Engine redacts. It is safe for concurrent use.
type Engine struct {
	maxBytes     int
	rules        []Rule
	policy       *policy
	fingerprints *Fingerprints
	tenants      map[string]*Engine
	scratch      sync.Pool // of *walk
}

// New returns an engine for the configuration.
func New(cfg Config) (*Engine, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = schemas.MaxRawBytes
	}
	if cfg.MaxBytes < 0 || cfg.MaxBytes > schemas.MaxPayloadBytes {
		return nil, fmt.Errorf("redact at most %d bytes: want 1 to %d", cfg.MaxBytes, schemas.MaxPayloadBytes)
	}
	if cfg.Fingerprints != nil {
		if err := cfg.Fingerprints.Validate(); err != nil {
			return nil, err
		}
	}
	book := rulebook{list: builtin()}
	shared, err := book.compile(nil, cfg.Policy)
	if err != nil {
		return nil, err
	}
	policies := map[string]*policy{}
	for _, tenant := range slices.Sorted(maps.Keys(cfg.Tenants)) {
		if policies[tenant], err = book.compile(shared, cfg.Tenants[tenant]); err != nil {
			return nil, fmt.Errorf("tenant %s: %w", tenant, err)
		}
	}
	engineFor := func(p *policy) *Engine {
		e := &Engine{maxBytes: cfg.MaxBytes, rules: book.list, policy: p, fingerprints: cfg.Fingerprints}
		e.scratch.New = func() any { return newWalk(e) }
		return e
	}
	e := engineFor(shared)
	e.tenants = make(map[string]*Engine, len(policies))
	for tenant, p := range policies {
		e.tenants[tenant] = engineFor(p)
	}
	return e, nil
}

// For returns the engine for the events of a tenant: e itself, where the tenant
// has no rules of its own.
func (e *Engine) For(tenant string) *Engine {
	if own, ok := e.tenants[tenant]; ok {
		return own
	}
	return e
}

// Rules lists what the engine goes by, for all tenants, in no particular order of
// precedence.
func (e *Engine) Rules() []Rule { return slices.Clone(e.rules) }

// Result is what became of one event.
type Result struct {
	// Clean is the text with its secrets masked, appended to the dst of the call.
	Clean []byte
	// PK, Action and Created are those of the event, zero where it has none.
	PK      uuid.UUID
	Action  string
	Created time.Time
	// Masked says where something was masked and by which rule, in the order of
	// the text. It is bounded: see Truncated.
	Masked []Mask
	// Truncated tells that more was masked than Masked lists.
	Truncated bool
	// Counts says how often each rule masked something, all of it counted.
	Counts []Count
}

// Mask is one place at which something was masked: once for each rule that found
// something there, and once for each fingerprint.
type Mask struct {
	// Pointer is the JSON Pointer (RFC 6901) of the value in the clean event.
	Pointer string
	// Rule is the name of the rule.
	Rule string
	// Fingerprint is that of the secret, "" if there is none: fingerprints are not
	// configured, or the secret may be a password.
	Fingerprint string
}

// Count is how often a rule masked something in one event.
type Count struct {
	Rule   string
	Masked int
}

// Redact masks one event, appending it to dst. What breaks the contract of
// events is refused with a *[schemas.Rejection], and nothing of it is returned.
func (e *Engine) Redact(dst, src []byte) (Result, error) {
	return e.run(dst, src, (*walk).decodeEvent)
}

// RedactJSON masks any JSON text, event or not, for showing it to a person. What
// is refused is an error that says where, by offset, and quotes nothing.
func (e *Engine) RedactJSON(dst, src []byte) (Result, error) {
	return e.run(dst, src, (*walk).decodeJSON)
}

// run closes the gate behind whatever happens inside: a panic is a refusal, and
// the memory of a walk that panicked is not used again.
func (e *Engine) run(dst, src []byte, decode func(*walk, []byte) error) (result Result, err error) {
	defer func() {
		if recover() != nil {
			result, err = Result{}, &schemas.Rejection{Reason: schemas.ReasonInternal}
		}
	}()
	if len(src) > e.maxBytes {
		return Result{}, &schemas.Rejection{Reason: schemas.ReasonTooLarge}
	}
	w, _ := e.scratch.Get().(*walk)
	w.src = src // release goes by its size
	if err := decode(w, src); err != nil {
		w.release()
		return Result{}, err
	}
	w.begin(dst, src)
	if err := w.run(); err != nil {
		w.release()
		return Result{}, err
	}
	result = w.result()
	w.release()
	return result, nil
}

// decodeEvent reads src by the contract of events.
func (w *walk) decodeEvent(src []byte) error {
	w.contract = true
	return w.decoder.Decode(src, &w.event)
}

// decodeJSON reads src as JSON of any kind.
func (w *walk) decodeJSON(src []byte) error {
	w.contract = false
	w.event = schemas.Event{Extra: w.event.Extra[:0]}
	err := w.decoder.Tape.Parse(src, schemas.MaxDepth)
	switch {
	case errors.Is(err, jsontoken.ErrDepth):
		return &schemas.Rejection{Reason: schemas.ReasonTooDeep}
	case err != nil:
		return fmt.Errorf("%s: %w", schemas.ReasonInvalidJSON, err)
	}
	return nil
}
