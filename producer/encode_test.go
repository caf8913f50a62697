package producer

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/schemas"
)

const (
	pkA = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
	pkB = "0190163d-8694-739b-aea5-966c26f8ad91"
)

func encoder(t testing.TB) *Encoder {
	t.Helper()
	e, err := NewEncoder("acme")
	if err != nil {
		t.Fatal(err)
	}
	e.NewPK = func([]byte) uuid.UUID { return uuid.MustParse(pkA) }
	return e
}

func TestEncodeJSONAddsWhatIsMissing(t *testing.T) {
	for name, tc := range map[string]struct{ action, text, want string }{
		"nothing is missing": {
			"", `{"pk":"` + pkB + `","action":"login"}`, `{"pk":"` + pkB + `","action":"login"}`,
		},
		"space and order stay": {
			"", "\t{ \"action\" : \"login\" ,\"pk\":\"" + pkB + "\" } \r", "\t{ \"action\" : \"login\" ,\"pk\":\"" + pkB + "\" } \r",
		},
		"pk without dashes stays": {
			"", `{"action":"a","pk":"6f9619ff8b864011b42d00c04fc964ff"}`, `{"action":"a","pk":"6f9619ff8b864011b42d00c04fc964ff"}`,
		},
		"pk":                   {"", `{"action":"login"}`, `{"action":"login","pk":"` + pkA + `"}`},
		"both into empty":      {"login", `{}`, `{"action":"login","pk":"` + pkA + `"}`},
		"both into space":      {"login", ` { } `, ` { "action":"login","pk":"` + pkA + `"} `},
		"action alone":         {"login", `{"pk":"` + pkB + `"}`, `{"pk":"` + pkB + `","action":"login"}`},
		"its own action wins":  {"logout", `{"action":"login"}`, `{"action":"login","pk":"` + pkA + `"}`},
		"behind space":         {"", "{\"action\":\"a\"\n}\n", "{\"action\":\"a\"\n,\"pk\":\"" + pkA + "\"}\n"},
		"behind nested braces": {"", `{"action":"a","context":{"a":{"b":[{}]}}}`, `{"action":"a","context":{"a":{"b":[{}]}},"pk":"` + pkA + `"}`},
		"brace in a string":    {"", `{"action":"a","x":"}\"}"}`, `{"action":"a","x":"}\"}","pk":"` + pkA + `"}`},
		"nested pk is another": {"", `{"action":"a","context":{"pk":"x"}}`, `{"action":"a","context":{"pk":"x"},"pk":"` + pkA + `"}`},
		"escaped names count":  {"", `{"act\u0069on":"a","\u0070k":"` + pkB + `"}`, `{"act\u0069on":"a","\u0070k":"` + pkB + `"}`},
		"numbers and escapes":  {"", `{"action":"a","x":[1e400,-0.0,"\u00e9é"]}`, `{"action":"a","x":[1e400,-0.0,"\u00e9é"],"pk":"` + pkA + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			e := encoder(t)
			e.Action = tc.action
			got, err := e.JSON([]byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if string(got.JSON()) != tc.want {
				t.Errorf("got  %s\nwant %s", got.JSON(), tc.want)
			}
		})
	}
}

func TestEncodeJSONRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want error
		says string
	}{
		"not JSON":         {`{"action":"login",hunter2}`, ErrInvalid, "invalid_json"},
		"two values":       {`{"action":"login"}{"action":"login"}`, ErrInvalid, "invalid_json"},
		"not UTF-8":        {"{\"action\":\"login\",\"x\":\"\xff\"}", ErrInvalid, "invalid_json"},
		"empty":            {``, ErrInvalid, "invalid_json"},
		"not an object":    {`["hunter2"]`, ErrInvalid, "not_an_object"},
		"no action":        {`{"context":{"password":"hunter2"}}`, ErrNoAction, "no action"},
		"no action either": {`{"context":{"password":"hunter2"}}`, ErrInvalid, "not valid"},
		"action no name":   {`{"action":"hunter2!"}`, ErrInvalid, `field "action"`},
		"context a string": {`{"action":"a","context":"hunter2"}`, ErrInvalid, `field "context"`},
		"user null":        {`{"action":"a","user":null}`, ErrInvalid, `field "user"`},
		"pk no UUID":       {`{"action":"a","pk":"hunter2"}`, ErrInvalid, `field "pk"`},
		"pk null":          {`{"action":"a","pk":null}`, ErrInvalid, `field "pk"`},
		"pk twice":         {`{"action":"a","pk":"` + pkA + `","\u0070k":"` + pkB + `"}`, ErrInvalid, `field "pk"`},
		"too deep":         {`{"action":"a","x":` + strings.Repeat("[", 900) + strings.Repeat("]", 900) + `}`, ErrInvalid, "too_deep"},
		"too large":        {`{"action":"a","x":"` + strings.Repeat("hunter2", schemas.MaxRawBytes/7) + `"}`, ErrTooLarge, "1048576"},
		"too large with pk": {
			`{"action":"a","x":"` + strings.Repeat("x", schemas.MaxRawBytes-len(`{"action":"a","x":""}`)) + `"}`, ErrTooLarge, "1048576",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := encoder(t).JSON([]byte(tc.text))
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %v with %q", err, tc.want, tc.says)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error quotes the event: %v", err)
			}
		})
	}
}

func FuzzEncodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `{"action":"a"}`, `{"pk":"` + pkA + `"}`, `{"a":{"b":[{}]},"c":"}"}`, `{"\u0070k":null}`, `[]`, `{"x":1,}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e := encoder(t)
		e.Action = "login"
		before := bytes.Clone(text)
		m, err := e.JSON(text)
		if !bytes.Equal(text, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			return
		}
		var ev schemas.Event
		if err := new(schemas.Decoder).Decode(m.JSON(), &ev); err != nil {
			t.Fatalf("%q became invalid: %q: %v", text, m.JSON(), err)
		}
		if ev.PK != m.PK() || ev.Action != m.Action() || ev.PK == uuid.Nil || ev.Action == "" {
			t.Fatalf("%q: id %s and action %q, told %s and %q", m.JSON(), ev.PK, ev.Action, m.PK(), m.Action())
		}
		// What was added stands in one piece before the last brace.
		end := bytes.LastIndexByte(text, '}')
		tail := len(text) - end
		if !bytes.HasPrefix(m.JSON(), text[:end]) || !bytes.Equal(m.JSON()[len(m.JSON())-tail:], text[end:]) {
			t.Fatalf("%q became %q", text, m.JSON())
		}
		again, err := e.JSON(m.JSON())
		if err != nil || !bytes.Equal(again.JSON(), m.JSON()) {
			t.Fatalf("a complete event was changed: %q, %v", again.JSON(), err)
		}
	})
}

func TestEncodeEventFillsIn(t *testing.T) {
	e := encoder(t)
	e.App = "sluice.billing"
	before := time.Now().Truncate(time.Microsecond)
	m, err := e.Event(schemas.Event{Action: "login", User: json.RawMessage(" {\"username\":\"ann\"} ")})
	if err != nil {
		t.Fatal(err)
	}
	var ev schemas.Event
	if err := new(schemas.Decoder).Decode(m.JSON(), &ev); err != nil {
		t.Fatal(err)
	}
	if ev.PK != m.PK() || ev.PK.Version() != 7 {
		t.Errorf("pk %s of version %d, told %s", ev.PK, ev.PK.Version(), m.PK())
	}
	if ev.Created.Before(before) || ev.Created.After(time.Now()) {
		t.Errorf("created %s is not now", ev.Created)
	}
	if ev.App != "sluice.billing" || ev.Action != "login" || string(ev.User) != `{"username":"ann"}` {
		t.Errorf("got %s", m.JSON())
	}
}

func TestEncodeEventKeepsWhatIsThere(t *testing.T) {
	e := encoder(t)
	e.App, e.Action = "other", "other"
	ev := schemas.Event{
		PK: uuid.MustParse(pkB), Action: "login", App: "app", Context: json.RawMessage(`{"a":1e400}`),
		Created: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Expires: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC),
		Extra: []schemas.Member{{Name: []byte(`"x"`), Value: []byte(`[1]`)}},
	}
	m, err := e.Event(ev)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"pk":"` + pkB + `","action":"login","app":"app","context":{"a":1e400},"created":"2026-01-02T03:04:05.000006Z",` +
		`"expires":"2027-01-02T03:04:05.000000Z","x":[1]}`
	if string(m.JSON()) != want {
		t.Errorf("got  %s\nwant %s", m.JSON(), want)
	}
}

func TestEncodeEventRefuses(t *testing.T) {
	huge := `{"x":"` + strings.Repeat("x", schemas.MaxRawBytes) + `"}`
	for name, tc := range map[string]struct {
		event schemas.Event
		want  error
	}{
		"no action":            {schemas.Event{}, ErrNoAction},
		"action no name":       {schemas.Event{Action: "Log In"}, ErrInvalid},
		"context no object":    {schemas.Event{Action: "a", Context: json.RawMessage(`"hunter2"`)}, ErrInvalid},
		"context no JSON":      {schemas.Event{Action: "a", Context: json.RawMessage(`{"hunter2"`)}, ErrInvalid},
		"context forges user":  {schemas.Event{Action: "a", Context: json.RawMessage(`{},"user":{"username":"hunter2"}`)}, ErrInvalid},
		"context forges extra": {schemas.Event{Action: "a", Context: json.RawMessage(`{},"x":{}`)}, ErrInvalid},
		"context forges brand": {schemas.Event{Action: "a", Context: json.RawMessage(`{},"brand":{}`), Brand: json.RawMessage(`{}`)}, ErrInvalid},
		"extra forges extra": {
			schemas.Event{Action: "a", Extra: []schemas.Member{{Name: []byte(`"x"`), Value: []byte(`1,"y":2`)}}}, ErrInvalid,
		},
		"extra is a field": {
			schemas.Event{Action: "a", Extra: []schemas.Member{{Name: []byte(`"pk"`), Value: []byte(`"` + pkA + `"`)}}}, ErrInvalid,
		},
		"year no database has": {schemas.Event{Action: "a", Created: time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)}, ErrInvalid},
		"too large":            {schemas.Event{Action: "a", Context: json.RawMessage(huge)}, ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := encoder(t).Event(tc.event)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if m.PK() == uuid.Nil {
				t.Error("a refused event has no id to speak of it by")
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error quotes the event: %v", err)
			}
		})
	}
}

func TestNewEncoderRefusesATenantThatIsNoToken(t *testing.T) {
	for _, tenant := range []string{"", "a.b", "a b", ">", "*", strings.Repeat("a", 65)} {
		if _, err := NewEncoder(tenant); err == nil {
			t.Errorf("%q: want an error", tenant)
		}
	}
}

func TestValidTraceParent(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if !validTraceParent(good) {
		t.Errorf("%q: want valid", good)
	}
	for _, bad := range []string{
		"", good + "\r\nNats-Msg-Id: x", "01" + good[2:], strings.ToUpper(good), strings.Replace(good, "-", "0", 1), good[:54] + "\n",
		strings.Replace(good, "4", "é", 1), good[:54] + "-",
	} {
		if validTraceParent(bad) {
			t.Errorf("%q: want invalid", bad)
		}
	}
}
