package login

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/wire/secret"
)

// What the credential policy makes of an account. All of it is a function of account, policy and time.

const day = 24 * time.Hour

// lockState is the lock in force; its zero value is none.
type lockState struct {
	why   LockReason
	until time.Time // zero: until an administrator unlocks
}

func (l lockState) locked() bool { return l.why != NotLocked }

func (l lockState) String() string {
	until := "until an administrator unlocks it"
	if !l.until.IsZero() {
		until = "until " + l.until.UTC().Format(time.RFC3339)
	}
	switch l.why {
	case LockedFailedLogins:
		return "locked after failed logins, " + until
	case LockedInactive:
		return "locked because nobody logged in for long, " + until
	}
	return "not locked"
}

// lock is the lock in force at a time.
func (a *Account) lock(p config.CredentialPolicy, now time.Time) lockState {
	switch {
	case a.Lock == LockedFailedLogins && (a.LockedUntil.IsZero() || now.Before(a.LockedUntil)):
		return lockState{a.Lock, a.LockedUntil}
	case p.InactiveDays > 0 && !a.Active.IsZero() && now.Sub(a.Active) > time.Duration(p.InactiveDays)*day:
		return lockState{why: LockedInactive}
	}
	return lockState{}
}

// unlock forgets failures and lock.
func (a *Account) unlock(now time.Time) {
	a.Failures, a.LastFailure, a.FailureFrom = 0, time.Time{}, ""
	a.Lock, a.LockedAt, a.LockedUntil = NotLocked, time.Time{}, time.Time{}
	a.Active = now.UTC()
}

// failed counts a wrong password and locks the account when there are too many.
func (a *Account) failed(p config.CredentialPolicy, now time.Time, from string) {
	if a.Lock != NotLocked && !a.LockedUntil.IsZero() && !now.Before(a.LockedUntil) {
		a.Failures, a.Lock, a.LockedAt, a.LockedUntil = 0, NotLocked, time.Time{}, time.Time{}
	}
	if !a.LastFailure.IsZero() && now.Sub(a.LastFailure) > p.ResetFailedLoginsAfter.D() {
		a.Failures = 0
	}
	a.Failures++
	a.LastFailure, a.FailureFrom = now.UTC(), from
	if p.UnlimitedFailedLogins || a.Failures < p.FailedLogins {
		return
	}
	a.Lock, a.LockedAt, a.LockedUntil = LockedFailedLogins, now.UTC(), time.Time{}
	if !p.AdministratorMustUnlock {
		a.LockedUntil = now.Add(p.LockOutDuration.D()).UTC()
	}
}

// left are the failures that are still allowed before the account is locked; -1: any number.
func (a *Account) left(p config.CredentialPolicy, now time.Time) int {
	if p.UnlimitedFailedLogins {
		return -1
	}
	if now.Sub(a.LastFailure) > p.ResetFailedLoginsAfter.D() {
		return p.FailedLogins
	}
	return max(p.FailedLogins-a.Failures, 0)
}

// succeeded forgets failures. It says whether the account has changed enough to be written.
func (a *Account) succeeded(now time.Time) bool {
	changed := a.Failures > 0 || a.Lock != NotLocked || now.Sub(a.LastLogin) > time.Hour
	if changed {
		a.unlock(now)
		a.LastLogin = now.UTC()
	}
	return changed
}

// meet looks at the credential that is in force: one that was not seen before begins its age now, and the account its activity.
func (a *Account) meet(v config.Verifier, now time.Time) (changed bool) {
	if print := fingerprint(v); print != a.Credential {
		a.Credential, a.ChangedAt, changed = print, now.UTC(), true
	}
	if a.Active.IsZero() {
		a.Active, changed = now.UTC(), true
	}
	return changed
}

// expiry says how many whole days a local password is still good for: Never where it does not expire, and whether it is over.
func expiry(u *directory.User, a *Account, now time.Time) (days uint32, expired bool) {
	if u.Policy.ExpiresAfterDays == 0 || u.PasswordDoesNotExpire || u.Authentication == config.AuthenticateLDAP || a.ChangedAt.IsZero() {
		return Never, false
	}
	left := a.ChangedAt.Add(time.Duration(u.Policy.ExpiresAfterDays) * day).Sub(now)
	if left <= 0 {
		return 0, true
	}
	return uint32(left / day), false
}

// refuses says why a right password is not let in, ReasonNone when it is.
func refuses(u *directory.User, a *Account, now time.Time) (Reason, string) {
	expired := PasswordExpired
	if u.CannotChangePassword {
		expired = PasswordExpiredHard
	}
	_, over := expiry(u, a, now)
	switch {
	case u.Disabled:
		return AccountDisabled, fmt.Sprintf("user %s is disabled in the configuration", u.Name)
	case u.Authentication == config.AuthenticateLocal && u.MustChangePassword:
		return expired, fmt.Sprintf("the password of %s must be changed before it can be used", u.Name)
	case over:
		return expired, fmt.Sprintf("the password of %s expired on %s", u.Name, a.ChangedAt.Add(time.Duration(u.Policy.ExpiresAfterDays)*day).UTC().Format(time.DateOnly))
	}
	return ReasonNone, ""
}

// Acceptable says what is wrong with a new password of a user, nil when nothing is. Earlier passwords are not looked at.
func Acceptable(p config.CredentialPolicy, user string, password secret.Text) error {
	text := password.Reveal()
	switch low := strings.ToLower(text); {
	case utf8.RuneCountInString(text) < p.MinimumLength:
		return fmt.Errorf("the new password is too short: at least %d characters are needed", p.MinimumLength)
	case len(text) > MaxPassword:
		return fmt.Errorf("the new password is too long: at most %d octets are taken", MaxPassword)
	case p.AllowTrivialPasswords:
		return nil
	case user != "" && (strings.Contains(low, strings.ToLower(user)) || strings.Contains(low, reversed(strings.ToLower(user)))):
		return fmt.Errorf("the new password has the name of the user in it")
	case repeats(low):
		return fmt.Errorf("the new password repeats one character, or a few, all over")
	case runs(low):
		return fmt.Errorf("the new password is a run of characters that follow each other")
	}
	return nil
}

func reversed(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}

// repeats says whether the text is one piece of up to three characters over and over.
func repeats(s string) bool {
	r := []rune(s)
	for n := 1; n <= 3 && n*2 <= len(r); n++ {
		same := true
		for i := n; i < len(r) && same; i++ {
			same = r[i] == r[i-n]
		}
		if same {
			return true
		}
	}
	return false
}

// runs says whether every character follows the one before it, upwards or downwards: 12345678, hgfedcba; 9 is followed by 0.
func runs(s string) bool {
	r := []rune(s)
	for _, step := range []rune{1, -1} {
		same := len(r) > 2
		for i := 1; i < len(r) && same; i++ {
			d := r[i] - r[i-1]
			same = d == step || step == 1 && r[i-1] == '9' && r[i] == '0' || step == -1 && r[i-1] == '0' && r[i] == '9'
		}
		if same {
			return true
		}
	}
	return false
}

// Standing says what the credential policy makes of a login of the user now, with the right password: ReasonNone when it would be let in,
// else why not and what to do.
func Standing(u *directory.User, a Account, now time.Time) (reason Reason, why, fix string) {
	a.meet(u.Password, now)
	if lock := a.lock(u.Policy, now); lock.locked() {
		return AccountLocked, fmt.Sprintf("the account of %s is %s", u.Name, lock), "locktone login unlock " + u.Name
	}
	if u.Authentication == config.AuthenticateLocal && u.Password.IsZero() {
		return WrongCredentials, fmt.Sprintf("user %s has no password", u.Name), fmt.Sprintf("set password of user %s, or authentication: ldap", u.Name)
	}
	reason, why = refuses(u, &a, now)
	switch reason {
	case AccountDisabled:
		fix = fmt.Sprintf("remove disabled of user %s", u.Name)
	case PasswordExpired:
		fix = "locktone login password " + u.Name
	case PasswordExpiredHard:
		fix = fmt.Sprintf("set another password of user %s", u.Name)
	}
	return reason, why, fix
}

// Policy is what the policy counts of an account now, for people.
type Policy struct {
	Name     string    `json:"name"`
	Lock     string    `json:"lock"`
	Failures int       `json:"failedLogins"`
	Left     int       `json:"failedLoginsLeft"` // -1: any number
	Days     uint32    `json:"expiresInDays"`    // Never: it does not expire
	Changed  time.Time `json:"passwordSince,omitzero"`
}

// Counted is what the policy counts of an account now.
func Counted(u *directory.User, a Account, now time.Time) Policy {
	a.meet(u.Password, now)
	days, _ := expiry(u, &a, now)
	failures := a.Failures
	if !a.lock(u.Policy, now).locked() && now.Sub(a.LastFailure) > u.Policy.ResetFailedLoginsAfter.D() {
		failures = 0
	}
	return Policy{Name: policyName(u.Policy), Lock: a.lock(u.Policy, now).String(), Failures: failures, Left: a.left(u.Policy, now), Days: days, Changed: a.ChangedAt}
}
