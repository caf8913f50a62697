package redact

import "sluice/redactor/redact/name"

// statement is what is known of the SQL statement that is being read.
type statement struct {
	// secret has a bit for each column of the last INSERT whose values are secrets,
	// perhaps for each where they may be.
	secret, perhaps uint64
	// read is how far rows were read, and again how often before it.
	read, again int
	// bound tells that the parameters were looked for: once in a text.
	bound bool
}

// maxColumns is how many columns of an INSERT, and parameters of a statement, are
// told apart.
const maxColumns = 64

// statementInitial marks the letters with which the words begin that
// statementWord knows.
var statementInitial = bytesOf("iIvVpPaA")

// statementWord reads the word text[start:end], which may be one of a statement.
func (s *scanner) statementWord(start, end int) int {
	switch word := s.text[start:end]; {
	case foldIs(word, "into"):
		return s.into(end)
	case foldIs(word, "values"):
		return s.values(end)
	case foldIs(word, "parameters"), foldIs(word, "params"), foldIs(word, "args"):
		return s.parameters(start, end)
	}
	return end
}

// into reads the columns of an INSERT INTO table (a, b, …) whose INTO ends at end.
// What is no list of names ends it, so that each is read once.
func (s *scanner) into(end int) int {
	text := s.text
	at := skipSpaces(text, end)
	for from := at; at < len(text) && at-from < longestTextName && (nameByte[text[at]] || kinds[text[at]] == kindQuote); {
		at++
	}
	at = skipSpaces(text, at)
	if byteAt(text, at) != '(' {
		return end
	}
	s.sql.secret, s.sql.perhaps = s.columns(at + 1)
	return end
}

// columns returns which of the columns whose list begins at from are secrets, and
// which may be.
func (s *scanner) columns(from int) (secret, perhaps uint64) {
	text := s.text
	for column := range maxColumns {
		from = skipBlanks(text, from)
		if kinds[byteAt(text, from)] == kindQuote || byteAt(text, from) == '[' {
			from++
		}
		end := from
		for end < len(text) && (wordByte[text[end]] || text[end] == '_' || text[end] == '$' || text[end] >= 0x80) {
			end++
		}
		if end == from || end-from > longestTextName {
			return 0, 0
		}
		switch class := s.w.decide(text[from:end]).class; {
		case class&name.Secret != 0:
			secret |= 1 << column
		case class&name.Perhaps != 0:
			perhaps |= 1 << column
		}
		if kinds[byteAt(text, end)] == kindQuote || byteAt(text, end) == ']' {
			end++
		}
		from = skipBlanks(text, end)
		switch byteAt(text, from) {
		case ')':
			return secret, perhaps
		case ',':
			from++
		default:
			return 0, 0
		}
	}
	return secret, perhaps
}

// values masks the secrets in the rows behind the VALUES that ends at end. The text
// is read on from there: other columns may hold others.
func (s *scanner) values(end int) int {
	secret, perhaps := s.sql.secret, s.sql.perhaps
	s.sql.secret, s.sql.perhaps = 0, 0
	if secret|perhaps == 0 {
		return end
	}
	if end < s.sql.read { // a statement in a value of another
		if s.sql.again == maxVain {
			return end
		}
		s.sql.again++
	}
	s.sql.read = max(s.sql.read, s.rows(end, secret, perhaps))
	return end
}

// rows masks the secrets in the rows that begin at or behind text[from], (a, b), (c, d),
// and returns the offset behind them.
func (s *scanner) rows(from int, secret, perhaps uint64) int {
	for {
		from = skipBlanks(s.text, from)
		if open := byteAt(s.text, from); open != '(' && open != '[' {
			return from
		}
		from = skipBlanks(s.text, s.row(from+1, secret, perhaps))
		if byteAt(s.text, from) != ',' {
			return from
		}
		from++
	}
}

// row masks the secrets in the row whose first value begins at or behind
// text[from], and returns the offset behind it.
func (s *scanner) row(from int, secret, perhaps uint64) int {
	for column := 0; ; column++ {
		from = skipBlanks(s.text, from)
		end, quoted := sqlValue(s.text, from)
		if bit := uint64(1) << min(column, maxColumns-1); (secret|perhaps)&bit != 0 {
			s.sqlSecret(from, end, quoted, secret&bit != 0)
		}
		if byteAt(s.text, end) != ',' || end >= len(s.text) {
			return min(end+1, len(s.text))
		}
		from = end + 1
	}
}

// sqlValue finds where the value ends that begins at text[from], at the comma or
// the bracket behind it, and where in it the first quote opens, -1 for none.
func sqlValue(text []byte, from int) (end, quote int) {
	open, quote := 0, -1
	for end = from; end < len(text); end++ {
		switch c := text[end]; {
		case c == '\'' || c == '"' || c == '`':
			if quote < 0 {
				quote = end
			}
			end = sqlQuoteEnd(text, end)
		case c == '(' || c == '[':
			open++
		case c == ')' || c == ']':
			if open == 0 {
				return end, quote
			}
			open--
		case c == ',' && open == 0:
			return end, quote
		}
	}
	return len(text), quote
}

// sqlQuoteEnd is quoteEnd for a text in which a quote may be written twice.
func sqlQuoteEnd(text []byte, at int) int {
	end := quoteEnd(text, at)
	for end+1 < len(text) && text[end+1] == text[at] {
		end = quoteEnd(text, end+1)
	}
	return end
}

// sqlSecret masks the value text[from:end], or the text in quotes in it. What is no
// literal stays: NULL, DEFAULT, the name of a parameter.
func (s *scanner) sqlSecret(from, end, quote int, sure bool) {
	text := s.text
	start, to := from, end
	if quote >= 0 {
		start, to = quote+1, min(sqlQuoteEnd(text, quote), end)
	}
	for quote < 0 && to > start && text[to-1] <= ' ' {
		to--
	}
	value := text[min(start, to):to]
	switch {
	case !hidden(value), sqlParameter(value):
	case quote < 0 && (len(value) < shortestNumber || !hasDigit(value)):
	case !sure && !tokenLike(value):
	default:
		s.w.edit(&s.l, start, to, ruleSQL, true)
	}
}

// shortestNumber is the shortest secret without quotes: a PIN.
const shortestNumber = 4

// sqlParameter reports whether a value is a parameter's name: ?, $1, %s, :name, @name, %(name)s.
func sqlParameter(value []byte) bool {
	switch value[0] {
	case ':', '@':
		return identifier(value[1:]) || allDigits(value[1:])
	case '$':
		return allDigits(value[1:])
	}
	return driverParameter(value)
}

// driverParameter reports whether a value is what a driver puts the parameter in
// the place of: ?, %s, %(name)s.
func driverParameter(value []byte) bool {
	switch {
	case len(value) == 1:
		return value[0] == '?'
	case value[0] != '%':
		return false
	case len(value) == len("%s"):
		return value[1] == 's'
	}
	return value[1] == '(' && value[len(value)-1] == 's' && value[len(value)-2] == ')'
}

func skipBlanks(text []byte, from int) int {
	for from < len(text) && text[from] <= ' ' {
		from++
	}
	return from
}
