package ldap_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory/ldap"
	"github.com/locktone/locktone/lab/realldap"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/secret"
)

// trusting is an identity that trusts an authority for peers.
func trusting(t testing.TB, authorities ...*realldap.Authority) *pki.Identity {
	t.Helper()
	var anchors []pki.Anchor
	for _, a := range authorities {
		anchors = append(anchors, pki.Anchor{Certificate: a.Certificate, Kinds: pki.KindsOf(pki.KindPeer)})
	}
	trust, err := pki.NewTrust(anchors...)
	if err != nil {
		t.Fatal(err)
	}
	id, err := pki.NewIdentity("directory", pki.Snapshot{Trust: trust}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// settings are those of a slapd of package realldap, over LDAPS.
func settings(s *realldap.Server) config.LDAPDirectory {
	return config.LDAPDirectory{Name: "corp", Servers: []config.LDAPServer{{Host: "localhost", Port: s.TLSPort}}, Base: "ou=people," + realldap.Suffix,
		BindDN: realldap.Service, BindPassword: config.NewPassword(realldap.ServicePassword), Attributes: config.LDAPAttributes{ID: "entryUUID"},
		NetworkTimeout: config.Duration(2 * time.Second), SearchTimeLimit: config.Duration(2 * time.Second)}
}

// open opens a directory with settings as a function leaves them.
func open(t testing.TB, s *realldap.Server, change func(*config.LDAPDirectory)) *ldap.Directory {
	t.Helper()
	c := settings(s)
	if change != nil {
		change(&c)
	}
	d := ldap.Open(ldap.Config{Settings: c, Identity: trusting(t, s.Authority), Home: t.TempDir()})
	t.Cleanup(d.Close)
	return d
}

// login logs in and returns the stages with it.
func login(t testing.TB, d *ldap.Directory, user, password string) (ldap.Outcome, []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var stages []string
	out := d.Authenticate(ctx, user, secret.New(password), func(text string) { stages = append(stages, text) })
	for _, s := range stages {
		if password != "" && strings.Contains(s, password) || strings.Contains(s, realldap.ServicePassword) {
			t.Errorf("a stage shows a password: %s", s)
		}
	}
	return out, stages
}

// TestStages: a login is told in the words of the field's trace, in its order; the second one needs no connection of the service.
func TestStages(t *testing.T) {
	s := realldap.Slapd(t, realldap.SlapdConfig{})
	d := open(t, s, func(c *config.LDAPDirectory) {
		c.Transport = config.LDAPClear
		c.Servers[0] = config.LDAPServer{Host: "127.0.0.1", Port: s.Port}
	})
	out, stages := login(t, d, "alice", "the word of alice")
	if !out.OK() || out.Account.DN != "cn=Alice Ali,ou=people,dc=corp,dc=test" || out.ExpiresInDays != ldap.NoExpiry || out.Account.ID == "" {
		t.Fatalf("outcome %+v, problem %v", out, out.Problem)
	}
	url, server := fmt.Sprintf("(ldap://127.0.0.1:%d)", s.Port), fmt.Sprintf("127.0.0.1 %d", s.Port)
	search := []string{
		"Retrieve the specified user entry: (&(&(objectclass=user)(!(objectclass=Computer))(!(UserAccountControl:1.2.840.113556.1.4.803:=2)))(sAMAccountName=alice))",
		"LDAP Search for User base: 'ou=people,dc=corp,dc=test'",
		"LDAP Search complete. Code: 0",
		"Get DN of entry.",
		"Got DN: cn=Alice Ali,ou=people,dc=corp,dc=test",
		"Attempt to authenticate DN: cn=Alice Ali,ou=people,dc=corp,dc=test",
		"authenticationLDAP::Authenticate():enter",
		"Authenticating with SSL not enabled " + url,
		"LDAP authentication bind SUCCESS for cn=Alice Ali,ou=people,dc=corp,dc=test",
		"Connection # (0): sucessful", "Details ::", server, "----------", "Available Servers (1)", "authenticationLDAP::Authenticate():exit(0)",
	}
	begin := []string{"LDAP userid is 'alice'", "authenticationUtils::escapeLDAPSpecialCharsForFilter():enter", "After Escaping for LDAP special Characters for Filter = alice"}
	connect := []string{
		"LDAP not initialized...connecting...",
		"authenticationLDAP::connect():enter",
		"authenticationLDAP::Authenticate():enter",
		"Authenticating with SSL not enabled " + url,
		"LDAP authentication bind SUCCESS for " + realldap.Service,
		"Connection # (0): sucessful", "Details ::", server, "----------", "Available Servers (1)", "authenticationLDAP::Authenticate():exit(0)",
		"Authentication of LDAP administrator successful.",
	}
	if want := slices.Concat(begin, connect, search); !slices.Equal(stages, want) {
		t.Errorf("stages\n%s\nwant\n%s", strings.Join(stages, "\n"), strings.Join(want, "\n"))
	}
	if _, again := login(t, d, "alice", "the word of alice"); !slices.Equal(again, slices.Concat(begin, search)) {
		t.Errorf("the second login:\n%s", strings.Join(again, "\n"))
	}
}

// TestLogin: who gets in and why not, over LDAPS and StartTLS.
func TestLogin(t *testing.T) {
	s := realldap.Slapd(t, realldap.SlapdConfig{})
	overStartTLS := func(c *config.LDAPDirectory) { c.Transport, c.Servers[0].Port = config.LDAPStartTLS, s.Port }
	for name, d := range map[string]*ldap.Directory{"ldaps": open(t, s, nil), "starttls": open(t, s, overStartTLS)} {
		for _, c := range []struct {
			user, password string
			want           ldap.Reason
		}{
			{"alice", "the word of alice", ldap.Success},
			{"ALICE", "the word of alice", ldap.Success},
			{"alice", "the word of bob", ldap.WrongPassword},
			{"alice", "", ldap.EmptyPassword},
			{"*", "the word of alice", ldap.NoSuchUser},
			{"alice)(objectClass=*", "the word of alice", ldap.NoSuchUser},
			{"nobody", "x", ldap.NoSuchUser},
			{"bob", "the word of bob", ldap.AccountDisabled},
			{`carol(*)\x`, "the word of carol", ldap.Success},
			{"al\x00ice", "the word of alice", ldap.NoSuchUser},
			{"älice", "x", ldap.NoSuchUser},
		} {
			out, stages := login(t, d, c.user, c.password)
			if got := reason(out.Problem); got != c.want {
				t.Errorf("%s: %q: %q (%v), want %q\n%s", name, c.user, got, out.Problem, c.want, strings.Join(stages, "\n"))
			}
		}
	}
}

func reason(p *ldap.Problem) ldap.Reason {
	if p == nil {
		return ldap.Success
	}
	return p.Reason
}

// broken is a set-up made wrong for real, and what names it.
type broken struct {
	name   string
	slapd  realldap.SlapdConfig
	change func(t *testing.T, s *realldap.Server, c *config.LDAPDirectory)
	do     func(t *testing.T, s *realldap.Server)
	user   string // looked for with its password, where given
	want   ldap.Reason
	says   string // in the text or the fix
}

const word = "the word of "

// TestBrokenSetUps: each set-up is made wrong at a real slapd, and `ldap check` names what is wrong. The check sees the settings and
// the server alone.
func TestBrokenSetUps(t *testing.T) {
	set := func(f func(*config.LDAPDirectory)) func(*testing.T, *realldap.Server, *config.LDAPDirectory) {
		return func(_ *testing.T, _ *realldap.Server, c *config.LDAPDirectory) { f(c) }
	}
	everybody := "access to attrs=userPassword by anonymous auth by * none\naccess to * by * read"
	for _, b := range []broken{
		{name: "wrong port", change: func(t *testing.T, s *realldap.Server, c *config.LDAPDirectory) { c.Servers[0].Port = closedPort(t) }, want: ldap.Unreachable, says: "nothing listens"},
		{name: "name that is none", change: set(func(c *config.LDAPDirectory) { c.Servers[0].Host = "dc1.corp.invalid" }), want: ldap.NameUnknown, says: "dc1.corp.invalid"},
		{name: "TLS to a clear port", change: func(_ *testing.T, s *realldap.Server, c *config.LDAPDirectory) { c.Servers[0].Port = s.Port }, want: ldap.NotTLS, says: "starttls"},
		{name: "clear to a TLS port", change: func(_ *testing.T, s *realldap.Server, c *config.LDAPDirectory) { c.Transport = config.LDAPClear }, want: ldap.NotLDAP, says: "transport: ldaps"},
		{name: "StartTLS to a TLS port", change: func(_ *testing.T, s *realldap.Server, c *config.LDAPDirectory) { c.Transport = config.LDAPStartTLS }, want: ldap.NotLDAP, says: "transport: ldaps"},
		{name: "unknown authority", slapd: realldap.SlapdConfig{Authority: realldap.NewAuthority(t, "Somebody Else")}, want: ldap.CertificateBad, says: "directory-trust"},
		{name: "expired certificate", slapd: realldap.SlapdConfig{From: -48 * time.Hour, To: -24 * time.Hour}, want: ldap.CertificateBad, says: "expired"},
		{name: "certificate not yet valid", slapd: realldap.SlapdConfig{From: 24 * time.Hour, To: 48 * time.Hour}, want: ldap.CertificateBad, says: "becomes valid"},
		{name: "wrong name", slapd: realldap.SlapdConfig{Hosts: []string{"dc7.corp.test"}}, want: ldap.CertificateBad, says: "dc7.corp.test"},
		{name: "wrong name with StartTLS", slapd: realldap.SlapdConfig{Hosts: []string{"dc7.corp.test"}},
			change: func(_ *testing.T, s *realldap.Server, c *config.LDAPDirectory) {
				c.Transport, c.Servers[0].Port = config.LDAPStartTLS, s.Port
			}, want: ldap.CertificateBad, says: "dc7.corp.test"},
		{name: "StartTLS refused", slapd: realldap.SlapdConfig{NoTLS: true}, change: func(_ *testing.T, s *realldap.Server, c *config.LDAPDirectory) {
			c.Transport, c.Servers[0].Port = config.LDAPStartTLS, s.Port
		}, want: ldap.StartTLSRefused, says: "certificate"},
		{name: "certificate ends soon", slapd: realldap.SlapdConfig{From: -time.Hour, To: 72 * time.Hour}, want: ldap.CertificateSoon, says: "renew"},
		{name: "bind DN wrong", change: set(func(c *config.LDAPDirectory) { c.BindDN = "cn=service,ou=services," + realldap.Suffix }), want: ldap.ServiceBind, says: "bindDN"},
		{name: "bind DN of Active Directory at OpenLDAP", change: set(func(c *config.LDAPDirectory) { c.BindDN = "svc@corp.test" }), want: ldap.ServiceBind, says: "as a DN"},
		{name: "bind password wrong", change: set(func(c *config.LDAPDirectory) { c.BindPassword = config.NewPassword("another") }), want: ldap.ServiceBind, says: "bindPassword"},
		{name: "service account locked", slapd: realldap.SlapdConfig{Policy: true, LDIF: policies}, do: lockService, want: ldap.ServiceAccount, says: "locked"},
		{name: "no password file", change: set(func(c *config.LDAPDirectory) { c.BindPassword, c.BindPasswordFile = config.Password{}, "ldap.password" }), want: ldap.NotConfigured, says: "ldap.password"},
		{name: "password file for all to read", change: func(t *testing.T, _ *realldap.Server, c *config.LDAPDirectory) {
			path := filepath.Join(t.TempDir(), "ldap.password")
			if err := os.WriteFile(path, []byte("x\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			c.BindPassword, c.BindPasswordFile = config.Password{}, path
		}, want: ldap.NotConfigured, says: "chmod 600"},
		{name: "base that does not exist", change: set(func(c *config.LDAPDirectory) { c.Base = "ou=staff," + realldap.Suffix }), want: ldap.BaseMissing, says: "ou=staff"},
		{name: "base elsewhere", change: set(func(c *config.LDAPDirectory) { c.Base = "dc=example,dc=com" }), want: ldap.BaseMissing, says: "dc=example"},
		{name: "base that is no DN", change: set(func(c *config.LDAPDirectory) { c.Base = "people of the corp" }), want: ldap.BaseInvalid, says: "no DN"},
		{name: "filter syntax", change: set(func(c *config.LDAPDirectory) { c.Filter = "(&(uid={user})" }), want: ldap.FilterInvalid, says: "filter"},
		{name: "filter finds nobody", change: set(func(c *config.LDAPDirectory) { c.Filter = "(&(objectClass=posixAccount)(sAMAccountName={user}))" }), want: ldap.FilterNobody, says: "rest of the filter"},
		{name: "base without users", change: set(func(c *config.LDAPDirectory) { c.Base = "ou=empty," + realldap.Suffix }), want: ldap.FilterNobody, says: "correct base"},
		{name: "filter finds two", change: set(func(c *config.LDAPDirectory) { c.Base = "ou=twins," + realldap.Suffix }), user: "gast", want: ldap.Ambiguous, says: "Gast Left"},
		{name: "wrong attribute", change: set(func(c *config.LDAPDirectory) { c.Attributes.ID = "objectGUID" }), want: ldap.AttributeMissing, says: "entryUUID"},
		{name: "group map to a missing group", change: set(func(c *config.LDAPDirectory) {
			c.Groups = []config.LDAPGroup{{DN: "cn=CTI Users,ou=groups," + realldap.Suffix, Groups: []config.Group{config.GroupCTIEnabled}}}
		}), want: ldap.GroupMissing, says: "CTI Users"},
		{name: "size limit", slapd: realldap.SlapdConfig{Global: "sizelimit 1"}, user: "alice", change: set(func(c *config.LDAPDirectory) { c.Filter = "(|(sAMAccountName={user})(objectClass=user))" }), want: ldap.SizeLimit, says: "limit"},
		{name: "user disabled", user: "bob", want: ldap.AccountDisabled, says: "enable"},
		{name: "account expired", user: "dora", want: ldap.AccountExpired, says: "expir"},
		{name: "user unknown", user: "zoe", want: ldap.NoSuchUser, says: "zoe"},
		{name: "user locked", slapd: realldap.SlapdConfig{Policy: true, LDIF: policies}, do: lockEve, user: "eve", want: ldap.AccountLocked, says: "unlock"},
		{name: "user must change the password", slapd: realldap.SlapdConfig{Policy: true, LDIF: policies}, user: "reset", want: ldap.MustChangePassword, says: "change"},
		{name: "password expired", slapd: realldap.SlapdConfig{Policy: true, LDIF: policies}, user: "stale", want: ldap.PasswordExpired, says: "change"},
		{name: "server down", do: func(_ *testing.T, s *realldap.Server) { s.Kill() }, want: ldap.Unreachable, says: "nothing listens"},
		{name: "server silent", do: func(_ *testing.T, s *realldap.Server) { s.Hang() }, want: ldap.Silent, says: "in time"},
		{name: "anonymous refused", change: set(func(c *config.LDAPDirectory) { c.BindDN, c.BindPassword = "", config.Password{} }), want: ldap.AnonymousRefused, says: "bindDN"},
		{name: "anonymous not shown", slapd: realldap.SlapdConfig{Global: "require bind"}, change: set(func(c *config.LDAPDirectory) { c.BindDN, c.BindPassword = "", config.Password{} }), want: ldap.AnonymousRefused, says: "bindDN"},
		{name: "service account may not read", slapd: realldap.SlapdConfig{Database: "access to attrs=userPassword by anonymous auth by * none\naccess to * by * none"}, want: ldap.AccessRefused, says: "right to read"},
		{name: "encryption demanded", slapd: realldap.SlapdConfig{Global: "security simple_bind=128"}, change: func(_ *testing.T, s *realldap.Server, c *config.LDAPDirectory) {
			c.Transport, c.Servers[0].Port = config.LDAPClear, s.Port
		}, want: ldap.TLSRequired, says: "transport: ldaps"},
		{name: "referral to a stranger", slapd: realldap.SlapdConfig{Global: "referral ldap://dc9.example.com"}, change: set(func(c *config.LDAPDirectory) { c.Base = "dc=example,dc=com" }), want: ldap.ReferralRefused, says: "referralHosts"},
		{name: "matching rule that is none", slapd: realldap.SlapdConfig{Database: everybody}, change: set(func(c *config.LDAPDirectory) {
			c.Filter = "(&(userAccountControl:9.9.9.9:=2)(sAMAccountName={user}))"
		}), want: ldap.FilterNobody, says: "rest of the filter"},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			s := realldap.Slapd(t, b.slapd)
			if b.name == "unknown authority" {
				s.Authority = realldap.NewAuthority(t, "Directory Authority")
			}
			c := settings(s)
			if b.change != nil {
				b.change(t, s, &c)
			}
			if b.do != nil {
				b.do(t, s)
				defer func() {
					if b.want == ldap.Silent {
						s.Resume()
					}
				}()
			}
			d := ldap.Open(ldap.Config{Settings: c, Identity: trusting(t, s.Authority), Home: t.TempDir()})
			defer d.Close()
			r := d.Check(t.Context(), ldap.CheckOptions{User: b.user, Password: passwordOf(b.user)})
			first, found := r.First()
			if !found || first.Problem.Reason != b.want || !strings.Contains(first.Problem.What+" / "+first.Problem.Fix, b.says) {
				t.Errorf("named %+v, problem %+v, want %s (%s)\n%s", first, first.Problem, b.want, b.says, text(r))
			}
			if found && first.Problem.Fix == "" {
				t.Error("no fix is given")
			}
		})
	}
}

func passwordOf(user string) secret.Text {
	if user == "" || user == "dora" { // slapd does not know that accounts expire, and would take the password
		return secret.Text{}
	}
	return secret.New(word + user)
}

func text(r *ldap.Report) string {
	var b strings.Builder
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "%-8s %-12s %s\n", s.State, s.Name, s.Text)
	}
	return b.String()
}

// policies are a password policy and users in the states it knows.
var policies = `dn: cn=default,ou=policies,dc=corp,dc=test
objectClass: pwdPolicy
objectClass: device
cn: default
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 3
pwdMustChange: TRUE
pwdMaxAge: 864000
pwdExpireWarning: 864000

dn: cn=Reset,ou=people,dc=corp,dc=test
objectClass: user
cn: Reset
sn: Reset
sAMAccountName: reset
userAccountControl: 512
userPassword: the word of reset
pwdReset: TRUE

dn: cn=Stale,ou=people,dc=corp,dc=test
objectClass: user
cn: Stale
sn: Stale
sAMAccountName: stale
userAccountControl: 512
userPassword: the word of stale
pwdChangedTime: 20200101000000Z
`

// lockEve guesses until the policy locks.
func lockEve(t *testing.T, s *realldap.Server) {
	d := open(t, s, nil)
	for range 3 {
		login(t, d, "eve", "a wrong guess")
	}
}

func lockService(t *testing.T, s *realldap.Server) {
	for range 3 {
		d := open(t, s, func(c *config.LDAPDirectory) { c.BindPassword = config.NewPassword("a wrong guess") })
		login(t, d, "alice", "a guess")
	}
}
