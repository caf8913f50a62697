package redact

import (
	"bytes"

	"sluice/redactor/redact/name"
)

// by masks the password without quotes behind the BY text[start:end] of CREATE or
// ALTER USER … IDENTIFIED BY password.
func (s *scanner) by(start, end int) int {
	text := s.text
	word, at := wordBefore(text, start)
	if !foldIs(word, "identified") || byteAt(text, end) != ' ' {
		return end
	}
	_, at = wordBefore(text, at)
	if word, _ = wordBefore(text, at); !foldIs(word, "user") && !foldIs(word, "role") && !foldIs(word, "exists") {
		return end
	}
	from := skipSpaces(text, end)
	if from >= len(text) || kinds[text[from]] == kindQuote {
		return end
	}
	from, to := s.plainValue(from, false)
	value := bytes.TrimRight(text[from:to], ";")
	if !hidden(value) || foldIs(value, "values") || foldIs(value, "password") || foldIs(value, "random") {
		return end
	}
	s.w.edit(&s.l, from, from+len(value), ruleSQL, true)
	return from + len(value)
}

// wordBefore is the word before text[at] and the spaces there, and where it begins.
func wordBefore(text []byte, at int) (word []byte, start int) {
	end := at
	for end > 0 && at-end < maxSpaces && text[end-1] == ' ' {
		end--
	}
	start = end
	for start > 0 && end-start < longestTextName && text[start-1] > ' ' {
		start--
	}
	return text[start:end], start
}

// longestIdentified is how far before BY is looked for IDENTIFIED, in bytes.
const longestIdentified = 48

// quote reads what begins with the quote at text[at], which may be a password in
// an SQL statement: PASSWORD '…', IDENTIFIED BY '…', password('…').
func (s *scanner) quote(at int) int {
	text := s.text
	if s.query.open && !s.form {
		s.endQuery()
	}
	if end := s.argumentPair(at); end > 0 {
		return end
	}
	before := at
	for before > 0 && at-before < maxSpaces && (text[before-1] == ' ' || text[before-1] == '(') {
		before--
	}
	if before == at || before == 0 || kinds[text[before-1]] != kindWord {
		return at + 1
	}
	word := nameStart(text, before, max(0, before-16))
	switch w := text[word:before]; {
	case foldIs(w, "password"), foldIs(w, "passwd"), foldIs(w, "passphrase"):
	case len(w) >= len("-SecureString") && foldIs(w[len(w)-len("-SecureString"):], "-securestring"):
	case foldIs(w, "by") && containsFold(text[max(0, word-longestIdentified):word], "identified"):
	case foldIs(w, "variable"):
		return s.variable(at)
	default:
		return at + 1
	}
	end := quoteEnd(text, at)
	value := text[at+1 : end]
	if !hidden(value) || text[at] != '\'' && bytes.IndexByte(value, ' ') >= 0 || bytes.IndexByte(value, ' ') >= 0 && text[before] != ' ' {
		return at + 1
	}
	s.w.edit(&s.l, at+1, end, ruleSQL, true)
	return end
}

// variable masks the default of a variable of HCL whose name, in the quote at
// text[at], means a secret: variable "db_password" { default = "…" }.
func (s *scanner) variable(at int) int {
	text := s.text
	end := quoteEnd(text, at)
	brace := skipSpaces(text, min(end+1, len(text)))
	if end-at > longestTextName || byteAt(text, brace) != '{' || s.w.decide(text[at+1:end]).class&name.Secret == 0 {
		return at + 1
	}
	const word = "default"
	block := text[end:min(len(text), end+longestBlock)]
	i := bytes.Index(block, []byte(word))
	if i < 0 || bytes.IndexByte(block[:i], '}') >= 0 {
		return end
	}
	sign := skipSpaces(text, end+i+len(word))
	if byteAt(text, sign) != '=' {
		return end
	}
	if start, to, quoted := s.value(sign+1, true); quoted && start < to && hidden(text[start:to]) {
		s.w.edit(&s.l, start, to, ruleAssignment, true)
	}
	return end
}

// longestBlock is how far into a variable's block its default is looked for.
const longestBlock = 512
