package element

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"sync"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// verifyPeer answers the transport's question about a TLS peer: may it be here, and who is it? What it may do here is
// decided later, by the peer (or device) it claims to be.
func (e *Element) verifyPeer(c transport.Check) (transport.PeerIdentity, error) {
	side, policy := pki.PeerIsClient, pki.PeerPolicy{Peer: c.Remote.Addr().String(), Kinds: e.kinds()}
	var check func(*pki.Report) error
	if !c.Inbound {
		side = pki.PeerIsServer
		policy, check = e.dialPolicy(c.Policy, c.ServerName)
	}
	report := e.cfg.Identity.Inspect(*c.State, side, policy)
	if err := report.Err(); err != nil {
		return transport.PeerIdentity{}, err
	}
	if check != nil {
		if err := check(report); err != nil {
			return transport.PeerIdentity{}, err
		}
	}
	return identityOf(report), nil
}

// kinds are the holders that may connect; what each may do is decided by what it asks for.
func (e *Element) kinds() pki.Kinds {
	if e.cfg.Hooks.Kinds != 0 {
		return e.cfg.Hooks.Kinds
	}
	return pki.KindsOf(pki.KindPeer, pki.KindService)
}

// dialPolicy says whom a dialled peer must prove to be: one of its accepted subjects; without a list the name that
// was dialled, as a SIP domain (RFC 5922, 7.2: no wildcards) or as an address.
func (e *Element) dialPolicy(peer, serverName string) (pki.PeerPolicy, func(*pki.Report) error) {
	if e.cfg.Hooks.Dialled != nil {
		if p, check, ok := e.cfg.Hooks.Dialled(peer); ok {
			return p, check
		}
	}
	p := pki.PeerPolicy{Peer: peer, Kinds: pki.KindsOf(pki.KindPeer, pki.KindService), Names: pki.Names{SIPDomain: serverName}}
	if _, err := netip.ParseAddr(serverName); err == nil {
		p.Names = pki.Names{Host: serverName}
	}
	if t := e.peers.Load().byName[peer]; t != nil && len(t.Subjects) > 0 {
		p.Names = pki.Names{Subjects: t.Subjects}
	}
	return p, nil
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

// ReportOf is the verification that let the flow's peer in; nil for a flow without TLS.
func ReportOf(f *transport.Flow) *pki.Report {
	p := f.Peer()
	if p == nil {
		return nil
	}
	r, _ := p.Detail.(*pki.Report)
	return r
}

// serverTLS is the listener's TLS: mutual, with the identity's present certificates at every handshake. The peer's chain
// is verified by verifyPeer, whose findings the operator reads.
func (e *Element) serverTLS() func(*tls.ClientHelloInfo) (*tls.Config, error) {
	cfg := e.cfg.Identity.ServerConfig(pki.ServerPolicy{TLSPolicy: e.TLSPolicy(), Peers: pki.PeerPolicy{Kinds: e.kinds()}})
	return cfg.GetConfigForClient
}

// dialTLS is the configuration for dialling a peer.
func (e *Element) dialTLS(d transport.Dest) (*tls.Config, error) {
	policy, _ := e.dialPolicy(d.Policy, d.ServerName)
	key := dialKey{policy: d.Policy, serverName: d.ServerName, generation: e.peers.Load().generation}
	return e.clients.get(key, func() *tls.Config {
		return e.cfg.Identity.ClientConfig(pki.ClientPolicy{TLSPolicy: e.TLSPolicy(), ServerName: d.ServerName, Peer: policy})
	}), nil
}

// TLSPolicy is what both directions have in common; its Weaknesses are exceptions.
func (e *Element) TLSPolicy() pki.TLSPolicy {
	return pki.TLSPolicy{KeyLog: e.cfg.KeyLog, MinVersion: e.cfg.TLSMin, MaxVersion: e.cfg.TLSMax}
}

// dialConfigs keeps one TLS configuration for each peer that is dialled, so that sessions can be resumed.
type dialConfigs struct {
	mu     sync.Mutex
	byPeer map[dialKey]*tls.Config
}

type dialKey struct {
	policy, serverName string
	generation         int64
}

// maxDialConfigs bounds the table: a configuration in force has one entry a destination.
const maxDialConfigs = 4096

func (c *dialConfigs) get(k dialKey, make_ func() *tls.Config) *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cfg := c.byPeer[k]; cfg != nil {
		return cfg
	}
	if c.byPeer == nil || len(c.byPeer) >= maxDialConfigs {
		c.byPeer = map[dialKey]*tls.Config{}
	}
	cfg := make_()
	c.byPeer[k] = cfg
	return cfg
}

// Recheck verifies the peers of all TLS connections again, under the trust of now, and closes those of peers that would not be
// let in any more: a certificate revoked, an authority removed. It returns how many it closed. Others keep talking, also
// with a certificate that has merely run out since: for those the next handshake is soon enough.
func (e *Element) Recheck() (closed int) {
	for _, info := range e.ep.Flows() {
		f := e.ep.Transport().Get(info.ID)
		if f == nil || !f.Established() || f.TLS() == nil {
			continue
		}
		check := transport.Check{State: f.TLS(), Inbound: f.Inbound(), Remote: f.Remote(), Policy: f.Policy(), ServerName: f.ServerName()}
		if _, err := e.verifyPeer(check); err != nil && !onlyExpired(err) {
			e.Note(e.owners.get(f), "connection closed: "+err.Error())
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
