package redact

import (
	"bytes"
	"strings"
)

// value finds the value that begins at or behind text[from]: what stands in
// quotes, or a plain one.
func (s *scanner) value(from int, skip bool) (start, end int, quoted bool) {
	text := s.text
	if skip {
		from = skipSpaces(text, from)
	}
	from = skipTag(text, from)
	if from >= len(text) {
		return from, from, false
	}
	from = skipLength(text, from)
	at := skipPrefix(text, from)
	if kinds[text[at]] == kindQuote {
		return at + 1, quoteEnd(text, at), true
	}
	start, end = s.plainValue(from, false)
	return start, max(end, expressionEnd(text, from)), false
}

// expressionEnd is where the expression ends that begins at from and stands for a
// value which is not there: $(cat x), ${{ secrets.X }}, <YOUR TOKEN>. It is 0 if
// there is none.
func expressionEnd(text []byte, from int) int {
	rest := text[from:min(len(text), from+longestExpression)]
	for _, e := range [][2]string{{"$(", ")"}, {"${{", "}}"}, {"{{", "}}"}, {"<", ">"}} {
		if !bytes.HasPrefix(rest, []byte(e[0])) {
			continue
		}
		if at := bytes.Index(rest, []byte(e[1])); at > 0 && bytes.IndexByte(rest[:at], '\n') < 0 && !hidden(rest[:at+len(e[1])]) {
			return from + at + len(e[1])
		}
		break
	}
	return 0
}

const longestExpression = 96

// skipLength is the offset behind what PHP writes before a text: string(14) "…".
func skipLength(text []byte, from int) int {
	const before = "string("
	if !bytes.HasPrefix(text[from:], []byte(before)) {
		return from
	}
	end := from + len(before)
	for end < len(text) && kinds[text[end]] == kindDigit && end-from < longestShortName {
		end++
	}
	if byteAt(text, end) == ')' && byteAt(text, end+1) == ' ' && byteAt(text, end+2) == '"' {
		return end + 2
	}
	return from
}

// skipPrefix is the offset of the quote that opens at from or behind one letter, as
// in b'…' of Python.
func skipPrefix(text []byte, from int) int {
	if from+1 < len(text) && strings.IndexByte("bBuUrRfF", text[from]) >= 0 && kinds[text[from+1]] == kindQuote {
		return from + 1
	}
	return from
}

// skipTag is the offset behind the tag at text[from] if there is one: <b>.
func skipTag(text []byte, from int) int {
	if from+2 >= len(text) || text[from] != '<' || kinds[text[from+1]] != kindWord {
		return from
	}
	for i := from + 2; i < min(len(text), from+longestShortName); i++ {
		if text[i] == '>' {
			if i+1 < len(text) && text[i+1] > ' ' {
				return i + 1
			}
			break
		}
		if !wordByte[text[i]] {
			break
		}
	}
	return from
}

// quoteEnd is where the quote at text[at] is closed, the end of the text if it is
// not: then it was cut off.
func quoteEnd(text []byte, at int) int {
	for i := at + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[at]:
			return i
		}
	}
	return len(text)
}

// plainValue finds the end of the value that begins at text[from] and is in no
// quotes. White space ends it, and punctuation only where something else begins
// behind it: a password may well have a comma in it. In a URL & and # do.
func (s *scanner) plainValue(from int, inURL bool) (start, end int) {
	text := s.text
	known := &s.plain[0]
	if inURL {
		known = &s.plain[1]
	}
	if known.holds(from) {
		return from, known.end
	}
	open := 0
	for end = from; end < len(text); end++ {
		c := text[end]
		switch {
		case wordByte[c]:
			continue
		case c == '{' || c == '[' || c == '(':
			open++
		case open > 0 && (c == '}' || c == ']' || c == ')'):
			open--
		case c <= ' ' || endsValue(text, from, end, inURL):
			goto found
		}
	}
found:
	if end > from+1 && text[end-1] == '.' && (end == len(text) || text[end] <= ' ') {
		end-- // of the sentence
	}
	*known = span{from, end}
	return from, end
}

// endsValue reports whether the sign at text[i] ends the value that begins at from.
func endsValue(text []byte, from, i int, inURL bool) bool {
	switch text[i] {
	case '&':
		return inURL || startsName(text, i+1)
	case '#':
		return inURL
	case ')', ']', '}', '"', '\'', '`', ';', ',', '>', '|':
		return i > from && ends(text, i+1)
	case '<':
		return i+1 < len(text) && (text[i+1] == '/' || kinds[text[i+1]] == kindWord)
	case '\\':
		return i+1 < len(text) && strings.IndexByte(`nrt"'`, text[i+1]) >= 0
	case wide[0], ideographic[0]:
		return i > from && i+2 < len(text) && wideEnds[string(text[i:i+3])]
	}
	return false
}

const ideographic = "\xe3\x80"

// wideEnds are the full-width comma and semicolon, and the ideographic comma and
// full stop.
var wideEnds = map[string]bool{wide + "\x8c": true, wide + "\x9b": true, ideographic + "\x81": true, ideographic + "\x82": true}

// ends reports whether what begins at text[i], behind punctuation, shows that the
// value before that is over.
func ends(text []byte, i int) bool {
	if i >= len(text) {
		return true
	}
	switch c := text[i]; {
	case c <= ' ':
		return true
	case wordByte[c]:
		return startsName(text, i)
	case c == '"' || c == '\'' || c == ')' || c == ']' || c == '}' || c == ',' || c == ';' || c == '>' || c == '<' || c == '\\' || c == '.':
		return true
	}
	return false
}

// startsName reports whether a name and its = or : begins at text[i].
func startsName(text []byte, i int) bool {
	for end := min(len(text), i+longestShortName); i < end; i++ {
		switch c := text[i]; {
		case wordByte[c] || c == '_' || c == '-' || c == '.':
		case c == '=' || c == ':':
			return true
		default:
			return false
		}
	}
	return false
}

const longestShortName = 32
