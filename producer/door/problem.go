package door

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"sluice/producer"
	"sluice/schemas"
)

// problem is an error as RFC 9457 has it. None of its members holds anything of
// the request.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Reason is the machine's word for what is wrong with an event.
	Reason string `json:"reason,omitempty"`
	// Field is the field of the event at fault, Pointer the same as a JSON Pointer.
	Field   string `json:"field,omitempty"`
	Pointer string `json:"pointer,omitempty"`

	// retryAfter is when to come again; 0 says nothing about it.
	retryAfter time.Duration
	// close ends the connection: what is left of the body is not worth reading.
	close bool
}

func newProblem(status int, detail string) *problem {
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

func (p *problem) about(reason, field string) *problem {
	p.Reason, p.Field = reason, field
	if field != "" {
		p.Pointer = "#/" + field
	}
	return p
}

func (p *problem) after(d time.Duration) *problem { p.retryAfter = d; return p }

func (p *problem) closing() *problem { p.close = true; return p }

func (p *problem) headers(h http.Header) {
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="sluice"`)
	}
	if p.close {
		h.Set("Connection", "close")
	}
}

// How long a client is to wait: until a redactor that is behind has made room,
// and until a broker has restarted.
const (
	fullRetry = 5 * time.Second
	awayRetry = 2 * time.Second
)

// problemOf says what an event's error means to a client.
func problemOf(err error) *problem {
	var rejection *schemas.Rejection
	switch {
	case errors.Is(err, producer.ErrNoAction):
		return newProblem(http.StatusUnprocessableEntity,
			"the event has no action: add it, or name it with ?action=").about(string(schemas.ReasonInvalidField), "action")
	case errors.As(err, &rejection) && rejection.Reason == schemas.ReasonInvalidJSON:
		// Its text says where, and never what stands there.
		return newProblem(http.StatusBadRequest, rejection.Error()).about(string(rejection.Reason), "")
	case errors.As(err, &rejection):
		return newProblem(http.StatusUnprocessableEntity, rejection.Error()).about(string(rejection.Reason), rejection.Field)
	case errors.Is(err, producer.ErrTooLarge):
		return newProblem(http.StatusRequestEntityTooLarge,
			"the event is larger than 1048576 bytes, or than the broker allows").about(string(schemas.ReasonTooLarge), "")
	case errors.Is(err, producer.ErrFull):
		return newProblem(http.StatusTooManyRequests, "the stream is full; the event is not stored").about("stream_full", "").after(fullRetry)
	case errors.Is(err, producer.ErrNoStream):
		return newProblem(http.StatusServiceUnavailable,
			"there is no stream for events yet; the redactor creates it").about("no_stream", "").after(awayRetry)
	}
	return newProblem(http.StatusServiceUnavailable,
		"no word from the broker: the event may be stored or not; send it again with the pk given here").about("broker_away", "").after(awayRetry)
}

// writeProblem answers with nothing but a problem.
func writeProblem(w http.ResponseWriter, p *problem) {
	p.headers(w.Header())
	writeJSON(w, "application/problem+json", p.Status, p)
}

func writeJSON(w http.ResponseWriter, mediaType string, status int, value any) {
	text, err := json.Marshal(value)
	if err != nil { // these types always marshal
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a client that has gone is told nothing
}
