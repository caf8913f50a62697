package schemas

import "time"

// Bucket is what Sluice demands of a JetStream key-value store: one value for each
// key, in files.
type Bucket struct {
	Name        string
	Description string
	// MaxBytes is how much it stores before it is full.
	MaxBytes int64
	// MarkerTTL is how long it says of a removed key that it is gone; 0 is for ever.
	MarkerTTL time.Duration
}

// Names of the buckets. BucketReceivers and BucketSink stand with what is kept in
// them.
const (
	BucketGroups   = "ALERT_GROUPS"
	BucketSilences = "ALERT_SILENCES"
)

const (
	// groupsMaxBytes holds the notifier's 10,000 groups at their largest, all with a
	// sample.
	groupsMaxBytes = 512 << 20
	// silencesMaxBytes holds some ten thousand silences.
	silencesMaxBytes = 16 << 20
	// receiversMaxBytes holds some hundred receivers.
	receiversMaxBytes = 64 << 10
	sinkMaxBytes      = 1 << 20

	// AlertMarkerTTL is how long the store says of a removed group or silence that it
	// is gone: longer than another notifier could be cut off and still believe in it
	// without the conflict being found.
	AlertMarkerTTL = time.Hour
)

// SinkBucket is where the sinks agree on who stores.
func SinkBucket() Bucket {
	return Bucket{Name: BucketSink, Description: "which sink stores, and what it stores", MaxBytes: sinkMaxBytes}
}

// GroupsBucket holds the open alerts.
func GroupsBucket() Bucket {
	return Bucket{Name: BucketGroups, Description: "open alerts of the notifier", MaxBytes: groupsMaxBytes, MarkerTTL: AlertMarkerTTL}
}

// SilencesBucket holds the silences, each under its id.
func SilencesBucket() Bucket {
	return Bucket{
		Name: BucketSilences, Description: "what the notifier does not tell for a while",
		MaxBytes: silencesMaxBytes, MarkerTTL: AlertMarkerTTL,
	}
}

// ReceiversBucket says which receivers are disabled.
func ReceiversBucket() Bucket {
	return Bucket{Name: BucketReceivers, Description: "receivers of alerts that are disabled", MaxBytes: receiversMaxBytes}
}

// Buckets lists all of them, for whoever sets a broker up.
func Buckets() []Bucket {
	return []Bucket{SinkBucket(), GroupsBucket(), SilencesBucket(), ReceiversBucket()}
}
