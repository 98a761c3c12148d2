// Package rtpport hands out pairs of UDP ports for RTP and RTCP from a bounded range. RFC 3550, 11: RTP uses an even
// port and RTCP the next higher odd one.
package rtpport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
)

// Default bounds, those most telephony systems have in their firewall rules.
const (
	DefaultFirst = 16384
	DefaultLast  = 32767
)

// ErrExhausted says that every pair of the range is in use.
var ErrExhausted = errors.New("rtpport: every port of the range is in use")

// Range is a bounded range of ports. It owns the record of what is handed out; it is safe for concurrent use.
type Range struct {
	first, pairs int // first even port, number of pairs
	network      Network
	mu           sync.Mutex
	used         []bool
	next         int
	inUse        int
}

// New makes a range of the ports first to last, both included.
func New(first, last uint16) (*Range, error) {
	even := (int(first) + 1) &^ 1
	n := (int(last) + 1 - even) / 2
	if first == 0 || n < 1 {
		return nil, fmt.Errorf("rtpport: %d-%d holds no pair of an even port and the next; give at least 10000-10001", first, last)
	}
	return &Range{first: even, pairs: n, used: make([]bool, n)}, nil
}

// Default is New(DefaultFirst, DefaultLast), beginning somewhere in it: what still sends to ports of a program that has just
// ended does not hit the first calls of the next one.
func Default() *Range {
	r, _ := New(DefaultFirst, DefaultLast)
	r.next = rand.IntN(r.pairs)
	return r
}

// Conn is a UDP socket as streams and relays use it; *net.UDPConn is one. Close ends the readers with net.ErrClosed.
type Conn interface {
	ReadFromUDPAddrPort(b []byte) (n int, from netip.AddrPort, err error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	Close() error
}

// Network opens sockets that are not the host's (package memnet).
type Network interface {
	ListenUDP(at netip.AddrPort) (Conn, error)
}

// On makes the range one of ports of a network, and gives it back. It is called before the range is used.
func (r *Range) On(n Network) *Range {
	r.network = n
	return r
}

// Network is what On has given, nil: the host's.
func (r *Range) Network() Network { return r.network }

// InUse is the number of pairs handed out, Size the number there are.
func (r *Range) InUse() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inUse
}

// Size is the number of pairs of the range.
func (r *Range) Size() int { return r.pairs }

// Take reserves the next free pair; open tries to bind RTP on port and RTCP on port+1, and its failure moves on to the
// next pair, because other programs use ports of the range as well. The caller gives the port back with Release.
func (r *Range) Take(open func(port uint16) error) (uint16, error) {
	var last error
	for range r.pairs {
		i, ok := r.reserve()
		if !ok {
			break
		}
		port := uint16(r.first + 2*i)
		if last = open(port); last == nil {
			return port, nil
		}
		r.Release(port)
	}
	if last != nil {
		return 0, fmt.Errorf("%w, or cannot be bound: %w", ErrExhausted, last)
	}
	return 0, ErrExhausted
}

// reserve takes pairs in turn, so that a port just given back rests as long as possible before it is used again: late
// packets of the old call must not reach the new one.
func (r *Range) reserve() (i int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range r.pairs {
		i = r.next
		r.next = (r.next + 1) % r.pairs
		if !r.used[i] {
			r.used[i] = true
			r.inUse++
			return i, true
		}
	}
	return 0, false
}

// Release gives a pair back by its RTP port.
func (r *Range) Release(port uint16) {
	i := (int(port) - r.first) / 2
	r.mu.Lock()
	defer r.mu.Unlock()
	if i >= 0 && i < r.pairs && r.used[i] {
		r.used[i] = false
		r.inUse--
	}
}

// Pair is two bound sockets of a range.
type Pair struct {
	RTP, RTCP Conn
	r         *Range
	port      uint16
	once      sync.Once
}

// Listen binds a free pair on the address.
func (r *Range) Listen(bind netip.Addr) (*Pair, error) {
	p := &Pair{r: r}
	port, err := r.Take(func(port uint16) error { return p.bind(bind, port) })
	if err != nil {
		return nil, err
	}
	p.port = port
	return p, nil
}

func (p *Pair) bind(bind netip.Addr, port uint16) error {
	rtp, err := p.r.listen(netip.AddrPortFrom(bind, port))
	if err != nil {
		return err
	}
	rtcp, err := p.r.listen(netip.AddrPortFrom(bind, port+1))
	if err != nil {
		return errors.Join(err, rtp.Close())
	}
	p.RTP, p.RTCP = rtp, rtcp
	return nil
}

func (r *Range) listen(at netip.AddrPort) (Conn, error) {
	if r.network != nil {
		return r.network.ListenUDP(at)
	}
	return net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
}

// Port is the RTP port.
func (p *Pair) Port() uint16 { return p.port }

// Close closes both sockets and gives the pair back.
func (p *Pair) Close() (err error) {
	p.once.Do(func() {
		err = errors.Join(p.RTP.Close(), p.RTCP.Close())
		p.r.Release(p.port)
	})
	return err
}
