package redactor

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/redactor/redact"
	"sluice/schemas"
)

var storedAt = time.Date(2026, 2, 3, 4, 5, 6, 789_012_345, time.FixedZone("", 3600))

// using is the engine in use by a stage.
func using(engine *redact.Engine, m *metrics) *engines {
	e := &engines{metrics: m}
	e.current.Store(engine)
	return e
}

func engineFor(tb testing.TB) *redact.Engine {
	tb.Helper()
	engine, err := redact.New(redact.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return engine
}

func raw(subject, data string) arrival {
	return arrival{subject: subject, data: []byte(data), stream: schemas.StreamRaw, sequence: 7, storedAt: storedAt}
}

func TestJudgeStamps(t *testing.T) {
	t.Parallel()
	const pk = "f00f54e7-2b38-421f-bc78-e61f950048d6"
	derived := schemas.DerivedPK(schemas.StreamRaw, 7, storedAt).String()
	stamps := `"pk":"` + derived + `","action":"login","created":"2026-02-03T03:05:06.789012Z"}`
	for _, test := range []struct{ name, in, want, pk string }{
		{"nothing there", `{}`, `{` + stamps, derived},
		{"nothing but space", " { \n} \r\n", " { \n" + stamps + " \r\n", derived},
		{"members", `{"context":{}}`, `{"context":{},` + stamps, derived},
		{"space before the brace", `{"context":{} }` + "\n", `{"context":{} ,` + stamps + "\n", derived},
		{"all there", `{"pk":"` + pk + `","action":"login","created":"2020-01-01T00:00:00Z"}`, `{"pk":"` + pk + `","action":"login","created":"2020-01-01T00:00:00Z"}`, pk},
		{
			"pk without dashes, in capitals", `{"pk":"F00F54E72B38421FBC78E61F950048D6","created":"2020-01-01T00:00:00Z"}`,
			`{"pk":"F00F54E72B38421FBC78E61F950048D6","created":"2020-01-01T00:00:00Z","action":"login"}`, pk,
		},
		{"braces in strings", `{"app":"}{"}`, `{"app":"}{",` + stamps, derived},
		{"masked", `{"token":1}`, `{"token":"` + schemas.Mask + `",` + stamps, derived},
	} {
		v, arena := judge(engineFor(t), []byte("earlier"), raw("events.raw.acme.login", test.in))
		if v.reason != "" || string(v.clean) != test.want || v.pk.String() != test.pk {
			t.Errorf("%s: %s %s\ngot  %s\nwant %s", test.name, v.reason, v.pk, v.clean, test.want)
		}
		if !json.Valid(v.clean) || string(arena) != "earlier"+test.want {
			t.Errorf("%s: not JSON, or the arena was spoilt: %s", test.name, arena)
		}
		if v.tenant != "acme" || v.action != "login" {
			t.Errorf("%s: tenant %q action %q", test.name, v.tenant, v.action)
		}
	}
}

func TestJudgeRefuses(t *testing.T) {
	t.Parallel()
	const secret = `"context":{"password":"` + planted + `"}`
	for _, test := range []struct {
		name, subject, in string
		want              schemas.Reason
		detail, tenant    string
	}{
		{"not JSON", "events.raw.t.login", `{` + secret, schemas.ReasonInvalidJSON, "invalid JSON at byte 40: text ends too early", "t"},
		{"nothing", "events.raw.t.login", ``, schemas.ReasonInvalidJSON, "invalid JSON at byte 0: text ends too early", "t"},
		{"a list", "events.raw.t.login", `[{` + secret + `}]`, schemas.ReasonNotAnObject, "the event is JSON, but not an object", "t"},
		{"wrong type", "events.raw.t.login", `{"user":"` + planted + `"}`, schemas.ReasonInvalidField, `field "user": not an object`, "t"},
		{"other action", "events.raw.t.login", `{"action":"logout",` + secret + `}`, schemas.ReasonActionMismatch, "the event's action is not the subject's", "t"},
		{"bad action", "events.raw.t.Log-in", `{` + secret + `}`, schemas.ReasonInvalidField, "", "t"},
		{"bad action, good one inside", "events.raw.t.Log-in", `{"action":"login"}`, schemas.ReasonActionMismatch, "", "t"},
		{"bad tenant", "events.raw.t@x.login", `{` + secret + `}`, schemas.ReasonInvalidField, "", "t@x"},
		{"wild tenant", "events.raw.*.login", `{}`, schemas.ReasonInvalidField, "", noTenant},
		{"long tenant", "events.raw." + strings.Repeat("t", 3000) + ".login", `{}`, schemas.ReasonInvalidField, "", noTenant},
		{"too deep", "events.raw.t.login", `{"context":{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}}`, schemas.ReasonTooDeep, "", "t"},
		{"too large", "events.raw.t.login", `{"a":"` + strings.Repeat("x", schemas.MaxRawBytes) + `"}`, schemas.ReasonTooLarge, "1048584 bytes of at most 1048576", "t"},
		{"too large once masked", "events.raw.t.login", `{"tokens":[` + strings.Repeat("1,", 500_000) + `1]}`, schemas.ReasonTooLarge, "masked it has more than 4194304 bytes", "t"},
	} {
		v, arena := judge(engineFor(t), []byte("earlier"), raw(test.subject, test.in))
		if v.reason != test.want || v.tenant != test.tenant || v.clean != nil || v.detail == "" {
			t.Errorf("%s: %+v, want %s of %s", test.name, v, test.want, test.tenant)
		}
		if test.detail != "" && v.detail != test.detail {
			t.Errorf("%s: detail %q, want %q", test.name, v.detail, test.detail)
		}
		if string(arena) != "earlier" {
			t.Errorf("%s: something is left in the arena", test.name)
		}
		leaksNothing(t, v.detail)
	}
}

// TestJudgeIsStable: a redelivery is judged alike, another event is not.
func TestJudgeIsStable(t *testing.T) {
	t.Parallel()
	a := raw("events.raw.t.login", `{}`)
	first, _ := judge(engineFor(t), nil, a)
	second, _ := judge(engineFor(t), nil, a)
	if first.pk == uuid.Nil || first.pk != second.pk || string(first.clean) != string(second.clean) {
		t.Errorf("%s became %s", first.clean, second.clean)
	}
	a.sequence++
	if third, _ := judge(engineFor(t), nil, a); third.pk == first.pk {
		t.Error("another event has the same id")
	}
}

// FuzzStamp: whatever the event, what comes out is its bytes and some members.
func FuzzStamp(f *testing.F) {
	for _, event := range []string{`{}`, ` { } `, `{"a":"}"}`, `{"a":{}}`, "{\"action\":\"login\"\t}\n", `{"pk":null}`} {
		f.Add(event)
	}
	engine := engineFor(f)
	f.Fuzz(func(t *testing.T, event string) {
		v, _ := judge(engine, nil, raw("events.raw.t.login", event))
		if v.reason != "" {
			return
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(v.clean, &fields); err != nil {
			t.Fatalf("%v: %s", err, v.clean)
		}
		if fields["pk"] == nil || string(fields["action"]) != `"login"` && !strings.Contains(event, `\`) || fields["created"] == nil {
			t.Fatalf("not stamped: %s", v.clean)
		}
	})
}

func TestExplainRejection(t *testing.T) {
	t.Parallel()
	for reason, want := range map[schemas.Reason]string{
		schemas.ReasonInternal: "the redaction engine failed", schemas.ReasonTooDeep: "too_deep",
	} {
		got, detail := explainRejection(&schemas.Rejection{Reason: reason}, 1)
		if got != reason || detail != want {
			t.Errorf("%s: %s %q", reason, got, detail)
		}
	}
	if got, _ := explainRejection(io.EOF, 1); got != schemas.ReasonInternal {
		t.Errorf("an error of another kind: %s", got)
	}
}
