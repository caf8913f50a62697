package schemas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/schemas"
)

func goldens(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/event_*.json")
	if err != nil || len(files) != 10 {
		t.Fatalf("got %d golden events (%v), want 10", len(files), err)
	}
	out := map[string][]byte{}
	for _, file := range files {
		if out[file], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// The golden files are authentik's own examples: what its API prints is a valid
// event, and an event that was decoded goes out again byte for byte.
func TestGoldenEventsRoundTrip(t *testing.T) {
	t.Parallel()
	for file, raw := range goldens(t) {
		var d schemas.Decoder
		var ev schemas.Event
		if err := d.Decode(raw, &ev); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if ev.PK == uuid.Nil || ev.Action == "" || ev.Created.IsZero() || ev.Expires.IsZero() || len(ev.Extra) != 0 {
			t.Errorf("%s: got %+v", file, ev)
		}
		if strings.HasSuffix(file, ".pretty.json") {
			continue
		}
		if got := append(ev.AppendJSON(nil), '\n'); !bytes.Equal(got, raw) {
			t.Errorf("%s: got\n%s want\n%s", file, got, raw)
		}
	}
}

func TestDecodeDefaults(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, `{"client_ip":null,"expires":null}`} {
		var d schemas.Decoder
		var ev schemas.Event
		if err := d.Decode([]byte(text), &ev); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := string(ev.AppendJSON(nil)); got != `{}` {
			t.Errorf("%s: got %s", text, got)
		}
	}
}

func TestDecodeFields(t *testing.T) {
	t.Parallel()
	var d schemas.Decoder
	var ev schemas.Event
	src := `{"pk":"FCBA828076B94DEDB2D5A6B4C5556FA1","x":1,"\u0061ction":"custom_x1","client_ip":"1.2.3.4","created":"2023-02-15T15:33:42.7710914+02:00","extra":{"a":[]}}`
	if err := d.Decode([]byte(src), &ev); err != nil {
		t.Fatal(err)
	}
	if got := ev.PK.String(); got != "fcba8280-76b9-4ded-b2d5-a6b4c5556fa1" {
		t.Errorf("pk: got %s", got)
	}
	if want := time.Date(2023, 2, 15, 13, 33, 42, 771091400, time.UTC); ev.Action != "custom_x1" || !ev.Created.Equal(want) {
		t.Errorf("got action %q, created %s", ev.Action, ev.Created)
	}
	if got := string(ev.AppendJSON(nil)); got != `{"pk":"fcba8280-76b9-4ded-b2d5-a6b4c5556fa1","action":"custom_x1","client_ip":"1.2.3.4","created":"2023-02-15T13:33:42.771091Z","x":1,"extra":{"a":[]}}` {
		t.Errorf("got %s", got)
	}
}

func TestDecodeRejects(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, schemas.MaxDepth) + `1` + strings.Repeat(`}`, schemas.MaxDepth)
	tooDeep := `{"a":` + deep + `}`
	tests := []struct {
		src    string
		reason schemas.Reason
		field  string
	}{
		{deep, "", ""},
		{tooDeep, schemas.ReasonTooDeep, ""},
		{``, schemas.ReasonInvalidJSON, ""},
		{`{`, schemas.ReasonInvalidJSON, ""},
		{"{\"a\":\"\xff\"}", schemas.ReasonInvalidJSON, ""},
		{`[]`, schemas.ReasonNotAnObject, ""},
		{`"x"`, schemas.ReasonNotAnObject, ""},
		{`{"pk":"x"}`, schemas.ReasonInvalidField, "pk"},
		{`{"pk":1}`, schemas.ReasonInvalidField, "pk"},
		{`{"pk":null}`, schemas.ReasonInvalidField, "pk"},
		{`{"pk":"{fcba8280-76b9-4ded-b2d5-a6b4c5556fa1}"}`, schemas.ReasonInvalidField, "pk"},
		{`{"pk":"00000000-0000-0000-0000-000000000000"}`, schemas.ReasonInvalidField, "pk"},
		{`{"action":"Login"}`, schemas.ReasonInvalidField, "action"},
		{`{"action":""}`, schemas.ReasonInvalidField, "action"},
		{`{"action":"1x"}`, schemas.ReasonInvalidField, "action"},
		{`{"app":{}}`, schemas.ReasonInvalidField, "app"},
		{`{"user":[]}`, schemas.ReasonInvalidField, "user"},
		{`{"user":null}`, schemas.ReasonInvalidField, "user"},
		{`{"context":"x"}`, schemas.ReasonInvalidField, "context"},
		{`{"brand":1}`, schemas.ReasonInvalidField, "brand"},
		{`{"client_ip":"1.2.3"}`, schemas.ReasonInvalidField, "client_ip"},
		{`{"client_ip":"fe80::1%eth0"}`, schemas.ReasonInvalidField, "client_ip"},
		{`{"client_ip":""}`, schemas.ReasonInvalidField, "client_ip"},
		{`{"created":"yesterday"}`, schemas.ReasonInvalidField, "created"},
		{`{"created":1676475222}`, schemas.ReasonInvalidField, "created"},
		{`{"created":"2023-02-15 15:33:42Z"}`, schemas.ReasonInvalidField, "created"},
		{`{"created":"2023-02-15T15:33:42"}`, schemas.ReasonInvalidField, "created"},
		{`{"created":"0001-01-01T00:00:00Z"}`, schemas.ReasonInvalidField, "created"},
		{`{"expires":"2023-02-30T15:33:42Z"}`, schemas.ReasonInvalidField, "expires"},
		{`{"app":"a","app":"b"}`, schemas.ReasonInvalidField, "app"},
		{`{"app":"a","\u0061pp":"b"}`, schemas.ReasonInvalidField, "app"},
	}
	for _, tt := range tests {
		var d schemas.Decoder
		var ev schemas.Event
		err := d.Decode([]byte(tt.src), &ev)
		var got schemas.Rejection
		if rejection := new(schemas.Rejection); errors.As(err, &rejection) {
			got = *rejection
		}
		if got.Reason != tt.reason || got.Field != tt.field {
			t.Errorf("%.60s: got %q for field %q, want %q for %q", tt.src, got.Reason, got.Field, tt.reason, tt.field)
		}
	}
}

// FuzzDecode holds that what is accepted is JSON whose fields survive being
// written again, and that a rejection never quotes the event.
func FuzzDecode(f *testing.F) {
	for _, raw := range goldens(f) {
		f.Add(raw)
	}
	f.Add([]byte(`{"pk":"hunter2hunter2"}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		var d schemas.Decoder
		var ev, again schemas.Event
		if err := d.Decode(src, &ev); err != nil {
			if strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("the error quotes the event: %v", err)
			}
			return
		}
		out := ev.AppendJSON(nil)
		if !json.Valid(out) {
			t.Fatalf("not JSON: %s", out)
		}
		if err := d.Decode(out, &again); err != nil {
			t.Fatalf("does not decode again: %v", err)
		}
		if !bytes.Equal(again.AppendJSON(nil), out) {
			t.Fatalf("not stable: %s", out)
		}
	})
}

func TestDerivedPK(t *testing.T) {
	t.Parallel()
	at := time.Unix(1700000000, 42)
	pk := schemas.DerivedPK(schemas.StreamRaw, 7, at)
	if got, want := pk.String(), "fcd31795-18c5-51a9-a8f0-0502f759277b"; got != want {
		t.Errorf("got %s, want %s: ids of stored events would change", got, want)
	}
	for _, other := range []uuid.UUID{
		schemas.DerivedPK(schemas.StreamRaw, 8, at), schemas.DerivedPK(schemas.StreamClean, 7, at), schemas.DerivedPK(schemas.StreamRaw, 7, at.Add(1)),
	} {
		if other == pk {
			t.Error("another message has the same id")
		}
	}
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		schemas.RawSubject("acme", "login"):                                     "events.raw.acme.login",
		schemas.CleanSubject("acme", "login"):                                   "events.clean.acme.login",
		schemas.QuarantineSubject("acme", schemas.ReasonTooDeep):                "events.quarantine.acme.too_deep",
		schemas.AlertSubject("acme", schemas.SeverityAlert, "system_exception"): "alerts.acme.alert.system_exception",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	tenant, last, err := schemas.ParseEventSubject("events.clean.acme.login")
	if tenant != "acme" || last != "login" || err != nil {
		t.Errorf("got %q, %q, %v", tenant, last, err)
	}
	for _, bad := range []string{"", "events.clean.acme", "events.clean.acme.login.x", "other.clean.acme.login"} {
		if _, _, err := schemas.ParseEventSubject(bad); err == nil {
			t.Errorf("%q: want an error", bad)
		}
	}
	for tenant, ok := range map[string]bool{"default": true, "A-b_9": true, "": false, "a.b": false, "*": false, "ü": false, strings.Repeat("x", 65): false} {
		if got := schemas.CheckTenant(tenant) == nil; got != ok {
			t.Errorf("tenant %q: got %v, want %v", tenant, got, ok)
		}
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	actions := schemas.Actions()
	if len(actions) != 24 {
		t.Errorf("got %d actions, want 24", len(actions))
	}
	for _, a := range actions {
		if !schemas.ValidAction(a.Name) || a.Meaning == "" {
			t.Errorf("got %+v", a)
		}
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	for _, s := range schemas.Streams() {
		if s.Name == "" || len(s.Subjects) == 0 || s.MaxBytes <= 0 || s.Duplicates <= 0 || s.Description == "" {
			t.Errorf("got %+v", s)
		}
		if s.MaxAge != 0 && !s.DiscardOld {
			t.Errorf("%s forgets by age what nobody may have read", s.Name)
		}
	}
}
