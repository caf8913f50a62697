package redact

import (
	"unsafe"

	"sluice/schemas"
	"sluice/schemas/jsontoken"
)

// size is about how many bytes of memory the walk holds beyond its own.
func (w *walk) size() int {
	n := cap(w.decoder.Tape.Tokens)*int(unsafe.Sizeof(jsontoken.Token{})) + cap(w.event.Extra)*int(unsafe.Sizeof(schemas.Member{}))
	n += cap(w.name) + cap(w.words) + cap(w.command) + cap(w.edits)*int(unsafe.Sizeof(edit{})) + cap(w.progress)*8 + cap(w.report.pointers)
	for i := range w.docs {
		n += cap(w.docs[i].tape.Tokens) * int(unsafe.Sizeof(jsontoken.Token{}))
		n += cap(w.docs[i].open)*int(unsafe.Sizeof(frame{})) + cap(w.base64[i])
		for _, l := range w.layers[i] {
			n += cap(l.text) + 4*cap(l.pos)
		}
	}
	return n
}

// maxKeptBytes is how much scratch memory is kept for the next event: some
// hundred times what a usual event needs.
const maxKeptBytes = 2 << 20

// smallEvent is how large an event may be so that it cannot have needed that much.
const smallEvent = 16 << 10

// release gives the memory back, without what it points to of the event, so that
// a payload is not held longer than its event. What was decoded of it in scratch
// memory is overwritten by the next.
func (w *walk) release() {
	clear(w.event.Extra)
	clear(w.digests)
	w.event = schemas.Event{Extra: w.event.Extra[:0]}
	src := w.src
	w.src, w.dst, w.edits = nil, nil, w.edits[:0]
	for i := range w.docs {
		w.docs[i].layer, w.docs[i].tokens = layer{}, nil
		w.scanners[i].l, w.scanners[i].text = layer{}, nil
	}
	if len(src) <= smallEvent || w.size() <= maxKeptBytes {
		w.engine.scratch.Put(w)
	}
}

// result hands over what the walk has found.
func (w *walk) result() Result {
	r := Result{Clean: w.dst, PK: w.event.PK, Action: w.event.Action, Created: w.event.Created}
	w.report.result(&r, w.engine.rules)
	return r
}
