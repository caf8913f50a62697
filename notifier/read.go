package notifier

import (
	"strings"
	"unicode"

	"sluice/schemas/jsontoken"
)

// Reading text of any size and shape out of an event, never more of it than is
// shown or compared.

// member returns the first of the named members that is there.
func member(t *jsontoken.Tape, i int, names ...string) (int, bool) {
	for _, name := range names {
		if k, ok := t.Member(i, name); ok {
			return k, true
		}
	}
	return 0, false
}

// memberText returns at most limit bytes of the first of the named members that
// has a text.
func memberText(t *jsontoken.Tape, i, limit int, names ...string) string {
	for _, name := range names {
		if k, ok := t.Member(i, name); ok {
			if text := scalarText(t, k, limit); text != "" {
				return text
			}
		}
	}
	return ""
}

// scalarText returns the text of a string, a number or a boolean, at most limit
// bytes of it; "" for everything else.
func scalarText(t *jsontoken.Tape, i, limit int) string {
	switch t.Tokens[i].Kind {
	case jsontoken.String:
		return textHead(t, i, limit)
	case jsontoken.Number, jsontoken.True, jsontoken.False:
		return cutBytes(string(t.Bytes(i)), limit)
	default:
		return ""
	}
}

// textHead returns the first limit bytes of a string, its escapes resolved,
// without reading the rest.
func textHead(t *jsontoken.Tape, i, limit int) string {
	quoted := t.Bytes(i)
	if !t.Tokens[i].Escaped {
		return cutBytes(string(quoted[1:min(len(quoted)-1, limit+utf8Max)]), limit)
	}
	end := 1
	for end < len(quoted)-1 && end < escapedMax*limit {
		switch {
		case quoted[end] != '\\':
			end++
		case quoted[end+1] == 'u':
			end += 6
		default:
			end += 2
		}
	}
	head := append(append(make([]byte, 0, end+1), quoted[:end]...), '"')
	return cutBytes(strings.ToValidUTF8(string(jsontoken.AppendText(nil, head)), ""), limit)
}

// textTail returns the last limit bytes of a string, its escapes resolved.
func textTail(t *jsontoken.Tape, i, limit int) string {
	text := t.Text(i)
	if len(text) <= limit {
		return text
	}
	start := len(text) - limit
	for start < len(text) && text[start]&0xc0 == 0x80 {
		start++
	}
	return text[start:]
}

const (
	// utf8Max is the longest encoding of a character.
	utf8Max = 4
	// escapedMax is how long an escape is that stands for one byte: \u0041.
	escapedMax = 6
)

// titleOf makes a title of the text: its first line that says something, control
// characters as spaces, at most maxTitle characters.
func titleOf(text string) string {
	for line := range strings.Lines(cutBytes(text, maxValueBytes)) {
		line = strings.Join(strings.FieldsFunc(line, func(r rune) bool {
			return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar
		}), " ")
		if line == "" {
			continue
		}
		count := 0
		for at := range line {
			if count++; count == maxTitle {
				if rest := []rune(line[at:]); len(rest) > 1 {
					return strings.TrimRight(line[:at], " ") + "…"
				}
			}
		}
		return line
	}
	return ""
}
