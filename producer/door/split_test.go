package door

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func texts(pieces []piece) []string {
	var out []string
	for _, p := range pieces {
		out = append(out, string(p.text))
	}
	return out
}

func TestSplitJSON(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string
		err  error
	}{
		"nothing":             {" \n ", nil, errEmpty},
		"one":                 {" {} ", []string{"{}"}, nil},
		"not an object":       {"17", []string{"17"}, nil},
		"none":                {"[ ]", nil, errEmpty},
		"two":                 {"[{} , {\"a\":[1,2]}]", []string{"{}", `{"a":[1,2]}`}, nil},
		"a comma in a string": {`["a,b]","\",\\"]`, []string{`"a,b]"`, `"\",\\"`}, nil},
		"a comma too many":    {"[{},]", []string{"{}", ""}, nil},
		"not closed":          {"[{}", nil, errTruncated},
		"in a string":         {`["a`, nil, errTruncated},
		"in an escape":        {`["\`, nil, errTruncated},
		"closed wrongly":      {"[{}}", nil, errTruncated},
		"more behind":         {"[{}] {}", nil, errTruncated},
		"too many":            {"[" + strings.Repeat("1,", maxEvents) + "1]", nil, errTooMany},
	} {
		pieces, _, err := splitJSON([]byte(tc.text))
		if !errors.Is(err, tc.err) || err == nil && !reflect.DeepEqual(texts(pieces), tc.want) {
			t.Errorf("%s: got %q, %v, want %q, %v", name, texts(pieces), err, tc.want, tc.err)
		}
	}
}

// An array that is valid JSON comes apart as encoding/json has it; of any other no
// more than its text comes out.
func FuzzSplitJSON(f *testing.F) {
	for _, seed := range []string{"", "[]", "[1,2]", `[{"a":"]"},[],"\""]`, "[[}", `{"a":1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		pieces, array, err := splitJSON(text)
		size := 0
		for _, p := range pieces {
			size += len(p.text)
		}
		if size > len(text) {
			t.Fatal("more came out than was put in")
		}
		var want []json.RawMessage
		if !array || json.Unmarshal(text, &want) != nil || len(want) == 0 || len(want) > maxEvents {
			return
		}
		if err != nil || len(pieces) != len(want) {
			t.Fatalf("%d pieces, %v, want %d", len(pieces), err, len(want))
		}
		for i := range want {
			if !bytes.Equal(pieces[i].text, want[i]) {
				t.Fatalf("piece %d: %q, want %q", i, pieces[i].text, want[i])
			}
		}
	})
}

func TestParseTokens(t *testing.T) {
	const ok = "0123456789abcdef0123456789abcdef"
	for name, tc := range map[string]struct{ text, says string }{
		"nothing":        {"# nobody\n\n", "there is no token in it"},
		"three words":    {"a b " + ok, "line 1: 3 words, want four"},
		"bad name":       {"a.b acme * " + ok, "line 1: the name"},
		"bad tenant":     {"# x\na a.b * " + ok, "line 2: the tenant"},
		"bad action":     {"a acme Login " + ok, "line 1: the actions"},
		"star inside":    {"a acme lo*gin " + ok, "line 1: the actions"},
		"short":          {"a acme * hunter2", "line 1: the token: shorter than 32"},
		"no hash":        {"a acme * sha256:" + ok, "line 1: the token: sha256: and 64"},
		"name twice":     {"a acme * " + ok + "\na acme * " + ok + "1", "line 2: the name stands there twice"},
		"token twice":    {"a acme * " + ok + "\nb acme * " + ok, "line 2: the token stands there twice"},
		"good":           {"a acme login,custom_*,secret_view " + ok, ""},
		"good from DOS":  {"a acme * " + ok + "\r\n", ""},
		"an empty piece": {"a acme login,,logout " + ok, "line 1: the actions"},
	} {
		_, err := parseTokens([]byte(tc.text), 10)
		if tc.says == "" && err != nil || tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
			t.Errorf("%s: got %v, want %q", name, err, tc.says)
		}
		if err != nil && (strings.Contains(err.Error(), ok) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: the error quotes a token: %v", name, err)
		}
	}
	grants, err := parseTokens([]byte("a acme login,custom_* "+ok), 0)
	if err != nil {
		t.Fatal(err)
	}
	for action, want := range map[string]bool{"login": true, "login_failed": false, "custom_": true, "custom_x": true, "custo": false} {
		if got := grants[0].allows(action); got != want {
			t.Errorf("%s: %v", action, got)
		}
	}
}
