package notifier

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNormalise(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "connection refused", "connection refused"},
		{"empty", "", ""},
		{"white space", "  a\t\tb\r\n c ", "a b c"},
		{"number", "took 17 of 4.5 and 1,024 ms", "took <n> of <n> and <n> ms"},
		{"version", "python3.13 oauth2 v1.2.3", "python<n> oauth<n> v<n>"},
		{"uuid", "user f00f54e7-2b38-421f-bc78-e61f950048d6 is gone", "user <uuid> is gone"},
		{"uuid without dashes", "flow 53287faa8a644b6cb124cb602a84282f", "flow <hex>"},
		{"hex", "object at 0x7F3a9c, commit 3f2a91c", "object at <hex>, commit <hex>"},
		{"a word of hex letters", "a decade facade", "a decade facade"},
		{"ipv4", "from 203.0.113.77:5432 and 10.0.0.0/8.", "from <ip>:<n> and <ip>/<n>."},
		{"ipv6", "from 2001:db8::1, [::1]:80 and ::ffff:192.0.2.1.", "from <ip>, [<ip>]:<n> and <ip>."},
		{"not an address", "std::vector ns::fn 12:30 1.2.3", "std::vector ns::fn <n>:<n> <n>"},
		{"rfc 3339", "at 2023-02-15T15:33:42.771091Z and 2023-02-15t15:33:42+01:00", "at <time> and <time>"},
		{"log time", "2023-02-15 15:33:42,771 on 2023-02-15 at 15:33:42", "<time> on <time> at <time>"},
		{"quoted", `'NoneType' object has no attribute "pk" or ` + "`x`", "<text> object has no attribute <text> or <text>"},
		{"apostrophe", "can't reach the users' server", "can't reach the users' server"},
		{"escaped quote", `got "a \" b" here`, "got <text> here"},
		{"unclosed quote", `got "a b 5`, `got "a b <n>`},
		{"email", "mail to first.last+x@mail.example.org. Done", "mail to <email>. Done"},
		{"path with ids", "/users/42/tokens/9f8e7d6c5b/ in pod web-7d9f8b6c5d-x2k9p", "/users/<n>/tokens/<hex>/ in pod web-<hex>-<id>"},
		{"token", "token abcdefghijklmnop1234 of a_long_function_name_2", "token <id> of a_long_function_name_<n>"},
		{"mask", "password ******************** is wrong", "password ******************** is wrong"},
		{"other script", "Fehler für Größe 5: não", "Fehler für Größe <n>: não"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := normalise(c.in); got != c.want {
				t.Errorf("normalise(%q)\n got %q\nwant %q", c.in, got, c.want)
			}
		})
	}
}

func TestNormaliseIsBounded(t *testing.T) {
	for name, unit := range map[string]string{
		"quotes": `'x`, "double quotes": `"`, "escapes": `\"`, "colons": "a:", "dots": "1.", "addresses": "1::", "mails": "a.b@",
		"hex": "f0", "words": "word ", "dashes": "f00f54e7-", "times": "2023-02-15T", "quoted": `"text" `, "wide": "ä",
	} {
		got := normalise(strings.Repeat(unit, 1<<20/len(unit)))
		if len(got) > normaliseOutBytes || !utf8.ValidString(got) {
			t.Errorf("%s: %d bytes, valid UTF-8 %v", name, len(got), utf8.ValidString(got))
		}
	}
}

func FuzzNormalise(f *testing.F) {
	for _, s := range []string{"", "user 42 at 10.0.0.1:80", `"a" 'b' ::1 x@y.z.`, "2023-02-15T15:33:42.771091Z", "f00f54e7-2b38-421f-bc78-e61f950048d6", "\xff'\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := normalise(text)
		if utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Errorf("normalise(%q) = %q is not UTF-8", text, got)
		}
		if strings.Contains(got, "  ") || strings.HasPrefix(got, " ") {
			t.Errorf("normalise(%q) = %q has idle space", text, got)
		}
		// What a placeholder stands for does not matter.
		if a, b := normalise("id 17 "+text), normalise("id 98765 "+text); a != b {
			t.Errorf("differs by a number: %q and %q", a, b)
		}
	})
}
