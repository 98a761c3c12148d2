package ldap_test

import (
	"strings"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory/ldap"
)

// FuzzFilter: whatever a user types, the filter stays what the configuration says, with that name as one value.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"wwhite", "*", ")(uid=*", `\28`, "\x00", "Ä", "{user}", "\xff\xfe"} {
		f.Add(s)
	}
	plain, err := goldap.CompileFilter(ldap.FilterFor(config.DefaultLDAPFilter, "x"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, user string) {
		p, err := goldap.CompileFilter(ldap.FilterFor(config.DefaultLDAPFilter, user))
		if err != nil {
			t.Fatalf("%q: %v", user, err)
		}
		if len(p.Children) != len(plain.Children) || p.Tag != plain.Tag {
			t.Fatalf("%q changed the shape of the filter", user)
		}
		last := p.Children[len(p.Children)-1]
		if len(last.Children) != 2 || last.Tag != goldap.FilterEqualityMatch || last.Children[1].Data.String() != user && !strings.Contains(user, ldap.UserPlace) {
			t.Fatalf("%q became %q", user, last.Children[1].Data.String())
		}
	})
}
