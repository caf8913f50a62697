package redactor

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"sluice/schemas"
)

// The texts below are what RFC 8259 accepts, refuses, and leaves to whoever
// reads. They cover, case by case, what the public JSON parsing test suites do.

// valid must be accepted wherever a value may stand, and come out unchanged.
var valid = map[string]string{
	// Arrays.
	"array with spaces": `[[]   ]`, "array of empty string": `[""]`, "empty array": `[]`, "array ending with newline": "[\"a\"]\n",
	"false in array": `[false]`, "heterogeneous array": `[null, 1, "1", {}]`, "null in array": `[null]`,
	"array with one and newline": "[1\n]", "leading space": ` [1]`, "several nulls": `[1,null,null,null,2]`, "trailing space": `[2] `,
	"nested empties": `[[],{},[{}]]`,
	// Numbers.
	"number": `[123e65]`, "zero with exponent": `[0e+1]`, "zero e one": `[0e1]`, "number after space": `[ 4]`,
	"close to zero":         `[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]`,
	"integer with exponent": `[20e1]`, "minus zero": `[-0]`, "negative integer": `[-123]`, "negative one": `[-1]`,
	"negative zero": `[-0]`, "capital E": `[1E22]`, "capital E minus": `[1E-2]`, "capital E plus": `[1E+2]`,
	"real exponent": `[123e45]`, "fraction exponent": `[123.456e78]`, "negative exponent": `[1e-2]`, "positive exponent": `[1e+2]`,
	"simple integer": `[123]`, "simple real": `[123.456789]`, "zero fraction": `[0.0]`, "lone zero": `0`, "minus zero fraction": `[-0.0e-0]`,
	"long integer": `[123456789012345678901234567890]`, "long fraction": `[0.` + strings.Repeat("1", 400) + `]`,
	// Objects.
	"basic": `{"asd":"sdf"}`, "duplicated name": `{"a":"b","a":"c"}`, "duplicated name and value": `{"a":"b","a":"b"}`,
	"empty object": `{}`, "empty name": `{"":0}`, "NUL escape in name": `{"foo\u0000bar": 42}`,
	"extreme numbers": `{ "min": -1.0e+28, "max": 1.0e+28 }`, "long strings": `{"x":[{"id": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}], "id": "xxxxxxxx"}`,
	"simple object": `{"a":[]}`, "object with newlines": "{\n\"a\": \"b\"\n}", "Unicode in object": `{"title":"\u041f\u043e\u043b\u0442\u043e\u0440\u0430 \u0417\u0435\u043c\u043b\u0435\u043a\u043e\u043f\u0430" }`,
	// Strings.
	"one to three byte UTF-8": `["\u0060\u012a\u12AB"]`, "accepted surrogate pair": `["\uD801\udc37"]`, "accepted surrogate pairs": `["\ud83d\ude39\ud83d\udc8d"]`,
	"allowed escapes": `["\"\\\/\b\f\n\r\t"]`, "backslash and u escaped zero": `["\\u0000"]`, "backslash doublequotes": `["\""]`,
	"comments in string": `["a/*b*/c/*d//e"]`, "double escape a": `["\\a"]`, "double escape n": `["\\n"]`,
	"escaped control character": `["\u0012"]`, "escaped noncharacter": `["\uFFFF"]`, "string in array": `["asd"]`,
	"string in array with leading space": `[ "asd"]`, "last surrogates": `["\uDBFF\uDFFF"]`, "NBSP uescaped": `["new\u00A0line"]`,
	"noncharacter in UTF-8": "[\"\U0010ffff\"]", "noncharacter FFFF in UTF-8": "[\"\uffff\"]", "NUL escape": `["\u0000"]`,
	"one byte UTF-8 escape": `["\u002c"]`, "pi": `["π"]`, "reserved character": "[\"\U0001bfff\"]", "simple ASCII": `["asd "]`,
	"space": `" "`, "surrogates U+1D11E": `["\uD834\uDd1e"]`, "three byte UTF-8": `["\u0821"]`, "two byte UTF-8": `["\u0123"]`,
	"U+2028 line separator": "[\"\u2028\"]", "U+2029 paragraph separator": "[\"\u2029\"]", "u escape": `["\u0061\u30af\u30EA\u30b9"]`,
	"uescaped newline": `["new\u000Aline"]`, "unescaped DEL": "[\"\x7f\"]", "Unicode": `["\uA66D"]`, "escaped backslash": `["\u005C"]`,
	"Unicode 2": `["⍂㈴⍂"]`, "U+10FFFE nonchar": `["\uDBFF\uDFFE"]`, "U+1FFFE nonchar": `["\uD83F\uDFFE"]`, "U+200B zero width space": `["\u200B"]`,
	"U+2064 invisible plus": `["\u2064"]`, "U+FDD0 nonchar": `["\uFDD0"]`, "U+FFFE nonchar": `["\uFFFE"]`, "escaped double quote": `["\u0022"]`,
	"UTF-8": `["€𝄞"]`, "DEL in string": "[\"a\x7fa\"]", "escape of every kind": `"\u00e9\\\"\/"`, "BMP end": "\"\ufffd\"",
	// Structures.
	"lonely false": `false`, "lonely integer": `42`, "lonely negative real": `-0.1`, "lonely null": `null`, "lonely string": `"asd"`,
	"lonely true": `true`, "string empty": `""`, "trailing newline": "[\"a\"]\n", "true in array": `[true]`, "whitespace array": ` [] `,
	"all white space": " \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n", "deep": strings.Repeat("[", 500) + strings.Repeat("]", 500),
	"deep objects": strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500),
}

// invalid must be refused, alone and as a value inside an event.
var invalid = map[string]string{
	// Arrays.
	"1 true without comma": `[1 true]`, "a invalid UTF-8": "[a\xe5]", "colon instead of comma": `["": 1]`, "comma after close": `[""],`,
	"comma and number": `[,1]`, "double comma": `[1,,2]`, "double extra comma": `["x",,]`, "extra close": `["x"]]`, "extra comma": `["",]`,
	"incomplete": `["x"`, "incomplete invalid value": `[x`, "inner array no comma": `[3[4]]`, "invalid UTF-8": "[\xff]",
	"items separated by semicolon": `[1:2]`, "just comma": `[,]`, "just minus": `[-]`, "missing value": `[   , ""]`,
	"newlines unclosed": "[\"a\",\n4\n,1,", "number and comma": `[1,]`, "number and several commas": `[1,,]`, "star inside": `[*]`,
	"unclosed": `[""`, "unclosed trailing comma": `[1,`, "unclosed with new lines": "[1,\n1\n,1", "unclosed with object inside": `[{}`,
	"vertical tab and FF": "[\"\va\"\\f]", "form feed as space": "[\f]", "spaces vertical tab": "[\v]",
	// Literals.
	"incomplete false": `[fals]`, "incomplete null": `[nul]`, "incomplete true": `[tru]`, "capitalised True": `[True]`, "capitals NULL": `[NULL]`,
	"true and more": `[truex]`, "undefined": `[undefined]`, "NUL byte": "123\x00", "none": `[None]`, "nil": `nil`,
	// Numbers.
	"++": `[++1234]`, "+1": `[+1]`, "+Inf": `[+Inf]`, "-01": `[-01]`, "-1.0.": `[-1.0.]`, "-2.": `[-2.]`, "-NaN": `[-NaN]`, ".-1": `[.-1]`,
	".2e-3": `[.2e-3]`, "0.1.2": `[0.1.2]`, "0.3e+": `[0.3e+]`, "0.3e": `[0.3e]`, "0.e1": `[0.e1]`, "0 capital E+": `[0E+]`, "0 capital E": `[0E]`,
	"0e+": `[0e+]`, "0e": `[0e]`, "1.0e+": `[1.0e+]`, "1.0e-": `[1.0e-]`, "1.0e": `[1.0e]`, "1 000": `[1 000.0]`, "1eE2": `[1eE2]`,
	"2.e+3": `[2.e+3]`, "2.e-3": `[2.e-3]`, "2.e3": `[2.e3]`, "9.e+": `[9.e+]`, "Inf": `[Inf]`, "NaN": `[NaN]`, "U+FF11 fullwidth digit": "[\uff11]",
	"expression": `[1+2]`, "hex 1": `[0x1]`, "hex 2": `[0x42]`, "Infinity": `[Infinity]`, "invalid +-": `[0e+-1]`, "invalid negative real": `[-123.123foo]`,
	"invalid UTF-8 in bigger int": "[123\xe5]", "invalid UTF-8 in exponent": "[1e1\xe5]", "invalid UTF-8 in int": "[0\xe5]\n", "-Infinity": `[-Infinity]`,
	"minus sign with trailing garbage": `[-foo]`, "minus space 1": `[- 1]`, "neg int starting with zero": `[-012]`, "neg real without int part": `[-.123]`,
	"neg with garbage at end": `[-1x]`, "real garbage after e": `[1ea]`, "real with invalid UTF-8 after e": "[1e\xe5]", "real without fractional part": `[1.]`,
	"starting with dot": `[.123]`, "with alpha": `[1.2a-3]`, "with alpha char": `[1.8011670033376514H-308]`, "with leading zero": `[012]`,
	"double minus": `[--1]`, "underscore": `[1_000]`, "two zeros": `[00.0]`, "two zeros with exponent": `[00e0]`, "minus two zeros": `[-00.0]`,
	"minus two zeros with exponent": `[-00e0]`, "octal escape": `["\101"]`, "comma as decimal point": `[1,5e]`, "bigint n": `[1n]`, "octal": `[0o17]`,
	// Objects.
	"bad value": `["x", truth]`, "bracket key": `{[: "x"}`, "comma instead of colon": `{"x", null}`, "double colon": `{"x"::"b"}`, "emoji": `{🇨🇭}`,
	"garbage at end": `{"a":"a" 123}`, "key with single quotes": `{key: 'value'}`, "lone continuation byte in key": "{\"\xb9\":\"0\",}",
	"missing colon": `{"a" b}`, "missing key": `{:"b"}`, "missing semicolon": `{"a" "b"}`, "missing value in object": `{"a":`, "no colon": `{"a"`,
	"non string key": `{1:1}`, "non string key but huge number": `{9999E9999:1}`, "null as a name": `{null:null,null:null}`,
	"several trailing commas": `{"id":0,,,,,}`, "single quote": `{'a':0}`, "trailing comma": `{"id":0,}`, "trailing comment": `{"a":"b"}/**/`,
	"trailing comment open": `{"a":"b"}/**//`, "trailing comment slash": `{"a":"b"}//`, "trailing comment slash open incomplete": `{"a":"b"}/`,
	"two commas in a row": `{"a":"b",,"c":"d"}`, "unquoted key": `{a: "b"}`, "unterminated value": `{"a":"a`, "with single string": `{ "foo" : "bar", "a" }`,
	"with trailing garbage": `{"a":"b"}#`, "only a comma": `{,}`, "hash comment": "{#c\n}", "missing brace": `{"a":1`, "bracket for brace": `{"a":1]`,
	// Strings.
	"1 surrogate then escape": `["\uD800\"]`, "1 surrogate then escape u": `["\uD800\u"]`, "1 surrogate then escape u1": `["\uD800\u1"]`,
	"1 surrogate then escape u1x": `["\uD800\u1x"]`, "accentuated char no quotes": `[é]`, "backslash 00": "[\"\\\x00\"]", "escape x": `["\x00"]`,
	"escaped backslash bad": `["\\\"]`, "escaped ctrl char tab": "[\"\\\t\"]", "escaped emoji": `["\🌀"]`, "incomplete escape": `["\"]`,
	"incomplete escaped character": `["\u00A"]`, "incomplete surrogate": `["\uD834\uDd"]`, "incomplete surrogate escape invalid": `["\uD800\uD800\x"]`,
	"invalid UTF-8 in escape": "[\"\\u\xe5\"]", "invalid backslash esc": `["\a"]`, "invalid Unicode escape": `["\uqqqq"]`,
	"invalid UTF-8 after escape": "[\"\\\xe5\"]", "leading uescaped thinspace": `[\u0020"asd"]`, "no quotes with bad escape": `[\n]`,
	"single doublequote": `"`, "single quoted string": `['single quote']`, "single string no double quotes": `abc`, "start escape unclosed": `["\`,
	"unescaped ctrl char": "[\"a\x00a\"]", "unescaped newline": "[\"new\nline\"]", "unescaped tab": "[\"\t\"]", "Unicode capital U": `"\UA66D"`,
	"with trailing garbage string": `""x`, "unescaped 1f": "[\"\x1f\"]", "unescaped carriage return": "[\"\r\"]", "backslash at the end": `"\`,
	"long escape": `["\u00000"`, "hex with sign": `["\u+061"]`, "hex with space": `["\u 061"]`,
	// What is no UTF-8.
	"overlong slash": "[\"\xc0\xaf\"]", "overlong NUL": "[\"\xc0\x80\"]", "overlong six bytes": "[\"\xfc\x83\xbf\xbf\xbf\xbf\"]",
	"surrogate in UTF-8": "[\"\xed\xa0\x80\"]", "beyond U+10FFFF": "[\"\xf4\xbf\xbf\xbf\"]", "lone continuation": "[\"\x81\"]",
	"truncated UTF-8": "[\"\xe0\xff\"]", "iso latin 1": "[\"\xe9\"]", "UTF-16LE": "\xff\xfe[\x00\"\x00\xe9\x00\"\x00]\x00",
	"UTF-16BE without BOM": "\x00[\x00\"\x00\xe9\x00\"\x00]", "UTF-16LE without BOM": "[\x00\"\x00\xe9\x00\"\x00]\x00", "truncated at the end": "[\"\xe2\x82",
	// Structures.
	"angle bracket": `<.>`, "angle bracket null": `[<null>]`, "array trailing garbage": `[1]x`, "array with extra array close": `[1]]`,
	"array with unclosed string": `["asd]`, "ASCII Unicode identifier": `aå`, "capitalised true": `[True]`, "close unopened array": `1]`,
	"comma instead of closing brace": `{"x": true,`, "double array": `[][]`, "end array": `]`, "incomplete BOM": "\xef\xbb{}",
	"lone invalid UTF-8": "\xe5", "lone open bracket": `[`, "no data": ``, "NUL outside string": "[\x00]", "number with trailing garbage": `2@`,
	"object followed by closing object": `{}}`, "object unclosed no value": `{"":`, "object with comment": `{"a":/*comment*/"b"}`,
	"object with trailing garbage": `{"a": true} "x"`, "open array apostrophe": `['`, "open array comma": `[,`, "open array open object": `[{`,
	"open array open string": `["a`, "open array string": `["a"`, "open object": `{`, "open object close array": `{]`, "open object comma": `{,`,
	"open object with array": `{[`, "open object with string": `{"a`, "open object string with apostrophes": `{'a'`, "open several": `["\{["\{["\{["\{`,
	"single eacute": "\xe9", "single star": `*`, "trailing #": `{"a":"b"}#{}`, "U+2060 word joined": "[\u2060]", "uescaped LF before string": `[\u000A""]`,
	"unclosed array": `[1`, "unclosed array partial null": `[ false, nul`, "unclosed array unfinished false": `[ true, fals`,
	"unclosed array unfinished true": `[ false, tru`, "unclosed object": `{"asd":"asd"`, "Unicode identifier": `å`, "BOM no data": "\xef\xbb\xbf",
	"whitespace formfeed": "[\f]", "whitespace U+2060": "[\u2060]", "single space": ` `, "no-break space": "[\u00a0]", "BOM inside": "[\ufeff]",
	"two values": `1 2`, "hundred thousand open arrays": strings.Repeat("[", 100_000), "open array object": strings.Repeat(`[{"":`, 50_000),
	"comma alone": `,`, "colon alone": `:`, "line comment": "// c\n1", "block comment": `/* c */ 1`,
}

// undefined is what the RFC leaves open, and what the redactor makes of it.
var undefined = map[string]struct {
	text string
	want schemas.Reason // "" is accepted unchanged
}{
	"double huge negative exponent":      {`[123.456e-789]`, ""},
	"huge exponent":                      {`[0.4e006699999999999999999999999999999999999999999999999999999999999999999]`, ""},
	"very big negative integer":          {`[-237462374673276894279832749832423479823246327846]`, ""},
	"real that overflows":                {`[-1e+9999]`, ""},
	"positive real that overflows":       {`[1.5e+9999]`, ""},
	"real that underflows":               {`[123e-10000000]`, ""},
	"integer with a huge exponent":       {`[123123e100000]`, ""},
	"negative, with a huge exponent":     {`[-123123e100000]`, ""},
	"very big integer":                   {`[100000000000000000000]`, ""},
	"lone first surrogate":               {`["\ud800"]`, ""},
	"first surrogate, then letters":      {`["\ud800abc"]`, ""},
	"incomplete surrogate pair":          {`["\uDd1ea"]`, ""},
	"1st surrogate valid, 2nd not":       {`["\uD888\u1234"]`, ""},
	"incomplete surrogate and escape":    {`["\uD800\n"]`, ""},
	"lone second surrogate":              {`["\uDFAA"]`, ""},
	"first surrogate, then another":      {`["\uDADA"]`, ""},
	"inverted surrogates":                {`["\uDd1e\uD834"]`, ""},
	"1st surrogate but 2nd missing":      {`["\uDADA\u0041"]`, ""},
	"object key lone surrogate":          {`{"\uDFAA":0}`, ""},
	"500 nested arrays":                  {strings.Repeat("[", 500) + strings.Repeat("]", 500), ""},
	"897 nested arrays, 899 in an event": {strings.Repeat("[", 897) + strings.Repeat("]", 897), ""},
	"1000 nested arrays":                 {strings.Repeat("[", 1000) + strings.Repeat("]", 1000), schemas.ReasonTooDeep},
	"UTF-8 BOM and empty object":         {"\xef\xbb\xbf{}", schemas.ReasonInvalidJSON},
	"UTF-16LE with BOM":                  {"\xff\xfe[\x00]\x00", schemas.ReasonInvalidJSON},
	"not in Unicode range":               {"[\"\xf4\xbf\xbf\xbf\"]", schemas.ReasonInvalidJSON},
	"overlong 2 bytes":                   {"[\"\xc0\xaf\"]", schemas.ReasonInvalidJSON},
	"invalid UTF-8 sequence":             {"[\"日ш\xfa\"]", schemas.ReasonInvalidJSON},
}

// asEvent puts a text where any value may stand.
func asEvent(text string) string { return `{"context":{"x":` + text + `}}` }

func TestConformanceValid(t *testing.T) {
	t.Parallel()
	engine := engineFor(t)
	for name, text := range valid {
		if !json.Valid([]byte(text)) {
			t.Errorf("%s: encoding/json refuses it", name)
		}
		event := asEvent(text)
		if got, err := engine.Redact(nil, []byte(event)); err != nil || string(got.Clean) != event {
			t.Errorf("%s: in an event: %v", name, err)
		}
		if strings.Contains(text, "\n") {
			continue // more than a line
		}
		if out, refused, _ := filterText(t, event+"\n"); out != event+"\n" || refused != "" {
			t.Errorf("%s: in a line: %s", name, refused)
		}
		out, refused, _ := filterText(t, text)
		if object := strings.HasPrefix(strings.TrimSpace(text), "{"); object && out != text+"\n" {
			t.Errorf("%s: as an event: %s", name, refused)
		} else if !object && refused != `{"line":1,"reason":"not_an_object"}`+"\n" {
			t.Errorf("%s: as a line: %s", name, refused)
		}
	}
}

func TestConformanceInvalid(t *testing.T) {
	t.Parallel()
	engine := engineFor(t)
	for name, text := range invalid {
		for _, in := range []string{text, asEvent(text)} {
			if json.Valid([]byte(in)) && utf8.ValidString(in) {
				t.Errorf("%s: encoding/json takes it", name)
			}
			_, err := engine.Redact(nil, []byte(in))
			var rejection *schemas.Rejection
			if !errors.As(err, &rejection) || rejection.Reason != schemas.ReasonInvalidJSON && rejection.Reason != schemas.ReasonTooDeep {
				t.Errorf("%s: %v", name, err)
			}
			if strings.Contains(in, "\n") || in == "" {
				continue
			}
			if out, refused, n := filterText(t, in); out != "" || n != 1 || !json.Valid([]byte(refused)) {
				t.Errorf("%s: in a line: %s %s", name, out, refused)
			}
		}
	}
}

func TestConformanceUndefined(t *testing.T) {
	t.Parallel()
	for name, test := range undefined {
		event := asEvent(test.text)
		want, wantRefused := event+"\n", ""
		if test.want != "" {
			want, wantRefused = "", `{"line":1,"reason":"`+string(test.want)+`"}`+"\n"
		}
		if out, refused, _ := filterText(t, event); out != want || refused != wantRefused {
			t.Errorf("%s: %.100s %s", name, out, refused)
		}
	}
}
