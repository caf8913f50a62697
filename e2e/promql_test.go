package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// notOurs are the metrics that the services do not have themselves: Prometheus' own, and ClickHouse's, which the
// embedded engine does not collect. ClickHouse documents them with its system.asynchronous_metrics.
var notOurs = []string{
	"up", "ClickHouseAsyncMetrics_DiskAvailable_default", "ClickHouseAsyncMetrics_DiskTotal_default",
	"ClickHouseAsyncMetrics_MaxPartCountForPartition",
}

// withTLS are metrics that are there only where the broker is reached by TLS; internal/broker tests them.
var withTLS = []string{"redactor_broker_certificate_expires_seconds", "notifier_broker_certificate_expires_seconds"}

// scraped are the labels that Prometheus adds.
var scraped = map[string][]string{"job": {"standalone", "redactor", "sink", "notifier", "producer", "clickhouse"}, "instance": nil}

// grafanaVariables are what Grafana puts in their place.
var grafanaVariables = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$__interval", "30s")

// checkPromQL parses an expression and says what in it no service has: metrics, labels, values of labels.
func (o *observed) checkPromQL(text string) error {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(grafanaVariables.Replace(text))
	if err != nil {
		return err
	}
	names, wrong := o.names(), []string{}
	known := map[string][]string{"le": nil}
	maps.Copy(known, scraped)
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		selector, is := node.(*parser.VectorSelector)
		if !is || slices.Contains(notOurs, selector.Name) || slices.Contains(withTLS, selector.Name) {
			return nil
		}
		family := names[selector.Name]
		if family == nil {
			wrong = append(wrong, "there is no metric "+selector.Name)
			return nil
		}
		has := labelsOf(family)
		for _, m := range selector.LabelMatchers {
			values, there := has[m.Name]
			switch {
			case m.Name == model.MetricNameLabel:
			case !there:
				wrong = append(wrong, fmt.Sprintf("%s has no label %s", selector.Name, m.Name))
			case m.Type == labels.MatchEqual && values != nil && !slices.Contains(values, m.Value) && !rare(selector.Name, m.Value):
				wrong = append(wrong, fmt.Sprintf("%s has no %s=%q", selector.Name, m.Name, m.Value))
			}
		}
		maps.Copy(known, has)
		return nil
	})
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if aggregate, is := node.(*parser.AggregateExpr); is {
			for _, name := range aggregate.Grouping {
				if _, there := known[name]; !there {
					wrong = append(wrong, "nothing has a label "+name)
				}
			}
		}
		return nil
	})
	if len(wrong) > 0 {
		return fmt.Errorf("%s: %s", strings.Join(wrong, ", "), text)
	}
	return nil
}

// rare tells the label values that come only with trouble that this system has not had.
func rare(metric, value string) bool {
	return metric == "producer_requests_total" && value == "503"
}

// labelsOf adds Prometheus' own labels.
func labelsOf(family *dto.MetricFamily) map[string][]string {
	has := familyLabels(family)
	maps.Copy(has, scraped)
	return has
}
