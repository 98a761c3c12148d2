package ldapserver

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// dial starts a directory with a few entries and connects to it.
func dial(t *testing.T) *ldap.Conn {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate and a client that trusts it
	t.Cleanup(web.Close)
	person := func(name, account, control string) Entry {
		return Entry{DN: "CN=" + ldap.EscapeDN(name) + ",OU=People,DC=corp,DC=test", Password: "of-" + account, Attributes: map[string][]string{
			"objectClass": {"top", "person", "user"}, "cn": {name}, "sAMAccountName": {account}, "userAccountControl": {control}}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(l, &tls.Config{Certificates: web.TLS.Certificates},
		Entry{DN: "DC=corp,DC=test", Attributes: map[string][]string{"objectClass": {"domain"}}},
		Entry{DN: "OU=People,DC=corp,DC=test", Attributes: map[string][]string{"objectClass": {"organizationalUnit"}}},
		Entry{DN: "CN=svc,DC=corp,DC=test", Password: "service", Attributes: map[string][]string{"objectClass": {"person"}}},
		person("Walter White", "wwhite", "512"), person("Pinkman, Jesse (Jr)", "jpinkman", "514"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	roots := web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c, err := ldap.DialURL("ldaps://"+s.Addr().String(), ldap.DialWithTLSConfig(&tls.Config{RootCAs: roots, ServerName: "example.com"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestBind(t *testing.T) {
	c := dial(t)
	for _, x := range []struct {
		name, password string
		code           uint16
	}{
		{"CN=svc,DC=corp,DC=test", "service", ldap.LDAPResultSuccess},
		{"cn=SVC,dc=CORP,dc=test", "service", ldap.LDAPResultSuccess},
		{"CN=svc,DC=corp,DC=test", "wrong", ldap.LDAPResultInvalidCredentials},
		{"CN=nobody,DC=corp,DC=test", "service", ldap.LDAPResultInvalidCredentials},
		{"OU=People,DC=corp,DC=test", "any", ldap.LDAPResultInvalidCredentials},
		{"no name", "any", ldap.LDAPResultInvalidCredentials},
	} {
		if err := c.Bind(x.name, x.password); code(err) != x.code {
			t.Errorf("bind as %s with %q: %v, expected %s", x.name, x.password, err, ldap.LDAPResultCodeMap[x.code])
		}
	}
	if err := c.UnauthenticatedBind("CN=svc,DC=corp,DC=test"); code(err) != ldap.LDAPResultUnwillingToPerform {
		t.Errorf("a bind without a password: %v", err)
	}
	if err := c.Del(&ldap.DelRequest{DN: "CN=svc,DC=corp,DC=test"}); code(err) != ldap.LDAPResultUnwillingToPerform {
		t.Errorf("a deletion: %v", err)
	}
}

func code(err error) uint16 {
	if e, ok := err.(*ldap.Error); ok {
		return e.ResultCode
	}
	return ldap.LDAPResultSuccess
}

func TestSearch(t *testing.T) {
	c := dial(t)
	ask := func(base string, scope, limit int, filter string) ([]*ldap.Entry, error) {
		r, err := c.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, limit, 0, false, filter, []string{"CN"}, nil))
		if r == nil {
			return nil, err
		}
		return r.Entries, err
	}
	if _, err := ask("DC=corp,DC=test", ldap.ScopeWholeSubtree, 0, "(cn=*)"); code(err) != ldap.LDAPResultInsufficientAccessRights {
		t.Errorf("nobody searches: %v", err)
	}
	if err := c.Bind("CN=svc,DC=corp,DC=test", "service"); err != nil {
		t.Fatal(err)
	}
	field := "(&(&(objectclass=user)(!(objectclass=Computer))(!(userAccountControl:1.2.840.113556.1.4.803:=2)))(sAMAccountName="
	for _, x := range []struct {
		base, filter string
		scope        int
		found        int
	}{
		{"DC=corp,DC=test", field + "wwhite))", ldap.ScopeWholeSubtree, 1},
		{"DC=corp,DC=test", field + "WWHITE))", ldap.ScopeWholeSubtree, 1},
		{"DC=corp,DC=test", field + "jpinkman))", ldap.ScopeWholeSubtree, 0}, // disabled
		{"DC=corp,DC=test", field + ldap.EscapeFilter("*") + "))", ldap.ScopeWholeSubtree, 0},
		{"DC=corp,DC=test", "(sAMAccountName=*)", ldap.ScopeSingleLevel, 0},
		{"OU=People,DC=corp,DC=test", "(sAMAccountName=*)", ldap.ScopeSingleLevel, 2},
		{"CN=Walter White,OU=People,DC=corp,DC=test", "(objectClass=*)", ldap.ScopeBaseObject, 1},
		{"DC=corp,DC=test", "(cn=Wal*Wh*te)", ldap.ScopeWholeSubtree, 1},
		{"DC=corp,DC=test", "(cn=*Wal*Wh)", ldap.ScopeWholeSubtree, 0},
		{"DC=corp,DC=test", "(cn=" + ldap.EscapeFilter("Pinkman, Jesse (Jr)") + ")", ldap.ScopeWholeSubtree, 1},
		{"DC=corp,DC=test", "(|(sAMAccountName=wwhite)(sAMAccountName=jpinkman))", ldap.ScopeWholeSubtree, 2},
		{"DC=corp,DC=test", "(cn:1.2.3.4:=x)", ldap.ScopeWholeSubtree, 0},
	} {
		got, err := ask(x.base, x.scope, 0, x.filter)
		if err != nil || len(got) != x.found {
			t.Errorf("%s below %s: %d entries, %v, expected %d", x.filter, x.base, len(got), err, x.found)
		}
		for _, e := range got {
			if len(e.Attributes) != 1 || e.GetAttributeValue("cn") == "" {
				t.Errorf("%s has %v, asked was for its cn", e.DN, e.Attributes)
			}
		}
	}
	if got, err := ask("DC=corp,DC=test", ldap.ScopeWholeSubtree, 1, "(sAMAccountName=*)"); len(got) != 1 || code(err) != ldap.LDAPResultSizeLimitExceeded {
		t.Errorf("at most one of two: %v, %v", got, err)
	}
	if _, err := ask("DC=elsewhere,DC=test", ldap.ScopeWholeSubtree, 0, "(cn=*)"); code(err) != ldap.LDAPResultNoSuchObject {
		t.Errorf("a base that is not there: %v", err)
	}
	deep := ""
	for range maxDepth + 2 {
		deep += "(!"
	}
	deep += "(cn=*)"
	for range maxDepth + 2 {
		deep += ")"
	}
	if got, err := ask("DC=corp,DC=test", ldap.ScopeWholeSubtree, 0, deep); err != nil || len(got) > 5 {
		t.Errorf("a deep filter: %v, %v", got, err)
	}
}
