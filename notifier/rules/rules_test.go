package rules_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"sluice/notifier/rules"
	"sluice/schemas"
)

const good = `# comments are welcome
version: 1
receivers:
  slack: {type: slack}
  mail: {type: email}
quiet_hours:
  nights:
    time_zone: Europe/Berlin
    hold: [notice, warning]
    windows:
      - {days: [mon, tue, wed, thu, fri], from: "22:00", to: "07:00"}
      - {days: [sat, sun], from: "00:00", to: "24:00"}
rules:
  - name: probes
    match: {action: login_failed, address: [10.0.0.0/8, "2001:db8::1"]}
    ignore: true
  - name: admins
    match:
      action: [login_failed, password_*]
      user: ["admin*", root@example.com]
      when: context.http_request.path startsWith "/if/" or context.attempts > 3
    severity: warning
    receivers: [mail]
    title: 'Login of {{.user.username}} failed'
    message: '{{.message}} on {{.context.http_request.path}}{{range .context.tags}} {{.}}{{end}}'
    continue: true
    quiet_hours: nights
  - name: urgent
    match: {severity: [alert, warning], tenant: "*"}
    receivers: slack
`

func parse(t *testing.T, text string) *rules.Set {
	t.Helper()
	set, err := rules.Parse("r.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// event reads an event as the notifier does.
func event(t *testing.T, tenant, data string) *rules.Event {
	t.Helper()
	var (
		decoder schemas.Decoder
		e       schemas.Event
	)
	if err := decoder.Decode([]byte(data), &e); err != nil {
		t.Fatal(err)
	}
	return &rules.Event{
		Tenant: tenant, Action: e.Action, App: e.App, Address: e.ClientIP, User: e.User, Brand: e.Brand, Data: []byte(data),
	}
}

func TestDecide(t *testing.T) {
	set := parse(t, good)
	for name, c := range map[string]struct {
		event string
		want  string // rules, severity and receivers; "" for no alert
	}{
		"ignored by network":    {`{"action":"login_failed","client_ip":"10.1.2.3","user":{"username":"admin1"},"context":{"attempts":9}}`, ""},
		"ignored by address":    {`{"action":"login_failed","client_ip":"2001:db8::1"}`, ""},
		"mapped address":        {`{"action":"login_failed","client_ip":"::ffff:10.1.2.3","user":{"username":"admin1"},"context":{"attempts":9}}`, ""},
		"goes on":               {`{"action":"login_failed","client_ip":"192.0.2.1","user":{"username":"admin1"},"context":{"attempts":9}}`, "admins,urgent warning mail,slack"},
		"by email and path":     {`{"action":"password_set","user":{"pk":7,"email":"root@example.com"},"context":{"http_request":{"path":"/if/x"}}}`, "admins,urgent warning mail,slack"},
		"condition false":       {`{"action":"login_failed","user":{"username":"admin"},"context":{"attempts":3}}`, ""},
		"path is missing":       {`{"action":"login_failed","user":{"username":"admin"}}`, ""},
		"another type":          {`{"action":"login_failed","user":{"username":"admin"},"context":{"http_request":[1],"attempts":"x"}}`, ""},
		"another user":          {`{"action":"login_failed","user":{"username":"bob"},"context":{"attempts":9}}`, ""},
		"by built-in severity":  {`{"action":"system_exception"}`, "urgent alert slack"},
		"built-in behind":       {`{"action":"update_available"}`, "update-available notice "},
		"nothing is said of it": {`{"action":"login"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, ok, _ := set.Decide(event(t, "acme", c.event), nil)
			got := ""
			if ok {
				got = strings.Join(d.Rules, ",") + " " + string(d.Severity) + " " + strings.Join(d.Receivers, ",")
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestBuiltIn(t *testing.T) {
	set := rules.Default()
	for _, action := range []string{
		"system_exception", "system_task_exception", "policy_exception", "property_mapping_exception", "configuration_error", "suspicious_request",
	} {
		d, ok, _ := set.Decide(event(t, "default", fmt.Sprintf(`{"action":%q}`, action)), nil)
		if !ok || d.Severity != schemas.SeverityAlert || d.Versions || d.Custom || d.Rules[0] != strings.ReplaceAll(action, "_", "-") {
			t.Errorf("%s: %+v", action, d)
		}
	}
	if got := len(set.Actions()); got != 7 {
		t.Errorf("%d actions", got)
	}
}

func TestActionsFollowTheRules(t *testing.T) {
	rule := func(match, rest string) string {
		return "version: 1\nbuilt_in_rules: false\nreceivers: {a: {}}\nrules:\n - {name: x, match: {" + match + "}, " + rest + "}"
	}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"named":       {rule("action: [login, logout, login]", "severity: notice"), []string{"login", "logout"}},
		"star":        {rule("action: 'log*'", "severity: notice"), nil},
		"any":         {rule("tenant: acme", "severity: notice"), nil},
		"by severity": {rule("severity: notice", "receivers: a"), []string{"update_available"}},
		"given before": {
			rule("action: login", "severity: warning, continue: true") + "\n - {name: y, match: {severity: warning}}",
			[]string{"login"},
		},
	} {
		if got := parse(t, c.text).Actions(); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestTemplates(t *testing.T) {
	set := parse(t, good)
	e := event(t, "acme", `{"action":"login_failed","user":{"username":"admin"},"context":{"attempts":9,"tags":["a","b"]}}`)
	d, _, _ := set.Decide(e, nil)
	for _, c := range []struct {
		template *rules.Template
		want     string
	}{{d.Title, "Login of admin failed"}, {d.Message, "it failed on  a b"}} {
		if got, err := c.template.Render(e, rules.Texts{Message: "it failed"}); err != nil || got != c.want {
			t.Errorf("got %q, %v; want %q", got, err, c.want)
		}
	}
}

func TestTemplatesAreBounded(t *testing.T) {
	const rule = "version: 1\nrules:\n - name: x\n   match: {action: a}\n   title: '{{range .context.list}}{{printf \"%%0100d\" 1}}{{end}}%s'"
	set := parse(t, fmt.Sprintf(rule, ""))
	e := event(t, "acme", `{"action":"a","context":{"list":[1`+strings.Repeat(",1", 100_000)+`]}}`)
	d, _, _ := set.Decide(e, nil)
	if got, err := d.Title.Render(e, rules.Texts{}); err != nil || len(got) > 16<<10 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	set = parse(t, fmt.Sprintf(rule, `{{index .context.list "x"}} {{.user.password.x.y}}`))
	d, _, _ = set.Decide(e, nil)
	if _, err := d.Title.Render(event(t, "acme", `{"action":"a","context":{"list":"s3cret"}}`), rules.Texts{}); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}

func TestQuietHours(t *testing.T) {
	set := parse(t, good)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		out, err := time.ParseInLocation("2006-01-02 15:04", text, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct {
		now, until string
		severity   schemas.Severity
	}{
		{"2026-03-03 12:00", "", schemas.SeverityNotice},                  // Tuesday noon
		{"2026-03-03 21:59", "", schemas.SeverityNotice},                  // a minute before
		{"2026-03-03 22:00", "2026-03-04 07:00", schemas.SeverityNotice},  // the first minute
		{"2026-03-04 06:59", "2026-03-04 07:00", schemas.SeverityWarning}, // the last one
		{"2026-03-04 07:00", "", schemas.SeverityWarning},                 // over
		{"2026-03-03 23:00", "", schemas.SeverityAlert},                   // not held
		{"2026-03-06 23:00", "2026-03-09 00:00", schemas.SeverityNotice},  // Friday night goes over into the weekend
		{"2026-03-08 10:00", "2026-03-09 00:00", schemas.SeverityNotice},  // Sunday
		{"2026-03-28 23:00", "2026-03-30 00:00", schemas.SeverityNotice},  // summer time begins within
		{"2026-10-23 23:30", "2026-10-26 00:00", schemas.SeverityNotice},  // and ends
	} {
		want := time.Time{}
		if c.until != "" {
			want = at(c.until)
		}
		if got := set.HeldUntil("nights", c.severity, at(c.now)); !got.Equal(want) {
			t.Errorf("%s %s: held until %s, want %s", c.now, c.severity, got, want)
		}
	}
	if got := set.HeldUntil("", schemas.SeverityNotice, at("2026-03-03 23:00")); !got.IsZero() {
		t.Errorf("held without quiet hours until %s", got)
	}
}

// bad files, with all that is wrong with each.
var bad = []struct {
	name, text string
	want       []string
	// schema tells that the JSON Schema finds it too.
	schema bool
}{
	{"empty", "", []string{"r.yaml:1: the file is empty; it begins with version: 1"}, false},
	{"no mapping", "- 1", []string{"r.yaml:1: must be a mapping"}, true},
	{"no version", "rules:\n - {name: a, match: {}}", []string{"r.yaml:1: version is missing"}, true},
	{"another version", "version: 2", []string{"r.yaml:1: version: must be 1"}, true},
	{"unknown", "version: 1\nrule: []", []string{"r.yaml:2: rule: unknown; known are built_in_rules, quiet_hours, receivers, rules, version"}, true},
	{"no YAML", "version: 1\nrules: [", []string{"r.yaml:"}, false},
	{"twice", "version: 1\nversion: 1", []string{"r.yaml:2: version: stands there twice"}, false},
	{"alias", "version: 1\nrules: &a\n - {name: x, match: {}}\nreceivers: *a", []string{"r.yaml:4: receivers: aliases are not supported"}, false},
	{"names", "version: 1\nreceivers: {A: {}}\nrules:\n - {name: a b, match: {}}\n - {name: a b, match: {}, receivers: [x]}", []string{
		"r.yaml:2: receivers.A: must be of the form", "r.yaml:4: rules[0].name: must be of the form", "r.yaml:5: rules[1].name: must be of the form",
		`r.yaml:5: rules[1].name: there is another rule "a b"`, `r.yaml:5: rules[1].receivers[0]: there is no receiver "x"; known are: A`,
	}, true},
	{"missing", "version: 1\nrules:\n - {severity: alert}", []string{"r.yaml:3: rules[0]: name is missing", "r.yaml:3: rules[0]: match is missing"}, true},
	{"values", "version: 1\nrules:\n - name: a\n   match:\n     action: Login\n     severity: high\n     address: 10.0.0.0/33\n     app: [1]\n   severity: x\n   continue: 1\n   quiet_hours: n", []string{
		"r.yaml:5: rules[0].match.action: must be of the form", "r.yaml:6: rules[0].match.severity: must be notice", "r.yaml:7: rules[0].match.address: must be an address",
		"r.yaml:8: rules[0].match.app[0]: must be a text", "r.yaml:9: rules[0].severity: must be", "r.yaml:10: rules[0].continue: must be true or false",
		`r.yaml:11: rules[0].quiet_hours: there are no quiet hours "n"`,
	}, true},
	{"conditions", "version: 1\nrules:\n - {name: a, match: {when: 'app =='}}\n - {name: b, match: {when: '1 + 1'}}\n - {name: c, match: {when: 'all(1..9, true)'}}\n" +
		" - {name: d, match: {when: 'any(context.a, any(context.a, true))'}}\n - {name: e, match: {when: 'repeat(app, 9) == app'}}\n - {name: f, match: {when: 'app matches \"(\"'}}", []string{
		"r.yaml:3: rules[0].match.when: ", "r.yaml:4: rules[1].match.when: expected bool", "r.yaml:5: rules[2].match.when: a range",
		"r.yaml:6: rules[3].match.when: any: a loop within a loop", "r.yaml:7: rules[4].match.when: ", "r.yaml:8: rules[5].match.when: ",
	}, false},
	{"templates", "version: 1\nrules:\n - {name: a, match: {}, title: '{{'}\n - {name: b, match: {}, title: '{{range 9}}x{{end}}'}\n - {name: c, match: {}, message: '{{define \"x\"}}{{end}}'}\n" +
		" - {name: d, match: {}, title: '{{range .a}}{{range .b}}{{end}}{{end}}'}\n - {name: e, match: {}, title: '{{if .a}}{{template \"x\"}}{{end}}'}", []string{
		"r.yaml:3: rules[0].title: ", "r.yaml:4: rules[1].title: range takes a member", "r.yaml:5: rules[2].message: ",
		"r.yaml:6: rules[3].title: a loop within a loop", "r.yaml:7: rules[4].title: template is not allowed",
	}, false},
	{"quiet", "version: 1\nquiet_hours:\n  a: {}\n  b: {time_zone: Mars, windows: [{from: '7', to: '25:00', days: [friday]}]}\n  c: {windows: [{from: '07:00'}]}", []string{
		"r.yaml:3: quiet_hours.a: windows is missing", `r.yaml:4: quiet_hours.b.time_zone: there is no time zone "Mars"`, "r.yaml:4: quiet_hours.b.windows[0].from: must be a time",
		"r.yaml:4: quiet_hours.b.windows[0].to: must be a time", "r.yaml:4: quiet_hours.b.windows[0].days[0]: must be one of", "r.yaml:5: quiet_hours.c.windows[0]: to is missing",
	}, true},
	{"ignore", "version: 1\nrules:\n - {name: a, match: {}, ignore: true, continue: true}", []string{"r.yaml:3: rules[0]: ignore goes with neither"}, false},
}

func TestBad(t *testing.T) {
	for _, test := range bad {
		_, err := rules.Parse("r.yaml", []byte(test.text))
		if err == nil {
			t.Errorf("%s: no error", test.name)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(test.want) {
			t.Errorf("%s: %d errors, want %d:\n%v", test.name, len(lines), len(test.want), err)
			continue
		}
		for i, want := range test.want {
			if !strings.HasPrefix(lines[i], want) {
				t.Errorf("%s: got %q, want %q", test.name, lines[i], want)
			}
		}
	}
}

// TestSchema holds the JSON Schema to the parser.
func TestSchema(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(rules.Schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(text string) error {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(instance)
	}
	if err := validate(good); err != nil {
		t.Errorf("the good file: %v", err)
	}
	for _, test := range bad {
		if test.schema && validate(test.text) == nil {
			t.Errorf("%s: the schema finds nothing wrong", test.name)
		}
	}
}

func TestLoad(t *testing.T) {
	if set, err := rules.Load(""); err != nil || len(set.Rules) != 7 {
		t.Errorf("no file: %v", err)
	}
	if _, err := rules.Load(t.TempDir() + "/none"); err == nil || !strings.HasPrefix(err.Error(), "read rules: ") {
		t.Errorf("missing file: %v", err)
	}
}

func TestConditionsAreBounded(t *testing.T) {
	set := parse(t, "version: 1\nrules:\n - {name: x, match: {action: a, when: 'count(context.list, # == 1) > 5 and context.text matches \"(a+)+$\"'}}")
	e := event(t, "acme", `{"action":"a","context":{"text":"`+strings.Repeat("a", 1<<18)+`!","list":[1`+strings.Repeat(",1", 1<<18)+`]}}`)
	if _, ok, _ := set.Decide(e, nil); ok {
		t.Error("matched")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	for _, test := range bad {
		f.Add(test.text)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		set, err := rules.Parse("r.yaml", []byte(text))
		if err != nil {
			return
		}
		e := &rules.Event{
			Tenant: "t", Action: "login_failed", App: "a", Address: netip.MustParseAddr("10.0.0.1"),
			User: json.RawMessage(`{"username":"admin"}`), Data: []byte(`{"context":{"list":[1,"x",null],"attempts":9}}`),
		}
		if d, ok, _ := set.Decide(e, nil); ok && d.Title != nil {
			_, _ = d.Title.Render(e, rules.Texts{})
		}
		set.Actions()
	})
}
