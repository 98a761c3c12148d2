package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Usage says on which end of a TLS connection a certificate is presented. The zero value is neither.
type Usage uint8

const (
	UsageServer Usage = 1 << iota // extended key usage serverAuth
	UsageClient                   // extended key usage clientAuth
	// UsageBoth is for peers with a single certificate; our services never have one.
	UsageBoth = UsageServer | UsageClient
)

// String returns "server", "client", "both" or "none".
func (u Usage) String() string {
	return [...]string{"none", "server", "client", "both"}[u&UsageBoth]
}

// ParseUsage reads what String wrote.
func ParseUsage(s string) (Usage, error) {
	for u := Usage(0); u <= UsageBoth; u++ {
		if u.String() == s {
			return u, nil
		}
	}
	return 0, fmt.Errorf("pki: usage %q: want server, client or both", s)
}

// MarshalText renders the usage for JSON and stores.
func (u Usage) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (u *Usage) UnmarshalText(b []byte) (err error) {
	*u, err = ParseUsage(string(b))
	return err
}

// Algorithm is the type of a key we make. The zero value is the one every current peer can use at the least cost.
type Algorithm uint8

const (
	ECDSAP256 Algorithm = iota // a handshake costs a third of an RSA one
	RSA2048                    // for peers that know RSA only
	RSA3072                    // the CA's RSA root, which has to last ten years
)

// String returns "ECDSA-P256", "RSA-2048" or "RSA-3072".
func (a Algorithm) String() string {
	switch a {
	case RSA2048:
		return "RSA-2048"
	case RSA3072:
		return "RSA-3072"
	}
	return "ECDSA-P256"
}

// GenerateKey makes a key. An RSA key takes some 100 ms of one core, an ECDSA key some 20 us.
func GenerateKey(a Algorithm) (PrivateKey, error) {
	var k crypto.Signer
	var err error
	switch a {
	case RSA2048:
		k, err = rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		k, err = rsa.GenerateKey(rand.Reader, 3072)
	default:
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return PrivateKey{}, fmt.Errorf("pki: making an %v key: %w", a, err)
	}
	return PrivateKey{signer: k}, nil
}

// Credential is a certificate chain, leaf first, without the root, and the key of the leaf.
type Credential struct {
	Chain []*x509.Certificate
	Key   PrivateKey
}

// Leaf returns the end-entity certificate, nil for the zero Credential.
func (c Credential) Leaf() *x509.Certificate {
	if len(c.Chain) == 0 {
		return nil
	}
	return c.Chain[0]
}

// TLS returns the credential as crypto/tls wants it. Printing the result does not print the key.
func (c Credential) TLS() tls.Certificate {
	t := tls.Certificate{Leaf: c.Leaf(), PrivateKey: c.Key.forTLS()}
	for _, x := range c.Chain {
		t.Certificate = append(t.Certificate, x.Raw)
	}
	return t
}

// CertificatePEM returns the chain as PEM, leaf first: what a peer installs beside KeyPEM.
func (c Credential) CertificatePEM() []byte { return encodeCertificates(c.Chain) }

// KeyPEM returns the private key as PKCS #8 PEM, for files handed to a phone or a peer. A key that lives in a token
// cannot be exported: that is an error.
func (c Credential) KeyPEM() (Secret, error) {
	if c.Key.IsZero() {
		return nil, errors.New("pki: this credential has no private key: it was issued for somebody else's public key")
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.Key.signer)
	if err != nil {
		return nil, fmt.Errorf("pki: the private key cannot be exported: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func encodeCertificates(cs []*x509.Certificate) []byte {
	var b []byte
	for _, c := range cs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

// Bounds of what we read from files and peers' uploads. A trust bundle of the public CAs is under 300 kB.
const (
	maxBundleBytes = 4 << 20
	maxBundleCerts = 1024
)

// ParseCertificates reads every CERTIFICATE block of a PEM bundle, or one or more concatenated DER certificates.
// Blocks of other types are skipped. Errors name the number of the certificate in the bundle, counted from 1.
func ParseCertificates(b []byte) ([]*x509.Certificate, error) {
	if len(b) > maxBundleBytes {
		return nil, fmt.Errorf("pki: a bundle of %d bytes: at most %d are read", len(b), maxBundleBytes)
	}
	if !bytes.Contains(b, []byte("-----BEGIN ")) {
		return parseDER(b)
	}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
			continue
		}
		if len(certs) == maxBundleCerts {
			return nil, fmt.Errorf("pki: more than %d certificates in one bundle", maxBundleCerts)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("pki: certificate %d of the bundle: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if certs == nil {
		return nil, errors.New("pki: no CERTIFICATE block in the PEM text: expected -----BEGIN CERTIFICATE-----")
	}
	return certs, nil
}

func parseDER(b []byte) ([]*x509.Certificate, error) {
	certs, err := x509.ParseCertificates(b)
	switch {
	case err != nil:
		return nil, fmt.Errorf("pki: neither PEM nor DER certificates: %w", err)
	case len(certs) == 0:
		return nil, errors.New("pki: no certificate: the input is empty")
	case len(certs) > maxBundleCerts:
		return nil, fmt.Errorf("pki: more than %d certificates in one bundle", maxBundleCerts)
	}
	return certs, nil
}

// LoadCredential reads a chain and a key from PEM (one file or two concatenated), and checks that they belong together.
func LoadCredential(pemBytes []byte) (Credential, error) {
	chain, err := ParseCertificates(pemBytes)
	if err != nil {
		return Credential{}, err
	}
	for block, rest := pem.Decode(pemBytes); block != nil; block, rest = pem.Decode(rest) {
		key, isKey, err := parseKey(block)
		if err != nil {
			return Credential{}, err
		}
		if isKey {
			c := Credential{Chain: chain, Key: key}
			return c, c.check()
		}
	}
	return Credential{}, errors.New("pki: no private key beside the certificate: expected a PRIVATE KEY block")
}

func parseKey(block *pem.Block) (k PrivateKey, isKey bool, err error) {
	var key any
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return k, true, errors.New("pki: the private key is encrypted with a passphrase: decrypt it first (openssl pkey -in FILE)")
	default:
		return k, false, nil
	}
	if err != nil {
		return k, true, fmt.Errorf("pki: the %s block cannot be read: %w", block.Type, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return k, true, fmt.Errorf("pki: a key of type %T cannot sign", key)
	}
	return PrivateKey{signer: signer}, true, nil
}

// check reports whether the key belongs to the leaf.
func (c Credential) check() error {
	leaf := c.Leaf()
	if leaf == nil {
		return errors.New("pki: a credential without a certificate")
	}
	if c.Key.IsZero() {
		return fmt.Errorf("pki: no private key for %s", subject(leaf))
	}
	pub, ok := c.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(leaf.PublicKey) {
		return fmt.Errorf("pki: the private key does not belong to the first certificate (%s): expected the chain leaf first and its own key", subject(leaf))
	}
	return nil
}
