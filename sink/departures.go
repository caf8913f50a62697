package sink

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/conform"
	"sluice/schemas/contract"
)

// lookEvery is how often an event is compared with its schema. That takes some
// 0.1 ms, so 100 a second are one hundredth of a core, whatever the load; of more
// events than that it is a sample.
const lookEvery = 10 * time.Millisecond

// departures compares stored events with the schemas of their contexts, beside the
// way to ClickHouse, which never waits for it.
type departures struct {
	in       chan sampled
	checker  *conform.Checker
	compared prometheus.Counter
	departed *prometheus.CounterVec
}

// sampled is one clean event.
type sampled struct {
	event  []byte
	action string
}

func newDepartures(stats *metrics) (*departures, error) {
	checker, err := conform.New()
	if err != nil {
		return nil, fmt.Errorf("compare events with their schemas: %w", err)
	}
	return &departures{in: make(chan sampled, 1), checker: checker, compared: stats.schemaCompared, departed: stats.schemaDepartures}, nil
}

// offer hands an event over, if it is time for one. The event must not change.
func (d *departures) offer(event []byte, action string) {
	if d == nil {
		return
	}
	select {
	case d.in <- sampled{event, action}:
	default:
	}
}

// run compares until ctx ends.
func (d *departures) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-d.in:
			d.compare(s)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *departures) compare(s sampled) {
	d.compared.Inc()
	if len(d.checker.Check(s.event, s.action)) == 0 {
		return
	}
	if contract.Context(s.action) == "" {
		s.action = "other" // the set of actions is open, that of labels is not
	}
	d.departed.WithLabelValues(s.action).Inc()
}
