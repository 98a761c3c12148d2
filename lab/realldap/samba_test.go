package realldap_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory/ldap"
	"github.com/locktone/locktone/lab/realldap"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/secret"
)

const (
	svc    = "CN=svc,CN=Users," + realldap.DomainDN
	normal = 512
	// ucUsers is a group of the directory.
	ucUsers = "CN=UC-Users,CN=Users," + realldap.DomainDN
)

func word(user string) string { return "Passw0rd!" + user }

// domain is a controller with users in every state.
func domain(t *testing.T) *realldap.Controller {
	c := realldap.Samba(t)
	c.Admin(t, func(conn *goldap.Conn) error {
		for _, dn := range []string{realldap.UsersDN, "OU=Twins," + realldap.DomainDN, "OU=Empty," + realldap.DomainDN} {
			r := goldap.NewAddRequest(dn, nil)
			r.Attribute("objectClass", []string{"organizationalUnit"})
			if err := conn.Add(r); err != nil {
				return err
			}
		}
		g := goldap.NewAddRequest(ucUsers, nil)
		g.Attribute("objectClass", []string{"group"})
		g.Attribute("sAMAccountName", []string{"UC-Users"})
		return conn.Add(g)
	})
	c.Set(t, "CN=Administrator,CN=Users,"+realldap.DomainDN, "userAccountControl", "66048")
	c.Set(t, realldap.DomainDN, "lockoutThreshold", "3")
	c.User(t, "CN=Users,"+realldap.DomainDN, "svc", "svc", word("svc"), 66048, nil) // its password does not expire
	c.User(t, "CN=Users,"+realldap.DomainDN, "locked svc", "lockedsvc", word("lockedsvc"), 66048, nil)
	u := realldap.UsersDN
	c.User(t, u, "Walter White", "wwhite", word("wwhite"), normal, nil)
	c.User(t, u, "Dave Disabled", "dave", word("dave"), 514, nil)
	c.User(t, u, "Erin Locked", "erin", word("erin"), normal, nil)
	c.User(t, u, "Frank Expired", "frank", word("frank"), normal, map[string]string{"accountExpires": "125911584000000000"})
	c.User(t, u, "Gina New", "gina", word("gina"), normal, map[string]string{"pwdLastSet": "0"})
	c.User(t, u, "Hugo Hours", "hugo", word("hugo"), normal, map[string]string{"logonHours": strings.Repeat("\x00", 21)})
	c.User(t, u, "Ivan, Jr. + Co", "ivan", word("ivan"), normal, nil)
	c.User(t, u, "Jack Stale", "jack", word("jack"), normal, nil)
	c.User(t, u, "Kim Warned", "kim", word("kim"), normal, nil)
	c.Set(t, ucUsers, "member", "CN=Walter White,"+u)
	c.Age(t, "CN=Jack Stale,"+u, 60*24*time.Hour)
	c.Age(t, "CN=Kim Warned,"+u, 39*24*time.Hour+time.Hour)
	return c
}

func settings(c *realldap.Controller) config.LDAPDirectory {
	return config.LDAPDirectory{Name: "corp", Servers: []config.LDAPServer{{Host: c.Address}}, Base: realldap.UsersDN, BindDN: "svc@corp.test",
		BindPassword: config.NewPassword(word("svc")), NetworkTimeout: config.Duration(5 * time.Second)}
}

func open(t testing.TB, c *realldap.Controller, now func() time.Time, change func(*config.LDAPDirectory)) *ldap.Directory {
	t.Helper()
	s := settings(c)
	if change != nil {
		change(&s)
	}
	trust, err := pki.NewTrust(pki.Anchor{Certificate: c.Authority.Certificate, Kinds: pki.KindsOf(pki.KindPeer)})
	if err != nil {
		t.Fatal(err)
	}
	id, err := pki.NewIdentity("directory", pki.Snapshot{Trust: trust}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := ldap.Open(ldap.Config{Settings: s, Identity: id, Now: now})
	t.Cleanup(d.Close)
	return d
}

func reason(p *ldap.Problem) ldap.Reason {
	if p == nil {
		return ldap.Success
	}
	return p.Reason
}

// TestActiveDirectory: a domain controller's answers, over each way in, become the reasons that they mean.
func TestActiveDirectory(t *testing.T) {
	c := domain(t)
	ways := map[string]func(*config.LDAPDirectory){
		"ldaps 636":                      nil,
		"starttls 389":                   func(s *config.LDAPDirectory) { s.Transport = config.LDAPStartTLS },
		"global catalogue 3269":          func(s *config.LDAPDirectory) { s.GlobalCatalogue = true },
		"global catalogue 3268 StartTLS": func(s *config.LDAPDirectory) { s.GlobalCatalogue, s.Transport = true, config.LDAPStartTLS },
		"bind DN as a DN":                func(s *config.LDAPDirectory) { s.BindDN = svc },
		`bind DN as CORP\svc`:            func(s *config.LDAPDirectory) { s.BindDN = `CORP\svc` },
	}
	for name, way := range ways {
		d := open(t, c, nil, way)
		out := d.Authenticate(t.Context(), "wwhite", secret.New(word("wwhite")), nil)
		if !out.OK() || out.Account.DN != "CN=Walter White,"+realldap.UsersDN || len(out.Account.ID) != 36 || !slices.Contains(out.Account.Groups, ucUsers) {
			t.Errorf("%s: %v, account %+v", name, out.Problem, out.Account)
		}
		if out.ExpiresInDays != 41 { // the domain's maxPwdAge is 42 days
			t.Errorf("%s: the password expires in %d days", name, out.ExpiresInDays)
		}
		if r := d.Check(t.Context(), ldap.CheckOptions{User: "wwhite"}); !r.OK {
			first, _ := r.First()
			t.Errorf("%s: check fails: %+v %v", name, first, first.Problem)
		}
	}
	all := func(s *config.LDAPDirectory) { s.Filter = "(sAMAccountName={user})" }
	d, unfiltered := open(t, c, nil, nil), open(t, c, nil, all)
	for range 3 {
		d.Authenticate(t.Context(), "erin", secret.New("a wrong guess"), nil)
	}
	for _, x := range []struct {
		d              *ldap.Directory
		user, password string
		want           ldap.Reason
		data           string
	}{
		{d, "wwhite", "a wrong guess", ldap.WrongPassword, "52e"},
		{d, "WWHITE", word("wwhite"), ldap.Success, ""},
		{d, "ivan", word("ivan"), ldap.Success, ""},
		{d, "nobody", "x", ldap.NoSuchUser, ""},
		{d, "wwhite", "", ldap.EmptyPassword, ""},
		{d, "*", word("wwhite"), ldap.NoSuchUser, ""},
		{d, "dave", word("dave"), ldap.AccountDisabled, ""},
		{unfiltered, "dave", word("dave"), ldap.AccountDisabled, "533"},
		{d, "erin", word("erin"), ldap.AccountLocked, "775"},
		{d, "frank", word("frank"), ldap.AccountExpired, "701"},
		{d, "gina", word("gina"), ldap.MustChangePassword, "773"},
		{d, "hugo", word("hugo"), ldap.OutsideHours, "530"},
		{d, "jack", word("jack"), ldap.PasswordExpired, "532"},
	} {
		out := x.d.Authenticate(t.Context(), x.user, secret.New(x.password), nil)
		if got := reason(out.Problem); got != x.want || out.Problem != nil && out.Problem.Data != x.data {
			t.Errorf("%s: %q (%+v), want %q with data %q", x.user, got, out.Problem, x.want, x.data)
		}
	}
	if out := d.Authenticate(t.Context(), "kim", secret.New(word("kim")), nil); !out.OK() || out.ExpiresInDays != 2 {
		t.Errorf("a password of 39 days: expires in %d days, %v", out.ExpiresInDays, out.Problem)
	}
	t.Run("broken", func(t *testing.T) { brokenSetUps(t, c) })
	t.Run("sync", func(t *testing.T) { synchronises(t, c) })
}

// brokenSetUps are those that Active Directory alone has.
func brokenSetUps(t *testing.T, c *realldap.Controller) {
	for range 3 {
		d := open(t, c, nil, func(s *config.LDAPDirectory) {
			s.BindDN, s.BindPassword = "lockedsvc@corp.test", config.NewPassword("a wrong guess")
		})
		d.Authenticate(t.Context(), "wwhite", secret.New("x"), nil)
	}
	skewed := func() time.Time { return time.Now().Add(-11 * time.Minute) }
	for _, b := range []struct {
		name   string
		now    func() time.Time
		change func(*config.LDAPDirectory)
		user   string
		want   ldap.Reason
		says   string
	}{
		{name: "simple bind in clear", change: func(s *config.LDAPDirectory) { s.Transport = config.LDAPClear }, want: ldap.TLSRequired, says: "ldaps"},
		{name: "TLS to 389", change: func(s *config.LDAPDirectory) { s.Servers[0].Port = 389 }, want: ldap.NotTLS, says: "starttls"},
		{name: "clear to 636", change: func(s *config.LDAPDirectory) { s.Transport, s.Servers[0].Port = config.LDAPClear, 636 }, want: ldap.NotLDAP, says: "ldaps"},
		{name: "clocks apart", now: skewed, want: ldap.ClockSkew, says: "NTP"},
		{name: "service password wrong", change: func(s *config.LDAPDirectory) { s.BindPassword = config.NewPassword("another one") }, want: ldap.ServiceBind, says: "bindPassword"},
		{name: "service account locked", change: func(s *config.LDAPDirectory) {
			s.BindDN, s.BindPassword = "lockedsvc@corp.test", config.NewPassword(word("lockedsvc"))
		}, want: ldap.ServiceAccount, says: "locked"},
		{name: "anonymous", change: func(s *config.LDAPDirectory) { s.BindDN, s.BindPassword = "", config.Password{} }, want: ldap.AnonymousRefused, says: "bindDN"},
		{name: "base wrong", change: func(s *config.LDAPDirectory) { s.Base = "OU=Better Call Saul," + realldap.DomainDN }, want: ldap.BaseMissing, says: "base"},
		{name: "base of another domain", change: func(s *config.LDAPDirectory) { s.Base = "DC=joshlab,DC=net" }, want: ldap.BaseMissing, says: "DC=joshlab"},
		{name: "attributes of OpenLDAP", change: func(s *config.LDAPDirectory) { s.Filter, s.Attributes.User = "(uid={user})", "uid" }, want: ldap.FilterNobody, says: "sAMAccountName"},
		{name: "nobody under the base", change: func(s *config.LDAPDirectory) { s.Base = "OU=Empty," + realldap.DomainDN }, want: ldap.FilterNobody, says: "base"},
		{name: "missing group", change: func(s *config.LDAPDirectory) {
			s.Groups = []config.LDAPGroup{{DN: "CN=CTI,CN=Users," + realldap.DomainDN, Groups: []config.Group{config.GroupCTIEnabled}}}
		}, want: ldap.GroupMissing, says: "CN=CTI"},
		{name: "user disabled", user: "dave", want: ldap.AccountDisabled, says: "enable"},
		{name: "user locked", user: "erin", want: ldap.AccountLocked, says: "unlock"},
		{name: "user expired", user: "frank", want: ldap.AccountExpired, says: "expir"},
		{name: "user must change", user: "gina", want: ldap.MustChangePassword, says: "change"},
		{name: "user unknown", user: "nobody", want: ldap.NoSuchUser, says: "nobody"},
		{name: "user outside hours", user: "hugo", want: ldap.OutsideHours, says: "hours"},
		{name: "whole domain as the base", change: func(s *config.LDAPDirectory) { s.Base = realldap.DomainDN }, user: "wwhite"},
	} {
		d := open(t, c, b.now, b.change)
		o := ldap.CheckOptions{User: b.user}
		if b.user != "" {
			o.Password = secret.New(word(b.user))
		}
		r := d.Check(t.Context(), o)
		first, found := r.First()
		if b.want == "" && found || b.want != "" && (!found || first.Problem.Reason != b.want || !strings.Contains(first.Problem.What+" / "+first.Problem.Fix, b.says)) {
			t.Errorf("%s: named %+v, want %q (%s)", b.name, first.Problem, b.want, b.says)
			for _, s := range r.Steps {
				t.Logf("%-8s %-12s %s", s.State, s.Name, s.Text)
			}
		}
	}
}

// synchronises: users come page by page, with groups, once; what changes in the directory changes them, and nobody else.
func synchronises(t *testing.T, c *realldap.Controller) {
	ou := "OU=Many," + realldap.DomainDN
	c.Admin(t, func(conn *goldap.Conn) error {
		r := goldap.NewAddRequest(ou, nil)
		r.Attribute("objectClass", []string{"organizationalUnit"})
		if err := conn.Add(r); err != nil {
			return err
		}
		for i := range 60 {
			u := goldap.NewAddRequest(fmt.Sprintf("CN=User %02d,%s", i, ou), nil)
			u.Attribute("objectClass", []string{"user"})
			u.Attribute("sAMAccountName", []string{fmt.Sprintf("user%02d", i)})
			u.Attribute("userAccountControl", []string{"544"}) // no password needed: nobody logs in
			if err := conn.Add(u); err != nil {
				return err
			}
		}
		return nil
	})
	change := func(s *config.LDAPDirectory) {
		s.Base, s.Sync.PageSize = ou, 10
		s.Groups = []config.LDAPGroup{{DN: strings.ToLower(ucUsers), Groups: []config.Group{config.GroupCTIEnabled}}}
	}
	d := open(t, c, nil, change)
	found, p := d.Users(t.Context())
	if p != nil || len(found) != 60 || found[59].User != "user59" || len(found[0].ID) != 36 {
		t.Fatalf("%d users, %v", len(found), p)
	}
	site := config.Default("node1")
	e := d.Settings()
	site.LDAPDirectories = []config.LDAPDirectory{e}
	site.Users = append(site.Users, config.User{Name: "user07", DisplayName: "Local"})
	next, r := ldap.Plan(e, site, found, false)
	if r.Count("add") != 59 || r.Count("skip") != 1 || len(next.Users) != len(site.Users)+59 {
		t.Fatalf("the first plan: %+v", r)
	}
	c.Set(t, ucUsers, "member", "CN=User 01,"+ou)
	c.Set(t, "CN=User 02,"+ou, "userAccountControl", "546")
	c.Set(t, "CN=User 03,"+ou, "sAMAccountName", "renamed03")
	c.Admin(t, func(conn *goldap.Conn) error { return conn.Del(goldap.NewDelRequest("CN=User 04,"+ou, nil)) })
	if found, p = d.Users(t.Context()); p != nil {
		t.Fatal(p)
	}
	last, r := ldap.Plan(e, next, found, false)
	if r.Count("disable") != 2 || r.Count("rename") != 1 || r.Count("change") != 1 || r.Refused != "" {
		t.Errorf("the second plan: %+v", r)
	}
	for _, u := range last.Users {
		switch u.Name {
		case "user01":
			if !slices.Equal(u.Groups, []config.Group{config.GroupCTIEnabled}) {
				t.Errorf("groups of user01: %v", u.Groups)
			}
		case "user02", "user04":
			if !u.Disabled {
				t.Errorf("%s is not disabled", u.Name)
			}
		case "user03":
			t.Error("user03 kept its name")
		case "user07":
			if u.LDAPID != "" || u.DisplayName != "Local" {
				t.Errorf("the local user was changed: %+v", u)
			}
		}
	}
}
