package credential

import "bytes"

const (
	// gitleaks is the rule set of gitleaks, which states prefix, alphabet and
	// length of the formats that carry it as source.
	gitleaks = "https://github.com/gitleaks/gitleaks/tree/v8.30.1/cmd/generate/config/rules"
	rfc7519  = "https://datatracker.ietf.org/doc/html/rfc7519"
)

// structured are formats with more to them than a prefix and an alphabet.
func structured() []Format {
	return []Format{
		{Name: "jwt", Meaning: "a JSON Web Token, signed, encrypted or cut off behind its claims", Source: rfc7519, prefixes: []string{"ey"}, match: matchJWT},
		{Name: "private_key", Meaning: "a private key in PEM, of any kind", Source: "https://datatracker.ietf.org/doc/html/rfc7468", prefixes: []string{"BEGIN"}, match: matchPEM},
		{Name: "putty_private_key", Meaning: "the private part of a PuTTY key file", Source: "https://tartarus.org/~simon/putty-snapshots/htmldoc/AppendixC.html", prefixes: []string{"Private-Lines"}, match: matchPuTTY},
		{Name: "discord_bot_token", Meaning: "a Discord bot's token", Source: "https://discord.com/developers/docs/reference#authentication", prefixes: []string{"M\x02", "N\x02", "O\x02"}, match: matchDiscord},
		{Name: "telegram_bot_token", Meaning: "a Telegram bot's token", Source: "https://core.telegram.org/bots/api#authorizing-your-bot", prefixes: []string{"\x01\x01", "bot"}, match: matchTelegram},
		{Name: "facebook_app_token", Meaning: "a Facebook app's access token", Source: gitleaks, prefixes: []string{"\x01\x01"}, match: matchFacebookApp},
		{Name: "terraform_cloud_token", Meaning: "a Terraform Cloud API token", Source: gitleaks, prefixes: []string{"atlasv1."}, match: matchTerraform},
		{Name: "maxmind_license_key", Meaning: "a MaxMind license key", Source: gitleaks, prefixes: []string{"mmk"}, match: matchMaxMind},
		{Name: "airtable_token", Meaning: "an Airtable personal access token", Source: gitleaks, prefixes: []string{"pat"}, match: dots(14, 64)},
		{Name: "harness_api_key", Meaning: "a Harness personal or service access token", Source: gitleaks, prefixes: []string{"pat.", "sat."}, match: dots(22, 24, 20)},
		{Name: "sendgrid_api_key", Meaning: "a SendGrid API key", Source: "https://docs.sendgrid.com/ui/account-and-settings/api-keys", prefixes: []string{"SG."}, alphabet: dottedAny, min: 60, mixed: true},
		{Name: "mapbox_token", Meaning: "a Mapbox access token", Source: "https://docs.mapbox.com/help/getting-started/access-tokens/", prefixes: []string{"sk.", "pk.", "tk."}, match: dots(56, 20)},
		{Name: "dynatrace_token", Meaning: "a Dynatrace API token", Source: "https://docs.dynatrace.com/docs/dynatrace-api/basics/dynatrace-api-authentication", prefixes: []string{"dt0"}, match: matchDynatrace},
		{Name: "grafana_service_account_token", Meaning: "a Grafana service account token", Source: gitleaks, prefixes: []string{"glsa_"}, alphabet: word, min: 40},
		{Name: "asana_token", Meaning: "an Asana personal access token", Source: gitleaks, prefixes: []string{"0/", "1/", "2/"}, match: matchAsana},
		{Name: "salesforce_access_token", Meaning: "a Salesforce session id or access token", Source: gitleaks, prefixes: []string{"00D"}, match: matchSalesforce},
		{Name: "mailchimp_api_key", Meaning: "a Mailchimp API key, with its data centre", Source: "https://mailchimp.com/developer/marketing/docs/fundamentals/", match: matchMailchimp},
		{Name: "okta_api_token", Meaning: "an Okta API token", Source: gitleaks, prefixes: []string{"00"}, match: matchOkta},
		{Name: "authress_access_key", Meaning: "an Authress access key", Source: gitleaks, prefixes: []string{"sc_"}, match: matchAuthress},
		{Name: "azure_client_secret", Meaning: "an Azure AD client secret", Source: gitleaks, match: matchAzure},
		{Name: "twitter_bearer_token", Meaning: "a Twitter bearer token", Source: gitleaks, prefixes: []string{"AAAAAAAAAAAAAAAAAAAA"}, match: matchTwitter},
		{Name: "clickup_token", Meaning: "a ClickUp personal token", Source: "https://developer.clickup.com/docs/authentication", prefixes: []string{"pk_"}, match: matchClickUp},
		{Name: "cloudflare_origin_ca_key", Meaning: "a Cloudflare origin CA key", Source: gitleaks, prefixes: []string{"v1.0-"}, alphabet: uuidLike, min: 150},
		{Name: "google_refresh_token", Meaning: "a Google OAuth refresh token", Source: "https://developers.google.com/identity/protocols/oauth2", prefixes: []string{"1//0"}, alphabet: base64URL, min: 30, mixed: true},
	}
}

// run is the offset behind the bytes of the alphabet that begin at i, and at most
// n of them if n > 0.
func run(text []byte, i int, a *alphabet, n int) int {
	start := i
	for i < len(text) && a[text[i]] && (n == 0 || i-start < n) {
		i++
	}
	return i
}

// matchJWT finds the segments of a token whose header is a JSON object, with an
// algorithm or a type in it or with claims behind it. Behind a byte of its own alphabet there is none: so
// each run is read once.
func matchJWT(text []byte, i int) (start, end int, ok bool) {
	if i > 0 && (base64URL[text[i-1]] || text[i-1] == '.') && !escapeBefore(text, i) {
		return 0, 0, false
	}
	header := run(text, i, base64URL, 0)
	if header-i < 16 || header+1 >= len(text) || text[header] != '.' {
		return 0, 0, false
	}
	claims := bytes.HasPrefix(text[header+1:], []byte("ey")) // an object too
	if !jwtHeader(text[i:header], claims) {
		return 0, 0, false
	}
	end = run(text, header+1, base64URL, 0)
	if end == header+1 && (end >= len(text) || text[end] != '.') {
		return 0, 0, false
	}
	for range 3 { // the signature, or the further segments of an encrypted one
		if end >= len(text) || text[end] != '.' {
			break
		}
		next := run(text, end+1, base64URL, 0)
		if next == end+1 && (next >= len(text) || text[next] != '.') {
			break
		}
		end = next
	}
	return i, end, true
}

// escapeBefore reports whether the letter before text[i] is that of an escape, as
// in \n.
func escapeBefore(text []byte, i int) bool {
	return i >= 2 && text[i-2] == '\\' && (text[i-1] == 'n' || text[i-1] == 't' || text[i-1] == 'r')
}

// jwtHeader reports whether base64url begins with a JSON object that names an
// algorithm or a type among its first members. Before claims any object is one.
func jwtHeader(segment []byte, claims bool) bool {
	var plain [192]byte
	n, bits, have := 0, uint32(0), 0
	for _, c := range segment {
		var v byte
		switch {
		case 'A' <= c && c <= 'Z':
			v = c - 'A'
		case 'a' <= c && c <= 'z':
			v = c - 'a' + 26
		case '0' <= c && c <= '9':
			v = c - '0' + 52
		case c == '-':
			v = 62
		default:
			v = 63
		}
		bits, have = bits<<6|uint32(v), have+6
		if have >= 8 {
			have -= 8
			if n == len(plain) {
				break
			}
			plain[n] = byte(bits >> have)
			n++
		}
	}
	text := plain[:n]
	if n < 8 || text[0] != '{' {
		return false
	}
	if claims {
		return bytes.IndexByte(text, '"') > 0
	}
	for _, name := range []string{`"alg"`, `"typ"`, `"enc"`, `"kid"`, `"jku"`, `"x5t"`, `"cty"`} {
		if bytes.Contains(text, []byte(name)) {
			return true
		}
	}
	return false
}

// matchPEM finds a private key from its BEGIN line to its END line, or to the end
// of a text that was cut off.
func matchPEM(text []byte, i int) (start, end int, ok bool) {
	const dashes = "-----"
	if i < len(dashes) || string(text[i-len(dashes):i]) != dashes {
		return 0, 0, false
	}
	line := text[i:min(len(text), i+80)]
	label := bytes.Index(line, []byte(dashes))
	if label < 0 {
		return 0, 0, false
	}
	if kind := line[:label]; !bytes.Contains(kind, []byte("PRIVATE KEY")) && !bytes.Contains(kind, []byte("OpenVPN Static key")) {
		return 0, 0, false
	}
	start = i - len(dashes)
	rest := i + label + len(dashes)
	body := text[rest:min(len(text), rest+4*judged)]
	if star := bytes.IndexByte(body, '*'); star >= 0 && !bytes.Contains(body[:star], []byte(dashes)) {
		return 0, 0, false // masked already
	}
	end = len(text)
	if at := bytes.Index(text[rest:], []byte(dashes+"END ")); at >= 0 {
		end = rest + at + len(dashes+"END ")
		if at := bytes.Index(text[end:min(len(text), end+80)], []byte(dashes)); at >= 0 {
			end += at + len(dashes)
		}
	}
	return start, end, true
}

func matchPuTTY(text []byte, i int) (start, end int, ok bool) {
	const name = "Private-Lines: "
	if !bytes.HasPrefix(text[i:], []byte(name)) {
		return 0, 0, false
	}
	start = run(text, i+len(name), newlines, 0)
	start = run(text, start, digits, 0)
	end = len(text)
	if at := bytes.Index(text[start:], []byte("Private-MAC")); at >= 0 {
		end = start + at
	}
	return start, end, end > start
}

var (
	digits   = newAlphabet("0-9")
	newlines = newAlphabet(" ", "\r", "\n")
)

func matchDiscord(text []byte, i int) (start, end int, ok bool) {
	if i > 0 && base64URL[text[i-1]] {
		return 0, 0, false
	}
	id := run(text, i, base64URL, 29)
	if id-i < 23 || id-i > 28 || id >= len(text) || text[id] != '.' {
		return 0, 0, false
	}
	stamp := run(text, id+1, base64URL, 8)
	if stamp-id-1 < 6 || stamp-id-1 > 7 || stamp >= len(text) || text[stamp] != '.' {
		return 0, 0, false
	}
	end = run(text, stamp+1, base64URL, 0)
	return i, end, end-stamp-1 >= 27
}

func matchTelegram(text []byte, i int) (start, end int, ok bool) {
	if i+16 > len(text) || text[i+4] < '0' || text[i+4] > '9' {
		return 0, 0, false
	}
	start = i
	if text[i] == 'b' {
		if !bytes.HasPrefix(text[i:], []byte("bot")) {
			return 0, 0, false
		}
		start = i + len("bot")
	}
	colon := run(text, start, digits, 17)
	if colon-start < 5 || colon-start > 16 || colon+1 >= len(text) || text[colon] != ':' || text[colon+1] != 'A' {
		return 0, 0, false
	}
	end = run(text, colon+1, base64URL, 0)
	return colon + 1, end, end-colon-1 >= 34 && end-colon-1 <= 36
}

func matchFacebookApp(text []byte, i int) (start, end int, ok bool) {
	if i+16 > len(text) || text[i+7] < '0' || text[i+7] > '9' {
		return 0, 0, false
	}
	bar := run(text, i, digits, 17)
	if bar-i < 15 || bar-i > 16 || bar >= len(text) || text[bar] != '|' {
		return 0, 0, false
	}
	end = run(text, bar+1, base64URL, 0)
	return i, end, end-bar-1 >= 27 && end-bar-1 <= 40
}

// matchSlack asks for digits, since the prefixes begin names as well: xoxa-nyc. Only
// the newer forms have more than letters, digits and dashes.
func matchSlack(text []byte, i int) (start, end int, ok bool) {
	if i+5 >= len(text) || text[i+2] != 'x' || text[i+4] != '-' && text[i+4] != '.' {
		return 0, 0, false
	}
	bytesOf := dotted
	if text[i+3] == 'd' || text[i+3] == 'e' {
		bytesOf = dottedAny
	}
	end = run(text, i+5, bytesOf, judged)
	found := 0
	for _, c := range text[i+5 : end] {
		if digits[c] {
			found++
		}
	}
	if end-i-5 < 10 || found < 2 {
		return 0, 0, false
	}
	return i, run(text, end, bytesOf, 0), true
}

func matchTerraform(text []byte, i int) (start, end int, ok bool) {
	const mark = "atlasv1."
	if !bytes.HasPrefix(text[i:], []byte(mark)) || i < 15 || text[i-1] != '.' || run(text, i-15, alnum, 14) != i-1 {
		return 0, 0, false
	}
	end = run(text, i+len(mark), base64Any, 0)
	return i - 15, end, end-i-len(mark) >= 60
}

func matchMaxMind(text []byte, i int) (start, end int, ok bool) {
	if !bytes.HasPrefix(text[i:], []byte("mmk")) || i < 37 || text[i-1] != '_' || text[i-31] != '_' ||
		run(text, i-30, alnum, 29) != i-1 || run(text, i-37, alnum, 6) != i-31 {
		return 0, 0, false
	}
	return i - 37, i + len("mmk"), true
}

// dots matches two or three letters, maybe a dot, and runs of about these lengths
// with dots between.
func dots(lengths ...int) func([]byte, int) (int, int, bool) {
	return func(text []byte, i int) (start, end int, ok bool) {
		at := i
		switch {
		case text[i+2] == '.': // SG., sk.
			at += 3
		case text[i+1] == 'a' && text[i+2] == 't' && (text[i] == 'p' || text[i] == 's'): // pat, sat
			at += 3
			if at < len(text) && text[at] == '.' {
				at++
			} else if lengths[0] != 14 {
				return 0, 0, false
			}
		default:
			return 0, 0, false
		}
		body := at
		for n, length := range lengths {
			if n > 0 {
				if at >= len(text) || text[at] != '.' {
					return 0, 0, false
				}
				at++
			}
			next := run(text, at, base64URL, 2*length+40)
			if next-at < length || length == 14 && next-at != length {
				return 0, 0, false
			}
			at = next
		}
		return i, at, mixed(text[body:at])
	}
}

func matchDynatrace(text []byte, i int) (start, end int, ok bool) {
	if run(text, i, alnum, 0)-i != 6 || i+7 >= len(text) || text[i+6] != '.' || text[i+3] < 'a' || text[i+3] > 'z' {
		return 0, 0, false
	}
	id := run(text, i+7, alnum, 25)
	if id-i-7 != 24 || id >= len(text) || text[id] != '.' {
		return 0, 0, false
	}
	end = run(text, id+1, alnum, 0)
	return i, end, end-id-1 >= 60
}

func matchAsana(text []byte, i int) (start, end int, ok bool) {
	id := run(text, i+2, digits, 24)
	if id-i-2 < 10 || id >= len(text) || text[id] != ':' && text[id] != '/' {
		return 0, 0, false
	}
	if text[id] == '/' {
		id = run(text, id+1, digits, 24)
		if id >= len(text) || text[id] != ':' {
			return 0, 0, false
		}
	}
	end = run(text, id+1, hexDigits, 0)
	return i, end, end-id-1 >= 32
}

func matchSalesforce(text []byte, i int) (start, end int, ok bool) {
	id := run(text, i, alnum, 19)
	if text[i+2] != 'D' || id-i < 15 || id-i > 18 || id >= len(text) || text[id] != '!' {
		return 0, 0, false
	}
	end = run(text, id+1, dotted, 0)
	return i, end, end-id-1 >= 60
}

// matchAzure knows it by the digit, the Q and the tilde behind its first three
// bytes, which need not be letters: the word that ends there begins at text[i].
func matchAzure(text []byte, i int) (start, end int, ok bool) {
	const begin = len("abc8Q")
	at := run(text, i, alnum, begin)
	start = at - begin
	if at >= len(text) || text[at] != Tilde || start < 0 || text[at-1] != 'Q' || !digits[text[at-2]] {
		return 0, 0, false
	}
	for _, c := range text[start:i] {
		if !tilde[c] {
			return 0, 0, false
		}
	}
	end = run(text, at+1, tilde, 40)
	return start, end, end-at-1 >= 31
}

const mailchimpDigits = 32

func matchMailchimp(text []byte, i int) (start, end int, ok bool) {
	at := i + mailchimpDigits
	if at+4 > len(text) || string(text[at:at+3]) != "-us" || run(text, i, hexDigits, mailchimpDigits) != at {
		return 0, 0, false
	}
	end = run(text, at+3, alnum, 4)
	return i, end, end-at-3 <= 2 && run(text, at+3, digits, 0) == end
}

// matchOkta asks for letters of both cases besides the length: there is no more to
// tell it by.
func matchOkta(text []byte, i int) (start, end int, ok bool) {
	const length = 42
	end = run(text, i, base64URL, length+1)
	if text[i+1] != '0' || end-i != length || i > 0 && base64URL[text[i-1]] {
		return 0, 0, false
	}
	body := text[i:end]
	return i, end, mixed(body) && bytes.ContainsAny(body, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && bytes.ContainsAny(body, "abcdefghijklmnopqrstuvwxyz")
}

func matchAuthress(text []byte, i int) (start, end int, ok bool) {
	if !bytes.HasPrefix(text[i:], []byte("sc_")) {
		return 0, 0, false
	}
	end = run(text, i, dottedAny, 4*judged)
	body := text[i:end]
	if len(body) < 60 || !bytes.Contains(body, []byte(".acc_")) && !bytes.Contains(body, []byte(".acc-")) {
		return 0, 0, false
	}
	return i, run(text, end, dottedAny, 0), true
}

var tilde = newAlphabet("a-z", "A-Z", "0-9", "_", "-", ".", "~")

func matchTwitter(text []byte, i int) (start, end int, ok bool) {
	zeros := run(text, i, newAs, 40)
	if zeros-i < 18 || i > 0 && (text[i-1] == '/' || text[i-1] == '+') {
		return 0, 0, false
	}
	end = run(text, zeros, percentAlnum, 200)
	if end < len(text) && base64Any[text[end]] {
		return 0, 0, false // base64 of zeros and something
	}
	return i, end, end-zeros >= 60 && mixed(text[zeros:end])
}

var (
	newAs        = newAlphabet("A")
	percentAlnum = newAlphabet("a-z", "A-Z", "0-9", "%")
)

func matchClickUp(text []byte, i int) (start, end int, ok bool) {
	if text[i+2] != '_' {
		return 0, 0, false
	}
	id := run(text, i+3, digits, 12)
	if id == i+3 || id >= len(text) || text[id] != '_' {
		return 0, 0, false
	}
	end = run(text, id+1, upperNum, 0)
	return i, end, end-id-1 >= 28
}
