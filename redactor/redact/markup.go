package redact

import (
	"bytes"

	"sluice/redactor/redact/name"
)

// longestTag is how long a tag of XML or HTML is read, in bytes.
const longestTag = 512

// markup reads the tag that begins with the < at text[at]: <password>…</password>,
// <add key="ApiKey" value="…"/>, <input name="token" value="…">.
func (s *scanner) markup(at int) int {
	text := s.text
	if byteAt(text, at+1) == '/' {
		return s.element(at)
	}
	nameEnd := at + 1
	for nameEnd < len(text) && (nameByte[text[nameEnd]] || text[nameEnd] == ':') && nameEnd-at <= longestName {
		nameEnd++
	}
	if nameEnd == at+1 || nameEnd >= len(text) {
		return at + 1
	}
	tagEnd := nameEnd
	for tagEnd < len(text) && tagEnd-at < longestTag && text[tagEnd] != '>' && text[tagEnd] != '<' {
		tagEnd++
	}
	if tagEnd >= len(text) || text[tagEnd] != '>' {
		return at + 1
	}
	start, end, named := s.fieldOf(nameEnd, tagEnd)
	if named && hidden(text[start:end]) {
		s.w.edit(&s.l, start, end, ruleMarkup, true)
		return end
	}
	tag := text[at+1 : nameEnd]
	if named && start == end && text[tagEnd-1] != '/' && (bytes.Contains(text[nameEnd:tagEnd], []byte("name=")) || bytes.Contains(text[nameEnd:tagEnd], []byte("key="))) {
		if to := s.content(tagEnd+1, tag); to > 0 {
			return to
		}
	}
	if colon := bytes.LastIndexByte(tag, ':'); colon >= 0 {
		if class := s.w.decide(tag[:colon]).class; foldIs(tag[:colon], "user") || foldIs(tag[:colon], "username") || class&name.Secret != 0 {
			return nameEnd // <user:password> is how something is to be written
		}
		tag = tag[colon+1:]
	}
	decided := s.w.decide(tag)
	if decided.class&name.Secret == 0 || text[tagEnd-1] == '/' {
		return nameEnd
	}
	end = bytes.IndexByte(text[tagEnd:], '<')
	if end < 0 {
		end = len(text) - tagEnd
	}
	end += tagEnd
	value := bytes.TrimSpace(text[tagEnd+1 : max(end, tagEnd+1)])
	if after, ok := bytes.CutPrefix(text[end:], []byte("<![CDATA[")); ok && len(value) == 0 {
		start := end + len("<![CDATA[")
		end = start + max(0, bytes.Index(after, []byte("]]>")))
		value = text[start:end]
		tagEnd = start - 1
	}
	if !hidden(value) {
		return nameEnd
	}
	s.w.edit(&s.l, tagEnd+1, end, ruleMarkup, decided.class&name.Guessable != 0)
	return end
}

// fieldOf finds in a tag's attributes the value of a field whose name is a
// secret's.
func (s *scanner) fieldOf(from, to int) (start, end int, ok bool) {
	text, named := s.text, false
	valueStart, valueEnd := 0, 0
	for i := from; i < to; i++ {
		if text[i] != '=' || i+1 >= to || text[i+1] != '"' && text[i+1] != '\'' {
			continue
		}
		closing := bytes.IndexByte(text[i+2:to], text[i+1])
		if closing < 0 {
			break
		}
		attribute := text[nameStart(text, i, from):i]
		value := text[i+2 : i+2+closing]
		class := s.w.decide(attribute).class
		switch {
		case class&name.PairValue != 0 || foldIs(attribute, "content"):
			valueStart, valueEnd = i+2, i+2+closing
		case class&name.PairName != 0 || foldIs(attribute, "id") || foldIs(attribute, "type"):
			named = named || len(value) <= longestName && s.w.decide(value).class&name.Secret != 0
		}
		i += closing + 2
	}
	return valueStart, valueEnd, named
}

// content masks the content that begins at text[from] of an element whose attribute
// is the name of a secret: <property name="password">…</property>. It returns where
// to go on, 0 if there is none.
func (s *scanner) content(from int, tag []byte) int {
	end := bytes.IndexByte(s.text[from:min(len(s.text), from+longestTag)], '<')
	if end < 0 || !bytes.HasPrefix(s.text[from+end:], append([]byte("</"), tag...)) {
		return 0
	}
	value := s.text[from : from+end]
	if foldIs(tag, "label") || foldIs(tag, "button") || foldIs(tag, "option") || foldIs(tag, "a") || !hidden(value) || wordy(value) || sentence(value) ||
		s.w.decide(value).class&name.Secret != 0 {
		return 0
	}
	s.w.edit(&s.l, from, from+end, ruleMarkup, true)
	return from + end
}

// element reads the closing tag at text[at]. If what it closes is the name of a
// secret, the content of the next element is one: <key>password</key>
// <string>…</string>, <td>Password</td><td>…</td>.
func (s *scanner) element(at int) int {
	text := s.text
	open := bytes.LastIndexByte(text[max(0, at-longestName):at], '>')
	if open < 0 {
		return at + 2
	}
	named := bytes.TrimSpace(text[max(0, at-longestName)+open+1 : at])
	if len(named) == 0 || s.w.decide(named).class&name.Secret == 0 {
		return at + 2
	}
	next := at + 2
	for next < len(text) && next-at < longestShortName && text[next] != '>' {
		next++
	}
	closed := text[min(at+2, next):next]
	next++
	for next < len(text) && next-at < longestName && text[next] <= ' ' {
		next++
	}
	if byteAt(text, next) != '<' || kinds[byteAt(text, next+1)] != kindWord {
		return at + 2
	}
	tag := next + 1
	for next = tag; next < len(text) && next-tag < longestName && text[next] != '>'; next++ {
	}
	if byteAt(text, next) != '>' || foldIs(closed, "th") && foldIs(text[tag:next], "th") || foldIs(closed, "label") || foldIs(closed, "option") || foldIs(closed, "a") {
		return at + 2
	}
	start := next + 1
	end := bytes.IndexByte(text[start:min(len(text), start+longestTag)], '<')
	if end < 0 {
		return at + 2
	}
	value := bytes.TrimSpace(text[start : start+end])
	loose := foldIs(closed, "td") || foldIs(closed, "th") || foldIs(closed, "li") || foldIs(closed, "div") || foldIs(closed, "span") || foldIs(closed, "p")
	if !hidden(value) || wordy(value) || sentence(value) || loose && (bytes.IndexByte(value, ' ') >= 0 || identifier(value)) {
		return at + 2
	}
	s.w.edit(&s.l, start, start+end, ruleMarkup, true)
	return start + end
}
