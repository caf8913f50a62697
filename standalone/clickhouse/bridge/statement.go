package bridge

import "strings"

// insertHead is what stands before the data of an INSERT.
type insertHead struct {
	statement string // the INSERT without FORMAT and VALUES
	format    string // input format of the data
	dataStart int    // offset of the data's first byte
}

// splitInsert finds where the data of an INSERT begins. It reports false for
// everything that carries no data, an INSERT … SELECT among it.
//
// ClickHouse's parser reads the head and leaves the rest of the body to the
// input format; so must the bridge, since data may hold any byte.
func splitInsert(text string) (insertHead, bool) {
	l := &lexer{text: text}
	if !l.next().is("INSERT") || !skipTarget(l) {
		return insertHead{}, false
	}
	depth := 0
	for {
		t := l.next()
		switch {
		case t.kind == tokenEnd, depth == 0 && t.mark(';'):
			// No VALUES and no FORMAT: the data is in the default format.
			return insertHead{statement: text[:t.start], format: "Values", dataStart: t.end}, true
		case t.mark('('), t.mark('['), t.mark('{'):
			depth++
		case t.mark(')'), t.mark(']'), t.mark('}'):
			depth--
		case t.is("SELECT"), depth == 0 && (t.is("WITH") || t.is("WATCH") || t.is("INFILE")):
			return insertHead{}, false
		case depth > 0:
		case t.is("VALUES"):
			return insertHead{statement: text[:t.start], format: "Values", dataStart: t.end}, true
		case t.is("FORMAT"):
			name := l.next()
			return insertHead{statement: text[:t.start], format: name.text, dataStart: skipToData(text, name.end)}, name.kind == tokenWord
		}
	}
}

// skipTarget moves over [INTO] [TABLE|FUNCTION] and the name behind it, whose
// parts may spell anything, VALUES and FORMAT too.
func skipTarget(l *lexer) bool {
	t := l.next()
	if t.is("INTO") {
		t = l.next()
	}
	if t.is("TABLE") || t.is("FUNCTION") {
		t = l.next()
	}
	for {
		switch {
		case t.kind == tokenWord, t.kind == tokenName:
		case t.mark('{'): // a query parameter, {name:Identifier}
			for !t.mark('}') && t.kind != tokenEnd {
				t = l.next()
			}
		default:
			return false
		}
		ahead := *l
		if !ahead.next().mark('.') {
			return true
		}
		*l = ahead
		t = l.next()
	}
}

// skipToData gives the offset of the data behind FORMAT and its name: behind
// the first line break if only blanks come before it, else behind the blanks.
func skipToData(text string, pos int) int {
	pos = skipWhile(text, pos, func(c byte) bool { return c == ' ' || c == '\t' || c == '\f' })
	if strings.HasPrefix(text[pos:], "\r\n") {
		return pos + 2
	}
	if strings.HasPrefix(text[pos:], "\n") {
		return pos + 1
	}
	return pos
}

// outputFormat gives the name in a query's own FORMAT clause, or "".
func outputFormat(text string) string {
	format := ""
	scan(text, func(t, following token) {
		if t.is("FORMAT") && following.kind == tokenWord {
			format = following.text
		}
	})
	return format
}

// touchesLocalFile reports whether the statement reads or writes a file on the
// client's side, INTO OUTFILE or FROM INFILE. A server has no such side.
func touchesLocalFile(text string) bool {
	touches := false
	scan(text, func(t, following token) {
		if t.is("INTO") && following.is("OUTFILE") || t.is("FROM") && following.is("INFILE") {
			touches = true
		}
	})
	return touches
}

// changesSession reports whether the statement changes nothing but its session.
func changesSession(text string) bool {
	first := (&lexer{text: text}).next()
	return first.is("SET") || first.is("USE")
}

// scan shows every token outside brackets together with the one behind it.
func scan(text string, visit func(t, following token)) {
	l := &lexer{text: text}
	depth := 0
	for t := l.next(); t.kind != tokenEnd; {
		following := l.next()
		switch {
		case t.mark('('), t.mark('['), t.mark('{'):
			depth++
		case t.mark(')'), t.mark(']'), t.mark('}'):
			depth--
		case depth == 0:
			visit(t, following)
		}
		t = following
	}
}

// quoteName writes a name as an identifier in backticks.
func quoteName(name string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(name) + "`"
}

// quoteString writes a value as a string literal.
func quoteString(value string) string {
	return "'" + strings.NewReplacer("\\", "\\\\", "'", "\\'").Replace(value) + "'"
}
