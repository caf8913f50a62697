package sink

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestDeparturesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		d, err := newDepartures(newMetrics(registry))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go d.run(ctx)
		for _, ev := range []sampled{
			{[]byte(`{"action":"login","context":{"auth_method":"password"}}`), "login"},
			{[]byte(`{"action":"login","context":{"auth_method":7}}`), "login"},
			{[]byte(`{"context":{"http_request":7}}`), "of_my_own"},
			{[]byte(`{"context":{}}`), "update_available"},
		} {
			d.offer(ev.event, ev.action)
			time.Sleep(lookEvery)
			synctest.Wait()
		}
		(*departures)(nil).offer(nil, "") // of a mapper that has none
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range families {
			if !strings.HasPrefix(f.GetName(), "sink_schema") {
				continue
			}
			for _, m := range f.GetMetric() {
				label := ""
				for _, l := range m.GetLabel() {
					label += l.GetValue()
				}
				got = append(got, fmt.Sprintf("%s %s %v", f.GetName(), label, m.GetCounter().GetValue()))
			}
		}
		want := "sink_schema_compared_total  4, sink_schema_departures_total login 1, sink_schema_departures_total other 1, " +
			"sink_schema_departures_total update_available 1"
		if strings.Join(got, ", ") != want {
			t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
		}
		stop()
		synctest.Wait()
		for range 1000 { // nobody listens, and nobody waits
			d.offer([]byte(`{}`), "login")
		}
	})
}

func BenchmarkOffer(b *testing.B) {
	d, err := newDepartures(newMetrics(prometheus.NewRegistry()))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	go d.run(ctx)
	event := []byte(`{"action":"login","context":{"auth_method":"password"}}`)
	for b.Loop() {
		d.offer(event, "login")
	}
}
