package door

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"sluice/producer"
	"sluice/schemas"
)

// answer tells what became of each event of a request, in order.
type answer struct {
	Stored    int      `json:"stored"`
	Duplicate int      `json:"duplicate"`
	Refused   int      `json:"refused"`
	Results   []result `json:"results"`
}

// What became of an event.
const (
	outcomeStored    = "stored"
	outcomeDuplicate = "duplicate"
	outcomeRefused   = "refused"
)

// result tells what became of one event.
type result struct {
	Index int `json:"index"`
	// Line is where NDJSON has it.
	Line int `json:"line,omitempty"`
	// PK is the event's id; whoever sends the event again sends it with this.
	PK       string   `json:"pk,omitempty"`
	Outcome  string   `json:"outcome"`
	Sequence uint64   `json:"sequence,omitempty"`
	Problem  *problem `json:"problem,omitempty"`
}

// batchProblem is a problem of a request with several events.
type batchProblem struct {
	problem
	answer
}

// chunkBytes is how much of a request is encoded and published at a time, so that
// the copies of its events stay few.
const chunkBytes = 4 << 20

const chunkMsgs = 1000 // the broker's batch

// events handles one event, an array of them, or NDJSON.
func (s *server) events(w http.ResponseWriter, r *http.Request, g *grant) {
	media, encoder, b, ok := s.receive(w, r, g, "application/json", "application/x-ndjson", "application/ndjson", "application/jsonl")
	if !ok {
		return
	}
	defer b.free()
	var pieces []piece
	var err error
	several := true
	if media == "application/json" {
		pieces, several, err = splitJSON(b.text)
	} else {
		pieces, err = splitLines(b.text)
	}
	switch {
	case errors.Is(err, errTooMany):
		writeProblem(w, newProblem(http.StatusRequestEntityTooLarge, err.Error()).about("too_many_events", ""))
	case err != nil:
		writeProblem(w, newProblem(http.StatusBadRequest, err.Error()).about(string(schemas.ReasonInvalidJSON), ""))
	default:
		s.publish(w, r, g, encoder, pieces, several)
	}
}

// receive takes a request in, up to its whole body, which is to be freed; or answers
// why not.
func (s *server) receive(w http.ResponseWriter, r *http.Request, g *grant, types ...string) (
	media string, e *producer.Encoder, b *body, ok bool,
) {
	media, p := mediaType(r, types...)
	if p != nil {
		writeProblem(w, p)
		return "", nil, nil, false
	}
	if e, p = newEncoder(r, g); p != nil {
		writeProblem(w, p.closing())
		return "", nil, nil, false
	}
	if b, p = s.readBody(w, r); p != nil {
		writeProblem(w, p)
		return "", nil, nil, false
	}
	return media, e, b, true
}

// newEncoder makes the encoder of one request: by ?action= and Idempotency-Key.
func newEncoder(r *http.Request, g *grant) (*producer.Encoder, *problem) {
	encoder, err := producer.NewEncoder(g.tenant)
	if err != nil { // the tokens' file has been checked
		return nil, newProblem(http.StatusInternalServerError, "")
	}
	if encoder.Action = r.URL.Query().Get("action"); encoder.Action != "" && !schemas.ValidAction(encoder.Action) {
		return nil, newProblem(http.StatusBadRequest, "?action=: want small letters, digits and _, beginning with a letter, at most 64").
			about(string(schemas.ReasonInvalidField), "action")
	}
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		encoder.NewPK = derivedPK(g.tenant, key)
	}
	return encoder, nil
}

// derivedPK gives the events of a request that have no id the same one each time
// the request is sent with that key.
func derivedPK(tenant, key string) func([]byte) uuid.UUID {
	request := uuid.NewSHA1(uuid.NewSHA1(namespace, []byte(tenant)), []byte(key))
	seen := map[uuid.UUID]int{}
	return func(event []byte) uuid.UUID {
		pk := uuid.NewSHA1(request, event)
		seen[pk]++
		if n := seen[pk]; n > 1 {
			return uuid.NewSHA1(pk, []byte(strconv.Itoa(n)))
		}
		return pk
	}
}

// namespace is the UUIDv5 of "sluice/producer/requests" in the URL namespace.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("sluice/producer/requests"))

// publish stores the events and answers.
func (s *server) publish(w http.ResponseWriter, r *http.Request, g *grant, encoder *producer.Encoder, pieces []piece, several bool) {
	if p := withinRate(g, len(pieces)); p != nil {
		writeProblem(w, p)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Timeout)
	defer cancel()
	out := answer{Results: make([]result, len(pieces))}
	for start := 0; start < len(pieces); {
		start = s.publishChunk(ctx, g, encoder, pieces, out.Results, start)
	}
	for i := range out.Results {
		switch out.Results[i].Outcome {
		case outcomeStored:
			out.Stored++
		case outcomeDuplicate:
			out.Duplicate++
		default:
			out.Refused++
		}
	}
	s.metrics.events.WithLabelValues(g.name, outcomeStored).Add(float64(out.Stored))
	s.metrics.events.WithLabelValues(g.name, outcomeDuplicate).Add(float64(out.Duplicate))
	s.metrics.events.WithLabelValues(g.name, outcomeRefused).Add(float64(out.Refused))
	reply(w, &out, several)
}

func withinRate(g *grant, events int) *problem {
	now := time.Now()
	reservation := g.limit.ReserveN(now, events)
	if delay := reservation.DelayFrom(now); delay > 0 {
		reservation.CancelAt(now)
		return newProblem(http.StatusTooManyRequests, "more events than this token may send (PRODUCER_RATE)").about("rate_limited", "").after(delay)
	}
	return nil
}

// publishChunk encodes and publishes some of the events, from start on, and
// returns where it stopped.
func (s *server) publishChunk(ctx context.Context, g *grant, encoder *producer.Encoder, pieces []piece, results []result, start int) int {
	var messages []producer.Message
	var at []int
	end, size := start, 0
	for ; end < len(pieces) && len(messages) < chunkMsgs && size < chunkBytes; end++ {
		results[end] = result{Index: end, Line: pieces[end].line, Outcome: outcomeRefused}
		m, err := encoder.JSON(pieces[end].text)
		switch {
		case err != nil:
			results[end].Problem = problemOf(err)
		case !g.allows(m.Action()):
			results[end].Problem = newProblem(http.StatusForbidden, "this token may not publish events of this action").about("action", "action")
		default:
			messages, at = append(messages, m), append(at, end)
			size += len(m.JSON())
		}
	}
	var acks []producer.Ack
	if len(messages) == 1 { // it shares a batch with what comes by other requests
		acks = []producer.Ack{s.publisher.PublishMessage(ctx, messages[0])}
	} else if len(messages) > 0 {
		acks = s.publisher.PublishMessages(ctx, messages)
	}
	for i, ack := range acks {
		one := &results[at[i]]
		one.PK = ack.PK.String()
		switch {
		case ack.Err != nil:
			one.Problem = problemOf(ack.Err)
		case ack.Duplicate:
			one.Outcome, one.Sequence = outcomeDuplicate, ack.Sequence
		default:
			one.Outcome, one.Sequence = outcomeStored, ack.Sequence
		}
	}
	return end
}

// reply answers: 202 if all are stored, 207 if some are, and otherwise with the
// problem of the first that is not for the client to mend, or that all share.
func reply(w http.ResponseWriter, out *answer, several bool) {
	if out.Refused == 0 {
		writeJSON(w, "application/json", http.StatusAccepted, out)
		return
	}
	worst := worstOf(out.Results)
	worst.headers(w.Header())
	if out.Refused < len(out.Results) {
		writeJSON(w, "application/json", http.StatusMultiStatus, out)
		return
	}
	whole := batchProblem{problem: *worst, answer: *out}
	if several {
		whole.Detail = fmt.Sprintf("none of %d events is stored; the problem of each is in results", len(out.Results))
		whole.Reason, whole.Field, whole.Pointer = "", "", ""
	}
	writeJSON(w, "application/problem+json", whole.Status, &whole)
}

// worstOf is the problem that the whole answer has: one that passes by waiting,
// then one that all share, else 422.
func worstOf(results []result) *problem {
	var worst *problem
	for i := range results {
		p := results[i].Problem
		switch {
		case p == nil:
		case worst == nil:
			worst = p
		case p.retryAfter > worst.retryAfter:
			worst = p
		case worst.retryAfter == 0 && p.Status != worst.Status:
			worst = newProblem(http.StatusUnprocessableEntity, "")
		}
	}
	return cmp.Or(worst, newProblem(http.StatusUnprocessableEntity, ""))
}
