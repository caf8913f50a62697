package redact

import "sluice/redactor/redact/credential"

// Rule is one way to recognise a credential.
type Rule struct {
	// Name identifies the rule in metrics and explanations, [a-z][a-z0-9_]*.
	Name string
	// Meaning says in a sentence what it masks.
	Meaning string
	// Source says where the shape is documented, "" for the engine's own rules.
	Source string
}

// rule is an index into the list of rules: the engine's own first, then the
// formats of package credential, then the users'.
type rule uint16

const (
	ruleKey rule = iota
	ruleLikelyKey
	ruleContainer
	rulePair
	ruleQuery
	ruleOAuth
	ruleAssignment
	ruleHeader
	ruleScheme
	ruleUserinfo
	ruleArgument
	ruleMarkup
	ruleSQL
	rulePasswordFile
	ruleOneTimeCode
	ruleDenied
	ruleFormats // the first of package credential's
)

// builtin lists the rules that every engine has.
func builtin() []Rule {
	formats := credential.Formats()
	list := make([]Rule, int(ruleFormats)+len(formats))
	list[ruleKey] = Rule{Name: "key", Meaning: "a value, or the elements of a list, under a name that means a secret"}
	list[ruleLikelyKey] = Rule{Name: "likely_key", Meaning: "a value that looks like a secret, under a name that may mean one: key, auth, session"}
	list[ruleContainer] = Rule{Name: "container", Meaning: "everything below a name that means a secret, model references excepted"}
	list[rulePair] = Rule{Name: "pair", Meaning: `the value of a pair whose name means a secret: {"name":"Authorization","value":…}, ["Cookie","…"]`}
	list[ruleQuery] = Rule{Name: "query", Meaning: "the value of a parameter with such a name in a URL, a form or a request's arguments, encoded or not"}
	list[ruleOAuth] = Rule{Name: "oauth", Meaning: "code, state and nonce beside other parameters of an OAuth exchange"}
	list[ruleAssignment] = Rule{Name: "assignment", Meaning: "what follows such a name and = or : in text: logs, tracebacks, connection strings, configuration"}
	list[ruleHeader] = Rule{Name: "header", Meaning: "the credentials of an Authorization, Cookie or Set-Cookie header in text"}
	list[ruleScheme] = Rule{Name: "scheme", Meaning: "the credentials after an authentication scheme in text: Bearer, Basic, Digest, Negotiate"}
	list[ruleUserinfo] = Rule{Name: "userinfo", Meaning: "the password of a URL's user, or a token in the user's place"}
	list[ruleArgument] = Rule{Name: "argument", Meaning: "the argument of such an option on a command line: --password, curl -u, mysql -p"}
	list[ruleMarkup] = Rule{Name: "markup", Meaning: "the content of an XML or HTML element with such a name, or the value of such a field"}
	list[ruleSQL] = Rule{Name: "sql", Meaning: "the password in an SQL statement: IDENTIFIED BY '…', PASSWORD '…', the value of such a column of an INSERT, and such a parameter that is logged beside the statement"}
	list[rulePasswordFile] = Rule{Name: "password_file", Meaning: "the last field of a line of .pgpass: host:5432:database:user:password"}
	list[ruleOneTimeCode] = Rule{Name: "one_time_code", Meaning: "the digits after verification code, login code, one-time password and the like"}
	list[ruleDenied] = Rule{Name: "denied", Meaning: "everything at and below a path that the rules of this installation deny"}
	for i, format := range formats {
		list[int(ruleFormats)+i] = Rule{Name: format.Name, Meaning: format.Meaning, Source: format.Source}
	}
	return list
}
