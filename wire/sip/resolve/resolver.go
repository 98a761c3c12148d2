package resolve

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// Type is the kind of record asked for.
type Type uint8

// The record types a SIP resolver asks for.
const (
	TypeA Type = iota
	TypeAAAA
	TypeSRV
	TypeNAPTR
)

// Answer is what the DNS says to one question; no records is an answer too (the name or the type does not exist).
type Answer struct {
	NAPTR []NAPTR
	SRV   []SRV
	Addrs []netip.Addr
	TTL   time.Duration // how long it holds; the smallest of the records, or of the negative answer
}

// Exchanger asks the DNS one question. An error means that nobody answered, not that the name does not exist.
type Exchanger interface {
	Exchange(ctx context.Context, name string, t Type) (Answer, error)
}

// Target is one place to send a request to.
type Target struct {
	Network    string         // "udp", "tcp" or "tls"
	Addr       netip.AddrPort // never with a zone
	ServerName string         // the domain of the URI: what a certificate must assert (RFC 5922, 4); for a numeric host, it
	Host       string         // the name Addr belongs to: the SRV target, or the domain
}

// String is the target as logs show it.
func (t Target) String() string { return t.Network + " " + t.Addr.String() + " (" + t.ServerName + ")" }

// Config sets a Resolver up. The zero value with DNS is a good value.
type Config struct {
	DNS      Exchanger
	Networks []string      // spoken here, most wanted first; empty = tls, tcp, udp
	Penalty  time.Duration // how long a target that failed comes last; 0 = 30 seconds
	IPv6     bool          // try AAAA before A
	// ClearFallback is a named exception: go on in clear when a domain that offers TLS cannot be reached by it. Without it,
	// nobody can turn a call into clear text by breaking the TLS connection.
	ClearFallback bool
	Entries       int // DNS answers and failed targets remembered, each; 0 = 4,096
}

// Resolver finds targets. It is safe for concurrent use. It owns a cache of DNS answers and one of failed targets.
type Resolver struct {
	config Config

	mu     sync.Mutex
	random func(int) int
	cache  map[question]cached
	failed map[endpoint]failure
}

type question struct {
	name string
	t    Type
}

type cached struct {
	answer  Answer
	expires time.Time
}

// endpoint is what can be down: not the name that led there.
type endpoint struct {
	network string
	addr    netip.AddrPort
}

type failure struct {
	until  time.Time
	strict bool // the server itself said when to come back
}

// New makes a Resolver.
func New(c Config) *Resolver {
	if len(c.Networks) == 0 {
		c.Networks = []string{TLS, TCP, UDP}
	}
	if c.Penalty <= 0 {
		c.Penalty = 30 * time.Second
	}
	if c.Entries <= 0 {
		c.Entries = 4096
	}
	return &Resolver{config: c, random: rand.IntN, cache: map[question]cached{}, failed: map[endpoint]failure{}}
}

// ErrExhausted ends the targets: every one was handed out.
var ErrExhausted = errors.New("resolve: no more targets")

// UnavailableError says that every target asked not to be contacted yet (503 with Retry-After).
type UnavailableError struct {
	Domain string
	Until  time.Time // the earliest time one of them may be tried
}

// Error says when to try again.
func (e *UnavailableError) Error() string {
	return "resolve: every server of " + e.Domain + " asked to be left alone until " + e.Until.UTC().Format(time.RFC3339)
}

// Resolve finds the targets of a request URI or of the topmost Route's URI: the caller chooses which (RFC 3261, 8.1.2).
// Addresses of later SRV targets are looked up only when Next comes to them.
func (r *Resolver) Resolve(ctx context.Context, u sip.URI) (*Targets, error) {
	p, err := planFor(u, r.config.Networks)
	if err != nil {
		return nil, err
	}
	t := &Targets{resolver: r, domain: strings.ToLower(strings.TrimSuffix(u.Host, ".")), steps: p.steps}
	if t.steps == nil {
		if t.steps, err = r.services(ctx, &p); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// ResolveVia finds where a response goes when the connection it should use is gone. RFC 3263, 5: sent-by as if it were a
// host with that transport; received and rport are the transport's own business and come first (RFC 3261, 18.2.2).
func (r *Resolver) ResolveVia(ctx context.Context, v sip.Via) (*Targets, error) {
	u := sip.URI{Scheme: "sip", Host: v.Host, Port: v.Port}
	u.Params = u.Params.With("transport", strings.ToLower(v.Transport))
	return r.Resolve(ctx, u)
}

// services asks NAPTR and SRV. RFC 3263, 4.1 and 4.2.
func (r *Resolver) services(ctx context.Context, p *plan) ([]step, error) {
	if p.fixed != "" {
		return r.srvOrHost(ctx, p.domain, p.fixed)
	}
	steps, err := r.naptr(ctx, p)
	if err != nil || len(steps) > 0 {
		return steps, err
	}
	for _, network := range p.networks {
		if steps, err = r.srv(ctx, step{network: network, name: srvName(network, p.domain)}); err != nil || len(steps) > 0 {
			return steps, err
		}
	}
	network := p.standard()
	return []step{{network: network, name: p.domain, port: defaultPort(network)}}, nil
}

// naptr follows the NAPTR records. A resolver on the way that refuses the type (some forwarders do) is as good as none: if it
// is out of order altogether, the SRV question will say so.
func (r *Resolver) naptr(ctx context.Context, p *plan) ([]step, error) {
	answer, err := r.ask(ctx, p.domain, TypeNAPTR)
	if err != nil {
		return nil, nil
	}
	var steps []step
	for _, s := range p.fromNAPTR(answer.NAPTR) {
		if !r.config.ClearFallback && s.network != TLS && len(steps) > 0 && steps[len(steps)-1].network == TLS {
			break
		}
		more, err := r.srv(ctx, s)
		if err != nil {
			return nil, err
		}
		steps = append(steps, more...)
	}
	return steps, nil
}

func (r *Resolver) srvOrHost(ctx context.Context, domain, network string) ([]step, error) {
	steps, err := r.srv(ctx, step{network: network, name: srvName(network, domain)})
	if err != nil || len(steps) > 0 {
		return steps, err
	}
	return []step{{network: network, name: domain, port: defaultPort(network)}}, nil
}

// srv turns one SRV name into address steps in the order to try them.
func (r *Resolver) srv(ctx context.Context, s step) ([]step, error) {
	answer, err := r.ask(ctx, s.name, TypeSRV)
	if err != nil {
		return nil, err
	}
	if len(answer.SRV) == 1 && answer.SRV[0].Target == "" { // RFC 2782: the target "."
		return nil, fmt.Errorf("resolve: %s says that this service is not offered", s.name)
	}
	var steps []step
	for _, record := range orderSRV(answer.SRV, r.random) {
		if record.Target != "" && record.Port != 0 {
			steps = append(steps, step{network: s.network, name: record.Target, port: record.Port})
		}
	}
	return steps, nil
}

// Targets hands out the targets of one request, best first. It is owned by one goroutine.
type Targets struct {
	resolver *Resolver
	domain   string
	steps    []step
	ready    []Target // of the step looked up last
	later    []Target // failed a short while ago: after all others
	until    time.Time
	given    int
	lookup   error
}

// Next is the next target. It ends with ErrExhausted; with an error of the DNS or *UnavailableError when there was none at all.
func (t *Targets) Next(ctx context.Context) (Target, error) {
	for {
		if len(t.ready) == 0 && !t.refill(ctx) {
			return t.last()
		}
		target := t.ready[0]
		t.ready = t.ready[1:]
		switch down, strict, until := t.resolver.down(target); {
		case strict:
			if t.until.IsZero() || until.Before(t.until) {
				t.until = until
			}
		case down:
			t.later = append(t.later, target)
		default:
			t.given++
			return target, nil
		}
	}
}

// refill looks the addresses of the next step up; false when no step is left.
func (t *Targets) refill(ctx context.Context) bool {
	for len(t.ready) == 0 && len(t.steps) > 0 {
		s := t.steps[0]
		t.steps = t.steps[1:]
		addrs, err := t.resolver.addresses(ctx, s)
		if err != nil {
			t.lookup = err
		}
		for _, a := range addrs {
			t.ready = append(t.ready, Target{s.network, netip.AddrPortFrom(a, s.port), t.domain, s.name})
		}
	}
	return len(t.ready) > 0
}

// last hands out those that failed before, then says why there is nothing more.
func (t *Targets) last() (Target, error) {
	if len(t.later) > 0 {
		target := t.later[0]
		t.later = t.later[1:]
		t.given++
		return target, nil
	}
	switch {
	case t.given > 0:
		return Target{}, ErrExhausted
	case !t.until.IsZero():
		return Target{}, &UnavailableError{t.domain, t.until}
	case t.lookup != nil:
		return Target{}, t.lookup
	}
	return Target{}, fmt.Errorf("resolve: no address found for %s: the name does not exist or has no A, AAAA or SRV record", t.domain)
}

// Failed remembers that a target could not be reached or answered 503. RFC 3263, 4.3; RFC 3261, 21.5.4: with a Retry-After
// it is not tried before that time, without one it comes last for a while.
func (r *Resolver) Failed(t Target, retryAfter time.Duration) {
	f := failure{until: time.Now().Add(r.config.Penalty)}
	if retryAfter > 0 {
		f = failure{until: time.Now().Add(retryAfter), strict: true}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	evict(r.failed, r.config.Entries, func(f failure) time.Time { return f.until })
	r.failed[endpoint{t.Network, t.Addr}] = f
}

// Reached forgets the failures of a target that answered.
func (r *Resolver) Reached(t Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.failed, endpoint{t.Network, t.Addr})
}

func (r *Resolver) down(t Target) (down, strict bool, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.failed[endpoint{t.Network, t.Addr}]
	if !ok || !time.Now().Before(f.until) {
		return false, false, time.Time{}
	}
	return true, f.strict, f.until
}

// addresses looks a host up: itself when numeric, the loopback for localhost and names under it, otherwise A and AAAA.
func (r *Resolver) addresses(ctx context.Context, s step) ([]netip.Addr, error) {
	if a := s.addr; a.IsValid() {
		return []netip.Addr{a.WithZone("")}, nil
	}
	if a, err := netip.ParseAddr(s.name); err == nil {
		return []netip.Addr{a.WithZone("")}, nil
	}
	types := []Type{TypeA, TypeAAAA}
	if r.config.IPv6 {
		slices.Reverse(types)
	}
	var all []netip.Addr
	var failed error
	for _, t := range types {
		answer, err := r.ask(ctx, s.name, t)
		if err != nil {
			failed = err
			continue
		}
		all = append(all, answer.Addrs...)
	}
	if len(all) > 0 {
		failed = nil
	}
	return all, failed
}

// ask answers from the cache or asks the DNS.
func (r *Resolver) ask(ctx context.Context, name string, t Type) (Answer, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") { // never asked of the DNS
		return localhost(t), nil
	}
	q := question{name, t}
	r.mu.Lock()
	c, ok := r.cache[q]
	r.mu.Unlock()
	if ok && time.Now().Before(c.expires) {
		return c.answer, nil
	}
	if r.config.DNS == nil {
		return Answer{}, fmt.Errorf("resolve: %s is a name, and no DNS server is configured", name)
	}
	answer, err := r.config.DNS.Exchange(ctx, name, t)
	if err != nil {
		return Answer{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	evict(r.cache, r.config.Entries, func(c cached) time.Time { return c.expires })
	r.cache[q] = cached{answer, time.Now().Add(clampTTL(answer.TTL))}
	return answer, nil
}

func localhost(t Type) Answer {
	switch t {
	case TypeA:
		return Answer{Addrs: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}}
	case TypeAAAA:
		return Answer{Addrs: []netip.Addr{netip.IPv6Loopback()}}
	}
	return Answer{}
}

// clampTTL keeps answers for a second at least, so that a burst of calls asks once, and an hour at most.
func clampTTL(ttl time.Duration) time.Duration { return min(max(ttl, time.Second), time.Hour) }

// evict makes room for one more entry: first what has expired, then the one that expires next.
func evict[K comparable, V any](m map[K]V, limit int, expires func(V) time.Time) {
	if len(m) < limit {
		return
	}
	now := time.Now()
	var next K
	var at time.Time
	for k, v := range m {
		e := expires(v)
		if !now.Before(e) {
			delete(m, k)
		} else if at.IsZero() || e.Before(at) {
			next, at = k, e
		}
	}
	if len(m) >= limit {
		delete(m, next)
	}
}
