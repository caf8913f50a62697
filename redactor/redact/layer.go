package redact

import (
	"unicode/utf8"

	"sluice/schemas/jsontoken"
)

// layer is text with one or more encodings undone, which knows where in the
// source each of its bytes comes from: so a secret found in decoded text is cut
// out of the encoded one, and the rest of that stays as it was.
type layer struct {
	text []byte
	// pos are the offsets in the source of each byte of text and of its end;
	// empty if text stands in the source as it is, from base on.
	pos  []uint32
	base uint32
}

// at is where text[i] comes from.
func (l *layer) at(i int) uint32 {
	if len(l.pos) == 0 {
		return l.base + uint32(i)
	}
	return l.pos[i]
}

// unescape makes l the text of a JSON string that stands in the source.
func (l *layer) unescape(quoted layer) {
	l.text, l.pos = l.text[:0], l.pos[:0]
	s := quoted.text
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			l.text, l.pos = append(l.text, s[i]), append(l.pos, quoted.base+uint32(i))
			i++
			continue
		}
		size := escapeLen(s[i:])
		before := len(l.text)
		var piece [14]byte // an escape, or a pair of them, in quotes
		l.text = jsontoken.AppendText(l.text, append(append(append(piece[:0], '"'), s[i:i+size]...), '"'))
		for range len(l.text) - before {
			l.pos = append(l.pos, quoted.base+uint32(i))
		}
		i += size
	}
	l.pos = append(l.pos, quoted.base+uint32(len(s)))
}

// escapeLen is the length of the valid JSON escape at the start of s: two
// escapes are one where they are the halves of a surrogate pair.
func escapeLen(s []byte) int {
	if s[1] != 'u' {
		return 2
	}
	if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		var piece [14]byte
		var text [2 * utf8.UTFMax]byte
		pair := jsontoken.AppendText(text[:0], append(append(append(piece[:0], '"'), s[:12]...), '"'))
		if utf8.RuneCount(pair) == 1 {
			return 12
		}
	}
	return 6
}

// unpercent makes l the text of an outer layer with its percent-encoding undone,
// and reports whether there was any.
func (l *layer) unpercent(outer layer) bool {
	if !percentEncoded(outer.text) {
		return false
	}
	l.text, l.pos = l.text[:0], l.pos[:0]
	for i := 0; i < len(outer.text); {
		c, size := percentByte(outer.text[i:])
		l.text, l.pos = append(l.text, c), append(l.pos, outer.at(i))
		i += size
	}
	l.pos = append(l.pos, outer.at(len(outer.text)))
	return true
}

func percentEncoded(s []byte) bool {
	for i := range s {
		if s[i] == '%' {
			if _, size := percentByte(s[i:]); size == 3 {
				return true
			}
		}
	}
	return false
}

// percentByte decodes the first byte of s. What is no encoding stands for
// itself, but for the plus sign, which is a space.
func percentByte(s []byte) (c byte, size int) {
	switch {
	case s[0] == '+':
		return ' ', 1
	case s[0] == '%' && len(s) >= 3:
		high, okHigh := unhex(s[1])
		low, okLow := unhex(s[2])
		if okHigh && okLow {
			return high<<4 | low, 3
		}
	}
	return s[0], 1
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
