package ldap

import (
	"strings"

	goldap "github.com/go-ldap/ldap/v3"
)

// UserPlace stands for the escaped name of the user in a filter.
const UserPlace = "{user}"

// Escaped is a name as it may stand in a filter: RFC 4515, 3: the octets of ( ) * \ and NUL, and those that are not ASCII, as \xx.
func Escaped(user string) string { return goldap.EscapeFilter(user) }

// FilterFor is the filter that finds one user.
func FilterFor(filter, user string) string {
	return strings.ReplaceAll(filter, UserPlace, Escaped(user))
}

// FilterForAll is the filter that finds every user: the place of the name matches any.
func FilterForAll(filter string) string { return strings.ReplaceAll(filter, UserPlace, "*") }

// equality is a filter for one value of one attribute.
func equality(attribute, value string) string { return "(" + attribute + "=" + Escaped(value) + ")" }

// SameDN compares two DNs as a directory does that has the usual schema: RFC 4514 spelling and case do not count.
func SameDN(a, b string) bool {
	x, err1 := goldap.ParseDN(a)
	y, err2 := goldap.ParseDN(b)
	if err1 != nil || err2 != nil {
		return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
	}
	return x.EqualFold(y)
}
