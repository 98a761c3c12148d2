package login

import (
	"context"
	"fmt"
	"time"
)

// strangers are names that the configuration does not have and somebody tried to log in with. They are locked out as users are, so that
// a lock-out does not tell which names exist.
type strangers map[string]*Account

const maxStrangers = 4096

// stranger answers an attempt for a name that nobody has, with the same work and the same answer as for one that somebody has.
func (c *Checker) stranger(ctx context.Context, l *attempt) Result {
	policy, now := c.cfg.Site().DefaultPolicy(), c.cfg.Now()
	c.mu.Lock()
	a := Account{}
	if known := c.strangers[l.User]; known != nil {
		a = *known
	}
	c.mu.Unlock()
	lock := a.lock(policy, now)
	l.say("authenticationDB: credential policy %s: %s, %d failed logins of %s allowed", policyName(policy), lock, a.Failures, allowed(policy))
	if lock.locked() {
		r := l.result(AccountLocked, fmt.Sprintf("there is no user %s, and the name is %s", l.User, lock))
		r.Unknown = true
		return r
	}
	if _, err := c.verify(ctx, c.dummy, l.Password); err != nil {
		return l.late(ctx, "for others whose passwords are compared")
	}
	a.failed(policy, now, l.From)
	c.mu.Lock()
	c.strangers.put(l.User, a)
	c.mu.Unlock()
	r := l.result(WrongCredentials, fmt.Sprintf("there is no user %s: names are compared letter by letter", l.User))
	r.Unknown = true
	return r
}

// put remembers a stranger; when there are too many, the one that was heard of least recently is forgotten.
func (s *strangers) put(name string, a Account) {
	if *s == nil {
		*s = strangers{}
	}
	if _, known := (*s)[name]; !known && len(*s) >= maxStrangers {
		oldest, at := "", time.Time{}
		for n, x := range *s {
			if oldest == "" || x.LastFailure.Before(at) {
				oldest, at = n, x.LastFailure
			}
		}
		delete(*s, oldest)
	}
	(*s)[name] = &a
}
