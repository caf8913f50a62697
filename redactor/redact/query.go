package redact

import (
	"bytes"

	"sluice/redactor/redact/name"
)

// query is what a scanner knows of the parameters in the word that it reads, a URL
// or a form.
type query struct {
	// open tells that the word has come to its parameters.
	open bool
	// signs counts what shows that they are those of an OAuth exchange: parameters
	// that nothing else has count as two.
	signs int
	// pending are the spans of code, state and nonce, which are secrets if it is.
	pending  [4]nameSpan
	waiting  int
	begun    int // where in the text the first parameter was
	hasBegun bool
}

// span is a part of the text.
type span struct{ start, end int }

func (p span) holds(at int) bool { return p.start <= at && at < p.end }

// begin sets it up for the next word.
func (q *query) begin(open bool) {
	q.open, q.hasBegun, q.signs, q.waiting = open, false, 0, 0
}

// parameter masks the value of a URL's or a form's parameter.
func (s *scanner) parameter(n nameSpan, decided decision, from int) int {
	text, class := s.text, decided.class
	if !s.query.hasBegun {
		s.query.hasBegun, s.query.begun = true, n.start
	}
	if class&(name.Secret|name.Perhaps|name.InQuery|name.OAuth|name.OAuthSign) == 0 {
		return from
	}
	if class&name.OAuthSign != 0 {
		s.query.signs += 2
	}
	end := s.parameterEnd(from)
	value := text[from:end]
	for range maxPadding {
		value = bytes.TrimSuffix(value, []byte("=")) // padding alone is no value
	}
	if !hidden(value) {
		return end
	}
	switch {
	case class&name.Secret != 0:
	case class&name.InQuery != 0:
		if harmlessParameter(value) {
			return from
		}
	case class&name.OAuth != 0:
		s.pend(from, end)
		return from
	case class&name.Perhaps != 0:
		if !likelyParameter(value) && !guessed(value, class) {
			return from
		}
	default:
		return from
	}
	by := ruleQuery
	if decided.by != ruleKey {
		by = decided.by
	}
	s.w.edit(&s.l, from, end, by, class&name.Guessable != 0)
	return end
}

// guessed reports whether the value of a parameter whose name may mean a password or
// something else, such as pwd, is taken for one: it is no word of those that are
// none, and no path.
func guessed(value []byte, class name.Class) bool {
	return class&name.Guessable != 0 && likely(value, class)
}

// parameterEnd is where the value of the parameter ends that begins at from.
func (s *scanner) parameterEnd(from int) int {
	if !s.form {
		_, end := s.plainValue(from, true)
		return end
	}
	if s.whole.holds(from) {
		return s.whole.end
	}
	end := from
	for end < len(s.text) && s.text[end] != '&' && (s.text[end] != '#' || !s.urlForm) {
		end++
	}
	s.whole = span{from, end}
	return end
}

// maxPadding is more than what base64 is padded with.
const maxPadding = 4

// pend keeps a span until it is known whether the exchange is OAuth's.
func (s *scanner) pend(start, end int) {
	s.query.signs++
	if s.query.waiting < len(s.query.pending) {
		s.query.pending[s.query.waiting] = nameSpan{start: start, end: end}
		s.query.waiting++
	}
}

// endQuery ends the word whose parameters were read.
func (s *scanner) endQuery() {
	q := &s.query
	if q.waiting > 0 {
		known := q.signs >= 2 || oauthPath(s.text[max(0, q.begun-longestPath):q.begun])
		for _, p := range q.pending[:q.waiting] {
			if value := s.text[p.start:p.end]; known && !wordy(value) && len(value) >= 4 || tokenLike(value) {
				s.w.edit(&s.l, p.start, p.end, ruleOAuth, false)
			}
		}
	}
	if q.hasBegun || q.open {
		q.begin(s.form)
	}
}

// longestPath is how far before the parameters is looked for the name of the path.
const longestPath = 96

// oauthPath reports whether the path before the parameters is one to which the
// answers of an OAuth exchange go.
func oauthPath(path []byte) bool {
	for _, part := range []string{"callback", "oauth", "oidc", "openid", "authorize", "/sso", "saml", "/auth"} {
		if bytes.Contains(path, []byte(part)) {
			return true
		}
	}
	return false
}
