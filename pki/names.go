package pki

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// matchNames checks the identity of a verified certificate. ok is true when it proves one that is accepted.
func matchNames(c *x509.Certificate, n Names) (f Finding, ok bool) {
	switch {
	case len(n.Subjects) > 0:
		return matchSubjects(c, n.Subjects)
	case n.SIPDomain == "" && n.Host == "":
		return Finding{}, true
	case n.SIPDomain != "" && matchSIPDomain(c, n.SIPDomain), n.Host != "" && c.VerifyHostname(hostOnly(n.Host)) == nil:
		return Finding{}, true
	case n.SIPDomain != "" && wildcardCovers(c, n.SIPDomain):
		return nameFinding(RuleNameWildcard, c, n.SIPDomain,
			"presented a wildcard certificate, which proves no SIP domain ("+n.SIPDomain+")",
			"issue it a certificate with the name "+n.SIPDomain+" itself (RFC 5922, 7.2)"), false
	}
	want := n.SIPDomain
	if want == "" {
		want = n.Host
	}
	return nameFinding(RuleName, c, want, "presented a certificate that is not for "+clean(want),
		"reach it by a name that it has, or issue it a certificate for "+clean(want)), false
}

// matchSubjects compares a trunk's list of accepted names with everything the certificate is called.
func matchSubjects(c *x509.Certificate, accepted []string) (Finding, bool) {
	for _, have := range certificateNames(c) {
		for _, want := range accepted {
			if strings.EqualFold(have, strings.TrimSpace(want)) {
				return Finding{}, true
			}
		}
	}
	list := clean(strings.Join(accepted, ", "))
	if list == "" {
		list = "none"
	}
	return nameFinding(RuleName, c, list, "presented a certificate that names "+namesInWords(c)+", which is not among the accepted names ("+list+")",
		"add one of its names to the accepted X.509 subjects, or issue it a certificate with an accepted name"), false
}

func nameFinding(r Rule, c *x509.Certificate, want, what, fix string) Finding {
	return Finding{Rule: r, Severity: Refusal, Subject: subject(c), What: what, Expected: clean(want), Got: namesInWords(c), Fix: fix}
}

// namesInWords lists a certificate's names, each once.
func namesInWords(c *x509.Certificate) string {
	names := certificateNames(c)
	slices.Sort(names)
	if got := clean(strings.Join(slices.Compact(names), ", ")); got != "" {
		return got
	}
	return "no name"
}

// certificateNames are all names of a certificate: common name, then subject alternative names. A sip URI counts as
// its host too.
func certificateNames(c *x509.Certificate) []string {
	var names []string
	if cn, ok := commonName(c); ok {
		names = append(names, cn)
	}
	names = append(names, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	for _, u := range c.URIs {
		names = append(names, u.String())
		if d := sipURIDomain(u); d != "" {
			names = append(names, d)
		}
	}
	return names
}

// commonName returns the subject's one common name. With several it is anyone's guess which one counts, so none does.
func commonName(c *x509.Certificate) (cn string, ok bool) {
	n := 0
	for _, a := range c.Subject.Names {
		if a.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
			n++
			cn, _ = a.Value.(string)
		}
	}
	return cn, n == 1 && cn != ""
}

// matchSIPDomain: RFC 5922, 7.1: identities are the hosts of sip URIs without user part and the DNS names; the common
// name counts only when there is no subject alternative name at all. RFC 5922, 7.2: compared whole, no wildcards.
func matchSIPDomain(c *x509.Certificate, domain string) bool {
	if ip, err := netip.ParseAddr(domain); err == nil {
		return c.VerifyHostname(ip.String()) == nil // our extension: a peer without DNS is known by its address
	}
	domain = strings.TrimSuffix(domain, ".")
	for _, u := range c.URIs {
		if strings.EqualFold(sipURIDomain(u), domain) {
			return true
		}
	}
	for _, d := range c.DNSNames {
		if strings.EqualFold(strings.TrimSuffix(d, "."), domain) && !strings.HasPrefix(d, "*") {
			return true
		}
	}
	cn, ok := commonName(c)
	return ok && !hasSAN(c) && strings.EqualFold(cn, domain)
}

// sipURIDomain returns the host of a sip URI that names a domain, "" for any other URI.
func sipURIDomain(u *url.URL) string {
	if !strings.EqualFold(u.Scheme, "sip") {
		return ""
	}
	rest := u.Opaque
	if rest == "" {
		rest = u.Host
	}
	if rest == "" || u.User != nil || strings.ContainsAny(rest, "@;?:[]") {
		return "" // a user part names a person; a port or a parameter names no domain
	}
	return rest
}

func hasSAN(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			return true
		}
	}
	return false
}

func wildcardCovers(c *x509.Certificate, domain string) bool {
	_, parent, _ := strings.Cut(domain, ".")
	for _, d := range c.DNSNames {
		if parent != "" && strings.EqualFold(d, "*."+parent) {
			return true
		}
	}
	return false
}

// hostOnly strips the brackets of an IPv6 literal, which crypto/x509 takes as "match as an address".
func hostOnly(h string) string {
	if a, err := netip.ParseAddr(strings.Trim(h, "[]")); err == nil {
		return a.WithZone("").String()
	}
	return h
}

// manufacturerName is the common name of certificates that phones leave the factory with.
var manufacturerName = regexp.MustCompile(`^CP-([A-Za-z0-9.+-]{1,24})-(SEP[0-9A-Fa-f]{12})$`)

// namesDevice reports whether a common name names the device: exactly, or as CP-<model>-SEP + 12 hex digits.
func namesDevice(cn, device string) bool {
	if cn == device {
		return true
	}
	m := manufacturerName.FindStringSubmatch(cn)
	return m != nil && !strings.Contains(strings.ToUpper(m[1]), "SEP") && strings.EqualFold(m[2], device)
}

// AuthorizeDevice checks that a verified peer may register as the device: the certificate was issued to a device (or
// by a foreign anchor trusted for devices) and names it: exactly, or as CP-<model>-SEP + the device's 12 hex digits.
// ok is true when it may; otherwise the finding tells the rule, fit for a 403's Warning text.
func AuthorizeDevice(r *Report, device string) (f Finding, ok bool) {
	return authorize(r, KindDevice, device, func(cn string) bool { return namesDevice(cn, device) })
}

// AuthorizeCTI checks that a verified peer is the CTI application instance of that name.
func AuthorizeCTI(r *Report, instance string) (f Finding, ok bool) {
	return authorize(r, KindCTI, instance, func(cn string) bool { return cn == instance })
}

func authorize(r *Report, kind Kind, name string, matches func(cn string) bool) (Finding, bool) {
	if f, refused := r.refusal(); refused {
		return f, false
	}
	leaf := r.Leaf()
	if !r.Kinds.Has(kind) {
		return wrongKind(leaf, r, KindsOf(kind)), false
	}
	cn, one := commonName(leaf)
	if name != "" && one && matches(cn) {
		return Finding{}, true
	}
	return Finding{Rule: RuleDeviceName, Severity: Refusal, Subject: subject(leaf),
		What:     fmt.Sprintf("presented a certificate that names %s and not the %s %s", clean(orNobody(cn, one)), kind, clean(name)),
		Expected: "common name " + expectedName(kind, name), Got: clean(leaf.Subject.CommonName),
		Fix: "issue a certificate to " + clean(name) + ", or let it appear under the name in its certificate"}, false
}

func expectedName(kind Kind, name string) string {
	if kind == KindDevice && strings.HasPrefix(name, "SEP") {
		return clean(name) + " or CP-<model>-" + clean(name)
	}
	return clean(name)
}

func orNobody(cn string, one bool) string {
	if !one {
		return "nobody in particular"
	}
	return cn
}

// AuthorizeNames checks a verified peer against a trunk's accepted identities after the handshake.
func AuthorizeNames(r *Report, n Names) (f Finding, ok bool) {
	if f, refused := r.refusal(); refused {
		return f, false
	}
	return matchNames(r.Leaf(), n)
}

// refusal returns what already refuses the peer; a report without a verified chain refuses whatever its findings say.
func (r *Report) refusal() (Finding, bool) {
	if r == nil || r.Leaf() == nil {
		return noCertificate(PeerIsClient), true
	}
	if f, _ := r.Findings.First(); f.Severity == Refusal {
		return f, true
	}
	if r.Chain == nil {
		return Finding{Rule: RulePath, Severity: Refusal, Subject: subject(r.Leaf()),
			What: "presented a certificate that was not verified", Fix: "verify it first"}, true
	}
	return Finding{}, false
}
