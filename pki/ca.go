package pki

import (
	"context"
	"crypto"
	"crypto/x509"
	"net/netip"
	"net/url"
	"time"
)

// Config opens a CA.
type Config struct {
	// Cluster names the roots: CN=<Cluster>-CA and <Cluster>-CA-EC. Used when the CA is made, not afterwards.
	Cluster string
	// Custody keeps the CA's and the services' keys.
	Custody Custody
	// Register remembers what was issued.
	Register Register
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Progress, when set, hears what takes its time ("RSA key 2 of 4"). It is called from several goroutines.
	Progress func(string)
}

// CA is the certificate authority of a cluster: two self-signed roots, so that an RSA-only peer can verify an RSA
// chain to its top and everyone else pays the price of P-256 only. It is safe for concurrent use.
type CA struct {
	cfg Config
}

// Open loads the CA from custody, or makes it when there is none.
func Open(ctx context.Context, cfg Config) (*CA, error) { panic("soon") }

// Roots returns the two roots, ECDSA first: what peers and phones install as trusted.
func (ca *CA) Roots() []*x509.Certificate { panic("soon") }

// RootsPEM returns the roots as one PEM bundle.
func (ca *CA) RootsPEM() []byte { panic("soon") }

// Trust returns a trust set of the CA's own roots (bound to kinds by the register) plus foreign anchors.
func (ca *CA) Trust(foreign ...Anchor) (*Trust, error) { panic("soon") }

// Request asks for one certificate.
type Request struct {
	Kind Kind   // required
	Name string // subject CN: the device name, the peer's host name, the application instance
	// DNSNames, IPs and URIs become subject alternative names. A peer needs at least one of them for UsageServer.
	DNSNames []string
	IPs      []netip.Addr
	URIs     []*url.URL
	// Usage zero means the kind's own: client for devices and CTI instances, both for peers (gateways commonly have
	// one trustpoint for both directions; ask for two certificates where they do not).
	Usage Usage
	// PublicKey is certified when set (from a CSR); else a key of type Algorithm is made.
	PublicKey crypto.PublicKey
	Algorithm Algorithm
	// Validity zero means the kind's own.
	Validity time.Duration
}

// RequestFromCSR checks the signature of a PKCS #10 request (PEM or DER) and takes its key, its CN and its alternative
// names; everything else in it is ignored. Kind and Usage are the caller's to set.
func RequestFromCSR(b []byte) (Request, error) { panic("soon") }

// Issued is a certificate just made; Credential.Key is zero when the request brought its own public key.
type Issued struct {
	Credential Credential
	Entry      Entry
}

// Issue lints the certificate, signs and registers it. A *VerifyError tells what the linter refused.
func (ca *CA) Issue(ctx context.Context, r Request) (Issued, error) { panic("soon") }

// Revoke marks a certificate as revoked; the next handshake refuses it, resumed or not.
func (ca *CA) Revoke(ctx context.Context, ref Ref, reason string) error { panic("soon") }

// CRLs returns the CA's revocation lists (DER, one per root), for peers that read them.
func (ca *CA) CRLs(ctx context.Context) ([][]byte, error) { panic("soon") }

// ServiceSpec describes the identity of one service.
type ServiceSpec struct {
	Name string // "callmanager": the custody name and the register's name
	Host string // the common names' stem, and the first DNS name
	// DNSNames and IPs are further names, such as "localhost" and 127.0.1.10.
	DNSNames []string
	IPs      []netip.Addr
	// SIPDomain, when set, adds the URI sip:<SIPDomain> (RFC 5922, 4).
	SIPDomain string
}

// Service loads the service's certificates from custody; what is missing, no longer matches the spec, is revoked or is
// past two thirds of its life is issued anew, with the next generation in its names.
func (ca *CA) Service(ctx context.Context, spec ServiceSpec) (Certificates, error) { panic("soon") }

// Services is Service for many at once, keys made in parallel; results in the order of specs.
func (ca *CA) Services(ctx context.Context, specs []ServiceSpec) ([]Certificates, error) {
	panic("soon")
}

// Renew issues the service's certificates anew whatever their age.
func (ca *CA) Renew(ctx context.Context, spec ServiceSpec) (Certificates, error) { panic("soon") }
