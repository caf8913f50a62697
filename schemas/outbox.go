package schemas

import "time"

// StreamOutbox is the stream of alerts that a receiver has not taken.
const StreamOutbox = "ALERTS_OUTBOX"

// OutboxPrefix is the first token of its subjects.
const OutboxPrefix = "outbox"

// The headers of an alert in the outbox, besides those it had.
const (
	// HeaderFailure says why it was given up, in words, without any of the alert.
	HeaderFailure = "Sluice-Failure"
	// HeaderAttempts is how often it was tried.
	HeaderAttempts = "Sluice-Attempts"
	// HeaderAlertSequence is its number in ALERTS.
	HeaderAlertSequence = "Sluice-Alert-Sequence"
)

// OutboxKept is where an alert goes that the receiver has not taken.
func OutboxKept(receiver string) string { return OutboxPrefix + ".kept." + receiver }

// OutboxReplay is where it goes to be delivered again.
func OutboxReplay(receiver string) string { return OutboxPrefix + ".replay." + receiver }

// OutboxStream keeps what receivers have not taken as long as ALERTS keeps
// alerts.
func OutboxStream() Stream {
	return Stream{
		Name: StreamOutbox, Description: "alerts that a receiver has not taken, and those to be sent again",
		Subjects:   []string{OutboxPrefix + ".kept.*", OutboxPrefix + ".replay.*"},
		DiscardOld: true, MaxBytes: outboxMaxBytes, MaxAge: alertsMaxAge, Duplicates: duplicatesWindow,
	}
}

// outboxMaxBytes holds some 20,000 alerts of up to 12 KB: what one broken
// receiver misses in a bad month.
const outboxMaxBytes = gib / 4

// BucketReceivers is the key-value store in which notifiers say which receivers
// are disabled, by name.
const BucketReceivers = "ALERT_RECEIVERS"

// ReceiverConsumer hands the alerts on ALERTS to one notifier at a time, one by
// one, for one receiver: so they arrive in order.
func ReceiverConsumer(receiver string) Consumer {
	return Consumer{
		Stream: StreamAlerts, Durable: "receiver-" + receiver,
		Description:    "delivers alerts to the receiver " + receiver,
		FilterSubjects: []string{AlertSubject("*", "*", "*")},
		AckWait:        receiverAckWait, MaxAckPending: 1,
	}
}

// ReplayConsumer does the same for what is sent again.
func ReplayConsumer(receiver string) Consumer {
	return Consumer{
		Stream: StreamOutbox, Durable: "receiver-" + receiver,
		Description:    "delivers alerts again to the receiver " + receiver,
		FilterSubjects: []string{OutboxReplay(receiver)},
		AckWait:        receiverAckWait, MaxAckPending: 1,
	}
}

// receiverAckWait is how soon another notifier takes over from one that has
// died. One that lives says so in time, however long it tries.
const receiverAckWait = 15 * time.Second
