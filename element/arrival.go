package element

import (
	"cmp"
	"fmt"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// PeerOf finds the peer at the other end of the flow: over TLS by the subjects it may bear, and of several peers that may bear the same
// the one with the flow's address; without TLS by the address; always on the peer's port.
func (e *Element) PeerOf(f *transport.Flow) (string, *sipleg.Refusal) {
	report := ReportOf(f)
	var first *sipleg.Refusal
	named := ""
	for _, p := range e.peers.Load().list {
		if !p.reaches(f) {
			continue
		}
		if f.Network() == transport.TLS {
			finding, ok := p.proven(report)
			if !ok {
				if first == nil && finding != nil {
					first = forbidden(finding.Sentence("trunk " + p.Name))
				}
				continue
			}
			named = cmp.Or(named, p.Name)
		}
		if e.destinations.from(p.Name, f.Remote().Addr()) {
			return p.Name, nil
		}
	}
	if named != "" {
		return named, nil
	}
	if first == nil {
		first = forbidden(fmt.Sprintf("no device or trunk is configured for %s over %s%s", f.Remote(), f.Network(), Whose(f)))
	}
	return "", first
}

// proven says whether the certificate carries one of the peer's subjects; without a list nobody does. The finding
// is nil where no certificate was shown.
func (p *Peer) proven(report *pki.Report) (*pki.Finding, bool) {
	if report == nil {
		return nil, false
	}
	finding, ok := pki.AuthorizeNames(report, pki.Names{Subjects: p.Subjects})
	return &finding, ok && len(p.Subjects) > 0
}

// Whose says for whom the certificate on a flow was issued, as the last part of a sentence.
func Whose(f *transport.Flow) string {
	if p := f.Peer(); p.Verified() {
		return "; the certificate shown is for " + p.Subject
	}
	return ""
}

func forbidden(why string) *sipleg.Refusal { return &sipleg.Refusal{Status: 403, Warning: why} }

// directory is the SIP driver's view of the peers.
type directory struct{ e *Element }

var _ sipleg.Directory = directory{}

// Arrival implements sipleg.Directory: the peer that opens a call.
func (d directory) Arrival(f *transport.Flow, m *sip.Message) (sipleg.Origin, *sipleg.Refusal) {
	name, refused := d.e.PeerOf(f)
	a := Arrival{Peer: name}
	if d.e.cfg.Policy != nil {
		a, refused = d.e.cfg.Policy.Arrival(Incoming{Flow: f, Message: m, Peer: name, Refused: refused})
	}
	if refused == nil && d.e.draining.Load() {
		refused = &sipleg.Refusal{Status: 503, Warning: "this element is being drained and takes no new calls", Retry: drainRetry}
	}
	if refused != nil {
		return sipleg.Origin{}, refused
	}
	d.e.owners.set(f, a.Peer)
	o, refused := d.e.origin(a)
	o.Back = d.e.Back(f, a.Peer)
	return o, refused
}

// Back is where the peer of a call that came in is reached when its connection is gone: the destination of the peer with the connection's
// address, else the first that would be tried; nowhere for a peer without destinations.
func (e *Element) Back(f *transport.Flow, peer string) (t endpoint.Target) {
	for i, d := range e.destinations.hops(peer) {
		if here := d.hop.Addr.Addr() == f.Remote().Addr(); here || i == 0 {
			t = d.target(e.cfg.Identity.Name())
			if here {
				break
			}
		}
	}
	return t
}

func (e *Element) origin(a Arrival) (sipleg.Origin, *sipleg.Refusal) {
	p := e.peers.Load().byName[a.Peer]
	if p == nil {
		return sipleg.Origin{}, forbidden("trunk " + a.Peer + " is not configured any more")
	}
	return sipleg.Origin{Trunk: p.Name, Called: a.Called, Route: a.Route, RouteCauses: a.RouteCauses, Domain: p.Domain, Profile: p.leg}, nil
}

// Sender implements sipleg.Directory.
func (d directory) Sender(f *transport.Flow, _ *sip.Message) (sipleg.Origin, *sipleg.Refusal) {
	name, refused := d.e.PeerOf(f)
	if refused != nil {
		return sipleg.Origin{}, refused
	}
	return d.e.origin(Arrival{Peer: name})
}

// Ways implements sipleg.Directory.
func (d directory) Ways(t call.Target) ([]sipleg.Way, *sipleg.Refusal) { return d.e.Ways(t) }

// Elsewhere implements sipleg.Directory: an element is one engine, there is nobody else.
func (directory) Elsewhere(sip.Replaces) (string, call.LegID, bool) { return "", 0, false }

// Ways says how a peer is reached, its destinations in the order to try them.
func (e *Element) Ways(t call.Target) ([]sipleg.Way, *sipleg.Refusal) {
	p := e.peers.Load().byName[t.Trunk]
	if p == nil {
		return nil, &sipleg.Refusal{Status: 404, Cause: call.NoRouteToDestination, Warning: "trunk " + t.Trunk + " is not configured any more"}
	}
	var ways []sipleg.Way
	for _, d := range e.destinations.hops(p.Name) {
		uri := d.uri
		uri.User = sip.EscapeUser(cmp.Or(t.Called, p.User))
		ways = append(ways, sipleg.Way{URI: uri, To: d.target(e.cfg.Identity.Name()), Contact: p.Contact(e.cfg.Addresses[0]), Domain: p.Domain, Profile: p.leg})
	}
	if len(ways) == 0 {
		return nil, &sipleg.Refusal{Status: 503, Cause: call.DestinationOutOfOrder, Warning: "trunk " + p.Name + " has no destination"}
	}
	return ways, nil
}
