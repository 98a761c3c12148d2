package capf

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"github.com/locktone/locktone/pki"
)

// modernSuites are the TLS 1.2 suites offered to everybody. RFC 9325, 4.2.
func modernSuites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// Exception is the name of the one exception of this service.
const Exception = "capf-legacy-rsa"

// suites are those of a listener.
func suites(legacy bool) []uint16 {
	s := modernSuites()
	if legacy {
		s = append(s, tls.TLS_RSA_WITH_AES_128_CBC_SHA)
	}
	return s
}

// handshakes makes the configuration of one handshake: both variants are made once and follow the identity by
// themselves.
type handshakes struct {
	modern, legacy *tls.Config
}

func newHandshakes(id *pki.Identity) handshakes {
	make := func(legacy bool) *tls.Config {
		return id.ServerConfig(pki.ServerPolicy{TLSPolicy: pki.TLSPolicy{MinVersion: tls.VersionTLS12, CipherSuites: suites(legacy)},
			ClientAuth: pki.ClientAuthNone, NoResumption: true})
	}
	return handshakes{make(false), make(true)}
}

// config is for one connection: it remembers what the client offers.
func (h handshakes) config(legacy bool, offer *offer) *tls.Config {
	base := h.modern
	if legacy {
		base = h.legacy
	}
	c := base.Clone()
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		*offer = offerOf(hello)
		return base.GetConfigForClient(hello)
	}
	return c
}

// offer is what a client says in its first message.
type offer struct {
	Versions []uint16
	Suites   []uint16
	Server   string
}

func offerOf(h *tls.ClientHelloInfo) offer {
	return offer{slices.Clone(h.SupportedVersions), slices.Clone(h.CipherSuites), h.ServerName}
}

// maxListed bounds the suites that a finding lists.
const maxListed = 24

func (o offer) String() string {
	var versions, suites []string
	for _, v := range o.Versions {
		if !grease(v) {
			versions = append(versions, tls.VersionName(v))
		}
	}
	for _, s := range o.Suites[:min(len(o.Suites), maxListed)] {
		if !grease(s) {
			suites = append(suites, suiteName(s))
		}
	}
	return strings.Join(versions, ", ") + "; " + strings.Join(suites, ", ")
}

// grease reports one of the numbers that clients send to keep servers tolerant. RFC 8701, 2.
func grease(v uint16) bool { return v&0x0F0F == 0x0A0A && v>>8 == v&0xFF }

func suiteName(s uint16) string {
	switch s {
	case 0x0000, 0x0001, 0x0002, 0x003B:
		return map[uint16]string{0: "TLS_NULL_WITH_NULL_NULL", 1: "TLS_RSA_WITH_NULL_MD5", 2: "TLS_RSA_WITH_NULL_SHA", 0x3B: "TLS_RSA_WITH_NULL_SHA256"}[s]
	case 0x0033:
		return "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"
	case 0x0039:
		return "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"
	case 0x00FF:
		return "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"
	}
	return tls.CipherSuiteName(s)
}

// finding says why a client and this service could not agree, as far as the client's offer tells.
func (o offer) finding(err error, legacy bool) pki.Finding {
	f := pki.Finding{Rule: pki.RuleProtocol, Severity: pki.Refusal, Expected: "TLS 1.2 or 1.3 with forward secrecy", Got: o.String()}
	switch {
	case len(o.Versions) == 0:
		return pki.Explain(err, pki.PeerIsClient)[0]
	case slices.Max(o.real()) < tls.VersionTLS12:
		f.What = "speaks nothing newer than " + tls.VersionName(slices.Max(o.real()))
		f.Fix = "update its firmware; TLS 1.0 and 1.1 are not spoken here, and no exception allows them"
	case o.onlyNull():
		f.What = "offers only cipher suites that do not encrypt"
		f.Fix = "set its device security mode to encrypted; NULL ciphers are not spoken here, and no exception allows them"
	case !o.shares(modernSuites()) && o.shares([]uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}) && !legacy:
		f.What = "knows no cipher suite with forward secrecy"
		f.Fix = fmt.Sprintf("update it, or allow the exception %s (legacyRSA of service capf on this node)", Exception)
	case !o.shares(suites(legacy)) && !slices.Contains(o.Versions, tls.VersionTLS13):
		f.What = "shares no cipher suite with this service"
		f.Fix = "enable one of ECDHE with AES-GCM or ChaCha20-Poly1305 on it"
	default:
		out := pki.Explain(err, pki.PeerIsClient)[0]
		if out.Got == "" {
			out.Got = o.String()
		}
		return out
	}
	return f
}

// real are the versions that are not there to keep us tolerant; never empty.
func (o offer) real() []uint16 {
	out := slices.DeleteFunc(slices.Clone(o.Versions), grease)
	if len(out) == 0 {
		return []uint16{0}
	}
	return out
}

func (o offer) shares(s []uint16) bool {
	return slices.ContainsFunc(o.Suites, func(x uint16) bool { return slices.Contains(s, x) })
}

func (o offer) onlyNull() bool {
	some := false
	for _, s := range o.Suites {
		switch {
		case s == 0x0000 || s == 0x0001 || s == 0x0002 || s == 0x003B || s >= 0xC000 && strings.Contains(suiteName(s), "_NULL_"):
			some = true
		case s == 0x00FF || grease(s):
		default:
			return false
		}
	}
	return some
}
