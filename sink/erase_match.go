package sink

import (
	"fmt"
	"strings"
)

// The members of user that can name another person than the one who acted, and those
// of each that name a person.
var (
	otherUsers  = []string{"on_behalf_of", "authenticated_as"}
	userMembers = []string{"pk", "username", "email"}
)

// where is the condition that a row is one of the person's. It says the same as
// matches.
func (e Erasure) where() string {
	user := quote(e.User)
	either := []string{"user_pk = " + user, "username = " + user, "user_email = " + user}
	for _, other := range otherUsers {
		either = append(either, fmt.Sprintf("JSONExtract(user, '%s', 'String') = %s", other, user))
		for _, member := range userMembers {
			either = append(either, fmt.Sprintf("JSONExtract(user, '%s', '%s', 'String') = %s", other, member, user))
		}
	}
	condition := "(" + strings.Join(either, " OR ") + ")"
	if e.Tenant != "" {
		condition = "tenant = " + quote(e.Tenant) + " AND " + condition
	}
	return condition
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
