package schemas

import "time"

// Names of the streams and of the durable consumers on them.
const (
	StreamRaw        = "EVENTS_RAW"
	StreamClean      = "EVENTS_CLEAN"
	StreamQuarantine = "EVENTS_QUARANTINE"
	StreamAlerts     = "ALERTS"

	ConsumerRedactor = "redactor"
	ConsumerSink     = "sink"
	ConsumerNotifier = "notifier"
)

// Stream is what Sluice demands of a JetStream stream. The broker package turns
// it into a configuration.
type Stream struct {
	Name        string
	Description string
	Subjects    []string
	// HeaderRoom is kept free below the broker's max_payload, so that a message
	// still fits into the next stream with the headers that are added on the way.
	HeaderRoom int
	// DiscardOld lets a full stream forget its oldest message. Where it is false
	// a full stream refuses to store, which the publisher is told.
	DiscardOld bool
	// MaxBytes is how much the stream stores before it is full.
	MaxBytes int64
	// MaxAge is when a message is forgotten by itself; 0 is never.
	MaxAge time.Duration
	// Duplicates is how long the stream knows a Nats-Msg-Id, in memory, about
	// 120 bytes each.
	Duplicates time.Duration
}

// Consumer is what Sluice demands of a durable pull consumer. All redeliver
// without end: giving up on an event would lose it.
type Consumer struct {
	Stream, Durable string
	Description     string
	FilterSubjects  []string
	// InOrder is for one reader at a time: an acknowledgement is for all messages
	// before it too. Else each message is acknowledged by itself.
	InOrder bool
	// AckWait is how long a message may be in work before it is given to
	// another: longer than the longest flush, shorter than a person waits.
	AckWait time.Duration
	// MaxAckPending is how many messages may be in work in all instances
	// together: at least twice the largest batch of the stage, so that the next
	// one fills while the last is being stored.
	MaxAckPending int
}

// The sizes are for one machine with some 20 GiB to spare; an operator's own
// stream configuration stays as it is, since size, age and replicas of a stream
// that exists are never touched.
const (
	gib = 1 << 30

	// rawMaxBytes holds about a million events of 1 KB while the redactor is away.
	rawMaxBytes = 2 * gib
	// cleanMaxBytes holds an hour and a half at 1,000 events/s of 1.2 KB while
	// ClickHouse is away, and the replay window besides.
	cleanMaxBytes = 8 * gib
	// quarantineMaxBytes holds half a million bad events of 2 KB.
	quarantineMaxBytes = gib
	alertsMaxBytes     = gib / 2

	// quarantineRoom is for the headers that say why an event was quarantined.
	quarantineRoom = 64 << 10

	// alertsMaxAge is how long a subscriber may be away.
	alertsMaxAge = 30 * 24 * time.Hour

	// duplicatesWindow is JetStream's own default: at 10,000 events/s the ids
	// of two minutes take some 150 MB. What repeats later than that is caught
	// by the sink.
	duplicatesWindow = 2 * time.Minute
)

// CleanReplayBytes is how much of EVENTS_CLEAN that every consumer has
// acknowledged is kept for replay: half of the stream, so that the other half is
// free for a backlog.
const CleanReplayBytes = cleanMaxBytes / 2

// CleanReplayAge is how long an acknowledged clean event is kept for replay.
// Longer would keep it beyond short retentions.
const CleanReplayAge = 72 * time.Hour

// RawStream is where services publish. Raw events hold secrets and must be gone
// once they are redacted: the redactor purges them, twice a second. A stream with
// JetStream's work-queue retention would do so by itself, at the cost of a fsync
// for each event.
func RawStream() Stream {
	return Stream{
		Name: StreamRaw, Description: "raw events, secrets included; only the redactor reads it",
		Subjects: []string{RawPrefix + ".*.*"}, HeaderRoom: quarantineRoom,
		MaxBytes: rawMaxBytes, Duplicates: duplicatesWindow,
	}
}

// CleanStream is the log of redacted events. It forgets nothing by itself: the
// redactor purges what every consumer has acknowledged beyond CleanReplayBytes
// or CleanReplayAge, so a backlog is never lost and a full stream means one.
func CleanStream() Stream {
	return Stream{
		Name: StreamClean, Description: "redacted events, replayable",
		Subjects: []string{CleanPrefix + ".*.*"},
		MaxBytes: cleanMaxBytes, Duplicates: duplicatesWindow,
	}
}

// QuarantineStream is where events that break the contract wait for a person.
func QuarantineStream() Stream {
	return Stream{
		Name: StreamQuarantine, Description: "events that were refused, as they came, secrets included",
		Subjects: []string{QuarantinePrefix + ".*.*"},
		MaxBytes: quarantineMaxBytes, Duplicates: duplicatesWindow,
	}
}

// AlertsStream is where alerts are published. It may forget the oldest: an alert
// that nobody fetched for a month helps nobody.
func AlertsStream() Stream {
	return Stream{
		Name: StreamAlerts, Description: "alerts as CloudEvents",
		Subjects:   []string{AlertsPrefix + ".*.*.*"},
		DiscardOld: true, MaxBytes: alertsMaxBytes, MaxAge: alertsMaxAge, Duplicates: duplicatesWindow,
	}
}

// Streams lists all of them, for whoever sets a broker up.
func Streams() []Stream {
	return []Stream{RawStream(), CleanStream(), QuarantineStream(), AlertsStream(), OutboxStream()}
}

// RedactorConsumer shares EVENTS_RAW among the redactors.
func RedactorConsumer() Consumer {
	return Consumer{
		Stream: StreamRaw, Durable: ConsumerRedactor,
		Description: "masks, validates and stamps",
		AckWait:     30 * time.Second, MaxAckPending: 20_000,
	}
}

// SinkConsumer is read by one sink at a time, in order: an acknowledgement for a
// whole batch costs the broker and the sink half of what one for each message
// does. AckWait is no lease here: a message that the sink has in hand is not
// taken twice.
func SinkConsumer() Consumer {
	return Consumer{
		Stream: StreamClean, Durable: ConsumerSink,
		Description: "stores in ClickHouse",
		InOrder:     true,
		AckWait:     5 * time.Minute, MaxAckPending: 250_000,
	}
}

// BucketSink is the key-value bucket in which the sinks agree on who stores, and
// KeySinkWriter its one key.
const (
	BucketSink    = "SINK"
	KeySinkWriter = "writer"
)

// SinkSubject is where the sink of that id answers that it is there.
func SinkSubject(id string) string { return "sink.alive." + id }

// NotifierConsumer shares the events that can become alerts among the notifiers.
func NotifierConsumer(actions ...string) Consumer {
	c := Consumer{
		Stream: StreamClean, Durable: ConsumerNotifier,
		Description: "turns events into alerts",
		AckWait:     30 * time.Second, MaxAckPending: 20_000,
	}
	for _, action := range actions {
		c.FilterSubjects = append(c.FilterSubjects, CleanSubject("*", action))
	}
	return c
}
