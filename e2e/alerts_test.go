package e2e_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// rules reads the alert rules as Prometheus does.
func rules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(filepath.Join("..", "deploy", "prometheus", "alerts.yaml"), false, model.UTF8Validation,
		parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil {
		t.FailNow()
	}
	var all []rulefmt.Rule
	for _, group := range groups.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// alertRules holds that each rule asks for what there is, and that its runbook is there; the page names each alert.
func (o *observed) alertRules(t *testing.T) {
	page := operations(t)
	anchors := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		anchors[anchor(heading[1])] = true
	}
	seen := map[string]bool{}
	for _, rule := range rules(t) {
		if rule.Alert == "" || seen[rule.Alert] {
			t.Errorf("alert %q has no name of its own", rule.Alert)
		}
		seen[rule.Alert] = true
		if err := o.checkPromQL(rule.Expr); err != nil {
			t.Errorf("%s: %v", rule.Alert, err)
		}
		if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s: severity %q", rule.Alert, severity)
		}
		if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
			t.Errorf("%s does not say what it is about", rule.Alert)
		}
		if at, is := strings.CutPrefix(rule.Annotations["runbook_url"], "docs/operations.md#"); !is || !anchors[at] {
			t.Errorf("%s: its runbook %q is not in docs/operations.md", rule.Alert, rule.Annotations["runbook_url"])
		}
		if !strings.Contains(page, "`"+rule.Alert+"`") {
			t.Errorf("docs/operations.md does not name %s", rule.Alert)
		}
	}
	for _, name := range regexp.MustCompile("`(Sluice[A-Z]\\w+)`").FindAllStringSubmatch(page, -1) {
		if !seen[name[1]] {
			t.Errorf("docs/operations.md names %s, which is no alert", name[1])
		}
	}
}

// anchor is how a heading is linked to.
func anchor(heading string) string {
	heading = regexp.MustCompile("[^a-z0-9 -]").ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(heading, " ", "-")
}

func operations(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// documentedMetrics holds that the tables of docs/operations.md have every metric of the services and no other. Those of
// the Go runtime and of processes are every Go program's.
func (o *observed) documentedMetrics(t *testing.T) {
	existing := map[string]bool{}
	for name := range o.metrics {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") && !strings.HasPrefix(name, "promhttp_") {
			existing[name] = true
		}
	}
	for _, name := range withTLS {
		existing[name] = true
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `((?:sluice|producer|redactor|sink|notifier)_[a-z_]+)").FindAllStringSubmatch(operations(t), -1) {
		if documented[row[1]] {
			t.Errorf("docs/operations.md has %s twice", row[1])
		}
		documented[row[1]] = true
	}
	for name := range existing {
		if !documented[name] {
			t.Errorf("docs/operations.md lacks %s: %s", name, o.metrics[name].GetHelp())
		}
	}
	for name := range documented {
		if !existing[name] {
			t.Errorf("docs/operations.md has %s, which no service has", name)
		}
	}
}

// TestPrometheusConfiguration holds that the scrape configuration names the jobs that rules and panels ask for, and the
// ports that the services listen on.
func TestPrometheusConfiguration(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "deploy", "prometheus", "prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		RuleFiles []string `yaml:"rule_files"`
		Scrape    []struct {
			Job    string `yaml:"job_name"`
			Static []struct {
				Targets []string `yaml:"targets"`
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for _, name := range file.RuleFiles {
		if _, err := os.Stat(filepath.Join("..", "deploy", "prometheus", name)); err != nil {
			t.Error(err)
		}
	}
	ports := map[string]string{"redactor": ":8081", "sink": ":8082", "notifier": ":8083", "producer": ":8084", "clickhouse": ":9363"}
	for _, s := range file.Scrape {
		if port := ports[s.Job]; port == "" || len(s.Static) != 1 || !strings.HasSuffix(s.Static[0].Targets[0], port) {
			t.Errorf("job %s: %+v, want port %s", s.Job, s.Static, port)
		}
		delete(ports, s.Job)
	}
	if len(ports) > 0 {
		t.Errorf("no job for %v", ports)
	}
}
