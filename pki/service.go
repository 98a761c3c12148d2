package pki

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// ServiceSpec describes the identity of one service.
type ServiceSpec struct {
	Name string // "callmanager": the custody name and the register's name
	Node string // the node it runs on: what its certificates are bound to in the register (Report.Service); empty: to none
	Host string // the common names' stem, and the first DNS name
	// DNSNames and IPs are further names, such as "localhost" and 127.0.1.10.
	DNSNames []string
	IPs      []netip.Addr
	// SIPDomain, when set, adds the URI sip:<SIPDomain> (RFC 5922, 4).
	SIPDomain string
	// Listed says that trust lists name these certificates, so that they are renewed with overlap: Service and Refresh
	// keep using what is Due, and issue anew only what is Urgent.
	Listed bool
}

// serviceRole is one of a service's four certificates. Trust-list readers index by name and keep the last, so each has
// a common name of its own.
type serviceRole struct {
	role, suffix string
	usage        Usage
	alg          Algorithm
}

// serviceRoles are in the order of preference: ECDSA before RSA.
func serviceRoles() []serviceRole {
	return []serviceRole{
		{"server-ec", "-EC", UsageServer, ECDSAP256},
		{"server-rsa", "", UsageServer, RSA2048},
		{"client-ec", "-client-EC", UsageClient, ECDSAP256},
		{"client-rsa", "-client", UsageClient, RSA2048},
	}
}

// commonName of the certificate in a generation: <host>, <host>-EC, <host>-client, <host>-client-EC; from the second
// generation on with -g<n> behind.
func (s serviceRole) commonName(host string, generation int) string {
	cn := host + s.suffix
	if generation > 1 {
		cn += "-g" + strconv.Itoa(generation)
	}
	return cn
}

// request lays out the certificate of one role. RFC 5922, 4: the SIP domain goes into a sip URI.
func (s ServiceSpec) request(role serviceRole, generation int) Request {
	r := Request{Kind: KindService, Name: role.commonName(s.Host, generation), Usage: role.usage, Algorithm: role.alg,
		KeyEncipherment: role.usage == UsageServer, // JTAPI enrols with RSA key exchange only
		registerAs:      s.Name, node: s.Node}
	for _, d := range append([]string{s.Host}, s.DNSNames...) {
		if dnsName(d) && !slices.Contains(r.DNSNames, d) {
			r.DNSNames = append(r.DNSNames, d)
		}
	}
	for _, ip := range s.IPs {
		if ip = ip.Unmap(); !slices.Contains(r.IPs, ip) {
			r.IPs = append(r.IPs, ip)
		}
	}
	if s.SIPDomain != "" {
		r.URIs = []*url.URL{{Scheme: "sip", Opaque: s.SIPDomain}}
	}
	return r
}

func (s ServiceSpec) secretName() string { return "service/" + s.Name }

// Service loads the service's certificates from custody. All four are issued anew as the next generation when what is
// there cannot be used (Renewal.Urgent), and, unless the spec says that they are Listed, when they are Due.
func (ca *CA) Service(ctx context.Context, spec ServiceSpec) (Certificates, error) {
	have, err := ca.loadService(ctx, spec)
	if err != nil {
		return Certificates{}, err
	}
	r, err := ca.assess(ctx, spec, have, StateActive)
	if err != nil {
		return Certificates{}, err
	}
	if r.Urgent || r.Due && !spec.Listed {
		made, err := ca.renew(ctx, spec, have)
		if err == nil || r.Urgent {
			return made, err
		}
		ca.cfg.say("%s: its certificates are due, and cannot be renewed now: %v", spec.Name, err) // they are good for another while
	}
	ca.place(ctx, spec, have)
	return have.certificates(have.in(StateActive)), nil
}

// Stem returns the name the service's certificates in use are made from (ServiceSpec.Host); empty when custody has none. A service whose
// names would be others today, and might as well stay as they are, keeps them by it: trust lists index by name.
func (ca *CA) Stem(ctx context.Context, service string) (string, error) {
	have, err := ca.loadService(ctx, ServiceSpec{Name: service})
	if err != nil {
		return "", err
	}
	for _, e := range have.of(have.in(StateActive)) {
		for _, r := range serviceRoles() {
			stem, ok := strings.CutSuffix(e.cert.Subject.CommonName, r.commonName("", e.generation))
			if r.role == e.role && ok {
				return stem, nil
			}
		}
	}
	return "", nil
}

// place binds certificates of the service that were issued before there were nodes to the one that holds their keys. What the register
// cannot write down now is bound another time.
func (ca *CA) place(ctx context.Context, spec ServiceSpec, ring keyring) {
	if spec.Node == "" {
		return
	}
	for _, x := range ring.entries {
		e, err := ca.cfg.Register.Lookup(ctx, RefOf(x.cert))
		if err == nil && (e.Node != "" || e.Kind != KindService || e.Fingerprint != Fingerprint(x.cert)) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = ca.cfg.Register.Place(ctx, e.Ref, spec.Node)
		}
		if err != nil {
			ca.cfg.say("%s: its certificates are not bound to node %s yet: %v", spec.Name, spec.Node, err)
			return
		}
	}
}

// Services is Service for many at once, keys made in parallel; results in the order of specs.
func (ca *CA) Services(ctx context.Context, specs []ServiceSpec) ([]Certificates, error) {
	out := make([]Certificates, len(specs))
	g, ctx := errgroup.WithContext(ctx)
	for i, s := range specs {
		g.Go(func() (err error) {
			out[i], err = ca.Service(ctx, s)
			return err
		})
	}
	return out, g.Wait()
}

// Renew issues the service's certificates anew whatever their age. The old ones stay valid until they expire or are
// revoked: connections and trust lists may still know them.
func (ca *CA) Renew(ctx context.Context, spec ServiceSpec) (Certificates, error) {
	have, err := ca.loadService(ctx, spec)
	if err != nil {
		return Certificates{}, err
	}
	return ca.renew(ctx, spec, have)
}

// Refresh puts in use what Service returns, which may have been activated, renewed or issued by another process. Call it
// daily, and after the spec or the register changed. changed tells whether the next handshakes show other certificates.
func (ca *CA) Refresh(ctx context.Context, id *Identity, spec ServiceSpec) (changed bool, err error) {
	c, err := ca.Service(ctx, spec)
	if err != nil {
		return false, err
	}
	return id.renew(c)
}

// loadService returns what custody has, an empty ring when it has nothing.
func (ca *CA) loadService(ctx context.Context, spec ServiceSpec) (keyring, error) {
	if !plainName(spec.Name) {
		return keyring{}, fmt.Errorf("pki: service name %q: want letters, digits, '.', '-', '_'", spec.Name)
	}
	secret, err := ca.cfg.Custody.Load(ctx, spec.secretName())
	if errors.Is(err, fs.ErrNotExist) {
		return keyring{}, nil
	}
	if err != nil {
		return keyring{}, fmt.Errorf("pki: certificates of service %s: %w", spec.Name, err)
	}
	ring, err := openKeyring(secret)
	if err != nil {
		return keyring{}, fmt.Errorf("pki: certificates of service %s in custody: %w", spec.Name, err)
	}
	return ring, nil
}

// assess looks at the generation in a state: whether it can be used as the spec wants it, and for how long.
func (ca *CA) assess(ctx context.Context, spec ServiceSpec, ring keyring, state State) (Renewal, error) {
	var r Renewal
	generation := ring.in(state)
	of := ring.of(generation)
	for _, role := range serviceRoles() {
		at := slices.IndexFunc(of, func(e ringEntry) bool { return e.role == role.role && !e.key.IsZero() })
		if at < 0 {
			return Renewal{Urgent: true, Reason: "no " + role.role + " certificate"}, nil
		}
		one, err := ca.assessOne(ctx, of[at].cert, spec.request(role, generation))
		if err != nil {
			return Renewal{}, fmt.Errorf("pki: certificates of service %s: %w", spec.Name, err)
		}
		r.join(role.role, one)
	}
	return r, nil
}

// join adds what was found about one of the certificates.
func (r *Renewal) join(role string, one Renewal) {
	if one.Urgent && !r.Urgent || one.Due && !r.Due && !r.Urgent {
		r.Reason = "the " + role + " certificate " + one.Reason
	}
	r.Urgent, r.Due = r.Urgent || one.Urgent, r.Due || one.Due
	if r.At.IsZero() || one.At.Before(r.At) {
		r.At = one.At
	}
}

func (ca *CA) assessOne(ctx context.Context, c *x509.Certificate, want Request) (Renewal, error) {
	now := ca.cfg.Now()
	r := Renewal{At: c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) * 2 / 3)}
	e, err := ca.cfg.Register.Lookup(ctx, RefOf(c))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	set := ca.roots.Load()
	pair := set.issuedBy(c)
	switch {
	case err != nil || e.Fingerprint != Fingerprint(c):
		r.Reason = "is not in the register"
	case !e.Revoked.IsZero():
		r.Reason = "was revoked on " + day(e.Revoked)
	case pair == nil:
		r.Reason = "was issued by roots that are not trusted"
	case now.Before(c.NotBefore):
		r.Reason = "is not valid before " + day(c.NotBefore)
	case now.After(c.NotAfter):
		r.Reason = "expired on " + day(c.NotAfter)
	case want.node != "" && e.Node != "" && e.Node != want.node:
		r.Reason = "was issued to the service of node " + e.Node
	case !sameNames(c, want):
		r.Reason = "has other names than the service now"
	}
	r.Urgent = r.Reason != ""
	switch {
	case r.Urgent:
	case now.After(r.At):
		r.Due, r.Reason = true, "is past two thirds of its life since "+day(r.At)
	case pair != set.active():
		r.Due, r.Reason = true, "was issued by roots that are being replaced"
	}
	return r, nil
}

// sameNames reports whether the certificate has the names asked for, in any order.
func sameNames(c *x509.Certificate, r Request) bool {
	want := append(slices.Clone(r.DNSNames), "CN "+r.Name)
	for _, ip := range r.IPs {
		want = append(want, ip.String())
	}
	for _, u := range r.URIs {
		want = append(want, u.String())
	}
	have := append(slices.Clone(c.DNSNames), "CN "+c.Subject.CommonName)
	for _, ip := range c.IPAddresses {
		have = append(have, ip.String())
	}
	for _, u := range c.URIs {
		have = append(have, u.String())
	}
	slices.Sort(want)
	slices.Sort(have)
	return slices.Equal(want, have)
}

// renew issues the next generation and puts it in use at once; a staged one is forgotten, since it was made for what was
// there before. When somebody else was faster, what they made is taken.
func (ca *CA) renew(ctx context.Context, spec ServiceSpec, have keyring) (Certificates, error) {
	made, err := ca.issueService(ctx, spec, have.highest+1)
	if err != nil {
		return Certificates{}, err
	}
	ring, err := ca.changeService(ctx, spec, func(k *keyring) bool {
		if k.highest != have.highest {
			return false
		}
		k.drop(k.in(StateStaged))
		k.add(made...)
		k.promote()
		return true
	})
	if err != nil {
		return Certificates{}, err
	}
	return ring.certificates(ring.in(StateActive)), nil
}

// issueService makes the four certificates of a generation in parallel (the RSA keys take some 100 ms each).
func (ca *CA) issueService(ctx context.Context, spec ServiceSpec, generation int) ([]ringEntry, error) {
	roles := serviceRoles()
	made := make([]ringEntry, len(roles))
	g, gctx := errgroup.WithContext(ctx)
	for i, role := range roles {
		g.Go(func() error {
			if err := gctx.Err(); err != nil {
				return err
			}
			issued, err := ca.Issue(gctx, spec.request(role, generation))
			if err != nil {
				return fmt.Errorf("pki: %s certificate of service %s: %w", role.role, spec.Name, err)
			}
			made[i] = ringEntry{role: role.role, generation: generation, state: StateStaged,
				cert: issued.Credential.Leaf(), key: issued.Credential.Key}
			ca.cfg.say("%s: %s certificate issued", spec.Name, role.role)
			return nil
		})
	}
	return made, g.Wait()
}

// changeService reads a service's ring from custody, lets f change it and stores it in one write; f returns false when
// there is nothing to do. Keys of retiring generations are not kept; nor is what lists no longer have to name.
func (ca *CA) changeService(ctx context.Context, spec ServiceSpec, f func(*keyring) bool) (keyring, error) {
	ca.changing.Lock()
	defer ca.changing.Unlock()
	ring, err := ca.loadService(ctx, spec)
	if err != nil || !f(&ring) {
		return ring, err
	}
	now := ca.cfg.Now()
	ring.entries = slices.DeleteFunc(ring.entries, func(e ringEntry) bool {
		return e.state == StateRetiring && (!spec.Listed || now.After(e.cert.NotAfter))
	})
	for i, e := range ring.entries {
		if e.state == StateRetiring {
			ring.entries[i].key = PrivateKey{}
		}
	}
	secret, err := ring.seal()
	if err != nil {
		return ring, err
	}
	if err := ca.cfg.Custody.Replace(ctx, spec.secretName(), secret); err != nil {
		return ring, fmt.Errorf("pki: storing the certificates of service %s: %w", spec.Name, err)
	}
	return ring, nil
}

// certificates of a generation; a role that is not there has a zero credential.
func (k keyring) certificates(generation int) Certificates {
	by := make(map[string]Credential)
	for _, e := range k.of(generation) {
		by[e.role] = Credential{Chain: []*x509.Certificate{e.cert}, Key: e.key}
	}
	return Certificates{Generation: generation,
		Server: []Credential{by["server-ec"], by["server-rsa"]},
		Client: []Credential{by["client-ec"], by["client-rsa"]}}
}
