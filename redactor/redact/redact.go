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
// It does not read, write, log, count or look at a clock; it knows neither
// broker nor file. What it returns besides the event, paths and rule names, holds
// no values.
package redact

import (
	"errors"
	"fmt"
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
}

// Engine redacts. It is safe for concurrent use.
type Engine struct {
	maxBytes int
	rules    []Rule
	scratch  sync.Pool // of *walk
}

// New returns an engine for the configuration.
func New(cfg Config) (*Engine, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = schemas.MaxRawBytes
	}
	if cfg.MaxBytes < 0 || cfg.MaxBytes > schemas.MaxPayloadBytes {
		return nil, fmt.Errorf("redact at most %d bytes: want 1 to %d", cfg.MaxBytes, schemas.MaxPayloadBytes)
	}
	e := &Engine{maxBytes: cfg.MaxBytes, rules: rules()}
	e.scratch.New = func() any { return new(walk) }
	return e, nil
}

// Rules lists what the engine goes by, in no particular order of precedence.
func (e *Engine) Rules() []Rule { return append([]Rule(nil), e.rules...) }

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

// Mask is one place at which something was masked.
type Mask struct {
	// Pointer is the JSON Pointer (RFC 6901) of the value.
	Pointer string
	// Rule is the name of the rule.
	Rule string
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
	if err := decode(w, src); err != nil {
		w.release(e)
		return Result{}, err
	}
	w.begin(dst, src)
	if err := w.run(); err != nil {
		w.release(e)
		return Result{}, err
	}
	result = w.result(e.rules)
	w.release(e)
	return result, nil
}

// decodeEvent reads src by the contract of events.
func (w *walk) decodeEvent(src []byte) error { return w.decoder.Decode(src, &w.event) }

// decodeJSON reads src as JSON of any kind.
func (w *walk) decodeJSON(src []byte) error {
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

// maxKeptBytes is how much scratch memory is kept for the next event: some
// hundred times what a usual event needs.
const maxKeptBytes = 1 << 20

// release gives the scratch memory back, without what it points to of the event,
// so that a payload is not held longer than its event.
func (w *walk) release(e *Engine) {
	clear(w.event.Extra)
	w.event = schemas.Event{Extra: w.event.Extra[:0]}
	w.src, w.dst, w.tokens = nil, nil, nil
	if w.size() <= maxKeptBytes {
		e.scratch.Put(w)
	}
}
