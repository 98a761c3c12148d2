package lab

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/wire/sip/transport"
)

// network is the SIP network (TCP and TLS) of the nodes of a Cluster. A connection is known by the nodes at its ends; phones and
// other peers are outside, named "". What is cut loses every packet: connections stay open on both sides and carry nothing, new ones
// are not answered. When it is healed, what was sent meanwhile arrives, as TCP's repetitions would. Guarded by its lock.
type network struct {
	mu     sync.Mutex
	owner  map[netip.Addr]string
	cut    map[[2]string]bool // by both names in order
	alone  map[string]bool    // cut from everybody, phones too
	change chan struct{}      // closed and replaced when something above changed
	wires  map[*wire]bool
	doors  map[net.Listener]string // by node
}

func newNetwork() *network {
	return &network{owner: map[netip.Addr]string{}, cut: map[[2]string]bool{}, alone: map[string]bool{}, change: make(chan struct{}),
		wires: map[*wire]bool{}, doors: map[net.Listener]string{}}
}

func pair(a, b string) [2]string {
	if a > b {
		a, b = b, a
	}
	return [2]string{a, b}
}

// carries says whether packets pass between two ends now, and what to wait for.
func (n *network) carries(a, b string) (bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.cut[pair(a, b)] && !n.alone[a] && !n.alone[b], n.change
}

// set changes the network.
func (n *network) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	close(n.change)
	n.change = make(chan struct{})
}

// at is the node that has an address.
func (n *network) at(a netip.Addr) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.owner[a.Unmap()]
}

// of is the network as one node sees it.
func (n *network) of(node string, address netip.Addr) element.Network {
	return element.Network{
		Dial: func(ctx context.Context, d transport.Dest) (net.Conn, error) {
			peer := n.at(d.Addr.Addr())
			for {
				open, change := n.carries(node, peer)
				if open {
					break
				}
				select {
				case <-change:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			dialer := net.Dialer{}
			if peer != "" { // so that the other side knows who it is
				dialer.LocalAddr = &net.TCPAddr{IP: address.AsSlice()}
			}
			conn, err := dialer.DialContext(ctx, "tcp", d.Addr.String())
			if err != nil {
				return nil, err
			}
			return n.wire(conn, node, peer), nil
		},
		Listen: func(at netip.AddrPort) (net.Listener, error) {
			l, err := net.Listen("tcp", at.String())
			if err != nil {
				return nil, err
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			d := &door{Listener: l, n: n, node: node}
			n.doors[d] = node
			return d, nil
		},
	}
}

// kill closes what a node's process has, as the kernel does for a process that is gone.
func (n *network) kill(node string) {
	n.mu.Lock()
	var open []interface{ Close() error }
	for d, of := range n.doors {
		if of == node {
			open = append(open, d)
		}
	}
	for w := range n.wires {
		if w.node == node {
			if c, ok := w.Conn.(*net.TCPConn); ok {
				_ = c.SetLinger(0) // a reset: nothing that waits is sent
			}
			open = append(open, w)
		}
	}
	n.mu.Unlock()
	for _, x := range open {
		_ = x.Close()
	}
}

// door is a listener of a node.
type door struct {
	net.Listener
	n    *network
	node string
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	peer, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	return d.n.wire(conn, d.node, d.n.at(peer.Addr())), nil
}

// Close implements net.Listener.
func (d *door) Close() error {
	d.n.mu.Lock()
	delete(d.n.doors, d)
	d.n.mu.Unlock()
	return d.Listener.Close()
}

// wire is one end of a connection. What arrives while the network does not carry is held back.
type wire struct {
	net.Conn
	n          *network
	node, peer string
	closed     chan struct{}
	once       sync.Once

	reading  sync.Mutex // one reader
	held     []byte
	heldErr  error
	mu       sync.Mutex
	deadline time.Time
}

func (n *network) wire(conn net.Conn, node, peer string) *wire {
	w := &wire{Conn: conn, n: n, node: node, peer: peer, closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wires[w] = true
	return w
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	w.reading.Lock()
	defer w.reading.Unlock()
	if len(w.held) == 0 && w.heldErr == nil {
		n, err := w.Conn.Read(p)
		if os.IsTimeout(err) {
			return n, err
		}
		w.held, w.heldErr = append(w.held, p[:n]...), err
	}
	if err := w.pass(); err != nil {
		return 0, err
	}
	n := copy(p, w.held)
	if w.held = w.held[n:]; len(w.held) > 0 {
		return n, nil
	}
	return n, w.heldErr
}

// pass waits until the network carries.
func (w *wire) pass() error {
	for {
		open, change := w.n.carries(w.node, w.peer)
		if open {
			return nil
		}
		w.mu.Lock()
		deadline := w.deadline
		w.mu.Unlock()
		var late <-chan time.Time
		if !deadline.IsZero() {
			late = time.After(time.Until(deadline))
		}
		select {
		case <-change:
		case <-late:
			return os.ErrDeadlineExceeded
		case <-w.closed:
			return net.ErrClosed
		}
	}
}

// SetReadDeadline implements net.Conn.
func (w *wire) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	w.deadline = t
	w.mu.Unlock()
	return w.Conn.SetReadDeadline(t)
}

// SetDeadline implements net.Conn.
func (w *wire) SetDeadline(t time.Time) error {
	if err := w.SetReadDeadline(t); err != nil {
		return err
	}
	return w.SetWriteDeadline(t)
}

// Close implements net.Conn.
func (w *wire) Close() error {
	w.once.Do(func() {
		close(w.closed)
		w.n.mu.Lock()
		delete(w.n.wires, w)
		w.n.mu.Unlock()
	})
	return w.Conn.Close()
}
