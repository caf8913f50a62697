package redact

import (
	"bytes"
	"slices"
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

// slice is the part of the layer between two offsets.
func (l *layer) slice(start, end int) layer {
	if len(l.pos) == 0 {
		return layer{text: l.text[start:end], base: l.base + uint32(start)}
	}
	return layer{text: l.text[start:end], pos: l.pos[start : end+1]}
}

// undo makes l the text of an outer layer with its percent-encodings and its
// backslash escapes undone, once each, and reports whether there were any. Both
// at once, since each byte of a layer is then looked at once, however they are
// mixed; what neither is stands for itself.
func (l *layer) undo(outer layer) bool {
	s, changed, n := outer.text, false, 0
	text, pos := room(l.text, len(s)), room(l.pos, len(s)+1) // no layer is longer than the one around it
	for i := 0; i < len(s); {
		c, size := s[i], 1
		switch {
		case c == '%':
			from := i
			if i, n = undoPercent(text, pos, &outer, i, n); i > from {
				changed = true
				continue
			}
		case c == '&':
			if long := entity(s[i:]); long > 0 {
				c, size, changed = entities[string(s[i+1:i+long-1])], long, true
			}
		case c == '\\' && i+1 < len(s):
			l.text, l.pos = text[:n], pos[:n]
			if long := l.unescapeOne(&outer, i); long > 0 {
				i, n, changed = i+long, len(l.text), true
				continue
			}
		}
		text[n], pos[n] = c, outer.at(i)
		i += size
		n++
	}
	pos[n] = outer.at(len(s))
	l.text, l.pos = text[:n], pos[:n+1]
	return changed
}

// undoPercent undoes the percent-encoded bytes that begin at that offset of the outer
// layer, into text[n:] and pos[n:], and returns the offsets behind them.
func undoPercent(text []byte, pos []uint32, outer *layer, i, n int) (next, end int) {
	for s := outer.text; len(s)-i > 2 && s[i] == '%'; i += 3 {
		encoded := s[i : i+3]
		c := jsontoken.HexValue(encoded[1])<<4 | jsontoken.HexValue(encoded[2])
		if jsontoken.HexValue(encoded[1])|jsontoken.HexValue(encoded[2]) > 0xf {
			break
		}
		text[n], pos[n] = c, outer.at(i)
		n++
	}
	return i, n
}

// room is a slice of that length in the memory of another, if it is there.
func room[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

// entities are the character references of HTML and XML that take the place of
// signs around names and values.
var entities = map[string]byte{
	"quot": '"', "#34": '"', "#x22": '"', "apos": '\'', "#39": '\'', "#x27": '\'', "amp": '&', "#38": '&', "lt": '<', "gt": '>', "#61": '=', "#x3D": '=', "#x3d": '=',
}

// entity is the length of the character reference at the start of s, 0 if there is
// none.
func entity(s []byte) int {
	const longest = len("&quot;")
	if end := bytes.IndexByte(s[:min(len(s), longest)], ';'); end > 1 && entities[string(s[1:end])] != 0 {
		return end + 1
	}
	return 0
}

// unescapeOne appends what the backslash escape at that offset of the outer layer
// stands for, and returns its length, 0 if it is none. Escapes of JSON, and \xNN
// and \' as other languages write them.
func (l *layer) unescapeOne(outer *layer, i int) int {
	s := outer.text[i:]
	c := s[1]
	switch c {
	case '"', '\\', '/', '\'':
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'x':
		if len(s) < 4 {
			return 0
		}
		high, okHigh := unhex(s[2])
		low, okLow := unhex(s[3])
		if !okHigh || !okLow {
			return 0
		}
		l.text, l.pos = append(l.text, high<<4|low), append(l.pos, outer.at(i))
		return 4
	case 'u':
		return l.unescapeUnicode(outer, i)
	default:
		return 0
	}
	l.text, l.pos = append(l.text, c), append(l.pos, outer.at(i))
	return 2
}

// unescapeUnicode is unescapeOne for \uXXXX and for pairs of them that are one
// character.
func (l *layer) unescapeUnicode(outer *layer, i int) int {
	s := outer.text[i:]
	r, ok := hex4(s)
	if !ok {
		return 0
	}
	if r < utf8.RuneSelf {
		l.text, l.pos = append(l.text, byte(r)), append(l.pos, outer.at(i))
		return 6
	}
	size := 6
	if 0xd800 <= r && r < 0xdc00 && len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if low, ok := hex4(s[6:]); ok && 0xdc00 <= low && low < 0xe000 {
			r, size = (r-0xd800)<<10+(low-0xdc00)+0x10000, 12
		}
	}
	before := len(l.text)
	l.text = utf8.AppendRune(l.text, r) // a lone surrogate is U+FFFD
	for range len(l.text) - before {
		l.pos = append(l.pos, outer.at(i))
	}
	return size
}

// hex4 is the number of the escape \uXXXX at the start of s.
func hex4(s []byte) (r rune, ok bool) {
	if len(s) < 6 {
		return 0, false
	}
	a, b, c, d := jsontoken.HexValue(s[2]), jsontoken.HexValue(s[3]), jsontoken.HexValue(s[4]), jsontoken.HexValue(s[5])
	return rune(a)<<12 | rune(b)<<8 | rune(c)<<4 | rune(d), a|b|c|d <= 0xf
}

func unhex(c byte) (byte, bool) {
	v := jsontoken.HexValue(c)
	return v, v <= 0xf
}

// appendUnpercent appends s with its percent-encoding undone once.
func appendUnpercent(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, okHigh := unhex(s[i+1])
			low, okLow := unhex(s[i+2])
			if okHigh && okLow {
				dst = append(dst, high<<4|low)
				i += 2
				continue
			}
		}
		dst = append(dst, s[i])
	}
	return dst
}

// text makes the layer of the text of a JSON string that is a token of the
// document, in the memory of into where it has escapes.
func (d *document) text(tok jsontoken.Token, into *layer) layer {
	if !tok.Escaped && len(d.layer.pos) == 0 {
		return layer{text: d.layer.text[tok.Start+1 : tok.End-1], base: d.layer.base + tok.Start + 1}
	}
	inner := d.layer.slice(int(tok.Start)+1, int(tok.End)-1)
	if !tok.Escaped {
		return inner
	}
	into.unescape(inner)
	return *into
}

// unescape makes l the text of a valid JSON string, whose quotes are left out.
func (l *layer) unescape(outer layer) {
	s := outer.text
	l.text, l.pos = slices.Grow(l.text[:0], len(s)), slices.Grow(l.pos[:0], len(s)+1)
	for i := 0; i < len(s); {
		switch c, ok := asciiEscape(s[i:]); {
		case ok:
			l.text, l.pos = append(l.text, c), append(l.pos, outer.at(i))
			i += 6
		case s[i] == '\\':
			i += l.unescapeOne(&outer, i)
		default:
			l.text, l.pos = append(l.text, s[i]), append(l.pos, outer.at(i))
			i++
		}
	}
	l.pos = append(l.pos, outer.at(len(s)))
}

// asciiEscape is the character of the escape \u00XX at the start of s, if it is one of
// ASCII: text that is nothing but these is to take no longer than other text.
func asciiEscape(s []byte) (c byte, ok bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' || s[2] != '0' || s[3] != '0' {
		return 0, false
	}
	c = jsontoken.HexValue(s[4])<<4 | jsontoken.HexValue(s[5])
	return c, jsontoken.HexValue(s[4]) < 8 && jsontoken.HexValue(s[5]) <= 0xf
}
