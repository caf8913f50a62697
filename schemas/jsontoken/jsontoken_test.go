package jsontoken_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"sluice/schemas/jsontoken"
)

func TestParseAgreesWithRFC8259(t *testing.T) {
	t.Parallel()
	valid := []string{
		`{}`, `[]`, ` [] `, `0`, `-0`, `1.5e+10`, `1E-2`, `123e65`, `""`, `"a"`, `true`, `false`, `null`, "\t\r\n1\n",
		`{"a":1}`, `{"a":1,"a":2}`, `{"":0}`, `[1,[2,{"b":[]}]]`, `"\u0000"`, `"\uD834\uDd1e"`, `"\ud800"`, `"\"\\\/\b\f\n\r\t"`,
		"\"\u007f\"", `"€𝄞"`, `[null,1,1.0,"x",{}]`, `{"a":[],"b":{}}`, "\"\u2028\"",
	}
	for _, text := range valid {
		var tape jsontoken.Tape
		if err := tape.Parse([]byte(text), 100); err != nil {
			t.Errorf("%s: got %v, want it accepted", text, err)
		}
	}
	invalid := []string{
		``, ` `, `{`, `}`, `[`, `]`, `[1,]`, `[,1]`, `[1 2]`, `[1,,2]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`, `{'a':1}`, `{"a" 1}`, `{1:1}`,
		`{"a":1]`, `[1}`, `01`, `-`, `-01`, `+1`, `.5`, `1.`, `1.e1`, `1e`, `1e+`, `0x1`, `Infinity`, `NaN`, `-Infinity`, `1_000`,
		`"`, `"a`, `"\x"`, `"\u12"`, `"\u12G4"`, `"\`, "\"\n\"", "\"\x00\"", "\"\t\"", `tru`, `True`, `nul`, `falsee`, `1 1`, `{}{}`, `[]]`,
		"\"\xff\"", "\"\xed\xa0\x80\"", "\"\xc0\x80\"", "\ufeff{}", "[\v1]", "[1]\f", `[1]//x`, `/**/[1]`, "\u00a0[1]", `[1]` + "\x00", `"a" "b"`, `[""":1]`,
	}
	for _, text := range invalid {
		var tape jsontoken.Tape
		var syntax *jsontoken.SyntaxError
		if err := tape.Parse([]byte(text), 100); !errors.As(err, &syntax) {
			t.Errorf("%q: got %v, want a syntax error", text, err)
		}
		if len(tape.Tokens) != 0 {
			t.Errorf("%q: tape holds %d tokens after an error", text, len(tape.Tokens))
		}
	}
}

func TestParseDepth(t *testing.T) {
	t.Parallel()
	nest := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	var tape jsontoken.Tape
	if err := tape.Parse(nest(100), 100); err != nil {
		t.Errorf("100 levels: %v", err)
	}
	if err := tape.Parse(nest(101), 100); !errors.Is(err, jsontoken.ErrDepth) {
		t.Errorf("101 levels: got %v, want ErrDepth", err)
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	var tape jsontoken.Tape
	src := []byte(`{"a":{"b":[1,{"c":2}],"x":3},"\u0061b":"t\u00e9xt","dup":1,"dup":"last"}`)
	if err := tape.Parse(src, 10); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"a.x": `3`, "a.b": `[1,{"c":2}]`, "ab": `"t\u00e9xt"`, "dup": `"last"`, "a.nope": ``, "dup.x": ``} {
		got := ""
		if i, ok := tape.Lookup(0, strings.Split(path, ".")...); ok {
			got = string(tape.Bytes(i))
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if i, ok := tape.Member(0, "ab"); !ok || tape.Text(i) != "téxt" {
		t.Error("text of an escaped string")
	}
}

// FuzzParse holds the reader against encoding/json, which agrees with RFC 8259
// except that it passes over bytes that are not UTF-8.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"\u00e9",null]}`, `[[[]]]`, `"\ud83d\ude00"`, `-1.5e3`, `{"a":`, "\"\xff\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var tape jsontoken.Tape
		err := tape.Parse(src, 9000)
		if want := json.Valid(src) && utf8.Valid(src); (err == nil) != want {
			t.Fatalf("got %v, want valid %v", err, want)
		}
		if err != nil {
			return
		}
		for i, tok := range tape.Tokens {
			if tok.Start >= tok.End || int(tok.End) > len(src) || int(tok.Next) <= i || int(tok.Next) > len(tape.Tokens) {
				t.Fatalf("token %d: %+v", i, tok)
			}
			if tok.Kind == jsontoken.String {
				var want string
				if err := json.Unmarshal(tape.Bytes(i), &want); err != nil || tape.Text(i) != want {
					t.Fatalf("token %d: text %q, want %q (%v)", i, tape.Text(i), want, err)
				}
			}
		}
	})
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"\\\n\x00é\xff😀")
	f.Fuzz(func(t *testing.T, s string) {
		quoted := jsontoken.AppendString(nil, s)
		var got string
		if err := json.Unmarshal(quoted, &got); err != nil {
			t.Fatalf("not JSON: %v", err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		if back := string(jsontoken.AppendText(nil, quoted)); back != got {
			t.Fatalf("got %q back, want %q", back, got)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	src := []byte(`{"pk":"f00f54e7-2b38-421f-bc78-e61f950048d6","user":{"pk":1,"email":"root@localhost","username":"akadmin"},"action":"login","app":"authentik.events.signals","context":{"auth_method":"password","http_request":{"args":{"query":"next=%2F"},"path":"/api/v3/flows/executor/default-authentication-flow/","method":"GET"},"auth_method_args":{}},"client_ip":"::1","created":"2023-02-15T15:33:42.771091Z","expires":"2024-02-15T15:33:42.770425Z","brand":{"pk":"fcba828076b94dedb2d5a6b4c5556fa1","app":"authentik_brands","name":"Default brand","model_name":"brand"}}`)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	var tape jsontoken.Tape
	for b.Loop() {
		if err := tape.Parse(src, 900); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTextIsOfWhatIsNoString(t *testing.T) {
	var tape jsontoken.Tape
	for _, text := range []string{"0", "null", "true", "[]", "{}", "1234567"} {
		if err := tape.Parse([]byte(text), 10); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if tape.TextIs(0, text) || tape.TextIs(0, "") {
			t.Errorf("%s counts as a string", text)
		}
	}
}
