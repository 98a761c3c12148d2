package pki

import (
	"crypto/tls"
	"crypto/x509"
)

// Usage says on which end of a TLS connection a certificate is presented. The zero value is neither.
type Usage uint8

const (
	UsageServer Usage = 1 << iota // extended key usage serverAuth
	UsageClient                   // extended key usage clientAuth
	UsageBoth   = UsageServer | UsageClient
)

// Algorithm is the type of a key we make. The zero value is the one every current peer can use at the least cost.
type Algorithm uint8

const (
	ECDSAP256 Algorithm = iota
	RSA2048
	RSA3072
)

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
	t := tls.Certificate{Leaf: c.Leaf(), PrivateKey: c.Key}
	for _, x := range c.Chain {
		t.Certificate = append(t.Certificate, x.Raw)
	}
	return t
}

// CertificatePEM returns the chain as PEM, leaf first: what a peer installs beside KeyPEM.
func (c Credential) CertificatePEM() []byte { panic("soon") }

// KeyPEM returns the private key as PKCS #8 PEM, for files handed to a phone or a peer.
func (c Credential) KeyPEM() (Secret, error) { panic("soon") }

// LoadCredential reads a chain and a key from PEM (one file or two concatenated), and checks that they belong together.
func LoadCredential(pemBytes []byte) (Credential, error) { panic("soon") }

// ParseCertificates reads every CERTIFICATE block of a PEM bundle, or one or more concatenated DER certificates.
func ParseCertificates(b []byte) ([]*x509.Certificate, error) { panic("soon") }
