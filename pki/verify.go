package pki

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"slices"
	"time"
)

// MaxChain is the number of certificates a peer may send.
const MaxChain = 10

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

// eku returns the extended key usage the peer needs, and its name.
func (s Side) eku() (x509.ExtKeyUsage, string) {
	if s == PeerIsServer {
		return x509.ExtKeyUsageServerAuth, "serverAuth"
	}
	return x509.ExtKeyUsageClientAuth, "clientAuth"
}

// Report is what a verification found.
type Report struct {
	Presented []*x509.Certificate // as sent, leaf first
	Chain     []*x509.Certificate // leaf to anchor; nil when no path was found
	Kinds     Kinds               // whom this certificate may authenticate
	Entry     *Entry              // the register's entry when we issued or adopted it
	Time      time.Time           // the verification's "now"
	Findings  Findings

	peer       string
	registered bool
}

// Registered reports whether the register has this very certificate: one that we issued, or one that CA.Adopt bound. A
// device's LSC is registered; a MIC is not, and authenticates by its anchor alone.
func (r *Report) Registered() bool { return r.registered }

// Service returns which service of which node of this cluster the peer is, proved by a certificate that was issued to it: node is empty
// for one from before there were nodes, which proves the service only. ok is false for everybody else, and for a peer that is refused.
func (r *Report) Service() (name, node string, ok bool) {
	if !r.OK() || !r.registered || r.Entry == nil || r.Entry.Kind != KindService {
		return "", "", false
	}
	return r.Entry.Name, r.Entry.Node, true
}

// IsService reports whether the peer is that service of that node.
func (r *Report) IsService(name, node string) bool {
	n, at, ok := r.Service()
	return ok && node != "" && n == name && at == node
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

// Subject returns the peer's subject as text, "" when it sent no certificate.
func (r *Report) Subject() string {
	if r.Leaf() == nil {
		return ""
	}
	return subject(r.Leaf())
}

// Excusable reports whether PeerPolicy.Exceptions may name the rule: those which old equipment breaks by design and
// which do not let anybody forge an identity. Nothing excuses a broken signature, a revocation or a wrong kind.
func Excusable(r Rule) bool {
	switch r {
	case RuleEKUMissing, RuleEKU, RuleKeyUsage, RuleKeyWeak, RuleCAAsEndEntity:
		return true
	}
	return false
}

// Verify checks a chain as presented by a peer at the given time, which may lie in the future (a forecast). It never
// returns nil. The order of the findings is deterministic.
//
// The path is built and its signatures are checked by crypto/x509; only when that refuses, walk looks for the reason.
// A chain is accepted when crypto/x509 found a path and none of our own rules refuses.
func (t *Trust) Verify(chain []*x509.Certificate, side Side, p PeerPolicy, now time.Time) *Report {
	v := verification{trust: t, side: side, policy: p, now: now,
		report: &Report{Presented: chain, Time: now, peer: p.Peer}}
	v.run()
	return v.report
}

// verification is the working state of one Verify.
type verification struct {
	trust  *Trust
	side   Side
	policy PeerPolicy
	now    time.Time
	report *Report
}

func (v *verification) run() {
	chain := v.report.Presented
	switch {
	case len(chain) == 0:
		v.add(noCertificate(v.side))
		return
	case len(chain) > MaxChain:
		v.add(chainTooLong(len(chain)))
		return
	}
	path, err := v.path()
	if err != nil {
		v.diagnose(err)
		return
	}
	v.report.Chain = path
	v.certificates(path)
	v.revocation(path)
	v.holder(path)
	v.names()
}

// add records a finding, and lowers it when the policy excuses its rule.
func (v *verification) add(f Finding) {
	if f.Severity == Refusal && Excusable(f.Rule) && slices.Contains(v.policy.Exceptions, f.Rule) {
		f.Severity = Warning
		f.What += " (let in by a named exception)"
	}
	v.report.Findings = append(v.report.Findings, f)
}

// index is the certificate's place among those presented; one that was not sent follows them.
func (v *verification) index(c *x509.Certificate) int {
	for i, p := range v.report.Presented {
		if p == c || p.Equal(c) {
			return i
		}
	}
	return len(v.report.Presented)
}

// path returns a verified path from the leaf to an anchor, leaf first. RFC 5280, 6.1.
func (v *verification) path() ([]*x509.Certificate, error) {
	key := pathKey(v.report.Presented)
	paths, ok := v.trust.paths.get(key, v.now)
	if !ok {
		var err error
		if paths, err = v.build(v.report.Presented); err != nil {
			return nil, err
		}
		if tidy(v.report.Presented, paths[0]) {
			v.trust.paths.put(key, paths)
		}
	}
	for _, p := range paths { // cross-signed: prefer the anchor that serves the kinds asked for
		if a, own, ok := v.trust.anchorOf(p[len(p)-1]); ok && (own || a.Kinds&v.policy.Kinds != 0) {
			return p, nil
		}
	}
	return paths[0], nil
}

// tidy reports whether the peer sent its path and nothing else. Only that is remembered: a holder of one certificate
// could otherwise fill the memory by sending it with ever different company.
func tidy(presented, path []*x509.Certificate) bool {
	for i, c := range presented {
		if i >= len(path) || !path[i].Equal(c) {
			return false
		}
	}
	return true
}

// build asks crypto/x509. Extended key usages are our own check, so that they get a finding of their own.
func (v *verification) build(presented []*x509.Certificate) ([][]*x509.Certificate, error) {
	inter := x509.NewCertPool()
	for _, c := range presented[1:] {
		inter.AddCert(c)
	}
	return presented[0].Verify(x509.VerifyOptions{
		Roots: v.trust.pool, Intermediates: inter, CurrentTime: v.now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
}

// certificates applies the rules about single certificates to all of a path, leaf first.
func (v *verification) certificates(path []*x509.Certificate) {
	for i, c := range path {
		at := v.index(c)
		v.validity(c, at)
		v.criticalExtensions(c, at)
		if i == 0 {
			v.endEntity(c)
		}
		_, _, anchor := v.trust.anchorOf(c)
		if !anchor {
			v.digest(c, at)
		}
		v.key(c, at)
		if i > 0 {
			v.issuer(c, at, i-1, anchor)
		}
	}
}

// revocation asks the register about what the cluster issued and the lists about everything. The anchor itself is
// trusted by decision and is not looked up.
func (v *verification) revocation(path []*x509.Certificate) {
	for i, c := range path[:len(path)-1] {
		issuer := path[i+1]
		if name, own := v.trust.ownName(issuer); own {
			v.registered(c, Ref{Issuer: name, Serial: c.SerialNumber.Text(16)})
		} else if i == 0 {
			v.adopted(c)
		}
		v.listed(c, issuer)
	}
}

// registered checks a certificate with our own CA's signature against what we remember to have issued.
func (v *verification) registered(c *x509.Certificate, ref Ref) {
	e, err := v.trust.register.Lookup(context.Background(), ref)
	at := v.index(c)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.add(unregistered(c, at, "no entry"))
	case err != nil:
		v.add(registerUnavailable(c, at, err))
	case e.Fingerprint != Fingerprint(c):
		v.add(unregistered(c, at, "an entry for another certificate of that serial, SHA-256 "+e.Fingerprint))
	case !e.Revoked.IsZero():
		v.add(revoked(c, at, e.Revoked, e.Reason, "the register"))
	}
	if err == nil && at == 0 { // not the same pointer: a remembered path has the certificates of an earlier connection
		v.report.Entry = &e
		v.report.registered = e.Fingerprint == Fingerprint(c)
	}
}

// adopted looks whether a certificate of a foreign issuer was bound to a holder (CA.Adopt). One that was not, or another
// one under the same number, is what its anchor says; so is every one while the register cannot be read, since foreign
// peers are not made to depend on it.
func (v *verification) adopted(c *x509.Certificate) {
	if v.trust.register == nil {
		return
	}
	e, err := v.trust.register.Lookup(context.Background(), RefOf(c))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		f := registerUnavailable(c, 0, err)
		f.Severity = Warning
		v.add(f)
		return
	case e.Fingerprint != Fingerprint(c):
		return
	}
	if !e.Revoked.IsZero() {
		v.add(revoked(c, 0, e.Revoked, e.Reason, "the register"))
	}
	v.report.Entry, v.report.registered = &e, true
}

// listed checks a certificate against its issuer's revocation list. RFC 5280, 6.3.3.
func (v *verification) listed(c, issuer *x509.Certificate) {
	list := v.trust.crls[string(c.RawIssuer)]
	if list == nil {
		return
	}
	at := v.index(c)
	if !list.signedBy(issuer) {
		v.add(crlUnusable(issuer, v.index(issuer)))
		return
	}
	if next := list.nextUpdate; !next.IsZero() && v.now.After(next) {
		v.add(crlStale(issuer, v.index(issuer), next, v.now))
	}
	if when, ok := list.revoked[c.SerialNumber.Text(16)]; ok {
		v.add(revoked(c, at, when, "", "the revocation list of "+subject(issuer)))
	}
}

// holder finds out whom the certificate authenticates, and whether that is one whom the policy accepts.
func (v *verification) holder(path []*x509.Certificate) {
	anchor, own, _ := v.trust.anchorOf(path[len(path)-1])
	v.report.Kinds = anchor.Kinds
	switch {
	case v.report.Entry != nil:
		v.report.Kinds = KindsOf(v.report.Entry.Kind)
	case own:
		v.report.Kinds = 0
		return // unregistered was found, and says more
	}
	if v.report.Kinds&v.policy.Kinds == 0 {
		v.add(wrongKind(path[0], v.report, v.policy.Kinds))
	}
}

func (v *verification) names() {
	if f, ok := matchNames(v.report.Leaf(), v.policy.Names); !ok {
		v.add(f)
	}
}
