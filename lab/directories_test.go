package lab_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory/ldap"
	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/realldap"
	"github.com/locktone/locktone/pki/truststore"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/secret"
)

// TestDirectories: a site is told of a real directory: what it does not trust is named, its authority is uploaded, its users are brought, and
// they log in with the passwords they have there.
func TestDirectories(t *testing.T) {
	t.Parallel()
	s := realldap.Slapd(t, realldap.SlapdConfig{})
	first := config.Default("node1")
	first.LDAPDirectories = []config.LDAPDirectory{{Name: "corp", Servers: []config.LDAPServer{{Host: "localhost", Port: s.TLSPort}}, Base: "ou=people," + realldap.Suffix,
		BindDN: realldap.Service, BindPassword: config.NewPassword(realldap.ServicePassword), Attributes: config.LDAPAttributes{ID: "entryUUID"},
		Groups: []config.LDAPGroup{{DN: "cn=UC Users,ou=groups," + realldap.Suffix, Groups: []config.Group{config.GroupCTIEnabled}}}}}
	x := must(lab.Start(within(t, time.Minute), lab.Options{Config: first}))(t)
	t.Cleanup(func() { x.Close(within(t, time.Minute)) })
	api := admin.NewClient(x.Home())
	t.Cleanup(api.Close)
	ask := func(method, path string, in, out any) {
		t.Helper()
		if err := api.Do(within(t, time.Minute), method, path, in, out); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	check := func() *ldap.Report {
		t.Helper()
		var got admin.Rows[admin.LDAPChecked]
		ask(http.MethodPost, "/v1/ldap/check", admin.LDAPCheck{Name: "corp", User: "ferdinand", Password: "the word of ferdinand", AllNodes: true}, &got)
		if len(got.Rows) != 1 || got.Rows[0].Node != "node1" {
			t.Fatalf("checks: %+v", got)
		}
		return &got.Rows[0].Report
	}

	r := check()
	if step, ok := r.First(); !ok || step.Problem.Reason != ldap.CertificateBad || len(step.Problem.Findings) == 0 || !strings.Contains(step.Problem.Fix, "directory-trust") {
		t.Fatalf("an authority that is not trusted: %+v %+v", step, step.Problem)
	}
	must(x.Anchors.Upload(within(t, time.Minute), truststore.Upload{Purpose: truststore.DirectoryTrust, Certificate: s.Authority.Certificate, By: "test"}))(t)
	eventually(t, "the authority is trusted", func(context.Context) bool { r = check(); return r.OK })

	if out := x.Logins.Check(within(t, time.Minute), login.Attempt{User: "ferdinand", Password: secret.New("the word of ferdinand")}, nil); out.OK {
		t.Error("somebody whom the site does not know was let in")
	}
	var dry, real ldap.SyncReport
	ask(http.MethodPost, "/v1/ldap/sync", admin.LDAPSync{DryRun: true}, &dry)
	before := must(x.Store.Site(t.Context()))(t)
	ask(http.MethodPost, "/v1/ldap/sync", admin.LDAPSync{Name: "corp"}, &real)
	after := must(x.Store.Site(t.Context()))(t)
	if !slices.Equal(dry.Changes, real.Changes) || dry.Revision != 0 || real.Revision != after.Revision.Number || before.Revision.Number == after.Revision.Number {
		t.Errorf("dry run %+v, for real %+v", dry, real)
	}
	// alice is the site's own already, bob is disabled in the directory, and carol has a name that nobody can have here.
	if real.Count("add") != 3 || real.Count("skip") != 2 {
		t.Errorf("synchronised: %+v", real)
	}
	for _, c := range []struct {
		user, password string
		ok             bool
		says           string
	}{
		{"ferdinand", "the word of ferdinand", true, "LDAP authentication bind SUCCESS for cn=Ferdinand New,ou=people,dc=corp,dc=test"},
		{"ferdinand", "another word", false, "LDAP authentication bind FAILURE for cn=Ferdinand New,ou=people,dc=corp,dc=test"},
		{"ferdinand", "", false, ""},
		{"alice", "the word of alice", false, ""}, // a local user of that name has no password
	} {
		eventually(t, "the users that came are known", func(ctx context.Context) bool {
			out := x.Logins.Check(ctx, login.Attempt{User: "eve", Password: secret.New("the word of Eve")}, nil)
			return !out.Unknown
		})
		var told []string
		out := x.Logins.Check(within(t, time.Minute), login.Attempt{User: c.user, Password: secret.New(c.password)}, func(text string) { told = append(told, text) })
		if out.OK != c.ok || c.says != "" && !slices.ContainsFunc(told, func(line string) bool { return strings.HasPrefix(line, c.says) }) {
			t.Errorf("%s: %+v\n%s", c.user, out, strings.Join(told, "\n"))
		}
	}
	if again := (ldap.SyncReport{}); true {
		ask(http.MethodPost, "/v1/ldap/sync", admin.LDAPSync{}, &again)
		if again.Count("add") != 0 || again.Revision != 0 {
			t.Errorf("a second synchronisation: %+v", again)
		}
	}
	var text admin.ConfigText
	ask(http.MethodGet, "/v1/config", nil, &text)
	if strings.Contains(text.YAML, realldap.ServicePassword) || !strings.Contains(text.YAML, "bindPassword") {
		t.Error("the configuration shows the password, or not that there is one")
	}
	everything, _ := json.Marshal(must(x.Store.History(t.Context(), 1))(t))
	if strings.Contains(string(everything), realldap.ServicePassword) {
		t.Error("the history shows the password")
	}

	// In clear: it works, and is listed.
	clear := after.Site.Clone()
	clear.LDAPDirectories[0].Transport, clear.LDAPDirectories[0].Servers[0].Port = config.LDAPClear, s.Port
	must(x.Store.Apply(t.Context(), store.ChangeSet{Base: after.Revision.Number, Author: "test", Changes: config.Diff(after.Site, clear)}))(t)
	var weak admin.Rows[bus.Exception]
	ask(http.MethodGet, "/v1/exceptions?name=corp", nil, &weak)
	if len(weak.Rows) != 2 || weak.Rows[0].Setting != "ldap-clear" || weak.Rows[1].Setting != "ldap-bind-password" {
		t.Errorf("exceptions: %+v", weak)
	}
	eventually(t, "the directory is asked in clear", func(context.Context) bool {
		r = check()
		return r.OK && slices.ContainsFunc(r.Steps, func(s ldap.Step) bool { return strings.Contains(s.Text, "in clear") })
	})
}
