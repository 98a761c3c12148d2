package ldap

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/secret"
)

// TLS makes the configuration of a connection, which verifies the peer; *pki.Identity is one.
type TLS interface {
	ClientConfig(pki.ClientPolicy) *tls.Config
}

// Config says how a directory is asked. Settings and Identity must be set.
type Config struct {
	Settings config.LDAPDirectory
	Identity TLS
	Home     string           // where a relative bindPasswordFile begins
	Now      func() time.Time // nil: time.Now
	// Dial makes a connection; nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// MaxLogins under way at the same time; more wait for the network timeout and are refused then. Default 32.
	MaxLogins int
}

// StageFunc hears of the steps of a login as they happen, in the words of the field's traces. No text carries a password.
type StageFunc func(text string)

// Directory asks one LDAP directory. It is safe for concurrent use.
type Directory struct {
	dialer
	home    string
	now     func() time.Time
	servers []*server
	logins  chan struct{}
	pool    chan struct{} // a place for each of the service's connections
	policy  domainPolicy
	life    context.Context
	end     context.CancelFunc
}

// Open returns the directory. It connects to nothing yet.
func Open(c Config) *Directory {
	c.Settings = c.Settings.WithDefaults()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.MaxLogins == 0 {
		c.MaxLogins = 32
	}
	d := &Directory{dialer: dialer{settings: c.Settings, identity: c.Identity, dial: c.Dial}, home: c.Home, now: c.Now,
		logins: make(chan struct{}, c.MaxLogins), pool: make(chan struct{}, c.Settings.Connections)}
	for _, s := range c.Settings.Servers {
		d.servers = append(d.servers, &server{at: endpoint{s.Host, s.Port, c.Settings.Transport}})
	}
	d.life, d.end = context.WithCancel(context.Background())
	return d
}

// Name is the directory's in the configuration.
func (d *Directory) Name() string { return d.settings.Name }

// Settings are those it was opened with, defaults filled in.
func (d *Directory) Settings() config.LDAPDirectory { return d.settings }

// Close ends all connections; logins under way fail.
func (d *Directory) Close() {
	d.end()
	for _, s := range d.servers {
		s.drop()
	}
}

// server is one server with its idle connections and how it has been doing.
type server struct {
	at endpoint

	mu      sync.Mutex
	idle    []*connection
	fails   int
	until   time.Time // left alone until then
	last    *Problem  // why
	probing bool      // somebody tries whether it works again
}

// Times for which a server that failed is left alone.
const (
	firstRest = time.Second
	lastRest  = 30 * time.Second
)

// may reports whether the server is to be asked now. Of those who come after a rest one tries, and the others go on to the next server.
func (s *server) may(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails == 0 {
		return true
	}
	if now.Before(s.until) || s.probing {
		return false
	}
	s.probing = true
	return true
}

// done remembers how it went.
func (s *server) done(now time.Time, p *Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probing = false
	if p == nil || p.Reason == Cancelled || !p.server() {
		if p == nil || p.Reason != Cancelled {
			s.fails, s.last = 0, nil
		}
		return
	}
	rest := min(firstRest<<min(s.fails, 5), lastRest)
	if p.Reason == ServiceBind || p.Reason == ServiceAccount { // each try counts towards the lock-out of the service account
		rest = lastRest
	}
	s.fails++
	s.last, s.until = p, now.Add(rest)
}

// server reports whether the problem is one of the server, after which it is left alone for a while.
func (p *Problem) server() bool {
	switch p.Reason {
	case NotTLS, NotLDAP, CertificateBad, StartTLSRefused, ServiceBind, ServiceAccount, TLSRequired:
		return true
	}
	return p.Reason.Away()
}

// another reports whether another server may do better.
func (p *Problem) another() bool {
	return p.server() && p.Reason != ServiceBind && p.Reason != ServiceAccount // those would lock the account faster
}

func (s *server) take() *connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == 0 {
		return nil
	}
	c := s.idle[len(s.idle)-1]
	s.idle = s.idle[:len(s.idle)-1]
	return c
}

func (s *server) put(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, c)
}

// drop closes the idle connections.
func (s *server) drop() {
	s.mu.Lock()
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}

// enter takes a place in a bounded set of those who are at work, or says that there is none.
func (d *Directory) enter(ctx context.Context, places chan struct{}) *Problem {
	wait, cancel := context.WithTimeout(ctx, d.settings.NetworkTimeout.D())
	defer cancel()
	select {
	case places <- struct{}{}:
		return nil
	case <-wait.Done():
	case <-d.life.Done():
		return &Problem{Reason: Cancelled, What: "the directory is no longer configured like this"}
	}
	if ctx.Err() != nil {
		return &Problem{Reason: Cancelled, What: "who asked no longer waits"}
	}
	return &Problem{Reason: TooManyLogins, What: fmt.Sprintf("%d logins at a time are under way already", cap(places)), Fix: "see why the directory is slow (locktone ldap check " + d.settings.Name + ")"}
}

// withService has f ask one server over a connection bound as the service account: the first that does.
func (d *Directory) withService(ctx context.Context, stage StageFunc, f func(*server, *connection) *Problem) *Problem {
	if p := d.enter(ctx, d.pool); p != nil {
		return p
	}
	defer func() { <-d.pool }()
	var last *Problem
	for _, s := range d.servers {
		if !s.may(d.now()) {
			if last == nil {
				last = s.resting(d.now())
			}
			continue
		}
		p := d.try(ctx, s, stage, f)
		s.done(d.now(), p)
		if p == nil || !p.another() {
			return p
		}
		stage(fmt.Sprintf("LDAP server %s failed: %s", s.at.url(), p.What))
		last = p
	}
	if last == nil {
		last = &Problem{Reason: NotConfigured, What: "the directory has no server", Fix: "add one under servers"}
	}
	return last
}

// resting is the problem of a server that is left alone.
func (s *server) resting(now time.Time) *Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil
	}
	p := *s.last
	p.What += fmt.Sprintf(" (and is not asked again for %s)", max(s.until.Sub(now), 0).Round(100*time.Millisecond))
	return &p
}

// try asks one server. A connection of the pool that the server has closed meanwhile is replaced.
func (d *Directory) try(ctx context.Context, s *server, stage StageFunc, f func(*server, *connection) *Problem) *Problem {
	for {
		c := s.take()
		pooled := c != nil
		if !pooled {
			stage("LDAP not initialized...connecting...")
			stage("authenticationLDAP::connect():enter")
			var p *Problem
			if c, p = d.service(ctx, s.at, stage); p != nil {
				return p
			}
		}
		p := f(s, c)
		switch {
		case p != nil && p.Reason == Closed && pooled:
			c.close()
			s.drop()
			continue
		case p != nil && (p.server() || p.Reason == Cancelled || p.Reason == TooMuch):
			c.close()
			if p.server() {
				s.drop()
			}
		case d.life.Err() != nil:
			c.close()
		default:
			s.put(c)
		}
		return p
	}
}

// service connects to a server and binds as the service account.
func (d *Directory) service(ctx context.Context, at endpoint, stage StageFunc) (*connection, *Problem) {
	stage("authenticationLDAP::Authenticate():enter")
	stage(authenticating(at))
	c, p := d.connect(ctx, at)
	if p != nil {
		return nil, p
	}
	if p := d.bindService(ctx, c); p != nil {
		c.close()
		return nil, p
	}
	d.stageBound(stage, at, or(d.settings.BindDN, "anonymous"))
	stage("Authentication of LDAP administrator successful.")
	return c, nil
}

// authenticating is the field's line about a connection. StartTLS is TLS, whatever the scheme of the address says.
func authenticating(at endpoint) string {
	if at.transport == config.LDAPClear {
		return "Authenticating with SSL not enabled (" + at.url() + ")"
	}
	return "Authenticating with SSL enabled (" + at.url() + ")"
}

// stageBound tells of a bind in the field's words, spelt as there.
func (d *Directory) stageBound(stage StageFunc, at endpoint, who string) {
	stage("LDAP authentication bind SUCCESS for " + who)
	stage("Connection # (0): sucessful")
	stage("Details ::")
	stage(fmt.Sprintf("%s %d", at.host, at.port))
	stage("----------")
	stage(fmt.Sprintf("Available Servers (%d)", len(d.servers)))
	stage("authenticationLDAP::Authenticate():exit(0)")
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// bindService binds as the service account, or not at all where the configuration has none.
func (d *Directory) bindService(ctx context.Context, c *connection) *Problem {
	if d.settings.BindDN == "" {
		return nil
	}
	password, p := d.bindPassword()
	if p != nil {
		return p
	}
	policy, err := d.bind(ctx, c, d.settings.BindDN, password)
	if err == nil {
		return nil
	}
	code, answered := resultCode(err)
	switch {
	case !answered:
		return c.failed(ctx, "the bind as "+d.settings.BindDN, err)
	case code != goldap.LDAPResultInvalidCredentials && code != goldap.LDAPResultInvalidDNSyntax && code != goldap.LDAPResultNoSuchObject:
		return resultProblem(c.at.url(), "the bind as "+d.settings.BindDN, code, err, false)
	}
	a, data := refusedBind(err, policy)
	p = &Problem{Reason: ServiceAccount, Account: a.reason, Server: c.at.url(), Code: code, Data: data,
		What: fmt.Sprintf("the service account %s is refused: %s", d.settings.BindDN, a.what), Fix: a.fix}
	if a.reason == WrongPassword || a.reason == NoSuchUser {
		p.Reason, p.Account = ServiceBind, ""
		p.What = fmt.Sprintf("the bind as %s was refused with result %d: the bind DN does not exist or its password is wrong", d.settings.BindDN, code)
		p.Fix = "compare bindDN with the directory, then give bindPassword again"
	}
	if code == goldap.LDAPResultInvalidDNSyntax {
		p.What = fmt.Sprintf("%s is not a name that this directory can bind", d.settings.BindDN)
		p.Fix = "write bindDN as a DN; name@domain is for Active Directory"
	}
	return p
}

// bindPassword is the password of the service account.
func (d *Directory) bindPassword() (secret.Text, *Problem) {
	if d.settings.BindPasswordFile == "" {
		return secret.New(d.settings.BindPassword.Reveal()), nil
	}
	path := d.settings.BindPasswordFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.home, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return secret.Text{}, &Problem{Reason: NotConfigured, What: "bindPasswordFile cannot be read: " + err.Error(), Fix: "put the password there, with mode 0600, on every node"}
	}
	if info.Mode().Perm()&0o077 != 0 {
		return secret.Text{}, &Problem{Reason: NotConfigured, What: fmt.Sprintf("bindPasswordFile %s can be read by others (mode %04o)", path, info.Mode().Perm()), Fix: "chmod 600 " + path}
	}
	b, err := os.ReadFile(path)
	text := strings.TrimRight(string(b), "\r\n")
	if err != nil || text == "" {
		return secret.Text{}, &Problem{Reason: NotConfigured, What: "bindPasswordFile " + path + " has no password", Fix: "write the password into it, on one line"}
	}
	return secret.New(text), nil
}

// bind is one simple bind, with the password policy control where the server knows it.
func (d *Directory) bind(ctx context.Context, c *connection, dn string, password secret.Text) (*goldap.ControlBeheraPasswordPolicy, error) {
	if password.IsZero() {
		return nil, goldap.NewError(goldap.ErrorEmptyPassword, fmt.Errorf("an empty password is not sent"))
	}
	var policy *goldap.ControlBeheraPasswordPolicy
	err := c.do(ctx, d.settings.NetworkTimeout.D(), loginBytes, func(lc *goldap.Conn) error {
		r, err := lc.SimpleBind(goldap.NewSimpleBindRequest(dn, password.Reveal(), []goldap.Control{goldap.NewControlBeheraPasswordPolicy()}))
		if r != nil {
			policy, _ = goldap.FindControl(r.Controls, goldap.ControlTypeBeheraPasswordPolicy).(*goldap.ControlBeheraPasswordPolicy)
		}
		return err
	})
	return policy, err
}
