package ldap

import (
	"context"
	"fmt"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/locktone/locktone/wire/secret"
)

// NoExpiry is the number of days where a password does not expire, or the directory does not say when.
const NoExpiry = -1

// Outcome is how a login ended.
type Outcome struct {
	// Problem is nil when the password is right and may be used.
	Problem *Problem
	// Account is what the directory says of the user, where it was found.
	Account Account
	// ExpiresInDays are the whole days left for the password, or NoExpiry.
	ExpiresInDays int
}

// OK reports whether the user is who it says.
func (o Outcome) OK() bool { return o.Problem == nil }

// Authenticate asks whether the password is the user's: a search as the service account, a bind as the user. stage may be nil.
func (d *Directory) Authenticate(ctx context.Context, user string, password secret.Text, stage StageFunc) Outcome {
	if stage == nil {
		stage = func(string) {}
	}
	out := Outcome{ExpiresInDays: NoExpiry}
	stage("LDAP userid is '" + user + "'")
	stage("authenticationUtils::escapeLDAPSpecialCharsForFilter():enter")
	stage("After Escaping for LDAP special Characters for Filter = " + Escaped(user))
	if password.IsZero() {
		out.Problem = &Problem{Reason: EmptyPassword, What: "the password is empty, which a directory takes for a login as nobody", Fix: "type the password"}
		stage("LDAP authentication refused: the password is empty")
		return out
	}
	if out.Problem = d.enter(ctx, d.logins); out.Problem != nil {
		return out
	}
	defer func() { <-d.logins }()
	for range d.servers { // a server that dies between search and bind: both once more, at the next
		var at endpoint
		var s *server
		out.Account, at, s, out.Problem = d.find(ctx, user, stage)
		if out.Problem != nil {
			stage("LDAP authentication failed: " + out.Problem.What)
			return out
		}
		stage("Attempt to authenticate DN: " + out.Account.DN)
		stage("authenticationLDAP::Authenticate():enter")
		stage(authenticating(at))
		out.ExpiresInDays, out.Problem = d.bindUser(ctx, at, &out.Account, password)
		if out.Problem == nil {
			d.stageBound(stage, at, out.Account.DN)
			return out
		}
		stage(fmt.Sprintf("LDAP authentication bind FAILURE for %s: %s", out.Account.DN, out.Problem.What))
		if !out.Problem.another() {
			return out
		}
		s.done(d.now(), out.Problem)
	}
	return out
}

// Lookup asks what the directory says of a user, without a password.
func (d *Directory) Lookup(ctx context.Context, user string, stage StageFunc) (Account, *Problem) {
	if stage == nil {
		stage = func(string) {}
	}
	a, _, _, p := d.find(ctx, user, stage)
	return a, p
}

// find looks for exactly one entry, and says where it is.
func (d *Directory) find(ctx context.Context, user string, stage StageFunc) (a Account, at endpoint, by *server, p *Problem) {
	p = d.withService(ctx, stage, func(s *server, c *connection) *Problem {
		by = s
		filter := FilterFor(d.settings.Filter, user)
		stage("Retrieve the specified user entry: " + filter)
		stage("LDAP Search for User base: '" + d.settings.Base + "'")
		f := d.newFollower(1 + 1) // the second is the one too many
		found, p := f.search(ctx, c, query{base: d.settings.Base, filter: filter, attributes: d.accountAttributes(), limit: 2, subtree: true})
		stage(fmt.Sprintf("LDAP Search complete. Code: %d", codeOf(p)))
		switch {
		case len(found) > 1:
			return &Problem{Reason: Ambiguous, Server: c.at.url(), Code: codeOf(p), What: fmt.Sprintf("the filter finds more than one entry for %q: %s and %s", user, found[0].DN, found[1].DN),
				Fix: "narrow base or filter until each name is one user's"}
		case p != nil:
			return p
		case len(found) == 0:
			return d.nobody(ctx, c, user)
		}
		stage("Get DN of entry.")
		stage("Got DN: " + found[0].DN)
		a, at = d.account(found[0].Entry), found[0].at
		d.expiry(ctx, c, &a)
		return nil
	})
	return a, at, by, p
}

func codeOf(p *Problem) uint16 {
	if p == nil {
		return 0
	}
	return p.Code
}

// nobody says why the filter finds nobody: no such name, or one that the filter leaves out.
func (d *Directory) nobody(ctx context.Context, c *connection, user string) *Problem {
	p := &Problem{Reason: NoSuchUser, Server: c.at.url(), What: fmt.Sprintf("no entry under %s passes the filter %s", d.settings.Base, FilterFor(d.settings.Filter, user)),
		Fix: "compare the name, base and filter with the directory"}
	found, failed := d.newFollower(2).search(ctx, c, query{base: d.settings.Base, filter: equality(d.settings.Attributes.User, user), attributes: d.accountAttributes(), limit: 2, subtree: true})
	if failed != nil && failed.server() {
		return failed
	}
	if len(found) != 1 {
		return p
	}
	p.What = fmt.Sprintf("%s is there, and the filter leaves it out", found[0].DN)
	p.Fix = "change the filter, or the entry"
	switch a := d.account(found[0].Entry); {
	case a.Disabled:
		p.Reason, p.What, p.Fix = AccountDisabled, fmt.Sprintf("the account %s is disabled", a.DN), "enable it in the directory"
	case a.expired(d.now()):
		p.Reason, p.What, p.Fix = AccountExpired, fmt.Sprintf("the account %s expired on %s", a.DN, a.Expires.Format(time.DateOnly)), "move its expiry date in the directory"
	}
	return p
}

// bindUser binds as the entry on a connection of its own, and says for how many days the password is good.
func (d *Directory) bindUser(ctx context.Context, at endpoint, a *Account, password secret.Text) (days int, p *Problem) {
	c, p := d.connect(ctx, at)
	if p != nil {
		return NoExpiry, p
	}
	defer c.close()
	policy, err := d.bind(ctx, c, a.DN, password)
	if err != nil {
		return NoExpiry, d.userProblem(ctx, c, a, err, policy)
	}
	if policy != nil && policy.Error == 2 { // changeAfterReset: bound, and good for nothing but the change
		w := byData["773"]
		return NoExpiry, &Problem{Reason: w.reason, Server: at.url(), What: w.what, Fix: w.fix}
	}
	days = a.days(d.now())
	if policy != nil && policy.Expire >= 0 {
		days = int(policy.Expire / (24 * 3600))
	}
	return days, nil
}

// userProblem says why a user's bind was refused.
func (d *Directory) userProblem(ctx context.Context, c *connection, a *Account, err error, policy *goldap.ControlBeheraPasswordPolicy) *Problem {
	code, answered := resultCode(err)
	if !answered {
		return c.failed(ctx, "the bind as "+a.DN, err)
	}
	switch code {
	case goldap.LDAPResultInvalidCredentials, goldap.LDAPResultUnwillingToPerform, goldap.LDAPResultInappropriateAuthentication,
		goldap.LDAPResultConstraintViolation, goldap.LDAPResultNoSuchObject:
	default:
		return resultProblem(c.at.url(), "the bind as "+a.DN, code, err, false)
	}
	why, data := refusedBind(err, policy)
	if why.reason == WrongPassword && data == "" { // OpenLDAP says the same for a wrong password and a locked account, on purpose: the entry tells
		why = d.fromEntry(a, why)
	}
	return &Problem{Reason: why.reason, Server: c.at.url(), Code: code, Data: data, What: fmt.Sprintf("%s: %s", a.DN, why.what), Fix: why.fix}
}

// fromEntry is what the entry says of an account whose bind was refused without a reason.
func (d *Directory) fromEntry(a *Account, why account) account {
	switch {
	case a.Locked:
		return byData["775"]
	case a.Disabled:
		return byData["533"]
	case a.expired(d.now()):
		return byData["701"]
	}
	return why
}
