package corpus

import (
	"bytes"
	"encoding/json"
	"regexp"

	"sluice/schemas"
)

// The rule by which authentik masks the context of its events (2026.5): names that
// match the one expression and not the other, anywhere in them.
var (
	authentikMasks = regexp.MustCompile(`(?i)API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|HTTP_COOKIE`)
	authentikKeeps = regexp.MustCompile(`(?i)passing|password_change_date|^auth_method(_args)?$|^revoke_tokens$`)
)

// Authentik masks an event as authentik does: by name, the members of its context
// and the arguments of its request one by one. What it cannot read is left.
func Authentik(event []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(event))
	decoder.UseNumber()
	var all map[string]any
	if decoder.Decode(&all) != nil {
		return event
	}
	if context, ok := all["context"].(map[string]any); ok {
		all["context"] = cleanseDict(context)
	}
	out, err := json.Marshal(all)
	if err != nil {
		return event
	}
	return out
}

func cleanseDict(source map[string]any) map[string]any {
	out := make(map[string]any, len(source))
	for name, value := range source {
		out[name] = cleanseItem(name, value)
	}
	return out
}

// cleanseItem masks a value by the name over it: a dict is entered and judged by
// its own names, the elements of a list go by the name over the list.
func cleanseItem(name string, value any) any {
	switch v := value.(type) {
	case map[string]any:
		return cleanseDict(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = cleanseItem(name, v[i])
		}
		return out
	}
	if authentikMasks.MatchString(name) && !authentikKeeps.MatchString(name) {
		return schemas.Mask
	}
	return value
}

// SameText reports whether two JSON texts hold the same, whatever their layout.
func SameText(a, b []byte) bool {
	var one, two any
	if json.Unmarshal(a, &one) != nil || json.Unmarshal(b, &two) != nil {
		return false
	}
	first, err := json.Marshal(one)
	if err != nil {
		return false
	}
	second, err := json.Marshal(two)
	return err == nil && bytes.Equal(first, second)
}
