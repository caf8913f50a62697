package redact

import (
	"bytes"

	"sluice/redactor/redact/name"
)

// headerEnd is where the value of a header in text ends: at the end of the line,
// or at the quote in which the whole header stands.
func (s *scanner) headerEnd(from int, quote byte) int {
	text := s.text
	if from >= s.lineStart && from < s.lineEnd && quote == s.lineQuote {
		return s.lineEnd
	}
	i := from
	for ; i < len(text); i++ {
		c := text[i]
		if c == '\n' || c == '\r' || quote != 0 && c == quote {
			break
		}
		if c == '\\' && i+1 < len(text) && (text[i+1] == 'n' || text[i+1] == 'r' || text[i+1] == '"') {
			break
		}
	}
	s.lineStart, s.lineEnd, s.lineQuote = from, i, quote
	return i
}

// headerValue is the span of a header's value, and whether it is in quotes of its
// own: as in {'Authorization': 'Bearer …'}.
func (s *scanner) headerValue(n nameSpan, from int) (start, end int) {
	start = skipPrefix(s.text, skipSpaces(s.text, from))
	if start < len(s.text) && kinds[s.text[start]] == kindQuote {
		return start + 1, quoteEnd(s.text, start)
	}
	return start, s.headerEnd(start, n.quote)
}

// authorization masks the credentials of an Authorization header: what comes
// behind the scheme, or all of it where there is none.
func (s *scanner) authorization(n nameSpan, from int) int {
	start, end := s.headerValue(n, from)
	if start >= end {
		return from
	}
	first, rest := cutWord(s.text, start, end)
	switch {
	case rest == end: // one word
		if value := s.text[start:first]; hidden(value) && !wordy(value) && !isScheme(value) {
			s.w.edit(&s.l, start, first, ruleHeader, false)
		}
		return first
	case !isScheme(s.text[start:first]) && (!identifier(s.text[start:first]) || wordy(s.text[start:first])):
		if value := s.text[start:first]; hidden(value) && !wordy(value) {
			s.w.edit(&s.l, start, first, ruleHeader, false)
		}
		return first
	}
	last, _ := cutWord(s.text, rest, end)
	if bytes.IndexByte(s.text[rest:last], '=') > 0 && bytes.IndexByte(s.text[rest:end], ',') > 0 {
		last = end // the parameters of Digest, AWS4, Hawk …
	}
	last = max(last, min(end, expressionEnd(s.text, rest)))
	if value := s.text[rest:last]; hidden(value) && !wordy(value) {
		s.w.edit(&s.l, rest, last, ruleHeader, isBasic(s.text[start:first]))
	}
	return last
}

// cutWord finds the end of the first word between two offsets, and where the next
// one begins: end if there is none.
func cutWord(text []byte, start, end int) (first, rest int) {
	first = start
	for first < end && text[first] > ' ' {
		first++
	}
	rest = first
	for rest < end && text[rest] <= ' ' {
		rest++
	}
	if first > start+1 && text[first-1] == ',' {
		first--
	}
	return first, rest
}

// cookies masks the values of a Cookie header, or that of the cookie which a
// Set-Cookie header sets.
func (s *scanner) cookies(n nameSpan, from int, set bool) int {
	start, end := s.headerValue(n, from)
	if !startsCookie(s.text[min(skipSpaces(s.text, start), end):end]) {
		return s.assigned(n, decision{class: name.Secret, by: ruleHeader}, from)
	}
	found := false
	for at := start; at < end; {
		stop := end
		if i := bytes.IndexByte(s.text[at:end], ';'); i >= 0 {
			stop = at + i
		}
		valueEnd, ok := s.cookie(skipSpaces(s.text, at), stop, set && stop < end)
		switch {
		case !ok && !found:
			return s.assigned(n, decision{class: name.Secret, by: ruleHeader}, from)
		case ok && (set || valueEnd < stop):
			return valueEnd
		}
		found, at = true, stop+1
	}
	return max(end, from)
}

// cookie masks the value of name=value between two offsets, and returns where that
// ends; ok is whether there is one. Attributes may follow it, else what stands
// behind a space is text and no cookie.
func (s *scanner) cookie(at, stop int, attributes bool) (valueEnd int, ok bool) {
	text := s.text
	if at >= stop {
		return stop, false
	}
	if !startsCookie(text[at:stop]) {
		return stop, false
	}
	start := at + bytes.IndexByte(text[at:stop], '=') + 1
	if i := bytes.IndexByte(text[start:stop], ' '); i >= 0 && !attributes {
		stop = start + i
	}
	if hidden(bytes.Trim(text[start:stop], `"`)) {
		s.w.edit(&s.l, start, stop, ruleHeader, false)
	}
	return stop, true
}

// startsCookie reports whether a text begins with the name of a cookie and its =.
func startsCookie(text []byte) bool {
	text = text[:min(len(text), longestName)]
	equals := bytes.IndexByte(text, '=')
	return equals >= 0 && !bytes.ContainsAny(text[:equals], " &?,;")
}

// The authentication schemes (RFC 9110 and the IANA registry, and what AWS, Azure,
// GitHub and others use besides), in lower case.
var schemes = map[string]bool{
	"bearer": true, "basic": true, "digest": true, "negotiate": true, "ntlm": true, "token": true, "apikey": true, "api-key": true,
	"hawk": true, "dpop": true, "oauth": true, "hoba": true, "mutual": true, "vapid": true, "gnap": true, "sharedkey": true,
	"sharedkeylite": true, "sharedaccesssignature": true, "aws4-hmac-sha256": true, "aws": true, "signature": true, "googlelogin": true,
	"privatekey": true, "jwt": true, "splunk": true, "genie": true, "genienkey": true, "geniekey": true, "ssws": true, "bot": true, "macaroon": true,
	"scram-sha-256": true, "scram-sha-1": true, "client-id": true, "key": true, "deepl-auth-key": true, "discogs": true, "mac": true,
}

// schemeInitial marks the letters with which the schemes begin that are looked for
// outside of headers.
var schemeInitial = func() (table [256]bool) {
	for _, c := range []byte("bBdDnNtTaAsS") {
		table[c] = true
	}
	return table
}()

func isScheme(word []byte) bool {
	var lowered [24]byte
	if len(word) > len(lowered) {
		return false
	}
	for i, c := range word {
		lowered[i] = lower(c)
	}
	return schemes[string(lowered[:len(word)])]
}

func isBasic(word []byte) bool { return bytes.EqualFold(word, []byte("basic")) }

// scheme reads the word text[start:end], which may be an authentication scheme,
// with credentials behind it.
func (s *scanner) scheme(start, end int) int {
	text := s.text
	var least int
	switch word := text[start:end]; {
	case foldIs(word, "bearer"):
		least = 6
	case foldIs(word, "basic"):
		least = 4
	case foldIs(word, "negotiate"), foldIs(word, "ntlm"), foldIs(word, "token"), foldIs(word, "apikey"), foldIs(word, "sharedkey"), foldIs(word, "dpop"), foldIs(word, "ssws"):
		least = 20
	case foldIs(word, "digest"):
		if to := s.headerEnd(end, 0); bytes.HasPrefix(text[end:], []byte(" username=")) {
			s.w.edit(&s.l, end+1, to, ruleScheme, true)
			return to
		}
		return end
	default:
		return end
	}
	from := skipSpaces(text, end)
	to := from
	for to < len(text) && credentialByte[text[to]] {
		to++
	}
	for to > from && (text[to-1] == '.' || text[to-1] == ',' || text[to-1] == ':') {
		to--
	}
	value := text[from:to]
	basic := isBasic(text[start:end])
	switch {
	case len(value) < least || !hidden(value) || wordy(value):
		return end
	case value[len(value)-1] == '=' && kinds[byteAt(text, to)] == kindQuote:
		return end // of WWW-Authenticate: Bearer realm="…"
	case basic && !s.basic(value):
		return end
	case least == 20 && !tokenLike(value):
		return end
	}
	s.w.edit(&s.l, from, to, ruleScheme, basic)
	return to
}

// basic reports whether the value is base64 of a user and a password.
func (s *scanner) basic(value []byte) bool {
	buf := &s.w.base64[s.depth]
	*buf = appendBase64((*buf)[:0], value)
	return bytes.IndexByte(*buf, ':') >= 0 && 4*len(*buf) >= 3*len(bytes.TrimRight(value, "="))-4
}

// credentialByte marks what credentials behind a scheme consist of (token68 of RFC
// 9110, and what is used besides).
var credentialByte = func() (table [256]bool) {
	for c := range table {
		table[c] = wordByte[c]
	}
	for _, c := range []byte("-._~+/=:|!$*%") {
		table[c] = true
	}
	return table
}()

// foldIs reports whether the word is want, which is in lower case.
func foldIs(word []byte, want string) bool {
	if len(word) != len(want) {
		return false
	}
	for i := range word {
		if lower(word[i]) != want[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
