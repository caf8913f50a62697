package redact

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sluice/schemas"
)

// show writes what was masked as "pointer rule" lines.
func show(r Result) string {
	lines := make([]string, 0, len(r.Masked))
	for _, m := range r.Masked {
		lines = append(lines, m.Pointer+" "+m.Rule)
	}
	return strings.Join(lines, "\n")
}

func TestRedact(t *testing.T) {
	t.Parallel()
	const m = schemas.Mask
	for _, test := range []struct {
		name, in, want, masked string
	}{
		{
			"password", `{"context":{"password":"hunter2"}}`,
			`{"context":{"password":"` + m + `"}}`, "/context/password key",
		},
		{
			"number, and white space stays", "{ \"context\" : {\t\"api_key\" :\r 12.50e3 , \"n\": 12.50e3 } }\n",
			"{ \"context\" : {\t\"api_key\" :\r \"" + m + "\" , \"n\": 12.50e3 } }\n", "/context/api_key key",
		},
		{
			"null, true and false hold no secret", `{"token":null,"secret":true,"password":false}`,
			`{"token":null,"secret":true,"password":false}`, "",
		},
		{
			"values of a pair", `{"h":{"name":"X-Api-Key","values":["a"]},"attributes":[{"key":"http.request.header.cookie","value":{"stringValue":"b"}}],"x":{"type":"token","data":{"n":3}}}`,
			`{"h":{"name":"X-Api-Key","values":["` + m + `"]},"attributes":[{"key":"http.request.header.cookie","value":{"stringValue":"` + m + `"}}],"x":{"type":"token","data":{"n":3}}}`,
			"/h/values/0 container\n/attributes/0/value/stringValue container",
		},
		{
			"a Secret of Kubernetes", `{"kind":"Secret","data":{"extra":"YQ=="},"metadata":{"name":"db"}}`,
			`{"kind":"Secret","data":{"extra":"` + m + `"},"metadata":{"name":"db"}}`, "/data/extra container",
		},
		{"empty string", `{"password":""}`, `{"password":"` + m + `"}`, "/password key"},
		{"the mask stays", `{"password":"` + m + `"}`, `{"password":"` + m + `"}`, ""},
		{
			"duplicates are all treated", `{"context":{"password":"a","password":"b"}}`,
			`{"context":{"password":"` + m + `","password":"` + m + `"}}`, "/context/password key\n/context/password key",
		},
		{
			"escaped name", `{"\u0070assword":"x","to\u212aen":"y"}`,
			`{"\u0070assword":"` + m + `","to\u212aen":"` + m + `"}`, "/password key\n/to\u212aen key",
		},
		{
			"pointer escapes", `{"a/b":{"~":[{"pwd_pin":1}]}}`,
			`{"a/b":{"~":[{"pwd_pin":"` + m + `"}]}}`, "/a~1b/~0/0/pwd_pin key",
		},
		{
			"list under a name", `{"tokens":["a",["b",null],{"c":"d"}]}`,
			`{"tokens":["` + m + `",["` + m + `",null],{"c":"` + m + `"}]}`, "/tokens/0 key\n/tokens/1/0 key\n/tokens/2/c container",
		},
		{
			"object under a secret", `{"password":{"value":"x","deep":[{"y":2}],"ok":true}}`,
			`{"password":{"value":"` + m + `","deep":[{"y":"` + m + `"}],"ok":true}}`,
			"/password/value container\n/password/deep/0/y container",
		},
		{
			"list of objects under a secret", `{"tokens":[{"v":"x"}]}`, `{"tokens":[{"v":"` + m + `"}]}`, "/tokens/0/v container",
		},
		{
			"object under a broad name", `{"authorized_application":{"name":"Grafana","client_secret":"x"}}`,
			`{"authorized_application":{"name":"Grafana","client_secret":"` + m + `"}}`,
			"/authorized_application/client_secret key",
		},
		{
			"model reference", `{"secret":{"pk":"1","app":"authentik_core","name":"my-token","model_name":"token"}}`,
			`{"secret":{"pk":"1","app":"authentik_core","name":"my-token","model_name":"token"}}`, "",
		},
		{
			"model reference with more in it",
			`{"secret":{"pk":1,"app":"a","name":"n","model_name":"token","api_key":"x","value":"y","user":{"pk":7}}}`,
			`{"secret":{"pk":1,"app":"a","name":"n","model_name":"token","api_key":"` + m + `","value":"` + m + `","user":{"pk":"` + m + `"}}}`,
			"/secret/api_key key\n/secret/value container\n/secret/user/pk container",
		},
		{
			"model reference below a secret", `{"secrets":{"old":{"pk":1,"app":"a","model_name":"b"},"pk":2}}`,
			`{"secrets":{"old":{"pk":1,"app":"a","model_name":"b"},"pk":"` + m + `"}}`, "/secrets/pk container",
		},
		{
			"added names", `{"user_pwd":"x","user_otp":1,"Cookie":"c","credentials":{"u":"v"}}`,
			`{"user_pwd":"` + m + `","user_otp":"` + m + `","Cookie":"` + m + `","credentials":{"u":"` + m + `"}}`,
			"/user_pwd key\n/user_otp key\n/Cookie key\n/credentials/u container",
		},
		{
			"exceptions", `{"auth_method":"password","auth_method_args":{"known_device":"x"},"password_change_date":"2023","passing":"y","revoke_tokens":"z"}`,
			`{"auth_method":"password","auth_method_args":{"known_device":"x"},"password_change_date":"2023","passing":"y","revoke_tokens":"z"}`, "",
		},
		{
			"an exception's members are judged", `{"auth_method_args":{"password":"x"}}`,
			`{"auth_method_args":{"password":"` + m + `"}}`, "/auth_method_args/password key",
		},
		{
			"a change as a pair", `{"changes":[{"field":"client_secret","old":"a","new":"b"},{"id":"password","value":"c"},{"field":"title","old":"d","new":"e"}]}`,
			`{"changes":[{"field":"client_secret","old":"` + m + `","new":"` + m + `"},{"id":"password","value":"` + m + `"},{"field":"title","old":"d","new":"e"}]}`,
			"/changes/0/old pair\n/changes/0/new pair\n/changes/1/value pair",
		},
		{
			"arguments of a command in a list", `{"a":["mysql","-ps3cret","-u","root"],"b":["/usr/bin/curl","-s","-u","bob:x1","https://h"],"c":["curl","--user=bob:x1"]}`,
			`{"a":["mysql","-p` + m + `","-u","root"],"b":["/usr/bin/curl","-s","-u","bob:` + m + `","https://h"],"c":["curl","--user=bob:` + m + `"]}`,
			"/a/1 argument\n/b/3 argument\n/c/1 argument",
		},
		{
			"more arguments in lists", `{"a":["sshpass","-p","x1","ssh"],"b":["docker","login","-u","bob","-p","x1"],"c":["docker","run","-p","80:80","-u","1:1"],"d":["redis-cli","-a","x1"]}`,
			`{"a":["sshpass","-p","` + m + `","ssh"],"b":["docker","login","-u","bob","-p","` + m + `"],"c":["docker","run","-p","80:80","-u","1:1"],"d":["redis-cli","-a","` + m + `"]}`,
			"/a/2 argument\n/b/5 argument\n/d/2 argument",
		},
		{
			"arguments in JSON in a string", `{"a":"[\"curl\",\"-u\",\"bob:x1\"]"}`, `{"a":"[\"curl\",\"-u\",\"bob:` + m + `\"]"}`, "/a argument",
		},
		{"empty", `{}`, `{}`, ""},
		{
			"beyond the contract", `{"pk":"f00f54e7-2b38-421f-bc78-e61f950048d6","trace":{"authorization":"Bearer x"}}`,
			`{"pk":"f00f54e7-2b38-421f-bc78-e61f950048d6","trace":{"authorization":"` + m + `"}}`, "/trace/authorization key",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := redact(t, test.in)
			if string(got.Clean) != test.want {
				t.Errorf("got  %s\nwant %s", got.Clean, test.want)
			}
			if show(got) != test.masked {
				t.Errorf("masked\n%s\nwant\n%s", show(got), test.masked)
			}
		})
	}
}

// redact masks the event and checks what holds for every event.
func redact(tb testing.TB, in string) Result {
	tb.Helper()
	engine := newEngine(tb)
	got, err := engine.Redact([]byte("before"), []byte(in))
	if err != nil {
		tb.Fatalf("%s: %v", in, err)
	}
	clean, ok := bytes.CutPrefix(got.Clean, []byte("before"))
	if !ok {
		tb.Fatal("what stood in dst is gone")
	}
	got.Clean = clean
	again, err := engine.Redact(nil, clean)
	if err != nil {
		tb.Fatalf("second time: %v", err)
	}
	if !bytes.Equal(again.Clean, clean) || len(again.Masked) != 0 || len(again.Counts) != 0 {
		tb.Errorf("not idempotent:\n%s\n%s", clean, again.Clean)
	}
	if (len(got.Masked) == 0) != (string(clean) == in) && !got.Truncated {
		tb.Errorf("changed without saying so, or the other way round: %s", clean)
	}
	return got
}

// TestGolden holds the engine to the events of authentik's documentation: not a
// byte of them may change, laid out for reading or on one line.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) != 10 {
		t.Fatalf("%d golden files, %v; want 10", len(files), err)
	}
	for _, file := range files {
		event, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got := redact(t, string(event))
		if !bytes.Equal(got.Clean, event) || len(got.Masked) != 0 {
			t.Errorf("%s changed to\n%s", file, got.Clean)
		}
		if got.Action == "" || !strings.HasPrefix(filepath.Base(file), got.Action+".") || got.Created.IsZero() {
			t.Errorf("%s: action %q created %v", file, got.Action, got.Created)
		}
	}
}

func TestRejections(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", schemas.MaxDepth)
	for _, test := range []struct {
		name, in string
		want     schemas.Reason
	}{
		{"not JSON", `{"password":"made-up"`, schemas.ReasonInvalidJSON},
		{"nothing", ``, schemas.ReasonInvalidJSON},
		{"not UTF-8", "{\"a\":\"\xff\"}", schemas.ReasonInvalidJSON},
		{"not an object", `["made-up"]`, schemas.ReasonNotAnObject},
		{"wrong field", `{"pk":"made-up"}`, schemas.ReasonInvalidField},
		{"too deep", `{"a":` + deep, schemas.ReasonTooDeep},
		{"too large", `{"a":"` + strings.Repeat("a", schemas.MaxRawBytes) + `"}`, schemas.ReasonTooLarge},
		{"too large once masked, usual members", `{` + strings.Repeat(`"a":"?`+strings.Repeat("pwd=x&", 690)+`",`, 250) + `"b":1}`, schemas.ReasonTooLarge},
		{"too large once masked", `{"passwords":[` + strings.Repeat("1,", 300_000) + `1]}`, schemas.ReasonTooLarge},
	} {
		got, err := newEngine(t).Redact(nil, []byte(test.in))
		var rejection *schemas.Rejection
		if !errors.As(err, &rejection) || rejection.Reason != test.want {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
			continue
		}
		if strings.Contains(err.Error(), "made-up") || got.Clean != nil {
			t.Errorf("%s: something of the event got out", test.name)
		}
	}
}

// TestPanicIsClosed breaks the engine from inside: nothing may come out, and the
// engine must work again.
func TestPanicIsClosed(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	got, err := engine.run([]byte("dst"), []byte(`{"password":"x"}`), func(*walk, []byte) error { panic("defect") })
	var rejection *schemas.Rejection
	if !errors.As(err, &rejection) || rejection.Reason != schemas.ReasonInternal || got.Clean != nil {
		t.Fatalf("got %q, %v", got.Clean, err)
	}
	if again, err := engine.Redact(nil, []byte(`{"password":"x"}`)); err != nil || len(again.Masked) != 1 {
		t.Errorf("after a panic: %v", err)
	}
}

// TestPointersAreBounded masks ten thousand values at the end of a deep path.
func TestPointersAreBounded(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a long name of a member":`, 800)
	members := strings.TrimSuffix(strings.Repeat(`"pin_code":1,`, 10_000), ",")
	in := `{"context":{"pin_code":1,"b":` + deep + "{" + members + "}" + strings.Repeat("}", 802)
	got := redact(t, in)
	if n := bytes.Count(got.Clean, []byte(schemas.Mask)); n != 10_001 {
		t.Errorf("%d masks", n)
	}
	if want := []Count{{"key", 10_001}}; !slices.Equal(got.Counts, want) {
		t.Errorf("counts %v, want %v", got.Counts, want)
	}
	if !got.Truncated || len(got.Masked) != 1 || got.Header() != `["/context/pin_code",""]` {
		t.Errorf("masked %d, header %.100s", len(got.Masked), got.Header())
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	// Each name takes six times its bytes in the header.
	var in strings.Builder
	for i := range 5000 {
		in.WriteString(`,"token\u0001` + strconv.Itoa(i) + `":1`)
	}
	got := redact(t, "{"+in.String()[1:]+"}")
	header := got.Header()
	if len(header) > maxPointerBytes+len(`"",`) || len(header) < maxPointerBytes/2 {
		t.Errorf("header has %d bytes", len(header))
	}
	var pointers []string
	if err := json.Unmarshal([]byte(header), &pointers); err != nil {
		t.Fatal(err)
	}
	if pointers[0] != "/token\u00010" || pointers[len(pointers)-1] != "" || len(pointers) != len(got.Masked)+1 {
		t.Errorf("%d pointers, %d masked", len(pointers), len(got.Masked))
	}
	if got := redact(t, `{"a":1}`); got.Header() != "" {
		t.Errorf("header %q of an event without secrets", got.Header())
	}
}

func TestRedactJSON(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	for in, want := range map[string]string{
		`[{"password":"x"}]`:              `[{"password":"` + schemas.Mask + `"}]`,
		`"text"`:                          `"text"`,
		`{"pk":5,"action":{"token":"a"}}`: `{"pk":5,"action":{"token":"` + schemas.Mask + `"}}`,
		`"token=a1b2c3"`:                  `"token=` + schemas.Mask + `"`,
	} {
		if got, err := engine.RedactJSON(nil, []byte(in)); err != nil || string(got.Clean) != want {
			t.Errorf("%s: %s, %v", in, got.Clean, err)
		}
	}
	if _, err := engine.RedactJSON(nil, []byte(`{"password":hunter2}`)); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("broken JSON: %v", err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, size := range []int{-1, schemas.MaxPayloadBytes + 1} {
		if _, err := New(Config{MaxBytes: size}); err == nil {
			t.Errorf("%d bytes: no error", size)
		}
	}
	names := map[string]bool{}
	for _, rule := range newEngine(t).Rules() {
		if rule.Name == "" || rule.Meaning == "" || names[rule.Name] {
			t.Errorf("rule %q", rule.Name)
		}
		names[rule.Name] = true
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			in := []byte(`{"context":{"password":"x","n":` + strconv.Itoa(i) + `,"query":"a=%26&token=` + strconv.Itoa(i) + `"}}`)
			want := `{"context":{"password":"` + schemas.Mask + `","n":` + strconv.Itoa(i) + `,"query":"a=%26&token=` + schemas.Mask + `"}}`
			for range 200 {
				if got, err := engine.Redact(nil, in); err != nil || string(got.Clean) != want {
					t.Errorf("got %s, %v", got.Clean, err)
				}
			}
		})
	}
	group.Wait()
}

// TestAllocations takes the memory of the walk from no pool, since the race
// detector makes that forget at random.
func TestAllocations(t *testing.T) {
	event, w := kilobytes(t, false)[0], newWalk(newEngine(t))
	dst := make([]byte, 0, 4096)
	n := testing.AllocsPerRun(100, func() {
		if err := w.decodeJSON(event); err != nil {
			t.Fatal(err)
		}
		w.begin(dst, event)
		if err := w.run(); err != nil {
			t.Fatal(err)
		}
		if r := w.result(); len(r.Masked) != 0 {
			t.Fatal("it is not clean")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for a clean text", n)
	}
}
