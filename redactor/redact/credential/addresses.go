package credential

import "bytes"

// addresses are URLs of which a part is a secret, and paths with a token in them.
func addresses() []Format {
	const authentik = "https://docs.goauthentik.io/docs/users-sources/user/user_basic_operations#recovery"
	return []Format{
		{Name: "slack_webhook", Meaning: "the address of a Slack webhook or workflow", Source: "https://api.slack.com/messaging/webhooks", prefixes: []string{"hooks.slack.com/"}, match: address("hooks.slack.com/", 1, 20)},
		{Name: "discord_webhook", Meaning: "the address of a Discord webhook", Source: "https://discord.com/developers/docs/resources/webhook", prefixes: []string{"discord.com/api/", "discordapp.com/api/"}, match: discordWebhook},
		{Name: "teams_webhook", Meaning: "the address of a Microsoft Teams webhook", Source: "https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook", prefixes: []string{"webhook.office.com/webhookb2/"}, match: address("webhook.office.com/webhookb2/", 0, 40)},
		{Name: "zapier_webhook", Meaning: "the address of a Zapier hook", Source: "https://help.zapier.com/hc/en-us/articles/8496288690317", prefixes: []string{"hooks.zapier.com/hooks/catch/"}, match: address("hooks.zapier.com/hooks/catch/", 0, 8)},
		{Name: "ifttt_webhook", Meaning: "the key in the address of an IFTTT hook", Source: "https://ifttt.com/maker_webhooks", prefixes: []string{"maker.ifttt.com/"}, match: afterWith},
		{Name: "one_time_link", Meaning: "the token in the path of a link that lets its owner in once: recovery, password reset, invitation, magic links", Source: authentik, prefixes: []string{
			"use-token/", "use_token/", "password-reset/", "password_reset/", "reset-password/", "reset_password/", "reset/", "passwordreset/", "verify-email/", "verify_email/",
			"email-verification/", "confirm-email/", "magic-link/", "magic_link/", "magic/", "activate/", "activation/", "invite/", "invitation/", "invitations/", "accept-invite/",
			"recover/", "recovery/", "unsubscribe/", "one-time/", "onetime/", "login-link/", "sso-token/", "set-password/", "confirm/", "verify/", "unlock/",
		}, match: oneTimeLink},
	}
}

// address matches a host and its path, and masks the path behind the given number
// of segments, at least so many bytes.
func address(prefix string, skip, least int) func([]byte, int) (int, int, bool) {
	return func(text []byte, i int) (start, end int, ok bool) {
		if !bytes.HasPrefix(text[i:], []byte(prefix)) {
			return 0, 0, false
		}
		start = i + len(prefix)
		for range skip {
			slash := bytes.IndexByte(text[start:min(len(text), start+32)], '/')
			if slash < 0 {
				return 0, 0, false
			}
			start += slash + 1
		}
		end = run(text, start, pathBytes, 512)
		for end > start && (text[end-1] == '/' || text[end-1] == '.') {
			end--
		}
		return start, end, end-start >= least
	}
}

var pathBytes = newAlphabet("a-z", "A-Z", "0-9", "_", "-", "/", "@", ".", "~", "%")

func discordWebhook(text []byte, i int) (start, end int, ok bool) {
	hooks := bytes.Index(text[i:min(len(text), i+48)], []byte("/webhooks/"))
	if hooks < 0 || !bytes.HasPrefix(text[i:], []byte("discord")) {
		return 0, 0, false
	}
	id := run(text, i+hooks+len("/webhooks/"), digits, 24)
	if id >= len(text) || text[id] != '/' {
		return 0, 0, false
	}
	end = run(text, id+1, base64URL, 0)
	return id + 1, end, end-id-1 >= 40
}

func afterWith(text []byte, i int) (start, end int, ok bool) {
	const with = "/with/key/"
	at := bytes.Index(text[i:min(len(text), i+160)], []byte(with))
	if at < 0 || !bytes.HasPrefix(text[i:], []byte("maker.ifttt.com/")) {
		return 0, 0, false
	}
	start = i + at + len(with)
	end = run(text, start, base64URL, 0)
	return start, end, end-start >= 16
}

// linkWords are the segments behind which a token comes, told by its shape; behind
// use-token anything is one.
func oneTimeLink(text []byte, i int) (start, end int, ok bool) {
	if i > 0 && text[i-1] != '/' {
		return 0, 0, false
	}
	slash := bytes.IndexByte(text[i:min(len(text), i+24)], '/')
	if slash < 0 {
		return 0, 0, false
	}
	segment := text[i : i+slash]
	start = i + slash + 1
	if string(segment) == "use-token" || string(segment) == "use_token" {
		end = run(text, start, linkToken, 256)
		return start, end, end-start >= 4
	}
	if !linkWords[string(segment)] {
		return 0, 0, false
	}
	// The token may come behind another segment or two: a user's id, "confirm".
	for range 3 {
		end = run(text, start, linkToken, 256)
		if end-start >= 16 && mixed(text[start:end]) && !uuid(text[start:end]) {
			return start, end, true
		}
		if end >= len(text) || text[end] != '/' {
			break
		}
		start = end + 1
	}
	return 0, 0, false
}

var linkToken = newAlphabet("a-z", "A-Z", "0-9", "_", "-", ":", "=", ".", "~", "%")

var linkWords = func() map[string]bool {
	words := map[string]bool{}
	for _, w := range []string{
		"password-reset", "password_reset", "reset-password", "reset_password", "reset", "passwordreset", "verify-email", "verify_email", "email-verification", "confirm-email",
		"magic-link", "magic_link", "magic", "activate", "activation", "invite", "invitation", "invitations", "accept-invite", "recover", "recovery", "unsubscribe", "one-time",
		"onetime", "login-link", "sso-token", "set-password", "confirm", "verify", "unlock",
	} {
		words[w] = true
	}
	return words
}()

func uuid(s []byte) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range s {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') || !dash && !hexDigits[c] {
			return false
		}
	}
	return true
}
