package redact

import "unicode/utf8"

// class says what the name of a member, or of a query parameter, tells about its
// value.
type class uint16

const (
	// listed is a name on authentik's list: it has one of listedWords in it.
	listed class = 1 << iota
	// added is a name that authentik's list has not, and should.
	added
	// outright is a name that means a secret whatever stands under it. The
	// others of the list (API, AUTH, KEY) are in so many names of objects
	// (authorized_application, api_response) that an object under one is judged
	// by its own members, as authentik does.
	outright
	// isQuery is a name whose string is a query string, or a URL.
	isQuery
	// isURL is a name whose string may be a URL with a query part.
	isURL
	// isHTTPRequest and isArgs are the two names on the way to the arguments of
	// a request in authentik's events.
	isHTTPRequest
	isArgs
	// identifies is a name of a model reference that says which object it is.
	identifies
)

// secret are the classes whose scalars are masked.
const secret = listed | added

// classify judges a name, given with its escapes resolved. It looks at each byte
// of the name a bounded number of times.
func classify(name []byte) class {
	c, ascii := byWords(name)
	if !ascii {
		name = foldLookalikes(name)
		c, _ = byWords(name)
	}
	if c != 0 && exempt(name) {
		c = 0
	}
	return c | byWholeName(name)
}

// byWords looks for authentik's words, anywhere and in any case, as Django's
// regular expression API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|HTTP_COOKIE does,
// and for those that are missing there.
func byWords(name []byte) (c class, ascii bool) {
	ascii = true
	for i, first := range name {
		if !beginsWord[first] {
			ascii = ascii && first < utf8.RuneSelf
			continue
		}
		rest := name[i:]
		switch lower(first) {
		case 'a':
			switch {
			case hasWord(rest, "auth"):
				c |= listed
			case hasWord(rest, "api"):
				c |= listed
				if hasWord(rest, "apikey") || hasWord(rest, "api_key") || hasWord(rest, "api-key") {
					c |= outright
				}
			}
		case 'c':
			if hasWord(rest, "cookie") || hasWord(rest, "credential") {
				c |= added | outright
			}
		case 'h':
			if hasWord(rest, "http_cookie") {
				c |= listed | outright
			}
		case 'k':
			if hasWord(rest, "key") {
				c |= listed
			}
		case 'o':
			if wholeWord(name, i, "otp") {
				c |= added | outright
			}
		case 'p':
			c |= atP(name, i)
		case 's':
			if hasWord(rest, "secret") || hasWord(rest, "signature") {
				c |= listed | outright
			}
		case 't':
			switch {
			case hasWord(rest, "token"):
				c |= listed | outright
			case wholeWord(name, i, "totp"):
				c |= added | outright
			}
		}
	}
	return c, ascii
}

// beginsWord marks the letters with which one of the words begins: most letters
// of most names do not, and every name of every event is read.
var beginsWord = func() (table [256]bool) {
	for _, c := range []byte("achkopstACHKOPST") {
		table[c] = true
	}
	return table
}()

// atP judges the words that begin with the p at name[i].
func atP(name []byte, i int) class {
	rest := name[i:]
	switch {
	case hasWord(rest, "pass"):
		if hasWord(rest, "password") || hasWord(rest, "passwd") || hasWord(rest, "passphrase") || wholeWord(name, i, "pass") {
			return listed | outright
		}
		return listed
	case hasWord(rest, "private_key"), hasWord(rest, "private-key"), hasWord(rest, "privatekey"):
		return listed | outright
	case hasWord(rest, "pwd"):
		return added | outright
	}
	return 0
}

// exempt are authentik's exceptions:
// passing|password_change_date|^auth_method(_args)?$|^revoke_tokens$.
func exempt(name []byte) bool {
	for i := range name {
		if name[i]|0x20 == 'p' && (hasWord(name[i:], "passing") || hasWord(name[i:], "password_change_date")) {
			return true
		}
	}
	return equalWord(name, "auth_method") || equalWord(name, "auth_method_args") || equalWord(name, "revoke_tokens")
}

// byWholeName knows the names that say what kind of text stands under them.
func byWholeName(name []byte) class {
	is := func(word string) bool { return equalWord(name, word) }
	switch len(name) {
	case 2:
		if is("pk") {
			return identifies
		}
	case 3:
		switch {
		case is("url"), is("uri"):
			return isURL
		case is("app"):
			return identifies
		}
	case 4:
		switch {
		case is("next"), is("path"), is("href"):
			return isURL
		case is("name"):
			return identifies
		case is("args"):
			return isArgs
		}
	case 5:
		if is("query") {
			return isQuery
		}
	case 10:
		if is("model_name") {
			return identifies
		}
	case 11:
		if is("querystring") {
			return isQuery
		}
	case 12:
		switch {
		case is("query_string"):
			return isQuery
		case is("redirect_uri"):
			return isURL
		case is("http_request"):
			return isHTTPRequest
		}
	}
	return 0
}

// hasWord reports whether s begins with the word, which is in lower case.
func hasWord(s []byte, word string) bool {
	if len(s) < len(word) {
		return false
	}
	for i := range len(word) {
		if lower(s[i]) != word[i] {
			return false
		}
	}
	return true
}

func equalWord(s []byte, word string) bool { return len(s) == len(word) && hasWord(s, word) }

// wholeWord is hasWord at name[i:], with no letter of the same word beside it:
// otp is a word in user_otp and in userOtp, and not in footprint.
func wholeWord(name []byte, i int, word string) bool {
	if !hasWord(name[i:], word) {
		return false
	}
	end := i + len(word)
	begins := i == 0 || !letter(name[i-1]) || !upper(name[i-1]) && upper(name[i])
	ends := end == len(name) || !letter(name[end]) || !upper(name[end-1]) && upper(name[end])
	return begins && ends
}

func upper(c byte) bool { return 'A' <= c && c <= 'Z' }

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func lower(c byte) byte {
	if upper(c) {
		return c | 0x20
	}
	return c
}

// foldLookalikes replaces the two letters beyond ASCII that are the same as an
// ASCII letter when case is ignored, as in authentik's expression: the long s
// and the Kelvin sign.
func foldLookalikes(name []byte) []byte {
	out := make([]byte, 0, len(name))
	for len(name) > 0 {
		r, size := utf8.DecodeRune(name)
		switch r {
		case 'ſ':
			out = append(out, 's')
		case '\u212a': // the Kelvin sign
			out = append(out, 'k')
		default:
			out = append(out, name[:size]...)
		}
		name = name[size:]
	}
	return out
}
