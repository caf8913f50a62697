package notifier

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/schemas"
)

// metrics are what the notifier counts. No label has a value that comes out of
// an event.
type metrics struct {
	folded, duplicate, skipped, rejected, silenced prometheus.Counter
	ruleErrors, reloadOK, reloadFailed             prometheus.Counter

	alerts    map[string]map[schemas.Severity]prometheus.Counter // by type and severity
	refused   prometheus.Counter
	groups    prometheus.Gauge
	writes    prometheus.Counter
	conflicts prometheus.Counter
	failures  prometheus.Counter
	publish   prometheus.Histogram
	delay     prometheus.Histogram
	lag       prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "notifier_events_total",
		Help: "Events by what became of them: folded into a group, duplicate of one that was, skipped (no rule, or the notifier's own), silenced, rejected as unreadable.",
	}, []string{"outcome"})
	alerts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "notifier_alerts_total", Help: "Alerts published, by type and severity.",
	}, []string{"type", "severity"})
	reloads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "notifier_rules_reloads_total", Help: "Times the rules were read again on SIGHUP, by result: ok or failed.",
	}, []string{"result"})
	seconds := prometheus.ExponentialBuckets(0.0005, 2, 16) // half a millisecond to 16 s
	m := &metrics{
		folded: events.WithLabelValues("folded"), duplicate: events.WithLabelValues("duplicate"),
		skipped: events.WithLabelValues("skipped"), rejected: events.WithLabelValues("rejected"),
		silenced: events.WithLabelValues("silenced"),
		reloadOK: reloads.WithLabelValues("ok"), reloadFailed: reloads.WithLabelValues("failed"),
		ruleErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "notifier_rule_errors_total", Help: "Conditions and templates that could not be applied to an event.",
		}),
		alerts: map[string]map[schemas.Severity]prometheus.Counter{},
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "notifier_alerts_refused_total", Help: "Alerts that the broker finds too large even without their sample; they are given up.",
		}),
		groups: prometheus.NewGauge(prometheus.GaugeOpts{Name: "notifier_groups", Help: "Groups that are open."}),
		writes: prometheus.NewCounter(prometheus.CounterOpts{Name: "notifier_state_writes_total", Help: "Groups written to the store."}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "notifier_cas_conflicts_total", Help: "Writes that came second to another notifier's and were made again.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "notifier_failures_total", Help: "Attempts to store a group or publish an alert that failed and are repeated.",
		}),
		publish: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "notifier_publish_seconds", Help: "Time to publish a batch of alerts.", Buckets: seconds,
		}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "notifier_alert_seconds", Help: "Time from when an event was stored to when the first alert about it was.", Buckets: seconds,
		}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "notifier_lag_events", Help: "Events that wait for the notifiers, those in work included.",
		}),
	}
	for _, kind := range []string{schemas.AlertFiring, schemas.AlertUpdate, schemas.AlertResolved} {
		m.alerts[kind] = map[schemas.Severity]prometheus.Counter{}
		for _, severity := range []schemas.Severity{schemas.SeverityNotice, schemas.SeverityWarning, schemas.SeverityAlert} {
			m.alerts[kind][severity] = alerts.WithLabelValues(kind, string(severity))
		}
	}
	registry.MustRegister(events, alerts, reloads, m.ruleErrors, m.refused, m.groups, m.writes, m.conflicts, m.failures,
		m.publish, m.delay, m.lag)
	return m
}

// alert counts a published alert. One that was read from the store may have any
// type and severity; those are not counted.
func (m *metrics) alert(a schemas.Alert) {
	if c := m.alerts[a.Type][a.Data.Severity]; c != nil {
		c.Inc()
	}
}
