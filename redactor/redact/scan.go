package redact

import (
	"bytes"

	"sluice/redactor/redact/credential"
	"sluice/redactor/redact/name"
	"sluice/schemas/jsontoken"
)

// scanner goes once over a text and finds the secrets in it: words that are
// credentials by their shape, and what follows a name that means a secret.
type scanner struct {
	w     *walk
	l     layer
	text  []byte
	depth int
	// form tells that the whole text is a query string or the like: nothing but &
	// ends a value.
	form bool
	// encoded tells that there is something that undoing encodings may change.
	encoded bool
	// vain counts what looked like JSON and was none.
	vain int
	// nameFrom is where a name may begin: behind the last value.
	nameFrom int
	// query is what is known of the parameters in the word that is being read.
	query query
	seen  seen
	// lineStart and lineEnd are the line whose end was looked for last.
	lineStart, lineEnd int
	lineQuote          byte
	// plain are the values without quotes that were measured last, outside of a URL
	// and inside, and whole that of a form: what begins in one of them ends where it
	// does.
	plain [2]span
	whole span
	// pair is where the value may be whose name another value was.
	pair span
	// sql is what is known of a statement in the text.
	sql statement
	// urlForm tells that a form is the query of a URL: then a # ends it.
	urlForm bool
}

// begin sets the scanner up for a text. There is one for each depth of nesting,
// and most texts are short: what is not read before it is written stays as it is.
func (s *scanner) begin(w *walk, l layer, depth int, form bool) {
	s.w, s.l, s.text, s.depth, s.form = w, l, l.text, depth, form
	s.encoded, s.urlForm = false, false
	s.vain, s.nameFrom, s.seen = 0, 0, 0
	s.lineStart, s.lineEnd, s.plain, s.whole, s.pair = 0, 0, [2]span{}, span{}, span{}
	s.sql = statement{}
	s.query.begin(form)
}

// kind is what a byte means in a text.
type kind uint8

const (
	kindOther kind = iota
	kindWord
	kindSpace
	kindQuote
	kindEquals
	kindColon
	kindDash
	kindQuestion
	kindAmpersand
	kindHash
	kindLess
	kindOpen
	kindEncoded
	kindDigit
	kindAt
	kindWide
)

var kinds = func() (table [256]kind) {
	for c := range table {
		switch {
		case '0' <= c && c <= '9':
			table[c] = kindDigit
		case 'a' <= c|0x20 && c|0x20 <= 'z':
			table[c] = kindWord
		case c <= ' ':
			table[c] = kindSpace
		}
	}
	for c, k := range map[byte]kind{
		'"': kindQuote, '\'': kindQuote, '`': kindQuote, '=': kindEquals, ':': kindColon, '-': kindDash, '?': kindQuestion,
		'&': kindAmpersand, '#': kindHash, '<': kindLess, '{': kindOpen, '[': kindOpen,
		'%': kindEncoded, '\\': kindEncoded, '@': kindAt, wide[0]: kindWide,
	} {
		table[c] = k
	}
	return table
}()

// wordByte marks letters and digits of ASCII.
var wordByte = func() (table [256]bool) {
	for c := range table {
		table[c] = kinds[c] == kindWord || kinds[c] == kindDigit
	}
	return table
}()

// scan finds all of it. Each case returns how far the text has been read.
func (s *scanner) scan() {
	text := s.text
	s.urlForm = s.form && (bytes.IndexByte(text, '?') >= 0 || text[0] == '#')
	for i := 0; i < len(text); {
		switch kinds[text[i]] {
		case kindWord, kindDigit:
			i = s.word(i)
		case kindEquals:
			i = s.equals(i)
		case kindColon:
			i = s.colon(i)
		case kindDash:
			i = s.dash(i)
		case kindSpace:
			s.endQuery()
			i++
		case kindQuote:
			i = s.quote(i)
		case kindQuestion, kindHash, kindAmpersand:
			if i+1 < len(text) && (text[i+1] == '=' || text[i+1] == ' ') { // an operator, a sentence
				i++
				continue
			}
			if entity(text[i:]) > 0 {
				s.encoded = true
			}
			s.query.open = true
			s.nameFrom = i + 1
			i++
		case kindLess:
			s.endQuery()
			i = s.markup(i)
		case kindOpen:
			if end := s.embedded(i); end > 0 {
				s.nameFrom = end
				i = end
				continue
			}
			i++
		case kindAt:
			s.credentialsBeforeHost(i)
			i++
		case kindEncoded:
			s.encoded = true
			i = encodedRun(text, i)
		case kindWide:
			i = s.wideSign(i)
		default:
			i++
		}
	}
	s.endQuery()
}

// encodedRun is the offset behind the sign at text[i], or behind the percent-encoded
// bytes that begin there and are followed by another: they are no words of this layer.
func encodedRun(text []byte, i int) int {
	for len(text)-i > 3 {
		if e := text[i : i+4]; e[0] != '%' || e[3] != '%' || jsontoken.HexValue(e[1])|jsontoken.HexValue(e[2]) > 0xf {
			break
		}
		i += 3
	}
	return i + 1
}

// word reads the word that begins at text[start] and returns where to go on.
func (s *scanner) word(start int) int {
	text := s.text
	end := start + 1
	for end < len(text) && wordByte[text[end]] {
		end++
	}
	if credential.Starts(text, start, end) {
		if found, ok := credential.Match(text, start, end); ok {
			s.w.edit(&s.l, found.Start, found.End, ruleFormats+rule(found.Format), false)
			return max(found.End, end)
		}
	}
	if len(text)-start >= shortestBase64 && (start == 0 || base64Value[text[start-1]] >= 64 || text[start-1] == '/') {
		if to, ok := s.base64Run(start); ok {
			return to
		}
	}
	if lastInitial[text[start]] && lastWord(text[start:end]) {
		if to := s.beside(end); to > 0 {
			return to
		}
	}
	switch end - start {
	case 2:
		switch text[start] | 0x20 {
		case 'i':
			if text[start+1]|0x20 == 's' {
				return s.is(start, end)
			}
		case 'b':
			if text[start+1]|0x20 == 'y' {
				return s.by(start, end)
			}
		}
	case 4, 5, 6, 7, 8, 9, 10:
		if kinds[text[start]] == kindDigit {
			return s.digits(start, end)
		}
		if schemeInitial[text[start]] && end < len(text) && text[end] == ' ' {
			return s.scheme(start, end)
		}
		if statementInitial[text[start]] {
			return s.statementWord(start, end)
		}
	}
	return end
}

// is reads "password is X" and "password is: X".
func (s *scanner) is(start, end int) int {
	text := s.text
	if start < 2 || text[start-1] != ' ' || end >= len(text) || text[end] != ' ' && text[end] != ':' {
		return end
	}
	from := nameStart(text, start-1, s.nameFrom)
	class := s.w.decideEncoded(text[from : start-1]).class
	if class&name.Secret == 0 {
		return end
	}
	valueStart, valueEnd, _ := s.value(end+1, true)
	if valueStart >= valueEnd {
		return end
	}
	value := text[valueStart:valueEnd]
	if hidden(value) && !wordy(value) && (text[end] == ':' || hasDigit(value) || hasSymbol(value)) {
		s.w.edit(&s.l, valueStart, valueEnd, ruleAssignment, class&name.Guessable != 0)
		return valueEnd
	}
	return end
}

// seen is which commands the text names, found out when one of their options
// comes.
type seen uint8

const (
	seenKnown seen = 1 << iota
	seenCurl
	seenMySQL
	seenSSHPass
	seenLDAP
	seenRedis
	seenZip // -P
)

// commands returns which commands the text names.
func (s *scanner) commands() seen {
	if s.seen&seenKnown == 0 {
		s.seen = seenKnown | commandsIn(s.text)
	}
	return s.seen
}

// commandsIn returns which commands a text names.
func commandsIn(text []byte) (found seen) {
	for _, c := range []struct {
		name string
		seen seen
	}{
		{"curl", seenCurl},
		{"wget", seenCurl},
		{"http ", seenCurl},
		{"mysql", seenMySQL},
		{"mariadb", seenMySQL},
		{"sshpass", seenSSHPass},
		{"docker login", seenSSHPass},
		{"helm registry", seenSSHPass},
		{"podman login", seenSSHPass},
		{"oc login", seenSSHPass},
		{"az login", seenSSHPass},
		{"mongo", seenSSHPass},
		{"cqlsh", seenSSHPass},
		{"psexec", seenSSHPass},
		{"rdesktop", seenSSHPass},
		{"twilio login", seenSSHPass},
		{"twine upload", seenSSHPass},
		{"7z ", seenSSHPass},
		{"7za ", seenSSHPass},
		{"rar ", seenSSHPass},
		{"zip ", seenZip},
		{"ipmitool", seenZip},
		{"tto_pub", seenZip}, // of MQTT
		{"tto_sub", seenZip},
		{"sqlcmd", seenZip},
		{"bcp ", seenZip},
		{"ldap", seenLDAP},
		{"redis-cli", seenRedis},
	} {
		if bytes.Contains(text, []byte(c.name)) {
			found |= c.seen
		}
	}
	return found
}
