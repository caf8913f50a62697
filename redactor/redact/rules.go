package redact

// Rule is one way to recognise a credential.
type Rule struct {
	// Name identifies the rule in metrics and explanations, [a-z_]+.
	Name string
	// Meaning says in a sentence what it masks.
	Meaning string
}

// The rules, as indices into the list of rules.
type rule uint8

const (
	ruleKey rule = iota
	ruleAddedKey
	ruleContainer
	ruleQuery
	numRules
)

func rules() []Rule {
	list := make([]Rule, numRules)
	list[ruleKey] = Rule{"key", "a value, or the elements of a list, under a name on authentik's list"}
	list[ruleAddedKey] = Rule{"added_key", "the same for the names that Sluice adds: pwd, otp, totp, cookie, credential"}
	list[ruleContainer] = Rule{"container", "everything below a name that means a secret outright, model references excepted"}
	list[ruleQuery] = Rule{"query", "the value of a parameter with such a name in a query string, encoded or not"}
	return list
}
