package redact

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"

	"sluice/redactor/redact/name"
)

// Policy is what an organisation adds to the engine's own rules.
type Policy struct {
	// Keys are further names that mean a secret.
	Keys []KeyRule
	// Values are further shapes of secrets, looked for in every string.
	Values []ValueRule
	// Deny are places where every scalar is masked, at the place and below it.
	Deny []Path
	// Allow are places where nothing is masked, at the place and below it: it
	// overrules every other rule, Deny too.
	Allow []Path
}

// KeyRule masks what stands under certain names.
type KeyRule struct {
	// Name identifies the rule in metrics and explanations, [a-z][a-z0-9_]*.
	Name string
	// Match are the names, in any spelling: "badge number" is badge_number,
	// badgeNumber and X-Badge-Number, and each name that has these words in a row.
	Match []string
}

// ValueRule masks what matches a pattern (RE2) in a string, its JSON escapes
// resolved: the first group if the pattern has one, else the whole match.
type ValueRule struct {
	// Name identifies the rule in metrics and explanations, [a-z][a-z0-9_]*.
	Name    string
	Pattern *regexp.Regexp
}

// Fingerprints are keyed digests by which an analyst sees that two events carried
// the same token, without learning it.
type Fingerprints struct {
	// KeyID names the key in each fingerprint, so that keys can be changed,
	// [A-Za-z0-9_-]{1,16}.
	KeyID string
	// Key is the HMAC-SHA-256 key, 32 bytes.
	Key []byte
}

// policy is what a set of rules comes to, ready for use.
type policy struct {
	keys   []keyRule
	values []valueRule
	// paths are the allowed ones first, then the denied.
	paths   []Path
	allowed int
}

// keyRule is a name, as its words with a space before and behind each.
type keyRule struct {
	words string
	by    rule
}

type valueRule struct {
	pattern *regexp.Regexp
	// literal begins every match: text without it need not be searched.
	literal []byte
	by      rule
}

// rulebook is the list of rules as it grows by the users'.
type rulebook struct{ list []Rule }

// compile makes the policy of p on top of shared, which may be nil.
func (b *rulebook) compile(shared *policy, p Policy) (*policy, error) {
	out, denied := &policy{}, []Path(nil)
	if shared != nil {
		out.keys, out.values = slices.Clone(shared.keys), slices.Clone(shared.values)
		out.paths = slices.Clone(shared.paths[:shared.allowed])
		denied = slices.Clone(shared.paths[shared.allowed:])
	}
	for _, k := range p.Keys {
		by, err := b.add(k.Name, "a value under a name that this installation's rules call secret")
		if err != nil {
			return nil, err
		}
		for _, match := range k.Match {
			words := name.AppendWords([]byte{' '}, []byte(match))
			if len(words) == 1 {
				return nil, fmt.Errorf("rule %s: a name without letters and digits", k.Name)
			}
			out.keys = append(out.keys, keyRule{string(words) + " ", by})
		}
	}
	for _, v := range p.Values {
		by, err := b.add(v.Name, "a match of a pattern of this installation's rules")
		switch {
		case err != nil:
			return nil, err
		case v.Pattern == nil || v.Pattern.MatchString(""):
			return nil, fmt.Errorf("rule %s: the pattern matches the empty text", v.Name)
		}
		literal, _ := v.Pattern.LiteralPrefix()
		out.values = append(out.values, valueRule{v.Pattern, []byte(literal), by})
	}
	out.paths = append(out.paths, p.Allow...)
	out.allowed = len(out.paths)
	out.paths = append(append(out.paths, denied...), p.Deny...)
	return out, nil
}

// add enters a rule of the users, which for several tenants may be the same one.
func (b *rulebook) add(named, meaning string) (rule, error) {
	at := slices.IndexFunc(b.list, func(r Rule) bool { return r.Name == named })
	switch {
	case at >= 0 && b.list[at].Meaning == meaning:
		return rule(at), nil
	case at >= 0:
		return 0, fmt.Errorf("rule %s: there is another one of this name", named)
	case len(b.list) > math.MaxUint16:
		return 0, errors.New("too many rules")
	}
	b.list = append(b.list, Rule{Name: named, Meaning: meaning})
	return rule(len(b.list) - 1), nil
}
