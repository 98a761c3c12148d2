package certfile

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/locktone/locktone/pki"
	"software.sslmate.com/src/go-pkcs12"
)

// expected is what Read reads.
const expected = "certificates in PEM, DER, PKCS #7 or PKCS #12"

// Error is what was found, what was expected, and what to do.
func (e *FormatError) Error() string {
	s := fmt.Sprintf("certfile: this is %s, want %s", e.Found, e.Expected)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Fix != "" {
		s += "; " + e.Fix
	}
	return s
}

// Read reads the certificates of a file, whatever its format. password is for PKCS #12; nil: none was given. Errors are a
// *FormatError, or wrap ErrPassword. A PKCS #12 file says itself how much work a password costs, so read those of people
// you trust not to make you wait.
func Read(b []byte, password pki.Secret) (Contents, error) {
	f := Sniff(b)
	if len(b) > MaxFile {
		return Contents{Format: f}, refuse(f, fmt.Sprintf("it has %d bytes, at most %d are read", len(b), MaxFile), "")
	}
	if !f.readable() {
		return Contents{Format: f}, refuse(f, "", adviceFor(f))
	}
	c, err := readAs(f, b, password)
	c.Format = f
	switch {
	case err != nil:
		return c, err
	case len(c.Certificates) == 0:
		return c, refuse(f, "there is no certificate in it", "")
	case !c.Key.IsZero():
		return c, c.order()
	}
	return c, nil
}

func readAs(f Format, b []byte, password pki.Secret) (c Contents, err error) {
	switch f {
	case PEM:
		return readPEM(trimText(b))
	case PKCS12:
		return readPKCS12(b, password)
	case PKCS7:
		c.Certificates, err = readPKCS7(b)
		return c, err
	}
	if c.Certificates, err = x509.ParseCertificates(bytes.TrimRight(b, "\r\n")); err != nil {
		err = refuse(f, err.Error(), "")
	}
	return c, err
}

func refuse(f Format, detail, fix string) error {
	return &FormatError{Found: f, Expected: expected, Detail: detail, Fix: fix}
}

// adviceFor is what people meant when they chose such a file.
func adviceFor(f Format) string {
	switch f {
	case Request:
		return "have it signed by a CA first (locktone cert issue --csr)"
	case PrivateKey, PublicKey:
		return "choose the certificate's file; keep a private key where it is"
	case RevocationList:
		return "choose the CA's certificate; revocation lists have a folder of their own"
	case JavaKeyStore:
		return "convert it: keytool -importkeystore -srckeystore FILE -destkeystore FILE.p12 -deststoretype PKCS12"
	case WebPage:
		return "the page that shows the link was saved: save what the link leads to"
	case TrustList:
		return "locktone show ctl and show itl print such files"
	}
	return ""
}

func readPEM(b []byte) (c Contents, err error) {
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if err = c.addBlock(block); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *Contents) addBlock(block *pem.Block) error {
	switch {
	case certificateBlock(block.Type):
		one, err := parseTrusted(block)
		if err != nil {
			return refuse(PEM, fmt.Sprintf("certificate %d is broken: %v", len(c.Certificates)+1, err), "get the file again")
		}
		c.Certificates = append(c.Certificates, one)
	case block.Type == "PKCS7" || block.Type == "CMS":
		list, err := readPKCS7(block.Bytes)
		if err != nil {
			return err
		}
		c.Certificates = append(c.Certificates, list...)
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return c.addKey(block)
	}
	return nil
}

// parseTrusted parses the certificate of a block; OpenSSL's TRUSTED CERTIFICATE has more behind it.
func parseTrusted(block *pem.Block) (*x509.Certificate, error) {
	der := block.Bytes
	if block.Type == "TRUSTED CERTIFICATE" {
		var first asn1.RawValue
		if _, err := asn1.Unmarshal(der, &first); err != nil {
			return nil, err
		}
		der = first.FullBytes
	}
	return x509.ParseCertificate(der)
}

func (c *Contents) addKey(block *pem.Block) error {
	if !c.Key.IsZero() {
		return refuse(PEM, "there is more than one private key in it", "give each certificate a file of its own")
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return fmt.Errorf("%w: the private key in the PEM file is; decrypt it first (openssl pkey -in FILE -out FILE.key), or use PKCS #12", ErrPassword)
	}
	key, err := parseKey(block.Bytes)
	if err != nil {
		return refuse(PEM, "the private key is broken or of a kind that is not supported", "")
	}
	c.Key = pki.NewPrivateKey(key)
	return nil
}

// parseKey reads a key in any of its three forms. What is wrong with one is not told: it would be about a secret.
func parseKey(der []byte) (crypto.Signer, error) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if s, ok := k.(crypto.Signer); ok {
			return s, nil
		}
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	return x509.ParsePKCS1PrivateKey(der)
}

func readPKCS12(b []byte, password pki.Secret) (c Contents, err error) {
	if password == nil {
		return c, fmt.Errorf("%w: give the password it was made with (an empty one counts)", ErrPassword)
	}
	key, leaf, chain, err := pkcs12.DecodeChain(b, string(password))
	if err == nil {
		signer, ok := key.(crypto.Signer)
		if !ok {
			return c, refuse(PKCS12, fmt.Sprintf("its private key is of a kind that is not supported (%T)", key), "")
		}
		c.Key, c.Certificates = pki.NewPrivateKey(signer), append([]*x509.Certificate{leaf}, chain...)
		return c, nil
	}
	if errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, pkcs12.ErrDecryption) {
		return c, fmt.Errorf("%w: the password is wrong", ErrPassword)
	}
	if c.Certificates, _ = pkcs12.DecodeTrustStore(b, string(password)); len(c.Certificates) > 0 {
		return c, nil
	}
	return c, refuse(PKCS12, strings.TrimPrefix(err.Error(), "pkcs12: "), "write it anew with openssl pkcs12 -export, or export PEM")
}

// readPKCS7 reads the certificates of a bundle: RFC 2315, 9.1: signedData, of which a bundle has the certificates and
// no signer.
func readPKCS7(b []byte) ([]*x509.Certificate, error) {
	var info struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
	}
	if _, err := asn1.Unmarshal(b, &info); err != nil {
		return nil, refuse(PKCS7, "it cannot be read as DER", "write it anew: openssl pkcs7 -print_certs -inform DER -in FILE -out FILE.pem")
	}
	if !info.Type.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}) {
		return nil, refuse(PKCS7, "it is of type "+info.Type.String()+", not signed data", "export the certificates, not a message")
	}
	var signed struct {
		Version      int
		Digests      asn1.RawValue
		ContentInfo  asn1.RawValue
		Certificates asn1.RawValue `asn1:"tag:0,optional"`
		CRLs         asn1.RawValue `asn1:"tag:1,optional"`
		Signers      asn1.RawValue
	}
	if _, err := asn1.Unmarshal(info.Content.Bytes, &signed); err != nil {
		return nil, refuse(PKCS7, "its signed data is broken", "get the file again")
	}
	list, err := x509.ParseCertificates(signed.Certificates.Bytes)
	if err != nil {
		return nil, refuse(PKCS7, err.Error(), "")
	}
	return list, nil
}

// order puts the key's certificate first.
func (c *Contents) order() error {
	public, ok := c.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
	for i, x := range c.Certificates {
		if ok && public.Equal(x.PublicKey) {
			copy(c.Certificates[1:i+1], c.Certificates[:i])
			c.Certificates[0] = x
			return nil
		}
	}
	return refuse(c.Format, "its private key belongs to none of its certificates", "choose the file that has both")
}

// Credential is the file's certificate with its key, the chain above it in order and without a root. ok is false when
// the file has no key.
func (c Contents) Credential() (cred pki.Credential, ok bool) {
	if c.Key.IsZero() || len(c.Certificates) == 0 {
		return cred, false
	}
	cred = pki.Credential{Chain: c.Certificates[:1:1], Key: c.Key}
	for leaf := c.Certificates[0]; len(cred.Chain) < pki.MaxChain; {
		next := issuerOf(leaf, c.Certificates)
		if next == nil || selfSigned(next) {
			break
		}
		cred.Chain, leaf = append(cred.Chain, next), next
	}
	return cred, true
}

func issuerOf(c *x509.Certificate, list []*x509.Certificate) *x509.Certificate {
	for _, x := range list {
		if x != c && bytes.Equal(x.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(x) == nil {
			return x
		}
	}
	return nil
}

func selfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }
