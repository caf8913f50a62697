package redact

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"sluice/schemas"
)

// maxUndone is how often encodings of a text are undone: JSON in strings four
// levels deep, and percent-encoding three.
const maxUndone = 7

// inspect finds the secrets in a text: in the text as it is, then with its
// encodings undone, again and again until there are none left. Each layer is read
// as a whole, so the work is bounded by the size and maxUndone, and no layer is
// overlooked for being in an unexpected place. What an outer layer masked covers
// what an inner one finds in it. form tells that the text is a query string.
func (w *walk) inspect(l layer, depth int, form bool) {
	for level := range maxUndone + 1 {
		if len(l.text) < shortestText {
			return
		}
		if w.nested(l, depth) {
			return
		}
		s := &w.scanners[depth]
		s.begin(w, l, depth, form && bytes.IndexByte(l.text, ' ') < 0)
		s.scan()
		if !s.encoded || level == maxUndone {
			return
		}
		next := &w.layers[depth][1+level%2]
		if !next.undo(l) {
			return
		}
		l = *next
	}
}

// nested visits the text as a JSON document, if it is one: an object, a list, or
// a string once more.
func (w *walk) nested(l layer, depth int) bool {
	start, end := 0, len(l.text)
	for start < end && l.text[start] <= ' ' {
		start++
	}
	for end > start && l.text[end-1] <= ' ' {
		end--
	}
	if depth == maxNesting || end-start < shortestText || !opensJSON(l.text[start:end]) {
		return false
	}
	closing := l.text[start]
	switch closing {
	case '{':
		closing = '}'
	case '[':
		closing = ']'
	}
	return l.text[end-1] == closing && w.visitNested(l, depth)
}

// opensJSON reports whether a text may be JSON, by its first bytes: most that
// begin with a bracket are not, and reading them costs more than a look.
func opensJSON(text []byte) bool {
	next := text[1]
	switch text[0] {
	case '{':
		return next == '"' || next <= ' '
	case '[':
		return next <= ' ' || kinds[next] == kindDigit || strings.IndexByte(`"{[-tfn`, next) >= 0
	case '"':
		return true
	}
	return false
}

// visitNested visits the layer as a JSON document and reports whether it is one.
func (w *walk) visitNested(l layer, depth int) bool {
	d := &w.docs[depth+1]
	if d.tape.Parse(l.text, schemas.MaxDepth) != nil {
		return false
	}
	d.layer, d.tokens = l, d.tape.Tokens
	// The error is about the size of what was written, and nothing was.
	_ = w.visit(d, depth+1)
	return true
}

// within finds the secrets in a text that is decoded from a part of another, and
// reports by which rule the first one was found. What it found is not noted: it
// stands nowhere in the source.
func (w *walk) within(text []byte, depth int) (rule, bool) {
	before := len(w.edits)
	digests := len(w.digests)
	w.inspect(layer{text: text}, depth, false)
	if len(w.edits) == before {
		return 0, false
	}
	by := w.edits[before].by
	w.edits, w.digests = w.edits[:before], w.digests[:digests]
	return by, true
}

// embedded visits the JSON that begins with the bracket at text[at], and returns
// where it ends, 0 if there is none. A text may hold some; after a few attempts in
// vain it is no longer tried.
func (s *scanner) embedded(at int) int {
	if s.vain >= maxVain || s.depth == maxNesting || len(s.text)-at < shortestText || !opensJSON(s.text[at:]) {
		return 0
	}
	if s.text[at] == '[' && at > 0 && wordByte[s.text[at-1]] {
		return 0 // an index: env["PASSWORD"]
	}
	end := bracketEnd(s.text, at)
	if end > 0 && s.text[at] == '[' && end-at <= longestName {
		if next := byteAt(s.text, skipSpaces(s.text, end)); next == '=' || next == ':' {
			return 0 // a key: ["PASSWORD"] =
		}
	}
	if end > 0 && s.w.visitNested(s.l.slice(at, end), s.depth) {
		return end
	}
	s.vain++
	return 0
}

// maxVain is how many texts that look like JSON and are not are tried.
const maxVain = 3

// bracketEnd is the offset behind the bracket that closes the one at text[at],
// leaving out what stands in double quotes; 0 if there is none.
func bracketEnd(text []byte, at int) int {
	open, quoted := 0, false
	for i := at; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[' || c == '(':
			open++
		case c == '}' || c == ']' || c == ')':
			if open--; open == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// base64Run looks into the run of base64 that begins at text[start], and returns
// where it ends if a secret is in it, which is then masked as a whole. Behind a
// slash, which may be one of the path's, it is the run up to the next one: so that
// each byte is decoded twice at most.
func (s *scanner) base64Run(start int) (end int, ok bool) {
	if s.depth == maxNesting || !base64Text(s.text[start:]) {
		return 0, false
	}
	segment := start > 0 && s.text[start-1] == '/'
	end = start
	for end < len(s.text) && base64Value[s.text[end]] < 64 && (!segment || s.text[end] != '/') {
		end++
	}
	buf := &s.w.base64[s.depth]
	*buf = appendBase64((*buf)[:0], s.text[start:end])
	for end < len(s.text) && s.text[end] == '=' {
		end++
	}
	by, ok := s.w.within(*buf, s.depth+1)
	if ok {
		s.w.edit(&s.l, start, end, by, true)
	}
	return end, ok
}

// shortestBase64 is the shortest run that is looked into: 12 bytes of text.
const shortestBase64 = 16

// base64Text reports whether s begins with base64 of text: the first three bytes
// are of ASCII, the next nine of any text. Those of a word, of hexadecimal digits
// or of an image hardly ever are.
func base64Text(s []byte) bool {
	if len(s) < shortestBase64 {
		return false
	}
	for i := 0; i < shortestBase64; i += 4 {
		a, b, c, d := base64Value[s[i]], base64Value[s[i+1]], base64Value[s[i+2]], base64Value[s[i+3]]
		if (a|b|c|d)&0xc0 != 0 {
			return false
		}
		one, two, three := a<<2|b>>4, b<<4|c>>2, c<<6|d
		if i == 0 && (one|two|three)&0x80 != 0 || !textByte[one] || !textByte[two] || !textByte[three] {
			return false
		}
	}
	return true
}

// appendBase64 appends what the base64 at the start of s stands for, in either
// alphabet, as far as it is text.
func appendBase64(dst, s []byte) []byte {
	var bits, n uint32
	first := len(dst)
	for _, c := range s {
		v := base64Value[c]
		if v >= 64 {
			break
		}
		bits, n = bits<<6|uint32(v), n+6
		if n >= 8 {
			n -= 8
			dst = append(dst, byte(bits>>n))
		}
	}
	if !utf8.Valid(dst[first:]) {
		for i := first; i < len(dst); {
			r, size := utf8.DecodeRune(dst[i:])
			if r == utf8.RuneError && size == 1 {
				return dst[:i]
			}
			i += size
		}
	}
	return dst
}

// base64Value is the value of a byte in the alphabets of RFC 4648, 64 for none.
var base64Value = func() (table [256]byte) {
	for i := range table {
		table[i] = 64
	}
	for i := range 26 {
		table['A'+i], table['a'+i] = byte(i), byte(26+i)
	}
	for i := range 10 {
		table['0'+i] = byte(52 + i)
	}
	table['+'], table['-'], table['/'], table['_'] = 62, 62, 63, 63
	return table
}()

// textByte marks the bytes that text in UTF-8 may have.
var textByte = func() (table [256]bool) {
	for c := range table {
		table[c] = c >= ' ' && c != 0x7f || c == '\n' || c == '\r' || c == '\t'
	}
	return table
}()

// indexFrom is bytes.Index from an offset on.
func indexFrom(text, part []byte, from int) int {
	if from > len(text) {
		return -1
	}
	if i := bytes.Index(text[from:], part); i >= 0 {
		return from + i
	}
	return -1
}
