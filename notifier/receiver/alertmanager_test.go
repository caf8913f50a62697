package receiver

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/models"

	"sluice/schemas"
)

// The answers are those of Alertmanager's own types: what they refuse, it refuses.
func TestAlertmanager(t *testing.T) {
	p := newPeer(t, nil)
	s := open(t, nil, "type: alertmanager\nurl: "+p.URL+"/prefix\n"+loopback+"labels: {cluster: eu-1}\nkeep_firing: 30h")
	decoded := func() *models.PostableAlert {
		t.Helper()
		got := p.last(t)
		if got.method != http.MethodPost || got.path != "/prefix/api/v2/alerts" {
			t.Errorf("got %s %s", got.method, got.path)
		}
		var alerts models.PostableAlerts
		if err := json.Unmarshal(got.body, &alerts); err != nil {
			t.Fatal(err)
		}
		if err := alerts.Validate(strfmt.Default); err != nil || len(alerts) != 1 {
			t.Fatalf("%d alerts: %v", len(alerts), err)
		}
		return alerts[0]
	}
	mustSend(t, s, notice(t, nil))
	firing := decoded()
	want := models.LabelSet{
		"alertname": "system_exception", "severity": "alert", "tenant": "default", "app": "billing", "cluster": "eu-1",
		"fingerprint": "v1:efd973ed946ea4464227aced08c71d57",
	}
	if len(firing.Labels) != len(want) {
		t.Errorf("labels: got %v", firing.Labels)
	}
	for name, value := range want {
		if firing.Labels[name] != value {
			t.Errorf("label %s: got %q, want %q", name, firing.Labels[name], value)
		}
	}
	if firing.Annotations["summary"] != "ValueError: amount 17 is too <small>" {
		t.Errorf("annotations: got %v", firing.Annotations)
	}
	told := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if end := time.Time(firing.EndsAt); !end.Equal(told.Add(30 * time.Hour)) {
		t.Errorf("it ends %s", end)
	}
	mustSend(t, s, notice(t, func(a *schemas.Alert) { a.Type, a.Data.Count = schemas.AlertResolved, 12 }))
	resolved := decoded()
	if end := time.Time(resolved.EndsAt); !end.Equal(told) {
		t.Errorf("resolved it ends %s, want %s", end, told)
	}
	for name := range want {
		if resolved.Labels[name] != firing.Labels[name] {
			t.Errorf("label %s of the resolved alert: %q", name, resolved.Labels[name])
		}
	}
}
