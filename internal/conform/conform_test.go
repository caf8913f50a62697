package conform_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sluice/internal/conform"
	"sluice/schemas"
)

func newChecker(t testing.TB) *conform.Checker {
	t.Helper()
	c, err := conform.New()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheck(t *testing.T) {
	c := newChecker(t)
	for event, want := range map[string][]conform.Departure{
		`{}`: nil,
		`{"action":"of_my_own","context":{"x":[1],"http_request":{"path":"/"}}}`: nil,
		`{"action":"of_my_own","context":{"http_request":{"path":1}}}`:           {{"/context/http_request/path", "is of type number, want string", false}},
		`{"action":"login","context":{"more":{"than":"that"}}}`:                  nil,
		`{"action":"update_available"}`:                                          {{"/context", "lacks new_version", false}},
		`{"action":"update_available","context":{"new_version":5}}`:              {{"/context/new_version", "is of type number, want string", false}},
		`{"action":"email_sent","context":{"to_email":["a",2]}}`:                 {{"/context/to_email/1", "is of type number, want string", false}},
		`{"action":"secret_rotate","context":{"token":"` + schemas.Mask + `"}}`:  nil,
		`{"action":"secret_rotate","context":{"token":"hunter2"}}`:               {{"/context/token", "is of type string, want object", false}},
		`{"action":"login","context":{"auth_method_args":{"a/b~c":1}}}`:          nil,
		`{"pk":"hunter2"}`:        {{"/pk", "not a UUID of 32 digits, with or without dashes", true}},
		`{"client_ip":"hunter2"}`: {{"/client_ip", "not an IPv4 or IPv6 address", true}},
		`{"user":{"username":7}}`: {{"/user/username", "is of type number, want string", false}},
		`hunter2`:                 {{"", "invalid_json: invalid JSON at byte 0: expected a value", true}},
		`["hunter2"]`:             {{"", "not_an_object", true}},
	} {
		if got := c.Check([]byte(event), ""); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %v\nwant %v", event, got, want)
		}
	}
	if got := c.Check([]byte(`{}`), "update_available"); len(got) != 1 {
		t.Errorf("the action of the subject: got %v", got)
	}
}

func TestExamplesOfAuthentik(t *testing.T) {
	c := newChecker(t)
	names, err := filepath.Glob(filepath.Join("..", "..", "schemas", "testdata", "event_*.json"))
	if err != nil || len(names) < 5 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Check(text, ""); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// FuzzCheck holds that nothing stops it and that what the decoder accepts is only
// refused where the envelope says so, without a word of the event.
func FuzzCheck(f *testing.F) {
	c := newChecker(f)
	f.Add([]byte(`{"action":"login","context":{"auth_method":"hunter2"}}`))
	f.Add([]byte(`{"action":"email_sent","context":{"to_email":[1,{"hunter2":1}]},"user":{"on_behalf_of":{"pk":[]}}}`))
	f.Fuzz(func(t *testing.T, event []byte) {
		for _, d := range c.Check(event, "") {
			if strings.Contains(d.Reason, "hunter2") {
				t.Fatalf("the event is quoted: %s", d.Reason)
			}
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	c := newChecker(b)
	text, err := os.ReadFile(filepath.Join("..", "..", "schemas", "testdata", "event_authorize_application.json"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		c.Check(text, "")
	}
}
