package e2e_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"sluice/producer/generate"
	"sluice/schemas"
)

// TestObserved is about what operators and analysts look at: dashboards, alert rules and the tables of metrics in
// docs/operations.md, each held against one system that has been at work and has had some trouble. Its parts look at
// that system one after the other.
func TestObserved(t *testing.T) { //nolint:tparallel // see above
	t.Parallel()
	o := observe(t)
	t.Run("dashboards", o.dashboards)
	t.Run("alert rules", o.alertRules)
	t.Run("documented metrics", o.documentedMetrics)
}

// observed is a system with an HTTP door and a receiver, and what they say of themselves.
type observed struct {
	*system
	began time.Time
	// metrics are those of all of it, by name.
	metrics map[string]*dto.MetricFamily
}

func observe(t *testing.T) *observed {
	t.Helper()
	taken := make(chan struct{}, 1000)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case taken <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(hook.Close)
	dir := t.TempDir()
	write(t, dir, "notifier.yaml", "version: 1\nreceivers:\n  hook: {type: webhook, url: '"+hook.URL+"', allow: 127.0.0.0/8}\n"+
		"rules:\n  - {name: trouble, match: {action: system_exception}, receivers: hook}\n")
	write(t, dir, "tokens", "billing default * "+strings.Repeat("t", 32)+"\n")
	o := &observed{began: time.Now(), system: startSystem(t, "NOTIFIER_CONFIG="+filepath.Join(dir, "notifier.yaml"))}
	doorAddr, doorMetrics := freeAddr(t), freeAddr(t)
	start(t, nil, append(o.as("door"),
		"PRODUCER_SERVE_ADDR="+doorAddr, "PRODUCER_TOKENS_FILE="+filepath.Join(dir, "tokens"), "HTTP_ADDR="+doorMetrics), "producer", "serve")
	o.until("the door is open", func() error { return o.get("http://" + doorAddr + "/readyz") })

	ndjson, _, _ := generated(2000, 23)
	publish(o.system, ndjson)
	tries := attack()
	publish(o.system, tries)
	_, js := o.connect()
	for reason, raw := range malformed(generate.Marker(23)) {
		if _, err := js.Publish(t.Context(), "events.raw.default.login", raw); err != nil {
			t.Fatalf("publish the one for %s: %v", reason, err)
		}
	}
	for body, want := range map[string]int{`{"action":"login","context":{}}`: http.StatusAccepted, `{`: http.StatusBadRequest} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+doorAddr+"/v1/events", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.Repeat("t", 32))
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Fatalf("the door answers %s, want %d", resp.Status, want)
		}
	}
	rows := 2000 + strings.Count(tries, "\n") + 1
	o.untilRows(rows)
	// At most a hundred a second are compared with their schema, so this one comes by itself.
	publish(o.system, `{"action":"login","context":{"auth_method":7,"http_request":"none"}}`+"\n")
	o.untilRows(rows + 1)
	select {
	case <-taken:
	case <-time.After(time.Minute):
		t.Fatal("the receiver gets no alert")
	}
	o.until("the metrics tell it", func() error { return o.scrape(doorMetrics) })
	return o
}

// attack is what the sample has none of: one person tried again and again, one address that tries many, and somebody
// who logs in from elsewhere for the first time.
func attack() string {
	var out strings.Builder
	at := func(i int) string {
		return time.Now().Add(-time.Duration(60-i) * time.Minute / 2).UTC().Format(time.RFC3339)
	}
	for i := range 12 {
		fmt.Fprintf(&out, `{"action":"login_failed","created":%q,"client_ip":"203.0.113.%d","context":{"username":"victim"}}`+"\n", at(i), i%3)
		fmt.Fprintf(&out, `{"action":"login_failed","created":%q,"client_ip":"198.51.100.7","context":{"username":"person%d"}}`+"\n", at(i), i)
	}
	for i, country := range []string{"NL", "BR"} {
		fmt.Fprintf(&out, `{"action":"login","created":%q,"client_ip":"203.0.113.9","user":{"pk":4711,"username":"traveller"},`+
			`"context":{"geo":{"country":%q},"asn":{"asn":%d,"as_org":"Example"}}}`+"\n", at(i), country, 64500+i)
	}
	return out.String()
}

// scrape reads the pages, and says what they do not tell yet: some numbers are asked for every few seconds alone.
func (o *observed) scrape(door string) error {
	o.metrics = map[string]*dto.MetricFamily{}
	addrs := []string{o.http, door}
	if o.lock != nil {
		addrs = append(slices.Clone(o.lock.http), door)
	}
	for _, addr := range addrs {
		page, err := o.body("http://" + addr + "/metrics")
		if err != nil {
			return err
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(page))
		if err != nil {
			return err
		}
		maps.Copy(o.metrics, families)
	}
	for _, name := range []string{
		"notifier_receiver_state", "notifier_deliveries_total", "notifier_receiver_waiting_alerts", "producer_requests_total", "producer_events_total",
		"sink_schema_departures_total", "redactor_stream_messages", "notifier_stream_messages",
	} {
		if o.metrics[name] == nil {
			return fmt.Errorf("there is no %s", name)
		}
	}
	for _, m := range o.metrics["redactor_stream_messages"].GetMetric() {
		if m.GetLabel()[0].GetValue() == schemas.StreamQuarantine && m.GetGauge().GetValue() == 0 {
			return fmt.Errorf("%s seems empty", schemas.StreamQuarantine)
		}
	}
	return nil
}

// names are those that a query may ask for: of a histogram its three parts.
func (o *observed) names() map[string]*dto.MetricFamily {
	all := map[string]*dto.MetricFamily{}
	for name, family := range o.metrics {
		switch family.GetType() {
		case dto.MetricType_HISTOGRAM:
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				all[name+part] = family
			}
		case dto.MetricType_SUMMARY:
			for _, part := range []string{"", "_sum", "_count"} {
				all[name+part] = family
			}
		default:
			all[name] = family
		}
	}
	return all
}

// familyLabels are those that a metric has somewhere, each with its values.
func familyLabels(family *dto.MetricFamily) map[string][]string {
	all := map[string][]string{}
	for _, m := range family.GetMetric() {
		for _, pair := range m.GetLabel() {
			if values := all[pair.GetName()]; !slices.Contains(values, pair.GetValue()) {
				all[pair.GetName()] = append(values, pair.GetValue())
			}
		}
	}
	return all
}
