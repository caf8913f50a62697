package jsontoken

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

func skipSpace(src []byte, i int) int {
	for i < len(src) && src[i] <= ' ' && blanks&(1<<src[i]) != 0 {
		i++
	}
	return i
}

// blanks has a bit for each byte that is white space.
const blanks = 1<<' ' | 1<<'\n' | 1<<'\t' | 1<<'\r'

// Eight bytes at once: each of them is this byte.
const (
	ones   = 0x0101010101010101
	highs  = 0x80 * ones
	spaces = ' ' * ones
	quotes = '"' * ones
	slants = '\\' * ones
	// A quote with this bit flipped is a space, and control characters are control
	// characters still.
	flips = ('"' ^ ' ') * ones
)

// special has the high bit set of the first byte of the word that does not stand
// for itself inside a string: a quote, a backslash, a control character. Bytes
// behind that one may be marked in error.
func special(word uint64) uint64 {
	return ((word ^ flips - spaces - ones) | (word ^ slants - ones)) &^ word & highs
}

// mark sets a bit in t.quotes for each byte of src that is a quote, and tells whether
// in its strings every byte stands for itself: there is no backslash and no control
// character, and all is ASCII. The bits are right only then.
func (t *Tape) mark(src []byte) (ascii bool) {
	t.quotes = t.quotes[:0]
	var controls, wide uint64
	rest := src
	for ; len(rest) >= 64; rest = rest[64:] {
		a, b := binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint64(rest[8:])
		c, d := binary.LittleEndian.Uint64(rest[16:]), binary.LittleEndian.Uint64(rest[24:])
		e, f := binary.LittleEndian.Uint64(rest[32:]), binary.LittleEndian.Uint64(rest[40:])
		g, h := binary.LittleEndian.Uint64(rest[48:]), binary.LittleEndian.Uint64(rest[56:])
		controls |= (a - spaces) | (b - spaces) | (c - spaces) | (d - spaces) | (e - spaces) | (f - spaces) | (g - spaces) | (h - spaces)
		wide |= a | b | c | d | e | f | g | h
		t.quotes = append(t.quotes, quoteBits(a)|quoteBits(b)<<8|quoteBits(c)<<16|quoteBits(d)<<24|
			quoteBits(e)<<32|quoteBits(f)<<40|quoteBits(g)<<48|quoteBits(h)<<56)
	}
	var last uint64
	for i, c := range rest {
		controls |= uint64(c) - ' '
		wide |= uint64(c)
		if c == '"' {
			last |= 1 << i
		}
	}
	t.quotes = append(t.quotes, last)
	ascii = wide&highs == 0
	t.plain = ascii && controls&highs == 0 && bytes.IndexByte(src, '\\') < 0
	return ascii
}

// quoteBits has a bit for each of eight bytes of ASCII, the first one lowest, that is
// a quote: the high bits of those that are, gathered in the high byte.
func quoteBits(word uint64) uint64 {
	const gather = 1<<56 | 1<<49 | 1<<42 | 1<<35 | 1<<28 | 1<<21 | 1<<14 | 1<<7
	return (^((word ^ quotes) + 0x7f*ones) & highs >> 7) * gather >> 56
}

// nextQuote is the offset of the first quote at or behind i, -1 if there is none.
func (t *Tape) nextQuote(i int) int {
	at := i >> 6
	if at >= len(t.quotes) {
		return -1
	}
	if bit := t.quotes[at] >> (i & 63); bit != 0 {
		return i + bits.TrailingZeros64(bit)
	}
	for at++; at < len(t.quotes); at++ {
		if bit := t.quotes[at]; bit != 0 {
			return at<<6 + bits.TrailingZeros64(bit)
		}
	}
	return -1
}

// scanString reads the string that opens at src[i] and returns the offset
// behind its closing quote.
func (t *Tape) scanString(src []byte, i int) (end int, escaped bool, err error) {
	if t.plain {
		if end = t.nextQuote(i + 1); end >= 0 {
			return end + 1, false, nil
		}
		return len(src), false, errString(len(src))
	}
	return scanEscaped(src, i)
}

func errString(at int) error { return &SyntaxError{Offset: at, reason: "string does not end"} }

// scanEscaped is scanString for a text that may have escapes.
func scanEscaped(src []byte, i int) (end int, escaped bool, err error) {
	for i++; ; {
		rest := src[i:]
		for len(rest) >= 8 {
			if found := special(binary.LittleEndian.Uint64(rest)); found != 0 {
				rest = rest[bits.TrailingZeros64(found)/8:]
				break
			}
			rest = rest[8:]
		}
		i = len(src) - len(rest)
		if i >= len(src) {
			return i, escaped, errString(i)
		}
		switch c := src[i]; {
		case c == '"':
			return i + 1, escaped, nil
		case c == '\\':
			escaped = true
			for i < len(src) && src[i] == '\\' {
				n := escapeLen(src[i:])
				if n == 0 {
					return i, escaped, &SyntaxError{Offset: i, reason: "invalid escape"}
				}
				i += n
			}
		case c < ' ':
			return i, escaped, &SyntaxError{Offset: i, reason: "control character in a string"}
		default:
			i++ // one of the last eight of the text
		}
	}
}

// escapeLen returns the length of the escape at the start of s, 0 if it is not one.
func escapeLen(s []byte) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(s) >= 6 && hexValue[s[2]]|hexValue[s[3]]|hexValue[s[4]]|hexValue[s[5]] <= 0xf {
			return 6
		}
	}
	return 0
}

// scanNumber reads the number that starts at src[i].
func scanNumber(src []byte, i int) (end int, err error) {
	start := i
	if src[i] == '-' {
		i++
	}
	switch {
	case i < len(src) && src[i] == '0':
		i++
	case i < len(src) && '1' <= src[i] && src[i] <= '9':
		i = skipDigits(src, i)
	default:
		return i, &SyntaxError{Offset: start, reason: "invalid number"}
	}
	if i < len(src) && src[i] == '.' {
		digits := skipDigits(src, i+1)
		if digits == i+1 {
			return i, &SyntaxError{Offset: start, reason: "invalid number"}
		}
		i = digits
	}
	if i < len(src) && (src[i] == 'e' || src[i] == 'E') {
		i++
		if i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		digits := skipDigits(src, i)
		if digits == i {
			return i, &SyntaxError{Offset: start, reason: "invalid number"}
		}
		i = digits
	}
	return i, nil
}

func skipDigits(src []byte, i int) int {
	for i < len(src) && '0' <= src[i] && src[i] <= '9' {
		i++
	}
	return i
}

func scanLiteral(src []byte, i int, word string) (end int, err error) {
	if len(src)-i < len(word) || string(src[i:i+len(word)]) != word {
		return i, &SyntaxError{Offset: i, reason: "expected a value"}
	}
	return i + len(word), nil
}

// hex4 is the number of four hexadecimal digits.
func hex4(s []byte) rune {
	_ = s[3]
	return rune(hexValue[s[0]])<<12 | rune(hexValue[s[1]])<<8 | rune(hexValue[s[2]])<<4 | rune(hexValue[s[3]])
}

// HexValue is the value of a byte as a hexadecimal digit, 255 for none.
func HexValue(c byte) byte { return hexValue[c] }

var hexValue = func() (table [256]byte) {
	for c := range table {
		table[c] = 0xff
	}
	for i := range 10 {
		table['0'+i] = byte(i)
	}
	for i := range 6 {
		table['a'+i], table['A'+i] = byte(10+i), byte(10+i)
	}
	return table
}()
