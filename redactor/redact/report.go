package redact

import (
	"slices"
	"strconv"

	"sluice/schemas/jsontoken"
)

// maxPointerBytes is how much the pointers of one event may take, as JSON: they
// travel in a header and are stored with the row, and a path repeated for each
// of ten thousand secrets at the end of it would outgrow the event by far.
const maxPointerBytes = 16 << 10

// report keeps where what was masked. Pointers are written only for what was
// masked and only while they fit.
type report struct {
	pointers []byte // one behind the other
	entries  []entry
	counts   []int  // by rule
	counted  []rule // those of which there are some
	size     int    // of the pointers as JSON
	more     bool
}

type entry struct {
	start, end int // of its pointer in pointers
	by         rule
	digest     string
}

func (r *report) begin() {
	for _, by := range r.counted {
		r.counts[by] = 0
	}
	*r = report{pointers: r.pointers[:0], entries: r.entries[:0], counts: r.counts, counted: r.counted[:0]}
}

// add notes what was masked in the value, or the name, at place.
func (r *report) add(w *walk, place *frame, edits []edit) {
	if len(r.counts) < len(w.engine.rules) {
		r.counts = make([]int, len(w.engine.rules))
	}
	for i := range edits {
		by := edits[i].by
		if r.counts[by] == 0 {
			r.counted = append(r.counted, by)
		}
		r.counts[by]++
	}
	if r.more {
		return
	}
	start := len(r.pointers)
	if open := w.docs[0].open; len(open) > 0 {
		for i := range open[1:] {
			if !r.appendStep(w, &open[1+i]) {
				break
			}
		}
		r.more = r.more || !r.appendStep(w, place)
	}
	if r.more {
		r.pointers = r.pointers[:start]
		return
	}
	first := len(r.entries)
	for i := range edits {
		e := entry{start: start, end: len(r.pointers), by: edits[i].by}
		if edits[i].digest > 0 {
			e.digest = w.digests[edits[i].digest-1]
		}
		if !listed(r.entries[first:], e) {
			r.entries = append(r.entries, e)
		}
		if len(r.entries)-first >= maxEntriesEach {
			break
		}
	}
	r.size += len(`"",`)
}

// maxEntriesEach is how many rules and fingerprints are told of one value.
const maxEntriesEach = 64

func listed(entries []entry, e entry) bool {
	for i := range entries {
		if entries[i].by == e.by && entries[i].digest == e.digest {
			return true
		}
	}
	return false
}

// appendStep appends one step of a pointer, false if it does not fit any more.
func (r *report) appendStep(w *walk, f *frame) bool {
	start := len(r.pointers)
	switch {
	case f.cleanEnd > 0:
		w.name = jsontoken.AppendText(w.name[:0], w.dst[f.cleanStart:f.cleanEnd])
		r.pointers = jsontoken.AppendPointer(r.pointers, w.name)
	case f.key == 0:
		r.pointers = append(r.pointers, '/')
		r.pointers = strconv.AppendUint(r.pointers, uint64(f.at), 10)
	default:
		tok := w.docs[0].tokens[f.key]
		if r.size+int(tok.End-tok.Start)/6 > maxPointerBytes { // \uXXXX is the longest escape
			r.more = true
			return false
		}
		r.pointers = jsontoken.AppendPointer(r.pointers, w.nameText(&w.docs[0], tok))
	}
	r.size += jsonLen(r.pointers[start:])
	r.more = r.more || r.size > maxPointerBytes
	return !r.more
}

// jsonLen is how long the text is inside a JSON string.
func jsonLen(s []byte) int {
	n := len(s)
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			n++
		case c < ' ':
			n += len(`\u0000`) - 1
		}
	}
	return n
}

// result copies the report, which is used again, into out.
func (r *report) result(out *Result, rules []Rule) {
	out.Truncated = r.more
	if len(r.entries) > 0 {
		all := string(r.pointers)
		out.Masked = make([]Mask, len(r.entries))
		for i, e := range r.entries {
			out.Masked[i] = Mask{Pointer: all[e.start:e.end], Rule: rules[e.by].Name, Fingerprint: e.digest}
		}
	}
	if len(r.counted) == 0 {
		return
	}
	slices.Sort(r.counted)
	out.Counts = make([]Count, len(r.counted))
	for i, by := range r.counted {
		out.Counts[i] = Count{Rule: rules[by].Name, Masked: r.counts[by]}
	}
}

// Fingerprints returns what stands in the header schemas.HeaderFingerprints: a JSON
// object from fingerprint to pointer, "" if there are none.
func (r *Result) Fingerprints() string {
	var out []byte
	seen := map[string]bool{}
	for i := range r.Masked {
		m := &r.Masked[i]
		if m.Fingerprint == "" || seen[m.Fingerprint] {
			continue
		}
		seen[m.Fingerprint] = true
		if len(out)+len(m.Fingerprint)+jsonLen([]byte(m.Pointer)) > maxPointerBytes {
			break
		}
		out = jsontoken.AppendString(append(out, ','), m.Fingerprint)
		out = jsontoken.AppendString(append(out, ':'), m.Pointer)
	}
	if len(out) == 0 {
		return ""
	}
	out[0] = '{'
	return string(append(out, '}'))
}

// Header returns what stands in the header schemas.HeaderRedacted: the pointers
// as a JSON array, with a last pointer to the whole event ("") if there were more
// than are listed; "" if nothing was masked.
func (r *Result) Header() string {
	if len(r.Masked) == 0 && !r.Truncated {
		return ""
	}
	out := []byte{'['}
	for i := range r.Masked {
		if i > 0 && r.Masked[i].Pointer == r.Masked[i-1].Pointer {
			continue // found by two rules, or a member that stands there twice
		}
		out = append(jsontoken.AppendString(out, r.Masked[i].Pointer), ',')
	}
	if r.Truncated {
		out = append(out, `"",`...)
	}
	out[len(out)-1] = ']'
	return string(out)
}
