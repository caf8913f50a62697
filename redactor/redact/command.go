package redact

import (
	"bytes"
	"strings"

	"sluice/redactor/redact/name"
)

// dash reads what begins with the - at text[at], which may be an option on a
// command line.
func (s *scanner) dash(at int) int {
	text := s.text
	if at+1 >= len(text) || at > 0 && text[at-1] > ' ' && kinds[text[at-1]] != kindQuote && strings.IndexByte("=[", text[at-1]) < 0 {
		return at + 1
	}
	start := at + 1
	if text[start] == '-' {
		start++
	}
	end := start
	for end < len(text) && end-start < longestName && (wordByte[text[end]] || strings.IndexByte("-_.", text[end]) >= 0) {
		end++
	}
	if end == start {
		return start
	}
	if start == at+1 && (end == start+1 || text[start] == 'p' || text[start] == 'u') {
		if to := s.shortOption(start, end); to > 0 {
			return to
		}
	}
	return s.option(start, end)
}

// option reads the option text[start:end], and masks what follows it if it is the
// name of a secret.
func (s *scanner) option(start, end int) int {
	text := s.text
	from := skipSpaces(text, end)
	if from < len(text) && (from > end || text[end] == '=') {
		if option := text[start:end]; (string(option) == "user" || string(option) == "proxy-user" || string(option) == "auth") && s.commands()&seenCurl != 0 {
			return max(start, s.userAndPassword(skipSpaces(text, end+1)))
		}
	}
	if from == end || from >= len(text) || text[from] == '-' {
		return start
	}
	decided := s.w.decide(text[start:end])
	if decided.class&(name.Secret|name.Perhaps) == 0 {
		return start
	}
	valueStart, valueEnd, quoted := s.value(from, false)
	value := text[min(valueStart, valueEnd):valueEnd]
	switch {
	case !hidden(value), !quoted && wordy(value):
		return start
	case decided.class&name.Secret == 0 && !likely(value, decided.class):
		return start
	}
	s.w.edit(&s.l, valueStart, valueEnd, ruleArgument, decided.class&name.Guessable != 0)
	return valueEnd
}

// shortOption reads -u user:password of curl, -pPASSWORD of MySQL's commands, -p
// PASSWORD of sshpass and others, -w of LDAP's, -a of redis-cli. It returns where
// to go on, 0 if it is none of these.
func (s *scanner) shortOption(start, end int) int {
	text := s.text
	letter := text[start]
	if strings.IndexByte("upwaP", letter) < 0 {
		return 0
	}
	known := s.commands()
	if letter == 'u' && end > start+1 && text[start+1] != 's' && known&seenCurl != 0 && byteAt(text, end) == ':' { // -ubob:…
		return s.userAndPassword(start + 1)
	}
	if letter == 'p' && end > start+1 {
		if known&(seenMySQL|seenSSHPass) == 0 {
			return 0
		}
		valueStart, valueEnd := s.plainValue(start+1, false)
		return s.optionValue(valueStart, valueEnd)
	}
	from := skipSpaces(text, end)
	if from == end || end != start+1 {
		return 0
	}
	valueStart, valueEnd, _ := s.value(from, false)
	if valueStart >= valueEnd {
		return 0
	}
	switch {
	case letter == 'u' && known&seenCurl != 0:
		return s.userAndPassword(from)
	case letter == 'p' && known&seenSSHPass != 0, letter == 'w' && known&seenLDAP != 0, letter == 'a' && known&seenRedis != 0,
		letter == 'P' && known&seenZip != 0:
		return s.optionValue(valueStart, valueEnd)
	}
	return 0
}

// userAndPassword masks the password of user:password.
func (s *scanner) userAndPassword(from int) int {
	start, end, quoted := s.value(from, false)
	if start >= end {
		return 0
	}
	if quoted && byteAt(s.text, end+1) == ':' { // "user":"password"
		start, end, _ = s.value(end+2, false)
		return s.optionValue(start, end)
	}
	colon := bytes.IndexByte(s.text[start:end], ':')
	if colon < 0 {
		return 0
	}
	if colon == end-start-1 && likely(s.text[start:start+colon], 0) {
		return s.optionValue(start, start+colon) // a key in the user's place
	}
	return s.optionValue(start+colon+1, end)
}

func (s *scanner) optionValue(start, end int) int {
	if start >= end || !hidden(s.text[start:end]) {
		return 0
	}
	s.w.edit(&s.l, start, end, ruleArgument, true)
	return end
}

// argumentPair masks the value that opens at text[at] in a call with the name of a
// secret before it: setProperty("API_TOKEN", "…"). It returns where to go on, 0 if
// it is none.
func (s *scanner) argumentPair(at int) int {
	text := s.text
	comma := at
	if comma > 0 && text[comma-1]|0x20 == 'b' { // b'…'
		comma--
	}
	for comma > 0 && at-comma < maxSpaces && text[comma-1] == ' ' {
		comma--
	}
	if comma < 4 || text[comma-1] != ',' || kinds[text[comma-2]] != kindQuote {
		return 0
	}
	end := comma - 2
	start := nameStart(text, end, max(0, end-longestName))
	if start < 2 || text[start-1] != text[end] || start == end {
		return 0
	}
	before := start - 1
	if before > 0 && text[before-1]|0x20 == 'b' {
		before--
	}
	for before > 0 && text[before-1] == ' ' && start-before < maxSpaces {
		before--
	}
	if before == 0 || text[before-1] != '(' && text[before-1] != '[' {
		return 0
	}
	list := text[before-1] == '['
	class := s.w.decide(text[start:end]).class
	valueEnd := quoteEnd(text, at)
	value := text[min(at+1, valueEnd):valueEnd]
	switch {
	case class&(name.Secret|name.Perhaps) == 0, !hidden(value), identifier(value):
		return 0
	case list && class&name.Header == 0 && !tokenLike(value), class&name.Secret == 0 && !likely(value, class):
		return 0
	}
	s.w.edit(&s.l, at+1, valueEnd, ruleAssignment, class&name.Guessable != 0)
	return valueEnd
}
