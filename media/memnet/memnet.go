// Package memnet is a UDP network in memory. Streams, planes and relays whose ports are of such a network (rtpport.Range.On) have
// no socket of the host, so everything they do can run on the clock of testing/synctest: 20 ms are 20 ms however busy the machine
// is, and what is judged in time (a click, a drop-out, "within two seconds") is judged exactly.
//
// A packet arrives at once, whole and in order. As with UDP, one to an address where nobody listens is lost without an error,
// and so is one more than a socket's queue holds.
package memnet

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/locktone/locktone/media/rtpport"
)

// queue is how many packets wait at a socket, as many as the kernel's default buffer holds of frames of 20 ms.
const queue = 256

// Network is one network: its addresses are nobody else's. The zero value is ready, and it is safe for concurrent use.
type Network struct {
	mu    sync.Mutex
	conns map[netip.AddrPort]*Conn
}

// ListenUDP opens a socket; its error wraps syscall.EADDRINUSE where there is one.
func (n *Network) ListenUDP(at netip.AddrPort) (rtpport.Conn, error) { return n.Listen(at) }

// Listen is ListenUDP with a type that has an address.
func (n *Network) Listen(at netip.AddrPort) (*Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns[at] != nil {
		return nil, fmt.Errorf("memnet: listen on %v: %w", at, syscall.EADDRINUSE)
	}
	if n.conns == nil {
		n.conns = map[netip.AddrPort]*Conn{}
	}
	c := &Conn{net: n, at: at, in: make(chan packet, queue), done: make(chan struct{})}
	n.conns[at] = c
	return c, nil
}

type packet struct {
	from netip.AddrPort
	b    []byte
}

// Conn is a socket.
type Conn struct {
	net  *Network
	at   netip.AddrPort
	in   chan packet
	done chan struct{}
	once sync.Once
}

// Addr is where it listens.
func (c *Conn) Addr() netip.AddrPort { return c.at }

// ReadFromUDPAddrPort waits for a packet; what does not fit into b is cut off. The error is net.ErrClosed.
func (c *Conn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case p := <-c.in:
		return copy(b, p.b), p.from, nil
	case <-c.done:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

// WriteToUDPAddrPort sends a packet; the only error is net.ErrClosed.
func (c *Conn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.net.conns[c.at] != c {
		return 0, net.ErrClosed
	}
	if peer := c.net.conns[to]; peer != nil {
		select {
		case peer.in <- packet{c.at, append([]byte(nil), b...)}:
		default: // its queue is full
		}
	}
	return len(b), nil
}

// Close frees the address and ends the readers.
func (c *Conn) Close() error {
	c.once.Do(func() {
		c.net.mu.Lock()
		delete(c.net.conns, c.at)
		c.net.mu.Unlock()
		close(c.done)
	})
	return nil
}
