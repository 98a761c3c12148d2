package login

import (
	"context"

	"github.com/locktone/locktone/directory/ldap"
	"github.com/locktone/locktone/wire/secret"
)

// LDAP is an LDAP directory as a Checker asks it.
type LDAP struct{ *ldap.Directory }

// Authenticate implements Directory.
func (d LDAP) Authenticate(ctx context.Context, user string, password secret.Text, stage StageFunc) Outcome {
	got := d.Directory.Authenticate(ctx, user, password, ldap.StageFunc(stage))
	out := Outcome{Reason: Success, ExpiresInDays: Never}
	if got.ExpiresInDays >= 0 {
		out.ExpiresInDays = uint32(got.ExpiresInDays)
	}
	if p := got.Problem; p != nil {
		out.Reason, out.Why = ReasonOf(p.Reason), p.Error()
	}
	return out
}

// ReasonOf is what a directory's reason means for a login.
func ReasonOf(r ldap.Reason) Reason {
	switch r {
	case ldap.Success:
		return Success
	case ldap.NoSuchUser, ldap.EmptyPassword, ldap.WrongPassword:
		return WrongCredentials
	case ldap.AccountDisabled, ldap.AccountExpired, ldap.OutsideHours, ldap.WorkstationNotAllowed:
		return AccountDisabled
	case ldap.AccountLocked:
		return AccountLocked
	case ldap.PasswordExpired, ldap.MustChangePassword:
		return PasswordExpiredHard // it is changed in the directory, not here
	case ldap.Silent:
		return DirectorySilent
	case ldap.TooManyLogins:
		return Overloaded
	case ldap.Cancelled:
		return Timeout
	}
	if r.Away() {
		return DirectoryAway
	}
	return DirectoryRefused
}
