package login

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/wire/secret"
)

// Most octets of a name and of a password that are looked at.
const (
	MaxUser     = 128
	MaxPassword = 256
)

// Config is what a Checker needs. Site, Accounts and Verifiers must be set.
type Config struct {
	// Site is the configuration in force.
	Site func() *directory.Directory
	// Accounts are store.Documents(Collection), Verifiers store.Documents(VerifierCollection).
	Accounts, Verifiers Documents
	// Directory is the LDAP directory of a user with authentication ldap, and its name; nil: none is configured.
	Directory func(u *directory.User) (string, Directory)
	// SetPassword writes a user's new verifier into the configuration and takes mustChangePassword away; nil: passwords cannot be changed here.
	SetPassword func(ctx context.Context, user string, v config.Verifier) error
	// Node is the name of this node, for people.
	Node string
	// Warn is told what could not be remembered.
	Warn func(text string)
	Now  func() time.Time // nil: time.Now

	// The zero value of the rest is a good one.
	Limit      time.Duration // for one attempt by a directory, waiting included. Default 10 s
	Own        time.Duration // for one by a password of the configuration: the comparisons of a storm of logins wait for processors alone. Default 50 s
	Floor      time.Duration // no failure is answered earlier. Default 250 ms
	MaxWaiting int           // attempts that wait or are at work. Default 2000
	MaxOfUser  int           // of these for one user. Default 1000
	MaxOfLane  int           // at work at one LDAP directory. Default 32
	Memory     int           // KiB for argon2id. Default: 19 MiB for each processor
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Warn == nil {
		c.Warn = func(string) {}
	}
	if c.Directory == nil {
		c.Directory = func(*directory.User) (string, Directory) { return "", nil }
	}
	c.Limit = cmp.Or(c.Limit, 10*time.Second)
	c.Own = cmp.Or(c.Own, 50*time.Second)
	c.Floor = cmp.Or(c.Floor, 250*time.Millisecond)
	c.MaxWaiting = cmp.Or(c.MaxWaiting, 2000)
	c.MaxOfUser = cmp.Or(c.MaxOfUser, 1000)
	c.MaxOfLane = cmp.Or(c.MaxOfLane, 32)
	c.Memory = cmp.Or(c.Memory, runtime.GOMAXPROCS(0)*config.VerifierMemory)
	return c
}

// Checker checks logins. It is safe for concurrent use.
type Checker struct {
	cfg       Config
	accounts  *Accounts
	verifiers *verifiers
	turns     turns
	memory    *budget
	key       [32]byte        // of the macs by which equal passwords of one moment are known
	dummy     config.Verifier // what an unknown user's password is compared with

	mu        sync.Mutex
	lanes     map[string]*budget
	strangers strangers

	history history
}

// New returns a checker; Close ends it.
func New(cfg Config) *Checker {
	cfg = cfg.withDefaults()
	c := &Checker{cfg: cfg, accounts: NewAccounts(cfg.Accounts, cfg.Now), verifiers: &verifiers{docs: cfg.Verifiers}, memory: newBudget(cfg.Memory),
		turns: turns{all: map[string]*turn{}, most: cfg.MaxWaiting, ofOne: cfg.MaxOfUser}, lanes: map[string]*budget{}, dummy: config.NewVerifier(rand.Text())}
	_, _ = rand.Read(c.key[:]) // never fails, crypto/rand says
	c.history.start(cfg.Accounts, cfg.Warn)
	return c
}

// Close writes what is still to be remembered, and ends the checker's goroutine. Nothing is checked after it.
func (c *Checker) Close() { c.history.close() }

// Accounts are the accounts that the checker works on.
func (c *Checker) Accounts() *Accounts { return c.accounts }

// Check looks at one attempt. It blocks its caller alone, for no longer than the limit. tell may be nil.
func (c *Checker) Check(ctx context.Context, a Attempt, tell StageFunc) Result {
	began := c.cfg.Now()
	limited, cancel := context.WithTimeout(ctx, c.limit(a.User))
	defer cancel()
	l := &attempt{Attempt: a, log: log{tell: tell, now: c.cfg.Now}}
	r := c.turn(limited, l)
	if !r.OK {
		c.wait(limited, began)
	}
	return r
}

// limit is the time for an attempt. An unknown user's has that of a user of the configuration, whose work it does.
func (c *Checker) limit(user string) time.Duration {
	if u, known := c.cfg.Site().User(user); known && u.Authentication == config.AuthenticateLDAP {
		return c.cfg.Limit
	}
	return c.cfg.Own
}

// wait holds a failure back until the floor: how long it took does not say why it failed.
func (c *Checker) wait(ctx context.Context, began time.Time) {
	left := c.cfg.Floor - c.cfg.Now().Sub(began)
	if left <= 0 {
		return
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// attempt is an Attempt on its way.
type attempt struct {
	Attempt
	log
}

// result ends an attempt.
func (l *attempt) result(reason Reason, why string) Result {
	return Result{User: l.User, OK: reason == Success, Reason: reason, Why: why, ExpiresInDays: Never}
}

// turn waits for the user's turn and has the attempt checked.
func (c *Checker) turn(ctx context.Context, l *attempt) Result {
	switch {
	case l.User == "" || len(l.User) > MaxUser:
		return c.ended(l, l.result(WrongCredentials, fmt.Sprintf("a login needs a user name of at most %d characters", MaxUser)))
	case len(l.Password.Reveal()) > MaxPassword:
		return c.ended(l, l.result(WrongCredentials, fmt.Sprintf("the password has more than %d characters", MaxPassword)))
	}
	k, err := c.turns.enter(ctx, l.User)
	switch {
	case errors.Is(err, errTooMany):
		return c.ended(l, l.result(Overloaded, "too many logins wait: let the application wait longer before it tries again"))
	case err != nil:
		return c.ended(l, l.late(ctx, "behind other logins of the same user"))
	}
	mac := c.mac(l.Password)
	if r, ok := k.shared(mac); ok {
		k.done(mac, r, false)
		l.say("another login of %s with the same password is answered at the same time", l.User)
		r.Stages = l.stages
		return r
	}
	r := c.ended(l, c.check(ctx, l))
	k.done(mac, r, r.Reason != Timeout)
	return r
}

func (l *attempt) late(ctx context.Context, where string) Result {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return l.result(Timeout, "the login was not answered in time; it waited "+where)
	}
	return l.result(Timeout, "who asked no longer waits")
}

func (c *Checker) mac(p secret.Text) (out [32]byte) {
	h := hmac.New(sha256.New, c.key[:])
	h.Write([]byte(p.Reveal()))
	h.Sum(out[:0])
	return out
}

// ended tells the last stage and remembers the login.
func (c *Checker) ended(l *attempt, r Result) Result {
	if r.OK {
		l.say("AuthenticationImpl::login: result=Success user=%s Expire days=%d", r.User, r.ExpiresInDays)
	} else {
		l.say("AuthenticationImpl::login: result=%s user=%s", r.Reason, printable(r.User))
	}
	r.Stages = l.stages
	if !r.Unknown && r.Reason != Overloaded && r.User != "" && len(r.User) <= MaxUser {
		if _, known := c.cfg.Site().User(r.User); known {
			c.history.put(Last{User: r.User, At: c.cfg.Now().UTC(), From: l.From, Service: l.Service, Node: c.cfg.Node, Reason: r.Reason, Why: r.Why, Grace: r.Grace,
				ExpiresInDays: r.ExpiresInDays, Stages: r.Stages})
		}
	}
	return r
}

// check is one attempt, alone for its user.
func (c *Checker) check(ctx context.Context, l *attempt) Result {
	l.say("AuthenticationImpl::login:enter")
	l.say("AuthenticationImpl::retrieveCredential:enter")
	l.say("userid is %s", printable(l.User))
	l.say("AuthenticationImpl::login - no encryptedpassword Credential, look for password")
	l.say("AuthenticationImpl::login (Auth with password. Calling authenticateUserWithPassword)")
	l.say("authenticationDB::authenticateUserWithPassword():enter")
	l.mention("Credential Length is: %d", len(l.Password.Reveal()))
	u, known := c.cfg.Site().User(l.User)
	if !known {
		return c.stranger(ctx, l)
	}
	account, err := c.accounts.Get(ctx, u.Name)
	if err != nil {
		return l.result(Failed, err.Error())
	}
	if account.meet(u.Password, c.cfg.Now()) {
		if account, err = c.accounts.change(ctx, u.Name, func(x *Account) bool { return x.meet(u.Password, c.cfg.Now()) }); err != nil {
			c.cfg.Warn(err.Error())
		}
	}
	lock := account.lock(u.Policy, c.cfg.Now())
	l.say("authenticationDB: credential policy %s: %s, %d failed logins of %s allowed", policyName(u.Policy), lock, account.Failures, allowed(u.Policy))
	if lock.locked() {
		return l.result(AccountLocked, fmt.Sprintf("the account of %s is %s: locktone login unlock %s", u.Name, lock, u.Name))
	}
	if l.Password.IsZero() { // a directory would take it for a login as nobody
		return c.remember(ctx, l, u, Outcome{Reason: WrongCredentials, Why: "the password is empty"}, false)
	}
	if u.Authentication == config.AuthenticateLDAP {
		return c.checkLDAP(ctx, l, u, account)
	}
	return c.checkLocal(ctx, l, u)
}

func policyName(p config.CredentialPolicy) string { return cmp.Or(p.Name, "(defaults)") }

func allowed(p config.CredentialPolicy) string {
	if p.UnlimitedFailedLogins {
		return "any number"
	}
	return fmt.Sprint(p.FailedLogins)
}

// checkLocal compares the password with the user's verifier.
func (c *Checker) checkLocal(ctx context.Context, l *attempt, u *directory.User) Result {
	l.say("authenticationDB::login (Authenticating using the configuration)")
	v, why := u.Password, fmt.Sprintf("the password of %s is another", u.Name)
	if v.IsZero() {
		v, why = c.dummy, fmt.Sprintf("user %s has no password: give one in the configuration, or say authentication: ldap", u.Name)
	}
	ok, err := c.verify(ctx, v, l.Password)
	switch {
	case err != nil:
		return l.late(ctx, "for others whose passwords are compared")
	case !ok || u.Password.IsZero():
		l.say("authenticationDB::authenticateUserWithPassword():Exit(1)")
		return c.remember(ctx, l, u, Outcome{Reason: WrongCredentials, Why: why}, false)
	}
	l.say("authenticationDB::authenticateUserWithPassword():Exit(0)")
	return c.remember(ctx, l, u, Outcome{Reason: Success, ExpiresInDays: Never}, false)
}

// verify compares a password with a verifier, within the budget of memory.
func (c *Checker) verify(ctx context.Context, v config.Verifier, p secret.Text) (bool, error) {
	give, err := c.memory.take(ctx, v.Memory())
	if err != nil {
		return false, err
	}
	defer give()
	return v.Verify(p.Reveal()), nil
}

// checkLDAP asks the user's directory.
func (c *Checker) checkLDAP(ctx context.Context, l *attempt, u *directory.User, account Account) Result {
	l.say("authenticationDB::login (Authenticating using LDAP)")
	name, d := c.cfg.Directory(u)
	if d == nil {
		return c.remember(ctx, l, u, Outcome{Reason: DirectoryRefused, Why: fmt.Sprintf("user %s authenticates by LDAP, and no LDAP directory is configured for it: add one under ldapDirectories", u.Name)}, false)
	}
	give, err := c.lane(name).take(ctx, 1)
	if err != nil {
		return l.late(ctx, "for LDAP directory "+name+", which is slow: locktone ldap check "+name)
	}
	l.say("authenticationLDAP::authenticateUserWithPassword():enter")
	out := d.Authenticate(ctx, u.Name, l.Password, func(text string) { l.say("%s", printable(text)) })
	give()
	l.say("authenticationLDAP::authenticateUserWithPassword():Exit(%d)", exit(out.Reason))
	if out.Reason.away() {
		return c.grace(ctx, l, u, account, out)
	}
	c.learn(ctx, l, u, out)
	return c.remember(ctx, l, u, out, false)
}

func exit(r Reason) int {
	if r == Success {
		return 0
	}
	return 1
}

func (c *Checker) lane(name string) *budget {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lanes[name] == nil {
		c.lanes[name] = newBudget(c.cfg.MaxOfLane)
	}
	return c.lanes[name]
}

// remember writes what an answer changes about the account, and makes the result of it.
func (c *Checker) remember(ctx context.Context, l *attempt, u *directory.User, out Outcome, grace bool) Result {
	now := c.cfg.Now()
	account, err := c.accounts.change(ctx, u.Name, func(x *Account) bool {
		changed := x.meet(u.Password, now)
		switch out.Reason {
		case WrongCredentials:
			x.failed(u.Policy, now, l.From)
			return true
		case Success:
			if refused, _ := refuses(u, x, now); refused == ReasonNone {
				changed = x.succeeded(now) || changed
			}
		}
		return c.noteDirectory(x, u, out, grace, now) || changed
	})
	if err != nil {
		c.cfg.Warn(fmt.Sprintf("what the login of %s changes cannot be remembered: %v", u.Name, err))
		if out.Reason == Success && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return l.late(ctx, "for the store")
		}
	}
	r := l.result(out.Reason, out.Why)
	r.User, r.Grace, r.ExpiresInDays = u.Name, grace, out.ExpiresInDays
	switch {
	case out.Reason == WrongCredentials && account.lock(u.Policy, now).locked():
		r.Why += fmt.Sprintf("; the account is %s now", account.lock(u.Policy, now))
	case out.Reason != Success:
	default:
		if reason, why := refuses(u, &account, now); reason != ReasonNone {
			r.OK, r.Reason, r.Why = false, reason, why
			return r
		}
		if u.Authentication == config.AuthenticateLocal {
			r.ExpiresInDays, _ = expiry(u, &account, now)
		}
		l.say("Successfully authenticated user: %s", u.Name)
		r.Warn = r.ExpiresInDays != Never && int64(r.ExpiresInDays) <= int64(u.Policy.WarningDays)
	}
	return r
}

// log tells and keeps the stages of an attempt.
type log struct {
	tell   StageFunc
	now    func() time.Time
	stages []Stage
}

// Bounds of what is kept of one login.
const (
	maxStages = 120
	maxStage  = 512
)

func (l *log) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(l.stages) < maxStages {
		l.stages = append(l.stages, Stage{l.now().UTC(), text[:min(len(text), maxStage)]})
	}
	if l.tell != nil {
		l.tell(text)
	}
}

// mention tells, and keeps nothing.
func (l *log) mention(format string, args ...any) {
	if l.tell != nil {
		l.tell(fmt.Sprintf(format, args...))
	}
}

// printable is a text from outside as it may stand in a line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s[:min(len(s), maxStage)])
}
