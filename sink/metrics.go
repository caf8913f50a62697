package sink

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the service's counters, bound once.
type metrics struct {
	stored, duplicates, refused, retries prometheus.Counter
	lookedUp                             prometheus.Counter
	batchRows, batchBytes                prometheus.Histogram
	insertSeconds, lookupSeconds         prometheus.Histogram
	delay                                prometheus.Histogram
	lag, active                          prometheus.Gauge
	schemaCompared                       prometheus.Counter
	schemaDepartures                     *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "sink_" + name, Help: help})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sink_" + name, Help: help, Buckets: buckets})
	}
	departures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sink_schema_departures_total", Help: "Of the events compared, those that depart from their schema; they are stored all the same.",
	}, []string{"action"})
	seconds := prometheus.ExponentialBuckets(0.002, 2, 14) // to 16 s
	m := &metrics{
		stored:        counter("rows_stored_total", "Rows stored."),
		duplicates:    counter("duplicates_dropped_total", "Messages dropped because their event is a row already."),
		refused:       counter("refused_total", "Messages quarantined because they cannot be stored."),
		retries:       counter("retries_total", "Look-ups and inserts that failed and were tried again."),
		lookedUp:      counter("looked_up_total", "Events whose pk was looked up in the table before they were inserted."),
		batchRows:     histogram("batch_rows", "Messages in a batch.", prometheus.ExponentialBuckets(1, 4, 9)),
		batchBytes:    histogram("batch_bytes", "Bytes of events in a batch.", prometheus.ExponentialBuckets(1024, 4, 9)),
		insertSeconds: histogram("insert_seconds", "Duration of an insert.", seconds),
		lookupSeconds: histogram("lookup_seconds", "Duration of looking a batch up.", seconds),
		delay: histogram("delay_seconds", "Time from when EVENTS_CLEAN stored an event to when its row was stored, and can be queried.",
			prometheus.ExponentialBuckets(0.004, 4, 12)), // 4 ms to 4.7 h
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sink_lag_messages", Help: "Messages of EVENTS_CLEAN that are not acknowledged yet.",
		}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sink_active", Help: "1 while this sink stores, 0 while it waits for another one that does.",
		}),
	}
	m.schemaCompared, m.schemaDepartures = counter("schema_compared_total", "Events compared with their schema, at most 100 a second."), departures
	registry.MustRegister(m.schemaCompared, m.schemaDepartures)
	registry.MustRegister(m.stored, m.duplicates, m.refused, m.retries, m.lookedUp, m.active, m.batchRows, m.batchBytes,
		m.insertSeconds, m.lookupSeconds, m.delay, m.lag)
	return m
}

// settled notes how long after they came the events of a batch could be queried.
func (m *metrics) settled(entries []entry, at time.Time) {
	for i := range entries {
		m.delay.Observe(max(0, at.Sub(entries[i].from.StoredAt).Seconds())) // two machines' clocks may differ
	}
}
