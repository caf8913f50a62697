package redact

import (
	"bytes"

	"sluice/redactor/redact/name"
	"sluice/schemas"
	"sluice/schemas/jsontoken"
)

// members is what the members of an object say together. It is found out when a
// member asks for it, and once.
type members uint8

const (
	membersKnown members = 1 << iota
	// namesSecret tells that a member such as name or key holds the name of a
	// secret, so that the member value holds it; namesLikely, that of what may be
	// one.
	namesSecret
	namesLikely
	// namesField is namesSecret by a member that says what the other one is the value
	// of: name or key, and not type or id, which say what the object is.
	namesField
	// kubernetesSecret tells that kind is Secret: what is in data is one.
	kubernetesSecret
	// oauth tells that they are parameters of an OAuth exchange.
	oauth
)

// isReference reports whether the object at token i has what makes a model
// reference complete.
func (d *document) isReference(i uint32) bool {
	var pk, app, model bool
	for key := i + 1; key < d.tokens[i].Next; key = d.tokens[key+1].Next {
		tok := d.tokens[key]
		switch string(d.layer.text[tok.Start+1 : tok.End-1]) {
		case "pk":
			pk = true
		case "app":
			app = true
		case "model_name":
			model = true
		}
	}
	return pk && app && model
}

// membersOf asks about the object that is open, around the member at token key.
func (w *walk) membersOf(d *document, object *frame, key uint32) members {
	if object.object&membersKnown != 0 {
		return object.object
	}
	object.object = membersKnown
	if object.end == 0 || key == 0 {
		return object.object
	}
	signs := 0
	for at := object.first; at < object.end; at = d.tokens[at+1].Next {
		class := w.decide(w.nameText(d, d.tokens[at])).class
		if class&name.OAuthSign != 0 {
			signs += 2
		} else if class&name.OAuth != 0 {
			signs++
		}
		if d.is(at, "kind") && d.is(at+1, "Secret") {
			object.object |= kubernetesSecret
		}
		if value := d.tokens[at+1]; class&name.PairName != 0 && value.Kind == jsontoken.String && value.End-value.Start <= longestName+2 {
			switch named := w.decide(w.nameText(d, value)).class; {
			case named&name.Secret != 0:
				object.object |= namesSecret
				if key := string(w.nameText(d, d.tokens[at])); key != "type" && key != "id" {
					object.object |= namesField
				}
			case named&name.Perhaps != 0:
				object.object |= namesLikely
			}
		}
	}
	if signs >= 2 {
		object.object |= oauth
	}
	return object.object
}

// is reports whether the token at i is a string that is written so.
func (d *document) is(i uint32, text string) bool {
	tok := d.tokens[i]
	return tok.Kind == jsontoken.String && string(d.layer.text[tok.Start+1:tok.End-1]) == text
}

// holdsSecret reports whether the token at i is a container, the value of the member
// at place, and one of secrets: {"name":"Cookie","values":[…]}, and the data of a Secret
// of Kubernetes.
func (w *walk) holdsSecret(d *document, i uint32, place, parent *frame) bool {
	kind := d.tokens[i].Kind
	if kind != jsontoken.Object && kind != jsontoken.Array || parent == nil || parent.array {
		return false
	}
	if place.name.class&name.PairWhole != 0 {
		return w.membersOf(d, parent, place.key)&namesField != 0
	}
	return place.name.signs&dataName != 0 && w.membersOf(d, parent, place.key)&kubernetesSecret != 0
}

// longestName is how long a text can be that names something.
const longestName = 64

// value masks the scalar at token i if it must be, or what must be in it. Null,
// true and false hold no secret.
func (w *walk) value(d *document, i uint32, depth int, place, parent *frame) {
	tok := d.tokens[i]
	if tok.Kind != jsontoken.String && tok.Kind != jsontoken.Number {
		return
	}
	if depth == 0 && len(w.engine.policy.paths) > 0 {
		allowed, denied := w.reached(d)
		if allowed {
			return
		}
		if denied {
			w.mask(d, tok, depth, place, ruleDenied)
			return
		}
	}
	if parent == nil {
		parent = &frame{}
	}
	if by, ok := w.judge(d, i, depth, place, parent); ok {
		w.mask(d, tok, depth, place, by)
	} else if tok.Kind == jsontoken.String && !(place.name.signs&fixedName != 0 && w.isFixed(d, depth)) {
		form := place.args || place.name.class&name.QueryString != 0
		argument := parent.array && w.argument(d, i, depth, parent)
		if (w.search(d, &tok, depth, form) || argument) && depth == 0 {
			w.note(place)
		}
	}
	if parent.array {
		w.expectNext(d, i, place, parent)
	}
}

// judge decides by what stands around a scalar whether it is a secret as a whole,
// and by which rule.
func (w *walk) judge(d *document, i uint32, depth int, place, parent *frame) (rule, bool) {
	class := place.name.class
	switch {
	case class&name.Secret != 0:
		return place.name.by, true
	case parent.expect != 0:
		return parent.expect, true
	case place.under:
		return ruleContainer, !(parent.reference && class&name.Identifies != 0)
	}
	if class&(name.PairValue|name.OAuth|name.InQuery|name.Perhaps) == 0 {
		return 0, false
	}
	var known members
	if class&(name.PairValue|name.OAuth) != 0 && !parent.array {
		known = w.membersOf(d, parent, place.key)
	}
	if class&name.PairValue != 0 && known&namesSecret != 0 {
		return rulePair, true
	}
	tok := d.tokens[i]
	if tok.Kind == jsontoken.Number {
		return ruleLikelyKey, class&name.Perhaps != 0 && class&name.Guessable != 0
	}
	text := d.text(tok, &w.layers[depth][0])
	switch {
	case class&name.OAuth != 0 && known&oauth != 0:
		return ruleOAuth, len(text.text) > 0 && !wordy(text.text)
	case class&name.PairValue != 0 && known&namesLikely != 0 && likely(text.text, 0):
		return rulePair, true
	case place.args && class&name.InQuery != 0:
		return ruleQuery, !harmlessParameter(text.text)
	case place.args && class&name.Perhaps != 0 && likelyParameter(text.text):
		return ruleQuery, true
	case class&(name.Perhaps|name.InQuery) != 0:
		return ruleLikelyKey, likely(text.text, class)
	}
	return 0, false
}

// expectNext tells from the element at token i what the next one is.
func (w *walk) expectNext(d *document, i uint32, place, parent *frame) {
	parent.expect = 0
	tok := d.tokens[i]
	next := tok.Next
	if next >= parent.end || tok.Kind != jsontoken.String || d.tokens[next].Kind != jsontoken.String || tok.End-tok.Start > longestName+2 {
		return
	}
	text := w.nameText(d, tok)
	if len(text) > 1 && text[0] == '-' {
		if w.decide(bytes.TrimLeft(text, "-")).class&name.Secret != 0 && d.layer.text[d.tokens[next].Start+1] != '-' {
			parent.expect = ruleArgument
		}
		return
	}
	pair := place.at == 0 && d.tokens[next].Next == parent.end
	class := w.decide(text).class
	if class&name.Secret == 0 || !pair && class&name.Header == 0 && bytes.IndexByte(text, '-') < 0 {
		return
	}
	if value := w.nameText(d, d.tokens[next]); pair && parent.pairs || !identifier(value) {
		parent.expect = rulePair
	}
}

// follow notes how far the paths of the policy lead to the place.
func (w *walk) follow(d *document, place, parent *frame) {
	n := len(w.engine.policy.paths)
	at := len(d.open)
	if need := (at + 1) * n; len(w.progress) < need {
		w.progress = append(w.progress, make([]progress, need-len(w.progress))...)
	}
	for i := range w.engine.policy.paths {
		p := &w.engine.policy.paths[i]
		switch {
		case parent == nil:
			w.progress[i] = 1
		case parent.array:
			w.progress[at*n+i] = p.down(w.progress[(at-1)*n+i], nil, int(place.at))
		default:
			w.progress[at*n+i] = p.down(w.progress[(at-1)*n+i], w.nameText(d, d.tokens[place.key]), -1)
		}
	}
}

// reached reports whether the value in hand is at or below a path that is
// allowed, or denied.
func (w *walk) reached(d *document) (allowed, denied bool) {
	p, row := w.engine.policy, w.progress[len(d.open)*len(w.engine.policy.paths):]
	for i := range p.paths {
		if p.paths[i].reached(row[i]) {
			if i < p.allowed {
				return true, false
			}
			denied = true
		}
	}
	return false, denied
}

// isMask reports whether the token is the mask already.
func (d *document) isMask(tok jsontoken.Token) bool {
	return tok.Kind == jsontoken.String && string(d.layer.text[tok.Start+1:tok.End-1]) == schemas.Mask
}
