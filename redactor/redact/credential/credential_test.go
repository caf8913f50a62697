package credential_test

import (
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sluice/redactor/redact/credential"
	"sluice/redactor/redact/credential/sample"
)

// find looks for credentials as the engine does: at each beginning of a word.
func find[T string | []byte](in T) (found []credential.Found) {
	text := []byte(in)
	wordByte := func(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' }
	for i := 0; i+1 < len(text); {
		if !wordByte(text[i]) {
			i++
			continue
		}
		end := i
		for end < len(text) && wordByte(text[end]) {
			end++
		}
		if credential.Starts(text, i, end) {
			if f, ok := credential.Match(text, i, end); ok {
				found = append(found, f)
				i = max(f.End, i+1)
				continue
			}
		}
		for i < len(text) && wordByte(text[i]) {
			i++
		}
	}
	return found
}

func newRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func TestFormats(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, f := range credential.Formats() {
		if !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(f.Name) || names[f.Name] || f.Meaning == "" || !strings.HasPrefix(f.Source, "https://") {
			t.Errorf("format %+v", f.Name)
		}
		names[f.Name] = true
	}
	if len(names) < 120 {
		t.Errorf("%d formats", len(names))
	}
}

func TestSamples(t *testing.T) {
	t.Parallel()
	r := newRand()
	for at, f := range credential.Formats() {
		samples := sample.Of(r, f)
		if len(samples) == 0 {
			t.Errorf("%s: no samples", f.Name)
		}
		for n, secret := range samples {
			for _, around := range []struct{ before, after string }{
				{"", ""}, {"x=", ";"}, {`"`, `"`}, {"it is ", "."}, {"line\n", "\nnext"}, {"https://h/p?t=", "&x=y"}, {"key:", ","}, {"(", ")"}, {"<b>", "</b>"},
			} {
				if around.before != "" && strings.HasPrefix(secret, "/") {
					around.before = "https://h.example"
				}
				text := around.before + secret + around.after
				found := find(text)
				if len(found) == 0 {
					t.Errorf("%s, sample %d in %q…%q: not found", f.Name, n, around.before, around.after)
					continue
				}
				start, end := found[0].Start, found[len(found)-1].End
				if f.Name == "putty_private_key" {
					continue // up to the end of the text
				}
				if start < len(around.before) || end > len(around.before)+len(secret) || end < len(around.before)+len(strings.TrimRight(secret, "/"))-len("/getMe") {
					t.Errorf("%s, sample %d in %q…%q: found %d to %d of %d to %d", f.Name, n, around.before, around.after, start, end, len(around.before), len(around.before)+len(secret))
				}
				if len(secret) == 0 || found[0].Format != at && n == 0 {
					t.Logf("%s is found as %s", f.Name, credential.Formats()[found[0].Format].Name)
				}
				clean := text[:start] + "********************" + text[end:]
				if again := find(clean); len(again) > 0 {
					t.Errorf("%s, sample %d: found once more when masked", f.Name, n)
				}
			}
		}
	}
}

// TestNothing are texts in which there is nothing to find.
func TestNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"skill skip sky sk-learn sk_buff key-value pk-index pk_field github glob glpat npm_config npm_lifecycle_event sketch hvac yard SGML AIza eyes BEGIN begin",
		"dd8c847ae65f4bd8b8f9b4a22c087385", "f00f54e7-2b38-421f-bc78-e61f950048d6", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "registry.example/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36", "v1.2.3-rc.1+build.5", "1.2.3.4:8080", "2001:db8::1", "12:34:56.789",
		"/api/v3/flows/executor/default-authentication-flow/", "/usr/lib/python3.12/site-packages/django/core/handlers/base.py", "File \"/app/x.py\", line 123, in get_response",
		"-----BEGIN CERTIFICATE-----\nMIIBszCCARwCAQ\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBGdE0hz user@host", "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4",
		"https://h.example/reset-password/", "https://h.example/invite/friends/of/mine", "https://h.example/verify-email/sent", "/api/v3/stages/invitation/invitations/f00f54e7-2b38-421f-bc78-e61f950048d6/",
		"ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "ghp_********************", "sk-********************", "Bearer ********************", "ghp_short", "xoxb-", "sk-your-api-key-goes-here",
		"https://hooks.slack.com/services/********************", "AKIA", "test_the_whole_pipeline_and_all_of_its_parts", "live_", "re_index_concurrently_all_tables_now", "s.authentik.example.com",
		"secret-service-of-his-majesty", "admin-interface", "user-friendly", "prod-eu-central-1", "pat.example.com", "M.Sc. in Nursing", "eyeballs.and.ears", "fc-barcelona",
		"hf_optionalBehaviourOfNestedDisplayElements", "https://github.example/xoxa-oslo/xoxa-oslo.github.io", "xoxb-my-bot-token", "icons.ico-0123456789abcdef0123456789abcdef.png",
		"notes.example/API-0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcdef-used", "0123456789abcdef0123456789abcdef-us", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"20261126-0123456789abcdef", "12345:Abcdef", "FAQ~1", "sc_some_settings.of_a_long_name.that_goes_on_and_on_for_more_than_60_bytes",
	} {
		for _, f := range find(text) {
			t.Errorf("%q: %s at %d", text, credential.Formats()[f.Format].Name, f.Start)
		}
	}
}

func FuzzMatch(f *testing.F) {
	r := newRand()
	for _, format := range credential.Formats() {
		for _, secret := range sample.Of(r, format) {
			f.Add(secret, 0)
		}
	}
	f.Fuzz(func(t *testing.T, text string, i int) {
		if i < 0 || i+1 >= len(text) {
			return
		}
		end := i
		for end < len(text) && ('0' <= text[end] && text[end] <= '9' || 'a' <= text[end]|0x20 && text[end]|0x20 <= 'z') {
			end++
		}
		found, ok := credential.Match([]byte(text), i, end)
		if ok && (found.Start < 0 || found.Start >= found.End || found.End > len(text) || found.Format >= len(credential.Formats())) {
			t.Errorf("found %+v", found)
		}
		if ok && !credential.Starts([]byte(text), i, end) {
			t.Error("found what begins nothing")
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for _, bench := range []struct{ name, fragment string }{
		{"prose", "The quick brown fox jumps over the lazy dog. "},
		{"jwt", "eyJ-"},
		{"jwt_dots", "eyJ."},
		{"jwt_header", "eyJhbGciOiJIUzI1NiJ9."},
		{"pem", "-----BEGIN PRIVATE KEY-----"},
		{"sk", "sk-"},
		{"ghp", "ghp_"},
		{"digits", "1234567890:AA-"},
		{"invite", "invite/"},
		{"discord", "MTA."},
		{"zeros", "AAAAAAAAAAAAAAAAAAAAAA-"},
	} {
		for _, size := range []int{4 << 10, 40 << 10, 400 << 10} {
			text := []byte(strings.Repeat(bench.fragment, size/len(bench.fragment)))
			b.Run(bench.name+"/"+strconv.Itoa(size>>10)+"KiB", func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					find(text)
				}
			})
		}
	}
}
