package notifier

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sluice/schemas"
	"sluice/schemas/jsontoken"
)

func quote(s string) string { return string(jsontoken.AppendString(nil, s)) }

func TestWords(t *testing.T) {
	long := strings.Repeat("ä", 300)
	for _, c := range []struct{ name, action, event, title, message string }{
		{"message", "system_exception", messageEvent("billing", "it broke"), "it broke", "it broke"},
		{"first line", "system_exception", messageEvent("billing", "\n \tit\tbroke\u0000 here\r\nsecond"), "it broke here", "\n \tit\tbroke\u0000 here\r\nsecond"},
		{"long", "system_exception", messageEvent("billing", long), strings.Repeat("ä", 119) + "…", long},
		{"exactly as long as allowed", "system_exception", messageEvent("billing", long[:240]), long[:240], long[:240]},
		{"message repeats exception", "system_exception", exceptionEvent("b", "KeyError", "'x'", "[]"), "KeyError: 'x'", "'x'"},
		{"exception alone", "system_exception", `{"context":{"exception":[{"exc_type":"KeyError","exc_value":"'x'"}]}}`, "KeyError: 'x'", "KeyError: 'x'"},
		{"traceback alone", "system_exception", `{"context":{"exception":` + quote(traceback) + `}}`, "ValueError: amount 17 is too small", "ValueError: amount 17 is too small"},
		{"other text", "system_exception", `{"context":{"exception":"boom\nat x"}}`, "boom", "boom\nat x"},
		{"error instead of message", "system_exception", `{"context":{"error":"no disk"}}`, "no disk", "no disk"},
		{"number as message", "system_exception", `{"context":{"message":42}}`, "42", "42"},
		{"object as message", "system_exception", `{"app":"x","context":{"message":{"a":"b"}}}`, "system_exception in x", "system_exception in x"},
		{"nothing", "system_exception", `{}`, "system_exception", "system_exception"},
		{"escapes", "system_exception", `{"context":{"message":"\u0041\ud83d\ude00\ud800\n"}}`, "A😀", "A😀\ufffd\n"},
		{"update", "update_available", `{"app":"authentik.admin.tasks","context":{"new_version":"2026.5.0"}}`, "authentik.admin.tasks: an update is available: 2026.5.0", "authentik.admin.tasks: an update is available: 2026.5.0"},
		{"update with product", "update_available", `{"app":"x","context":{"product":"Grafana","new_version":12}}`, "Grafana: an update is available: 12", "Grafana: an update is available: 12"},
		{"update with message", "update_available", `{"context":{"message":"Changelog: https://example.org","new_version":"1"}}`, "An update is available: 1", "Changelog: https://example.org"},
		{"update with message alone", "update_available", `{"context":{"message":"Changelog: https://example.org"}}`, "Changelog: https://example.org", "Changelog: https://example.org"},
		{"update of nothing", "update_available", `{"context":{"new_version":["1"]}}`, "An update is available", "An update is available"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := observe(t, c.action, c.event)
			if o.title != c.title {
				t.Errorf("title\n got %q\nwant %q", o.title, c.title)
			}
			if o.message != c.message {
				t.Errorf("message\n got %q\nwant %q", o.message, c.message)
			}
		})
	}
}

func TestWhatIsNotObserved(t *testing.T) {
	for _, c := range []struct {
		name, subject, event string
		want                 error
	}{
		{"own", "events.clean.default.system_exception", `{"app":"sluice/notifier"}`, errOwn},
		{"no rule", "events.clean.default.login", `{}`, errNoRule},
		{"not JSON", "events.clean.default.system_exception", `{"a":secret`, nil},
		{"not an object", "events.clean.default.system_exception", `["secret"]`, nil},
		{"wrong type", "events.clean.default.system_exception", `{"context":"secret"}`, nil},
		{"tenant", "events.clean.a$b.system_exception", `{}`, nil},
		{"subject", "events.clean.a", `{}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReader(t)
			o, err := r.read(incoming{subject: c.subject, data: []byte(c.event), storedAt: storedAt})
			if o != nil || err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("got %+v, %v", o, err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the event: %v", err)
			}
		})
	}
}

func TestSeenAt(t *testing.T) {
	micro := storedAt.Truncate(time.Microsecond)
	for _, c := range []struct {
		name          string
		created, want time.Time
	}{
		{"missing", time.Time{}, micro},
		{"before", storedAt.Add(-time.Hour), micro.Add(-time.Hour)},
		{"fast clock", storedAt.Add(time.Hour), micro},
	} {
		if got := seenAt(c.created, storedAt); !got.Equal(c.want) || got.Location() != time.UTC {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// checkBounds asserts what holds for every observation.
func checkBounds(t *testing.T, o *observation) {
	t.Helper()
	if o.title == "" || utf8.RuneCountInString(o.title) > maxTitle || strings.ContainsAny(o.title, "\n\r") {
		t.Errorf("title %q", o.title)
	}
	if len(o.message) > maxMessageBytes || len(o.sample) > maxSampleBytes || len(o.app) > maxAppBytes || len(o.version) > maxVersionBytes {
		t.Errorf("message %d, sample %d, app %d, version %d bytes", len(o.message), len(o.sample), len(o.app), len(o.version))
	}
	for _, s := range []string{o.title, o.message, o.app, o.version} {
		if !utf8.ValidString(s) {
			t.Errorf("%q is not UTF-8", s)
		}
	}
	if len(o.key) != len("default.")+32 || !strings.HasPrefix(o.fingerprint.text, "v1:") {
		t.Errorf("key %q, fingerprint %q", o.key, o.fingerprint.text)
	}
}

func TestStrangeShapes(t *testing.T) {
	mb := strings.Repeat("x y'\\\"1é", 1<<17)
	deep := strings.Repeat("[", 800) + strings.Repeat("]", 800)
	many := "[" + strings.Repeat(`{"filename":"/app/a.py","name":"f"},`, 20_000) + "1]"
	for name, context := range map[string]string{
		"message of a megabyte":     `{"message":` + quote(mb) + `}`,
		"escaped megabyte":          `{"message":"` + strings.Repeat(`\u0041`, 150_000) + `"}`,
		"surrogates":                `{"message":"` + strings.Repeat(`\ud83d\ude00`, 50_000) + `"}`,
		"exception of a megabyte":   `{"exception":` + quote(mb) + `}`,
		"lines":                     `{"exception":` + quote(strings.Repeat("  File \"\n", 100_000)) + `}`,
		"fingerprint of a megabyte": `{"fingerprint":[` + quote(mb) + `,` + quote(mb) + `]}`,
		"many fingerprints":         `{"fingerprint":[` + strings.Repeat(`"a",`, 100_000) + `1]}`,
		"many frames":               `{"exception":[{"exc_type":"E","frames":` + many + `}]}`,
		"deep":                      `{"exception":` + deep + `,"message":` + deep + `,"fingerprint":` + deep + `}`,
		"numbers":                   `{"exception":1e999,"message":-0.0,"fingerprint":1}`,
		"literals":                  `{"exception":true,"message":false,"fingerprint":null}`,
		"types":                     `{"exception":[{"exc_type":{},"exc_value":[],"frames":{}},{"exc_type":"E"}]}`,
		"strange frames":            `{"exception":[{"exc_type":"E","frames":[1,null,"x",[],{},{"filename":1,"name":{}},{"filename":"","name":""}]}]}`,
		"list of text":              `{"exception":["a","b",[{"exc_type":"E"}]]}`,
		"twice":                     `{"message":"a","message":"b","exception":"c","exception":{"type":"E"}}`,
		"version":                   `{"new_version":` + quote(mb) + `,"product":` + quote(mb) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, action := range []string{"system_exception", "update_available"} {
				checkBounds(t, observe(t, action, fmt.Sprintf(`{"app":%s,"context":%s}`, quote(mb[:1000]), context)))
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for _, event := range []string{
		`{}`, messageEvent("a", "b"), exceptionEvent("a", "E", "v", frames(library, "/app/x.py f")), `{"context":{"exception":` + quote(traceback) + `}}`,
		`{"context":{"fingerprint":["a",1,null]}}`, `{"context":{"new_version":"1.2.3","product":"p"}}`, `{"context":{"message":"\ud800\u0000"}}`, `[]`, `{"created":"2026-01-01T00:00:00Z"}`,
	} {
		f.Add([]byte(event))
	}
	r := newReader(f)
	f.Fuzz(func(t *testing.T, event []byte) {
		for _, action := range []string{schemas.ActionSystemException, schemas.ActionUpdateAvailable} {
			in := incoming{subject: schemas.CleanSubject("default", action), data: event, stream: 1, sequence: 1, storedAt: storedAt}
			o, err := r.read(in)
			if err != nil {
				continue
			}
			checkBounds(t, o)
			g := &group{key: o.key}
			g.fold(o, storedAt, testTiming)
			data, err := g.encode()
			if err != nil {
				t.Fatalf("encode: %v", err)
			}
			if _, err := decodeGroup(o.key, data); err != nil {
				t.Fatalf("decode %s: %v", data, err)
			}
			if again, err := r.read(in); err != nil || again.key != o.key || again.title != o.title {
				t.Errorf("read again: %+v, %v", again, err)
			}
		}
	})
}

func FuzzDecodeGroup(f *testing.F) {
	g := &group{key: "default.x"}
	g.fold(observe(f, "system_exception", messageEvent("a", "b")), storedAt, testTiming)
	data, err := g.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1,"opened":"x","folded":"1 2","pending":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := decodeGroup("default.x", data)
		if err != nil {
			return
		}
		g.fold(observe(t, "update_available", `{"context":{"new_version":"1"}}`), storedAt, testTiming)
		g.due(storedAt.Add(1000*time.Hour), testTiming)
		if _, err := g.encode(); err != nil {
			t.Errorf("encode: %v", err)
		}
	})
}
