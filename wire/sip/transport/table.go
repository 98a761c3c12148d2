package transport

import (
	"net"
	"net/netip"
	"slices"
)

// aliasKey finds the connections a peer opened to us and declared usable for requests to its listening port.
type aliasKey struct {
	identity string
	addr     netip.AddrPort
}

type source struct{ addr netip.Addr }

// register puts a flow into the table; false when the transport is closed.
func (t *Transport) register(f *Flow) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.flows[f.id] = f
	return true
}

// remove takes a flow out of every table.
func (t *Transport) remove(f *Flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.flows, f.id)
	key := f.dest
	key.Peer = ""
	t.dialled[key] = without(t.dialled[key], f)
	if len(t.dialled[key]) == 0 {
		delete(t.dialled, key)
	}
	if f.network != TLS || !f.inbound {
		return
	}
	for key, flows := range t.aliases {
		if key.addr.Addr() != f.remote.Addr() {
			continue
		}
		if flows = without(flows, f); len(flows) == 0 {
			delete(t.aliases, key)
		} else {
			t.aliases[key] = flows
		}
	}
}

func without(flows []*Flow, f *Flow) []*Flow {
	if i := slices.Index(flows, f); i >= 0 {
		return slices.Delete(flows, i, i+1)
	}
	return flows
}

// Flow finds or makes the way to d. It does not wait: the flow may still be connecting, then messages wait in its queue,
// and when the connection fails the Handler's Closed says why.
func (t *Transport) Flow(d Dest) (*Flow, error) {
	d.Addr = netip.AddrPortFrom(d.Addr.Addr().Unmap(), d.Addr.Port())
	if d.Network == UDP {
		return t.udpFlow(d)
	}
	if d.Network == TCP { // nothing is proven over TCP: connections differ by identity and address alone
		d.ServerName, d.Policy, d.Peer = "", "", ""
	}
	if f := t.aliased(d); f != nil {
		return f, nil
	}
	return t.dialledFlow(d)
}

func (t *Transport) dialledFlow(d Dest) (*Flow, error) {
	key := d
	key.Peer = ""
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	for _, f := range t.dialled[key] {
		if f.Alive() && f.satisfies(d) {
			return f, nil
		}
	}
	f := t.newDial(d)
	t.flows[f.id] = f
	t.dialled[key] = append(t.dialled[key], f)
	t.wg.Add(1)
	go f.dial()
	return f, nil
}

// satisfies says whether a dialled flow may carry messages for d, whose other fields are equal already.
func (f *Flow) satisfies(d Dest) bool {
	if d.Peer == "" {
		return true
	}
	if !f.Established() {
		return f.dest.Peer == d.Peer
	}
	return f.peer.Key == d.Peer
}

// Alias notes that the peer of this flow accepts requests on it that are meant for its listening port: its Via had the
// parameter "alias" (RFC 5923, 8.1). It does nothing unless the peer opened the connection and is verified, and the
// flow is later used only for names the peer's certificate covers.
func (f *Flow) Alias(port uint16) {
	if f.network != TLS || !f.inbound || !f.Established() || !f.peer.Verified() {
		return
	}
	if port == 0 {
		port = f.network.Port()
	}
	key := aliasKey{f.identity, netip.AddrPortFrom(f.remote.Addr(), port)}
	f.t.mu.Lock()
	defer f.t.mu.Unlock()
	if flows := f.t.aliases[key]; !slices.Contains(flows, f) && f.t.flows[f.id] == f {
		f.t.aliases[key] = append(flows, f)
	}
}

// aliased finds a connection the peer opened which may carry messages for d.
func (t *Transport) aliased(d Dest) *Flow {
	if d.Network != TLS {
		return nil
	}
	t.mu.Lock()
	candidates := slices.Clone(t.aliases[aliasKey{d.LocalIdentity, d.Addr}])
	t.mu.Unlock()
	for _, f := range candidates {
		if f.Alive() && f.Established() && f.peer.Covers(d.ServerName) && (d.Peer == "" || d.Peer == f.peer.Key) && f.vouch(d) {
			return f
		}
	}
	return nil
}

// vouch asks the verifier whether the peer also satisfies the policy of d; the answer holds as long as the connection.
func (f *Flow) vouch(d Dest) bool {
	if d.Policy == "" {
		return true
	}
	key := d.Policy + "\x00" + d.ServerName
	f.mu.Lock()
	answer, known := f.vouched[key]
	f.mu.Unlock()
	if known {
		return answer
	}
	_, err := f.t.cfg.Verify(Check{
		State: f.TLS(), Inbound: true, Listener: f.listener.name, LocalIdentity: f.identity,
		ServerName: d.ServerName, Policy: d.Policy, Remote: f.remote,
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.vouched == nil || len(f.vouched) > 64 {
		f.vouched = map[string]bool{}
	}
	f.vouched[key] = err == nil
	return err == nil
}

// listenerFor is the listener whose address stands for flows of that network and identity; preferred wins.
func (t *Transport) listenerFor(n Network, identity string, preferred *Listener) *Listener {
	if preferred != nil {
		return preferred
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.listeners {
		if l.network == n && l.identity == identity {
			return l
		}
	}
	return nil
}

// SentBy is the address our Via and Contact would carry towards d; false when that is only known once a connection is
// established, because no listener has that network and identity.
func (t *Transport) SentBy(d Dest) (netip.AddrPort, bool) {
	l := t.listenerFor(d.Network, d.LocalIdentity, nil)
	if l == nil {
		return netip.AddrPort{}, false
	}
	return l.address(d.Addr.Addr()), true
}

// towards is our own address on the route to a peer, for sockets bound to a wildcard. The kernel knows it: connecting a
// UDP socket sends nothing.
func (t *Transport) towards(peer netip.Addr) netip.Addr {
	t.mu.Lock()
	known, ok := t.routes[peer]
	t.mu.Unlock()
	if ok {
		return known.addr
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(peer, 5060)))
	if err != nil {
		return netip.Addr{}
	}
	addr := addrPort(conn.LocalAddr()).Addr()
	_ = conn.Close()
	t.mu.Lock()
	t.routes[peer] = source{addr}
	t.mu.Unlock()
	return addr
}
