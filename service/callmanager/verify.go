package callmanager

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// verifyPeer answers the transport's question about a TLS peer: may it be here, and who is it? What it may do here is
// decided later, by the device or trunk it claims to be.
func (s *Service) verifyPeer(c transport.Check) (transport.PeerIdentity, error) {
	side, policy := pki.PeerIsClient, pki.PeerPolicy{Peer: c.Remote.Addr().String(), Kinds: inboundKinds}
	if !c.Inbound {
		side, policy = pki.PeerIsServer, s.dialPolicy(c.Policy, c.ServerName)
	}
	report := s.identity.Inspect(*c.State, side, policy)
	if err := report.Err(); err != nil {
		return transport.PeerIdentity{}, err
	}
	if node, tie := tiedTo(c.Policy); tie && !c.Inbound {
		if err := isNode(report, node); err != nil {
			return transport.PeerIdentity{}, err
		}
	}
	return identityOf(report), nil
}

// inboundKinds are the holders that may connect; what each may do is decided by what it asks for.
var inboundKinds = pki.KindsOf(pki.KindDevice, pki.KindPeer, pki.KindService)

// dialPolicy says whom a dialled peer must prove to be: one of its trunk's accepted subjects; without a list the name that
// was dialled, as a SIP domain (RFC 5922, 7.2: no wildcards) or as an address.
func (s *Service) dialPolicy(trunk, serverName string) pki.PeerPolicy {
	if node, tie := tiedTo(trunk); tie { // which service of which node it is, verifyPeer sees
		return pki.PeerPolicy{Peer: "node " + node, Kinds: pki.KindsOf(pki.KindService)}
	}
	p := pki.PeerPolicy{Peer: trunk, Kinds: pki.KindsOf(pki.KindPeer, pki.KindService), Names: pki.Names{SIPDomain: serverName}}
	if _, err := netip.ParseAddr(serverName); err == nil {
		p.Names = pki.Names{Host: serverName}
	}
	if t := s.site.Load().trunk(trunk); t != nil && len(t.Security.AcceptedSubjects) > 0 {
		p.Names = pki.Names{Subjects: t.Security.AcceptedSubjects}
	}
	return p
}

// identityOf puts a verification's result into the transport's words.
func identityOf(r *pki.Report) transport.PeerIdentity {
	leaf := r.Leaf()
	ref := pki.RefOf(leaf)
	id := transport.PeerIdentity{
		Key: pki.Fingerprint(leaf), Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), Serial: ref.Serial,
		Names: namesOf(leaf), Detail: r,
	}
	for _, f := range r.Findings {
		id.Findings = append(id.Findings, f.String())
	}
	return id
}

// namesOf lists what a certificate may speak for: its SIP domains and DNS names (RFC 5922, 7.1) and its common name,
// which is what names a device.
func namesOf(c *x509.Certificate) []string {
	names := sip.Identities(c).Domains
	if c.Subject.CommonName != "" {
		names = append(names, c.Subject.CommonName)
	}
	return names
}

// reportOf is the verification that let the flow's peer in; nil for a flow without TLS.
func reportOf(f *transport.Flow) *pki.Report {
	p := f.Peer()
	if p == nil {
		return nil
	}
	r, _ := p.Detail.(*pki.Report)
	return r
}

// serverTLS is the listener's TLS: mutual, with the identity's present certificates at every handshake. The peer's chain
// is verified by verifyPeer, whose findings the operator reads.
func (s *Service) serverTLS() func(*tls.ClientHelloInfo) (*tls.Config, error) {
	cfg := s.identity.ServerConfig(pki.ServerPolicy{TLSPolicy: s.tlsPolicy(), Peers: pki.PeerPolicy{Kinds: inboundKinds}})
	return cfg.GetConfigForClient
}

// dialTLS is the configuration for dialling a trunk.
func (s *Service) dialTLS(d transport.Dest) (*tls.Config, error) {
	policy := s.dialPolicy(d.Policy, d.ServerName)
	key := dialKey{policy: d.Policy, serverName: d.ServerName, revision: s.site.Load().Revision()}
	return s.clients.get(key, func() *tls.Config {
		return s.identity.ClientConfig(pki.ClientPolicy{TLSPolicy: s.tlsPolicy(), ServerName: d.ServerName, Peer: policy})
	}), nil
}

// tlsPolicy is what both directions have in common.
func (s *Service) tlsPolicy() pki.TLSPolicy { return pki.TLSPolicy{KeyLog: s.cfg.KeyLog} }

// Recheck verifies the peers of all TLS connections again, under the trust of now, and closes those of peers that would not be
// let in any more: a certificate revoked, an authority removed. It returns how many it closed. Others keep talking, also
// with a certificate that has merely run out since: for those the next handshake is soon enough.
func (s *Service) Recheck() (closed int) {
	for _, info := range s.ep.Flows() {
		f := s.ep.Transport().Get(info.ID)
		if f == nil || !f.Established() || f.TLS() == nil {
			continue
		}
		check := transport.Check{State: f.TLS(), Inbound: f.Inbound(), Remote: f.Remote(), Policy: f.Policy(), ServerName: f.ServerName()}
		if _, err := s.verifyPeer(check); err != nil && !onlyExpired(err) {
			s.note(s.owners.get(f), "connection closed: "+err.Error())
			f.Close(err)
			closed++
		}
	}
	return closed
}

func onlyExpired(err error) bool {
	refusals := 0
	for _, f := range pki.FindingsOf(err) {
		if f.Severity == pki.Refusal {
			refusals++
			if f.Rule != pki.RuleExpired {
				return false
			}
		}
	}
	return refusals > 0
}
