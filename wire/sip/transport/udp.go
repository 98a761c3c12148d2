package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// PacketConn is the part of net.UDPConn that a UDP listener uses.
type PacketConn interface {
	ReadFromUDPAddrPort(p []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(p []byte, to netip.AddrPort) (int, error)
	LocalAddr() net.Addr
	Close() error
}

// ErrNoSocket: there is no UDP listener with the identity asked for.
var ErrNoSocket = errors.New("no UDP listener with this identity and address family")

// ServePackets reads datagrams from conn, which the transport closes.
func (t *Transport) ServePackets(conn PacketConn, lc ListenConfig) (*Listener, error) {
	lc.Network = UDP
	l := t.newListener(lc, addrPort(conn.LocalAddr()))
	l.packet, l.udp = conn, map[netip.AddrPort]*Flow{}
	if c, ok := conn.(*net.UDPConn); ok {
		growBuffers(c, l.limits.UDPBuffer)
	}
	if err := t.add(l); err != nil {
		_ = conn.Close()
		return nil, err
	}
	go l.readPackets()
	return l, nil
}

// readPackets is the one reader of the socket: datagrams are handed on in the order they came.
func (l *Listener) readPackets() {
	defer l.t.wg.Done()
	buf := make([]byte, 65_535)
	for {
		n, from, err := l.packet.ReadFromUDPAddrPort(buf)
		if err != nil {
			if l.isClosed() || isClosed(err) {
				return
			}
			continue // an ICMP error of an earlier send
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		l.bytesIn.Add(uint64(n))
		l.datagramGuarded(buf[:n], from)
	}
}

// datagramGuarded keeps a fault in the reading of one datagram from ending the process: the datagram is lost instead.
func (l *Listener) datagramGuarded(p []byte, from netip.AddrPort) {
	defer func() {
		if recover() != nil {
			l.malformed.Add(1)
		}
	}()
	l.datagram(p, from)
}

// datagram handles one; nothing is remembered of its source unless it is a valid message.
func (l *Listener) datagram(p []byte, from netip.AddrPort) {
	if isKeepAlive(p) {
		l.dropped.Add(1)
		return
	}
	m, err := l.limits.Message.Parse(p)
	var problem *sip.ParseError
	if err != nil {
		if !errors.As(err, &problem) {
			problem = &sip.ParseError{What: err.Error()}
		}
	} else {
		problem = sip.Validate(m)
	}
	if problem != nil {
		l.malformedDatagram(p, from, m, problem)
		return
	}
	f := l.flowFor(from, true)
	f.last.Store(f.age())
	f.bytesIn.Add(uint64(len(p)))
	f.deliver(m, p)
}

// isKeepAlive knows what phones and load balancers send to keep a NAT binding: CRLF, zeros, STUN (RFC 5626, 3.5.2).
func isKeepAlive(p []byte) bool {
	if len(bytes.TrimLeft(p, "\r\n\x00 ")) == 0 {
		return true
	}
	return len(p) >= 20 && p[0] < 4 && binary.BigEndian.Uint32(p[4:]) == 0x2112A442
}

// malformedDatagram answers what asks for an answer, within a budget: the source may be forged.
func (l *Listener) malformedDatagram(p []byte, from netip.AddrPort, m *sip.Message, problem *sip.ParseError) {
	l.malformed.Add(1)
	f := l.transient(from)
	if o := l.t.cfg.Observer; o != nil {
		o.Received(f, time.Now(), p, m, problem)
	}
	if problem.Reply == nil {
		l.dropped.Add(1)
		return
	}
	l.mu.Lock()
	allowed := l.token(time.Now())
	l.mu.Unlock()
	if allowed {
		_ = f.ForReply(problem.Reply.TopVia()).Send(problem.Reply)
	}
}

// ForReply is the flow the response to a request with this top Via takes: for UDP without rport, RFC 3261, 18.2.2 wants
// the source address and the port of sent-by; everything else is answered where it came from.
func (f *Flow) ForReply(v sip.Via) *Flow {
	if f.network != UDP || v.Transport == "" {
		return f
	}
	port := v.Port
	if port == 0 {
		port = int(UDP.Port())
	}
	if _, asked := v.RPort(); asked || port == int(f.remote.Port()) || port > 65_535 {
		return f
	}
	return f.listener.transient(netip.AddrPortFrom(f.remote.Addr(), uint16(port)))
}

// flowFor finds or makes the flow to a peer; past the limit of flows it makes one that nobody remembers.
func (l *Listener) flowFor(peer netip.AddrPort, inbound bool) *Flow {
	l.mu.Lock()
	f := l.udp[peer]
	l.mu.Unlock()
	if f != nil {
		return f
	}
	f = l.transient(peer)
	f.inbound = inbound
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.udp[peer]; other != nil {
		return other
	}
	if len(l.udp) < l.limits.UDPFlows || l.evict() {
		l.udp[peer] = f
	}
	return f
}

// evict makes room by dropping a flow that was quiet for a minute, of a few looked at.
func (l *Listener) evict() bool {
	looked := 0
	for peer, f := range l.udp {
		if f.age()-f.last.Load() > int64(time.Minute) {
			delete(l.udp, peer)
			f.state.Store(stateClosed)
			return true
		}
		if looked++; looked == 8 {
			return false
		}
	}
	return false
}

// transient makes a flow without remembering it.
func (l *Listener) transient(peer netip.AddrPort) *Flow {
	f := l.t.newFlow(UDP, l.identity)
	f.listener, f.remote, f.local, f.inbound = l, peer, l.addr, true
	f.source = peer.Addr().WithZone("").String()
	f.last.Store(f.age())
	if l.addr.Addr().IsUnspecified() {
		f.local = netip.AddrPortFrom(l.t.towards(peer.Addr()), l.addr.Port())
	}
	f.state.Store(stateEstablished)
	return f
}

// forget drops a UDP flow from the table.
func (l *Listener) forget(f *Flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.udp[f.remote] == f {
		delete(l.udp, f.remote)
	}
}

func (l *Listener) appendUDP(flows []*Flow) []*Flow {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.udp {
		flows = append(flows, f)
	}
	return flows
}

// udpFlow is the way to d from the socket of d's identity.
func (t *Transport) udpFlow(d Dest) (*Flow, error) {
	t.mu.Lock()
	var found *Listener
	for _, l := range t.listeners {
		a := l.addr.Addr()
		if l.network == UDP && l.identity == d.LocalIdentity && (a.Is4() == d.Addr.Addr().Is4() || a == netip.IPv6Unspecified()) {
			found = l
			break
		}
	}
	t.mu.Unlock()
	if found == nil {
		return nil, ErrNoSocket
	}
	return found.flowFor(d.Addr, false), nil
}

// sendDatagram writes at once: a UDP socket has a buffer of its own.
func (f *Flow) sendDatagram(m *sip.Message) error {
	if !f.Alive() {
		return ErrEvicted
	}
	buf := m.Append(f.t.buffers.get())
	defer f.t.buffers.put(buf)
	if o := f.t.cfg.Observer; o != nil {
		o.Sent(f, time.Now(), buf, m)
	}
	l := f.listener
	n, err := l.packet.WriteToUDPAddrPort(buf, f.remote)
	f.messagesOut.Add(1)
	f.bytesOut.Add(uint64(n))
	l.messagesOut.Add(1)
	l.bytesOut.Add(uint64(n))
	return err
}
