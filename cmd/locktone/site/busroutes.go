package site

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
)

// busPort is where the buses of other nodes come to, unless the site says otherwise.
const busPort = 6222

// busAddress is where the bus of a node is, address:port; empty where the site gives the node no address, or does not list it.
func busAddress(nodes []config.Node, name string) string {
	i := slices.IndexFunc(nodes, func(n config.Node) bool { return n.Name == name })
	if i < 0 {
		return ""
	}
	var own config.NodeService
	for _, svc := range nodes[i].Services {
		if svc.Service == config.ServiceBus {
			own = svc
		}
	}
	host := cmp.Or(own.Address, nodes[i].Address)
	if host == "" {
		return ""
	}
	return net.JoinHostPort(host, strconv.Itoa(cmp.Or(own.Port, busPort)))
}

// busPeers are the buses of all other nodes that have an address.
func busPeers(nodes []config.Node, self string) (out []string) {
	for _, n := range nodes {
		if at := busAddress(nodes, n.Name); n.Name != self && at != "" {
			out = append(out, at)
		}
	}
	return out
}

// busRoutes is how the embedded server of this node meets those of the others: not at all with a record of its own, which no
// other node can share, and where nobody could find it.
func (s *Site) busRoutes(ctx context.Context) (bus.Routes, error) {
	now, err := s.Store.Site(ctx)
	if err != nil || !s.clustered() || len(s.node.Bus.URLs) > 0 {
		return bus.Routes{}, err
	}
	nodes := now.Site.Nodes
	at := cmp.Or(s.node.Bus.Listen, busAddress(nodes, s.node.Node))
	if at == "" {
		return bus.Routes{}, nil
	}
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return bus.Routes{}, fmt.Errorf("bus.listen: %w", err)
	}
	ip, err := ipOf(ctx, host)
	if err != nil {
		return bus.Routes{}, fmt.Errorf("address %q of the bus: %w", host, err)
	}
	s.neighbours.know(nodes)
	return bus.Routes{Listen: net.JoinHostPort(ip.String(), port), Peers: busPeers(nodes, s.node.Node), TLS: s.routeTLS()}, nil
}

// neighbours are the nodes whose buses are let in, and the connections on which they came.
type neighbours struct {
	mu    sync.Mutex
	names map[string]bool
	came  map[net.Conn]string
}

// know takes the nodes of the site as those that are let in. Those that came and are not among them any more are shown out: the
// server closes only what it has dialled itself.
func (n *neighbours) know(nodes []config.Node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names = make(map[string]bool, len(nodes))
	for _, x := range nodes {
		n.names[x.Name] = true
	}
	for conn, node := range n.came {
		if !n.names[node] {
			_ = conn.Close()
			delete(n.came, conn)
		}
	}
}

// letIn decides about the bus of a node; conn is nil where this node has dialled it.
func (n *neighbours) letIn(node string, conn net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.names[node] {
		return false
	}
	if conn == nil {
		return true
	}
	if n.came == nil {
		n.came = map[net.Conn]string{}
	}
	maps.DeleteFunc(n.came, func(c net.Conn, _ string) bool { return ended(c) })
	n.came[conn] = node
	return true
}

// ended reports whether this end has closed the connection.
func ended(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

// routeTLS is mutual TLS between the buses of our nodes. Who is let in reads and says everything, so the certificate must be one
// that was issued to the bus of another node of this site, whatever names it bears.
func (s *Site) routeTLS() *tls.Config {
	id := s.Identity(BusName)
	peers := pki.PeerPolicy{Peer: "the bus of another node", Kinds: pki.KindsOf(pki.KindService)}
	modern := pki.TLSPolicy{MinVersion: tls.VersionTLS13}
	server := id.ServerConfig(pki.ServerPolicy{TLSPolicy: modern, Peers: peers, NoResumption: true})
	out := s.ofBus(id.ClientConfig(pki.ClientPolicy{TLSPolicy: modern, Peer: peers}), nil, func(cs tls.ConnectionState) *pki.Report {
		return id.Inspect(cs, pki.PeerIsServer, peers)
	})
	out.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c, err := server.GetConfigForClient(hello)
		if err != nil {
			return nil, err
		}
		return s.ofBus(c, hello.Conn, func(cs tls.ConnectionState) *pki.Report { return id.Inspect(cs, pki.PeerIsClient, peers) }), nil
	}
	return out
}

// ofBus is the configuration with a further condition: the peer is the bus of another node of the site.
func (s *Site) ofBus(c *tls.Config, came net.Conn, inspect func(tls.ConnectionState) *pki.Report) *tls.Config {
	c = c.Clone()
	verified := c.VerifyConnection
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if err := verified(cs); err != nil {
			return err
		}
		name, node, ok := inspect(cs).Service()
		switch {
		case !ok || name != BusName || node == "":
			return errors.New("the certificate is not that of a node's bus: another service of the cluster has no business here")
		case node == s.node.Node:
			return fmt.Errorf("the certificate is that of this node, %s: give each node its own name", node)
		case !s.neighbours.letIn(node, came):
			return fmt.Errorf("node %s is not a node of the site", node)
		}
		return nil
	}
	return c
}

// followNodes keeps the bus connected to the nodes of the site as they change.
func (s *Site) followNodes() {
	if s.Bus.RouteAddress() == "" {
		return
	}
	for range s.Store.Watch(s.ctx) {
		now, err := s.Store.Site(s.ctx)
		if err == nil {
			s.neighbours.know(now.Site.Nodes)
			err = s.Bus.SetPeers(busPeers(now.Site.Nodes, s.node.Node))
		}
		if err != nil && s.ctx.Err() == nil {
			s.trouble("bus: the nodes of the site could not be taken into use: " + err.Error())
		}
	}
}
