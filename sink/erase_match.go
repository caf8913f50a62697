package sink

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The members of user that can name another person than the one who acted, and those
// of each that name a person.
var (
	otherUsers  = []string{"on_behalf_of", "authenticated_as"}
	userMembers = []string{"pk", "username", "email"}
)

// matchedBy are the members of user by which a row can be one of the person's.
var matchedBy = append(slices.Clone(userMembers), otherUsers...)

// by are the conditions of matchedBy, in its order.
func (e Erasure) by() []string {
	user := quote(e.User)
	conditions := []string{"user_pk = " + user, "username = " + user, "user_email = " + user}
	for _, other := range otherUsers {
		either := []string{fmt.Sprintf("JSONExtract(user, '%s', 'String') = %s", other, user)}
		for _, member := range userMembers {
			either = append(either, fmt.Sprintf("JSONExtract(user, '%s', '%s', 'String') = %s", other, member, user))
		}
		conditions = append(conditions, "("+strings.Join(either, " OR ")+")")
	}
	return conditions
}

// where is the condition that a row is one of the person's. It says the same as
// matches.
func (e Erasure) where() string {
	return e.ofTenant("(" + strings.Join(e.by(), " OR ") + ")")
}

func (e Erasure) ofTenant(condition string) string {
	if e.Tenant == "" {
		return condition
	}
	return "tenant = " + quote(e.Tenant) + " AND " + condition
}

// mentions is the condition that a row is not the person's, but has the text as a word
// of its own elsewhere.
func (e Erasure) mentions() string {
	word := quote(`(^|[^\pL\pN_])` + regexp.QuoteMeta(e.User) + `($|[^\pL\pN_])`)
	var either []string
	for _, column := range []string{"context", "user", "brand", "extra"} {
		// The search of the text is the faster one, and leaves little to the other.
		either = append(either, fmt.Sprintf("position(%s, %s) > 0 AND match(%s, %s)", column, quote(e.User), column, word))
	}
	return e.ofTenant("NOT (" + strings.Join(e.by(), " OR ") + ") AND ((" + strings.Join(either, ") OR (") + "))")
}

// matches tells whether the row that m has just made is one of the person's.
func (e Erasure) matches(r *row, m *mapper) bool {
	if e.Tenant != "" && r.tenant != e.Tenant {
		return false
	}
	if r.userPK == e.User || r.username == e.User || r.userEmail == e.User {
		return true
	}
	for _, other := range otherUsers {
		if m.scalar("user", other) == e.User {
			return true
		}
		for _, member := range userMembers {
			if m.scalar("user", other, member) == e.User {
				return true
			}
		}
	}
	return false
}
