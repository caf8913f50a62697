package notifier

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sluice/internal/broker"
	"sluice/notifier/rules"
)

func TestConfigValidate(t *testing.T) {
	for _, c := range []struct {
		name              string
		interval, resolve time.Duration
		url, want         string
	}{
		{"defaults", 5 * time.Minute, 24 * time.Hour, "nats://127.0.0.1:4222", ""},
		{"interval", 0, time.Hour, "nats://127.0.0.1:4222", "NOTIFIER_GROUP_INTERVAL"},
		{"resolve", time.Hour, time.Minute, "nats://127.0.0.1:4222", "NOTIFIER_RESOLVE_AFTER"},
		{"everything", 0, -1, "nats://", "NATS_URL"},
	} {
		err := Config{NATS: broker.NATS{URL: c.url}, GroupInterval: c.interval, ResolveAfter: c.resolve}.Validate()
		if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		name, event string
		want        []string
		fails       bool
	}{
		{
			"exception", exceptionEventOf("system_exception"),
			[]string{"system-exception", "alert", "v1:", "innermost frames", "alerts.acme.alert.system_exception", "acme.", "ValueError: x"},
			false,
		},
		{"update", `{"action":"update_available","context":{"new_version":"1"}}`, []string{"update-available", "notice", "product and version"}, false},
		{"no rule", `{"action":"login"}`, []string{"none: no rule"}, false},
		{"own", `{"action":"system_exception","app":"sluice/notifier"}`, []string{"none: the notifier's own"}, false},
		{"no action", `{}`, nil, true},
		{"not JSON", `{`, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			err := Explain(&out, rules.Default(), "acme", []byte(c.event))
			if (err != nil) != c.fails {
				t.Fatalf("got %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not in\n%s", want, out.String())
				}
			}
		})
	}
}

func exceptionEventOf(action string) string {
	return strings.Replace(exceptionEvent("billing", "ValueError", "x", frames("/app/a.py f")), "system_exception", action, 1)
}
