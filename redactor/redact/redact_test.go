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
		{"empty string", `{"password":""}`, `{"password":"` + m + `"}`, "/password key"},
		{"the mask stays", `{"password":"` + m + `"}`, `{"password":"` + m + `"}`, ""},
		{
			"duplicates are all treated", `{"context":{"password":"a","password":"b"}}`,
			`{"context":{"password":"` + m + `","password":"` + m + `"}}`, "/context/password key\n/context/password key",
		},
		{
			"escaped name", `{"\u0070assword":"x","\u212aey":"y"}`,
			`{"\u0070assword":"` + m + `","\u212aey":"` + m + `"}`, "/password key\n/\u212aey key",
		},
		{
			"pointer escapes", `{"a/b":{"~":[{"key":1}]}}`,
			`{"a/b":{"~":[{"key":"` + m + `"}]}}`, "/a~1b/~0/0/key key",
		},
		{
			"list under a name", `{"api":["a",["b",null],{"c":"d"}]}`,
			`{"api":["` + m + `",["` + m + `",null],{"c":"d"}]}`, "/api/0 key\n/api/1/0 key",
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
			`{"secret":{"pk":1,"app":"a","name":"n","model_name":"token","key":"x","value":"y","user":{"pk":7}}}`,
			`{"secret":{"pk":1,"app":"a","name":"n","model_name":"token","key":"` + m + `","value":"` + m + `","user":{"pk":"` + m + `"}}}`,
			"/secret/key key\n/secret/value container\n/secret/user/pk container",
		},
		{
			"model reference below a secret", `{"secrets":{"old":{"pk":1,"app":"a","model_name":"b"},"pk":2}}`,
			`{"secrets":{"old":{"pk":1,"app":"a","model_name":"b"},"pk":"` + m + `"}}`, "/secrets/pk container",
		},
		{
			"added names", `{"pwd":"x","user_otp":1,"Cookie":"c","credentials":{"u":"v"}}`,
			`{"pwd":"` + m + `","user_otp":"` + m + `","Cookie":"` + m + `","credentials":{"u":"` + m + `"}}`,
			"/pwd added_key\n/user_otp added_key\n/Cookie added_key\n/credentials/u container",
		},
		{
			"exceptions", `{"auth_method":"password","auth_method_args":{"known_device":"x"},"password_change_date":"2023","passing":"y","revoke_tokens":"z"}`,
			`{"auth_method":"password","auth_method_args":{"known_device":"x"},"password_change_date":"2023","passing":"y","revoke_tokens":"z"}`, "",
		},
		{
			"an exception's members are judged", `{"auth_method_args":{"password":"x"}}`,
			`{"auth_method_args":{"password":"` + m + `"}}`, "/auth_method_args/password key",
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
	if (len(got.Masked) == 0) != (string(clean) == in) {
		tb.Errorf("changed without saying so, or the other way round: %s", clean)
	}
	return got
}

func TestQuery(t *testing.T) {
	t.Parallel()
	const m = schemas.Mask
	for _, test := range []struct{ name, key, in, want string }{
		{"flow executor", "query", `next=%2F&token=abc&x=1`, `next=%2F&token=` + m + `&x=1`},
		{"encoded name", "query", `to%6ben=abc%26def&x=1`, `to%6ben=` + m + `&x=1`},
		{"name encoded three times", "query", `to%25256ben=abc`, `to%25256ben=` + m},
		{"inside next, encoded", "query", `next=%2Fapp%3Ftoken%3Dabc%26x%3D1&y=2`, `next=%2Fapp%3Ftoken%3D` + m + `%26x%3D1&y=2`},
		{"inside next, twice", "query", `next=%252Fa%253Fkey%253Dabc%2526x`, `next=%252Fa%253Fkey%253D` + m + `%2526x`},
		{"inside next, three times", "query", `next=%25252Fa%25253Fkey%25253Dabc`, `next=%25252Fa%25253Fkey%25253D` + m},
		{"inside next, plain", "query", `next=/a?token=abc&x=1`, `next=/a?token=` + m + `&x=1`},
		{"a query of its own that is encoded", "query", `token%3Dabc`, `token%3D` + m},
		{"escapes of JSON", "query", `x=\"1\"\u0026token=a\\b\u00263=\ud83d\ude00`, `x=\"1\"\u0026token=` + m + `\u00263=\ud83d\ude00`},
		{"a secret escaped by JSON", "query", `token=\u0061\ud83d\ude00bc`, `token=` + m},
		{"a value with = in it", "query", `key=a=b=c&d=e`, `key=` + m + `&d=e`},
		{"several", "query_string", `password=a&b=c&api_key=d`, `password=` + m + `&b=c&api_key=` + m},
		{"the mask stays", "query", `token=` + m, `token=` + m},
		{"nothing to hide", "query", `token=&x=1`, `token=&x=1`},
		{"padding is no value", "query", `bWFrZXk==`, `bWFrZXk==`},
		{"plain text", "query", `[...]`, `[...]`},
		{"broken encoding", "query", `%zz%2=&token%3=abc%`, `%zz%2=&token%3=` + m},
		{"exceptions", "query", `auth_method=password&passing=x`, `auth_method=password&passing=x`},
		{"fragment in a form", "querystring", `password=ab#cd&x=y`, `password=` + m + `&x=y`},
		{"URL", "url", `https://h/p?token=abc&x=1#top`, `https://h/p?token=` + m + `&x=1#top`},
		{"URL with a secret before the fragment", "href", `/p?x=1&token=abc#top`, `/p?x=1&token=` + m + `#top`},
		{"fragment", "redirect_uri", `https://h/#access_token=abc&expires=5`, `https://h/#access_token=` + m + `&expires=5`},
		{"no query part", "path", `/api/token=abc/x`, `/api/token=abc/x`},
		{"encoded URL", "next", `%2Fapp%3Ftoken%3Dabc`, `%2Fapp%3Ftoken%3D` + m},
		{"another name", "message", `?token=abc`, `?token=abc`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := redact(t, `{"context":{"`+test.key+`":"`+test.in+`"}}`)
			if want := `{"context":{"` + test.key + `":"` + test.want + `"}}`; string(got.Clean) != want {
				t.Errorf("got  %s\nwant %s", got.Clean, want)
			}
			if test.in != test.want && show(got) != "/context/"+test.key+" query" {
				t.Errorf("masked %s", show(got))
			}
		})
	}
}

func TestArgs(t *testing.T) {
	t.Parallel()
	const m = schemas.Mask
	got := redact(t, `{"context":{"http_request":{"args":{"q":"token=a","list":["key=b",{"z":"?key=c&d"}]},"path":"/x?key=d"},"args":{"q":"token=a"}}}`)
	want := `{"context":{"http_request":{"args":{"q":"token=` + m + `","list":["key=` + m + `",{"z":"?key=` + m + `&d"}]},"path":"/x?key=` + m + `"},"args":{"q":"token=a"}}}`
	if string(got.Clean) != want {
		t.Errorf("got  %s\nwant %s", got.Clean, want)
	}
	if want := []Count{{"query", 4}}; !slices.Equal(got.Counts, want) {
		t.Errorf("counts %v, want %v", got.Counts, want)
	}
	if got := redact(t, `{"context":{"http_request":{"args":"token=a"}}}`); show(got) != "/context/http_request/args query" {
		t.Errorf("args as a string: masked %q", show(got))
	}
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
		{"too large once masked", `{"keys":[` + strings.Repeat("1,", 300_000) + `1]}`, schemas.ReasonTooLarge},
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
	members := strings.TrimSuffix(strings.Repeat(`"key":1,`, 10_000), ",")
	in := `{"context":{"key":1,"b":` + deep + "{" + members + "}" + strings.Repeat("}", 802)
	got := redact(t, in)
	if n := bytes.Count(got.Clean, []byte(schemas.Mask)); n != 10_001 {
		t.Errorf("%d masks", n)
	}
	if want := []Count{{"key", 10_001}}; !slices.Equal(got.Counts, want) {
		t.Errorf("counts %v, want %v", got.Counts, want)
	}
	if !got.Truncated || len(got.Masked) != 1 || got.Header() != `["/context/key",""]` {
		t.Errorf("masked %d, header %.100s", len(got.Masked), got.Header())
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	// Each name takes six times its bytes in the header.
	var in strings.Builder
	for i := range 5000 {
		in.WriteString(`,"key\u0001` + strconv.Itoa(i) + `":1`)
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
	if pointers[0] != "/key\u00010" || pointers[len(pointers)-1] != "" || len(pointers) != len(got.Masked)+1 {
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
		`[{"password":"x"}]`:            `[{"password":"` + schemas.Mask + `"}]`,
		`"text"`:                        `"text"`,
		`{"pk":5,"action":{"key":"a"}}`: `{"pk":5,"action":{"key":"` + schemas.Mask + `"}}`,
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
			in := []byte(`{"context":{"password":"x","n":` + strconv.Itoa(i) + `,"query":"a=%26&key=` + strconv.Itoa(i) + `"}}`)
			want := `{"context":{"password":"` + schemas.Mask + `","n":` + strconv.Itoa(i) + `,"query":"a=%26&key=` + schemas.Mask + `"}}`
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
	event, w := kilobyte(t, false), new(walk)
	dst := make([]byte, 0, 4096)
	n := testing.AllocsPerRun(100, func() {
		if err := w.decodeJSON(event); err != nil {
			t.Fatal(err)
		}
		w.begin(dst, event)
		if err := w.run(); err != nil {
			t.Fatal(err)
		}
		if r := w.result(nil); len(r.Masked) != 0 {
			t.Fatal("it is not clean")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for a clean text", n)
	}
}
