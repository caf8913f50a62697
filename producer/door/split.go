package door

import (
	"bytes"
	"errors"
)

// piece is the text of one event in a body.
type piece struct {
	text []byte
	// line is where it begins, counted from 1; NDJSON alone has lines.
	line int
}

// maxEvents is how many events one request may bring: ten of the broker's batches.
const maxEvents = 10_000

var (
	errEmpty     = errors.New("the body is empty")
	errTruncated = errors.New("the JSON does not end, or something follows it")
	errTooMany   = errors.New("more than 10000 events")
)

// splitLines cuts NDJSON into its events; blank lines are none.
func splitLines(text []byte) ([]piece, error) {
	var pieces []piece
	for number := 1; len(text) > 0; number++ {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if len(pieces) == maxEvents {
			return nil, errTooMany
		}
		pieces = append(pieces, piece{text: line, line: number})
	}
	if len(pieces) == 0 {
		return nil, errEmpty
	}
	return pieces, nil
}

// splitJSON cuts a JSON array into its elements; any other text is one event. It
// looks at brackets, commas and strings alone: whether an element is valid JSON,
// the encoder says.
func splitJSON(text []byte) (pieces []piece, array bool, err error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, false, errEmpty
	}
	if text[0] != '[' {
		return []piece{{text: text}}, false, nil
	}
	if pieces, err = splitArray(text); err == nil && len(pieces) == 0 {
		err = errEmpty
	}
	return pieces, true, err
}

func splitArray(text []byte) ([]piece, error) {
	var pieces []piece
	depth, start, quoted := 0, 1, false
	add := func(end int, last bool) error {
		element := bytes.TrimSpace(text[start:end])
		if last && len(element) == 0 && len(pieces) == 0 {
			return nil
		}
		if len(pieces) == maxEvents {
			return errTooMany
		}
		pieces = append(pieces, piece{text: element})
		start = end + 1
		return nil
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if quoted {
			switch c {
			case '\\':
				i++
			case '"':
				quoted = false
			}
			continue
		}
		switch c {
		case '"':
			quoted = true
		case '[', '{':
			depth++
		case ',':
			if depth == 1 {
				if err := add(i, false); err != nil {
					return nil, err
				}
			}
		case ']', '}':
			if depth--; depth > 0 {
				continue
			}
			if c != ']' || i != len(text)-1 {
				return nil, errTruncated
			}
			return pieces, add(i, true)
		}
	}
	return nil, errTruncated
}
