package sink

import (
	"errors"
	"fmt"
	"time"

	"sluice/internal/broker"
	"sluice/internal/daemon"
)

// Config is what the service can be told.
type Config struct {
	broker.NATS
	daemon.Process
	ClickHouse
	HTTPAddr string `envconfig:"HTTP_ADDR" default:"127.0.0.1:8082" desc:"address of /livez, /readyz and /metrics; empty serves none"`

	Retention         string `envconfig:"RETENTION" default:"365d" desc:"how long an event without an expiry of its own is kept: 90d, 2w, 12h or days=30;hours=2"`
	RetentionByTenant string `envconfig:"RETENTION_BY_TENANT" desc:"the same for some tenants: acme=90d,lab=7d"`

	// BatchRows is large enough that a part per batch keeps ClickHouse's merges
	// cheap (its documentation asks for 10,000 and more).
	BatchRows int `envconfig:"SINK_BATCH_ROWS" default:"10000" desc:"rows at which a batch is inserted, at most 50000"`
	// BatchBytes bounds memory: two batches are in hand, and one is encoded. 8 MiB are
	// 8,000 events of 1 KB, and let the whole process do with less than 256 MB.
	BatchBytes int `envconfig:"SINK_BATCH_BYTES" default:"8388608" desc:"bytes of events at which a batch is inserted"`
	// BatchAge is what an event waits for company.
	BatchAge time.Duration `envconfig:"SINK_BATCH_AGE" default:"500ms" desc:"age of its first event at which a batch is inserted"`
	// IndexBytes is enough for some 35 million events: two bytes each.
	IndexBytes int `envconfig:"SINK_INDEX_BYTES" default:"67108864" desc:"most memory, in bytes, for knowing which events are stored already; with less than 1.5 for each row more is looked up in the table"`
	// DrainTimeout is how long a stopping sink tries to store what it has.
	DrainTimeout time.Duration `envconfig:"SINK_DRAIN_TIMEOUT" default:"15s" desc:"how long a stopping sink tries to store what it has in hand; what it cannot store is redelivered"`
}

// maxBatchRows is less than half of what the consumer lets a sink have in work, so
// that the next batch fills while the last is being stored.
const maxBatchRows = 50_000

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	errs := []error{c.NATS.Validate()}
	if err := c.ClickHouse.validate(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.retention(); err != nil {
		errs = append(errs, err)
	}
	if c.BatchRows < 1 || c.BatchRows > maxBatchRows {
		errs = append(errs, fmt.Errorf("SINK_BATCH_ROWS: want 1 to %d", maxBatchRows))
	}
	if c.BatchBytes < 1 {
		errs = append(errs, errors.New("SINK_BATCH_BYTES: want at least 1"))
	}
	if c.IndexBytes < blockBytes {
		errs = append(errs, fmt.Errorf("SINK_INDEX_BYTES: want at least %d", blockBytes))
	}
	if c.BatchAge < time.Millisecond || c.BatchAge > maxBatchAge {
		errs = append(errs, fmt.Errorf("SINK_BATCH_AGE: want 1ms to %s", maxBatchAge))
	}
	if c.DrainTimeout <= 0 {
		errs = append(errs, errors.New("SINK_DRAIN_TIMEOUT: want more than 0s"))
	}
	return errors.Join(errs...)
}

// maxBatchAge is as long as an event may wait for a ClickHouse that is slow.
const maxBatchAge = 10 * time.Second

// fetchAhead is how many messages are fetched at a time: as many as the broker
// sends in a few milliseconds.
const fetchAhead = 1000

// buffer bounds what waits before the batches by the size of one more batch.
func (c Config) buffer() broker.Buffer {
	return broker.Buffer{Msgs: min(fetchAhead, c.BatchRows), Bytes: c.BatchBytes}
}

func (c Config) retention() (retention, error) {
	r, err := parseRetention(c.Retention, c.RetentionByTenant)
	if err != nil {
		return retention{}, err
	}
	return r, nil
}
