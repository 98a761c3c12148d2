package login

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/wire/secret"
)

// ErrNotChanged is wrapped by every refusal of a new password.
var ErrNotChanged = errors.New("the password was not changed")

// Change gives a user another password: the old one must be right, though it may have expired; the new one must suit the policy.
func (c *Checker) Change(ctx context.Context, a Attempt, next secret.Text, tell StageFunc) (Result, error) {
	no := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrNotChanged, fmt.Sprintf(format, args...))
	}
	r := c.Check(ctx, a, tell)
	if !r.OK && r.Reason != PasswordExpired {
		return r, no("%s", r.Reason)
	}
	u, known := c.cfg.Site().User(r.User)
	account, err := c.accounts.Get(ctx, r.User)
	switch {
	case err != nil:
		return r, err
	case !known:
		return r, no("there is no user %s any more", r.User)
	case u.Authentication == config.AuthenticateLDAP:
		return r, no("%s has it in the LDAP directory: change it there", u.Name)
	case u.CannotChangePassword:
		return r, no("the configuration does not let %s change it (cannotChangePassword)", u.Name)
	case c.cfg.SetPassword == nil:
		return r, no("this service changes none")
	}
	if wait := account.ChangedAt.Add(u.Policy.MinimumChangeInterval.D()).Sub(c.cfg.Now()); wait > 0 && u.Policy.MinimumChangeInterval > 0 && r.OK {
		return r, no("it was changed less than %s ago: try again in %s", u.Policy.MinimumChangeInterval, wait.Round(time.Second))
	}
	if err := Acceptable(u.Policy, u.Name, next); err != nil {
		return r, no("%v", err)
	}
	old := u.Password
	switch again, err := c.reused(ctx, u.Name, old, u.Policy.PreviousPasswords, next); {
	case err != nil:
		return r, no("%v", err)
	case again:
		return r, no("the new one was in use before")
	}
	give, err := c.memory.take(ctx, config.VerifierMemory)
	if err != nil {
		return r, no("%v", err)
	}
	v := config.NewVerifier(next.Reveal())
	give()
	if err := c.cfg.SetPassword(ctx, u.Name, v); err != nil {
		return r, fmt.Errorf("%w: %w", ErrNotChanged, err)
	}
	c.changed(ctx, u.Name, old, v, u.Policy.PreviousPasswords)
	return r, nil
}

// reused says whether a password is the present one or one of the last.
func (c *Checker) reused(ctx context.Context, user string, present config.Verifier, previous int, next secret.Text) (bool, error) {
	all := []config.Verifier{present}
	if previous > 0 {
		r, err := c.verifiers.get(ctx, user)
		if err != nil {
			return false, err
		}
		for _, text := range r.Previous[:min(previous, len(r.Previous))] {
			if v, err := config.ParseVerifier(text); err == nil {
				all = append(all, v)
			}
		}
	}
	for _, v := range all {
		if same, err := c.verify(ctx, v, next); same || err != nil {
			return same, err
		}
	}
	return false, nil
}

// changed remembers the age of the new password, and the old one among the previous.
func (c *Checker) changed(ctx context.Context, user string, old, v config.Verifier, previous int) {
	now := c.cfg.Now()
	_, err := c.accounts.change(ctx, user, func(x *Account) bool {
		x.Credential, x.ChangedAt = fingerprint(v), now.UTC()
		x.succeeded(now)
		return true
	})
	if err == nil {
		err = c.verifiers.change(ctx, user, func(r *remembered) bool {
			was := len(r.Previous)
			r.Previous = append([]string{old.Reveal()}, r.Previous...)
			r.Previous = r.Previous[:min(previous, len(r.Previous))]
			return previous > 0 || was > 0
		})
	}
	if err != nil {
		c.cfg.Warn(fmt.Sprintf("the password of %s was changed, and this cannot be remembered: %v", user, err))
	}
}

// Meet lets the age of passwords begin that are new in the configuration: to be called whenever it changes.
func (c *Checker) Meet(ctx context.Context) {
	for _, u := range c.cfg.Site().Users() {
		if u.Authentication != config.AuthenticateLocal || u.Password.IsZero() || u.Policy.ExpiresAfterDays == 0 && u.Policy.InactiveDays == 0 {
			continue
		}
		now := c.cfg.Now()
		if _, err := c.accounts.change(ctx, u.Name, func(x *Account) bool { return x.meet(u.Password, now) }); err != nil {
			c.cfg.Warn(err.Error())
			return
		}
	}
}
