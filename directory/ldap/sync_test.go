package ldap_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory/ldap"
)

var (
	corp   = config.LDAPDirectory{Name: "corp", Servers: []config.LDAPServer{{Host: "dc1"}}, Base: "DC=corp", BindDN: "CN=svc,DC=corp", BindPassword: config.NewPassword("x")}
	agents = config.LDAPGroup{DN: "CN=Agents,DC=corp", Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISRTPKeys}}
)

// withUsers is a site with a directory and users.
func withUsers(e config.LDAPDirectory, users ...config.User) *config.Site {
	s := config.Default("node1")
	s.Users, s.LDAPDirectories = users, []config.LDAPDirectory{e}
	for i := range s.Devices {
		s.Devices[i].Owner = ""
	}
	return s.Canonical()
}

// from is a user that came from the directory.
func from(name, id string, change func(*config.User)) config.User {
	u := config.User{Name: name, DisplayName: "Somebody", Authentication: config.AuthenticateLDAP, LDAPDirectory: "corp", LDAPID: id}
	if change != nil {
		change(&u)
	}
	return u
}

// TestPlan: what a directory makes of a site, case by case.
func TestPlan(t *testing.T) {
	grouped, removing, lossy := corp, corp, corp
	grouped.Groups = []config.LDAPGroup{agents}
	removing.Sync = config.LDAPSync{Missing: config.MissingRemove, MaxLossPercent: 100}
	lossy.Sync.MaxLossPercent = 100
	local := config.User{Name: "ann", DisplayName: "Ann of ours"}
	for _, c := range []struct {
		name  string
		e     config.LDAPDirectory
		site  []config.User
		owner string // of the first device
		found []ldap.Account
		force bool
		want  string // operations, in the order of names
		check func(*config.Site) error
	}{
		{name: "new", e: corp, found: []ldap.Account{{User: "zoe", ID: "1", DisplayName: "Zoe"}}, want: "add zoe"},
		{name: "again", e: corp, site: []config.User{from("zoe", "1", nil)}, found: []ldap.Account{{User: "zoe", ID: "1", DisplayName: "Somebody"}}, want: ""},
		{name: "local name", e: corp, site: []config.User{local}, found: []ldap.Account{{User: "Ann", ID: "1"}}, want: "skip Ann", check: func(s *config.Site) error { return unchanged(s, local) }},
		{name: "local missing", e: corp, site: []config.User{local}, want: "", check: func(s *config.Site) error { return unchanged(s, local) }},
		{name: "made by hand", e: corp, site: []config.User{from("zoe", "", nil)}, found: []ldap.Account{{User: "zoe", ID: "1"}}, want: "skip zoe"},
		{name: "no identifier", e: corp, found: []ldap.Account{{User: "zoe", DN: "CN=zoe"}}, want: "skip CN=zoe"},
		{name: "no name", e: corp, found: []ldap.Account{{ID: "1", DN: "CN=zoe"}}, want: "skip CN=zoe"},
		{name: "name that cannot be", e: corp, found: []ldap.Account{{User: "zoé/1", ID: "1"}}, want: "skip zoé/1"},
		{name: "twice", e: corp, found: []ldap.Account{{User: "zoe", ID: "1"}, {User: "zoe", ID: "1"}}, want: "add zoe"},
		{name: "two of a name", e: corp, found: []ldap.Account{{User: "zoe", ID: "1"}, {User: "ZOE", ID: "2"}}, want: "skip ZOE, add zoe"},
		{name: "renamed", e: corp, site: []config.User{from("zoe", "1", nil)}, owner: "zoe", found: []ldap.Account{{User: "zoe.smith", ID: "1"}}, want: "rename zoe.smith", check: func(s *config.Site) error {
			if s.Devices[0].Owner != "zoe.smith" {
				return fmt.Errorf("the device is %q's", s.Devices[0].Owner)
			}
			return nil
		}},
		{name: "renamed to a local one", e: corp, site: []config.User{local, from("zoe", "1", nil)}, found: []ldap.Account{{User: "ann", ID: "1"}}, want: "skip zoe"},
		{name: "disabled there", e: corp, site: []config.User{from("zoe", "1", nil)}, found: []ldap.Account{{User: "zoe", ID: "1", Disabled: true}}, want: "disable zoe"},
		{name: "enabled there", e: corp, site: []config.User{from("zoe", "1", off(true))}, found: []ldap.Account{{User: "zoe", ID: "1"}}, want: "enable zoe"},
		{name: "disabled by an operator", e: corp, site: []config.User{from("zoe", "1", off(false))}, found: []ldap.Account{{User: "zoe", ID: "1"}}, want: ""},
		{name: "gone", e: corp, site: []config.User{from("zoe", "1", nil)}, want: "disable zoe"},
		{name: "gone before", e: corp, site: []config.User{from("zoe", "1", off(true))}, want: ""},
		{name: "removed", e: removing, site: []config.User{from("zoe", "1", nil)}, want: "remove zoe"},
		{name: "removed with a device", e: removing, site: []config.User{from("zoe", "1", nil)}, owner: "zoe", want: "disable zoe"},
		{name: "too many gone", e: corp, site: []config.User{from("x1", "1", nil), from("x2", "2", nil), from("x3", "3", nil)}, want: "refused disable x1, disable x2, disable x3"},
		{name: "too many gone, meant", e: corp, site: []config.User{from("x1", "1", nil), from("x2", "2", nil), from("x3", "3", nil)}, force: true, want: "disable x1, disable x2, disable x3"},
		{name: "too many gone, allowed", e: lossy, site: []config.User{from("x1", "1", nil), from("x2", "2", nil)}, want: "disable x1, disable x2"},
		{name: "group given", e: grouped, site: []config.User{from("zoe", "1", func(u *config.User) { u.Devices = []string{"alice"} })}, found: []ldap.Account{{User: "zoe", ID: "1", Groups: []string{"cn=agents, dc=corp"}}},
			want: "change zoe", check: has(config.GroupCTIEnabled, config.GroupCTISRTPKeys)},
		{name: "group without devices", e: grouped, found: []ldap.Account{{User: "zoe", ID: "1", Groups: []string{agents.DN}}}, want: "add zoe", check: has(config.GroupCTIEnabled)},
		{name: "group taken", e: grouped, site: []config.User{from("zoe", "1", func(u *config.User) { u.Groups = []config.Group{config.GroupCTIEnabled, config.GroupCTICallPark} })},
			found: []ldap.Account{{User: "zoe", ID: "1"}}, want: "change zoe", check: has(config.GroupCTICallPark)},
		{name: "group of another directory", e: corp, site: []config.User{from("zoe", "1", func(u *config.User) { u.Groups = []config.Group{config.GroupCTIEnabled} })},
			found: []ldap.Account{{User: "zoe", ID: "1"}}, want: "", check: has(config.GroupCTIEnabled)},
	} {
		t.Run(c.name, func(t *testing.T) {
			site := withUsers(c.e, c.site...)
			site.Devices[0].Owner = c.owner
			before := string(config.Format(site, true))
			next, r := ldap.Plan(c.e, site, c.found, c.force)
			var ops []string
			for _, x := range r.Changes {
				ops = append(ops, x.Op+" "+x.User)
			}
			got := strings.Join(ops, ", ")
			if r.Refused != "" {
				got = "refused " + got
			}
			if got != c.want {
				t.Errorf("%s (%+v), want %s", got, r, c.want)
			}
			if string(config.Format(site, true)) != before {
				t.Error("the site itself was changed")
			}
			if err := next.Check(); err != nil {
				t.Error(err)
			}
			if r.Refused != "" && len(config.Diff(site, next)) > 0 {
				t.Error("refused, and changed")
			}
			if c.check != nil {
				if err := c.check(next); err != nil {
					t.Error(err)
				}
			}
			if _, again := ldap.Plan(c.e, next, c.found, true); r.Refused == "" && slices.ContainsFunc(again.Changes, func(x ldap.UserChange) bool { return x.Op != "skip" }) {
				t.Errorf("a second time: %+v", again.Changes)
			}
		})
	}
}

func off(bySync bool) func(*config.User) {
	return func(u *config.User) { u.Disabled, u.LDAPDisabled = true, bySync }
}

func unchanged(s *config.Site, want config.User) error {
	if len(s.Users) != 1 || s.Users[0].Name != want.Name || s.Users[0].DisplayName != want.DisplayName || s.Users[0].LDAPID != "" {
		return fmt.Errorf("users: %+v", s.Users)
	}
	return nil
}

func has(want ...config.Group) func(*config.Site) error {
	return func(s *config.Site) error {
		if !slices.Equal(s.Users[0].Groups, want) {
			return fmt.Errorf("groups %v, want %v", s.Users[0].Groups, want)
		}
		return nil
	}
}

// TestEscaping: what a user types is a value in the filter and nothing else, by the vectors of RFC 4515, 4 and more.
func TestEscaping(t *testing.T) {
	for user, want := range map[string]string{
		"wwhite":                        "wwhite",
		"Parens R Us (for all your )":   `Parens R Us \28for all your \29`,
		"*":                             `\2a`,
		`C:\MyFile`:                     `C:\5cMyFile`,
		"\x00\x00\x00\x04":              "\\00\\00\\00\x04",
		"Lučić":                         `Lu\c4\8di\c4\87`,
		"x)(|(objectClass=*":            `x\29\28|\28objectClass=\2a`,
		"{user}":                        "{user}",
		strings.Repeat("(", 3) + "\xff": `\28\28\28\ff`,
	} {
		if got := ldap.Escaped(user); got != want {
			t.Errorf("%q is escaped as %q, want %q", user, got, want)
		}
	}
	if got := ldap.FilterFor("(&(uid={user})(mail={user}@corp.test))", "a*"); got != `(&(uid=a\2a)(mail=a\2a@corp.test))` {
		t.Error(got)
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"CN=UC Users,DC=corp", "cn=uc users, dc=corp", true},
		{`CN=White\, Walter,DC=corp`, `cn=White\2c Walter,DC=corp`, true},
		{"CN=UC Users,DC=corp", "CN=UC Users,DC=corp,DC=net", false},
		{"nonsense", "NONSENSE", true},
	} {
		if ldap.SameDN(c.a, c.b) != c.same {
			t.Errorf("%s and %s: same is not %t", c.a, c.b, c.same)
		}
	}
}
