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

// isPlain reports whether in the strings of a text every byte stands for itself:
// it has no backslash and no control character; and whether it is ASCII.
func isPlain(src []byte) (plain, ascii bool) {
	var controls, wide uint64
	rest := src
	for ; len(rest) >= 32; rest = rest[32:] {
		a, b := binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint64(rest[8:])
		c, d := binary.LittleEndian.Uint64(rest[16:]), binary.LittleEndian.Uint64(rest[24:])
		controls |= (a - spaces) | (b - spaces) | (c - spaces) | (d - spaces)
		wide |= a | b | c | d
	}
	for _, c := range rest {
		controls |= uint64(c) - ' '
		wide |= uint64(c)
	}
	ascii = wide&highs == 0
	return ascii && controls&highs == 0 && bytes.IndexByte(src, '\\') < 0, ascii
}

// scanString reads the string that opens at src[i] and returns the offset
// behind its closing quote.
func scanString(src []byte, i int, plain bool) (end int, escaped bool, err error) {
	if plain {
		if n := bytes.IndexByte(src[i+1:], '"'); n >= 0 {
			return i + n + 2, false, nil
		}
		return len(src), false, &SyntaxError{Offset: len(src), reason: "string does not end"}
	}
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
			return i, escaped, &SyntaxError{Offset: i, reason: "string does not end"}
		}
		switch c := src[i]; {
		case c == '"':
			return i + 1, escaped, nil
		case c == '\\':
			escaped = true
			n := escapeLen(src[i:])
			if n == 0 {
				return i, escaped, &SyntaxError{Offset: i, reason: "invalid escape"}
			}
			i += n
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
		if _, ok := hex4(s[2:]); ok {
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

func hex4(s []byte) (r rune, ok bool) {
	if len(s) < 4 {
		return 0, false
	}
	for _, c := range s[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
