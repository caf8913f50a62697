package redact

import (
	"strings"

	"sluice/redactor/redact/name"
)

// longestTextName is how far back a name in text is looked for, in bytes.
const longestTextName = 96

// nameByte marks what a name in text may consist of.
var nameByte = func() (table [256]bool) {
	for c := range table {
		table[c] = wordByte[c] || c >= 0x80
	}
	for _, c := range []byte("_.-$@%[]*") {
		table[c] = true
	}
	return table
}()

// nameStart is where the name begins that ends at end, at least at from.
func nameStart(text []byte, end, from int) int {
	from = max(from, end-longestTextName)
	start := end
	for start > from && nameByte[text[start-1]] {
		start--
	}
	return start
}

// equals reads what stands around the = at text[at].
func (s *scanner) equals(at int) int {
	text, next := s.text, at+1
	if !s.query.open {
		after := byteAt(text, next)
		if after == '=' || after == '~' && byteAt(text, next+1) == ' ' || strings.IndexByte("!=<", byteAt(text, at-1)) >= 0 {
			s.nameFrom = next
			return next
		}
		if next < len(text) && text[next] == '>' {
			next++
		}
	}
	to := s.named(s.nameBefore(at, s.nameFrom), next)
	s.nameFrom = max(to, next)
	return to
}

// colon reads what stands around the : at text[at].
func (s *scanner) colon(at int) int {
	text, next := s.text, at+1
	if next+1 < len(text) && text[next] == '/' && text[next+1] == '/' {
		return s.userinfo(at)
	}
	if s.query.open && s.form {
		return next
	}
	from := s.nameFrom
	if next < len(text) && text[next] == ':' {
		return next + 1
	}
	span := s.nameBefore(at, from)
	if span.start == span.end || kinds[text[span.start]] == kindDigit {
		return next
	}
	if next < len(text) && text[next] == '=' { // :=
		next++
	}
	to := s.named(span, next)
	if to > next {
		s.nameFrom = to
	}
	return to
}

// nameSpan is where a name stands in the text.
type nameSpan struct {
	start, end int
	// quote is the quote right before the name, 0 if there is none.
	quote byte
	// spaced tells that a space stands between the name and the sign.
	spaced bool
}

// nameBefore finds the name before the sign at text[at], which may be in quotes
// and brackets: "password": , env["PASSWORD"] = , password =.
func (s *scanner) nameBefore(at, from int) nameSpan {
	text, end := s.text, at
	if !s.form {
		for end > from && end > at-maxSpaces && strings.IndexByte(".?:+|", text[end-1]) >= 0 {
			end-- // of an operator: .= ?= ::= +=
		}
		for end > from && end > at-maxSpaces && text[end-1] == ' ' {
			end--
		}
	}
	n := nameSpan{spaced: end < at}
	closed := end
	for closed > from && closed > end-maxSpaces && strings.IndexByte("\"'`]\\)", text[closed-1]) >= 0 {
		closed--
	}
	n.end = closed
	n.start = nameStart(text, closed, from)
	if n.start > 0 && kinds[text[n.start-1]] == kindQuote {
		n.quote = text[n.start-1]
	}
	return n
}

const maxSpaces = 4

// named reads the value that begins at or behind text[from] if its name means
// anything, and returns where to go on.
func (s *scanner) named(n nameSpan, from int) int {
	if n.start == n.end {
		return from
	}
	decided := s.w.decideEncoded(s.text[n.start:n.end])
	if !s.query.open && decided.class&name.Secret == 0 && n.quote == 0 {
		decided = s.phrase(n, decided)
	}
	class := decided.class
	if s.query.open {
		return s.parameter(n, decided, from)
	}
	switch {
	case class&name.Authorization != 0:
		return s.authorization(n, from)
	case class&(name.Cookie|name.SetCookie) != 0:
		return s.cookies(n, from, class&name.SetCookie != 0)
	case class&(name.Secret|name.Perhaps|name.InQuery) != 0:
		return s.assigned(n, decided, from)
	}
	return from
}

// phrase decides about a name of two or three words with spaces between, as
// people write them: "API key: …".
func (s *scanner) phrase(n nameSpan, last decision) decision {
	start := n.start
	for range 2 {
		if start < 2 || s.text[start-1] != ' ' || !wordByte[s.text[start-2]] || start-1 <= s.nameFrom {
			break
		}
		start = nameStart(s.text, start-1, s.nameFrom)
		if d := s.w.decide(s.text[start:n.end]); d.class&name.Secret != 0 {
			return d
		}
		if n.end-start > longestName {
			break
		}
	}
	return last
}

// assigned masks the value that begins at or behind text[from], if it is one.
func (s *scanner) assigned(n nameSpan, decided decision, from int) int {
	text, class := s.text, decided.class
	if s.enclosed(class, decided.by, from) {
		return s.nameFrom
	}
	start, end, quoted := s.value(from, true)
	if start >= end {
		return from
	}
	value := text[start:end]
	if !hidden(value) {
		return end
	}
	switch {
	case class&name.Secret == 0:
		if !likely(value, class) {
			return from
		}
	case !quoted && decided.by < ruleFormats:
		if rest := text[end:]; len(rest) > 3 && string(rest[:3]) == " = " && !n.spaced {
			n.spaced = true // password: str = …, with the type between
			return s.assigned(n, decided, end+3)
		}
		if wordy(value) || isScheme(value) && end < len(text) && text[end] == ' ' {
			return from
		}
		if n.spaced && code(value) || callsItself(text, n, value, end) {
			return from
		}
	}
	by := ruleAssignment
	if decided.by != ruleKey {
		by = decided.by
	}
	s.w.edit(&s.l, start, end, by, class&name.Guessable != 0)
	return end
}

// enclosed masks what stands in the brackets behind the name of a secret:
// 'password': {…}. It sets nameFrom behind them.
func (s *scanner) enclosed(class name.Class, by rule, from int) bool {
	text := s.text
	at := skipSpaces(text, from)
	if class&name.Secret == 0 || at >= len(text) || text[at] != '{' && text[at] != '[' {
		return false
	}
	end := bracketEnd(text, at)
	if end == 0 {
		s.nameFrom = len(text) // cut off: all of it
		if hidden(text[at+1:]) {
			s.w.edit(&s.l, at+1, len(text), by, true)
		}
		return true
	}
	inner := text[at+1 : end-1]
	s.nameFrom = end
	if len(inner) > 0 && hidden(inner) && !bracketedWord(text[at:end]) && !sentence(inner) {
		if by == ruleKey {
			by = ruleContainer
		}
		s.w.edit(&s.l, at+1, end-1, by, true)
	}
	return true
}

func skipSpaces(text []byte, from int) int {
	for from < len(text) && (text[from] == ' ' || text[from] == '\t') {
		from++
	}
	return from
}

// byteAt is the byte at an offset, a space where there is none.
func byteAt(text []byte, i int) byte {
	if i < 0 || i >= len(text) {
		return ' '
	}
	return text[i]
}
