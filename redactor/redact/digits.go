package redact

import (
	"bytes"
	"strings"
)

// digits reads a number that may be a one-time code: one of 4 to 10 digits behind
// "code is", "OTP:" and the like, where the text before says what code it is.
func (s *scanner) digits(start, end int) int {
	for i := start; i < end; i++ {
		if kinds[s.text[i]] != kindDigit {
			return end
		}
	}
	if end-start == len(postgresPort) && byteAt(s.text, start-1) == ':' && byteAt(s.text, end) == ':' {
		return s.passwordFile(start, end)
	}
	if strings.IndexByte(".-:", byteAt(s.text, end)) >= 0 && wordByte[byteAt(s.text, end+1)] {
		return end // a version, a date, a time
	}
	if codePhrase(s.text[max(0, start-codeReach):start]) {
		s.w.edit(&s.l, start, end, ruleOneTimeCode, true)
	}
	return end
}

const postgresPort = "5432"

// passwordFile masks the password in a line of .pgpass, host:5432:database:user:password,
// whose port is text[start:end]. It returns where
// to go on.
func (s *scanner) passwordFile(start, end int) int {
	text := s.text
	if port := string(text[start:end]); port != postgresPort && port != "5433" && port != "6432" {
		return end
	}
	to := end
	for to < len(text) && text[to] > ' ' && to-end < longestTextName {
		to++
	}
	fields := bytes.SplitN(text[end+1:to], []byte(":"), 3) //nolint:mnd // database, user, password
	if len(fields) < 3 || len(fields[0]) == 0 || len(fields[1]) == 0 || !hidden(fields[2]) {
		return end
	}
	s.w.edit(&s.l, to-len(fields[2]), to, rulePasswordFile, true)
	return to
}
