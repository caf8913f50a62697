package bridge

import "strings"

// tokenKind sorts the tokens of a statement as far as the bridge cares.
type tokenKind int

const (
	tokenEnd    tokenKind = iota // the text is over, or a quote is never closed
	tokenWord                    // a bare word: keyword, identifier, number
	tokenName                    // an identifier in backticks or double quotes
	tokenString                  // a string in single quotes, or a heredoc
	tokenMark                    // any other byte, each a token of its own
)

type token struct {
	kind       tokenKind
	text       string // as it stands in the statement, quotes included
	start, end int    // byte offsets of text in the statement
}

// is reports whether the token is this keyword, in any case.
func (t token) is(keyword string) bool {
	return t.kind == tokenWord && strings.EqualFold(t.text, keyword)
}

// mark reports whether the token is this single byte.
func (t token) mark(b byte) bool { return t.kind == tokenMark && t.text[0] == b }

// lexer cuts a statement into tokens as ClickHouse's own lexer does, comments
// and white space left out. It reads each byte once and stops where it is told
// to: behind the head of an INSERT comes data, which are no tokens.
type lexer struct {
	text string
	pos  int
}

func (l *lexer) next() token {
	l.skipBlank()
	start := l.pos
	if start >= len(l.text) {
		return token{kind: tokenEnd, start: start, end: start}
	}
	kind := tokenMark
	switch c := l.text[start]; {
	case isWordByte(c):
		kind = tokenWord
		l.pos = skipWhile(l.text, start, isWordByte)
	case c == '\'':
		kind = tokenString
		l.pos = skipQuoted(l.text, start)
	case c == '`' || c == '"':
		kind = tokenName
		l.pos = skipQuoted(l.text, start)
	case c == '$':
		l.pos = skipHeredoc(l.text, start)
		kind = tokenString
		if l.pos == start+1 {
			kind = tokenMark
		}
	default:
		l.pos++
	}
	if l.pos < 0 { // a quote that is never closed
		l.pos = len(l.text)
		return token{kind: tokenEnd, start: l.pos, end: l.pos}
	}
	return token{kind: kind, text: l.text[start:l.pos], start: start, end: l.pos}
}

// skipBlank moves over white space and comments: --, #!, "# " and /* */.
func (l *lexer) skipBlank() {
	for l.pos < len(l.text) {
		rest := l.text[l.pos:]
		switch {
		case isBlank(rest[0]):
			l.pos++
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "#!"), strings.HasPrefix(rest, "# "):
			l.pos = after(l.text, l.pos, "\n")
		case strings.HasPrefix(rest, "/*"):
			l.pos = after(l.text, l.pos+2, "*/")
		default:
			return
		}
	}
}

// after gives the offset behind the next mark at or after pos, or the end.
func after(text string, pos int, mark string) int {
	if i := strings.Index(text[pos:], mark); i >= 0 {
		return pos + i + len(mark)
	}
	return len(text)
}

// skipQuoted gives the offset behind a quoted token, or -1 if it has no end.
// The quote stands for itself when doubled or behind a backslash.
func skipQuoted(text string, pos int) int {
	quote := text[pos]
	for pos++; pos < len(text); pos++ {
		switch text[pos] {
		case '\\':
			pos++
		case quote:
			if pos+1 >= len(text) || text[pos+1] != quote {
				return pos + 1
			}
			pos++
		}
	}
	return -1
}

// skipHeredoc gives the offset behind $tag$ … $tag$, -1 if it has no end, and
// the offset behind the dollar sign alone if it starts none.
func skipHeredoc(text string, pos int) int {
	tagEnd := skipWhile(text, pos+1, isWordByte)
	if tagEnd >= len(text) || text[tagEnd] != '$' {
		return pos + 1
	}
	tag := text[pos : tagEnd+1]
	if i := strings.Index(text[tagEnd+1:], tag); i >= 0 {
		return tagEnd + 1 + i + len(tag)
	}
	return -1
}

func skipWhile(text string, pos int, match func(byte) bool) int {
	for pos < len(text) && match(text[pos]) {
		pos++
	}
	return pos
}

func isBlank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

func isWordByte(c byte) bool {
	return c == '_' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
