package redact

import (
	"regexp"
	"strings"
	"testing"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		names string
		want  class
	}{
		{"password Password new_PASSWORD passwd passphrase secret client_secret token accessToken signature", listed | outright},
		{"api_key apiKey X-API-Key private_key privateKey pass user_pass smtpPass", listed | outright},
		{"API auth authorization Authorization key public_key author monkey capital passport compass", listed},
		{"pwd MYSQL_PWD otp user_otp otp_code userOtp totp credential credentials", added | outright},
		{"HTTP_COOKIE", listed | added | outright},
		{"cookie Set-Cookie cookies", added | outright},
		{"passing password_change_date auth_method AUTH_METHOD auth_method_args revoke_tokens", 0},
		{"username footprint option stage geo client_ip pwning cook ap tok", 0},
		{"auth_methods", listed},
		{"revoke_tokens_now", listed | outright},
		{"pk app model_name", identifies},
		{"query Query_String querystring", isQuery},
		{"url uri path href next redirect_uri", isURL},
		{"http_request", isHTTPRequest},
		{"args", isArgs},
		{"pa\u017f\u017fword to\u212aen \u017fecret", listed | outright},
		{"\u212aey", listed},
		{"pässword", 0},
	} {
		for name := range strings.FieldsSeq(test.names) {
			if got := classify([]byte(name)); got != test.want {
				t.Errorf("%q is %b, want %b", name, got, test.want)
			}
		}
	}
}

// authentikRule is how authentik decides, translated.
func authentikRule(name string) bool {
	return regexp.MustCompile(`(?i)API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|HTTP_COOKIE`).MatchString(name) &&
		!regexp.MustCompile(`(?i)passing|password_change_date|^auth_method(_args)?$|^revoke_tokens$`).MatchString(name)
}

// FuzzClassify holds the hand-written matcher to authentik's expressions.
func FuzzClassify(f *testing.F) {
	for _, name := range []string{
		"", "a", "password", "PASSING", "password_change_date2", "auth_method_args", "xauth_method", "tokEN",
		"http_cooki", "\u017fecret", "ſignature", "to\u212aen", "\xff\xfekey", "apapi", "kkey", "passecret",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if strings.Contains(name, "\n") {
			t.Skip("$ and line ends")
		}
		if got, want := classify([]byte(name))&listed != 0, authentikRule(name); got != want {
			t.Errorf("%q is listed: %v, by authentik: %v", name, got, want)
		}
	})
}
