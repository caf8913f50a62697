package notifier

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/schemas"
)

var storedAt = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// observe reads an event of the default tenant, whose action is in its JSON.
func observe(t testing.TB, action, event string) *observation {
	t.Helper()
	r := newReader(t)
	o, err := r.read(incoming{subject: schemas.CleanSubject("default", action), data: []byte(event), stream: 1, sequence: 1, storedAt: storedAt})
	if err != nil {
		t.Fatalf("read %.200s: %v", event, err)
	}
	return o
}

func frames(list ...string) string {
	var out []string
	for i, f := range list {
		space := strings.LastIndex(f, " ")
		out = append(out, fmt.Sprintf(`{"filename":%q,"lineno":%d,"name":%q,"line":"","locals":null}`, f[:space], 10+i, f[space+1:]))
	}
	return "[" + strings.Join(out, ",") + "]"
}

func exceptionEvent(app, kind, value, frames string) string {
	return fmt.Sprintf(`{"action":"system_exception","app":%q,"context":{"message":%q,"exception":[{"exc_type":%q,"exc_value":%q,"frames":%s}]}}`,
		app, value, kind, value, frames)
}

func messageEvent(app, message string) string {
	return fmt.Sprintf(`{"app":%s,"context":{"message":%s}}`, quote(app), quote(message))
}

const library = "/venv/lib/python3.13/site-packages/django/core/handlers/base.py _get_response"

const traceback = `Traceback (most recent call last):
  File "/venv/lib/python3.13/site-packages/django/core/handlers/base.py", line 197, in _get_response
    response = wrapped_callback(request)
  File "/app/billing/views.py", line 42, in charge
    gateway.pay(17)
    ~~~~~~~~~~~^^^^
ValueError: amount 17 is too small
`

func TestSameTrouble(t *testing.T) {
	for name, events := range map[string][]string{
		"line numbers and values differ": {
			exceptionEvent("billing", "ValueError", "amount 17", frames(library, "/app/billing/views.py charge")),
			strings.ReplaceAll(exceptionEvent("billing", "ValueError", "amount 99", frames(library, "/app/billing/views.py charge")), `"lineno":11`, `"lineno":77`),
		},
		"other library frames": {
			exceptionEvent("billing", "ValueError", "x", frames(library, "/app/billing/views.py charge")),
			exceptionEvent("billing", "ValueError", "x", frames("/app/billing/views.py charge", "/venv/lib/python3.13/site-packages/pay.py pay")),
			exceptionEvent("billing", "ValueError", "x", frames("<frozen importlib._bootstrap> load", "/app/billing/views.py charge")),
		},
		"a traceback and its structure": {
			`{"app":"billing","context":{"exception":` + quote(traceback) + `}}`,
			exceptionEvent("billing", "ValueError", "other", frames("/app/billing/views.py charge")),
			`{"app":"billing","context":{"exception":{"type":"ValueError","value":"v","frames":[{"file":"/app/billing/views.py","function":"charge"}]}}}`,
		},
		"chained tracebacks, the last counts": {
			`{"app":"billing","context":{"exception":` + quote(traceback) + `}}`,
			`{"app":"billing","context":{"exception":` + quote("Traceback (most recent call last):\n  File \"/app/x.py\", line 1, in y\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n"+traceback) + `}}`,
		},
		"release directories": {
			exceptionEvent("billing", "ValueError", "x", frames("/srv/releases/20260301/billing/views.py charge")),
			exceptionEvent("billing", "ValueError", "x", frames("/srv/releases/20260302/billing/views.py charge")),
		},
		"ids in messages": {
			messageEvent("billing", "order 17 of f00f54e7-2b38-421f-bc78-e61f950048d6 failed at 2026-03-01T12:00:00Z"),
			messageEvent("billing", "order 9812 of 474ffb6b-77e3-401c-b681-7d618962440f failed at 2026-03-02T08:15:11.5Z"),
		},
		"its own fingerprint, whatever else": {
			`{"app":"a","context":{"fingerprint":"db-down","message":"one"}}`,
			`{"app":"b","context":{"fingerprint":["db-down"],"message":"two","exception":` + quote(traceback) + `}}`,
		},
		"an exception without frames": {
			exceptionEvent("web", "DisallowedHost", "Invalid HTTP_HOST header: 'a.example'", "[]"),
			exceptionEvent("web", "DisallowedHost", "Invalid HTTP_HOST header: 'b.example'", "[]"),
		},
		"nothing at all": {`{"app":"a"}`, `{"app":"a","context":{}}`, `{"app":"a","context":{"message":null,"exception":7}}`, `{"app":"a","context":{"exception":[]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			first := observe(t, "system_exception", events[0])
			for _, event := range events[1:] {
				if o := observe(t, "system_exception", event); o.key != first.key || o.fingerprint != first.fingerprint {
					t.Errorf("%s (%s) and\n%s (%s) are told apart", events[0], first.fingerprint.basis, event, o.fingerprint.basis)
				}
			}
			if !strings.HasPrefix(first.fingerprint.text, "v1:") || len(first.fingerprint.text) != 3+32 {
				t.Errorf("fingerprint %q", first.fingerprint.text)
			}
		})
	}
}

func TestDifferentTroubles(t *testing.T) {
	events := []string{
		exceptionEvent("billing", "ValueError", "x", frames("/app/billing/views.py charge")),
		exceptionEvent("billing", "KeyError", "x", frames("/app/billing/views.py charge")),
		exceptionEvent("billing", "ValueError", "x", frames("/app/billing/views.py refund")),
		exceptionEvent("billing", "ValueError", "x", frames("/app/billing/other.py charge")),
		exceptionEvent("shop", "ValueError", "x", frames("/app/billing/views.py charge")),
		exceptionEvent("billing", "ValueError", "x", frames("/app/main.py main", "/app/billing/views.py charge")),
		exceptionEvent("billing", "ValueError", "x", frames(library)),
		exceptionEvent("billing", "ValueError", "x", "[]"),
		exceptionEvent("billing", "ValueError", "y", "[]"),
		messageEvent("billing", "cannot connect"),
		messageEvent("shop", "cannot connect"),
		messageEvent("billing", "cannot disconnect"),
		`{"context":{"fingerprint":"a"}}`,
		`{"context":{"fingerprint":["a","b"]}}`,
		`{"context":{"fingerprint":["ab"]}}`,
		`{"context":{"fingerprint":["a",["b"],{"c":1}, "c"]}}`,
		`{"app":"billing"}`,
		`{"app":"shop"}`,
		`{}`,
	}
	seen := map[string]string{}
	for _, event := range events {
		o := observe(t, "system_exception", event)
		if other, ok := seen[o.key]; ok {
			t.Errorf("%s and\n%s are the same", event, other)
		}
		seen[o.key] = event
	}
	if a, b := groupKey("a", "x", "f"), groupKey("b", "x", "f"); a[2:] == b[2:] {
		t.Error("the tenant is no part of the digest")
	}
	if a, b := groupKey("a", "x", "f"), groupKey("a", "y", "f"); a == b {
		t.Error("the action is no part of the key")
	}
}

func TestParseTraceback(t *testing.T) {
	e := parseTraceback(traceback)
	if e.kind != "ValueError" || e.value != "amount 17 is too small" || len(e.frames) != 2 || !e.frames[0].foreign || e.frames[1] != (frame{file: "/app/billing/views.py", function: "charge"}) {
		t.Errorf("got %+v", e)
	}
	for _, text := range []string{"", "boom", "Traceback (most recent call last):\n", "java.lang.X: y\n\tat a.b(C.java:1)", "  File \"", "  File \"x\n  File \"y\"\nz", "\n\n\n"} {
		e := parseTraceback(text)
		if e.kind == "" && e.text == "" && text != "" && len(e.frames) == 0 {
			t.Errorf("%q: nothing is left of it", text)
		}
	}
	deep := "Traceback (most recent call last):\n" + strings.Repeat("  File \"/app/a.py\", line 1, in f\n    f()\n", 5000) + "RecursionError: maximum recursion depth exceeded\n"
	if e := parseTraceback(deep); len(e.frames) > 2*maxFrames || e.kind != "RecursionError" {
		t.Errorf("%d frames, kind %q", len(e.frames), e.kind)
	}
}
