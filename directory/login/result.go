package login

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/locktone/locktone/wire/secret"
)

// Attempt is somebody who wants to log in.
type Attempt struct {
	// User is the login name as it was given.
	User     string
	Password secret.Text
	// From is the address it comes from, Service who asks: both for people.
	From, Service string
}

// Reason is how a login ended. The zero value is no answer at all.
type Reason uint8

// The reasons.
const (
	ReasonNone          Reason = iota
	Success                    // the password is right and may be used
	WrongCredentials           // no such user, no password, or not this one: who asks is not told which
	AccountLocked              // by failed logins, by inactivity, or by the directory
	AccountDisabled            // in the configuration or by the directory
	PasswordExpired            // and the user may change it
	PasswordExpiredHard        // and only an administrator may change it
	DirectoryAway              // no server of the LDAP directory could be asked
	DirectorySilent            // one that could be asked did not answer in time
	DirectoryRefused           // it could be asked and refuses to work for us: it, or what the configuration says of it, is wrong
	Timeout                    // the attempt took longer than it may
	Overloaded                 // too many logins wait
	Failed                     // what is needed for an answer could not be read
)

var reasonNames = [...]string{"none", "success", "wrong-credentials", "account-locked", "account-disabled", "password-expired", "password-expired-cannot-change",
	"directory-away", "directory-silent", "directory-refused", "timeout", "overloaded", "failed"}

// away reports whether a directory could not be asked: what the grace of a credential policy is for.
func (r Reason) away() bool { return r == DirectoryAway || r == DirectorySilent }

// String is the reason in one word.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason-%d", uint8(r))
}

// MarshalText writes the word.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the word.
func (r *Reason) UnmarshalText(b []byte) error {
	for i, name := range reasonNames {
		if name == string(b) {
			*r = Reason(i)
			return nil
		}
	}
	return fmt.Errorf("login: there is no reason %q", b)
}

// Never is ExpiresInDays of a password that does not expire: the field's "Expire days=4294967295".
const Never = math.MaxUint32

// Result is the answer to an attempt.
type Result struct {
	// User is the name as the configuration has it; for an unknown one as it was given.
	User   string
	OK     bool
	Reason Reason
	// Why is a sentence for the operator: what was wrong and what to do. It says more than who tried to log in should be told.
	Why string
	// ExpiresInDays are the whole days for which the password is good, Never where it does not expire.
	ExpiresInDays uint32
	// Warn is set when the days are few enough for the policy to have the user warned.
	Warn bool
	// Grace says that the LDAP directory was away and the password was compared with what was verified before.
	Grace bool
	// Unknown says that the configuration has no such user.
	Unknown bool
	Stages  []Stage
}

// Stage is one step of a login.
type Stage struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// StageFunc hears of the steps as they happen. It is called from the goroutine of Check.
type StageFunc func(text string)

// Directory is where users have their password that do not have it here.
type Directory interface {
	// Authenticate asks whether the password is the user's. It returns when ctx ends.
	Authenticate(ctx context.Context, user string, password secret.Text, stage StageFunc) Outcome
}

// Outcome is what a directory says.
type Outcome struct {
	// Reason is one of Success, WrongCredentials, AccountLocked, AccountDisabled, PasswordExpired, PasswordExpiredHard, DirectoryAway, DirectorySilent,
	// DirectoryRefused and Overloaded.
	Reason Reason
	// Why is a sentence for the operator.
	Why string
	// ExpiresInDays are the whole days left, Never where the directory knows of no end.
	ExpiresInDays uint32
}
