// Package sample makes up credentials that have the shape of real ones, for tests,
// demonstrations and the redaction report.
//
// It promises that each is found by the format that it was made for. None is
// written down anywhere, so that nobody mistakes one for a leak: they come out of
// a seeded generator.
package sample

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash/crc32"
	"math/rand/v2"
	"strings"

	"sluice/redactor/redact/credential"
)

const (
	digits   = "0123456789"
	hex      = digits + "abcdef"
	upper    = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	lower    = "abcdefghijklmnopqrstuvwxyz"
	alnum    = digits + upper + lower
	urlBytes = alnum + "-_"
)

// Chars makes a text of n characters of the alphabet.
func Chars(r *rand.Rand, n int, alphabet string) string {
	var b strings.Builder
	for range n {
		b.WriteByte(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}

// Of makes up credentials of a format, one for each way to begin.
func Of(r *rand.Rand, format credential.Format) []string {
	if makers := structured[format.Name]; makers != nil {
		return makers(r)
	}
	prefixes, alphabet, least := format.Shape()
	var out []string
	for _, prefix := range prefixes {
		out = append(out, prefix+body(r, format.Name, alphabet, least))
	}
	return out
}

// body makes what follows the prefix: letters and digits in turn at the beginning,
// so that the shortest one is no word, and nothing at the end that a sentence ends
// with.
func body(r *rand.Rand, name, alphabet string, least int) string {
	if checked := withChecksum(r, name); checked != "" {
		return checked
	}
	if strings.Contains(alphabet, "-") && strings.Contains(alphabet, "a") && !strings.Contains(alphabet, "g") && least == 36 {
		return UUID(r)
	}
	plain := strings.Map(func(c rune) rune {
		if strings.ContainsRune(alnum, c) {
			return c
		}
		return -1
	}, alphabet)
	letters := strings.Trim(plain, digits)
	var b strings.Builder
	for i := range least {
		switch {
		case i < 6 && i%2 == 0:
			b.WriteByte(letters[r.IntN(len(letters))])
		case i < 6:
			b.WriteByte(digits[r.IntN(len(digits))])
		default:
			b.WriteByte(plain[r.IntN(len(plain))])
		}
	}
	return b.String()
}

// withChecksum makes the bodies that end in one: GitHub's and npm's tokens carry
// the CRC-32 of what is before it, in base 62.
func withChecksum(r *rand.Rand, name string) string {
	switch {
	case name == "npm_access_token", strings.HasPrefix(name, "github_") && name != "github_fine_grained_token":
	default:
		return ""
	}
	entropy := Chars(r, 30, alnum)
	const base62 = digits + upper + lower
	sum := crc32.ChecksumIEEE([]byte(entropy))
	var tail [6]byte
	for i := range tail {
		tail[len(tail)-1-i] = base62[sum%62]
		sum /= 62
	}
	return entropy + string(tail[:])
}

// UUID makes a random UUID.
func UUID(r *rand.Rand) string {
	return Chars(r, 8, hex) + "-" + Chars(r, 4, hex) + "-4" + Chars(r, 3, hex) + "-a" + Chars(r, 3, hex) + "-" + Chars(r, 12, hex)
}

// JWT makes a signed token.
func JWT(r *rand.Rand) string {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(`{"sub":"`+Chars(r, 12, digits)+`","iat":1700000000}`))
	mac := hmac.New(sha256.New, []byte(Chars(r, 32, alnum)))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

// PrivateKey makes a private key in PEM whose content is noise.
func PrivateKey(r *rand.Rand, label string) string {
	var b strings.Builder
	b.WriteString("-----BEGIN " + label + "-----\n")
	for range 4 {
		b.WriteString(Chars(r, 64, alnum) + "\n")
	}
	b.WriteString("-----END " + label + "-----")
	return b.String()
}

// structured makes what has more to it than a prefix and an alphabet. Of an
// address it is the whole of it, of which only a part is masked.
var structured = map[string]func(*rand.Rand) []string{
	"jwt": func(r *rand.Rand) []string {
		token := JWT(r)
		encode := base64.RawURLEncoding.EncodeToString
		return []string{
			token, token[:strings.LastIndex(token, ".")],
			encode([]byte(`{"nonce":"`+Chars(r, 16, alnum)+`"}`)) + "." + encode([]byte(`{"sub":"`+Chars(r, 12, digits)+`"}`)) + "." + Chars(r, 43, alnum),
			encode([]byte(`{"alg":"RSA-OAEP","enc":"A256GCM"}`)) + "." + Chars(r, 40, urlBytes) + "." + Chars(r, 16, alnum) + "." + Chars(r, 50, urlBytes) + "." + Chars(r, 22, alnum),
		}
	},
	"private_key": func(r *rand.Rand) []string {
		var out []string
		for _, kind := range []string{"", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED "} {
			out = append(out, PrivateKey(r, kind+"PRIVATE KEY"))
		}
		return append(out, PrivateKey(r, "PGP PRIVATE KEY BLOCK"), PrivateKey(r, "OpenVPN Static key V1"))
	},
	"putty_private_key": func(r *rand.Rand) []string {
		return []string{"Private-Lines: 2\n" + Chars(r, 64, alnum) + "\n" + Chars(r, 40, alnum)}
	},
	"discord_bot_token": func(r *rand.Rand) []string {
		return []string{"MT" + Chars(r, 22, alnum) + "." + Chars(r, 6, alnum) + "." + Chars(r, 27, alnum), "ND" + Chars(r, 24, alnum) + "." + Chars(r, 6, alnum) + "." + Chars(r, 38, alnum)}
	},
	"telegram_bot_token": func(r *rand.Rand) []string {
		id, key := "7"+Chars(r, 9, digits), ":AA"+Chars(r, 32, alnum)+"x"
		return []string{id + key, "86" + Chars(r, 3, digits) + key, "https://api.telegram.org/bot" + id + key + "/getMe"}
	},
	"facebook_app_token": func(r *rand.Rand) []string { return []string{Chars(r, 15, digits) + "|" + Chars(r, 27, alnum)} },
	"terraform_cloud_token": func(r *rand.Rand) []string {
		return []string{Chars(r, 14, alnum) + ".atlasv1." + Chars(r, 67, alnum)}
	},
	"maxmind_license_key": func(r *rand.Rand) []string { return []string{Chars(r, 6, alnum) + "_" + Chars(r, 29, alnum) + "_mmk"} },
	"airtable_token":      func(r *rand.Rand) []string { return []string{"pat" + Chars(r, 14, alnum) + "." + Chars(r, 64, hex)} },
	"harness_api_key": func(r *rand.Rand) []string {
		return []string{"pat." + Chars(r, 22, alnum) + "." + Chars(r, 24, hex) + "." + Chars(r, 20, alnum)}
	},
	"sendgrid_api_key": func(r *rand.Rand) []string { return []string{"SG." + Chars(r, 22, alnum) + "." + Chars(r, 43, alnum)} },
	"slack_token": func(r *rand.Rand) []string {
		var out []string
		for _, kind := range []string{"b", "p", "a", "r", "s", "o", "c", "d", "e", "e.xoxp", "e.xoxb"} {
			out = append(out, "xox"+kind+"-2"+Chars(r, 11, digits)+"-"+Chars(r, 24, alnum))
		}
		return append(out, "xoxa-2-"+Chars(r, 9, digits), "xoxr-4"+Chars(r, 10, lower)+"7")
	},
	"mailchimp_api_key": func(r *rand.Rand) []string { return []string{Chars(r, 32, hex) + "-us" + Chars(r, 2, digits)} },
	"okta_api_token":    func(r *rand.Rand) []string { return []string{"00aB1c2D" + Chars(r, 34, alnum)} },
	"authress_access_key": func(r *rand.Rand) []string {
		return []string{"sc_" + Chars(r, 10, lower) + "." + Chars(r, 4, lower) + ".acc_" + Chars(r, 10, lower) + "." + Chars(r, 60, alnum)}
	},
	"mapbox_token": func(r *rand.Rand) []string {
		return []string{"sk." + Chars(r, 60, alnum) + "." + Chars(r, 22, alnum), "pk." + Chars(r, 60, lower+digits) + "." + Chars(r, 22, lower+digits)}
	},
	"dynatrace_token": func(r *rand.Rand) []string {
		return []string{"dt0c01." + Chars(r, 24, upper+digits) + "." + Chars(r, 64, upper+digits)}
	},
	"asana_token": func(r *rand.Rand) []string {
		return []string{"1/" + Chars(r, 16, digits) + ":" + Chars(r, 32, hex), "2/" + Chars(r, 16, digits) + "/" + Chars(r, 16, digits) + ":" + Chars(r, 32, hex)}
	},
	"salesforce_access_token": func(r *rand.Rand) []string { return []string{"00D" + Chars(r, 12, alnum) + "!" + Chars(r, 96, alnum)} },
	"azure_client_secret": func(r *rand.Rand) []string {
		return []string{Chars(r, 3, alnum) + "8Q~" + Chars(r, 34, alnum), Chars(r, 1, alnum) + "_" + Chars(r, 1, alnum) + "7Q~" + Chars(r, 34, alnum)}
	},
	"twitter_bearer_token": func(r *rand.Rand) []string {
		return []string{strings.Repeat("A", 22) + Chars(r, 30, alnum) + "%3D" + Chars(r, 50, alnum)}
	},
	"clickup_token": func(r *rand.Rand) []string {
		return []string{"pk_" + Chars(r, 8, digits) + "_" + Chars(r, 32, upper+digits)}
	},
	"password_hash": func(r *rand.Rand) []string {
		const crypt = alnum + "./"
		return []string{
			"$2b$12$" + Chars(r, 53, crypt), "$2y$10$" + Chars(r, 53, crypt), "bcrypt_sha256$$2b$12$" + Chars(r, 53, crypt),
			"$6$" + Chars(r, 16, crypt) + "$" + Chars(r, 86, crypt), "$5$rounds=5000$" + Chars(r, 16, crypt) + "$" + Chars(r, 43, crypt),
			"$1$" + Chars(r, 8, crypt) + "$" + Chars(r, 22, crypt), "$apr1$" + Chars(r, 8, crypt) + "$" + Chars(r, 22, crypt),
			"$y$j9T$" + Chars(r, 22, crypt) + "$" + Chars(r, 43, crypt),
			"$argon2id$v=19$m=65536,t=3,p=4$" + Chars(r, 22, alnum) + "$" + Chars(r, 43, alnum+"+/"),
			"pbkdf2_sha256$870000$" + Chars(r, 22, alnum) + "$" + Chars(r, 43, alnum+"+/") + "=",
			"$pbkdf2-sha512$25000$" + Chars(r, 22, alnum) + "$" + Chars(r, 86, crypt),
			"scrypt:32768:8:1$" + Chars(r, 16, alnum) + "$" + Chars(r, 128, hex),
			"{SSHA}" + Chars(r, 37, alnum+"+/") + "=", "{SSHA512}" + Chars(r, 98, alnum+"+/") + "==",
			"{CRYPT}$6$" + Chars(r, 16, crypt) + "$" + Chars(r, 86, crypt),
		}
	},
	"slack_webhook": func(r *rand.Rand) []string {
		return []string{"https://hooks.slack.com/services/T" + Chars(r, 9, upper+digits) + "/B" + Chars(r, 9, upper+digits) + "/" + Chars(r, 24, alnum), "https://hooks.slack.com/workflows/T" + Chars(r, 9, upper+digits) + "/A" + Chars(r, 9, upper+digits) + "/" + Chars(r, 18, digits) + "/" + Chars(r, 24, alnum)}
	},
	"discord_webhook": func(r *rand.Rand) []string {
		return []string{"https://discord.com/api/webhooks/" + Chars(r, 18, digits) + "/" + Chars(r, 68, urlBytes[:62])}
	},
	"teams_webhook": func(r *rand.Rand) []string {
		return []string{"https://example.webhook.office.com/webhookb2/" + UUID(r) + "@" + UUID(r) + "/IncomingWebhook/" + Chars(r, 32, hex) + "/" + UUID(r)}
	},
	"zapier_webhook": func(r *rand.Rand) []string {
		return []string{"https://hooks.zapier.com/hooks/catch/" + Chars(r, 7, digits) + "/" + Chars(r, 7, lower+digits)}
	},
	"ifttt_webhook": func(r *rand.Rand) []string {
		return []string{"https://maker.ifttt.com/trigger/alarm/with/key/" + Chars(r, 22, alnum)}
	},
	"one_time_link": func(r *rand.Rand) []string {
		token := "a1b2" + Chars(r, 40, alnum)
		return []string{"/recovery/use-token/" + token + "/", "https://h.example/password-reset/MQ/" + token + "/", "https://h.example/verify-email/" + token, "https://h.example/magic-link/" + token}
	},
}
