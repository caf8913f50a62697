package redact

import (
	"bytes"
	"slices"

	"sluice/schemas"
	"sluice/schemas/jsontoken"
)

// maxDecodings is how often percent-encoding is undone: a URL in a parameter of
// a URL in a parameter.
const maxDecodings = 3

// query finds the secrets in query strings: `a=b&token=c`, also when that is the
// query part of a URL, and when it is encoded inside another parameter.
type query struct {
	layers [2]layer
	spans  []span
	name   [2][]byte
}

// span is a part of the source.
type span struct{ start, end uint32 }

// secrets returns the spans of src, inside the string token, that must be
// masked: in order, disjoint, valid until the next call. In a URL nothing before
// the first ? or # is a parameter.
//
// Each layer of encoding is read as a whole, whatever parameters it was in: so
// each byte is looked at a fixed number of times, and there is no input for which
// a nested one is overlooked. What an outer layer masked covers what an inner
// one finds in it.
func (q *query) secrets(src []byte, tok jsontoken.Token, url bool) []span {
	text := layer{text: src[tok.Start+1 : tok.End-1], base: tok.Start + 1}
	if tok.Escaped {
		q.layers[0].unescape(text)
		text = q.layers[0]
	}
	q.spans = q.spans[:0]
	if bytes.IndexByte(text.text, '=') < 0 && bytes.IndexByte(text.text, '%') < 0 {
		return nil
	}
	for level := range maxDecodings + 1 {
		q.scan(text, url)
		next := &q.layers[(level+1)%2]
		if level == maxDecodings || !next.unpercent(text) {
			break
		}
		text = *next
	}
	return q.merge()
}

// scan finds the parameters of one layer.
func (q *query) scan(l layer, url bool) {
	text, name, inQuery := l.text, 0, !url
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '?', '#':
			name, inQuery = i+1, true
		case '&':
			name = i + 1
		case '=':
			if !inQuery || !q.isSecret(text[name:i]) {
				// What follows may be a name again: next=/path?token=…, x=token=….
				name = i + 1
				continue
			}
			end := valueEnd(text, i+1, url)
			if hidden(text[i+1 : end]) {
				q.spans = append(q.spans, span{l.at(i + 1), l.at(end)})
			}
			i = end - 1
		}
	}
}

// valueEnd is where the value that begins at start ends. In a URL the fragment
// is no part of it; elsewhere a # may well be.
func valueEnd(text []byte, start int, url bool) int {
	ends := "&"
	if url {
		ends = "&#"
	}
	if n := bytes.IndexAny(text[start:], ends); n >= 0 {
		return start + n
	}
	return len(text)
}

// hidden reports whether there is something to hide: not nothing, not the mask,
// and not the padding at the end of what is base64 and no parameter.
func hidden(value []byte) bool {
	return len(bytes.Trim(value, "=")) > 0 && string(value) != schemas.Mask
}

// isSecret judges a parameter's name, with its encoding undone.
func (q *query) isSecret(name []byte) bool {
	for level := range maxDecodings {
		if bytes.IndexByte(name, '%') < 0 && bytes.IndexByte(name, '+') < 0 {
			break
		}
		decoded := q.name[level%2][:0]
		for i := 0; i < len(name); {
			c, size := percentByte(name[i:])
			decoded = append(decoded, c)
			i += size
		}
		q.name[level%2] = decoded
		name = decoded
	}
	return classify(name)&secret != 0
}

// merge brings the spans that the layers found into order and joins those that
// overlap.
func (q *query) merge() []span {
	slices.SortFunc(q.spans, func(a, b span) int { return int(a.start) - int(b.start) })
	out := q.spans[:0]
	for _, s := range q.spans {
		if n := len(out); n > 0 && s.start < out[n-1].end {
			out[n-1].end = max(out[n-1].end, s.end)
			continue
		}
		out = append(out, s)
	}
	return out
}

// size is about how many bytes of memory the query holds.
func (q *query) size() int {
	n := 8*cap(q.spans) + cap(q.name[0]) + cap(q.name[1])
	for _, l := range q.layers {
		n += cap(l.text) + 4*cap(l.pos)
	}
	return n
}
