package ctimanager

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/directory/rights"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/secret"
)

// Authenticator checks logins; *login.Checker is one. tell hears of each step as it is taken, never of the password.
type Authenticator interface {
	Check(ctx context.Context, a login.Attempt, tell login.StageFunc) login.Result
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
	r := s.cfg.Login.Check(ctx, login.Attempt{User: e.user, Password: password, From: e.from.Addr().String(), Service: Name}, stage)
	out := checkedLogin{user: r.User, days: r.ExpiresInDays}
	if !r.OK {
		s.counts.logins.Add(1)
		s.record(c, trace.Error, fmt.Sprintf("the login of %s failed: %s", e.user, r.Why))
		out.refusal = refusalOf(r.Reason)
	}
	return asked{Value: out}
}

// refusalOf is what a client is told of a login that failed: no more than the value says.
func refusalOf(r login.Reason) *refusal {
	return &refusal{result: rights.ResultOf(r), why: rights.Told(r)}
}
