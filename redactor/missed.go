package redactor

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// missed notices events that went from EVENTS_RAW before anybody was given them, as
// when somebody purges the stream. The broker then moves the consumer on as if it
// had been given them, and says nothing.
//
// Each event that a redactor is given for the first time moves the consumer by one
// in the stream and by one in its own count, each repetition in its own count alone.
// So what it moves further in the stream than in its count was missed: at least that
// much, since repetitions hide as many.
type missed struct {
	at         jetstream.SequenceInfo
	created    time.Time
	reconnects uint64
	// unsure is until the consumer moves for the first time after that: it then passes
	// over what was redacted and removed before the broker lost its count.
	unsure bool
}

// look returns how many were missed since the last look. A look over a connection
// that was restored says nothing: a broker that died may have lost some of its own
// count.
func (m *missed) look(info *jetstream.ConsumerInfo, reconnects uint64) uint64 {
	before := *m
	*m = missed{at: info.Delivered, created: info.Created, reconnects: reconnects}
	m.unsure = before.reconnects != reconnects || before.unsure && info.Delivered.Stream == before.at.Stream
	if before.unsure || !before.created.Equal(info.Created) || before.reconnects != reconnects ||
		info.Delivered.Stream < before.at.Stream || info.Delivered.Consumer < before.at.Consumer {
		return 0
	}
	inStream, given := info.Delivered.Stream-before.at.Stream, info.Delivered.Consumer-before.at.Consumer
	return max(inStream, given) - given
}
