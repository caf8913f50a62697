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
	signs nameSigns
}

// nameSigns is what there is to know of a name besides, as a set of bits.
type nameSigns uint8

const (
	// fixedName names a field of the contract whose form is checked, so that it holds
	// no text: a UUID, a time, an address.
	fixedName nameSigns = 1 << iota
	// suspectName may hold a credential itself.
	suspectName
	// plainName says nothing about what a scalar below it is.
	plainName
	// dataName is where a Secret of Kubernetes has its secrets.
	dataName
)

// telling are the classes of which a name must have one to matter to a scalar.
const telling = name.Secret | name.Perhaps | name.InQuery | name.OAuth | name.PairValue | name.QueryString | name.Args

const (
	cacheSlots = 1024 // a power of two; an organisation's events have some hundred names
	cacheWays  = 4    // names that may share a place
	cachedName = 40   // bytes; a longer name is decided each time
)

// nameCache remembers decisions: every event has the same few dozen names, mostly
// in the same order.
type nameCache struct {
	slots [cacheSlots]nameSlot
	// last and before are the slots of the members that came last, and next has by
	// these the one that came behind them the last time.
	last, before uint16
	next         [cacheSlots]uint16
}

// followed is where next has what came behind the last members.
func (c *nameCache) followed() *uint16 {
	return &c.next[(c.last^c.before<<4)%cacheSlots]
}

func (c *nameCache) came(slot uint16) {
	c.before, c.last = c.last, slot
}

type nameSlot struct {
	decision

	text [cachedName]byte
	size uint8
	used bool
}

func (n *nameSlot) holds(text []byte) bool {
	return n.used && string(n.text[:n.size]) == string(text)
}

// decide decides about a name, given with its escapes resolved.
func (w *walk) decide(text []byte) decision {
	if len(text) > cachedName {
		return w.decideAnew(text)
	}
	return w.cache.slots[w.slot(text)].decision
}

// decideMember is decide for the name of a member.
func (w *walk) decideMember(text []byte) decision {
	c := &w.cache
	next := c.followed()
	if n := &c.slots[*next%cacheSlots]; n.holds(text) {
		c.came(*next)
		return n.decision
	}
	if len(text) > cachedName {
		return w.decideAnew(text)
	}
	*next = w.slot(text)
	c.came(*next)
	return c.slots[*next%cacheSlots].decision
}

// unsuspect notes that there is no credential in the name of the member that came
// last.
func (w *walk) unsuspect(text []byte) {
	if n := &w.cache.slots[w.cache.last%cacheSlots]; n.holds(text) {
		n.signs &^= suspectName
	}
}

// slot is where the decision about a name stands in the cache.
func (w *walk) slot(text []byte) uint16 {
	set := hash(text) % cacheSlots &^ (cacheWays - 1)
	at := set
	for way := range uint64(cacheWays) {
		at = set + way
		if n := &w.cache.slots[at]; !n.used {
			break
		} else if n.holds(text) {
			return uint16(at)
		}
	}
	n, d := &w.cache.slots[at], w.decideAnew(text)
	n.used, n.size, n.decision = true, uint8(copy(n.text[:], text)), d
	return uint16(at)
}

func (w *walk) decideAnew(text []byte) decision {
	d := decision{class: name.Classify(text), by: ruleKey}
	switch string(text) {
	case "pk", "action", "client_ip", "created", "expires":
		d.signs = fixedName
	case "data", "stringData":
		d.signs = dataName
	}
	if len(text) >= shortestCredential || bytes.ContainsAny(text, "=:@%/") {
		d.signs |= suspectName
	}
	if len(w.engine.policy.keys) > 0 {
		w.words = append(name.AppendWords(append(w.words[:0], ' '), text), ' ')
		for _, k := range w.engine.policy.keys {
			if bytes.Contains(w.words, []byte(k.words)) {
				d.class, d.by = d.class&^name.Perhaps|name.Secret, k.by
				break
			}
		}
	}
	if d.class&telling == 0 {
		d.signs |= plainName
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
	if !tok.Escaped {
		return d.layer.text[tok.Start+1 : tok.End-1]
	}
	w.name = jsontoken.AppendText(w.name[:0], d.layer.text[tok.Start:tok.End])
	return w.name
}
