package outbox

import "github.com/prometheus/client_golang/prometheus"

// The values of notifier_receiver_state.
const (
	stateWorking  = 0
	stateFailing  = 1
	stateDisabled = 2
)

// metrics are what the outbox counts, by receiver: the names are the operator's
// own, out of the configuration.
type metrics struct {
	deliveries                        *prometheus.CounterVec
	failed                            *prometheus.CounterVec
	waiting, state                    *prometheus.GaugeVec
	attemptSeconds, deliveryDelayTime *prometheus.HistogramVec
}

// receiverMetrics are those of one receiver.
type receiverMetrics struct {
	delivered, refused, exhausted, unreadable prometheus.Counter
	failed                                    prometheus.Counter
	waiting, state                            prometheus.Gauge
	seconds, delay                            prometheus.Observer
}

func newMetrics(registry prometheus.Registerer) *metrics {
	byReceiver := []string{"receiver"}
	m := &metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "notifier_deliveries_total",
			Help: "Alerts by what became of them: delivered, refused by the receiver, exhausted after a day of attempts, unreadable. All but the first are in the outbox.",
		}, []string{"receiver", "outcome"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "notifier_delivery_failures_total", Help: "Attempts to deliver an alert that failed.",
		}, byReceiver),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "notifier_receiver_waiting_alerts", Help: "Alerts on the stream that are not through for this receiver, its own or not, counted every 10 s.",
		}, byReceiver),
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "notifier_receiver_state", Help: "0: takes alerts. 1: fails, and is tried again. 2: disabled, since it says that it is gone.",
		}, byReceiver),
		attemptSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "notifier_delivery_attempt_seconds", Help: "Time that one attempt takes.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16), // 1 ms to 33 s
		}, byReceiver),
		deliveryDelayTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "notifier_delivery_delay_seconds", Help: "Time from when an alert was stored to when the receiver had it.",
			Buckets: prometheus.ExponentialBuckets(0.005, 4, 13), // 5 ms to 23 hours
		}, byReceiver),
	}
	registry.MustRegister(m.deliveries, m.failed, m.waiting, m.state, m.attemptSeconds, m.deliveryDelayTime)
	return m
}

func (m *metrics) of(name string) *receiverMetrics {
	return &receiverMetrics{
		delivered: m.deliveries.WithLabelValues(name, "delivered"), refused: m.deliveries.WithLabelValues(name, "refused"),
		exhausted: m.deliveries.WithLabelValues(name, "exhausted"), unreadable: m.deliveries.WithLabelValues(name, "unreadable"),
		failed: m.failed.WithLabelValues(name), waiting: m.waiting.WithLabelValues(name), state: m.state.WithLabelValues(name),
		seconds: m.attemptSeconds.WithLabelValues(name), delay: m.deliveryDelayTime.WithLabelValues(name),
	}
}
