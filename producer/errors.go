package producer

import (
	"errors"

	"sluice/internal/broker"
)

// Errors that a caller can act on. Test for them with errors.Is; none of them
// holds anything of the event.
var (
	// ErrInvalid is returned for an event that breaks the contract and would be
	// quarantined. Mend the event: errors.As finds a *schemas.Rejection that
	// names the reason and the field.
	ErrInvalid = errors.New("the event is not valid")
	// ErrNoAction is returned, together with ErrInvalid, for an event that does
	// not say what happened where nothing else says it either.
	ErrNoAction = errors.New("it has no action")
	// ErrTooLarge is returned for an event over schemas.MaxRawBytes, or over what
	// the broker allows. Publish less of it.
	ErrTooLarge = broker.ErrTooLarge
	// ErrFull is returned when EVENTS_RAW is full, because the redactor is away
	// or too slow. The event is not stored: wait, then publish it again.
	ErrFull = broker.ErrFull
	// ErrNoStream is returned when nothing takes the subject until ctx ends:
	// EVENTS_RAW has yet to be created, which the redactor does when it starts.
	ErrNoStream = broker.ErrNoStream
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the producer is closed")
)
