package pki

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Config opens a CA.
type Config struct {
	// Cluster names the roots: CN=<Cluster>-<id>-CA and <Cluster>-<id>-CA-EC, the id telling apart clusters of one
	// name. Used when the CA is made, not afterwards; at most 40 characters, empty means "locktone".
	Cluster string
	// Custody keeps the CA's and the services' keys.
	Custody Custody
	// Register remembers what was issued.
	Register Register
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Progress, when set, hears what takes its time ("making RSA-2048 key 2 of 4"). It is called from several
	// goroutines, one call at a time.
	Progress func(string)
	// Keys makes key pairs; nil means GenerateKey. Laboratories that start hundreds of sites give ready-made ones.
	Keys func(Algorithm) (PrivateKey, error)
}

// CA is the certificate authority of a cluster: two self-signed roots, so that an RSA-only peer can verify an RSA
// chain to its top and everyone else pays the price of P-256 only. Roots issue directly (path length 0): an
// intermediate would cost every handshake a certificate and every trust list an entry, and would protect nothing as
// long as root and intermediate live in the same custody. It is safe for concurrent use.
//
// There is a second generation of roots while one replaces the other (StageRoots, ActivateRoots, RetireRoots): both are
// trusted, one issues.
type CA struct {
	cfg      Config
	roots    atomic.Pointer[rootSet]
	changing sync.Mutex // held while custody is changed
}

// issuer is one root, and the throw-away root of the same name that lints before it signs.
type issuer struct {
	cert *x509.Certificate
	key  PrivateKey
	lint linter
}

const (
	rootSecret   = "ca"
	rootLife     = 10 * year
	backdate     = time.Hour // phones' clocks
	roleRootEC   = "root-ec"
	roleRootRSA  = "root-rsa"
	maxCluster   = 40
	defaultStem  = "locktone"
	crlLife      = 7 * 24 * time.Hour
	serialLength = 16
)

// Open loads the CA from custody, or makes it when there is none. Two nodes that open the same empty custody at once
// get the same CA.
func Open(ctx context.Context, cfg Config) (*CA, error) {
	if cfg.Custody == nil || cfg.Register == nil {
		return nil, errors.New("pki: a CA needs a custody for its keys and a register")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	ca := &CA{cfg: cfg}
	return ca, ca.openRoots(ctx)
}

// withDefaults fills in what was left out. Progress is then called one at a time.
func (cfg Config) withDefaults() (Config, error) {
	if cfg.Keys == nil {
		cfg.Keys = GenerateKey
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Cluster == "" {
		cfg.Cluster = defaultStem
	}
	if len(cfg.Cluster) > maxCluster || !plainName(cfg.Cluster) {
		return cfg, fmt.Errorf("pki: cluster name %q: want at most %d letters, digits, '.', '-', '_'", cfg.Cluster, maxCluster)
	}
	if hear := cfg.Progress; hear != nil {
		var one sync.Mutex
		cfg.Progress = func(s string) {
			one.Lock()
			defer one.Unlock()
			hear(s)
		}
	}
	return cfg, nil
}

func (cfg Config) say(format string, args ...any) {
	if cfg.Progress != nil {
		cfg.Progress(fmt.Sprintf(format, args...))
	}
}

// selfSign makes a root. RFC 5280, 4.2.1.9 and 4.2.1.3: CA with path length 0, for certificates and lists only.
func selfSign(cn string, key PrivateKey, now time.Time) (*x509.Certificate, error) {
	t := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: cn},
		NotBefore: now.Add(-backdate).UTC().Truncate(time.Second), NotAfter: now.Add(rootLife).UTC().Truncate(time.Second),
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return create(t, t, key.Public(), key)
}

func create(t, parent *x509.Certificate, pub crypto.PublicKey, key PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, key)
	if err != nil {
		return nil, fmt.Errorf("pki: signing the certificate of %s: %w", clean(t.Subject.String()), err)
	}
	return x509.ParseCertificate(der)
}

// newSerial returns a positive number of 127 random bits. RFC 5280, 4.1.2.2: positive, at most 20 octets.
func newSerial() *big.Int {
	b := make([]byte, serialLength)
	rand.Read(b)
	b[0] = b[0]&0x7f | 0x40 // always 16 octets, never negative
	return new(big.Int).SetBytes(b)
}

// Trust returns a trust set of the CA's own roots (bound to kinds by the register) plus foreign anchors.
func (ca *CA) Trust(foreign ...Anchor) (*Trust, error) {
	return newOwnTrust(ca.Roots(), ca.cfg.Register).WithAnchors(foreign...)
}

// Request asks for one certificate.
type Request struct {
	Kind Kind   // required
	Name string // subject CN: the device name, the peer's host name, the application instance
	// DNSNames, IPs and URIs become subject alternative names. A peer needs at least one of them for UsageServer; its
	// Name is taken when there is none and it is a DNS name or an address.
	DNSNames []string
	IPs      []netip.Addr
	URIs     []*url.URL
	// Usage zero means the kind's own: client for devices and CTI instances, both for peers (gateways commonly have
	// one trustpoint for both directions; ask for two certificates where they do not).
	Usage Usage
	// KeyEncipherment adds that key usage to RSA keys: for TLS without forward secrecy and for configuration files
	// encrypted to the device. No effect on others.
	KeyEncipherment bool
	// IPsec adds extended key usage ipsecEndSystem, which the reference product's LSCs have.
	IPsec bool
	// PublicKey is certified when set (from a CSR); else a key of type Algorithm is made.
	PublicKey crypto.PublicKey
	Algorithm Algorithm
	// Validity zero means the kind's own: 3 years for devices and CTI instances, 398 days for peers and services.
	Validity time.Duration

	registerAs string // a service's register name; its CN differs
	node       string // the node a service runs on
}

// RequestFromCSR checks the signature of a PKCS #10 request (PEM or DER) and takes its key, its CN and its alternative
// names; everything else in it is ignored. Kind and Usage are the caller's to set. RFC 2986.
func RequestFromCSR(b []byte) (Request, error) {
	if block, _ := pem.Decode(b); block != nil {
		b = block.Bytes
	}
	csr, err := x509.ParseCertificateRequest(b)
	if err != nil {
		return Request{}, fmt.Errorf("pki: not a certificate request in PEM or DER: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return Request{}, fmt.Errorf("pki: the certificate request is not signed with its own key: %w", err)
	}
	r := Request{Name: csr.Subject.CommonName, DNSNames: csr.DNSNames, URIs: csr.URIs, PublicKey: csr.PublicKey}
	for _, ip := range csr.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			r.IPs = append(r.IPs, a.Unmap())
		}
	}
	return r, nil
}

// Issued is a certificate just made; Credential.Key is zero when the request brought its own public key.
type Issued struct {
	Credential Credential
	Entry      Entry
}

// Issue lints the certificate, signs and registers it. A *VerifyError tells what the linter refused. The certificate
// is handed out only when the register has it.
func (ca *CA) Issue(ctx context.Context, r Request) (Issued, error) {
	r = r.withDefaults()
	key, pub := PrivateKey{}, r.PublicKey
	if pub == nil {
		var err error
		if key, err = ca.cfg.Keys(r.Algorithm); err != nil {
			return Issued{}, err
		}
		pub = key.Public()
	}
	active := ca.roots.Load().active()
	by := &active.ec
	if _, ok := pub.(*rsa.PublicKey); ok {
		by = &active.rsa
	}
	t := r.template(pub, ca.cfg.Now())
	if err := by.lint.check(t, pub, r, ca.cfg.Now()); err != nil {
		return Issued{}, err
	}
	cert, err := create(t, by.cert, pub, by.key)
	if err != nil {
		return Issued{}, err
	}
	e := r.entry(cert)
	if err := ca.cfg.Register.Add(ctx, e); err != nil {
		return Issued{}, fmt.Errorf("pki: registering the certificate of %s: %w", subject(cert), err)
	}
	return Issued{Credential: Credential{Chain: []*x509.Certificate{cert}, Key: key}, Entry: e}, nil
}

func (r Request) withDefaults() Request {
	p := profiles(r.Kind)
	if r.Usage == 0 {
		r.Usage = p.usage
	}
	if r.Validity == 0 {
		r.Validity = p.validity
	}
	if r.Kind == KindPeer && len(r.DNSNames)+len(r.IPs)+len(r.URIs) == 0 {
		if ip, err := netip.ParseAddr(r.Name); err == nil {
			r.IPs = []netip.Addr{ip}
		} else if dnsName(r.Name) {
			r.DNSNames = []string{r.Name}
		}
	}
	return r
}

// template lays out the certificate. RFC 5280, 4.1 and 4.2; the profile is the same for all kinds but for usage,
// names and validity.
func (r Request) template(pub crypto.PublicKey, now time.Time) *x509.Certificate {
	t := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: r.Name},
		NotBefore: now.Add(-backdate).UTC().Truncate(time.Second), NotAfter: now.Add(r.Validity).UTC().Truncate(time.Second),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		DNSNames: r.DNSNames, URIs: r.URIs,
	}
	for _, a := range r.IPs {
		t.IPAddresses = append(t.IPAddresses, net.IP(a.Unmap().AsSlice()))
	}
	if r.keyEncipherment(pub) {
		t.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	if r.Usage&UsageServer != 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if r.Usage&UsageClient != 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	if r.IPsec {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageIPSECEndSystem)
	}
	return t
}

// keyEncipherment: RFC 5280, 4.2.1.3: the key encrypts other keys, which only RSA keys do.
func (r Request) keyEncipherment(pub crypto.PublicKey) bool {
	_, ok := pub.(*rsa.PublicKey)
	return ok && r.KeyEncipherment
}

func (r Request) entry(c *x509.Certificate) Entry {
	name := r.registerAs
	if name == "" {
		name = r.Name
	}
	return Entry{Ref: RefOf(c), Kind: r.Kind, Name: name, Node: r.node, Subject: subject(c), Algorithm: KeyName(c), Usage: r.Usage,
		Fingerprint: Fingerprint(c), NotBefore: c.NotBefore, NotAfter: c.NotAfter}
}

// Revoke marks a certificate as revoked; the next handshake refuses it, resumed or not.
func (ca *CA) Revoke(ctx context.Context, ref Ref, reason string) error {
	return ca.cfg.Register.Revoke(ctx, ref, ca.cfg.Now(), reason)
}

// CRLs returns the CA's revocation lists (DER, one per root, valid for a week), for peers that read them. Certificates
// past their end are left out. RFC 5280, 5.
func (ca *CA) CRLs(ctx context.Context) ([][]byte, error) {
	entries, err := ca.cfg.Register.Entries(ctx)
	if err != nil {
		return nil, fmt.Errorf("pki: making revocation lists: %w", err)
	}
	var lists [][]byte
	for _, is := range ca.roots.Load().issuers() {
		der, err := is.crl(entries, ca.cfg.Now())
		if err != nil {
			return nil, fmt.Errorf("pki: making the revocation list of %s: %w", subject(is.cert), err)
		}
		lists = append(lists, der)
	}
	return lists, nil
}

func (is *issuer) crl(entries []Entry, now time.Time) ([]byte, error) {
	t := &x509.RevocationList{Number: big.NewInt(now.UnixMilli()), ThisUpdate: now.UTC().Truncate(time.Second),
		NextUpdate: now.Add(crlLife).UTC().Truncate(time.Second)}
	for _, e := range entries {
		if e.Issuer != is.cert.Subject.String() || e.Revoked.IsZero() || now.After(e.NotAfter) {
			continue
		}
		n, ok := new(big.Int).SetString(e.Serial, 16)
		if !ok {
			return nil, fmt.Errorf("serial %q in the register is no hexadecimal number", e.Serial)
		}
		t.RevokedCertificateEntries = append(t.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: n, RevocationTime: e.Revoked.UTC()})
	}
	return x509.CreateRevocationList(rand.Reader, t, is.cert, is.key)
}
