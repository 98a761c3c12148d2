package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/secret"
)

// State is how a step of a check ended. The zero value is that it was not reached.
type State string

// The states.
const (
	Skipped State = "skipped"
	Passed  State = "ok"
	Warned  State = "warning"
	Failed  State = "failed"
)

// Step is one step of a check.
type Step struct {
	Name    string        `json:"name"`             // resolve, connect, tls, bind, base, ...
	Server  string        `json:"server,omitempty"` // ldaps://dc1.corp.test:636
	State   State         `json:"state"`
	Text    string        `json:"text"` // what was found
	Took    time.Duration `json:"took,omitempty"`
	Problem *Problem      `json:"problem,omitempty"`
}

// Report is a whole check.
type Report struct {
	Directory string   `json:"directory"`
	OK        bool     `json:"ok"` // no step failed
	Steps     []Step   `json:"steps"`
	Account   *Account `json:"account,omitempty"` // of the user that was asked for
}

// First is the first step that failed, else the first that warns; ok is false when all passed.
func (r *Report) First() (s Step, ok bool) {
	for _, state := range []State{Failed, Warned} {
		if i := slices.IndexFunc(r.Steps, func(s Step) bool { return s.State == state }); i >= 0 {
			return r.Steps[i], true
		}
	}
	return Step{}, false
}

// CheckOptions say what to look at besides the directory itself.
type CheckOptions struct {
	// User is looked for, and Password tried, where they are given.
	User     string
	Password secret.Text
}

// Limits of what a check warns of.
const (
	maxSkew    = 5 * time.Minute     // what Kerberos allows, and every domain therefore keeps
	soonEnds   = 30 * 24 * time.Hour // of certificates and passwords of service accounts
	maxSamples = 20                  // entries looked at
)

// Check walks everything that a login and a synchronisation need, of all servers at the same time, with connections of its own. It goes on
// where it can after a failure.
func (d *Directory) Check(ctx context.Context, o CheckOptions) *Report {
	all := make([]checker, len(d.servers))
	var wg sync.WaitGroup
	for i, s := range d.servers {
		all[i] = checker{d: d, o: o, r: &Report{}}
		wg.Go(func() { all[i].server(ctx, s.at) })
	}
	wg.Wait()
	out := &Report{Directory: d.settings.Name, Steps: []Step{}}
	for _, k := range all {
		out.Steps = append(out.Steps, k.r.Steps...)
		if out.Account == nil {
			out.Account = k.r.Account
		}
	}
	out.OK = !slices.ContainsFunc(out.Steps, func(s Step) bool { return s.State == Failed })
	return out
}

// checker is the check of one server.
type checker struct {
	d  *Directory
	o  CheckOptions
	r  *Report
	at endpoint
	c  *connection
	// contexts are the tops of what the server has, as it says itself.
	contexts []string
}

// step records one; its result is whether the next one can be done.
func (k *checker) step(name string, f func() (text string, warn, failed *Problem)) bool {
	began := time.Now()
	text, warn, failed := f()
	s := Step{Name: name, Server: k.at.url(), State: Passed, Text: text, Took: time.Since(began).Round(100 * time.Microsecond)}
	switch {
	case failed != nil:
		s.State, s.Text, s.Problem = Failed, failed.What, failed
	case warn != nil:
		s.State, s.Text, s.Problem = Warned, warn.What, warn
	}
	k.r.Steps = append(k.r.Steps, s)
	return failed == nil
}

// server checks one server.
func (k *checker) server(ctx context.Context, at endpoint) {
	k.at, k.c = at, nil
	defer func() {
		if k.c != nil {
			k.c.close()
		}
	}()
	if !k.step("resolve", func() (string, *Problem, *Problem) { return k.resolve(ctx) }) ||
		!k.step("connect", func() (string, *Problem, *Problem) { return k.connect(ctx) }) {
		return
	}
	if k.c.tls != nil {
		k.step("certificate", k.certificate)
	}
	if !k.step("bind", func() (string, *Problem, *Problem) { return k.bind(ctx) }) {
		return
	}
	k.step("server", func() (string, *Problem, *Problem) { return k.root(ctx) })
	if !k.step("base", func() (string, *Problem, *Problem) { return k.base(ctx) }) {
		return
	}
	filter := k.step("filter", func() (string, *Problem, *Problem) { return k.filter(ctx) })
	if filter {
		k.step("paging", func() (string, *Problem, *Problem) { return k.paging(ctx) })
	}
	for _, g := range k.d.settings.Groups {
		k.step("group", func() (string, *Problem, *Problem) { return k.group(ctx, g.DN) })
	}
	if k.o.User != "" && filter {
		k.step("user", func() (string, *Problem, *Problem) { return k.user(ctx) })
	}
}

func (k *checker) resolve(ctx context.Context) (string, *Problem, *Problem) {
	if _, err := netip.ParseAddr(k.at.host); err == nil {
		return k.at.host + " is an address", nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, k.d.settings.NetworkTimeout.D())
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, k.at.host)
	if err != nil {
		var dns *net.DNSError
		if !errors.As(err, &dns) {
			err = &net.DNSError{Err: err.Error(), Name: k.at.host}
		}
		return "", nil, dialProblem(ctx, k.at, err)
	}
	return k.at.host + " is " + strings.Join(addrs, ", "), nil, nil
}

func (k *checker) connect(ctx context.Context) (string, *Problem, *Problem) {
	c, p := k.d.connect(ctx, k.at)
	if p != nil {
		return "", nil, p
	}
	k.c = c
	if c.tls == nil {
		return "connected in clear (the exception ldap-clear)", nil, nil
	}
	return fmt.Sprintf("connected with %s, %s", tls.VersionName(c.tls.Version), k.at.transport), nil, nil
}

// certificate warns of what the verification let through with a remark, and of an end that is near.
func (k *checker) certificate() (string, *Problem, *Problem) {
	leaf := k.c.tls.PeerCertificates[0]
	text := fmt.Sprintf("%s, issued by %s, good until %s", leaf.Subject, leaf.Issuer, leaf.NotAfter.UTC().Format(time.DateOnly))
	fs := k.findings(k.c.tls.PeerCertificates)
	if left := leaf.NotAfter.Sub(k.d.now()); left < soonEnds {
		return text, &Problem{Reason: CertificateSoon, Server: k.at.url(), What: fmt.Sprintf("the certificate ends in %d days (%s)", int(left/(24*time.Hour)), leaf.NotAfter.UTC().Format(time.DateOnly)),
			Fix: "renew it at the directory server", Findings: fs}, nil
	}
	if f, ok := fs.First(); ok && f.Severity != pki.Note {
		return text, &Problem{Reason: CertificateBad, Server: k.at.url(), What: f.What, Fix: f.Fix, Findings: fs}, nil
	}
	return text, nil, nil
}

// inspector verifies once more; *pki.Identity is one.
type inspector interface{ Snapshot() pki.Snapshot }

func (k *checker) findings(chain []*x509.Certificate) pki.Findings {
	id, ok := k.d.identity.(inspector)
	if !ok {
		return nil
	}
	policy := pki.PeerPolicy{Peer: k.at.url(), Kinds: pki.KindsOf(pki.KindPeer, pki.KindService), Names: pki.Names{Host: k.at.host}}
	return id.Snapshot().Trust.Verify(chain, pki.PeerIsServer, policy, k.d.now()).Findings
}

func (k *checker) bind(ctx context.Context) (string, *Problem, *Problem) {
	if k.d.settings.BindDN == "" {
		return "no bind: the search is anonymous", nil, nil
	}
	if p := k.d.bindService(ctx, k.c); p != nil {
		return "", nil, p
	}
	return "bound as " + k.d.settings.BindDN, nil, nil
}

// root looks at what the server says of itself, its clock before all.
func (k *checker) root(ctx context.Context) (string, *Problem, *Problem) {
	r, err := k.d.searchOnce(ctx, k.c, query{filter: "(objectClass=*)", attributes: []string{"vendorName", "vendorVersion", "currentTime", "namingContexts", "supportedControl", "dnsHostName", "isGlobalCatalogReady", "forestFunctionality"}})
	if err != nil {
		return "", k.searchProblem(ctx, err, "what the server says of itself (the rootDSE)"), nil
	}
	if len(r.Entries) == 0 {
		return "the server says nothing of itself (no rootDSE)", nil, nil
	}
	e := r.Entries[0]
	k.contexts = e.GetAttributeValues("namingContexts")
	text := strings.TrimSpace(or(e.GetAttributeValue("dnsHostName"), "a directory") + " with " + strings.Join(e.GetAttributeValues("namingContexts"), "; "))
	at, err := time.Parse("20060102150405.0Z", e.GetAttributeValue("currentTime"))
	if err != nil {
		return text + "; it does not tell its time", nil, nil
	}
	skew := k.d.now().Sub(at).Round(time.Second)
	if skew.Abs() > maxSkew {
		return text, &Problem{Reason: ClockSkew, Server: k.at.url(), What: fmt.Sprintf("the server's clock says %s, this node's %s: %s apart", at.Format(time.RFC3339), k.d.now().UTC().Format(time.RFC3339), skew.Abs()),
			Fix: "have both follow a time server (NTP): certificates, expiry of passwords and logon hours go by these clocks"}, nil
	}
	return fmt.Sprintf("%s; its clock is %s from this node's", text, skew.Abs()), nil, nil
}

func (k *checker) searchProblem(ctx context.Context, err error, what string) *Problem {
	if code, ok := resultCode(err); ok {
		return resultProblem(k.at.url(), "the search for "+what, code, err, k.d.settings.BindDN == "")
	}
	return k.d.searchFailed(ctx, k.c, query{}, err)
}

func (k *checker) base(ctx context.Context) (string, *Problem, *Problem) {
	f := k.d.newFollower(1)
	found, p := f.search(ctx, k.c, query{base: k.d.settings.Base, filter: "(objectClass=*)", attributes: []string{"objectClass"}})
	switch {
	case p != nil && p.Reason == BaseMissing && k.hidden(ctx), p == nil && len(found) == 0:
		return "", nil, k.notShown()
	case p != nil:
		return "", nil, p
	}
	return found[0].DN + " exists", nil, nil
}

// hidden reports whether the server has what is above the base, by its own word, and shows nothing of it: servers answer the same for
// what is not there and for what may not be read.
func (k *checker) hidden(ctx context.Context) bool {
	base, err := goldap.ParseDN(k.d.settings.Base)
	if err != nil {
		return false
	}
	for _, text := range k.contexts {
		top, err := goldap.ParseDN(text)
		if err != nil || len(top.RDNs) == 0 || !top.AncestorOfFold(base) && !top.EqualFold(base) {
			continue
		}
		r, err := k.d.searchOnce(ctx, k.c, query{base: text, filter: "(objectClass=*)", attributes: []string{"1.1"}})
		return err != nil || len(r.Entries) == 0
	}
	return false
}

func (k *checker) notShown() *Problem {
	if k.d.settings.BindDN == "" {
		return &Problem{Reason: AnonymousRefused, Server: k.at.url(), What: "the directory shows " + k.d.settings.Base + " to nobody it does not know", Fix: "set bindDN and bindPassword"}
	}
	return &Problem{Reason: AccessRefused, Server: k.at.url(), What: fmt.Sprintf("the directory does not show %s to %s", k.d.settings.Base, k.d.settings.BindDN),
		Fix: "give the service account the right to read users under base"}
}

// filter looks for any user, and at the attributes those have.
func (k *checker) filter(ctx context.Context) (string, *Problem, *Problem) {
	filter := FilterForAll(k.d.settings.Filter)
	f := k.d.newFollower(maxSamples)
	found, p := f.search(ctx, k.c, query{base: k.d.settings.Base, filter: filter, attributes: k.d.accountAttributes(), limit: maxSamples, subtree: true})
	if p != nil && (p.Reason != SizeLimit || len(found) == 0) {
		return "", nil, p
	}
	if len(found) == 0 {
		return "", nil, k.nobody(ctx, filter)
	}
	if p := k.attributes(found); p != nil {
		return "", nil, p
	}
	text := fmt.Sprintf("the filter finds users, %s among them", found[0].DN)
	if len(f.Skipped) > 0 {
		text += fmt.Sprintf("; %d referrals lead to hosts that are not configured and are not followed (%s)", len(f.Skipped), f.Skipped[0])
	}
	return text, nil, nil
}

// nobody says which is wrong when the filter finds nobody at all.
func (k *checker) nobody(ctx context.Context, filter string) *Problem {
	p := &Problem{Reason: FilterNobody, Server: k.at.url(), What: fmt.Sprintf("no entry under %s passes %s", k.d.settings.Base, filter), Fix: "correct base or filter"}
	user := k.d.settings.Attributes.User
	other, failed := k.d.newFollower(1).search(ctx, k.c, query{base: k.d.settings.Base, filter: "(" + user + "=*)", attributes: []string{user}, limit: 1, subtree: true})
	if len(other) > 0 {
		p.What += fmt.Sprintf("; %s has the attribute %s, so that it is the rest of the filter", other[0].DN, user)
		return p
	}
	if failed == nil {
		p.What += fmt.Sprintf("; no entry there has the attribute %s", user)
		p.Fix = "correct base, or attributes.user and the filter: OpenLDAP has uid where Active Directory has sAMAccountName"
	}
	return p
}

// attributes says which mapped attribute no sample has. Names for people and groups may be missing.
func (k *checker) attributes(found []entry) *Problem {
	a := k.d.settings.Attributes
	for _, x := range []struct{ field, name, advice string }{
		{"user", a.User, "OpenLDAP has uid where Active Directory has sAMAccountName"},
		{"id", a.ID, "OpenLDAP has entryUUID where Active Directory has objectGUID"},
	} {
		if !slices.ContainsFunc(found, func(e entry) bool { return len(e.GetEqualFoldAttributeValues(x.name)) > 0 }) {
			return &Problem{Reason: AttributeMissing, Server: k.at.url(), What: fmt.Sprintf("none of %d users has the attribute %s, or the bind DN may not read it", len(found), x.name),
				Fix: fmt.Sprintf("correct attributes.%s: %s", x.field, x.advice)}
		}
	}
	return nil
}

// paging asks for two pages of one entry each.
func (k *checker) paging(ctx context.Context) (string, *Problem, *Problem) {
	pages, more := 0, true
	control := goldap.NewControlPaging(1)
	for pages < 2 && more {
		r, err := k.d.page(ctx, k.c, query{base: k.d.settings.Base, filter: FilterForAll(k.d.settings.Sync.Filter), attributes: []string{"1.1"}, subtree: true}, control)
		if err != nil {
			return "", k.searchProblem(ctx, err, "users page by page"), nil
		}
		cookie, ok := nextPage(r)
		if !ok {
			return "", &Problem{Reason: PagingUnsupported, Server: k.at.url(), What: "the server gives no pages (RFC 2696)", Fix: "raise its size limit for the bind DN: a synchronisation takes everybody in one answer"}, nil
		}
		control.SetCookie(cookie)
		pages++
		more = len(cookie) > 0
	}
	return fmt.Sprintf("users come in pages of %d", k.d.settings.Sync.PageSize), nil, nil
}

func (k *checker) group(ctx context.Context, dn string) (string, *Problem, *Problem) {
	found, p := k.d.newFollower(1).search(ctx, k.c, query{base: dn, filter: "(objectClass=*)", attributes: []string{"objectClass"}})
	if p != nil && p.Reason != BaseMissing && p.Reason != BaseInvalid {
		return "", nil, p
	}
	if len(found) == 0 {
		return "", nil, &Problem{Reason: GroupMissing, Server: k.at.url(), What: "there is no group " + dn + ", or the bind DN may not see it", Fix: "correct groups: the DN as the directory has it"}
	}
	return dn + " exists", nil, nil
}

// user walks a login: the entry, its state, and the password where one is given.
func (k *checker) user(ctx context.Context) (string, *Problem, *Problem) {
	f := k.d.newFollower(2)
	found, p := f.search(ctx, k.c, query{base: k.d.settings.Base, filter: FilterFor(k.d.settings.Filter, k.o.User), attributes: k.d.accountAttributes(), limit: 2, subtree: true})
	switch {
	case len(found) > 1:
		return "", nil, &Problem{Reason: Ambiguous, Server: k.at.url(), What: fmt.Sprintf("the filter finds more than one entry for %q: %s and %s", k.o.User, found[0].DN, found[1].DN), Fix: "narrow base or filter until each name is one user's"}
	case p != nil:
		return "", nil, p
	case len(found) == 0:
		return "", nil, k.d.nobody(ctx, k.c, k.o.User)
	}
	a := k.d.account(found[0].Entry)
	k.d.expiry(ctx, k.c, &a)
	k.r.Account = &a
	if !k.o.Password.IsZero() {
		days, p := k.d.bindUser(ctx, found[0].at, &a, k.o.Password)
		if p != nil {
			return "", nil, p
		}
		return a.DN + " has this password; " + expiryText(days), nil, nil
	}
	if p := accountProblem(k.at, &a, k.d.now()); p != nil {
		return "", nil, p
	}
	return a.DN + " may log in; " + expiryText(a.days(k.d.now())), nil, nil
}

func expiryText(days int) string {
	if days == NoExpiry {
		return "no expiry of the password is known"
	}
	return fmt.Sprintf("the password is good for %d days", days)
}

// accountProblem is what an entry says against a login, before any password is tried.
func accountProblem(at endpoint, a *Account, now time.Time) *Problem {
	var w account
	switch {
	case a.Disabled:
		w = byData["533"]
	case a.Locked:
		w = byData["775"]
	case a.expired(now):
		w = byData["701"]
	case a.MustChange:
		w = byData["773"]
	case !a.PasswordExpires.IsZero() && !now.Before(a.PasswordExpires):
		w = byData["532"]
	default:
		return nil
	}
	return &Problem{Reason: w.reason, Server: at.url(), What: a.DN + ": " + w.what, Fix: w.fix}
}
