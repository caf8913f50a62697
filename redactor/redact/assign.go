package redact

import (
	"bytes"
	"strings"

	"sluice/redactor/redact/name"
)

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

// wide is how the full-width signs begin in UTF-8, as they are written between
// Chinese and Japanese words; wideColon and wideEquals how two of them end.
const (
	wide       = "\xef\xbc"
	wideColon  = 0x9a
	wideEquals = 0x9d
)

// wideSign reads what stands around the full-width sign at text[at].
func (s *scanner) wideSign(at int) int {
	next := at + len(wide) + 1
	if next > len(s.text) || s.text[at+1] != wide[1] || s.query.open {
		return at + 1
	}
	if c := s.text[next-1]; c != wideColon && c != wideEquals {
		return at + 1
	}
	to := s.named(s.nameBefore(at, s.nameFrom), next)
	s.nameFrom = max(to, next)
	return s.nameFrom
}

// named reads the value that begins at or behind text[from] if its name means
// anything, and returns where to go on.
func (s *scanner) named(n nameSpan, from int) int {
	if n.start == n.end {
		return from
	}
	decided := s.w.decideEncoded(s.text[n.start:n.end])
	if (!s.query.open || s.quotes(from)) && decided.class&name.Secret == 0 && n.quote == 0 {
		decided = s.phrase(n, decided)
	}
	class := decided.class
	if s.query.open && !s.quotes(from) {
		return s.parameter(n, decided, from)
	}
	if class&name.PairName != 0 {
		s.notePair(from)
	} else if class&name.PairWhole != 0 && s.pair.holds(n.start) {
		s.pair = span{}
		return s.assigned(n, decision{class: name.Secret | name.Guessable, by: rulePair}, from)
	}
	switch {
	case class&name.Authorization != 0:
		return s.authorization(n, from)
	case class&(name.Cookie|name.SetCookie) != 0:
		return s.cookies(n, from, class&name.SetCookie != 0)
	case class&(name.Secret|name.Perhaps|name.InQuery) != 0:
		return s.assigned(n, decided, from)
	case class&name.PairName != 0:
		return s.formPart(from)
	}
	return from
}

// quotes reports whether the sign before text[from] is that of a text which stands
// in a parameter, and not of the parameter: ?note=token: abc.
func (s *scanner) quotes(from int) bool {
	return s.text[from-1] == ':' && from < len(s.text) && (s.text[from] == ' ' || kinds[s.text[from]] == kindQuote)
}

// assigned masks the value that begins at or behind text[from], if it is one.
func (s *scanner) assigned(n nameSpan, decided decision, from int) int {
	text, class := s.text, decided.class
	if s.enclosed(class, decided.by, from) {
		return s.nameFrom
	}
	start, end, quoted := s.value(from, true)
	if to := s.angled(start, end); to > 0 {
		start, end = start+1, to
	}
	if !quoted && class&name.Secret != 0 {
		if to := s.nextLine(n, start, end, ruleAssignment, class&name.Guessable != 0); to > 0 {
			return to
		}
	}
	if start >= end {
		return from
	}
	value := text[start:end]
	by := ruleAssignment
	if decided.by != ruleKey {
		by = decided.by
	}
	guessable := class&name.Guessable != 0
	if !hidden(value) {
		return s.became(end, by, guessable)
	}
	if !quoted && driverParameter(value) {
		return from
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
		if n.spaced && code(value) || callsItself(text, n, value, end) || counted(text[n.start:n.end], value) {
			return from
		}
	}
	s.w.edit(&s.l, start, end, by, guessable)
	return s.became(end, by, guessable)
}

// angled is where the value ends that stands in the angle brackets at text[start],
// 0 if there is none: a tag, or what is to be put there.
func (s *scanner) angled(start, end int) int {
	if start < end || byteAt(s.text, start) != '<' {
		return 0
	}
	for i := start + 1; i < min(len(s.text), start+longestToken); i++ {
		if s.text[i] == '>' {
			if tokenLike(s.text[start+1 : i]) {
				return i
			}
			break
		}
	}
	return 0
}

// became masks what stands behind the value that ends at end and an arrow, as
// those write it who tell of a change: password: 'a' -> 'b'.
func (s *scanner) became(end int, by rule, guessable bool) int {
	from := end
	if kinds[byteAt(s.text, from)] == kindQuote {
		from++
	}
	from = skipSpaces(s.text, from)
	for _, arrow := range []string{"->", "=>", "→", "to '", "to \""} {
		if !bytes.HasPrefix(s.text[min(from, len(s.text)):], []byte(arrow)) {
			continue
		}
		arrow = strings.TrimRight(arrow, "'\"")
		start, next, quoted := s.value(from+len(arrow), true)
		if start >= next || !hidden(s.text[start:next]) || !quoted && wordy(s.text[start:next]) {
			return end
		}
		s.w.edit(&s.l, start, next, by, guessable)
		return next
	}
	return end
}

// counted reports whether the value is how many tokens there were: tokens: 512.
func counted(name, value []byte) bool {
	const plural = "tokens"
	return len(value) < 8 && allDigits(value) && len(name) >= len(plural) && foldIs(name[len(name)-len(plural):], plural)
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
