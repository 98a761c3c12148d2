package element

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip/transport"
)

// FlowName is how a connection is called in tables and traces.
func FlowName(id transport.FlowID) string { return "f" + strconv.FormatUint(uint64(id), 10) }

// Connections are the connections that are, and the peers whose handshakes failed: the rows of `show connections`.
func (e *Element) Connections() []bus.Connection {
	rows := []bus.Connection{}
	failed := e.failures.byRemote()
	for _, f := range e.ep.Flows() {
		row := e.connectionRow(f)
		if x, bad := failed[f.Remote.Addr().String()]; bad {
			row.Failures, row.LastFailure, row.LastFailureAt = x.count, x.last.Why, x.last.At
			x.shown = true
			failed[f.Remote.Addr().String()] = x
		}
		rows = append(rows, row)
	}
	for remote, x := range failed {
		if !x.shown {
			rows = append(rows, bus.Connection{Node: e.cfg.Node, Service: e.cfg.Service, Peer: x.last.Peer, Remote: remote, Local: x.last.Local, Transport: "tls", Direction: x.last.Direction,
				State: "failed", Since: x.last.At, Failures: x.count, LastFailure: x.last.Why, LastFailureAt: x.last.At, Subject: x.last.subject()})
		}
	}
	slices.SortStableFunc(rows, func(a, b bus.Connection) int { return strings.Compare(a.Peer+a.Remote, b.Peer+b.Remote) })
	return rows
}

func (e *Element) connectionRow(f transport.FlowInfo) bus.Connection {
	row := bus.Connection{Node: e.cfg.Node, Service: e.cfg.Service, ID: FlowName(f.ID), Peer: e.owners.byID(f.ID), Remote: f.Remote.String(), Local: f.Local.String(),
		Transport: f.Network.String(), Direction: "outbound", State: f.State, Since: f.Since.UTC(), TLSVersion: f.TLSVersion, Cipher: f.Cipher,
		ServerName: f.ServerName, Subject: f.Peer.Subject, SANs: f.Peer.Names, Issuer: f.Peer.Issuer, Serial: f.Peer.Serial, Verified: f.Peer.Verified(),
		BytesIn: int64(f.BytesIn), BytesOut: int64(f.BytesOut), MessagesIn: int64(f.MessagesIn), MessagesOut: int64(f.MessagesOut)}
	if f.Inbound {
		row.Direction = "inbound"
	}
	if row.Peer == "" {
		row.Peer = f.Policy
	}
	if r, ok := f.Peer.Detail.(*pki.Report); ok {
		row.NotAfter = r.Leaf().NotAfter.UTC()
	}
	if flow := e.ep.Transport().Get(f.ID); flow != nil && flow.Established() && flow.TLS() != nil {
		row.Curve = flow.TLS().CurveID.String()
	}
	return row
}

// Peers are the destinations of the peers with their states, in configured order: the rows of `show trunks`.
func (e *Element) Peers(ctx context.Context) []bus.TrunkState {
	calls := map[string]int{}
	if views, err := e.host.Calls(ctx); err == nil {
		for _, v := range views {
			for _, p := range v.Parties {
				if p.Trunk != "" {
					calls[p.Trunk]++
				}
			}
		}
	}
	var names []string
	for _, p := range e.peers.Load().list {
		names = append(names, p.Name)
	}
	return e.destinations.rows(e.cfg.Node, names, calls)
}

// InService says whether the peer has a destination that may be tried.
func (e *Element) InService(peer string) bool { return e.destinations.inService(peer) }

// States counts destinations by state.
func (e *Element) States() map[State]int { return e.destinations.states() }

// Exceptions are what is weaker than the defaults, of peers and of the element itself.
func (e *Element) Exceptions() []bus.Exception {
	rows := []bus.Exception{}
	for _, p := range e.peers.Load().list {
		rows = append(rows, p.exceptions(e.cfg.Node)...)
	}
	for _, weakness := range e.TLSPolicy().Weaknesses() {
		rows = append(rows, bus.Exception{Node: e.cfg.Node, Kind: "node", Name: e.cfg.Node, Setting: "tls", Value: weakness, Risk: "whoever has the log can read everything that was recorded of these connections"})
	}
	return rows
}

// SetOwner notes to which peer or device a connection belongs, for tables and traces; Owner says it.
func (e *Element) SetOwner(f *transport.Flow, name string) { e.owners.set(f, name) }

// Owner is to which peer or device a connection belongs; empty while nobody knows.
func (e *Element) Owner(f *transport.Flow) string { return e.owners.get(f) }

// CloseConnections closes the connections of a peer or device and says how many there were.
func (e *Element) CloseConnections(name string, why error) (n int) {
	for _, id := range e.owners.flowsOf(name) {
		if f := e.ep.Transport().Get(id); f != nil && f.Network() != transport.UDP {
			f.Close(why)
			n++
		}
	}
	return n
}
