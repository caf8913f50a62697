package redact

import (
	"bytes"
	"strings"

	"sluice/redactor/redact/name"
)

// lastWord reports whether names of secrets end with the word.
func lastWord(word []byte) bool {
	switch len(word) {
	case len("pwd"):
		return foldIs(word, "pwd") || foldIs(word, "key")
	case len("token"):
		return foldIs(word, "token")
	case len("secret"):
		return foldIs(word, "secret") || foldIs(word, "passwd") || foldIs(word, "apikey")
	case len("password"):
		return foldIs(word, "password") || foldIs(word, "passcode")
	case len("passphrase"):
		return foldIs(word, "passphrase")
	}
	return false
}

// lastInitial marks the letters with which these begin.
var lastInitial = func() (table [256]bool) {
	for _, c := range []byte("pPkKtTsSaA") {
		table[c] = true
	}
	return table
}()

// connecting are words between the name of a secret and what it is in a sentence:
// password was set to …, changed from … to ….
var connecting = map[string]bool{
	"is": true, "was": true, "set": true, "to": true, "changed": true, "reset": true, "updated": true, "from": true, "been": true,
	"has": true, "now": true, "as": true, "equals": true, "becomes": true, "rotated": true,
}

const (
	maxConnecting     = 4
	longestConnecting = len("changed")
)

// beside reads what stands behind the name of a secret that ends at end, where no
// sign says that it is its value: "password X" of .netrc, "password was X", a row
// of a table. Only what looks made by a machine is one; in quotes, what has digits
// or signs in it. It returns where to go on, 0 if there is none.
func (s *scanner) beside(end int) int {
	text := s.text
	if end >= len(text) || !besideByte[text[end]] || s.query.open {
		return 0
	}
	if next := byteAt(text, end+1); text[end] == '*' && next != '*' && next != ' ' {
		return 0 // no end of emphasis
	}
	n := nameSpan{start: nameStart(text, end, max(s.nameFrom, end-cachedName)), end: end}
	decided := s.w.decide(text[n.start:n.end])
	if decided.class&name.Secret == 0 {
		decided = s.phrase(n, decided)
	}
	if decided.class&name.Secret == 0 {
		return 0
	}
	from := skipConnecting(text, skipSeparator(text, end))
	if from >= len(text) || text[from] == '-' {
		return 0
	}
	start, to, quoted := s.value(from, false)
	if start >= to {
		return 0
	}
	value, guessable := text[start:to], decided.class&name.Guessable != 0
	if !hidden(value) || wordy(value) || pathLike(value) || !tokenLike(value) && !(quoted && guessable && phrased(value)) {
		return 0
	}
	s.w.edit(&s.l, start, to, ruleAssignment, guessable)
	s.nameFrom = to
	return s.became(to, ruleAssignment, guessable)
}

// phrased reports whether what stands in quotes behind the name of a password may
// be one: it is no name and has digits or signs in it.
func phrased(value []byte) bool {
	return len(value) >= shortestText && bytes.IndexByte(value, ' ') < 0 && !identifier(value) && !code(value) &&
		(hasDigit(value) || hasSymbol(value))
}

// besideByte marks what may follow such a name.
var besideByte = bytesOf(" \t,`*")

// skipConnecting is the offset behind the connecting words at text[from].
func skipConnecting(text []byte, from int) int {
	for range maxConnecting {
		word := from
		for word < len(text) && kinds[text[word]] == kindWord && word-from <= longestConnecting {
			word++
		}
		if byteAt(text, word) != ' ' || !connecting[string(text[from:word])] {
			break
		}
		from = skipSpaces(text, word)
	}
	return from
}

// skipSeparator is the offset behind the white space, and one sign, that may stand
// between a name and its value: |, ->, a comma, a bracket, the end of emphasis.
func skipSeparator(text []byte, from int) int {
	for from < len(text) && (text[from] == '*' || text[from] == '`') {
		from++
	}
	from = skipSpaces(text, from)
	switch {
	case bytes.HasPrefix(text[from:], []byte("->")):
		from += len("->")
	case bytes.HasPrefix(text[from:], []byte("→")):
		from += len("→")
	case from < len(text) && strings.IndexByte("|,([", text[from]) >= 0:
		from++
	}
	return skipSpaces(text, from)
}

// nextLine masks the value behind a name and its sign that stands on the next line:
// alone and made by a machine, or as a block of YAML, whose indicator stands at
// text[at:end]. It returns where to go on, 0 if there is none.
func (s *scanner) nextLine(n nameSpan, at, end int, by rule, guessable bool) int {
	text := s.text
	block := end > at && end-at <= len("|2-") && (text[at] == '|' || text[at] == '>')
	line := end
	if byteAt(text, line) == '\r' {
		line++
	}
	if byteAt(text, line) != '\n' || end > at && !block {
		return 0
	}
	line++
	indent := indentOf(text, lineStart(text, n.start))
	start, to := line+indentOf(text, line), line
	if block && start-line <= indent {
		return 0
	}
	for next := line; next < len(text); {
		if block && indentOf(text, next) <= indent && byteAt(text, next) != '\n' {
			break
		}
		to = next + lineLength(text[next:])
		next = to + 1
		if !block {
			break
		}
	}
	value := bytes.TrimRight(text[min(start, to):to], " \r\n")
	switch {
	case block && !hidden(value):
		return start + len(value)
	case !block && (!hidden(value) || !tokenLike(value)):
		return 0
	}
	s.w.edit(&s.l, start, start+len(value), by, guessable)
	return start + len(value)
}

// lineStart is where the line begins that text[at] is in, as far back as a name may
// be indented.
func lineStart(text []byte, at int) int {
	from := max(0, at-longestTextName)
	return from + bytes.LastIndexByte(text[from:at], '\n') + 1
}

func indentOf(text []byte, line int) int {
	indent := 0
	for line+indent < len(text) && indent < longestTextName && text[line+indent] == ' ' {
		indent++
	}
	return indent
}

func lineLength(text []byte) int {
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		return i
	}
	return len(text)
}

// notePair notes that the name whose value begins at text[from] is that of another
// value: name: password, behind which comes value: …
func (s *scanner) notePair(from int) {
	text := s.text
	from = skipPrefix(text, skipSpaces(text, from))
	quoted := kinds[byteAt(text, from)] == kindQuote && from < len(text)
	if quoted {
		from++
	}
	end := from
	for end < len(text) && end-from <= longestName && (nameByte[text[end]] || quoted && text[end] == ' ') {
		end++
	}
	if end > from && end-from <= longestName && s.w.decide(text[from:end]).class&name.Secret != 0 {
		s.pair = span{end, end + longestTextName}
	}
}
