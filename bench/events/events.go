// Package events has what all that is measured is fed with: the events of producer
// generate, made beforehand, so that making them costs nothing while something is
// measured. 5 % of them carry a secret.
package events

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/google/uuid"

	"sluice/producer/generate"
	"sluice/redactor/redact"
)

// Event is one event as JSON.
type Event struct {
	JSON   []byte
	PK     string
	Action string
	// Redacted is the header that says what was masked, of a pool that was redacted.
	Redacted string
}

// Pool makes events from a fixed number of made-up ones, over and over, each with a
// pk of its own. It is not safe for concurrent use.
type Pool struct {
	events []Event
	next   int
	ids    ids
}

// pkAt is where the pk stands in an event of producer generate, behind {"pk":" at its beginning.
const (
	pkAt  = len(`{"pk":"`)
	pkLen = 36
)

// NewPool makes count events of at least size bytes; with a size below that of the
// generated ones, 1 KB in the median, they stay what they are. Larger ones carry
// other events in their context, secrets included, so that their bytes are
// those of real events too. start is when the first one happened.
func NewPool(count, size int, seed uint64, start time.Time) (*Pool, error) {
	g := generate.New(generate.Config{Seed: seed, Start: start, Interval: 50 * time.Millisecond})
	p := &Pool{events: make([]Event, count), ids: ids{seed: seed, ms: uint64(start.UnixMilli())}}
	for i := range p.events {
		ev := g.Next()
		json, err := enlarge(ev.JSON, size, func() []byte { return g.Next().JSON })
		if err != nil {
			return nil, err
		}
		if !bytes.HasPrefix(json[pkAt:], []byte(ev.PK)) {
			return nil, fmt.Errorf("a generated event does not begin with its pk, but with %.8q", json)
		}
		p.events[i] = Event{JSON: json, PK: ev.PK, Action: ev.Action}
	}
	return p, nil
}

var contextMember = []byte(`"context":{`)

// enlarge puts more events into an event's context, as a list.
func enlarge(event []byte, size int, more func() []byte) ([]byte, error) {
	if len(event) >= size {
		return event, nil
	}
	at := bytes.Index(event, contextMember)
	if at < 0 {
		return nil, errors.New("a generated event has no context")
	}
	at += len(contextMember)
	out := append(make([]byte, 0, size+2048), event[:at]...)
	out = append(out, `"related":[`...)
	for n := 0; n == 0 || len(out)+len(event)-at < size; n++ {
		if n > 0 {
			out = append(out, ',')
		}
		out = append(out, more()...)
	}
	out = append(out, ']')
	if event[at] != '}' {
		out = append(out, ',')
	}
	return append(out, event[at:]...), nil
}

// Redact makes the pool's events what the redactor makes of them: what EVENTS_CLEAN
// holds.
func (p *Pool) Redact() error {
	engine, err := redact.New(redact.Config{})
	if err != nil {
		return err
	}
	for i := range p.events {
		result, err := engine.Redact(nil, p.events[i].JSON)
		if err != nil {
			return fmt.Errorf("redact a generated event: %w", err)
		}
		p.events[i].JSON, p.events[i].Redacted = result.Clean, result.Header()
	}
	return nil
}

// Next is the next event. Its JSON is good until the pool comes round to it again.
func (p *Pool) Next() Event {
	ev := &p.events[p.next]
	p.next = (p.next + 1) % len(p.events)
	p.ids.write(ev.JSON[pkAt : pkAt+pkLen])
	ev.PK = string(ev.JSON[pkAt : pkAt+pkLen])
	return *ev
}

// MeanBytes is the mean size of the pool's events.
func (p *Pool) MeanBytes() int {
	sum := 0
	for i := range p.events {
		sum += len(p.events[i].JSON)
	}
	return sum / len(p.events)
}

// WriteLines writes the next n events as NDJSON.
func (p *Pool) WriteLines(to io.Writer, n int) error {
	w := bufio.NewWriterSize(to, 1<<18)
	for range n {
		if _, err := w.Write(p.Next().JSON); err != nil {
			return err
		}
		if err := w.WriteByte('\n'); err != nil {
			return err
		}
	}
	return w.Flush()
}

// ids makes UUIDs of version 7 in ascending order, as producers do, one to a
// microsecond or so of the time they tell; without asking a clock or randomness.
type ids struct {
	seed, ms, n uint64
}

func (s *ids) write(to []byte) {
	var id uuid.UUID
	s.n++
	const perMilli = 1000
	binary.BigEndian.PutUint64(id[:], (s.ms+s.n/perMilli)<<16|0x7000|s.n%perMilli)
	// What stands behind the time is spread, as randomness is.
	spread := (s.n ^ s.seed<<40) * 0x9e3779b97f4a7c15
	binary.BigEndian.PutUint64(id[8:], spread>>2|1<<63)
	encoded, _ := id.MarshalText() // has no error
	copy(to, encoded)
}

// Probe is an event that makes an alert of its own: by its action, which the
// built-in rules alert on, and its app, which no other event has, so that neither
// grouping nor a storm holds the alert back.
func Probe(i int, at time.Time) Event {
	pk := uuid.NewString()
	const action = "configuration_error"
	json := fmt.Appendf(nil, `{"pk":%q,"action":%q,"app":"bench-%d","created":%q,"context":{"message":%s}}`,
		pk, action, i, at.UTC().Format(time.RFC3339Nano), strconv.Quote("probe of the benchmark"))
	return Event{JSON: json, PK: pk, Action: action}
}
