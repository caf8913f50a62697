package redact

import (
	"unsafe"

	"sluice/schemas"
	"sluice/schemas/jsontoken"
)

// walk goes once over the tokens of an event, copying what it does not mask. It
// holds the memory that one call needs and the next can use again.
type walk struct {
	decoder schemas.Decoder
	event   schemas.Event
	src     []byte
	tokens  []jsontoken.Token

	// dst grows by the clean text; what stands in src before copied is in it.
	dst    []byte
	first  int
	copied uint32

	open   []frame
	name   []byte // the text of an escaped name
	query  query
	report report
}

// frame is a container that the walk is in.
type frame struct {
	end uint32 // the token behind the container
	// key is the token of its name, 0 if it is an element: then at is its index.
	key, at uint32
	next    uint32 // the index of the next element, if it is an array
	// class is that of the name over an array: its elements go by it too.
	class class
	array bool
	// under tells that a name above means a secret outright.
	under bool
	// reference tells that the container says which object is meant, and not
	// what is in it: a model reference of authentik, with pk, app and model_name.
	reference bool
	// request and args tell that this is http_request, or in its args.
	request, args bool
}

// begin sets the walk up for the text that was just decoded.
func (w *walk) begin(dst, src []byte) {
	w.src, w.tokens = src, w.decoder.Tape.Tokens
	w.dst, w.first, w.copied = dst, len(dst), 0
	w.open = w.open[:0]
	w.report.begin()
}

// run visits each token once. There is no recursion: nesting costs a frame.
func (w *walk) run() error {
	for i := uint32(0); i < uint32(len(w.tokens)); i++ {
		for len(w.open) > 0 && w.open[len(w.open)-1].end == i {
			w.open = w.open[:len(w.open)-1]
		}
		if i == 0 {
			w.enter(i, frame{})
			continue
		}
		parent := &w.open[len(w.open)-1]
		place := frame{class: parent.class, under: parent.under, args: parent.args}
		if parent.array {
			place.at = parent.next
			parent.next++
		} else {
			place.key, place.class = i, classify(w.text(i))
			i++
		}
		place.under = place.under || place.class&outright != 0
		place.args = place.args || parent.request && place.class&isArgs != 0
		if !w.enter(i, place) {
			w.scalar(i, place, parent.reference)
			if len(w.dst)-w.first > schemas.MaxPayloadBytes { // masks are longer than what they cover
				return &schemas.Rejection{Reason: schemas.ReasonTooLarge}
			}
		}
	}
	w.copy(uint32(len(w.src)))
	return nil
}

// enter opens the container at token i, if it is one.
func (w *walk) enter(i uint32, f frame) bool {
	tok := w.tokens[i]
	switch tok.Kind {
	case jsontoken.Array:
		f.array = true
	case jsontoken.Object:
		f.request = f.class&isHTTPRequest != 0
		f.reference = f.under && w.isReference(i)
		f.class = 0
	default:
		return false
	}
	f.end = tok.Next
	w.open = append(w.open, f)
	return true
}

// isReference reports whether the object at token i has what makes a model
// reference complete.
func (w *walk) isReference(i uint32) bool {
	var pk, app, model bool
	for key := i + 1; key < w.tokens[i].Next; key = w.tokens[key+1].Next {
		tape := &w.decoder.Tape
		switch tok := w.tokens[key]; tok.End - tok.Start - 2 {
		case 2:
			pk = pk || tape.TextIs(int(key), "pk")
		case 3:
			app = app || tape.TextIs(int(key), "app")
		case 10:
			model = model || tape.TextIs(int(key), "model_name")
		}
	}
	return pk && app && model
}

// scalar masks the value at token i if it must be. Null, true and false hold no
// secret. inReference tells that it is a member of a model reference.
func (w *walk) scalar(i uint32, place frame, inReference bool) {
	tok := w.tokens[i]
	if tok.Kind != jsontoken.String && tok.Kind != jsontoken.Number {
		return
	}
	switch {
	case place.class&listed != 0:
		w.mask(tok, place, ruleKey)
	case place.class&added != 0:
		w.mask(tok, place, ruleAddedKey)
	case place.under && !(inReference && place.class&identifies != 0):
		w.mask(tok, place, ruleContainer)
	case tok.Kind == jsontoken.String && (place.args || place.class&(isQuery|isURL) != 0):
		spans := w.query.secrets(w.src, tok, place.class&isURL != 0 && !place.args)
		for _, s := range spans {
			w.copy(s.start)
			w.dst, w.copied = append(w.dst, schemas.Mask...), s.end
		}
		if len(spans) > 0 {
			w.report.add(w, place, ruleQuery, len(spans))
		}
	}
}

const quotedMask = `"` + schemas.Mask + `"`

// mask replaces the whole scalar, unless it is the mask already.
func (w *walk) mask(tok jsontoken.Token, place frame, by rule) {
	if tok.Kind == jsontoken.String && string(w.src[tok.Start:tok.End]) == quotedMask {
		return
	}
	w.copy(tok.Start)
	w.dst, w.copied = append(w.dst, quotedMask...), tok.End
	w.report.add(w, place, by, 1)
}

// copy appends what stands in src up to that offset and is not copied yet.
func (w *walk) copy(end uint32) {
	w.dst = append(w.dst, w.src[w.copied:end]...)
	w.copied = end
}

// text returns the text of the name at token i, valid until the next call.
func (w *walk) text(i uint32) []byte {
	tok := w.tokens[i]
	if !tok.Escaped {
		return w.src[tok.Start+1 : tok.End-1]
	}
	w.name = jsontoken.AppendText(w.name[:0], w.src[tok.Start:tok.End])
	return w.name
}

// size is about how many bytes of memory the walk holds.
func (w *walk) size() int {
	tape := cap(w.decoder.Tape.Tokens)*int(unsafe.Sizeof(jsontoken.Token{})) + cap(w.event.Extra)*int(unsafe.Sizeof(schemas.Member{}))
	return tape + cap(w.name) + cap(w.report.pointers) + w.query.size()
}

// result hands over what the walk has found.
func (w *walk) result(rules []Rule) Result {
	r := Result{Clean: w.dst, PK: w.event.PK, Action: w.event.Action, Created: w.event.Created}
	w.report.result(&r, rules)
	return r
}
