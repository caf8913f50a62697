package notifier

import "sluice/schemas"

// rule says which events become alerts, and how.
type rule struct {
	name string
	// action is the action of the events that the rule is for.
	action   string
	severity schemas.Severity
	// versions makes one alert for each new version of a product; otherwise
	// there is one for each trouble, with a count of its repetitions.
	versions bool
}

// defaultRules are in force where nothing else is said.
func defaultRules() []rule {
	return []rule{
		{name: "system-exception", action: schemas.ActionSystemException, severity: schemas.SeverityAlert},
		{name: "update-available", action: schemas.ActionUpdateAvailable, severity: schemas.SeverityNotice, versions: true},
	}
}

// match returns the first rule for the action.
func match(rules []rule, action string) (rule, bool) {
	for _, r := range rules {
		if r.action == action {
			return r, true
		}
	}
	return rule{}, false
}

// actions lists what the rules are about.
func actions(rules []rule) []string {
	var out []string
	for _, r := range rules {
		out = append(out, r.action)
	}
	return out
}
