package redact

import "sluice/redactor/redact/name"

// parameters reads what follows the word that ends at end, which may be the values
// of a statement's parameters, as drivers log them: [parameters: ('bob', 'x')],
// args=('x', 5), parameters: $1 = 'x'. Which of them are secrets is told by the
// statement before, which is read for that once in a text.
func (s *scanner) parameters(word, end int) int {
	text := s.text
	from := skipSpaces(text, end)
	if s.sql.bound || byteAt(text, from) != ':' && byteAt(text, from) != '=' {
		return end
	}
	from = skipBlanks(text, from+1)
	first := byteAt(text, from)
	if first != '(' && first != '[' && first != '$' {
		return end
	}
	s.sql.bound = true
	secret := s.boundSecrets(word)
	switch next := byteAt(text, skipBlanks(text, min(from+1, len(text)))); {
	case secret == 0:
	case first == '$':
		s.numbered(from, secret)
	case next == '(' || next == '[':
		s.rows(from+1, secret, 0)
	default:
		s.row(from+1, secret, 0)
	}
	return end
}

// numbered masks the secrets in $1 = 'x', $2 = 'y' that begins at text[from].
func (s *scanner) numbered(from int, secret uint64) {
	text := s.text
	for byteAt(text, from) == '$' {
		n, at := number(text, from+1)
		at = skipSpaces(text, at)
		if byteAt(text, at) != '=' {
			return
		}
		at = skipSpaces(text, at+1)
		end, quote := sqlValue(text, at)
		if n > 0 && n <= maxColumns && secret&(1<<(n-1)) != 0 {
			s.sqlSecret(at, end, quote, true)
		}
		if byteAt(text, end) != ',' {
			return
		}
		from = skipBlanks(text, end+1)
	}
}

// boundSecrets returns which parameters of the statements in text[:end] are
// secrets, by the columns of an INSERT or by what they are compared with or
// assigned to: password = ?.
func (s *scanner) boundSecrets(end int) (secret uint64) {
	text := s.text[:end]
	var columns uint64
	column, open, inRow := 0, 0, false
	next := 0
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case kinds[c] == kindWord:
			to := i + 1
			for to < len(text) && (wordByte[text[to]] || text[to] == '_') {
				to++
			}
			switch word := text[i:to]; {
			case foldIs(word, "into"):
				s.into(to)
				columns, s.sql.secret, s.sql.perhaps = s.sql.secret, 0, 0
			case foldIs(word, "values"):
				column, open, inRow = 0, 0, true
			}
			i = to
			continue
		case c == '\'':
			i = sqlQuoteEnd(text, i)
		case c == '(':
			open++
			if open == 1 {
				column = 0
			}
		case c == ')':
			open--
		case c == ',' && open == 1:
			column++
		case c == ';':
			inRow = false
		}
		if place, to := parameterAt(text, i, next); to > 0 {
			if place < maxColumns && (inRow && open > 0 && column < maxColumns && columns&(1<<column) != 0 || s.comparedSecret(i)) {
				secret |= 1 << place
			}
			next = place + 1
			i = to
			continue
		}
		i++
	}
	return secret
}

// parameterAt returns the place of the parameter that stands at text[i], and the
// offset behind it: ? and %s are the next one, $2 and :2 say which.
func parameterAt(text []byte, i, next int) (place, end int) {
	switch c := byteAt(text, i); {
	case c == '?':
		return next, i + 1
	case c == '%' && byteAt(text, i+1) == 's':
		return next, i + len("%s")
	case (c == '$' || c == ':') && kinds[byteAt(text, i+1)] == kindDigit:
		n, end := number(text, i+1)
		return max(n, 1) - 1, end
	}
	return 0, 0
}

// number reads the digits at text[from], three at most.
func number(text []byte, from int) (n, end int) {
	const most = 3
	for end = from; end < len(text) && kinds[text[end]] == kindDigit; end++ {
		if end-from < most {
			n = 10*n + int(text[end]-'0')
		}
	}
	return n, end
}

// comparedSecret reports whether a column that holds secrets, and an =, stand
// before text[at].
func (s *scanner) comparedSecret(at int) bool {
	text := s.text
	for at > 0 && text[at-1] == ' ' {
		at--
	}
	if byteAt(text, at-1) != '=' {
		return false
	}
	n := s.nameBefore(at-1, 0)
	return n.start < n.end && s.w.decide(text[n.start:n.end]).class&name.Secret != 0
}
