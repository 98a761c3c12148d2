package truststore

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/locktone/locktone/pki"
)

// soon is how long before its end a certificate is worth a word.
const soon = 30 * 24 * time.Hour

// Lint looks at a certificate that somebody wants trusted for the purpose. A finding of severity Refusal means that the
// upload will be refused; the others are worth knowing. own are the cluster's roots.
func Lint(c *x509.Certificate, p Purpose, own []*x509.Certificate, now time.Time) (pki.Findings, error) {
	rule, ok := RuleOf(p)
	if !ok {
		_, err := ParsePurpose(string(p))
		return nil, err
	}
	return lint(c, rule, own, now), nil
}

func lint(c *x509.Certificate, r Rule, own []*x509.Certificate, now time.Time) pki.Findings {
	var out pki.Findings
	add := func(f pki.Finding) {
		f.Subject = c.Subject.String()
		out = append(out, f)
	}
	lintTime(c, now, add)
	lintAlgorithms(c, r, add)
	lintCA(c, r, add)
	for _, root := range own {
		if r.Anchor() && bytes.Equal(root.RawSubject, c.RawSubject) {
			add(pki.Finding{Rule: pki.RulePolicyName, Severity: pki.Refusal, What: "bears the name of the cluster's own root",
				Got: c.Subject.String(), Fix: "leave it out: the cluster trusts its own roots, and a foreign CA needs a name of its own"})
		}
	}
	return out
}

// lintTime: RFC 5280, 4.1.2.5: the certificate validity period.
func lintTime(c *x509.Certificate, now time.Time, add func(pki.Finding)) {
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	switch {
	case now.After(c.NotAfter):
		add(pki.Finding{Rule: pki.RuleExpired, Severity: pki.Refusal, What: "expired on " + day(c.NotAfter), Expected: "valid on " + day(now),
			Got: "not after " + day(c.NotAfter), Fix: "get the present certificate from its owner"})
	case now.Before(c.NotBefore):
		add(pki.Finding{Rule: pki.RuleNotYetValid, Severity: pki.Warning, What: "is not valid before " + day(c.NotBefore), Expected: "valid on " + day(now),
			Got: "not before " + day(c.NotBefore), Fix: "check the clocks, or expect failures until then"})
	case c.NotAfter.Sub(now) < soon:
		add(pki.Finding{Rule: pki.RuleExpiresSoon, Severity: pki.Warning, What: "expires on " + day(c.NotAfter), Got: "not after " + day(c.NotAfter),
			Fix: "ask its owner for the next one"})
	}
}

// lintAlgorithms: a root's own signature protects nothing, so an old digest there is a remark only (RFC 5280, 6.1: a
// trust anchor is trusted for its key and name).
func lintAlgorithms(c *x509.Certificate, r Rule, add func(pki.Finding)) {
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		f := pki.Finding{Rule: pki.RuleDigest, Severity: pki.Warning, What: "is signed with " + c.SignatureAlgorithm.String(), Expected: "SHA-256 or better",
			Got: c.SignatureAlgorithm.String(), Fix: "ask its owner for one signed with SHA-256"}
		if selfSigned(c) && c.IsCA {
			f.Severity, f.Fix = pki.Note, "nothing: a root is trusted for its key; what it signs is checked on its own"
		}
		add(f)
	}
	name := pki.KeyName(c)
	if weakKey(c) {
		add(pki.Finding{Rule: pki.RuleKeyWeak, Severity: pki.Refusal, What: "has a weak key (" + name + ")", Expected: "RSA from 2048 bits, ECDSA from P-256, or Ed25519",
			Got: name, Fix: "ask its owner for a certificate with a stronger key"})
	}
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && len(r.Roles) > 0 && key.N.BitLen() > 2048 {
		add(pki.Finding{Rule: pki.RulePolicyProfile, Severity: pki.Note, What: fmt.Sprintf("has a key that many phones cannot use (%s)", name),
			Expected: "RSA-2048 for phones of the older models", Got: name, Fix: "try it with the models you have"})
	}
}

func weakKey(c *x509.Certificate) bool {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() < 2048
	case *ecdsa.PublicKey:
		return key.Curve.Params().BitSize < 256
	case ed25519.PublicKey:
		return false
	}
	return true
}

// lintCA: RFC 5280, 4.2.1.9 and 4.2.1.3: basic constraints and key usage of an issuer.
func lintCA(c *x509.Certificate, r Rule, add func(pki.Finding)) {
	switch {
	case c.IsCA && r.Anchor() && c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		add(pki.Finding{Rule: pki.RuleIssuerKeyUsage, Severity: pki.Refusal, What: "is a CA that may not sign certificates", Expected: "key usage keyCertSign",
			Got: "key usage without keyCertSign", Fix: "ask its owner for the CA's certificate"})
	case c.IsCA && !r.Anchor() && !r.Issues:
		add(pki.Finding{Rule: pki.RuleCAAsEndEntity, Severity: pki.Warning, What: "is a CA, and phones ask about the certificate itself", Expected: "the certificate that signs or serves",
			Got: "a CA", Fix: "upload the certificate itself, unless the CA signs lists directly"})
	case !c.IsCA && r.Purpose == CAPFTrust:
		add(pki.Finding{Rule: pki.RuleIssuerNotCA, Severity: pki.Refusal, What: "is not a CA: no phone's certificate can be under it", Expected: "a manufacturer's root or issuing CA",
			Got: "an end entity's certificate", Fix: "upload the CA that issued it"})
	case !c.IsCA && r.Anchor():
		add(pki.Finding{Rule: pki.RuleIssuerNotCA, Severity: pki.Warning, What: "is not a CA: it stands for itself only", Expected: "a root or issuing CA",
			Got: "an end entity's certificate", Fix: "upload its CA, or expect to upload again when it is renewed"})
	}
}

func selfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

func revokedFinding(e *Entry) pki.Finding {
	return pki.Finding{Rule: pki.RuleRevoked, Severity: pki.Refusal, Subject: e.Subject, Got: "revoked on " + e.Ended.Format(time.DateOnly) + " by " + e.EndedBy,
		What: "was revoked here on " + e.Ended.Format(time.DateOnly) + ": " + e.Reason, Fix: "upload the certificate of the new key"}
}
