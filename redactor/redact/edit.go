package redact

import (
	"cmp"
	"slices"

	"sluice/redactor/redact/name"
	"sluice/schemas"
	"sluice/schemas/jsontoken"
)

// edit is a part of the source that becomes the mask.
type edit struct {
	start, end uint32
	// quoteStart and quoteEnd are where in the source a quote of the same document
	// stands, as it is encoded there: a number that is masked needs a pair of them.
	// They are the same where none is needed.
	quoteStart, quoteEnd uint32
	order                uint32 // in which they were found
	by                   rule
	digest               uint16 // index of its fingerprint and 1, 0 for none
}

// edit notes that text[start:end] of the layer is to be masked.
func (w *walk) edit(l *layer, start, end int, by rule, guessable bool) {
	e := edit{start: l.at(start), end: l.at(end), by: by}
	if w.engine.fingerprints != nil && !guessable {
		e.digest = w.digest(l.text[start:end])
	}
	w.edits = append(w.edits, e)
}

// digest makes the fingerprint of a secret, as it is without percent-encoding.
func (w *walk) digest(secret []byte) uint16 {
	if len(w.digests) >= maxDigests || len(secret) < shortestText {
		return 0
	}
	for level := range maxNameDecodings {
		decoded := appendUnpercent(w.decoded[level%2][:0], secret)
		w.decoded[level%2] = decoded
		if len(decoded) == len(secret) {
			break
		}
		secret = decoded
	}
	w.digests = append(w.digests, w.engine.fingerprints.Of(secret))
	return uint16(len(w.digests))
}

// maxDigests is how many secrets of an event get a fingerprint.
const maxDigests = 256

// apply writes the edits of one string or name, in order.
func (w *walk) apply() {
	if len(w.edits) > 1 {
		w.merge()
	}
	for _, e := range w.edits {
		w.copy(e.start)
		w.dst = append(w.dst, w.src[e.quoteStart:e.quoteEnd]...)
		w.dst = append(w.dst, schemas.Mask...)
		w.dst = append(w.dst, w.src[e.quoteStart:e.quoteEnd]...)
		w.copied = e.end
	}
}

// merge brings the edits into order and joins those that overlap.
func (w *walk) merge() {
	for i := range w.edits {
		w.edits[i].order = uint32(i)
	}
	slices.SortFunc(w.edits, func(a, b edit) int {
		switch {
		case a.start != b.start:
			return cmp.Compare(a.start, b.start)
		case a.end != b.end:
			return cmp.Compare(b.end, a.end) // the longer one first: it is what the rest is part of
		}
		return cmp.Compare(a.order, b.order)
	})
	out := w.edits[:1]
	for _, e := range w.edits[1:] {
		last := &out[len(out)-1]
		switch {
		case e.start == last.start && e.end == last.end, e.end <= last.end && e.start < last.end:
		case e.start < last.end:
			last.end = e.end
			last.quoteStart, last.quoteEnd, last.digest = 0, 0, 0
		default:
			out = append(out, e)
		}
	}
	w.edits = out
}

const quotedMask = `"` + schemas.Mask + `"`

// mask replaces the whole scalar, unless it is the mask already.
func (w *walk) mask(d *document, tok jsontoken.Token, depth int, place *frame, by rule) {
	if d.isMask(tok) {
		return
	}
	guessable := place.name.class&name.Guessable != 0 || by == ruleContainer || by == rulePair || by == ruleDenied
	if depth == 0 {
		w.maskWhole(d, tok, place, by, guessable)
		return
	}
	if tok.Kind == jsontoken.String {
		w.edit(&d.layer, int(tok.Start)+1, int(tok.End)-1, by, guessable)
		return
	}
	e := edit{start: d.layer.at(int(tok.Start)), end: d.layer.at(int(tok.End)), by: by}
	for _, other := range d.tokens { // a secret number has a name before it
		if other.Kind == jsontoken.String {
			e.quoteStart, e.quoteEnd = d.layer.at(int(other.Start)), d.layer.at(int(other.Start)+1)
			break
		}
	}
	w.edits = append(w.edits, e)
}

// maskWhole is mask for a scalar of the event itself.
func (w *walk) maskWhole(d *document, tok jsontoken.Token, place *frame, by rule, guessable bool) {
	w.copy(tok.Start)
	w.dst, w.copied = append(w.dst, quotedMask...), tok.End
	e := edit{by: by}
	if w.engine.fingerprints != nil && !guessable {
		secret := layer{text: d.layer.text[tok.Start:tok.End]}
		if tok.Kind == jsontoken.String {
			secret = d.text(tok, &w.layers[0][0])
		}
		e.digest = w.digest(secret.text)
	}
	w.edits = append(w.edits[:0], e)
	w.report.add(w, place, w.edits)
	w.edits = w.edits[:0]
}

// copy appends what stands in src up to that offset and is not copied yet.
func (w *walk) copy(end uint32) {
	w.dst = append(w.dst, w.src[w.copied:end]...)
	w.copied = end
}
