package redact

import "sluice/redactor/redact/name"

// longestTextName is how far back a name in text is looked for, in bytes.
const longestTextName = 96

// nameByte marks what a name in text may consist of.
var nameByte = func() (table [256]bool) {
	for c := range table {
		table[c] = wordByte[c] || c >= 0x80
	}
	for _, c := range []byte("_.-$@%[]*") {
		table[c] = true
	}
	return table
}()

// nameStart is where the name begins that ends at end, at least at from.
func nameStart(text []byte, end, from int) int {
	from = max(from, end-longestTextName)
	start := end
	for start > from && nameByte[text[start-1]] {
		start--
	}
	return start
}

// operatorByte marks what an operator has before its =, closingByte what closes a
// name.
var operatorByte, closingByte = bytesOf(".?:+|"), bytesOf("\"'`]\\)")

func bytesOf(set string) (table [256]bool) {
	for _, c := range []byte(set) {
		table[c] = true
	}
	return table
}

// nameSpan is where a name stands in the text.
type nameSpan struct {
	start, end int
	// quote is the quote right before the name, 0 if there is none.
	quote byte
	// spaced tells that a space stands between the name and the sign.
	spaced bool
}

// nameBefore finds the name before the sign at text[at], which may be in quotes
// and brackets: "password": , env["PASSWORD"] = , password =.
func (s *scanner) nameBefore(at, from int) nameSpan {
	text, end := s.text, at
	if !s.form {
		for end > from && end > at-maxSpaces && operatorByte[text[end-1]] {
			end-- // of an operator: .= ?= ::= +=
		}
		for end > from && end > at-maxAligned && text[end-1] == ' ' {
			end--
		}
	}
	n := nameSpan{spaced: end < at}
	closed := end
	for closed > from && closed > end-maxSpaces && closingByte[text[closed-1]] {
		closed--
	}
	n.end = closed
	n.start = nameStart(text, closed, from)
	if n.start > 0 && kinds[text[n.start-1]] == kindQuote {
		n.quote = text[n.start-1]
	}
	return n
}

const maxSpaces = 4

// maxAligned is how many spaces align a sign with those of other lines.
const maxAligned = 40

// phrase decides about a name of two or three words with spaces between, as
// people write them: "API key: …".
func (s *scanner) phrase(n nameSpan, last decision) decision {
	start := n.start
	for range 2 {
		if start < 2 || s.text[start-1] != ' ' || !wordByte[s.text[start-2]] || start-1 <= s.nameFrom {
			break
		}
		start = nameStart(s.text, start-1, s.nameFrom)
		if d := s.w.decide(s.text[start:n.end]); d.class&name.Secret != 0 {
			return d
		}
		if n.end-start > longestName {
			break
		}
	}
	return last
}
