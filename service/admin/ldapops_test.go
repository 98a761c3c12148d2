package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/locktone/locktone/config"
)

// TestLDAPExceptions: what makes a directory's passwords readable is listed, with what to do; what keeps them is not.
func TestLDAPExceptions(t *testing.T) {
	site := &config.Site{LDAPDirectories: []config.LDAPDirectory{
		{Name: "safe", BindDN: "CN=a", BindPasswordFile: "password"},
		{Name: "nobody"},
		{Name: "kept", BindDN: "CN=svc,DC=corp", BindPassword: config.NewPassword("horse staple")},
		{Name: "both", BindDN: "CN=b", BindPassword: config.NewPassword("horse staple"), Transport: config.LDAPClear},
	}}
	for name, want := range map[string][]string{"safe": nil, "kept": {"kept ldap-bind-password"}, "": {"kept ldap-bind-password", "both ldap-clear", "both ldap-bind-password"}} {
		var got []string
		for _, r := range ldapExceptions("n1", name, site) {
			got = append(got, r.Name+" "+r.Setting)
			text := fmt.Sprintf("%+v", r)
			if strings.Contains(text, "horse") || r.Setting == "ldap-bind-password" && !strings.Contains(text, "bindPasswordFile") {
				t.Errorf("%s: a password in it, or not what to do", text)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
