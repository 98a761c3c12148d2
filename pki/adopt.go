package pki

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// Adopt binds a certificate of a foreign issuer to one holder: under an anchor that is trusted at all it then
// authenticates exactly this kind, and Revoke works on it as on one of our own. This is how a certificate signed by a
// corporate CA becomes a device's LSC. The common name has to be the holder's name. A *VerifyError tells what does not
// fit. Adopting it again for the same holder changes nothing; for another one it is an error.
//
// Nothing is said about its issuer: a certificate of an issuer that no anchor leads to stays without effect.
func (ca *CA) Adopt(ctx context.Context, c *x509.Certificate, kind Kind, name string) (Entry, error) {
	if c == nil {
		return Entry{}, errors.New("pki: no certificate to adopt")
	}
	if fs := ca.lintAdopted(c, kind, name); !fs.OK() {
		return Entry{}, fs.Err("the certificate for " + clean(name))
	}
	e := Entry{Ref: RefOf(c), Kind: kind, Name: name, Subject: subject(c), Algorithm: KeyName(c), Usage: usageOf(c),
		Fingerprint: Fingerprint(c), NotBefore: c.NotBefore, NotAfter: c.NotAfter}
	err := ca.cfg.Register.Add(ctx, e)
	if errors.Is(err, fs.ErrExist) {
		return ca.adopted(ctx, e)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("pki: registering the certificate of %s: %w", subject(c), err)
	}
	return e, nil
}

// adopted looks at the entry that is there already.
func (ca *CA) adopted(ctx context.Context, want Entry) (Entry, error) {
	have, err := ca.cfg.Register.Lookup(ctx, want.Ref)
	switch {
	case err != nil:
		return Entry{}, fmt.Errorf("pki: registering the certificate of %s: %w", want.Subject, err)
	case have.Fingerprint != want.Fingerprint:
		return Entry{}, fmt.Errorf("pki: serial %s of %s is that of another certificate in the register (%s %s): its issuer gave one number twice", want.Serial, clean(want.Issuer), have.Kind, clean(have.Name))
	case have.Kind != want.Kind || have.Name != want.Name:
		return Entry{}, fmt.Errorf("pki: the certificate of %s is bound to the %s %s already: a certificate is good for one holder only", want.Subject, have.Kind, clean(have.Name))
	case !have.Revoked.IsZero():
		return Entry{}, fmt.Errorf("pki: the certificate of %s was revoked on %s: have another one issued", want.Subject, day(have.Revoked))
	}
	return have, nil
}

// usageOf reads the usage out of the extended key usages.
func usageOf(c *x509.Certificate) (u Usage) {
	for _, side := range []Side{PeerIsClient, PeerIsServer} {
		if need, _ := side.eku(); slices.Contains(c.ExtKeyUsage, need) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
			u |= side.usage()
		}
	}
	return u
}

// lintAdopted refuses what could not be used: what our verifier refuses of an end entity, and a name that is not the
// holder's.
func (ca *CA) lintAdopted(c *x509.Certificate, kind Kind, name string) Findings {
	var fs Findings
	bad := func(rule Rule, what, expected, got, fix string) {
		f := lintFinding(rule, what, expected, got, fix)
		f.Subject = subject(c)
		fs = append(fs, f)
	}
	if p := profiles(kind); !p.name.MatchString(name) {
		bad(RulePolicyName, "is for a holder of a name that this kind ("+kind.String()+") cannot have", p.nameText, name, "choose such a name")
	}
	if _, own := ca.roots.Load().ownIssuer(c); own {
		bad(RulePolicyProfile, "bears the name of our own CA as its issuer", "another CA", clean(c.Issuer.String()), "issue it here (locktone cert issue)")
	}
	cn, one := commonName(c)
	if matches := cn == name || kind == KindDevice && namesDevice(cn, name); !one || !matches {
		bad(RuleDeviceName, "names "+clean(orNobody(cn, one)), "common name "+expectedName(kind, name), clean(cn), "have it issued to "+clean(name))
	}
	v := verification{side: PeerIsClient, now: ca.cfg.Now(), report: &Report{Presented: []*x509.Certificate{c}}}
	if usageOf(c) == UsageServer {
		v.side = PeerIsServer
	}
	v.validity(c, 0)
	v.criticalExtensions(c, 0)
	v.endEntity(c)
	v.digest(c, 0)
	v.key(c, 0)
	if got := issuableKey(c.PublicKey); got != "" && v.report.Findings.OK() {
		bad(RuleKeyWeak, "has a key that is not taken here", "ECDSA on P-256, P-384 or P-521, or RSA of 2048 to 4096 bits with an odd exponent from 17 on", got, "make another key")
	}
	return append(fs, v.report.Findings...)
}

// ownIssuer reports whether a root of ours has the name of the certificate's issuer.
func (s *rootSet) ownIssuer(c *x509.Certificate) (*issuer, bool) {
	for _, is := range s.issuers() {
		if string(is.cert.RawSubject) == string(c.RawIssuer) {
			return is, true
		}
	}
	return nil, false
}
