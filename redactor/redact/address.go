package redact

import "bytes"

// authorityEnd marks what ends the part of a URL that may hold a user.
var authorityEnd = func() (table [256]bool) {
	for c := range table {
		table[c] = c <= ' '
	}
	for _, c := range []byte("/?#\"'<>`\\") {
		table[c] = true
	}
	return table
}()

// userinfo masks the password in the URL whose :// begins at text[at]:
// scheme://user:password@host; and what stands in the user's place if that looks
// like a token.
func (s *scanner) userinfo(at int) int {
	text, start := s.text, at+3
	s.nameFrom = start
	if at == 0 || !wordByte[text[at-1]] || start >= len(text) {
		return start
	}
	end := start
	for end < len(text) && !authorityEnd[text[end]] {
		end++
	}
	host := bytes.LastIndexByte(text[start:end], '@')
	colon := bytes.IndexByte(text[start:end], ':')
	if host < 0 && colon >= 0 {
		// A slash in the password that should have been encoded: what stands behind
		// the colon is no port.
		port := text[start+colon+1 : end]
		if len(port) > 0 && !allDigits(port) && end < len(text) && text[end] == '/' && text[start] != '[' {
			for end < len(text) && text[end] > ' ' && text[end] != '"' && text[end] != '\'' && end-start < longestUserinfo {
				end++
			}
			host = bytes.LastIndexByte(text[start:end], '@')
		}
	}
	if host < 0 {
		return start
	}
	if colon < 0 || colon > host {
		if user := text[start : start+host]; hidden(user) && likely(user, 0) {
			s.w.edit(&s.l, start, start+host, ruleUserinfo, false)
			return start + host
		}
		return start
	}
	if password := text[start+colon+1 : start+host]; hidden(password) {
		s.w.edit(&s.l, start+colon+1, start+host, ruleUserinfo, true)
		s.nameFrom = start + host
	}
	return start + host
}

const longestUserinfo = 160

// credentialsBeforeHost masks the password of user:password@tcp(host), as some
// drivers write it without a scheme. The bracket or word behind the @ is at
// text[at+1].
func (s *scanner) credentialsBeforeHost(at int) {
	text := s.text
	rest := text[at+1:]
	if !bytes.HasPrefix(rest, []byte("tcp(")) && !bytes.HasPrefix(rest, []byte("unix(")) && !bytes.HasPrefix(rest, []byte("(")) {
		return
	}
	start := at
	for start > s.nameFrom && start > at-longestTextName && text[start-1] > ' ' && text[start-1] != '"' && text[start-1] != '\'' {
		start--
	}
	if colon := bytes.IndexByte(text[start:at], ':'); colon >= 0 && hidden(text[start+colon+1:at]) {
		s.w.edit(&s.l, start+colon+1, at, ruleUserinfo, true)
	}
}
