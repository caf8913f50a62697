package sink

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"sluice/schemas"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	testStored    = time.Date(2026, 11, 23, 6, 0, 0, 123456789, time.UTC)
	testRetention = retention{all: 365 * 24 * time.Hour, byTenant: map[string]time.Duration{"lab": 7 * 24 * time.Hour}}
)

func message(data string) cleanMessage {
	return cleanMessage{
		subject: schemas.CleanSubject("acme", "login"), header: nats.Header{}, data: []byte(data),
		stream: schemas.StreamClean, sequence: 7, storedAt: testStored,
	}
}

func mustRow(t *testing.T, msg cleanMessage) row {
	t.Helper()
	r, err := newMapper(testRetention).row(msg)
	if err != nil {
		t.Fatalf("row: %v", err)
	}
	return r
}

func TestRowDefaults(t *testing.T) {
	r := mustRow(t, message(`{}`))
	want := row{
		pk:     schemas.DerivedPK(schemas.StreamClean, 7, testStored),
		tenant: "acme", action: "login",
		created: testStored.Truncate(time.Microsecond),
		expires: time.Date(2027, 11, 23, 6, 0, 0, 0, time.UTC), expiry: byRetention,
		leaves:  time.Date(2027, 11, 24, 0, 0, 0, 0, time.UTC),
		context: []byte("{}"), user: []byte("{}"), brand: []byte("{}"), extra: []byte("{}"),
		streamSeq: 7,
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
}

func TestRowColumns(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v.UTC()
	}
	created := `"created":"2026-01-02T03:04:05.678901Z"`
	for _, tc := range []struct {
		name, event string
		got         func(r row) any
		want        any
	}{
		{"pk with dashes", `{"pk":"f00f54e7-2b38-421f-bc78-e61f950048d6"}`, func(r row) any { return r.pk }, uuid.MustParse("f00f54e7-2b38-421f-bc78-e61f950048d6")},
		{"pk without dashes", `{"pk":"f00f54e72b38421fbc78e61f950048d6"}`, func(r row) any { return r.pk }, uuid.MustParse("f00f54e7-2b38-421f-bc78-e61f950048d6")},
		{"action of the event", `{"action":"logout"}`, func(r row) any { return r.action }, "logout"},
		{"app", `{"app":"a\u00e9\n"}`, func(r row) any { return r.app }, "aé\n"},
		{"created keeps microseconds", `{` + created + `}`, func(r row) any { return r.created }, at("2026-01-02T03:04:05.678901Z")},
		{"created below microseconds", `{"created":"2026-01-02T03:04:05.678901999Z"}`, func(r row) any { return r.created }, at("2026-01-02T03:04:05.678901Z")},
		{"created of another zone", `{"created":"2026-01-02T03:04:05+02:00"}`, func(r row) any { return r.created }, at("2026-01-02T01:04:05Z")},
		{"created before 1970", `{"created":"1931-01-02T03:04:05Z"}`, func(r row) any { return r.created }, at("1931-01-02T03:04:05Z")},
		{"expires by retention", `{` + created + `}`, func(r row) any { return r.expires }, at("2027-01-02T03:04:05Z")},
		{"expires of its own", `{` + created + `,"expires":"2026-02-01T00:00:00.9Z"}`, func(r row) any { return r.expires }, at("2026-02-01T00:00:00Z")},
		{"expires null", `{` + created + `,"expires":null}`, func(r row) any { return r.expires }, at("2027-01-02T03:04:05Z")},
		{"expires too late", `{"expires":"2200-01-01T00:00:00Z"}`, func(r row) any { return r.expires }, at("2106-02-07T06:28:15Z")},
		{"expires too early", `{"expires":"1950-01-01T00:00:00Z"}`, func(r row) any { return r.expires }, at("1970-01-01T00:00:01Z")},
		{"expires at zero, which would be never", `{"expires":"1970-01-01T00:00:00Z"}`, func(r row) any { return r.expires }, at("1970-01-01T00:00:01Z")},
		{"expires by retention too late", `{"created":"2105-12-31T00:00:00Z"}`, func(r row) any { return r.expires }, at("2106-02-07T06:28:15Z")},
		{"user pk number", `{"user":{"pk":9007199254740993}}`, func(r row) any { return r.userPK }, "9007199254740993"},
		{"user pk number text kept", `{"user":{"pk":1.0e2}}`, func(r row) any { return r.userPK }, "1.0e2"},
		{"user pk string", `{"user":{"pk":"a-1"}}`, func(r row) any { return r.userPK }, "a-1"},
		{"user pk null", `{"user":{"pk":null}}`, func(r row) any { return r.userPK }, ""},
		{"user pk object", `{"user":{"pk":{}}}`, func(r row) any { return r.userPK }, ""},
		{"user pk true", `{"user":{"pk":true}}`, func(r row) any { return r.userPK }, "true"},
		{"username", `{"user":{"username":"ak\tadmin"}}`, func(r row) any { return r.username }, "ak\tadmin"},
		{"username of the last of two", `{"user":{"username":"a","username":"b"}}`, func(r row) any { return r.username }, "b"},
		{"email", `{"user":{"email":"root@localhost"}}`, func(r row) any { return r.userEmail }, "root@localhost"},
		{"user", `{"user": {"pk" : 1, "x":[ 1 ]}}`, func(r row) any { return string(r.user) }, `{"pk" : 1, "x":[ 1 ]}`},
		{"v4", `{"client_ip":"10.1.2.3"}`, func(r row) any { return r.clientIP }, netip.MustParseAddr("10.1.2.3")},
		{"v6", `{"client_ip":"2001:DB8::1"}`, func(r row) any { return r.clientIP }, netip.MustParseAddr("2001:db8::1")},
		{"no address", `{"client_ip":null}`, func(r row) any { return r.clientIP }, netip.Addr{}},
		{"brand", `{"brand":{"name":"Default brand", "pk":"1"}}`, func(r row) any { return r.brandName + "|" + string(r.brand) }, `Default brand|{"name":"Default brand", "pk":"1"}`},
		{"context as it is", `{"context": { "b":1.50, "a":"\u0041", "a":2 } }`, func(r row) any { return string(r.context) }, `{ "b":1.50, "a":"\u0041", "a":2 }`},
		{"extra", `{"x":1,"action":"login","y\u0041":{"z": null},"x":2}`, func(r row) any { return string(r.extra) }, `{"x":1,"y\u0041":{"z": null},"x":2}`},
		{"sequence", `{}`, func(r row) any { return r.streamSeq }, uint64(7)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.got(mustRow(t, message(tc.event))); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestRowHeaders(t *testing.T) {
	for _, tc := range []struct {
		name, header string
		want         []string
	}{
		{"none", "", nil},
		{"empty", "[]", nil},
		{"some", `["/context/password","/context/a~1b","/context/\u00e9"]`, []string{"/context/password", "/context/a~1b", "/context/é"}},
		{"the whole event", `["/context/x",""]`, []string{"/context/x", ""}},
		{"not JSON", `/context/x`, []string{"/context/x"}},
		{"not an array", `{"a":"b"}`, []string{`{"a":"b"}`}},
		{"not strings", `[1]`, []string{"[1]"}},
		{"nested", `[["/a"]]`, []string{`[["/a"]]`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			msg := message(`{}`)
			if tc.header != "" {
				msg.header.Set(schemas.HeaderRedacted, tc.header)
			}
			msg.header.Set(schemas.HeaderTraceParent, "00-1-2-01")
			msg.header.Set(schemas.HeaderFingerprints, `{"k1:00ff":"/context/token","k1:01":"/x"}`)
			r := mustRow(t, msg)
			if !reflect.DeepEqual(r.redacted, tc.want) || r.traceParent != "00-1-2-01" {
				t.Errorf("got %q %q, want %q", r.redacted, r.traceParent, tc.want)
			}
			if want := []string{"k1:00ff", "k1:01"}; !reflect.DeepEqual(r.fingerprints, want) {
				t.Errorf("fingerprints %q, want %q", r.fingerprints, want)
			}
			for _, broken := range []string{"x", "[1]", `{"a":{"b":1}}`} {
				msg.header.Set(schemas.HeaderFingerprints, broken)
				if r := mustRow(t, msg); len(r.fingerprints) > 0 {
					t.Errorf("fingerprints %q of a header that is none", r.fingerprints)
				}
			}
		})
	}
}

func TestRowRetentionByTenant(t *testing.T) {
	msg := message(`{"created":"2026-01-01T00:00:00Z"}`)
	msg.subject = schemas.CleanSubject("lab", "login")
	if got, want := mustRow(t, msg).expires, time.Date(2026, 1, 8, 0, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRowRefusesWithoutRepeating(t *testing.T) {
	for _, tc := range []struct{ name, subject, event, want string }{
		{"not JSON", "events.clean.acme.login", `{"context":"hunter2`, "invalid_json"},
		{"not an object", "events.clean.acme.login", `["hunter2"]`, "not_an_object"},
		{"wrong type", "events.clean.acme.login", `{"created":"hunter2"}`, "invalid_field"},
		{"subject", "events.clean.login", `{}`, "parse subject"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			msg := message(tc.event)
			msg.subject = tc.subject
			_, err := newMapper(testRetention).row(msg)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %s and nothing of the event", err, tc.want)
			}
		})
	}
}

// A mapper that is used again must not let one event show in the next one's row.
func TestMapperKeepsRowsApart(t *testing.T) {
	m := newMapper(testRetention)
	first, err := m.row(message(`{"x":1,"user":{"username":"a"},"context":{"k":"v"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.row(message(`{"x":222,"y":3,"user":{"username":"bbb"},"context":{"q":"w"}}`)); err != nil {
		t.Fatal(err)
	}
	third, err := m.row(message(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if string(first.extra) != `{"x":1}` || first.username != "a" || string(first.context) != `{"k":"v"}` {
		t.Errorf("the first row changed: %+v", first)
	}
	if string(third.extra) != "{}" || third.username != "" {
		t.Errorf("the third row has something of the others: %+v", third)
	}
}

// The rows of the five events of authentik's documentation.
func TestRowGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) != 5 {
		t.Fatalf("testdata: %d events, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := show(mustRow(t, message(string(data))))
			golden := strings.TrimSuffix(file, ".json") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// show writes a row as text, one column to a line.
func show(r row) []byte {
	var b bytes.Buffer
	line := func(name string, value any) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%s: %v", name, value), " ") + "\n")
	}
	line("pk", r.pk)
	line("tenant", r.tenant)
	line("action", r.action)
	line("app", r.app)
	line("created", r.created.Format(time.RFC3339Nano))
	line("expires", r.expires.Format(time.RFC3339Nano))
	line("expiry", r.expiry)
	line("leaves", r.leaves.Format(time.RFC3339Nano))
	line("user_pk", r.userPK)
	line("username", r.username)
	line("user_email", r.userEmail)
	line("client_ip", netip.AddrFrom16(r.clientIP.As16()))
	line("brand_name", r.brandName)
	for i, name := range hotColumns {
		line(name, string(r.hotText(i)))
	}
	line("asn", r.asn())
	line("context", string(r.context))
	line("user", string(r.user))
	line("brand", string(r.brand))
	line("extra", string(r.extra))
	line("redacted", r.redacted)
	line("fingerprints", r.fingerprints)
	line("traceparent", r.traceParent)
	line("stream_seq", r.streamSeq)
	return b.Bytes()
}

func FuzzRow(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"user":{"pk":1},"context":{"a":{"b":[1,2]}},"x":1}`, `{"expires":"1969-12-31T23:59:59Z"}`, `{"user":{"user":{}}}`, `[`,
	} {
		f.Add([]byte(seed), `["/a"]`)
	}
	f.Fuzz(func(t *testing.T, data []byte, header string) {
		msg := message(string(data))
		msg.header.Set(schemas.HeaderRedacted, header)
		r, err := newMapper(testRetention).row(msg)
		if err != nil {
			return
		}
		again, err := newMapper(testRetention).row(msg)
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("the same message gave another row: %+v, %+v, %v", r, again, err)
		}
		if r.pk == uuid.Nil || r.expires.Before(firstExpiry) || r.expires.After(lastExpiry) {
			t.Errorf("row out of bounds: %+v", r)
		}
		for _, object := range [][]byte{r.context, r.user, r.brand, r.extra} {
			if _, err := newMapper(testRetention).row(message(`{"context":` + string(object) + `}`)); err != nil {
				t.Errorf("%q is no JSON object: %v", object, err)
			}
		}
	})
}

func BenchmarkRow(b *testing.B) {
	data, err := os.ReadFile("testdata/authorize_application.json")
	if err != nil {
		b.Fatal(err)
	}
	m, msg := newMapper(testRetention), message(string(data))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.row(msg); err != nil {
			b.Fatal(err)
		}
	}
}
