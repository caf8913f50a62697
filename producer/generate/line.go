package generate

import (
	"strconv"
	"unicode/utf8"
)

// line is one line of compact JSON, made by appending to a buffer that is used
// again for the next event: at the rates wanted, encoding/json would be most of
// the cost. Keys are written as they are and must need no escapes.
type line struct{ buf []byte }

// separate puts the comma before a member or an element, unless it is the first.
// A member's value never ends in an opening bracket, so the last byte tells.
func (l *line) separate() {
	if n := len(l.buf); n > 0 && l.buf[n-1] != '{' && l.buf[n-1] != '[' {
		l.buf = append(l.buf, ',')
	}
}

func (l *line) key(key string) {
	l.separate()
	l.buf = append(l.buf, '"')
	l.buf = append(l.buf, key...)
	l.buf = append(l.buf, '"', ':')
}

// str writes a string member.
func (l *line) str(key, value string) {
	l.key(key)
	l.buf = appendString(l.buf, value)
}

// hex writes a string member of 32 hexadecimal digits.
func (l *line) hex(key string, value [2]uint64) {
	l.key(key)
	l.buf = append(l.buf, '"')
	l.buf = appendHex(l.buf, value[0])
	l.buf = appendHex(l.buf, value[1])
	l.buf = append(l.buf, '"')
}

func (l *line) integer(key string, value int) {
	l.key(key)
	l.buf = strconv.AppendInt(l.buf, int64(value), 10)
}

func (l *line) boolean(key string, value bool) {
	l.key(key)
	l.buf = strconv.AppendBool(l.buf, value)
}

// raw writes a member whose value is JSON already.
func (l *line) raw(key, json string) {
	l.key(key)
	l.buf = append(l.buf, json...)
}

// members writes one or more members that are JSON already, or none.
func (l *line) members(json string) {
	if json != "" {
		l.separate()
		l.buf = append(l.buf, json...)
	}
}

// element writes a string element of a list.
func (l *line) element(value string) {
	l.separate()
	l.buf = appendString(l.buf, value)
}

func (l *line) object(key string) {
	l.key(key)
	l.buf = append(l.buf, '{')
}

func (l *line) list(key string) {
	l.key(key)
	l.buf = append(l.buf, '[')
}

func (l *line) end()     { l.buf = append(l.buf, '}') }
func (l *line) endList() { l.buf = append(l.buf, ']') }

// appendString appends value, valid UTF-8, as a JSON string with the escapes
// that RFC 8259 demands and no others.
func appendString(to []byte, value string) []byte {
	to = append(to, '"')
	start := 0
	for i := range len(value) {
		c := value[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		to = append(to, value[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			to = append(to, '\\', c)
		case '\n':
			to = append(to, '\\', 'n')
		default:
			to = append(to, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	to = append(to, value[start:]...)
	return append(to, '"')
}

const hexDigits = "0123456789abcdef"

// appendHex appends the 16 hexadecimal digits of v.
func appendHex(to []byte, v uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		to = append(to, hexDigits[v>>shift&15])
	}
	return to
}

// appendASCII appends value as the inside of a JSON string in which everything
// beyond ASCII is escaped, and the slash too, as some encoders do.
func appendASCII(to []byte, value string) []byte {
	for _, c := range value {
		switch {
		case c == '"', c == '\\', c == '/':
			to = append(to, '\\', byte(c))
		case c >= 0x20 && c < utf8.RuneSelf:
			to = append(to, byte(c))
		default: // the values in use stay inside the Basic Multilingual Plane
			to = append(to, '\\', 'u', hexDigits[c>>12&15], hexDigits[c>>8&15], hexDigits[c>>4&15], hexDigits[c&15])
		}
	}
	return to
}
