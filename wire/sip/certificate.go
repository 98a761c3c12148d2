package sip

import (
	"crypto/x509"
	"strings"
)

// CertificateIdentities are the names a certificate asserts for SIP. RFC 5922, 7.1.
type CertificateIdentities struct {
	Domains []string // from sip: URIs without user part and from DNS names, lower case, in that order
	URIs    []URI    // sip: URIs with user part: a user's identity, never a domain's
}

// Identities reads the subject alternative names. RFC 5922, 7.1: sip URIs come first, DNS names count only when there is no
// sip URI for a domain; other schemes (sips too) are ignored; the common name is not looked at (the RFC leaves that to
// local policy, and only where there is no subject alternative name at all).
func Identities(cert *x509.Certificate) CertificateIdentities {
	var ids CertificateIdentities
	for _, u := range cert.URIs {
		uri, err := ParseURI(u.String())
		switch {
		case err != nil || uri.Scheme != "sip":
		case uri.User != "":
			ids.URIs = append(ids.URIs, uri)
		default:
			ids.Domains = append(ids.Domains, strings.ToLower(uri.Host))
		}
	}
	if len(ids.Domains) > 0 {
		return ids
	}
	for _, name := range cert.DNSNames {
		ids.Domains = append(ids.Domains, strings.ToLower(name))
	}
	return ids
}

// AssertsDomain says whether the certificate speaks for a SIP domain. RFC 5922, 7.2: the whole name matches, in any case;
// a wildcard matches nothing.
func (ids CertificateIdentities) AssertsDomain(domain string) bool {
	domain = strings.TrimSuffix(domain, ".")
	for _, d := range ids.Domains {
		if !strings.Contains(d, "*") && strings.EqualFold(strings.TrimSuffix(d, "."), domain) {
			return true
		}
	}
	return false
}

// AssertsUser says whether the certificate speaks for this user's URI.
func (ids CertificateIdentities) AssertsUser(u URI) bool {
	for _, id := range ids.URIs {
		if samePart(id.User, u.User) && strings.EqualFold(id.Host, u.Host) {
			return true
		}
	}
	return false
}
