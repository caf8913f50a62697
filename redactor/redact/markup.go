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
	tag := text[at+1 : nameEnd]
	if to := s.field(nameEnd, tagEnd, tag); to > 0 {
		return to
	}
	if colon := bytes.LastIndexByte(tag, ':'); colon >= 0 {
		before := tag[:colon]
		if foldIs(before, "user") || foldIs(before, "username") || s.w.decide(before).class&name.Secret != 0 {
			return nameEnd // <user:password> is how something is to be written
		}
		tag = tag[colon+1:]
	}
	decided := s.w.decide(tag)
	if decided.class&name.Secret == 0 || text[tagEnd-1] == '/' {
		return nameEnd
	}
	end := bytes.IndexByte(text[tagEnd:], '<')
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
