package pki

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"
)

// ServiceSpec describes the identity of one service.
type ServiceSpec struct {
	Name string // "callmanager": the custody name and the register's name
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
		registerAs: s.Name}
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

// Service loads the service's certificates from custody; when one is missing, no longer matches the spec, is revoked,
// was not issued by this CA or is past two thirds of its life, all four are issued anew as the next generation.
func (ca *CA) Service(ctx context.Context, spec ServiceSpec) (Certificates, error) {
	have, err := ca.loadService(ctx, spec)
	if err != nil {
		return Certificates{}, err
	}
	if ca.usable(ctx, spec, have) {
		return have.certificates(), nil
	}
	return ca.renew(ctx, spec, have.generation+1)
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
	return ca.renew(ctx, spec, have.generation+1)
}

// Refresh renews a running service's certificates when Service would, and puts them in use. Call it daily, and after
// the spec or the register changed. changed tells whether the next handshakes show other certificates.
func (ca *CA) Refresh(ctx context.Context, id *Identity, spec ServiceSpec) (changed bool, err error) {
	c, err := ca.Service(ctx, spec)
	if err != nil {
		return false, err
	}
	s := id.Snapshot()
	if s.Certificates.Generation == c.Generation && s.Certificates.Server[0].Leaf().Equal(c.Server[0].Leaf()) {
		return false, nil
	}
	s.Certificates = c
	return true, id.Replace(s)
}

// loadService returns what custody has, generation 0 when it has nothing.
func (ca *CA) loadService(ctx context.Context, spec ServiceSpec) (sealed, error) {
	if !plainName(spec.Name) {
		return sealed{}, fmt.Errorf("pki: service name %q: want letters, digits, '.', '-', '_'", spec.Name)
	}
	secret, err := ca.cfg.Custody.Load(ctx, spec.secretName())
	if errors.Is(err, fs.ErrNotExist) {
		return sealed{}, nil
	}
	if err != nil {
		return sealed{}, fmt.Errorf("pki: certificates of service %s: %w", spec.Name, err)
	}
	s, err := unseal(secret)
	if err != nil {
		return sealed{}, fmt.Errorf("pki: certificates of service %s in custody: %w", spec.Name, err)
	}
	return s, nil
}

func (ca *CA) usable(ctx context.Context, spec ServiceSpec, s sealed) bool {
	now := ca.cfg.Now()
	for _, role := range serviceRoles() {
		c, ok := s.roles[role.role]
		if !ok {
			return false
		}
		leaf := c.Leaf()
		life := leaf.NotAfter.Sub(leaf.NotBefore)
		if now.Before(leaf.NotBefore) || now.Sub(leaf.NotBefore) > life*2/3 || !sameNames(leaf, spec.request(role, s.generation)) {
			return false
		}
		e, err := ca.cfg.Register.Lookup(ctx, RefOf(leaf))
		if err != nil || !e.Revoked.IsZero() || e.Fingerprint != Fingerprint(leaf) {
			return false
		}
		if !ca.issued(leaf) {
			return false
		}
	}
	return true
}

func (ca *CA) issued(c *x509.Certificate) bool {
	return c.CheckSignatureFrom(ca.ec.cert) == nil || c.CheckSignatureFrom(ca.rsa.cert) == nil
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

// renew issues all four in parallel (the RSA keys take some 100 ms each) and replaces them in custody at once.
func (ca *CA) renew(ctx context.Context, spec ServiceSpec, generation int) (Certificates, error) {
	roles := serviceRoles()
	made := make([]Credential, len(roles))
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
			made[i] = issued.Credential
			ca.say("%s: %s certificate issued", spec.Name, role.role)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return Certificates{}, err
	}
	s := sealed{generation: generation, roles: make(map[string]Credential)}
	for i, role := range roles {
		s.roles[role.role] = made[i]
	}
	secret, err := s.seal()
	if err != nil {
		return Certificates{}, err
	}
	if err := ca.cfg.Custody.Replace(ctx, spec.secretName(), secret); err != nil {
		return Certificates{}, fmt.Errorf("pki: storing the certificates of service %s: %w", spec.Name, err)
	}
	return s.certificates(), nil
}

// sealed is a set of credentials as custody keeps it: PEM, each key followed by its chain, roles and the generation
// in the keys' PEM headers. One value holds all, so that a crash cannot mix generations.
type sealed struct {
	generation int
	roles      map[string]Credential
}

const (
	headerRole       = "Locktone-Role"
	headerGeneration = "Locktone-Generation"
)

func (s sealed) seal() (Secret, error) {
	var out Secret
	for _, role := range sortedKeys(s.roles) {
		c := s.roles[role]
		der, err := x509.MarshalPKCS8PrivateKey(c.Key.signer)
		if err != nil {
			return nil, fmt.Errorf("pki: storing the key of %s: %w", role, err)
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der, Headers: map[string]string{
			headerRole: role, headerGeneration: strconv.Itoa(s.generation)}})...)
		out = append(out, encodeCertificates(c.Chain)...)
	}
	return out, nil
}

func sortedKeys(m map[string]Credential) []string {
	var ks []string
	for k := range m {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}

func unseal(secret Secret) (sealed, error) {
	s := sealed{roles: make(map[string]Credential)}
	role := ""
	for block, rest := pem.Decode(secret); block != nil; block, rest = pem.Decode(rest) {
		key, isKey, err := parseKey(block)
		if err != nil {
			return s, err
		}
		if isKey {
			role = block.Headers[headerRole]
			if s.generation, err = strconv.Atoi(block.Headers[headerGeneration]); err != nil || role == "" {
				return s, fmt.Errorf("a key without its %s and %s headers", headerRole, headerGeneration)
			}
			s.roles[role] = Credential{Key: key}
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return s, fmt.Errorf("certificate of %s: %w", role, err)
		}
		c := s.roles[role]
		c.Chain = append(c.Chain, cert)
		s.roles[role] = c
	}
	for role, c := range s.roles {
		if err := c.check(); err != nil {
			return s, fmt.Errorf("%s: %w", role, err)
		}
	}
	return s, nil
}

func (s sealed) certificates() Certificates {
	return Certificates{Generation: s.generation,
		Server: []Credential{s.roles["server-ec"], s.roles["server-rsa"]},
		Client: []Credential{s.roles["client-ec"], s.roles["client-rsa"]}}
}
