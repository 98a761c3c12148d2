package pki

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Limits of what we accept and issue.
const (
	minRSABits   = 2048
	minECBits    = 256
	longValidity = 1830 * 24 * time.Hour // five years and a little: longer gets a warning
)

// subject renders a certificate's name for a person: RFC 4514 text without anything a terminal would obey.
func subject(c *x509.Certificate) string { return clean(c.Subject.String()) }

// clean makes text out of certificates and peers printable.
func clean(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\x%02X", r)
		}
	}
	return b.String()
}

// which says which of the presented certificates a sentence is about.
func which(at int, c *x509.Certificate) string {
	if at == 0 {
		return "presented a certificate"
	}
	return "presented a chain with the certificate " + subject(c)
}

// day renders a date the way a person compares it with a calendar.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// span renders a duration in its largest sensible unit.
func span(d time.Duration) string {
	switch days := int(d.Hours() / 24); {
	case days >= 2*365:
		return fmt.Sprintf("%d years", days/365)
	case days >= 2:
		return fmt.Sprintf("%d days", days)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	default:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	}
}

func noCertificate(side Side) Finding {
	_, eku := side.eku()
	return Finding{Rule: RuleNoCertificate, Severity: Refusal, Index: -1,
		What:     "presented no certificate",
		Expected: "a certificate with extended key usage " + eku, Got: "none",
		Fix: "give it one (locktone cert issue) and configure it to present it"}
}

func chainTooLong(n int) Finding {
	return Finding{Rule: RuleChainTooLong, Severity: Refusal, Index: -1,
		What:     fmt.Sprintf("presented %d certificates", n),
		Expected: fmt.Sprintf("at most %d", MaxChain), Got: fmt.Sprint(n),
		Fix: "have it send its own certificate and the intermediates of that one only"}
}

// validity: RFC 5280, 4.1.2.5: both dates are inclusive.
func (v *verification) validity(c *x509.Certificate, at int) {
	life, left := c.NotAfter.Sub(c.NotBefore), c.NotAfter.Sub(v.now)
	var f Finding
	switch {
	case left < 0:
		f = Finding{Rule: RuleExpired, Severity: Refusal, Fix: "renew it with its issuer " + clean(c.Issuer.String()),
			What: fmt.Sprintf("%s that expired %s ago (%s)", which(at, c), span(-left), day(c.NotAfter))}
	case v.now.Before(c.NotBefore):
		f = Finding{Rule: RuleNotYetValid, Severity: Refusal,
			What: fmt.Sprintf("%s that becomes valid only in %s (%s)", which(at, c), span(c.NotBefore.Sub(v.now)), day(c.NotBefore)),
			Fix:  "compare the clocks of both ends, or have it present a certificate that is valid today"}
	case left < 30*24*time.Hour && left < life/3:
		f = Finding{Rule: RuleExpiresSoon, Severity: Warning, Fix: "renew it in time",
			What: fmt.Sprintf("%s that expires in %s (%s)", which(at, c), span(left), day(c.NotAfter))}
	case at == 0 && life > longValidity:
		f = Finding{Rule: RuleValidityLong, Severity: Warning, Fix: "issue the next one for a shorter time", Expected: "at most five years",
			What: fmt.Sprintf("%s that is valid for %d years", which(at, c), int(life.Hours()/24/365))}
	default:
		return
	}
	f.Index, f.Subject, f.Got = at, subject(c), day(c.NotBefore)+" to "+day(c.NotAfter)
	if f.Expected == "" {
		f.Expected = "valid on " + day(v.now)
	}
	v.add(f)
}

// criticalExtensions: RFC 5280, 4.2: a certificate-using system MUST reject the certificate if it encounters a critical
// extension it does not recognize.
func (v *verification) criticalExtensions(c *x509.Certificate, at int) {
	for _, oid := range c.UnhandledCriticalExtensions {
		v.add(Finding{Rule: RuleCriticalExt, Severity: Refusal, Index: at, Subject: subject(c),
			What:     fmt.Sprintf("%s with the critical extension %s, which is not known here", which(at, c), oid),
			Expected: "critical extensions of RFC 5280 only", Got: oid.String(),
			Fix: "re-issue it without that extension, or with the extension not critical"})
	}
}

// endEntity applies the rules of the peer's own certificate.
func (v *verification) endEntity(c *x509.Certificate) {
	need, needName := v.side.eku()
	if c.BasicConstraintsValid && c.IsCA {
		v.add(Finding{Rule: RuleCAAsEndEntity, Severity: Refusal, Subject: subject(c),
			What:     "presented a CA's certificate as its own",
			Expected: "basic constraints CA:FALSE", Got: "CA:TRUE",
			Fix: "issue it a certificate of its own; the key of a CA does not belong on an end system"})
	}
	// RFC 5280, 4.2.1.3: digitalSignature is for keys that verify signatures other than on certificates, which is
	// what TLS with ECDHE uses the key for.
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		v.add(Finding{Rule: RuleKeyUsage, Severity: Refusal, Subject: subject(c),
			What:     "presented a certificate whose key usage does not include digitalSignature",
			Expected: "digitalSignature", Got: strings.Join(keyUsages(c.KeyUsage), ", "),
			Fix: "re-issue it with key usage digitalSignature"})
	}
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		v.add(Finding{Rule: RuleEKUMissing, Severity: Refusal, Subject: subject(c),
			What:     "presented a certificate without any extended key usage",
			Expected: needName, Got: "none",
			Fix: "re-issue it with extended key usage " + needName})
		return
	}
	v.extendedKeyUsage(c, 0, need, needName)
}

// extendedKeyUsage: RFC 5280, 4.2.1.12: if present, the certificate MUST only be used for one of the purposes
// indicated. anyExtendedKeyUsage names no purpose of its own, and gets a warning. The sipDomain purpose of RFC 5924 is
// not taken in place of the two, since TLS implementations on the other end do not take it either.
func (v *verification) extendedKeyUsage(c *x509.Certificate, at int, need x509.ExtKeyUsage, needName string) {
	if slices.Contains(c.ExtKeyUsage, need) {
		return
	}
	f := Finding{Rule: RuleEKU, Severity: Refusal, Index: at, Subject: subject(c),
		What:     fmt.Sprintf("%s whose extended key usage does not include %s", which(at, c), needName),
		Expected: needName, Got: strings.Join(extKeyUsages(c), ", "),
		Fix: "re-issue it with extended key usage " + needName}
	if slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
		f.Severity = Warning
		f.What = which(at, c) + " good for any purpose (anyExtendedKeyUsage)"
	}
	v.add(f)
}

// digest: SHA-1 and MD5 signatures can be forged (RFC 9155; crypto/x509 refuses them too).
func (v *verification) digest(c *x509.Certificate, at int) {
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
		v.add(Finding{Rule: RuleDigest, Severity: Refusal, Index: at, Subject: subject(c),
			What:     fmt.Sprintf("%s signed with %s, which can be forged", which(at, c), c.SignatureAlgorithm),
			Expected: "SHA-256 or better", Got: c.SignatureAlgorithm.String(),
			Fix: "have " + clean(c.Issuer.String()) + " issue it again with SHA-256"})
	}
}

// key refuses keys that can be broken. Ed25519 is accepted from peers (RFC 8410; as strong as P-256, and TLS 1.3 has
// it), but never issued: phones and Cisco's clients cannot use it.
func (v *verification) key(c *x509.Certificate, at int) {
	if got, want := weakKey(c); got != "" {
		v.add(Finding{Rule: RuleKeyWeak, Severity: Refusal, Index: at, Subject: subject(c),
			What:     fmt.Sprintf("%s with a weak key (%s)", which(at, c), got),
			Expected: want, Got: got, Fix: "make a new key of that strength and have it certified"})
	}
}

// weakKey returns what is wrong with the certificate's key, "" when nothing is.
func weakKey(c *x509.Certificate) (got, want string) {
	want = "RSA of at least 2048 bits, ECDSA on P-256 or larger, or Ed25519"
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSABits || k.E < 3 {
			return fmt.Sprintf("RSA-%d", k.N.BitLen()), want
		}
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize < minECBits {
			return "ECDSA " + k.Curve.Params().Name, want
		}
	case ed25519.PublicKey:
	default:
		return c.PublicKeyAlgorithm.String() + " key", want
	}
	return "", ""
}

// issuer applies the rules of a certificate that issued another one; below is the number of intermediates under it.
func (v *verification) issuer(c *x509.Certificate, at, below int, anchor bool) {
	f := Finding{Severity: Refusal, Index: at}
	switch {
	// RFC 5280, 6.1.4 (k): a version 3 issuer has basic constraints with cA TRUE.
	case !c.IsCA && (c.Version == 3 || !anchor):
		f.Rule, f.Expected, f.Got = RuleIssuerNotCA, "basic constraints CA:TRUE", "CA:FALSE"
		f.What = fmt.Sprintf("presented a chain in which %s issues certificates without being a CA", subject(c))
		f.Fix = "have the certificate issued by a CA"
	// RFC 5280, 6.1.4 (n)
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		f.Rule, f.Expected, f.Got = RuleIssuerKeyUsage, "keyCertSign", strings.Join(keyUsages(c.KeyUsage), ", ")
		f.What = fmt.Sprintf("presented a chain in which the key of %s may not sign certificates", subject(c))
		f.Fix = "have that CA's certificate re-issued with key usage keyCertSign"
	// RFC 5280, 4.2.1.9: the maximum number of non-self-issued intermediate certificates that may follow.
	case c.BasicConstraintsValid && (c.MaxPathLen > 0 || c.MaxPathLenZero) && below > c.MaxPathLen:
		f.Rule, f.Expected, f.Got = RulePathLength, fmt.Sprintf("at most %d", c.MaxPathLen), fmt.Sprint(below)
		f.What = fmt.Sprintf("presented a chain with %d CA(s) below %s, which allows %d", below, subject(c), c.MaxPathLen)
		f.Fix = "have the certificate issued by a CA that the path length allows"
	}
	if f.Rule != "" {
		f.Subject = subject(c)
		v.add(f)
	}
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 {
		need, name := v.side.eku()
		v.extendedKeyUsage(c, at, need, name)
	}
}

func unregistered(c *x509.Certificate, at int, got string) Finding {
	return Finding{Rule: RuleUnregistered, Severity: Refusal, Index: at, Subject: subject(c),
		What:     fmt.Sprintf("%s with our CA's signature that was never issued (serial %s)", which(at, c), c.SerialNumber.Text(16)),
		Expected: "issuer and serial in the certificate register", Got: got,
		Fix: "if the register was restored from a backup, issue the certificate again; otherwise treat the CA's key as stolen"}
}

func registerUnavailable(c *x509.Certificate, at int, err error) Finding {
	return Finding{Rule: RuleRegister, Severity: Refusal, Index: at, Subject: subject(c),
		What:     which(at, c) + " that could not be looked up",
		Expected: "an answer from the certificate register", Got: clean(err.Error()),
		Fix: "see why the store does not answer on this node"}
}

func revoked(c *x509.Certificate, at int, when time.Time, reason, by string) Finding {
	if reason != "" {
		reason = " (" + clean(reason) + ")"
	}
	return Finding{Rule: RuleRevoked, Severity: Refusal, Index: at, Subject: subject(c),
		What:     fmt.Sprintf("%s that was revoked on %s%s", which(at, c), day(when), reason),
		Expected: "not revoked", Got: "serial " + c.SerialNumber.Text(16) + " revoked, says " + by,
		Fix: "issue it a new one if it is still to be trusted"}
}

func crlStale(c *x509.Certificate, at int, next, now time.Time) Finding {
	return Finding{Rule: RuleCRLStale, Severity: Warning, Index: at, Subject: subject(c),
		What: fmt.Sprintf("presented a chain under %s, whose revocation list is out of date since %s (%s)",
			subject(c), span(now.Sub(next)), day(next)),
		Expected: "a list whose next update is still to come", Got: day(next),
		Fix: "load that CA's present revocation list"}
}

func crlUnusable(c *x509.Certificate, at int) Finding {
	return Finding{Rule: RuleCRLUnusable, Severity: Warning, Index: at, Subject: subject(c),
		What:     fmt.Sprintf("presented a chain under %s, whose revocation list here was not signed by that CA", subject(c)),
		Expected: "a list signed by " + subject(c), Got: "another signature",
		Fix: "load the list from that CA again"}
}

func wrongKind(c *x509.Certificate, r *Report, want Kinds) Finding {
	fix := "trust " + subject(r.Chain[len(r.Chain)-1]) + " for that kind of holder, or give the peer a certificate of that kind"
	if r.Entry != nil {
		fix = "issue it a certificate of the right kind (locktone cert issue); a certificate is good for one kind of holder only"
	}
	return Finding{Rule: RuleKind, Severity: Refusal, Subject: subject(c),
		What:     fmt.Sprintf("presented a certificate issued to another kind of holder (%s)", r.Kinds),
		Expected: want.String(), Got: r.Kinds.String(), Fix: fix}
}

// keyUsages names the bits, in the order of RFC 5280, 4.2.1.3.
func keyUsages(u x509.KeyUsage) []string {
	names := []string{"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
		"keyCertSign", "cRLSign", "encipherOnly", "decipherOnly"}
	var set []string
	for i, n := range names {
		if u&(1<<i) != 0 {
			set = append(set, n)
		}
	}
	return set
}

// extKeyUsages names the purposes, RFC 5280, 4.2.1.12; unknown ones by their number.
func extKeyUsages(c *x509.Certificate) []string {
	var set []string
	for _, u := range c.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageAny:
			set = append(set, "any")
		case x509.ExtKeyUsageServerAuth:
			set = append(set, "serverAuth")
		case x509.ExtKeyUsageClientAuth:
			set = append(set, "clientAuth")
		case x509.ExtKeyUsageCodeSigning:
			set = append(set, "codeSigning")
		case x509.ExtKeyUsageEmailProtection:
			set = append(set, "emailProtection")
		case x509.ExtKeyUsageTimeStamping:
			set = append(set, "timeStamping")
		case x509.ExtKeyUsageOCSPSigning:
			set = append(set, "OCSPSigning")
		default:
			set = append(set, fmt.Sprintf("purpose %d", u))
		}
	}
	for _, oid := range c.UnknownExtKeyUsage {
		set = append(set, oid.String())
	}
	return set
}

// KeyName names a certificate's key: "ECDSA-P256", "RSA-2048", "Ed25519".
func KeyName(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA-%d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return fmt.Sprintf("ECDSA-P%d", k.Curve.Params().BitSize)
	}
	return c.PublicKeyAlgorithm.String()
}
