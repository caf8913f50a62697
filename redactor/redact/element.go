package redact

import (
	"bytes"

	"sluice/redactor/redact/name"
)

// field masks the value, or the content, of the tag whose attributes are
// text[from:to], if they name a secret: <input name="token" value="…">,
// <property name="password">…</property>. It returns where to go on, 0 if there is
// none.
func (s *scanner) field(from, to int, tag []byte) int {
	start, end, named := s.fieldOf(from, to)
	switch attributes := s.text[from:to]; {
	case !named:
	case hidden(s.text[start:end]):
		s.w.edit(&s.l, start, end, ruleMarkup, true)
		return end
	case start == end && s.text[to-1] != '/' && (bytes.Contains(attributes, []byte("name=")) || bytes.Contains(attributes, []byte("key="))):
		return s.content(to+1, tag)
	}
	return 0
}

// content is field for the content, which begins at text[from].
func (s *scanner) content(from int, tag []byte) int {
	end := bytes.IndexByte(s.text[from:min(len(s.text), from+longestTag)], '<')
	if end < 0 || !bytes.HasPrefix(s.text[from+end:], append([]byte("</"), tag...)) {
		return 0
	}
	value := s.text[from : from+end]
	if captions[string(bytes.ToLower(tag))] || !shows(value) || s.w.decide(value).class&name.Secret != 0 {
		return 0
	}
	s.w.edit(&s.l, from, from+end, ruleMarkup, true)
	return from + end
}

// captions are elements that say what something is called, layout those that stand
// beside another whatever is in them.
var (
	captions = map[string]bool{"label": true, "button": true, "option": true, "a": true}
	layout   = map[string]bool{"td": true, "th": true, "li": true, "div": true, "span": true, "p": true}
)

// shows reports whether the content of an element may be a secret, and is no text
// about one.
func shows(value []byte) bool { return hidden(value) && !wordy(value) && !sentence(value) }

// element reads the closing tag at text[at]. If what it closes is the name of a
// secret, the content of the next element is one: <key>password</key>
// <string>…</string>, <td>Password</td><td>…</td>.
func (s *scanner) element(at int) int {
	text, on := s.text, at+len("</")
	first := max(0, at-longestName)
	open := bytes.LastIndexByte(text[first:at], '>')
	if open < 0 {
		return on
	}
	named := bytes.TrimSpace(text[first+open+1 : at])
	if len(named) == 0 || s.w.decide(named).class&name.Secret == 0 {
		return on
	}
	closed, next := tagName(text, on)
	for next < len(text) && next-at < longestName && text[next] <= ' ' {
		next++
	}
	if byteAt(text, next) != '<' || kinds[byteAt(text, next+1)] != kindWord {
		return on
	}
	opened, start := tagName(text, next+1)
	if start == 0 || closed == "th" && opened == "th" || captions[closed] {
		return on
	}
	end := bytes.IndexByte(text[start:min(len(text), start+longestTag)], '<')
	if end < 0 {
		return on
	}
	value := bytes.TrimSpace(text[start : start+end])
	if !shows(value) || layout[closed] && (bytes.IndexByte(value, ' ') >= 0 || identifier(value)) {
		return on
	}
	s.w.edit(&s.l, start, start+end, ruleMarkup, true)
	return start + end
}

// tagName is the name, in lower case, of the tag that is open at text[from], and the
// offset behind it: 0 if it is not closed soon.
func tagName(text []byte, from int) (tag string, end int) {
	end = from
	for end < len(text) && end-from < longestName && text[end] != '>' {
		end++
	}
	if byteAt(text, end) != '>' {
		return "", 0
	}
	word, _, _ := bytes.Cut(text[from:end], []byte(" "))
	return string(bytes.ToLower(word)), end + 1
}
