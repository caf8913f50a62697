package redact

import (
	"sluice/redactor/redact/name"
	"sluice/schemas"
	"sluice/schemas/jsontoken"
)

// maxNesting is how deep texts are looked into that stand in strings: JSON in a
// string of JSON in a string …, base64 counted in.
const maxNesting = 6

// walk goes once over an event, copying what it does not mask. It holds the
// memory that one call needs and the next can use again.
type walk struct {
	engine   *Engine
	decoder  schemas.Decoder
	event    schemas.Event
	contract bool // the text is an event, not any JSON

	src []byte
	// dst grows by the clean text; what stands in src before copied is in it.
	dst    []byte
	first  int
	copied uint32

	docs     [maxNesting + 1]document
	layers   [maxNesting + 1][3]layer
	scanners [maxNesting + 1]scanner
	base64   [maxNesting + 1][]byte
	edits    []edit // of the string that is being searched
	digests  []string

	cache   nameCache
	known   knownTexts
	name    []byte    // the text of an escaped name
	words   []byte    // of a name
	command []byte    // the first words of a list
	decoded [2][]byte // a name without its percent-encoding

	// progress has a row for each container that is open, and one for the value in
	// hand, of how far each path of the policy has been followed.
	progress []progress
	report   report
}

// document is one JSON text: the event, or one that stands in a string of it.
type document struct {
	layer  layer
	tokens []jsontoken.Token
	tape   jsontoken.Tape // of a nested one
	open   []frame
}

func newWalk(e *Engine) *walk {
	return &walk{engine: e}
}

// frame is a value, or a container that the walk is in.
type frame struct {
	end uint32 // the token behind the container
	// key is the token of its name, 0 if it is an element: then at is its index.
	key, at uint32
	next    uint32 // the index of the next element, if it is an array
	first   uint32 // the token behind the opening bracket
	// cleanStart and cleanEnd are where in dst its name stands, if something in the
	// name was masked.
	cleanStart, cleanEnd uint32
	// name is the decision on the name over it: elements of an array go by it too.
	name  decision
	array bool
	// under tells that a name above means a secret.
	under bool
	// reference tells that the container says which object is meant, and not
	// what is in it: a model reference of authentik, with pk, app and model_name.
	reference bool
	// request and args tell that this is http_request, or in its args.
	request, args bool
	// object is what is known of the members together, once it was asked for.
	object members
	// expect is by which rule the next element of an array is masked, 0 for none:
	// what comes behind --password, or behind the name of a pair.
	expect rule
	// pairs tells that the array's parent is one too, so that it may be a pair.
	pairs bool
}

// begin sets the walk up for the text that was just decoded.
func (w *walk) begin(dst, src []byte) {
	w.src, w.dst, w.first, w.copied = src, dst, len(dst), 0
	w.docs[0].layer, w.docs[0].tokens = layer{text: src}, w.decoder.Tape.Tokens
	w.digests = w.digests[:0]
	w.report.begin()
}

func (w *walk) run() error {
	if err := w.visit(&w.docs[0], 0); err != nil {
		return err
	}
	w.copy(uint32(len(w.src)))
	return nil
}

// visit goes over each token of a document once. Nesting of containers costs a
// frame; only documents inside strings recurse, up to maxNesting.
func (w *walk) visit(d *document, depth int) error {
	d.open = d.open[:0]
	follows := depth == 0 && len(w.engine.policy.paths) > 0
	for i := uint32(0); i < uint32(len(d.tokens)); i++ {
		for len(d.open) > 0 && d.open[len(d.open)-1].end == i {
			d.open = d.open[:len(d.open)-1]
		}
		var place frame
		var parent *frame
		if i > 0 {
			parent = &d.open[len(d.open)-1]
			at, ok := w.next(d, i, depth, parent, &place, follows)
			if w.tooLarge() {
				return errTooLarge
			}
			if i = at; !ok {
				i-- // what begins at the end of the object is next
				continue
			}
			place.under = place.under || place.name.class&name.Secret != 0
			place.args = place.args || parent.request && place.name.class&name.Args != 0
		}
		if follows {
			w.follow(d, &place, parent)
		}
		place.under = place.under || w.holdsSecret(d, i, &place, parent)
		if w.enter(d, i, &place) {
			continue
		}
		w.value(d, i, depth, &place, parent)
		if w.tooLarge() {
			return errTooLarge
		}
	}
	return nil
}

// next finds the next value from token i on that something is to be known of, and
// begins its place; ok is false where there is none until the object's end.
func (w *walk) next(d *document, i uint32, depth int, parent, place *frame, follows bool) (value uint32, ok bool) {
	if parent.array {
		*place = frame{under: parent.under, args: parent.args, name: parent.name, at: parent.next, pairs: true}
		parent.next++
		return i, true
	}
	i, decided := w.plain(d, i, depth, parent, follows)
	if i == parent.end || w.tooLarge() {
		return i, false
	}
	*place = frame{under: parent.under, args: parent.args, key: i, name: decided}
	w.searchName(d, i, depth, place)
	return i + 1, true
}

var errTooLarge = &schemas.Rejection{Reason: schemas.ReasonTooLarge}

// tooLarge tells that the clean text has outgrown the broker: masks are longer than
// what they cover.
func (w *walk) tooLarge() bool { return len(w.dst)-w.first > schemas.MaxPayloadBytes }

// plain goes over the usual members of the object that is open, from that at token
// i on: those whose names say nothing about their scalars. It returns the first one
// that is not, with what its name tells, or the end of the object.
func (w *walk) plain(d *document, i uint32, depth int, object *frame, follows bool) (uint32, decision) {
	for tokens, text := d.tokens, d.layer.text; i < object.end; i += 2 {
		named, tok := &tokens[i], &tokens[i+1]
		var decided decision
		if named.Escaped {
			decided = w.decideMember(w.nameText(d, *named))
		} else {
			decided = w.decideMember(text[named.Start+1 : named.End-1])
		}
		if decided.signs&(plainName|suspectName) != plainName || tok.Kind >= jsontoken.Object || object.under || follows {
			return i, decided
		}
		if tok.Kind != jsontoken.String || decided.signs&fixedName != 0 && w.isFixed(d, depth) {
			continue
		}
		if w.search(d, tok, depth, object.args) && depth == 0 {
			w.note(&frame{key: i})
			if w.tooLarge() {
				return i, decided
			}
		}
	}
	return i, decision{}
}

// isFixed reports whether fields of the contract stand in the container that is
// open.
func (w *walk) isFixed(d *document, depth int) bool {
	return w.contract && depth == 0 && len(d.open) == 1
}

// note writes and reports what was found at the place.
func (w *walk) note(place *frame) {
	w.apply()
	w.report.add(w, place, w.edits)
	w.edits = w.edits[:0]
}

// searchName masks what is a secret in the name at token i.
func (w *walk) searchName(d *document, i uint32, depth int, place *frame) {
	if place.name.signs&suspectName == 0 {
		return
	}
	tok := d.tokens[i]
	if !w.search(d, &tok, depth, false) {
		if depth == 0 && !tok.Escaped {
			w.unsuspect(w.nameText(d, tok))
		}
		return
	}
	if depth > 0 {
		return
	}
	w.copy(tok.Start)
	place.cleanStart = uint32(len(w.dst))
	w.apply()
	w.copy(tok.End)
	place.cleanEnd = uint32(len(w.dst))
	w.report.add(w, place, w.edits)
	w.edits = w.edits[:0]
}

// enter opens the container at token i, if it is one.
func (w *walk) enter(d *document, i uint32, place *frame) bool {
	tok := d.tokens[i]
	switch tok.Kind {
	case jsontoken.Array:
		place.array = true
	case jsontoken.Object:
		place.request = place.name.class&name.Request != 0
		place.reference = place.under && d.isReference(i)
		place.name.class = 0
	default:
		return false
	}
	place.first, place.end = i+1, tok.Next
	d.open = append(d.open, *place)
	return true
}

// search finds the secrets in the string that is the token, a value or a name,
// and reports whether there are any.
func (w *walk) search(d *document, tok *jsontoken.Token, depth int, form bool) bool {
	if tok.End-tok.Start < shortestText+2 {
		return false
	}
	raw, sum := d.layer.text[tok.Start+1:tok.End-1], uint64(0)
	remember := depth == 0 && len(raw) <= knownText
	if remember {
		sum = hash(raw)
		if w.known.has(sum, raw, form) {
			return false
		}
	}
	before := len(w.edits)
	text := d.text(*tok, &w.layers[depth][0])
	if len(w.engine.policy.values) > 0 {
		w.searchPatterns(text)
	}
	w.inspect(text, depth, form)
	if len(w.edits) > before {
		return true
	}
	if remember {
		w.known.add(sum, raw, form)
	}
	return false
}

// shortestText is the length from which a text may hold a secret and something
// that tells so: "p=x" has none of the names.
const shortestText = 5

// searchPatterns looks for the users' own shapes.
func (w *walk) searchPatterns(l layer) {
	for i := range w.engine.policy.values {
		v := &w.engine.policy.values[i]
		for from := 0; ; {
			at := indexFrom(l.text, v.literal, from)
			if at < 0 {
				break
			}
			// What stands before counts for \b and ^, so the whole text is searched
			// where the pattern has no literal to begin with.
			match := v.pattern.FindSubmatchIndex(l.text[from:])
			if match == nil {
				break
			}
			start, end := match[0], match[1]
			if len(match) > 2 && match[2] >= 0 {
				start, end = match[2], match[3]
			}
			if start < end {
				w.edit(&l, from+start, from+end, v.by, false)
			}
			from += max(match[1], match[0]+1)
			if from > len(l.text) {
				break
			}
		}
	}
}
