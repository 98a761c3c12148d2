package callmanager

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/leg/tieleg"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Ties: the SIP dialogs between the call managers of the cluster. Where the others are and which life of theirs it is they say
// themselves, as facts; who they are their certificates prove, in both directions.

// tiePort is where call managers meet: the port that has TLS always.
const tiePort = 5061

// nodeFact is what a call manager says of itself, under the kind factNode and its node's name.
type nodeFact struct {
	// Life is another text for every start: ids of legs belong to one.
	Life      string       `json:"life"`
	Addresses []netip.Addr `json:"addresses"`
}

// peers are the call managers of the other nodes, guarded by its lock.
type peers struct {
	mu    sync.RWMutex
	known map[string]peer
}

// A peer is another call manager. One that is lost keeps its place here: calls that are up are told their end there.
type peer struct {
	nodeFact
	profile *sipleg.Profile
	alive   bool
}

func (p *peers) get(node string) (peer, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	x, ok := p.known[node]
	return x, ok
}

// life is the one a node's call manager lives, as far as is known.
func (p *peers) life(node string) string {
	x, _ := p.get(node)
	return x.Life
}

// said takes what a call manager says of itself.
func (p *peers) said(node string, f nodeFact, profile *sipleg.Profile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[string]peer{}
	}
	p.known[node] = peer{f, profile, true}
}

func (p *peers) lost(node string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x, ok := p.known[node]; ok {
		x.alive = false
		p.known[node] = x
	}
}

// tiePolicy is the name under which the connections to a node's call manager are made: no name of the site can be like it.
func tiePolicy(node string) string { return "node:" + node }

// tiedTo undoes it.
func tiedTo(policy string) (node string, ok bool) { return strings.CutPrefix(policy, "node:") }

// nodeOf is the node whose call manager is at the other end of a flow: one of this site's others, proved by the certificate it was issued.
func (s *Service) nodeOf(f *transport.Flow) (node string, ok bool) {
	r := element.ReportOf(f)
	if r == nil || f.Network() != transport.TLS {
		return "", false
	}
	name, node, ok := r.Service()
	if !ok || name != Name || node == "" || node == s.cfg.Node || !s.site.Load().hasNode(node) {
		return "", false
	}
	return node, true
}

// hasNode says whether the site has the node, with a call manager.
func (st *site) hasNode(name string) bool { return slices.Contains(callManagers(st.config), name) }

// callManagers are the nodes of a site with a call manager, in the configured order.
func callManagers(c *config.Site) (out []string) {
	for _, n := range c.Nodes {
		if n.Runs(config.ServiceCallManager) {
			out = append(out, n.Name)
		}
	}
	return out
}

// clustered says whether the site has further nodes with a call manager.
func (st *site) clustered() bool { return len(callManagers(st.config)) > 1 }

// speaksFor says whether it is this node that tells operators of what is at no node: the first that lives, of the group before all others.
func (s *Service) speaksFor(st *site, group string) bool {
	var order []string
	for _, g := range st.config.CallManagerGroups {
		if g.Name == group {
			order = append(order, g.Nodes...)
		}
	}
	for _, node := range append(order, callManagers(st.config)...) {
		if node == s.cfg.Node {
			return true
		}
		if p, known := s.peers.get(node); known && p.alive {
			return false
		}
	}
	return true
}

// isNode says of a report whether the peer is the call manager of a node; the error says what was found instead.
func isNode(r *pki.Report, node string) error {
	if r.IsService(Name, node) {
		return nil
	}
	name, at, ok := r.Service()
	if !ok {
		return fmt.Errorf("the peer is no service of this cluster; expected the call manager of node %s, with the certificate it was issued", node)
	}
	return fmt.Errorf("the peer is service %s of node %s; expected the call manager of node %s: two nodes may have each other's address, see `locktone show nodes`",
		name, cmp.Or(at, "(none)"), node)
}

// tieDialled is who must be at the end of a tie: which service of which node it is, its certificate says.
func (s *Service) tieDialled(policy string) (p pki.PeerPolicy, check func(*pki.Report) error, ok bool) {
	node, ok := tiedTo(policy)
	if !ok {
		return p, nil, false
	}
	return pki.PeerPolicy{Peer: "node " + node, Kinds: pki.KindsOf(pki.KindService)}, func(r *pki.Report) error { return isNode(r, node) }, true
}

// tieTarget is where requests to a node's call manager go.
func (s *Service) tieTarget(node string) (t endpoint.Target, ok bool) {
	addresses := s.addressesOf(node)
	if len(addresses) == 0 {
		return t, false
	}
	t = endpoint.Target{LocalIdentity: s.identity.Name(), ServerName: addresses[0].String(), Policy: tiePolicy(node)}
	for _, a := range addresses {
		t.Hops = append(t.Hops, endpoint.Hop{Network: transport.TLS, Addr: netip.AddrPortFrom(a, tiePort)})
	}
	return t, true
}

// addressesOf are a node's addresses: what it says itself, else what the site says.
func (s *Service) addressesOf(node string) []netip.Addr {
	if p, ok := s.peers.get(node); ok {
		return p.Addresses
	}
	for _, n := range s.site.Load().config.Nodes {
		if a, err := netip.ParseAddr(n.Address); err == nil && n.Name == node {
			return []netip.Addr{a}
		}
	}
	return nil
}

// tieProfile is how we speak with the call manager of a node.
func (s *Service) tieProfile(node, life string) *sipleg.Profile {
	return tieleg.Profile(tieleg.Dialect{Node: s.cfg.Node, Peer: node, Life: s.life, PeerLife: life, Now: func() string { return s.peers.life(node) }})
}

// tieWays are the ways to what is at another node.
func (s *Service) tieWays(st *site, t call.Target) ([]sipleg.Way, *sipleg.Refusal) {
	p, known := s.peers.get(t.Node)
	to, ok := s.tieTarget(t.Node)
	if !known || !ok {
		return nil, &sipleg.Refusal{Status: 503, Cause: call.DestinationOutOfOrder, Warning: "the call manager of node " + t.Node + " is not known here: it does not run, or the bus is down"}
	}
	uri := sip.URI{Scheme: "sip", User: sip.EscapeUser(t.Called), Host: p.Addresses[0].String(), Port: tiePort, Params: sip.Params{{Name: "transport", Value: "tls"}}}
	return []sipleg.Way{{URI: uri, To: to, Contact: s.tieContact(), Domain: st.Cluster().Domain, Profile: p.profile}}, nil
}

// tieContact is where other call managers reach us.
func (s *Service) tieContact() sip.URI {
	return sip.URI{Scheme: "sip", Host: s.cfg.Addresses[0].String(), Port: tiePort, Params: sip.Params{{Name: "transport", Value: "tls"}}}
}

// tieOrigin is who calls from another call manager of the cluster; ok is false for everybody else, and for what one of them sends as a
// stranger would: without the header field, which may be for a trunk.
func (s *Service) tieOrigin(f *transport.Flow, m *sip.Message) (o sipleg.Origin, ok bool) {
	node, ok := s.nodeOf(f)
	if !ok || m.Method() == sip.INVITE && m.ToTag() == "" && !m.Has(tieleg.Name) {
		return o, false
	}
	s.el.SetOwner(f, tieOwner(node))
	p, known := s.peers.get(node)
	o = sipleg.Origin{Node: node, Domain: s.site.Load().Cluster().Domain, Profile: p.profile}
	if !known { // it calls before we have heard of it
		o.Profile = s.tieProfile(node, "")
	}
	o.Back, _ = s.tieTarget(node)
	return o, true
}

// tieOwner is how tables and traces call the owner of a tie's connection.
func tieOwner(node string) string { return "node:" + node }

// Elsewhere implements sipleg.Directory: the leg of a dialog that another node has told of (RFC 3891, 3; RFC 3911, 4).
func (s *Service) Elsewhere(r sip.Replaces) (node string, leg call.LegID, ok bool) {
	return s.lamps.elsewhere.find(r)
}

// announce tells the other nodes where we are.
func (s *Service) announce() {
	bus.Put(s.cfg.Bus.Board(), factNode, s.cfg.Node, nodeFact{Life: s.life, Addresses: s.cfg.Addresses})
}
