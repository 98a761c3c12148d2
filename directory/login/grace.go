package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/store"
)

// What is remembered of passwords: only salted argon2id verifiers, and only as long as the policy has a use for them.

// verifiers keeps them, by user.
type verifiers struct{ docs Documents }

// remembered are the verifiers of one user. They marshal as hashes, since this is the one place they are for.
type remembered struct {
	// Confirmed is the password that the LDAP directory confirmed last, At when.
	Confirmed string    `json:"confirmed,omitempty"`
	At        time.Time `json:"at,omitzero"`
	// Directory is the one that confirmed it.
	Directory string `json:"directory,omitempty"`
	// Previous are the user's earlier local passwords, newest first.
	Previous []string `json:"previous,omitempty"`

	revision int64
}

func verifierKey(user string) string { return url.PathEscape(user) }

func (v *verifiers) get(ctx context.Context, user string) (out remembered, err error) {
	doc, err := v.docs.Get(ctx, verifierKey(user))
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("login: read the verifiers of %s: %w", user, err)
	}
	if json.Unmarshal(doc.Value, &out) != nil {
		return out, fmt.Errorf("login: the verifiers of %s cannot be read", user) // not what it says: it has hashes in it
	}
	out.revision = doc.Revision
	return out, nil
}

// change lets f change the verifiers of a user.
func (v *verifiers) change(ctx context.Context, user string, f func(*remembered) bool) error {
	for range maxConflicts {
		got, err := v.get(ctx, user)
		if err != nil || !f(&got) {
			return err
		}
		if got.Confirmed == "" && len(got.Previous) == 0 {
			err = v.docs.Delete(ctx, verifierKey(user), got.revision)
		} else {
			_, err = v.docs.PutAll(ctx, []store.Write{{Key: verifierKey(user), Value: got, IfRevision: got.revision}})
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("login: %s: other nodes change the verifiers all the time", user)
}

// renewed is how old a confirmed verifier may be before the same password is written again with a newer date.
const renewed = 15 * time.Minute

// learn remembers what the directory said of a password, for the time it is away; and forgets what it remembered when the directory says
// something else.
func (c *Checker) learn(ctx context.Context, l *attempt, u *directory.User, out Outcome) {
	if u.Policy.DirectoryGrace == 0 && !c.knows(ctx, u.Name) {
		return
	}
	err := error(nil)
	switch {
	case u.Policy.DirectoryGrace == 0, out.Reason == AccountDisabled, out.Reason == AccountLocked, out.Reason == PasswordExpired, out.Reason == PasswordExpiredHard:
		err = c.forget(ctx, u.Name, func(remembered) bool { return true })
	case out.Reason == WrongCredentials: // the password that was right once is wrong now: it was changed
		err = c.forget(ctx, u.Name, func(r remembered) bool { return c.matches(ctx, r, l) })
	case out.Reason == Success:
		err = c.confirm(ctx, l, u)
	}
	if err != nil {
		c.cfg.Warn(err.Error())
	}
}

// knows says whether something is remembered that a change of the policy has made superfluous.
func (c *Checker) knows(ctx context.Context, user string) bool {
	r, err := c.verifiers.get(ctx, user)
	return err == nil && r.Confirmed != ""
}

func (c *Checker) forget(ctx context.Context, user string, when func(remembered) bool) error {
	return c.verifiers.change(ctx, user, func(r *remembered) bool {
		if r.Confirmed == "" || !when(*r) {
			return false
		}
		r.Confirmed, r.At, r.Directory = "", time.Time{}, ""
		return true
	})
}

// confirm remembers a password that the directory has just confirmed.
func (c *Checker) confirm(ctx context.Context, l *attempt, u *directory.User) error {
	now := c.cfg.Now()
	was, err := c.verifiers.get(ctx, u.Name)
	if err != nil {
		return err
	}
	name, _ := c.cfg.Directory(u)
	same := was.Directory == name && c.matches(ctx, was, l)
	if same && now.Sub(was.At) < renewed {
		return nil
	}
	text := was.Confirmed
	if !same {
		give, err := c.memory.take(ctx, config.VerifierMemory)
		if err != nil {
			return err
		}
		text = config.NewVerifier(l.Password.Reveal()).Reveal()
		give()
	}
	return c.verifiers.change(ctx, u.Name, func(r *remembered) bool {
		r.Confirmed, r.At, r.Directory = text, now.UTC(), name
		return true
	})
}

// matches says whether the password of the attempt is the one that was confirmed.
func (c *Checker) matches(ctx context.Context, r remembered, l *attempt) bool {
	v, err := config.ParseVerifier(r.Confirmed)
	if err != nil || v.IsZero() {
		return false
	}
	ok, err := c.verify(ctx, v, l.Password)
	return ok && err == nil
}

// noteDirectory remembers what the directory said of the account itself.
func (c *Checker) noteDirectory(x *Account, u *directory.User, out Outcome, grace bool, now time.Time) bool {
	if u.Authentication != config.AuthenticateLDAP || grace {
		return false
	}
	switch out.Reason {
	case Success, AccountDisabled, AccountLocked, PasswordExpired, PasswordExpiredHard:
	default:
		return false
	}
	if x.Directory == out.Reason && now.Sub(x.DirectoryAt) < time.Hour {
		return false
	}
	x.Directory, x.DirectoryAt = out.Reason, now.UTC()
	return true
}

// grace lets in, while the directory is away, who was let in there before with the same password, if the policy says so.
func (c *Checker) grace(ctx context.Context, l *attempt, u *directory.User, account Account, out Outcome) Result {
	why := c.noGrace(ctx, u, account)
	if why != "" {
		l.say("authenticationDB::login (LDAP directory away, no grace: %s)", why)
		out.Why += "; " + why
		return c.remember(ctx, l, u, out, false)
	}
	l.say("authenticationDB::login (LDAP directory away: comparing with what it confirmed)")
	r, err := c.verifiers.get(ctx, u.Name)
	if err != nil || !c.matches(ctx, r, l) {
		if ctx.Err() != nil {
			return l.late(ctx, "for LDAP, and then for others whose passwords are compared")
		}
		return c.remember(ctx, l, u, Outcome{Reason: WrongCredentials, Why: out.Why + "; the password is not the one that was confirmed last"}, true)
	}
	return c.remember(ctx, l, u, Outcome{Reason: Success, Why: "let in by directoryGrace: " + out.Why, ExpiresInDays: Never}, true)
}

// noGrace says why somebody is not let in while the directory is away, "" when the password decides.
func (c *Checker) noGrace(ctx context.Context, u *directory.User, account Account) string {
	if u.Policy.DirectoryGrace == 0 {
		return "the credential policy has no directoryGrace"
	}
	if account.Directory != Success && account.Directory != ReasonNone {
		return fmt.Sprintf("the directory said %s of the account when it was asked last", account.Directory)
	}
	r, err := c.verifiers.get(ctx, u.Name)
	name, _ := c.cfg.Directory(u)
	switch {
	case err != nil:
		return err.Error()
	case r.Confirmed == "" || r.Directory != name:
		return "the directory has confirmed no password of the user that is remembered"
	case c.cfg.Now().Sub(r.At) > u.Policy.DirectoryGrace.D():
		return fmt.Sprintf("it confirmed the password last at %s, longer ago than directoryGrace (%s)", r.At.Format(time.RFC3339), u.Policy.DirectoryGrace)
	}
	return ""
}
