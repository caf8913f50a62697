package name

import "strings"

// wholes is what names mean as a whole.
var wholes = func() map[string]Class {
	table := map[string]Class{}
	add := func(class Class, list string) {
		for phrase := range strings.SplitSeq(list, ",") {
			table[strings.Join(strings.Fields(phrase), " ")] |= class
		}
	}
	add(Secret|Authorization|Header, "authorization, proxy authorization, x authorization, http authorization, x forwarded authorization, x original authorization, www authorization")
	add(Secret|Cookie|Header, "cookie, http cookie, cookie header")
	add(Secret|SetCookie|Header, "set cookie, set cookie 2, http set cookie")
	add(Secret|Header, `x api key, api key, apikey, x auth token, x access token, x amz security token, private
	token, job token, deploy token, x csrf token, x xsrf token, x vault token,
		x gitlab token, x github token, x shopify access token, x functions key, ocp apim subscription key, x
		goog api key, x session token, x refresh token, x token, x secret, x client secret,
		x hub signature, x hub signature 256, x signature, x slack signature, x auth key, x subject token,
		circle token, dd api key, x honeycomb team, x plex token, x nuget api key, x jenkins crumb, jenkins crumb, x amzn oidc data`)
	add(InQuery, `saml response, samlresponse, saml request, samlrequest, saml art, samlart, sam lart, saml ds,
	assertion, client assertion, sid, ticket, relay state, relaystate, code verifier, sig,
		id token hint, login token, login hint token, logout token, request object, jwt bearer, otc, x amz
		credential, st, tgt, oauth verifier`)
	add(OAuth, "code, state, nonce")
	add(OAuthSign, `client id, redirect uri, response type, grant type, code verifier, code challenge, code
	challenge method, session state, response mode, id token hint, id token, access token,
		refresh token, device code, client secret, client assertion, client assertion type, acr values, login
		hint, authuser, hd`)
	add(PairName, "name, key, header, header name, field, field name, param, param name, parameter, parameter name, k, n, option, variable, var, env, property, attribute, attr, setting, label, cookie name, argument, keyword, id, type")
	add(PairValue, `value, val, v, values, content, data, header value, field value, param value, old value,
	new value, previous value, current value,
	default value, string value, default, raw value, text value, old, new, previous, before, after, old val, new val, was, now`)
	add(PairWhole, "value, values, val, v, header value, header values")
	add(Identifies, "pk, app, name, model name")
	add(QueryString, "query, query string, querystring, qs, args, form, form data, formdata, post data, postdata, params, request body, raw query, search")
	add(Request, "http request")
	add(Args, "args")
	return table
}()

// stems are words that mean a secret inside a longer one too: newpassword,
// accesstoken. Each is followed by what it is.
var stems = []struct {
	text  string
	class Class
}{
	{"password", Secret | Guessable},
	{"passwd", Secret | Guessable},
	{"passphrase", Secret | Guessable},
	{"passcode", Secret | Guessable},
	{"passwort", Secret | Guessable},
	{"kennwort", Secret | Guessable},
	{"contrasena", Secret | Guessable},
	{"wachtwoord", Secret | Guessable},
	{"secret", Secret},
	{"token", Secret},
	{"credential", Secret | Guessable},
	{"apikey", Secret},
	{"privatekey", Secret},
	{"secretkey", Secret},
	{"accesskey", Secret},
	{"sessionid", Secret},
	{"sessionkey", Secret},
	{"authkey", Secret},
	{"encryptionkey", Secret},
	{"signingkey", Secret},
	{"sharedkey", Secret},
	{"accountkey", Secret},
	{"masterkey", Secret},
	{"licensekey", Secret},
	{"recoverycode", Secret | Guessable},
	{"verificationcode", Secret | Guessable},
	{"authorizationheader", Secret},
	{"setcookie", Secret},
	{"sessioncookie", Secret},
}

// others are words that have a stem in them and mean something else.
var others = set(`secretary secretaries secretariat secretarial secrete secreted secretes secreting secretion
secretions secretive secretly secretory
tokenize tokenizes tokenized tokenizer tokenizers tokenizing tokenization tokenise tokenised tokeniser
tokenising tokenisation tokenomics tokenism passwordless tokenless credentialing credentialed
publictoken jsonwebtoken secretmanager secretsmanager authkeyid apikeyid`)

// glued judges a word that is not in the lexicon: words written without anything
// between them.
func glued(word []byte) entry {
	const shortest = len("xpass")
	if len(word) < shortest || others[string(word)] {
		return entry{}
	}
	for _, short := range []string{"pass", "pwd", "pw", "psw"} {
		if n := len(word) - len(short); n > 1 && string(word[n:]) == short && owners[string(word[:n])] {
			return entry{class: Secret | Guessable}
		}
	}
	if len(word) < len("token") {
		return entry{}
	}
	for _, s := range stems {
		at := lastIndex(word, s.text)
		if at < 0 {
			continue
		}
		rest := word[at+len(s.text):]
		if len(rest) > 1 && rest[0] == 's' && lexicon[string(rest)].class == 0 {
			rest = rest[1:]
		}
		return entry{class: s.class, cancelled: lexicon[string(rest)].neutral}
	}
	return entry{}
}

// owners are words that "pass" and "pwd" are glued to: dbpass, newpwd. They are
// told one by one, since compass and bypass are written so too.
var owners = set(`user users usr db database new old my root admin adm smtp imap pop mail email ssh ftp sftp
login auth key store http https ldap sql mysql pg postgres
postgresql mongo redis rabbit amqp mqtt wifi wlan web app repeat retype confirm current cur temp tmp default
master vault bind client server system sys proxy enc encrypted hash hashed
plain clear account acct service svc backup test oracle sa mssql ora cert pfx pkcs jks keystore truststore git
npm docker registry sudo su vnc rdp ssl tls again verify orig host guest sftp`)

// lastIndex is bytes.LastIndex for a string.
func lastIndex(word []byte, text string) int {
	for i := len(word) - len(text); i >= 0; i-- {
		if string(word[i:i+len(text)]) == text {
			return i
		}
	}
	return -1
}
