package ctimanager

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/secret"
)

// An Attempt is one login.
type Attempt struct {
	User     string
	Password secret.Text
	From     netip.Addr
}

// An Outcome is what a directory says of a login. Result is OK when the password is right and the account may be used.
type Outcome struct {
	User   string // as the site spells it
	Result ctiqbe.Result
	Why    string
	Days   uint32 // until the password expires; NoExpiry: it does not
}

// NoExpiry says that a password does not expire.
const NoExpiry = 0xffffffff

// An Authenticator checks logins. stage hears of each step as it is taken, by the names the field's traces have; it never hears the password.
type Authenticator interface {
	Authenticate(ctx context.Context, a Attempt, stage func(text string)) Outcome
}

// local knows the users of the site by their passwords there.
type local struct{ s *Service }

// Authenticate implements Authenticator.
func (l local) Authenticate(_ context.Context, a Attempt, stage func(string)) Outcome {
	stage("authenticationDB::authenticateUserWithPassword():enter")
	u, ok := l.s.site().User(a.User)
	if !ok || !u.Password.Verify(a.Password.Reveal()) {
		return Outcome{Result: ctiqbe.ErrDirectoryLoginFailed, Why: "user name or password is wrong"}
	}
	return Outcome{User: u.Name, Days: NoExpiry}
}

// checkLogin is the errand of looking at a user's password. The password is in it as it came: encrypted.
type checkLogin struct {
	user          string
	password, key []byte
	nonce         string
	from          netip.AddrPort
}

// checkedLogin is what came of it.
type checkedLogin struct {
	user    string
	days    uint32
	refusal *refusal
}

func (checkLogin) queue() string { return "login" }

func (e checkLogin) do(ctx context.Context, s *Service, c *connection) asked {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Limits.Check)
	defer cancel()
	stage := func(text string) { s.record(c, trace.Info, text) }
	stage("CtiLoginCheckReq:authenticateByUserName")
	stage("CCMASymmetricEncryption::DecryptText Enter")
	password, length, err := s.passwords.open(e.key, e.password, e.nonce)
	if err != nil { // it goes on, so that a client cannot tell this from a wrong password
		s.record(c, trace.Error, "Decrypted Key Status failure - "+err.Error())
		password = secret.New(newNonce())
	} else {
		stage("CCMASymmetricEncryption::DecryptText Exit")
		stage(fmt.Sprintf("Decrypted Key Status success - [%d]", length))
		stage("Nonce =" + e.nonce)
		stage("Nonce validation success")
		stage("CCMSymmetricEncryption::DecryptText:enter")
		stage("CCMEncryption::DecryptText (Exit) (Success)")
		stage(fmt.Sprintf("Decrypted Password Status success - [%d]", len(password.Reveal())))
	}
	o := s.cfg.Login.Authenticate(ctx, Attempt{User: e.user, Password: password, From: e.from.Addr()}, stage)
	out := checkedLogin{user: o.User, days: o.Days}
	if o.Result != ctiqbe.OK {
		s.counts.logins.Add(1)
		out.refusal = &refusal{result: o.Result, why: o.Why}
	}
	return asked{Value: out}
}
