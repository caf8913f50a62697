// Package jsontoken reads JSON text into a flat tape of tokens that point into
// the original bytes.
//
// It is the one JSON reader on the path of an event: what it accepts is exactly
// RFC 8259 in valid UTF-8, and because a token is a span of the input, whoever
// writes the event out again can copy every byte that it does not change. It
// promises one pass, no recursion and memory in proportion to the input,
// whatever the input is. It does not build values, keep copies or decide
// anything about the content; duplicate keys are all on the tape.
package jsontoken

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Kind is the type of a JSON value.
type Kind uint8

// The kinds of JSON values.
const (
	Null Kind = iota
	False
	True
	Number
	String
	Object
	Array
)

// Token is one value or one object key of the parsed text.
type Token struct {
	// Start and End are the half-open span of the token in the source, quotes
	// and brackets included.
	Start, End uint32
	// Next is the index of the token that follows this one and everything
	// inside it: what lies between are its children. An object's children
	// alternate between keys and values.
	Next uint32
	Kind Kind
	// Key tells that the token is the name of an object's member.
	Key bool
	// Escaped tells that a string holds at least one backslash, so its text
	// differs from its bytes.
	Escaped bool
}

// ErrDepth is returned for text nested deeper than the caller's limit; such
// text may or may not be valid JSON further on.
var ErrDepth = errors.New("nested too deep")

// SyntaxError says where the text stops being JSON. It never quotes the text.
type SyntaxError struct {
	// Offset is the byte offset at which the text cannot be continued.
	Offset int
	reason string
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid JSON at byte %d: %s", e.Offset, e.reason)
}

// Tape is the parsed form of one JSON text. The zero value is ready to use; a
// Tape that is used again keeps its memory. It is not safe for concurrent use.
type Tape struct {
	// Tokens are the values and keys in the order of the text; Tokens[0] is the
	// root. They are valid until the next call of Parse.
	Tokens []Token
	src    []byte
	quotes []uint64 // a bit for each byte that is a quote, if plain
	plain  bool     // every byte of a string stands for itself
}

// Parse reads src, which must stay unchanged while the tape is in use.
// maxDepth is how many arrays and objects may be open at once. On error the
// tape is empty.
func (t *Tape) Parse(src []byte, maxDepth int) error {
	t.Tokens, t.src = t.Tokens[:0], src
	err := t.parse(src, maxDepth)
	if err != nil {
		t.Tokens = t.Tokens[:0]
	}
	return err
}

// Bytes returns the source bytes of a token, quotes and brackets included.
func (t *Tape) Bytes(i int) []byte {
	tok := t.Tokens[i]
	return t.src[tok.Start:tok.End:tok.End]
}

// Member returns the index of the value of the last member with that name
// (the one that most JSON readers keep of duplicates) in the object at index i.
func (t *Tape) Member(i int, name string) (int, bool) {
	if t.Tokens[i].Kind != Object {
		return 0, false
	}
	found := -1
	for k := i + 1; k < int(t.Tokens[i].Next); k = int(t.Tokens[k+1].Next) {
		if t.TextIs(k, name) {
			found = k + 1
		}
	}
	return found, found >= 0
}

// Lookup follows a path of member names down from the value at index i.
func (t *Tape) Lookup(i int, path ...string) (int, bool) {
	for _, name := range path {
		next, ok := t.Member(i, name)
		if !ok {
			return 0, false
		}
		i = next
	}
	return i, true
}

// TextIs reports whether what is at index i is a string whose text, escapes
// resolved, is want.
func (t *Tape) TextIs(i int, want string) bool {
	tok := t.Tokens[i]
	if tok.Kind != String {
		return false
	}
	if !tok.Escaped {
		return string(t.src[tok.Start+1:tok.End-1]) == want
	}
	// Text is never longer than its bytes, nor shorter than a sixth of them.
	if n := int(tok.End-tok.Start) - 2; n < len(want) || n > 6*len(want) {
		return false
	}
	return string(AppendText(nil, t.Bytes(i))) == want
}

// Text returns the text of the string at index i with its escapes resolved.
func (t *Tape) Text(i int) string {
	tok := t.Tokens[i]
	if !tok.Escaped {
		return string(t.src[tok.Start+1 : tok.End-1])
	}
	return string(AppendText(nil, t.Bytes(i)))
}

// none is the index of no token.
const none = math.MaxUint32

// parse reads the whole text: perhaps a name, a value, what closes behind it, a
// comma, and so on. A container that is open keeps the index of the one around it
// in its Next.
func (t *Tape) parse(src []byte, maxDepth int) error {
	if uint64(len(src)) > math.MaxUint32 {
		return &SyntaxError{Offset: math.MaxUint32, reason: "text is longer than 4 GiB"}
	}
	if !t.mark(src) && !utf8.Valid(src) {
		return &SyntaxError{Offset: invalidUTF8(src), reason: "not UTF-8"}
	}
	var err error
	tokens, n := t.Tokens[:cap(t.Tokens)], 0
	open, object, depth := uint32(none), false, 0
	for i := skipSpace(src, 0); ; {
		if len(tokens)-n < 2 { // room for a name and its value
			tokens = append(tokens, make([]Token, max(minTokens, len(tokens)))...)
			t.Tokens = tokens
		}
		if object {
			if i, err = t.readName(src, i, &tokens[n], n); err != nil {
				return err
			}
			n++
		}
		tok := &tokens[n]
		n++
		if i, err = t.readValue(src, i, tok, n); err != nil {
			return err
		}
		if tok.Kind >= Object {
			if depth++; depth > maxDepth {
				return ErrDepth
			}
			tok.Next, open, object = open, uint32(n-1), tok.Kind == Object
			if i = skipSpace(src, i); i >= len(src) || src[i] != '}' && src[i] != ']' {
				continue
			}
		}
		for i = skipSpace(src, i); open != none; i = skipSpace(src, i+1) {
			if i < len(src) && src[i] == ',' {
				break
			}
			top := &tokens[open]
			if err := closes(src, i, top.Kind); err != nil {
				return err
			}
			open, top.Next, top.End = top.Next, uint32(n), uint32(i+1)
			object = open != none && tokens[open].Kind == Object
			depth--
		}
		if open == none {
			t.Tokens = tokens[:n]
			return atEnd(src, i)
		}
		i = skipSpace(src, i+1) // behind the comma
	}
}

// minTokens is for how many tokens a tape has room at first.
const minTokens = 64

// readValue reads a scalar, or the bracket that opens a container, at src[i] into
// tok, behind which the token at index next is.
func (t *Tape) readValue(src []byte, i int, tok *Token, next int) (end int, err error) {
	if i >= len(src) {
		return i, &SyntaxError{Offset: i, reason: "text ends too early"}
	}
	tok.Start, tok.Next, tok.Key, tok.Escaped = uint32(i), uint32(next), false, false
	switch c := src[i]; {
	case c == '"':
		tok.Kind = String
		end, tok.Escaped, err = t.scanString(src, i)
	case c == '{':
		tok.Kind, end = Object, i+1
	case c == '[':
		tok.Kind, end = Array, i+1
	case c == '-' || '0' <= c && c <= '9':
		tok.Kind = Number
		end, err = scanNumber(src, i)
	case c == 't':
		tok.Kind = True
		end, err = scanLiteral(src, i, "true")
	case c == 'f':
		tok.Kind = False
		end, err = scanLiteral(src, i, "false")
	case c == 'n':
		tok.Kind = Null
		end, err = scanLiteral(src, i, "null")
	default:
		return i, &SyntaxError{Offset: i, reason: "expected a value"}
	}
	tok.End = uint32(end)
	return end, err
}

// readName reads a member's name at src[i] into tok, which has that index, and the
// colon behind it, up to its value.
func (t *Tape) readName(src []byte, i int, tok *Token, index int) (end int, err error) {
	switch {
	case i >= len(src):
		return i, &SyntaxError{Offset: i, reason: "text ends too early"}
	case src[i] != '"':
		return i, &SyntaxError{Offset: i, reason: "expected a member name"}
	}
	tok.Start, tok.Next, tok.Kind, tok.Key = uint32(i), uint32(index+1), String, true
	if i, tok.Escaped, err = t.scanString(src, i); err != nil {
		return i, err
	}
	tok.End = uint32(i)
	i = skipSpace(src, i)
	if i >= len(src) || src[i] != ':' {
		return i, &SyntaxError{Offset: i, reason: "expected a colon"}
	}
	return skipSpace(src, i+1), nil
}

// closes tells what is wrong with src[i] where a container of that kind may end.
func closes(src []byte, i int, kind Kind) error {
	switch {
	case i >= len(src):
		return &SyntaxError{Offset: i, reason: "text ends too early"}
	case src[i] != '}' && src[i] != ']':
		return &SyntaxError{Offset: i, reason: "expected a comma or the end of the array or object"}
	case (src[i] == '}') != (kind == Object):
		return &SyntaxError{Offset: i, reason: "bracket does not match"}
	}
	return nil
}

// atEnd tells whether the text is over at src[i].
func atEnd(src []byte, i int) error {
	if i < len(src) {
		return &SyntaxError{Offset: i, reason: "text after the value"}
	}
	return nil
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8.
func invalidUTF8(src []byte) int {
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(src)
}
