package redact

import (
	"bytes"

	"sluice/redactor/redact/name"
)

// longestPartHeader is how far behind the name of a form's part its content begins,
// in bytes.
const longestPartHeader = 160

// formPart reads the value of name= that begins at text[from]. If it is the name
// of a secret, and that of a part of a form (RFC 7578), the part's content is
// masked.
func (s *scanner) formPart(from int) int {
	text := s.text
	quote := 0
	if byteAt(text, from) == '"' {
		quote = 1
	}
	end := from + quote
	for end < len(text) && end-from <= longestName && text[end] != '"' && text[end] > ' ' {
		end++
	}
	if after := byteAt(text, end+quote); quote == 1 && byteAt(text, end) != '"' || after != '\r' && after != '\n' {
		return from
	}
	class := s.w.decide(text[from+quote : end]).class
	if class&name.Secret == 0 {
		return from
	}
	header := text[end+quote : min(len(text), end+quote+longestPartHeader)]
	var start int
	newline := "\n"
	if at := bytes.Index(header, []byte("\r\n\r\n")); at >= 0 {
		start, newline = end+quote+at+4, "\r\n"
	} else if at := bytes.Index(header, []byte("\n\n")); at >= 0 {
		start = end + quote + at + 2
	} else {
		return from
	}
	to := len(text)
	if at := bytes.Index(text[start:], []byte(newline+"--")); at >= 0 {
		to = start + at
	}
	if !hidden(text[start:to]) {
		return from
	}
	s.w.edit(&s.l, start, to, ruleAssignment, class&name.Guessable != 0)
	return to
}
