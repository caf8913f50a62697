package redact

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Path is a set of places in an event, given as a JSONPath (RFC 9535) of names,
// indices, wildcards and descents: $.context.ssn, $.a['x y'], $.a[*].b, $.a[0],
// $..ssn.
type Path struct {
	text  string
	steps []step
}

// step is one segment of a path.
type step struct {
	name    string
	index   int  // -1 if the step is a name or any
	any     bool // * or [*]
	descend bool // .. before it: at any depth below
}

// maxSteps is how long a path can be: its progress is kept in 64 bits.
const maxSteps = 62

// ParsePath reads a path.
func ParsePath(text string) (Path, error) {
	p := Path{text: text}
	if !utf8.ValidString(text) || !strings.HasPrefix(text, "$") {
		return Path{}, errors.New("read path: it must begin with $")
	}
	for rest := text[1:]; rest != ""; {
		s := step{index: -1}
		var err error
		if rest, err = s.parse(rest); err != nil {
			return Path{}, fmt.Errorf("read path at character %d: %w", utf8.RuneCountInString(text[:len(text)-len(rest)])+1, err)
		}
		p.steps = append(p.steps, s)
	}
	switch {
	case len(p.steps) == 0:
		return Path{}, errors.New("read path: $ alone is the whole event")
	case len(p.steps) > maxSteps:
		return Path{}, fmt.Errorf("read path: %d steps of at most %d", len(p.steps), maxSteps)
	}
	return p, nil
}

// String returns the path as it was written.
func (p Path) String() string { return p.text }

var (
	errStep    = errors.New("expected .name, ..name, .*, ['name'], [0] or [*]")
	errBracket = errors.New("expected 'name', an index or * and ]")
)

// parse reads one step off the front of text and returns the rest.
func (s *step) parse(text string) (rest string, err error) {
	if after, ok := strings.CutPrefix(text, ".."); ok {
		s.descend = true
		if strings.HasPrefix(after, "[") {
			return s.parseBracket(after)
		}
		return s.parseName(text, after)
	}
	if after, ok := strings.CutPrefix(text, "."); ok {
		return s.parseName(text, after)
	}
	if strings.HasPrefix(text, "[") {
		return s.parseBracket(text)
	}
	return text, errStep
}

func (s *step) parseName(all, text string) (rest string, err error) {
	if after, ok := strings.CutPrefix(text, "*"); ok {
		s.any = true
		return after, nil
	}
	end := strings.IndexAny(text, ".[")
	if end < 0 {
		end = len(text)
	}
	s.name = text[:end]
	if s.name == "" || strings.ContainsAny(s.name, " '\"]*?@()") {
		return all, errStep
	}
	return text[end:], nil
}

func (s *step) parseBracket(text string) (rest string, err error) {
	inner := text[1:]
	if after, ok := strings.CutPrefix(inner, "*]"); ok {
		s.any = true
		return after, nil
	}
	if inner != "" && (inner[0] == '\'' || inner[0] == '"') {
		return s.parseQuoted(text)
	}
	digits, after, ok := strings.Cut(inner, "]")
	n, err := strconv.ParseUint(digits, 10, 31)
	if !ok || err != nil || strconv.FormatUint(n, 10) != digits {
		return text, errBracket
	}
	s.index = int(n)
	return after, nil
}

// parseQuoted reads ['name'], in which a backslash keeps the next character.
func (s *step) parseQuoted(text string) (rest string, err error) {
	quote, inner := text[1], text[2:]
	var name strings.Builder
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '\\':
			i++
			if i == len(inner) {
				return text, errBracket
			}
			name.WriteByte(inner[i])
		case quote:
			if i+1 == len(inner) || inner[i+1] != ']' {
				return text, errBracket
			}
			s.name = name.String()
			return inner[i+2:], nil
		default:
			name.WriteByte(inner[i])
		}
	}
	return text, errBracket
}

// progress is how far a path has been followed down to some place: bit i tells
// that steps[:i] lead there, bit len(steps) that the place is in the set.
type progress uint64

// down is the progress one level below, at the member or the element.
func (p Path) down(at progress, name []byte, index int) progress {
	below := at & (1 << len(p.steps)) // below what is in the set is in it too
	for i := range p.steps {
		if at&(1<<i) == 0 {
			continue
		}
		s := &p.steps[i]
		if s.descend {
			below |= 1 << i
		}
		if s.any || index >= 0 && s.index == index || index < 0 && s.index < 0 && s.name == string(name) {
			below |= 1 << (i + 1)
		}
	}
	return below
}

// reached reports whether the place is in the set, or below one that is.
func (p Path) reached(at progress) bool { return at&(1<<len(p.steps)) != 0 }
