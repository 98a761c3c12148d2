package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// profile is what certificates of a kind look like.
type profile struct {
	usage         Usage // the default
	allowed       Usage
	validity, max time.Duration
	name          *regexp.Regexp
	nameText      string
}

const year = 365 * 24 * time.Hour

// profiles returns the profile of a kind; the zero profile, which allows nothing, for an unknown one. The upper bound
// of a subject CN is 64 characters (RFC 5280, A.1, ub-common-name).
func profiles(k Kind) profile {
	switch k {
	case KindDevice: // a phone is a TLS server too: its web pages
		return profile{usage: UsageClient, allowed: UsageBoth, validity: 3 * year, max: 5 * year,
			name: plainHolder, nameText: "a device name: at most 64 letters, digits, '.', '_', '-'"}
	case KindCTI:
		return profile{usage: UsageClient, allowed: UsageClient, validity: 3 * year, max: 5 * year,
			name: instanceHolder, nameText: "an instance name: at most 64 letters, digits, '.', '_', '-', '@', '/', ':'"}
	case KindPeer:
		return profile{usage: UsageBoth, allowed: UsageBoth, validity: 398 * 24 * time.Hour, max: 825 * 24 * time.Hour,
			name: hostHolder, nameText: "a host name or address of at most 64 characters"}
	case KindService:
		return profile{allowed: UsageServer | UsageClient, validity: 398 * 24 * time.Hour, max: 825 * 24 * time.Hour,
			name: plainHolder, nameText: "a host name of at most 64 characters"}
	}
	return profile{name: noHolder, nameText: "a known kind of holder"}
}

// Names of holders, compiled once.
var (
	plainHolder    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	instanceHolder = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@/:-]{0,63}$`)
	hostHolder     = regexp.MustCompile(`^[A-Za-z0-9:][A-Za-z0-9._:-]{0,63}$`)
	noHolder       = regexp.MustCompile(`^\b$`)
)

// linter signs a certificate with a throw-away root of the issuer's name and looks at the outcome, so that what would
// be refused is never signed for real (the idea is Boulder's; the rules are those of our own verifier).
type linter struct {
	root *x509.Certificate
	key  PrivateKey
}

func newLinter(issuer *x509.Certificate) (linter, error) {
	key, err := GenerateKey(ECDSAP256)
	if err != nil {
		return linter{}, err
	}
	t := *issuer
	t.SignatureAlgorithm = x509.UnknownSignatureAlgorithm
	t.PublicKey = nil
	root, err := create(&t, &t, key.Public(), key)
	return linter{root: root, key: key}, err
}

// check returns a *VerifyError when the certificate that the template makes would not do.
func (l linter) check(t *x509.Certificate, pub crypto.PublicKey, r Request, now time.Time) error {
	fs := lintRequest(r)
	if !fs.OK() {
		return fs.Err("the request for " + clean(r.Name))
	}
	cert, err := create(t, l.root, pub, l.key)
	if err != nil {
		return err
	}
	fs = append(fs, lintFields(cert, r)...)
	trust, err := NewTrust(Anchor{Certificate: l.root, Kinds: KindsOf(r.Kind)})
	if err != nil {
		return err
	}
	for _, side := range []Side{PeerIsClient, PeerIsServer} {
		if r.Usage&side.usage() != 0 {
			fs = append(fs, trust.Verify([]*x509.Certificate{cert}, side, PeerPolicy{Kinds: KindsOf(r.Kind)}, now).Findings...)
		}
	}
	return fs.Err("the request for " + clean(r.Name))
}

func (s Side) usage() Usage {
	if s == PeerIsServer {
		return UsageServer
	}
	return UsageClient
}

func lintFinding(r Rule, what, expected, got, fix string) Finding {
	return Finding{Rule: r, Severity: Refusal, Index: 0, What: what, Expected: expected, Got: clean(got), Fix: fix}
}

// lintRequest checks what was asked for against the profile of the kind.
func lintRequest(r Request) Findings {
	p := profiles(r.Kind)
	var fs Findings
	if !p.name.MatchString(r.Name) {
		fs = append(fs, lintFinding(RulePolicyName, "has a name that this kind of holder ("+r.Kind.String()+") cannot have",
			p.nameText, r.Name, "choose such a name"))
	}
	if r.Usage == 0 || r.Usage&^p.allowed != 0 {
		fs = append(fs, lintFinding(RulePolicyProfile, "asks for a usage that this kind of holder ("+r.Kind.String()+") does not get",
			p.allowed.String(), r.Usage.String(), "ask for usage "+p.allowed.String()))
	}
	if r.Validity <= 0 || r.Validity > p.max {
		fs = append(fs, lintFinding(RulePolicyValidity, "asks for a validity outside the profile of a "+r.Kind.String(),
			"at most "+span(p.max), r.Validity.String(), "ask for a shorter time"))
	}
	return append(fs, lintNames(r)...)
}

// lintNames refuses names that our own verifier would not match, and a server certificate that no dialler can match.
func lintNames(r Request) Findings {
	var fs Findings
	for _, d := range r.DNSNames {
		if !dnsName(d) {
			fs = append(fs, lintFinding(RulePolicyName, "has a subject alternative name that is no plain DNS name ("+clean(d)+")",
				"a host name without wildcard (RFC 5922, 7.2)", d, "name each host"))
		}
	}
	for _, u := range r.URIs {
		// RFC 5280, 4.2.1.6: the URI MUST NOT be relative; the reference product's LSCs have the device name there all the same.
		if u == nil || u.Scheme == "" && (r.Kind != KindDevice || u.String() != r.Name) || len(u.String()) > 255 {
			fs = append(fs, lintFinding(RulePolicyName, "has a subject alternative name that is no URI", "an absolute URI", fmt.Sprint(u), "correct it"))
		}
	}
	if r.Usage&UsageServer != 0 && len(r.DNSNames)+len(r.IPs)+len(r.URIs) == 0 {
		fs = append(fs, lintFinding(RulePolicyName, "is for a server and has no name that a dialler can match",
			"a DNS name, an address or a sip URI", "none", "add the name or address it is dialled by"))
	}
	if len(r.DNSNames)+len(r.IPs)+len(r.URIs) > 100 {
		fs = append(fs, lintFinding(RulePolicyName, "has too many subject alternative names", "at most 100",
			fmt.Sprint(len(r.DNSNames)+len(r.IPs)+len(r.URIs)), "split it"))
	}
	return fs
}

// lintFields checks the finished certificate: what our verifier accepts from strangers, we do not all issue.
func lintFields(c *x509.Certificate, r Request) Findings {
	var fs Findings
	bad := func(rule Rule, what, expected, got string) {
		fs = append(fs, lintFinding(rule, what, expected, got, "this is a defect of the issuing code or of the key offered: report it"))
	}
	// RFC 5280, 4.1.2.2: positive, at most 20 octets; CA/B 7.1: at least 64 random bits.
	if n := len(c.SerialNumber.Bytes()); c.SerialNumber.Sign() <= 0 || n < serialLength || n > 20 {
		bad(RulePolicySerial, "would get a serial number of the wrong size", "16 to 20 octets, positive", fmt.Sprintf("%d octets", n))
	}
	if c.NotAfter.Sub(c.NotBefore) > profiles(r.Kind).max+2*backdate {
		bad(RulePolicyValidity, "would be valid for too long", span(profiles(r.Kind).max), span(c.NotAfter.Sub(c.NotBefore)))
	}
	if c.IsCA || !c.BasicConstraintsValid {
		bad(RulePolicyProfile, "would be a CA", "basic constraints CA:FALSE", "CA:TRUE")
	}
	want := x509.KeyUsageDigitalSignature
	if r.keyEncipherment(c.PublicKey) {
		want |= x509.KeyUsageKeyEncipherment
	}
	if c.KeyUsage != want {
		bad(RulePolicyProfile, "would have another key usage", strings.Join(keyUsages(want), ", "), strings.Join(keyUsages(c.KeyUsage), ", "))
	}
	if cn, one := commonName(c); !one || cn != r.Name {
		bad(RulePolicyName, "would have another common name than asked for", clean(r.Name), clean(cn))
	}
	if got := issuableKey(c.PublicKey); got != "" {
		bad(RuleKeyWeak, "offers a key that is not certified here", "ECDSA on P-256, P-384 or P-521, or RSA of 2048 to 4096 bits with an odd exponent from 17 on", got)
	}
	return fs
}

// issuableKey returns what is wrong with a public key offered, "" when nothing is. An RSA key over 4096 bits costs
// every handshake more than it protects. Exponents from 17 on are taken, since JTAPI clients make keys with 17; 3 and 5
// are refused, since they turn small mistakes of others into forgeries, and 1 is no key at all.
func issuableKey(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize < minECBits {
			return "ECDSA " + k.Curve.Params().Name
		}
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSABits || k.N.BitLen() > 4096 || k.E < minExponent || k.E%2 == 0 {
			return fmt.Sprintf("RSA-%d, exponent %d", k.N.BitLen(), k.E)
		}
		if p := smallFactor(k.N); p != 0 {
			return fmt.Sprintf("RSA-%d whose modulus is divisible by %d", k.N.BitLen(), p)
		}
	default:
		return fmt.Sprintf("%T", pub)
	}
	return ""
}

const minExponent = 17

// smallFactor returns a factor of the modulus below 752, 0 when there is none (CA/B Forum, 6.1.6).
func smallFactor(n *big.Int) int64 {
	var rest big.Int
	for p := int64(2); p < 752; p++ { // composite ones have a smaller factor, found before
		if rest.Mod(n, big.NewInt(p)).Sign() == 0 {
			return p
		}
	}
	return 0
}

// dnsName reports whether s is a host name of letters, digits and hyphens (RFC 1123, 2.1), underscores tolerated.
func dnsName(s string) bool {
	if len(s) == 0 || len(s) > 253 || strings.HasSuffix(s, ".") {
		return false
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return false
	}
	for _, label := range strings.Split(s, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || !hostLabel(label) {
			return false
		}
	}
	return true
}

func hostLabel(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
			return false
		}
	}
	return true
}

// plainName reports whether s is made of letters, digits, '.', '-' and '_'.
func plainName(s string) bool { return s != "" && hostLabel(strings.ReplaceAll(s, ".", "")) }
