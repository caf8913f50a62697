package redact

import (
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
	counts   [numRules]int
	size     int // of the pointers as JSON
	more     bool
}

type entry struct {
	end  int // of its pointer in pointers
	rule rule
}

func (r *report) begin() { *r = report{pointers: r.pointers[:0], entries: r.entries[:0]} }

// add notes that the rule masked something n times in the value at place.
func (r *report) add(w *walk, place frame, by rule, n int) {
	r.counts[by] += n
	if r.more {
		return
	}
	start := len(r.pointers)
	for _, f := range w.open[1:] {
		if !r.appendStep(w, f) {
			break
		}
	}
	r.more = r.more || !r.appendStep(w, place)
	if r.more {
		r.pointers = r.pointers[:start]
		return
	}
	r.entries = append(r.entries, entry{end: len(r.pointers), rule: by})
	r.size += len(`"",`)
}

// appendStep appends one step of a pointer, false if it does not fit any more.
func (r *report) appendStep(w *walk, f frame) bool {
	start := len(r.pointers)
	if f.key == 0 {
		r.pointers = append(r.pointers, '/')
		r.pointers = strconv.AppendUint(r.pointers, uint64(f.at), 10)
	} else {
		if tok := w.tokens[f.key]; r.size+int(tok.End-tok.Start)/6 > maxPointerBytes { // \uXXXX is the longest escape
			r.more = true
			return false
		}
		r.pointers = jsontoken.AppendPointer(r.pointers, w.text(f.key))
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

// result copies the report, which is used again, into r.
func (r *report) result(out *Result, rules []Rule) {
	out.Truncated = r.more
	if len(r.entries) > 0 {
		all, start := string(r.pointers), 0
		out.Masked = make([]Mask, len(r.entries))
		for i, e := range r.entries {
			out.Masked[i] = Mask{Pointer: all[start:e.end], Rule: rules[e.rule].Name}
			start = e.end
		}
	}
	for by, n := range r.counts {
		if n > 0 {
			out.Counts = append(out.Counts, Count{Rule: rules[by].Name, Masked: n})
		}
	}
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
		out = append(jsontoken.AppendString(out, r.Masked[i].Pointer), ',')
	}
	if r.Truncated {
		out = append(out, `"",`...)
	}
	out[len(out)-1] = ']'
	return string(out)
}
