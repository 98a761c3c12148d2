package tvs

import (
	"crypto/tls"

	"github.com/locktone/locktone/pki"
)

// standing is how a client's certificate stands, from the worst to the best. The zero value is refused.
type standing uint8

const (
	refused  standing = iota
	stranger          // no certificate, or one that nobody we trust issued
	expired           // it verifies but for the date
	verified
)

// String is the standing in a word, as the trace shows it.
func (s standing) String() string {
	return [...]string{"refused", "stranger", "expired", "verified"}[s]
}

// policy accepts whoever has a verified certificate: answers are the same for all.
func policy() pki.PeerPolicy {
	return pki.PeerPolicy{Peer: "the phone", Kinds: pki.AllKinds()}
}

// fatal reports findings after which nobody is served: the certificate was taken back, or somebody made it look as if we
// or an authority we trust had issued it.
func fatal(r pki.Rule) bool {
	switch r {
	case pki.RuleRevoked, pki.RuleUnregistered, pki.RuleMalformed, pki.RuleChainTooLong, pki.RuleSignature, pki.RuleIssuerKey:
		return true
	}
	return false
}

// classify says how a client stands, and for one that is refused why.
func (s *Service) classify(cs tls.ConnectionState) (standing, *pki.Report, error) {
	if len(cs.PeerCertificates) == 0 {
		return stranger, nil, nil // crypto/tls refused it before, unless anonymous clients are allowed
	}
	r := s.cfg.Identity.Inspect(cs, pki.PeerIsClient, policy())
	best := verified
	for _, f := range r.Findings {
		if f.Severity != pki.Refusal {
			continue
		}
		switch {
		case fatal(f.Rule):
			return refused, r, &pki.VerifyError{Peer: policy().Peer, Findings: pki.Findings{f}}
		case f.Rule == pki.RuleExpired || f.Rule == pki.RuleNotYetValid:
			best = min(best, expired)
		default:
			best = stranger
		}
	}
	if best == stranger && s.cfg.VerifiedOnly {
		return refused, r, r.Err()
	}
	return best, r, nil
}

// tlsConfig is the listener's: the identity's own, with our verdict on the client in place of its.
func (s *Service) tlsConfig() *tls.Config {
	p := pki.ServerPolicy{TLSPolicy: pki.TLSPolicy{KeyLog: s.cfg.KeyLog}, NoResumption: true, Peers: policy()}
	if s.cfg.AllowAnonymous {
		p.ClientAuth = pki.ClientAuthOptional
	}
	c := s.cfg.Identity.ServerConfig(p)
	inner := c.GetConfigForClient
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		one, err := inner(hello)
		if err != nil {
			return nil, err
		}
		one = one.Clone()   // it is shared by all handshakes of a snapshot
		one.ClientCAs = nil // any certificate is better than none: a phone must not hold back one whose maker we do not name
		one.VerifyConnection = func(cs tls.ConnectionState) error {
			_, _, err := s.classify(cs)
			return err
		}
		return one, nil
	}
	return c
}
