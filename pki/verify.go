package pki

import (
	"crypto/x509"
	"time"
)

// PeerPolicy says what a peer's chain has to be. The zero value accepts no kind, hence nobody.
type PeerPolicy struct {
	// Peer is what we call the peer in sentences: a trunk's name, a host. Empty: "the peer".
	Peer string
	// Kinds are the holders accepted.
	Kinds Kinds
	// Names says which identities are accepted; the zero value accepts any verified certificate.
	Names Names
	// Exceptions turns refusals by these rules into warnings. Only rules that Excusable names can be excused.
	Exceptions []Rule
}

// Names is the identity a peer has to prove. Subjects, when given, decides alone; otherwise the peer must satisfy
// SIPDomain or Host, whichever is given (either, when both are).
type Names struct {
	// Subjects are accepted X.509 subject common names or subject alternative names (a trunk's list), compared whole
	// and without regard to case.
	Subjects []string
	// SIPDomain is the domain of RFC 5922: a sip URI or DNS name of the certificate equals it; no wildcards.
	SIPDomain string
	// Host is a DNS name or IP address dialled, matched as RFC 6125 says, wildcards in the leftmost label included.
	Host string
}

// Side is the end of the connection the verified peer is on. The zero value is the client end.
type Side uint8

const (
	PeerIsClient Side = iota // it needs extended key usage clientAuth
	PeerIsServer             // it needs extended key usage serverAuth
)

// Report is what a verification found.
type Report struct {
	Presented []*x509.Certificate // as sent, leaf first
	Chain     []*x509.Certificate // leaf to anchor; nil when no path was found
	Kinds     Kinds               // whom this certificate may authenticate
	Entry     *Entry              // the register's entry when we issued it
	Time      time.Time           // the verification's "now"
	Findings  Findings
	peer      string
}

// OK reports whether nothing refuses.
func (r *Report) OK() bool { return r.Findings.OK() }

// Err returns nil or a *VerifyError.
func (r *Report) Err() error { return r.Findings.Err(r.peer) }

// Leaf returns the peer's own certificate, nil when it sent none.
func (r *Report) Leaf() *x509.Certificate {
	if len(r.Presented) == 0 {
		return nil
	}
	return r.Presented[0]
}

// Verify checks a chain as presented by a peer at the given time, which may lie in the future (a forecast). It never
// returns nil. The order of the findings is deterministic.
func (t *Trust) Verify(chain []*x509.Certificate, side Side, p PeerPolicy, now time.Time) *Report {
	panic("soon")
}

// Excusable reports whether PeerPolicy.Exceptions may name the rule.
func Excusable(r Rule) bool { panic("soon") }

// AuthorizeDevice checks that a verified peer may register as the device: the certificate was issued to a device (or
// by a foreign anchor trusted for devices) and names it: exactly, or as CP-<model>-SEP + the device's 12 hex digits. ok is true when it
// may; otherwise the finding tells the rule, fit for a 403's Warning text.
func AuthorizeDevice(r *Report, device string) (f Finding, ok bool) { panic("soon") }

// AuthorizeCTI checks that a verified peer is the CTI application instance of that name.
func AuthorizeCTI(r *Report, instance string) (f Finding, ok bool) { panic("soon") }

// AuthorizeNames checks a verified peer against a trunk's accepted identities after the handshake.
func AuthorizeNames(r *Report, n Names) (f Finding, ok bool) { panic("soon") }
