package receiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// Every mistake is told with its line, and no value is quoted.
func TestParseErrors(t *testing.T) {
	const secret = "hunter2"
	tests := []struct{ definition, want string }{
		{"{}", "line 3: receivers.oncall.type: must be one of alertmanager, discord, email, nats, slack, teams, webhook"},
		{"type: pigeon", "line 3: receivers.oncall.type: must be one of alertmanager, discord, email, nats, slack, teams, webhook"},
		{"hunter2", "line 3: receivers.oncall: must be a mapping with a type"},
		{"type: nats", "line 3: receivers.oncall: subject is missing"},
		{"type: nats\nsubject: a.*", "line 4: receivers.oncall.subject: must be a subject without wildcards, such as oncall.sluice"},
		{"type: nats\nsubject: events.raw.default.login", "line 4: receivers.oncall.subject: is one of Sluice's or the broker's own"},
		{"type: nats\nsubject: alerts.x", "line 4: receivers.oncall.subject: is one of Sluice's or the broker's own"},
		{"type: nats\nsubject: $JS.API.INFO", "line 4: receivers.oncall.subject: is one of Sluice's or the broker's own"},
		{"type: nats\nsubject: a\nsubjekt: b", `line 5: receivers.oncall: "subjekt" is not known here; known are jetstream, rate, send_resolved, send_updates, subject, timeout, type`},
		{"type: nats\nsubject: a\nsubject: b", "line 5: receivers.oncall.subject: stands there twice"},
		{"type: nats\nsubject: a\nrate: often", "line 5: receivers.oncall.rate: must be a number of alerts per s, m or h, such as 30/m"},
		{"type: nats\nsubject: a\ntimeout: 1h", "line 5: receivers.oncall.timeout: must be a duration from 1s to 1m0s, such as 10s"},
		{"type: nats\nsubject: a\nsend_resolved: maybe", "line 5: receivers.oncall.send_resolved: must be true or false"},
		{"type: webhook", "line 3: receivers.oncall: url_file or url_env is missing"},
		{"type: webhook\nurl: ftp://x", "line 4: receivers.oncall.url: must begin with https:// (or http://, for addresses listed under allow)"},
		{"type: webhook\nurl: http://example.com", "line 4: receivers.oncall.url: must begin with https://: without TLS only addresses listed under allow are reached"},
		{"type: webhook\nurl: https://u:hunter2@example.com", "line 4: receivers.oncall.url: must not hold a user or a password: use username and password_file"},
		{"type: webhook\nurl: 'https://exa mple/%zz?hunter2'", "line 4: receivers.oncall.url: is not an address such as https://host/path"},
		{"type: webhook\nurl: https://x.example/?token=hunter2hunter2", "line 4: receivers.oncall.url: holds a secret: use url_file or url_env"},
		{
			"type: webhook\nurl: https://hooks.slack.com/services/T00000000/B00000000/" + strings.Repeat("X", 24),
			"line 4: receivers.oncall.url: holds a secret: use url_file or url_env",
		},
		{"type: webhook\nurl: https://x.example\nurl_env: X", "line 4: receivers.oncall.url: set one of url, url_file and url_env"},
		{"type: webhook\nurl: https://x.example\nheaders: {Authorization: hunter2}", "line 5: receivers.oncall.headers.Authorization: holds a secret: use headers_file or headers_env"},
		{"type: webhook\nurl: https://x.example\nheaders: {Host: hunter2}", "line 5: receivers.oncall.headers.Host: is set by Sluice"},
		{"type: webhook\nurl: https://x.example\nheaders: {\"a b\": hunter2}", "line 5: receivers.oncall.headers.a b: is not the name of a header"},
		{"type: webhook\nurl: https://x.example\nheaders: {X: \"a\\r\\nhunter2\"}", "line 5: receivers.oncall.headers.X: must be one line of printable characters"},
		{"type: webhook\nurl: https://x.example\nbody: '{{.data.titel}}'", `line 5: receivers.oncall.body: template: body:1:7: executing "body" at <.data.titel>: map has no entry for key "titel"`},
		{"type: webhook\nurl: https://x.example\nbody: '{\"a\":{{.data.title}}}'", "line 5: receivers.oncall.body: gives no valid JSON for a sample alert"},
		{"type: webhook\nurl: https://x.example\ncontent_type: text/plain", "line 5: receivers.oncall.content_type: is for a body of your own"},
		{"type: webhook\nurl: https://x.example\nmethod: GET", "line 5: receivers.oncall.method: must be POST, PUT or PATCH"},
		{"type: webhook\nurl: https://x.example\nallow: [10.0.0.1]", "line 5: receivers.oncall.allow[0]: must be a range of addresses such as 10.1.2.0/24 or fd12::/64"},
		{"type: webhook\nurl: https://x.example\nsigning_secrets_env: [A, B, C]", "line 5: receivers.oncall.signing_secrets_env: at most 2"},
		{"type: webhook\nurl: https://x.example\nusername: u", "line 3: receivers.oncall.username: set username and one of password_file and password_env, or none"},
		{"type: webhook\nurl: https://x.example\ntls: {cert_file: x}", "line 5: receivers.oncall.tls: set cert_file and key_file, or neither"},
		{"type: slack\nurl: https://hooks.slack.com/hunter2", `line 4: receivers.oncall: "url" is not known here; known are allow, rate,`},
		{"type: slack\nurl_file: a\nurl_env: b", "line 5: receivers.oncall.url_env: set one of url_file and url_env"},
		{"type: email\nhost: x", "line 3: receivers.oncall: from and to are needed"},
		{"type: email\nhost: x\nfrom: hunter2\nto: a@b", "line 5: receivers.oncall.from: must be an address such as Sluice <sluice@example.com>"},
		{"type: email\nhost: x\nfrom: a@b\nto: a@b\nsecurity: none", "line 7: receivers.oncall.security: without TLS only addresses listed under allow are reached"},
		{"type: email\nhost: 10.0.0.1\nfrom: a@b\nto: a@b", "line 4: receivers.oncall.host: address 10.0.0.1 refused: it is not public; list its range under allow if it is yours"},
		{"type: email\nhost: x\nfrom: a@b\nto: a@b\npassword_env: X", "line 3: receivers.oncall.username: set username and one of password_file and password_env, or none"},
		{"type: alertmanager\nurl: https://x.example\nlabels: {a-b: c}", "line 5: receivers.oncall.labels.a-b: a label's name is letters, digits and _"},
	}
	for _, tt := range tests {
		_, err := parse(tt.definition)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q\ngot  %v\nwant %s", tt.definition, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%q: the error quotes a value: %v", tt.definition, err)
		}
	}
	if _, err := Parse("a.b", &yaml.Node{Kind: yaml.MappingNode, Line: 7}); err == nil || !strings.Contains(err.Error(), "line 7: receivers.a.b: a receiver's name is") {
		t.Errorf("a wrong name: got %v", err)
	}
}

// Secrets that cannot be read are told by their key, and not shown.
func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": "\n", "two": "hunter2\nhunter3\n", "large": strings.Repeat("hunter2", 10_000), "address": "hunter2"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for definition, want := range map[string]string{
		"type: slack\nurl_env: MISSING":                                              "receiver oncall: url_env: the environment variable MISSING is not set",
		"type: slack\nurl_file: " + dir + "/missing":                                 "receiver oncall: url_file: open " + dir + "/missing: no such file or directory",
		"type: slack\nurl_file: " + dir + "/empty":                                   "receiver oncall: url_file: " + dir + "/empty is empty",
		"type: slack\nurl_file: " + dir + "/two":                                     "receiver oncall: url_file: " + dir + "/two has more than one line",
		"type: slack\nurl_file: " + dir + "/large":                                   "receiver oncall: url_file: " + dir + "/large has more than 65536 bytes",
		"type: slack\nurl_file: " + dir + "/address":                                 "receiver oncall: url_file: must begin with https:// (or http://, for addresses listed under allow)",
		"type: webhook\nurl: https://x.example\nsigning_secrets_env: SHORT":          "receiver oncall: signing_secrets_env: want 24 to 64 bytes: echo whsec_$(openssl rand -base64 32)",
		"type: webhook\nurl: https://x.example\nsigning_secrets_env: NOBASE":         "receiver oncall: signing_secrets_env: want whsec_ and base64",
		"type: webhook\nurl: https://x.example\ntls: {ca_file: " + dir + "/address}": "receiver oncall: tls.ca_file: " + dir + "/address has no certificate in PEM",
	} {
		r, err := parse(definition)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Open(testEnv(t, map[string]string{"SHORT": "whsec_aHVudGVyMg==", "NOBASE": "whsec_hunter2!"})); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	r, err := parse("type: discord\nurl_env: X")
	if err != nil {
		t.Fatal(err)
	}
	if r.Rate != (Rate{30, time.Minute}) || r.Timeout != 10*time.Second || !r.Wants("sluice.alert.update") || !r.Wants("sluice.alert.resolved") {
		t.Errorf("got %+v", r)
	}
	r, err = parse("type: discord\nurl_env: X\nsend_updates: false\nsend_resolved: false\nrate: 5/h")
	if err != nil {
		t.Fatal(err)
	}
	if r.Rate != (Rate{5, time.Hour}) || r.Wants("sluice.alert.update") || r.Wants("sluice.alert.resolved") || !r.Wants("sluice.alert.firing") {
		t.Errorf("got %+v", r)
	}
}

// The examples that are shipped are right by the parser and by the schema.
func TestExamples(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "notifier", "receivers.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Receivers yaml.Node `yaml:"receivers"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	list, err := ParseAll(&doc.Receivers)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]bool{}
	for _, r := range list {
		types[r.Type] = true
	}
	if len(types) != len(kinds) {
		t.Errorf("there are examples of %v", slices.Sorted(maps.Keys(types)))
	}
	var value any
	if err := doc.Receivers.Decode(&value); err != nil {
		t.Fatal(err)
	}
	if err := schema(t).Validate(value); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{`{"a":{"type":"pigeon"}}`, `{"a b":{"type":"nats","subject":"x"}}`, `{"a":{"type":"slack","url":"https://x"}}`, `{"a":{"type":"nats","subject":"x","y":1}}`} {
		if err := json.Unmarshal([]byte(wrong), &value); err != nil {
			t.Fatal(err)
		}
		if schema(t).Validate(value) == nil {
			t.Errorf("the schema takes %s", wrong)
		}
	}
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("receivers.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("receivers.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The schema knows the keys that the parser knows.
func TestSchemaHasTheParsersKeys(t *testing.T) {
	var s struct {
		Defs map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(Schema, &s); err != nil {
		t.Fatal(err)
	}
	for name := range kinds {
		_, err := parse("type: " + name + "\nno_such_key: x")
		wrong := ""
		for line := range strings.Lines(err.Error()) {
			if _, known, ok := strings.Cut(line, "known are "); ok {
				wrong = strings.TrimSpace(known)
			}
		}
		def := name
		if slices.Contains([]string{"slack", "discord", "teams"}, name) {
			def = "chat"
		}
		if want := strings.Join(slices.Sorted(maps.Keys(s.Defs[def].Properties)), ", "); wrong != want {
			t.Errorf("%s\nparser %s\nschema %s", name, wrong, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("type: webhook\nurl: https://x.example\nbody: '{{json .data.title}}'")
	f.Add("type: email\nhost: x\nfrom: a@b\nto: [a@b]")
	f.Add("type: nats\nsubject: &a a\nrate: *a")
	f.Fuzz(func(t *testing.T, text string) {
		var node yaml.Node
		if yaml.Unmarshal([]byte(text), &node) != nil || len(node.Content) == 0 {
			return
		}
		_, err := Parse("a", node.Content[0])
		var wrong *ParseError
		if err != nil && !errors.As(err, &wrong) {
			t.Errorf("an error without a line: %v", err)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"1", "0.5", "-1", "1e400", "NaN", "Inf", "Wed, 21 Oct 2015 07:28:00 GMT"} {
		f.Add(seed)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if got := retryAfter(value, now); got < 0 || got > maxRetryAfter {
			t.Errorf("got %s", got)
		}
	})
}
