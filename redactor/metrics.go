package redactor

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/redactor/redact"
	"sluice/schemas"
)

// metrics are the redactor's, with their labels bound. No label is ever taken
// from an event.
type metrics struct {
	clean       prometheus.Counter
	duplicates  prometheus.Counter
	quarantined map[schemas.Reason]prometheus.Counter
	masked      *prometheus.CounterVec
	reloadCount *prometheus.CounterVec
	rules       prometheus.Gauge
	rulesAt     prometheus.Gauge
	redelivered prometheus.Counter
	batch       prometheus.Observer
	publish     prometheus.Observer
	blocked     prometheus.Counter
	trimmed     prometheus.Counter
	delay       prometheus.Observer
	lag         prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer, rules []redact.Rule) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "redactor_" + name, Help: help}, labels)
	}
	events := counter("events_total", "Events judged and stored, by outcome: clean or quarantined, with the reason.", "outcome", "reason")
	masked := counter("masked_total", "Values masked, by the rule that found them.", "rule")
	duplicates := counter("duplicates_total", "Clean events that EVENTS_CLEAN held already, after a redelivery or a producer's retry.")
	redelivered := counter("redelivered_total", "Events that were delivered before and not acknowledged.")
	blocked := counter("full_seconds_total", "Seconds in which EVENTS_CLEAN took no events, because it was full or away.")
	trimmed := counter("trimmed_total", "Acknowledged events removed from EVENTS_CLEAN at the end of the replay window.")
	reloads := counter("rules_reloads_total", "Times the rules were read again on SIGHUP, by result: ok or failed.", "result")
	loaded := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "redactor_rules", Help: "Rules in force, the built-in ones included.",
	})
	loadedAt := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "redactor_rules_loaded_timestamp_seconds", Help: "When the rules in force were read.",
	})
	batch := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "redactor_batch_events", Help: "Events fetched at once.", Buckets: prometheus.ExponentialBuckets(1, 4, 6),
	})
	publish := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "redactor_publish_seconds", Help: "How long the broker took to store a batch of clean events.",
		Buckets: prometheus.ExponentialBuckets(0.001, 3, 10),
	})
	delay := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "redactor_delay_seconds", Help: "Time from when EVENTS_RAW stored an event to when EVENTS_CLEAN stored its clean form.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 12), // 1 ms to 70 min
	})
	lag := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "redactor_lag_events", Help: "Raw events that are not redacted yet, those in work included, asked for every 5 s.",
	})
	for _, c := range []prometheus.Collector{
		events, masked, duplicates, redelivered, blocked, trimmed, reloads, loaded, loadedAt, batch, publish, delay, lag,
	} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	m := &metrics{
		clean:       events.WithLabelValues("clean", ""),
		duplicates:  duplicates.WithLabelValues(),
		quarantined: map[schemas.Reason]prometheus.Counter{},
		masked:      masked,
		reloadCount: reloads,
		rules:       loaded,
		rulesAt:     loadedAt,
		redelivered: redelivered.WithLabelValues(),
		batch:       batch,
		publish:     publish,
		blocked:     blocked.WithLabelValues(),
		trimmed:     trimmed.WithLabelValues(),
		delay:       delay,
		lag:         lag,
	}
	for _, reason := range schemas.Reasons() {
		if reason != schemas.ReasonStorageRefused { // the sink's
			m.quarantined[reason] = events.WithLabelValues("quarantined", string(reason))
		}
	}
	for _, rule := range rules {
		masked.WithLabelValues(rule.Name) // shown from the start
	}
	reloads.WithLabelValues("ok")
	reloads.WithLabelValues("failed")
	return m, nil
}

func (m *metrics) reloads(result string) prometheus.Counter {
	return m.reloadCount.WithLabelValues(result)
}

// rulesLoaded notes the rules in force. Their names are of the built-in rules and
// of the installation's file.
func (m *metrics) rulesLoaded(engine *redact.Engine) {
	list := engine.Rules()
	for _, rule := range list {
		m.masked.WithLabelValues(rule.Name)
	}
	m.rules.Set(float64(len(list)))
	m.rulesAt.SetToCurrentTime()
}

// stored counts a clean event that EVENTS_CLEAN holds, as long after it came as
// that took.
func (m *metrics) stored(v *verdict, duplicate bool, delay time.Duration) {
	if duplicate {
		m.duplicates.Inc()
		return
	}
	m.clean.Inc()
	m.delay.Observe(max(0, delay.Seconds())) // two machines' clocks may differ
	for _, c := range v.counts {
		m.masked.WithLabelValues(c.Rule).Add(float64(c.Masked))
	}
}
