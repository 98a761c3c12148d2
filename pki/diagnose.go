package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// diagnose is run when crypto/x509 found no path. It walks up the chain itself, one issuer at a time, and says at
// which certificate and by which rule the path ends. It can only add refusals, never accept.
func (v *verification) diagnose(cause error) {
	path := v.walk()
	v.certificates(path)
	if len(path) > 1 {
		v.revocation(path)
	}
	if v.report.OK() {
		v.add(v.pathFinding(path, cause))
	}
}

// walk follows issuers by name, presented certificates first, and adds a finding where the path breaks.
func (v *verification) walk() []*x509.Certificate {
	path := v.report.Presented[:1:1]
	for len(path) <= MaxChain {
		c := path[len(path)-1]
		if _, _, ok := v.trust.anchorOf(c); ok {
			return path
		}
		issuer, broken := v.issuerOf(c, path)
		if broken != nil {
			v.add(*broken)
		}
		if issuer == nil {
			return path
		}
		path = append(path, issuer)
	}
	return path
}

// issuerOf finds the certificate that signed c. Without one it returns the finding that says what is wrong; with one
// of the right name but not the right key it returns both, so that the walk sees what else is wrong above.
func (v *verification) issuerOf(c *x509.Certificate, path []*x509.Certificate) (*x509.Certificate, *Finding) {
	if bytes.Equal(c.RawIssuer, c.RawSubject) && signed(c, c) {
		return nil, v.selfIssued(c)
	}
	var sameName *x509.Certificate
	for _, p := range v.candidates() {
		if !bytes.Equal(p.RawSubject, c.RawIssuer) || contains(path, p) {
			continue
		}
		if signed(c, p) {
			return p, nil
		}
		sameName = p
	}
	if sameName == nil {
		return nil, v.issuerMissing(c)
	}
	if insecure(c) {
		return sameName, nil // the digest is the finding; the signature was not looked at
	}
	return nil, v.notSignedBy(c, sameName)
}

// candidates are the certificates that may be an issuer: anchors first, since what they say is decided.
func (v *verification) candidates() []*x509.Certificate {
	var cs []*x509.Certificate
	for _, a := range v.trust.anchors {
		cs = append(cs, a.Certificate)
	}
	return append(cs, v.report.Presented[1:]...)
}

func contains(path []*x509.Certificate, c *x509.Certificate) bool {
	for _, p := range path {
		if p.Equal(c) {
			return true
		}
	}
	return false
}

// signed reports whether the signature on c verifies with the key of p, whatever p may do by its extensions.
func signed(c, p *x509.Certificate) bool {
	return p.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// insecure reports whether crypto/x509 refuses the signature algorithm as such.
func insecure(c *x509.Certificate) bool {
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
		return true
	}
	return false
}

func (v *verification) selfIssued(c *x509.Certificate) *Finding {
	at := v.index(c)
	f := &Finding{Severity: Refusal, Index: at, Subject: subject(c),
		Expected: "a chain to " + v.anchorNames(), Got: "self-signed by " + subject(c)}
	if at == 0 {
		f.Rule = RuleSelfSigned
		f.What = "presented a self-signed certificate that is not among the trusted ones"
		f.Fix = "issue it a certificate (locktone cert issue), or trust this very certificate after comparing its fingerprint " + Fingerprint(c)
		return f
	}
	f.Rule = RuleUntrustedRoot
	f.What = fmt.Sprintf("presented a chain that ends at %s, which is not trusted here", subject(c))
	f.Fix = "add that root to the trust store after comparing its fingerprint " + Fingerprint(c)
	return f
}

func (v *verification) issuerMissing(c *x509.Certificate) *Finding {
	at, issuer := v.index(c), clean(c.Issuer.String())
	return &Finding{Rule: RuleIssuerMissing, Severity: Refusal, Index: at, Subject: subject(c),
		What:     fmt.Sprintf("%s issued by %s, a CA that it did not send and that is not trusted here", which(at, c), issuer),
		Expected: "a chain to " + v.anchorNames(), Got: fmt.Sprintf("%d certificate(s), the last one issued by %s", len(v.report.Presented), issuer),
		Fix: "have it send the intermediate " + issuer + " too; if that is a root, add it to the trust store"}
}

// notSignedBy: the issuer's name fits and its key does not: another CA of the same name, or an altered certificate.
func (v *verification) notSignedBy(c, p *x509.Certificate) *Finding {
	at := v.index(c)
	f := &Finding{Rule: RuleSignature, Severity: Refusal, Index: at, Subject: subject(c),
		What: fmt.Sprintf("%s whose signature does not verify with the key of %s: it was altered, or signed by another CA of that name",
			which(at, c), subject(p)),
		Expected: "the signature of " + subject(p) + ", key " + keyID(p.SubjectKeyId), Got: "a signature that is not of that key",
		Fix: "issue the certificate again; if nobody here knows it, somebody tried to pass as this peer"}
	// RFC 5280, 4.2.1.1: the authority key identifier tells apart the keys of issuers with one name.
	if len(c.AuthorityKeyId) > 0 && len(p.SubjectKeyId) > 0 && !bytes.Equal(c.AuthorityKeyId, p.SubjectKeyId) {
		f.Rule = RuleIssuerKey
		f.What = fmt.Sprintf("%s issued by another CA that bears the name %s", which(at, c), subject(p))
		f.Got = "issued with key " + keyID(c.AuthorityKeyId)
	}
	return f
}

func keyID(id []byte) string {
	if len(id) == 0 {
		return "(no identifier)"
	}
	return fmt.Sprintf("%X", id)
}

// anchorNames lists the trusted names, a few of them.
func (v *verification) anchorNames() string {
	var names []string
	for i, a := range v.trust.anchors {
		if i == 4 {
			names = append(names, fmt.Sprintf("%d more", len(v.trust.anchors)-i))
			break
		}
		names = append(names, subject(a.Certificate))
	}
	if names == nil {
		return "a trust anchor, of which there is none"
	}
	return strings.Join(names, " or ")
}

// pathFinding explains a refusal of crypto/x509 that no rule above foresaw: name constraints, and whatever it learns
// to refuse in the future.
func (v *verification) pathFinding(path []*x509.Certificate, cause error) Finding {
	f := Finding{Rule: RulePath, Severity: Refusal, Subject: subject(path[0]),
		What: "presented a chain that is not valid", Expected: "a valid path (RFC 5280, 6)", Got: clean(cause.Error()),
		Fix: "issue the certificate again with a valid chain"}
	if !nameConstraint(cause) {
		return f
	}
	f.Rule = RuleNameConstraints
	f.What = "presented a certificate with a name outside what its CA may certify"
	for _, c := range path[1:] {
		if permitted := constraints(c); permitted != "" {
			f.What = fmt.Sprintf("presented a certificate with a name outside what %s may certify (%s)", subject(c), permitted)
			f.Expected = permitted
		}
	}
	f.Fix = "have it issued by a CA whose name constraints cover it, or without that name"
	return f
}

// nameConstraint reports whether crypto/x509 refused by RFC 5280, 6.1.3 (b), (c).
func nameConstraint(err error) bool {
	var inv x509.CertificateInvalidError
	if errors.As(err, &inv) {
		return inv.Reason == x509.CANotAuthorizedForThisName || inv.Reason == x509.UnconstrainedName ||
			inv.Reason == x509.TooManyConstraints
	}
	return false
}

// constraints renders the name constraints of a CA, "" when it has none.
func constraints(c *x509.Certificate) string {
	var parts []string
	list := func(word string, names []string) {
		if len(names) > 0 {
			parts = append(parts, word+" "+clean(strings.Join(names, ", ")))
		}
	}
	list("permitted DNS", c.PermittedDNSDomains)
	list("excluded DNS", c.ExcludedDNSDomains)
	list("permitted URI", c.PermittedURIDomains)
	list("excluded URI", c.ExcludedURIDomains)
	for _, n := range c.PermittedIPRanges {
		list("permitted IP", []string{n.String()})
	}
	for _, n := range c.ExcludedIPRanges {
		list("excluded IP", []string{n.String()})
	}
	return strings.Join(parts, "; ")
}
