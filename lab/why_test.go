package lab_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/ldapserver"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/ctimanager"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// whySite is a running site in which one thing after the other is made wrong, for real: by its configuration, its certificates, its
// directory, its phones, its services. What is said about it comes from administration, which is asked about a user and a device and never
// hears which case it is.
type whySite struct {
	*lab.Site
	t        *testing.T
	ctx      context.Context
	baseline *config.Site
	client   *admin.Client
	app      pki.Credential // of app's instance 1
	ldap     net.Listener
	undo     []func()
}

const whyBase = "OU=People,DC=corp,DC=test"

// whyCase is one thing that is wrong, and what has to be said of it.
type whyCase struct {
	name                         string
	change                       func(w *whySite)
	user, device, line, instance string
	port                         int
	keys                         bool
	condition, fix               string
	// wire does what an application does, and says what it is told; nil: there is nobody who could tell it.
	wire func(w *whySite) ctiqbe.Result
	want ctiqbe.Result
}

func whyConfig(ldapPort int) *config.Site {
	c := config.Default("node1")
	password := config.NewVerifier(ctiPassword)
	c.Nodes[0].Services = []config.NodeService{{Service: config.ServiceCallManager}, {Service: config.ServiceAdmin}, {Service: config.ServiceCAPF}, {Service: config.ServiceTVS},
		{Service: config.ServiceCTIManager, Clear: true}}
	line := func(n string) []config.Appearance { return []config.Appearance{{Number: n, Partition: "internal"}} }
	for _, n := range []string{"1003", "1004", "1005"} {
		c.Lines = append(c.Lines, config.Line{Number: n, Partition: "internal", CallingSearchSpace: "internal"})
	}
	c.Devices = append(c.Devices, config.Device{Name: "bare", DevicePool: "default"}, config.Device{Name: "other", DevicePool: "default", Lines: line("1003")},
		config.Device{Name: "wall", DevicePool: "default", Protocol: config.ProtocolCTIPort, Lines: line("1004")},
		config.Device{Name: "SEP001122334455", DevicePool: "default", Protocol: config.ProtocolSCCP, Lines: line("1005")})
	secure := []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection}
	mine := []string{"alice", "bob", "bare", "wall", "SEP001122334455"}
	c.Users = append(c.Users, config.User{Name: "app", Application: true, Password: password, Devices: mine, Groups: secure},
		config.User{Name: "plain", Application: true, Password: password, Devices: mine, Groups: []config.Group{config.GroupCTIEnabled}},
		config.User{Name: "corp", Authentication: config.AuthenticateLDAP, Devices: mine, Groups: secure})
	for i := range 9 {
		c.Users = append(c.Users, config.User{Name: fmt.Sprint("inst", i), Password: password, Devices: mine, Groups: secure})
	}
	c.LDAPDirectories = []config.LDAPDirectory{{Name: "corp", Servers: []config.LDAPServer{{Host: "localhost", Port: ldapPort}}, Base: whyBase,
		BindDN: "CN=service," + whyBase, BindPassword: config.NewPassword("the service's password"), NetworkTimeout: config.Duration(time.Second)}}
	return c.Canonical()
}

func startWhy(t *testing.T, ctx context.Context) *whySite {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &whySite{t: t, ctx: ctx, ldap: l, baseline: whyConfig(l.Addr().(*net.TCPAddr).Port)}
	w.Site, err = lab.Start(ctx, lab.Options{Config: w.baseline.Clone(), TuneCTI: func(c *ctimanager.Config) { c.Limits.Hold = ctiHold }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := w.Close(ctx); err != nil {
			t.Errorf("the site did not stop cleanly: %v", err)
		}
	})
	w.client = admin.NewClient(w.Home())
	t.Cleanup(func() { w.client.Close() })
	w.app = enrolled(t, ctx, w.Site, "app", "1")
	w.must(w.enrolFor("corp", "9"))
	w.startLDAP(l, func(*ldapserver.Entry) {})
	if _, err := w.Registered(ctx, "alice", "1001"); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *whySite) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *whySite) enrolFor(user, instance string) error {
	_, err := w.Enrol(w.ctx, user, instance)
	return err
}

// startLDAP starts the directory, with the user's entry altered.
func (w *whySite) startLDAP(l net.Listener, alter func(*ldapserver.Entry)) *ldapserver.Server {
	w.t.Helper()
	issued, err := w.CA.Issue(w.ctx, pki.Request{Kind: pki.KindPeer, Name: "localhost", DNSNames: []string{"localhost"}})
	w.must(err)
	user := ldapserver.Entry{DN: "CN=corp," + whyBase, Password: ctiPassword, Attributes: map[string][]string{"objectClass": {"top", "person", "user"}, "sAMAccountName": {"corp"},
		"userAccountControl": {"512"}, "cn": {"corp"}}}
	alter(&user)
	s, err := ldapserver.Start(l, &tls.Config{Certificates: []tls.Certificate{issued.Credential.TLS()}}, ldapserver.Entry{DN: whyBase, Attributes: map[string][]string{"objectClass": {"organizationalUnit"}}},
		ldapserver.Entry{DN: "CN=service," + whyBase, Password: "the service's password", Attributes: map[string][]string{"objectClass": {"person"}}}, user)
	w.must(err)
	w.t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

// site changes the configuration, and takes the change back after the case.
func (w *whySite) site(f func(*config.Site)) {
	w.t.Helper()
	reconfigure(w.t, w.ctx, w.Site, f)
	w.settle()
	w.undo = append(w.undo, func() {
		reconfigure(w.t, w.ctx, w.Site, func(c *config.Site) { *c = *w.baseline.Clone() })
		w.settle()
	})
}

// settle waits until the CTI manager has the configuration in force.
func (w *whySite) settle() {
	w.t.Helper()
	now, err := w.Store.Site(w.ctx)
	w.must(err)
	for w.CTI.Status(w.ctx).Revision < now.Revision.Number {
		if w.ctx.Err() != nil {
			w.t.Fatal("the CTI manager does not take the configuration into use")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func user(c *config.Site, name string) *config.User {
	for i := range c.Users {
		if c.Users[i].Name == name {
			return &c.Users[i]
		}
	}
	panic("no user " + name)
}

func device(c *config.Site, name string) *config.Device {
	for i := range c.Devices {
		if c.Devices[i].Name == name {
			return &c.Devices[i]
		}
	}
	panic("no device " + name)
}

// account changes what is remembered of a user's logins, as time would.
func (w *whySite) account(name string, f func(*login.Account)) {
	w.t.Helper()
	docs := w.Store.Documents(login.Collection)
	a, err := login.NewAccounts(docs, nil).Get(w.ctx, name)
	w.must(err)
	f(&a)
	_, err = docs.PutAll(w.ctx, []store.Write{{Key: "account/" + name, Value: a, IfRevision: store.AnyRevision}})
	w.must(err)
	w.undo = append(w.undo, func() { w.must(docs.Delete(w.ctx, "account/"+name, store.AnyRevision)) })
}

// why asks administration.
func (w *whySite) why(c whyCase) admin.CTIWhy {
	w.t.Helper()
	q := url.Values{"user": {c.user}, "device": {c.device}, "port": {strconv.Itoa(c.port)}, "line": {c.line}, "instance": {c.instance}, "keys": {strconv.FormatBool(c.keys)}}
	var out admin.CTIWhy
	w.must(w.client.Do(w.ctx, http.MethodGet, "/v1/cti/why?"+q.Encode(), nil, &out))
	return out
}

// What an application does.

func whyLogin(name, password string) func(*whySite) ctiqbe.Result {
	return func(w *whySite) ctiqbe.Result { return refusedWith(w.t, w.ctx, w.Site, w.app, name, password) }
}

func whyClearLogin(name string) func(*whySite) ctiqbe.Result {
	return func(w *whySite) ctiqbe.Result {
		conn, err := net.Dial("tcp", netip.AddrPortFrom(w.CallManager(), 2748).String())
		w.must(err)
		a := lab.NewCTI(conn)
		defer a.Close()
		return resultOf(w.t, func() error { _, err := a.Login(w.ctx, name, ctiPassword); return err }())
	}
}

func resultOf(t *testing.T, err error) ctiqbe.Result {
	t.Helper()
	var no *lab.Refused
	var value ctiqbe.Result
	switch {
	case err == nil:
		return ctiqbe.OK
	case errors.As(err, &no):
		return no.Result
	case errors.As(err, &value):
		return value
	}
	t.Fatal(err)
	return ctiqbe.OK
}

func whyOpen(device, line string) func(*whySite) ctiqbe.Result {
	return func(w *whySite) ctiqbe.Result {
		a := loggedIn(w.t, w.ctx, w.Site, w.app)
		defer a.Close()
		if line == "" {
			_, err := a.Ask(w.ctx, &ctiqbe.DeviceOpenRequest{DeviceName: device})
			return resultOf(w.t, err)
		}
		_, _, err := a.OpenLine(w.ctx, device, line, "internal")
		return resultOf(w.t, err)
	}
}

// handshakeFails is for certificates that the TLS port does not take: no CTI manager answers with a value.
func handshakeFails(c *pki.Credential) func(*whySite) ctiqbe.Result {
	return func(w *whySite) ctiqbe.Result {
		a, err := w.DialCTI(w.ctx, *c)
		if err != nil {
			return ctiqbe.OK
		}
		defer a.Close()
		if _, err = a.Login(w.ctx, "app", ctiPassword); err == nil {
			w.t.Error("the certificate was taken")
		}
		return ctiqbe.OK
	}
}

// foreign is a certificate that no authority of the site has made.
func foreign(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// given is a certificate that an instance was given, by CAPF's book, that is none of what Enrol makes.
func (w *whySite) given(user, instance string, c *x509.Certificate) {
	w.t.Helper()
	made, err := w.Profiles.Create(w.ctx, capfprofile.Order{Owner: capfprofile.Owner{User: user, Instance: instance}, Operation: capfprofile.InstallUpgrade,
		Mode: capfprofile.ByAuthenticationString, Order: capfprofile.RSAOnly, Replace: true})
	w.must(err)
	g, err := w.Profiles.Begin(w.ctx, capfprofile.Knock{Name: capfprofile.ApplicationPrefix + instance, String: made.String})
	w.must(err)
	_, err = w.Profiles.Issued(w.ctx, g, c, time.Time{})
	w.must(err)
	_, err = w.Profiles.Stored(w.ctx, g)
	w.must(err)
}

// TestWhy: everything that keeps an application from a device is made wrong, one after the other; `cti why` names the condition and what to
// do, and what a CTI manager answers is the value it names.
func TestWhy(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	w := startWhy(t, ctx)
	if x := w.why(whyCase{user: "app", device: "alice", port: 2749}); !x.OK || len(x.Problems) > 0 {
		t.Fatalf("nothing is wrong yet: %+v %v", x.First, x.Problems)
	}
	if x := w.why(whyCase{user: "corp", device: "alice", port: 2749}); !x.OK || len(x.Problems) > 0 {
		t.Fatalf("nothing is wrong yet with LDAP: %+v %v", x.First, x.Problems)
	}
	cases := whyCases()
	for _, c := range cases {
		w.run(c)
	}
	t.Logf("%d misconfigurations", len(cases))
	if len(cases) < 40 {
		t.Errorf("%d misconfigurations, 40 are wanted", len(cases))
	}
}

// run makes it wrong, asks, tries, and mends it.
func (w *whySite) run(c whyCase) {
	t := w.t
	t.Helper()
	if c.port == 0 {
		c.port = 2749
	}
	if c.user == "" {
		c.user = "app"
	}
	if c.device == "" {
		c.device = "alice"
	}
	if c.change != nil {
		c.change(w)
	}
	x := w.why(c)
	switch {
	case x.First == nil:
		t.Errorf("%s: nothing is wrong", c.name)
	case x.First.Condition != c.condition || !strings.Contains(x.First.Fix, c.fix):
		t.Errorf("%s: %s: %s (%s); want %s and %q", c.name, x.First.Condition, x.First.Found, x.First.Fix, c.condition, c.fix)
	}
	if c.wire != nil {
		if got := c.wire(w); got != c.want {
			t.Errorf("%s: the CTI manager answers %v, want %v", c.name, got.Error(), c.want.Error())
		}
		if x.First != nil && c.want != ctiqbe.OK && x.First.Value != c.want.Error() {
			t.Errorf("%s: cti why says it answers %s, want %v", c.name, x.First.Value, c.want.Error())
		}
	}
	for i := len(w.undo) - 1; i >= 0; i-- {
		w.undo[i]()
	}
	w.undo = nil
}

func whyCases() (all []whyCase) {
	all = append(all, whyLoginCases()...)
	all = append(all, whyLDAPCases()...)
	all = append(all, whyCertificateCases()...)
	all = append(all, whyDeviceCases()...)
	return append(all, whyServiceCases()...)
}

func siteChange(f func(*config.Site)) func(*whySite) { return func(w *whySite) { w.site(f) } }

func userChange(name string, f func(*config.User)) func(*whySite) {
	return siteChange(func(c *config.Site) { f(user(c, name)) })
}

func deviceChange(name string, f func(*config.Device)) func(*whySite) {
	return siteChange(func(c *config.Site) { f(device(c, name)) })
}

func policy(p config.CredentialPolicy) func(*config.Site) {
	return func(c *config.Site) {
		p.Name = "default"
		c.CredentialPolicies = []config.CredentialPolicy{p}
	}
}

// guess fails to log in so often.
func guess(name string, n int) func(*whySite) {
	return func(w *whySite) {
		for i := range n {
			refusedWith(w.t, w.ctx, w.Site, w.app, name, fmt.Sprint("guess ", i))
		}
		w.undo = append(w.undo, func() {
			w.must(w.client.Do(w.ctx, http.MethodPost, "/v1/logins/unlock", admin.LoginUser{User: name}, nil))
		})
	}
}

func whyLoginCases() []whyCase {
	return []whyCase{
		{name: "a user that is not there", user: "nobody", condition: "user-known", fix: "add nobody to users", wire: whyLogin("nobody", ctiPassword), want: ctiqbe.ErrDirectoryLoginFailed},
		{name: "a user in other letters", user: "App", condition: "user-known", fix: "log in as app", wire: whyLogin("App", ctiPassword), want: ctiqbe.ErrDirectoryLoginFailed},
		{name: "locked by failed logins", change: guess("app", 3), condition: "account-not-locked", fix: "locktone login unlock app", wire: whyLogin("app", ctiPassword),
			want: ctiqbe.ErrLoginFailedAccountLocked},
		{name: "locked until an administrator unlocks", change: func(w *whySite) {
			w.site(policy(config.CredentialPolicy{FailedLogins: 1, AdministratorMustUnlock: true}))
			guess("app", 1)(w)
		}, condition: "account-not-locked", fix: "locktone login unlock app", wire: whyLogin("app", ctiPassword), want: ctiqbe.ErrLoginFailedAccountLocked},
		{name: "locked because nobody logged in for long", change: func(w *whySite) {
			w.site(policy(config.CredentialPolicy{InactiveDays: 30}))
			w.account("app", func(a *login.Account) { a.Active = time.Now().Add(-31 * 24 * time.Hour) })
		}, condition: "account-not-locked", fix: "locktone login unlock app", wire: whyLogin("app", ctiPassword), want: ctiqbe.ErrLoginFailedAccountLocked},
		{name: "no password", change: userChange("app", func(u *config.User) { u.Password = config.Verifier{} }), condition: "password-known", fix: "set password of user app",
			wire: whyLogin("app", ctiPassword), want: ctiqbe.ErrDirectoryLoginFailed},
		{name: "disabled", change: userChange("app", func(u *config.User) { u.Disabled = true }), condition: "user-enabled", fix: "remove disabled of user app", wire: whyLogin("app", ctiPassword),
			want: ctiqbe.ErrLoginFailedAccountDisabled},
		{name: "password must be changed", change: userChange("app", func(u *config.User) { u.MustChangePassword = true }), condition: "password-current", fix: "locktone login password app",
			wire: whyLogin("app", ctiPassword), want: ctiqbe.ErrLoginFailedPwdExpiredUserCanReset},
		{name: "password expired", change: func(w *whySite) {
			w.must(w.settled("app"))
			w.site(policy(config.CredentialPolicy{ExpiresAfterDays: 30}))
			w.account("app", func(a *login.Account) { a.ChangedAt = time.Now().Add(-31 * 24 * time.Hour) })
		}, condition: "password-current", fix: "locktone login password app", wire: whyLogin("app", ctiPassword), want: ctiqbe.ErrLoginFailedPwdExpiredUserCanReset},
		{name: "password expired, for an administrator to change", change: func(w *whySite) {
			w.must(w.settled("app"))
			w.site(func(c *config.Site) {
				policy(config.CredentialPolicy{ExpiresAfterDays: 30})(c)
				user(c, "app").CannotChangePassword = true
			})
			w.account("app", func(a *login.Account) { a.ChangedAt = time.Now().Add(-31 * 24 * time.Hour) })
		}, condition: "password-current", fix: "set another password of user app", wire: whyLogin("app", ctiPassword), want: ctiqbe.ErrLoginFailedPwdExpiredUserCannotReset},
		{name: "not a CTI user", change: userChange("app", func(u *config.User) { u.Groups = []config.Group{config.GroupCTISecureConnection} }), condition: "cti-enabled",
			fix: "add standard-cti-enabled to groups of user app", wire: whyLogin("app", ctiPassword), want: ctiqbe.ErrDirectoryLoginNotAllowed},
		{name: "a secure user on the clear port", port: 2748, condition: "port-allowed", fix: "port 2749", wire: whyClearLogin("app"), want: ctiqbe.ErrConnectionOnInvalidPort},
		{name: "a clear user on the secure port", user: "plain", condition: "port-allowed", fix: "add standard-cti-secure-connection to groups of user plain", wire: whyLogin("plain", ctiPassword),
			want: ctiqbe.ErrUserNotAuthForSecurity},
	}
}

// settled logs in once, so that the age of the password is known.
func (w *whySite) settled(name string) error {
	if got := whyLogin(name, ctiPassword)(w); got != ctiqbe.OK {
		return got
	}
	return nil
}

// otherLDAP points the directory's configuration to another server.
func (w *whySite) otherLDAP(alter func(*ldapserver.Entry), more func(*config.LDAPDirectory)) {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	s := w.startLDAP(l, alter)
	w.undo = append(w.undo, func() { s.Close(w.ctx) })
	w.site(func(c *config.Site) {
		c.LDAPDirectories[0].Servers[0].Port = l.Addr().(*net.TCPAddr).Port
		if more != nil {
			more(&c.LDAPDirectories[0])
		}
	})
}

func whyLDAPCases() []whyCase {
	same := func(*ldapserver.Entry) {}
	corp := func(name, fix string, want ctiqbe.Result, change func(*whySite)) whyCase {
		return whyCase{name: name, user: "corp", condition: "directory-answers", fix: fix, change: change, wire: whyLogin("corp", ctiPassword), want: want}
	}
	none := corp("no directory is configured", "ldapDirectories", ctiqbe.ErrDirectoryTemporaryUnavailable, siteChange(func(c *config.Site) { c.LDAPDirectories = nil }))
	none.condition = "password-known"
	return []whyCase{
		none,
		corp("nothing listens at the directory", "", ctiqbe.ErrDirectoryTemporaryUnavailable, func(w *whySite) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			w.must(err)
			l.Close()
			w.site(func(c *config.Site) { c.LDAPDirectories[0].Servers[0].Port = l.Addr().(*net.TCPAddr).Port })
		}),
		corp("the directory accepts and says nothing", "", ctiqbe.ErrDirectoryLoginTimeout, func(w *whySite) {
			l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts
			w.must(err)
			w.undo = append(w.undo, func() { l.Close() })
			w.site(func(c *config.Site) { c.LDAPDirectories[0].Servers[0].Port = l.Addr().(*net.TCPAddr).Port })
		}),
		corp("the directory does not have the user", "", ctiqbe.ErrDirectoryLoginFailed, func(w *whySite) {
			w.otherLDAP(func(e *ldapserver.Entry) { e.Attributes["sAMAccountName"] = []string{"somebody"} }, nil)
		}),
		corp("the account is disabled in the directory", "enable it in the directory", ctiqbe.ErrLoginFailedAccountDisabled, func(w *whySite) {
			w.otherLDAP(func(e *ldapserver.Entry) { e.Attributes["userAccountControl"] = []string{"514"} }, nil)
		}),
		corp("the account is locked in the directory", "unlock it in the directory", ctiqbe.ErrLoginFailedAccountLocked, func(w *whySite) {
			w.otherLDAP(func(e *ldapserver.Entry) {
				e.Attributes["pwdAccountLockedTime"] = []string{"000001010000Z"}
				e.Password = "another, as a locked account has none that is right"
			}, nil)
		}),
		corp("the service account's password is wrong", "bindDN", ctiqbe.ErrDirectoryTemporaryUnavailable, func(w *whySite) {
			w.otherLDAP(same, func(d *config.LDAPDirectory) { d.BindPassword = config.NewPassword("not the service's") })
		}),
		corp("the base does not exist", "", ctiqbe.ErrDirectoryTemporaryUnavailable, func(w *whySite) {
			w.otherLDAP(same, func(d *config.LDAPDirectory) { d.Base = "OU=Nowhere,DC=corp,DC=test" })
		}),
		corp("the directory's certificate is for another name", "", ctiqbe.ErrDirectoryTemporaryUnavailable, func(w *whySite) {
			w.otherLDAP(same, func(d *config.LDAPDirectory) { d.Servers[0].Host = "127.0.0.1" })
		}),
	}
}

func whyCertificateCases() []whyCase {
	var expired, revoked, forgotten, twice pki.Credential
	loginAs := func(name string, c *pki.Credential) func(*whySite) ctiqbe.Result {
		return func(w *whySite) ctiqbe.Result { return refusedWith(w.t, w.ctx, w.Site, *c, name, ctiPassword) }
	}
	create := func(w *whySite, name, instance string) {
		_, err := w.Profiles.Create(w.ctx, capfprofile.Order{Owner: capfprofile.Owner{User: name, Instance: instance}, Operation: capfprofile.InstallUpgrade,
			Mode: capfprofile.ByAuthenticationString, String: "12345678", Order: capfprofile.RSAOnly})
		w.must(err)
	}
	return []whyCase{
		{name: "no profile, and another's certificate", user: "inst0", condition: "instance-known", fix: "locktone capf profile create --user inst0", wire: whyLogin("inst0", ctiPassword),
			want: ctiqbe.ErrInvalidCertificateUsed},
		{name: "an instance that is not there", instance: "77", condition: "instance-known", fix: "locktone capf profile create --user app --instance 77"},
		{name: "never fetched", user: "inst1", change: func(w *whySite) { create(w, "inst1", "11") }, condition: "certificate-issued", fix: "have the application fetch it"},
		{name: "enrolment locked", user: "inst2", change: func(w *whySite) {
			create(w, "inst2", "12")
			for range 6 {
				_, err := w.Profiles.Begin(w.ctx, capfprofile.Knock{Name: capfprofile.ApplicationPrefix + "12", String: "87654321"})
				if err == nil {
					w.t.Error("a wrong string was taken")
				}
			}
		}, condition: "certificate-issued", fix: "locktone capf profile reset inst2/12"},
		{name: "expired", user: "inst3", change: func(w *whySite) {
			issued, err := w.CA.Issue(w.ctx, pki.Request{Kind: pki.KindCTI, Name: "13", Validity: 2 * time.Second})
			w.must(err)
			expired = issued.Credential
			w.given("inst3", "13", expired.Leaf())
			time.Sleep(time.Until(expired.Leaf().NotAfter.Add(time.Second))) // time itself is what is waited for
		}, condition: "certificate-in-time", fix: "locktone capf profile create --user inst3 --instance 13", wire: handshakeFails(&expired)},
		{name: "revoked", user: "inst4", change: func(w *whySite) {
			revoked = enrolled(w.t, w.ctx, w.Site, "inst4", "14")
			w.must(w.CA.Revoke(w.ctx, pki.RefOf(revoked.Leaf()), "the laptop was lost"))
		}, condition: "certificate-not-revoked", fix: "then have the application fetch another", wire: handshakeFails(&revoked)},
		{name: "of an authority that nobody trusts", user: "inst5", change: func(w *whySite) { w.given("inst5", "15", foreign(w.t, "15")) }, condition: "certificate-verifies",
			fix: "then have the application fetch another"},
		{name: "the profile was deleted", user: "inst6", change: func(w *whySite) {
			forgotten = enrolled(w.t, w.ctx, w.Site, "inst6", "16")
			_, err := w.Profiles.Delete(w.ctx, capfprofile.Owner{User: "inst6", Instance: "16"})
			w.must(err)
		}, condition: "instance-known", fix: "locktone capf profile create --user inst6", wire: loginAs("inst6", &forgotten), want: ctiqbe.ErrInvalidCertificateUsed},
		{name: "used by two", user: "inst7", change: func(w *whySite) {
			twice = enrolled(w.t, w.ctx, w.Site, "inst7", "17")
			for range 4 {
				a, err := w.DialCTI(w.ctx, twice)
				w.must(err)
				_, err = a.Login(w.ctx, "inst7", ctiPassword)
				w.must(err)
				refusedWith(w.t, w.ctx, w.Site, twice, "inst7", ctiPassword)
				closedWith(w.t, w.ctx, a)
				a.Close()
			}
		}, condition: "certificate-not-compromised", fix: "locktone cti trust inst7/17", wire: loginAs("inst7", &twice), want: ctiqbe.ErrCertificateCompromised},
	}
}

func whyDeviceCases() []whyCase {
	refuse := func(d *config.Device) { d.AllowControlFromCTI = config.CTIControlRefused }
	return []whyCase{
		{name: "a device that is not there", device: "nowhere", condition: "device-known", fix: "add it to devices", wire: whyOpen("nowhere", ""), want: ctiqbe.ErrInvalidDeviceName},
		{name: "a device in other letters", device: "Alice", condition: "device-known", fix: "open alice", wire: whyOpen("Alice", ""), want: ctiqbe.ErrInvalidDeviceName},
		{name: "not associated", device: "other", condition: "device-associated", fix: "add other to devices of user app", wire: whyOpen("other", ""), want: ctiqbe.ErrAccessToDeviceDenied},
		{name: "the device refuses", change: deviceChange("alice", refuse), condition: "device-allows-cti", fix: "allowControlFromCTI: yes of device alice", wire: whyOpen("alice", ""),
			want: ctiqbe.ErrDeviceRestricted},
		{name: "the device refuses who controls all", device: "other", change: siteChange(func(c *config.Site) {
			refuse(device(c, "other"))
			user(c, "app").Groups = append(user(c, "app").Groups, config.GroupCTIAllDevices)
		}), condition: "device-allows-cti", fix: "allowControlFromCTI: yes of device other", wire: whyOpen("other", ""), want: ctiqbe.ErrDeviceRestricted},
		{name: "a device without lines", device: "bare", condition: "line-known", fix: "give device bare a line", wire: whyOpen("bare", "1001"), want: ctiqbe.ErrUndefinedLine},
		{name: "a line of another device", line: "1002", condition: "line-known", fix: "add the line to device alice", wire: whyOpen("alice", "1002"), want: ctiqbe.ErrUndefinedLine},
		{name: "the line refuses", change: deviceChange("alice", func(d *config.Device) { d.Lines[0].AllowControlFromCTI = config.CTIControlRefused }), condition: "line-allows-cti",
			fix: "allowControlFromCTI: yes of the line on device alice", wire: whyOpen("alice", "1001"), want: ctiqbe.ErrLineRestricted},
		{name: "one line of two refuses", line: "1003", change: deviceChange("alice", func(d *config.Device) {
			d.Lines = append(d.Lines, config.Appearance{Number: "1003", Partition: "internal", AllowControlFromCTI: config.CTIControlRefused})
		}), condition: "line-allows-cti", fix: "the line on device alice", wire: whyOpen("alice", "1003"), want: ctiqbe.ErrLineRestricted},
		{name: "a protocol nobody speaks", device: "SEP001122334455", condition: "protocol-spoken", fix: "protocol: sip"},
		{name: "no call manager for the device", change: siteChange(func(c *config.Site) {
			c.Nodes = append(c.Nodes, config.Node{Name: "node2"})
			c.CallManagerGroups = append(c.CallManagerGroups, config.CallManagerGroup{Name: "away", Nodes: []string{"node2"}})
			c.DevicePools = append(c.DevicePools, config.DevicePool{Name: "away", CallManagerGroup: "away"})
			device(c, "alice").DevicePool = "away"
			for i := range c.Nodes {
				if c.Nodes[i].Name == "node2" {
					c.Nodes[i].Services = []config.NodeService{{Service: config.ServiceCallManager}}
				}
			}
		}), condition: "call-manager-running", fix: "start a node of call manager group away"},
		{name: "a phone that never came", device: "bob", condition: "device-registered", fix: "see that the phone runs"},
		{name: "a phone that is refused", device: "bob", change: func(w *whySite) {
			p, err := w.Phone(w.ctx, "bob", "1002", func(c *phone.Config) {
				stranger, err := w.CA.Issue(w.ctx, pki.Request{Kind: pki.KindDevice, Name: "bob"})
				w.must(err)
				w.must(w.CA.Revoke(w.ctx, pki.RefOf(stranger.Credential.Leaf()), "lost"))
				c.Certificate = stranger.Credential.TLS()
			})
			w.must(err)
			w.undo = append(w.undo, func() { p.Close(w.ctx) })
			for !w.sawFailure() {
				if w.ctx.Err() != nil {
					w.t.Fatal("the phone was never refused")
				}
				time.Sleep(20 * time.Millisecond)
			}
		}, condition: "device-registered", fix: "locktone show connections bob"},
		{name: "a port that no application has registered", device: "wall", condition: "device-registered", fix: "have the application register it"},
		{name: "keys without the group", keys: true, condition: "keys-allowed", fix: "standard-cti-allow-reception-of-srtp-key-material"},
		{name: "keys of a phone without encryption", keys: true, change: siteChange(func(c *config.Site) {
			user(c, "app").Groups = append(user(c, "app").Groups, config.GroupCTISRTPKeys)
			c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "signed", DeviceSecurityMode: config.Authenticated})
			device(c, "alice").PhoneSecurityProfile = "signed"
		}), condition: "keys-there", fix: "deviceSecurityMode: encrypted of phone security profile signed"},
	}
}

// sawFailure says whether the call manager shows a failed handshake of whoever has the certificate.
func (w *whySite) sawFailure() bool {
	var rows admin.Rows[json.RawMessage]
	w.must(w.client.Do(w.ctx, http.MethodGet, "/v1/connections", nil, &rows))
	for _, r := range rows.Rows {
		if strings.Contains(string(r), `"lastFailure":"`) {
			return true
		}
	}
	return false
}

// whyServiceCases make the services themselves wrong; the last ones stay so.
func whyServiceCases() []whyCase {
	return []whyCase{
		{name: "no node runs the CTI manager", change: siteChange(func(c *config.Site) { c.Nodes[0].Services = c.Nodes[0].Services[:2] }), condition: "cti-manager-configured",
			fix: "add {service: ctimanager} to the services of a node"},
		{name: "a cluster without security", change: siteChange(func(c *config.Site) { c.Cluster.SecurityMode = config.NonSecureCluster }), condition: "cluster-mixed", fix: "locktone trust mode mixed"},
		{name: "not in the trust list", change: func(w *whySite) {
			v, err := w.Lists.Current(w.ctx, 0)
			w.must(err)
			w.must(lists.NewMembers(w.Store.Documents(lists.Collection)).Withdraw(w.ctx, ctimanager.Name, "node1"))
			named := func(r lists.Record) bool { return r.Service == ctimanager.Name }
			for slices.ContainsFunc(v.Records, named) { // it is signed anew, perhaps for what the case before has changed first
				v, err = w.Lists.Current(w.ctx, 0)
				w.must(err)
			}
		}, condition: "ctl-current", fix: "start that node again"},
		{name: "the CTI manager does not run", change: func(w *whySite) { w.must(w.CTI.Close(w.ctx)) }, condition: "cti-manager-running", fix: "start the node"},
	}
}
