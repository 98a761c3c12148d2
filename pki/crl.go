package pki

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// crl is one revocation list, indexed by serial. RFC 5280, 5.
type crl struct {
	rawIssuer              []byte
	issuer                 string
	thisUpdate, nextUpdate time.Time            // nextUpdate may be zero
	revoked                map[string]time.Time // by serial, hex
	algorithm              x509.SignatureAlgorithm
	tbs, signature         []byte

	mu       sync.Mutex
	verified map[[32]byte]bool // outcome of the signature check by issuer certificate
}

// WithCRL returns a copy that also uses the revocation list (PEM or DER). A list older than the one held is refused.
// Its signature is checked against the issuer found in a peer's path, since that issuer may be an intermediate.
func (t *Trust) WithCRL(b []byte) (*Trust, error) {
	c, err := parseCRL(b)
	if err != nil {
		return nil, err
	}
	key := string(c.rawIssuer)
	if old := t.crls[key]; old != nil && old.thisUpdate.After(c.thisUpdate) {
		return nil, fmt.Errorf("pki: the revocation list of %s is of %s: a newer one, of %s, is in use",
			c.issuer, c.thisUpdate.Format(time.RFC3339), old.thisUpdate.Format(time.RFC3339))
	}
	n := &Trust{anchors: t.anchors, own: t.own, register: t.register, crls: make(map[string]*crl)}
	for k, v := range t.crls {
		n.crls[k] = v
	}
	n.crls[key] = c
	n.index()
	return n, nil
}

const maxCRLBytes = 64 << 20

func parseCRL(b []byte) (*crl, error) {
	if len(b) > maxCRLBytes {
		return nil, fmt.Errorf("pki: a revocation list of %d bytes: at most %d are read", len(b), maxCRLBytes)
	}
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("-----BEGIN ")) {
		block, _ := pem.Decode(b)
		if block == nil || block.Type != "X509 CRL" {
			return nil, fmt.Errorf("pki: no revocation list in the PEM text: expected -----BEGIN X509 CRL-----")
		}
		b = block.Bytes
	}
	list, err := x509.ParseRevocationList(b)
	if err != nil {
		c, v1Err := parseCRLv1(b)
		if v1Err != nil {
			return nil, fmt.Errorf("pki: not a revocation list in PEM or DER: %w", err)
		}
		return c, nil
	}
	c := &crl{rawIssuer: list.RawIssuer, issuer: clean(list.Issuer.String()), thisUpdate: list.ThisUpdate, nextUpdate: list.NextUpdate,
		algorithm: list.SignatureAlgorithm, tbs: list.RawTBSRevocationList, signature: list.Signature,
		revoked: make(map[string]time.Time), verified: make(map[[32]byte]bool)}
	for _, e := range list.RevokedCertificateEntries {
		c.revoked[e.SerialNumber.Text(16)] = e.RevocationTime
	}
	return c, nil
}

// certificateListV1 is RFC 5280, 5.1 without version and extensions. crypto/x509 does not read it, and `openssl ca
// -gencrl` without a crl_extensions section writes it, so private CAs' lists are often of this kind.
type certificateListV1 struct {
	TBS       tbsListV1
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

type tbsListV1 struct {
	Raw                    asn1.RawContent
	Algorithm              pkix.AlgorithmIdentifier
	Issuer                 asn1.RawValue
	ThisUpdate, NextUpdate time.Time   `asn1:"optional"`
	Revoked                []revokedV1 `asn1:"optional"`
}

type revokedV1 struct {
	Serial *big.Int
	Time   time.Time
}

func parseCRLv1(b []byte) (*crl, error) {
	var list certificateListV1
	if rest, err := asn1.Unmarshal(b, &list); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("not a version 1 list: %d bytes left, %w", len(rest), err)
	}
	var name pkix.RDNSequence
	if _, err := asn1.Unmarshal(list.TBS.Issuer.FullBytes, &name); err != nil {
		return nil, err
	}
	c := &crl{rawIssuer: list.TBS.Issuer.FullBytes, issuer: clean(name.String()), thisUpdate: list.TBS.ThisUpdate, nextUpdate: list.TBS.NextUpdate,
		algorithm: listAlgorithm(list.Algorithm.Algorithm), tbs: list.TBS.Raw, signature: list.Signature.RightAlign(),
		revoked: make(map[string]time.Time), verified: make(map[[32]byte]bool)}
	for _, e := range list.TBS.Revoked {
		c.revoked[e.Serial.Text(16)] = e.Time
	}
	return c, nil
}

// listAlgorithm knows the algorithms with SHA-2 of RFC 4055, 5 and RFC 5758, 3.2; any other list stays unverified.
func listAlgorithm(oid asn1.ObjectIdentifier) x509.SignatureAlgorithm {
	switch oid.String() {
	case "1.2.840.113549.1.1.11":
		return x509.SHA256WithRSA
	case "1.2.840.113549.1.1.12":
		return x509.SHA384WithRSA
	case "1.2.840.113549.1.1.13":
		return x509.SHA512WithRSA
	case "1.2.840.10045.4.3.2":
		return x509.ECDSAWithSHA256
	case "1.2.840.10045.4.3.3":
		return x509.ECDSAWithSHA384
	case "1.2.840.10045.4.3.4":
		return x509.ECDSAWithSHA512
	}
	return x509.UnknownSignatureAlgorithm
}

// signedBy checks the list's signature once per issuer certificate. RFC 5280, 6.3.3 (f), (g): the issuer's key usage,
// when present, has the cRLSign bit.
func (c *crl) signedBy(issuer *x509.Certificate) bool {
	key := sha256.Sum256(issuer.Raw)
	c.mu.Lock()
	defer c.mu.Unlock()
	ok, known := c.verified[key]
	if !known {
		ok = (issuer.KeyUsage == 0 || issuer.KeyUsage&x509.KeyUsageCRLSign != 0) &&
			issuer.CheckSignature(c.algorithm, c.tbs, c.signature) == nil
		c.verified[key] = ok
	}
	return ok
}
