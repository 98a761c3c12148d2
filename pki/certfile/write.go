package certfile

import (
	"crypto/x509"

	"github.com/locktone/locktone/pki"
)

// PKCS12Options say how a PKCS #12 file is made.
type PKCS12Options struct {
	Password pki.Secret // at least MinPassword characters
	// Legacy encrypts with triple DES under SHA-1, for products that read nothing else. Whoever has such a file needs
	// little time to try passwords: hand it over by a way that needs no password.
	Legacy bool
}

// MinPassword is the least number of characters of a password.
const MinPassword = 8

// WritePEM is the certificates as text, in their order.
func WritePEM(cs ...*x509.Certificate) []byte { panic("soon") }

// WritePKCS12 is a credential with its chain and the roots above it, as one encrypted file.
func WritePKCS12(c pki.Credential, roots []*x509.Certificate, o PKCS12Options) (pki.Secret, error) {
	panic("soon")
}

// WriteTrustPKCS12 is certificates without a key as one PKCS #12 file, which Java takes as a trust store.
func WriteTrustPKCS12(cs []*x509.Certificate, o PKCS12Options) ([]byte, error) { panic("soon") }

// HashFiles are the certificates as PEM files named <hash>.0 under the present and under the former subject hash of
// OpenSSL: what other products expect as a root to download and in folders of trusted authorities. Different
// certificates of one hash are counted up (.1, .2).
func HashFiles(cs []*x509.Certificate) ([]File, error) { panic("soon") }
