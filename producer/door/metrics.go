package door

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the door's. No label is ever taken from a request.
type metrics struct {
	requests *prometheus.CounterVec
	events   *prometheus.CounterVec
	reloads  *prometheus.CounterVec
	seconds  prometheus.Histogram
}

func newMetrics(registry prometheus.Registerer, m *memory) (*metrics, error) {
	out := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "producer_requests_total", Help: "Requests answered, by status code.",
		}, []string{"code"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "producer_events_total", Help: "Events of the HTTP door, by the token's name and by outcome: stored, duplicate or refused.",
		}, []string{"token", "outcome"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "producer_tokens_reloads_total", Help: "Times the tokens were read again on SIGHUP, by result: ok or failed.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "producer_request_seconds", Help: "From a request's headers to its answer.", Buckets: prometheus.ExponentialBuckets(0.001, 3, 10),
		}),
	}
	for _, result := range []string{"ok", "failed"} {
		out.reloads.WithLabelValues(result) // shown from the start, so that the first failure is a rise
	}
	held := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "producer_body_bytes", Help: "Bytes of requests that are in memory.",
	}, func() float64 { return float64(m.used.Load()) })
	for _, c := range []prometheus.Collector{out.requests, out.events, out.reloads, out.seconds, held} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return out, nil
}
