package redact

import (
	"bytes"

	"sluice/redactor/redact/name"
	"sluice/schemas/jsontoken"
)

// decision is what a name tells about its value.
type decision struct {
	class name.Class
	by    rule
	// fixed tells that it names a field of the contract whose form is checked, so
	// that it holds no text: a UUID, a time, an address.
	fixed bool
	// suspect tells that the name may hold a credential itself.
	suspect bool
}

const (
	cacheSlots = 1024 // a power of two; an organisation's events have some hundred names
	cacheWays  = 4    // names that may share a place
	cachedName = 40   // bytes; a longer name is decided each time
)

// nameCache remembers decisions: every event has the same few dozen names.
type nameCache struct {
	slots [cacheSlots]struct {
		decision

		text [cachedName]byte
		size uint8
		used bool
	}
}

// decide decides about a name, given with its escapes resolved.
func (w *walk) decide(text []byte) decision {
	if len(text) > cachedName {
		return w.decideAnew(text)
	}
	set := hash(text) % cacheSlots &^ (cacheWays - 1)
	slot := &w.cache.slots[set]
	for way := range uint64(cacheWays) {
		slot = &w.cache.slots[set+way]
		if !slot.used {
			break
		}
		if string(slot.text[:slot.size]) == string(text) {
			return slot.decision
		}
	}
	d := w.decideAnew(text)
	slot.used, slot.size, slot.decision = true, uint8(copy(slot.text[:], text)), d
	return d
}

func (w *walk) decideAnew(text []byte) decision {
	d := decision{class: name.Classify(text), by: ruleKey}
	switch string(text) {
	case "pk", "action", "client_ip", "created", "expires":
		d.fixed = true
	}
	d.suspect = len(text) >= shortestCredential || bytes.ContainsAny(text, "=:@%/")
	if len(w.engine.policy.keys) > 0 {
		w.words = append(name.AppendWords(append(w.words[:0], ' '), text), ' ')
		for _, k := range w.engine.policy.keys {
			if bytes.Contains(w.words, []byte(k.words)) {
				d.class, d.by = d.class&^name.Perhaps|name.Secret, k.by
				break
			}
		}
	}
	return d
}

// shortestCredential is the length from which a name may be a token.
const shortestCredential = 12

// maxNameDecodings is how often the percent-encoding of a parameter's name is
// undone: a URL in a parameter of a URL in a parameter.
const maxNameDecodings = 3

// decideEncoded is decide for a name in text, where it may be percent-encoded.
func (w *walk) decideEncoded(text []byte) decision {
	for level := range maxNameDecodings {
		if bytes.IndexByte(text, '%') < 0 {
			break
		}
		decoded := appendUnpercent(w.decoded[level%2][:0], text)
		w.decoded[level%2] = decoded
		text = decoded
	}
	return w.decide(text)
}

// nameText returns the text of the name at token i of the document, valid until
// the next call.
func (w *walk) nameText(d *document, tok jsontoken.Token) []byte {
	quoted := d.layer.text[tok.Start:tok.End]
	if !tok.Escaped {
		return quoted[1 : len(quoted)-1]
	}
	w.name = jsontoken.AppendText(w.name[:0], quoted)
	return w.name
}
