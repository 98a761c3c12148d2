package ctimanager

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/trace"
)

// acceptPause is how long the service waits when the system has no more sockets for it.
const acceptPause = 50 * time.Millisecond

// listen binds every address, on the TLS port and, where it is allowed, on the clear one.
func (s *Service) listen() error {
	for _, ip := range s.cfg.Addresses {
		if err := s.bind(ip, s.cfg.Port, true); err != nil {
			return err
		}
		if !s.cfg.Clear {
			continue
		}
		if err := s.bind(ip, s.cfg.ClearPort, false); err != nil {
			return err
		}
	}
	for _, l := range s.listeners {
		s.workers.Go(func() { s.accept(l) })
	}
	return nil
}

// listener is one port of one address.
type listener struct {
	net.Listener
	secure bool
}

func (s *Service) bind(ip netip.Addr, port int, secure bool) error {
	at := netip.AddrPortFrom(ip, uint16(port))
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return fmt.Errorf("listening on %s: %w: end the program that has it, or give the service another port", at, err)
	}
	s.listeners = append(s.listeners, listener{l, secure})
	return nil
}

// accept takes connections in. Nothing here waits for a client.
func (s *Service) accept(l listener) {
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.note(trace.Error, "a connection could not be accepted: "+err.Error())
			select {
			case <-time.After(acceptPause):
			case <-s.ctx.Done():
				return
			}
			continue
		}
		c, why := s.table.enter(conn, l.secure, s.cfg.Limits, s.site().params.Connections, s.cfg.Now())
		if c == nil {
			s.counts.refused.Add(1)
			s.noteAt(trace.Error, addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr()), "not let in: "+why)
			conn.Close()
			continue
		}
		s.counts.accepted.Add(1)
		s.workers.Go(func() {
			defer s.table.leave(c)
			defer close(c.gone)
			defer conn.Close()
			s.serve(c)
		})
	}
}

// connections is the table of what is open, with the counts that bound it, guarded by a lock.
type connections struct {
	mu       sync.Mutex
	closed   bool
	next     uint32
	open     map[*connection]struct{}
	each     map[netip.Addr]int // open by address
	half     int                // of these not logged in
	waiting  []*connection      // those, in the order they came
	crowded  uint64             // how many of them had to make room
	halfEach map[netip.Addr]int
}

func newConnections() *connections {
	return &connections{open: map[*connection]struct{}{}, each: map[netip.Addr]int{}, halfEach: map[netip.Addr]int{}}
}

// household is what counts as one address: an IPv6 host has a whole /64.
func household(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is4() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}

// enter takes a new connection in, or says why not. There are places for so many providers: one that comes when all are taken is let in, to
// be told so.
func (t *connections) enter(conn net.Conn, secure bool, l Limits, places int, now time.Time) (*connection, string) {
	c := newConnection(conn, secure, l, now)
	at := household(c.remote.Addr())
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return nil, "the service ends"
	case t.halfEach[at] >= l.HalfOpenOne:
		return nil, fmt.Sprintf("%d connections of this address have not logged in, the most that are allowed", l.HalfOpenOne)
	case t.each[at] >= l.PerAddress:
		return nil, fmt.Sprintf("%d connections of this address are open, the most that are allowed", l.PerAddress)
	case t.half >= l.HalfOpen && !t.makeRoom(at):
		return nil, fmt.Sprintf("%d connections have not logged in, the most that are allowed", l.HalfOpen)
	}
	t.next++
	c.number, c.id = t.next, fmt.Sprintf("t%d", t.next)
	c.full = len(t.open)-t.half >= places
	t.open[c] = struct{}{}
	t.each[at]++
	t.half++
	t.waiting = append(t.waiting, c)
	t.halfEach[at]++
	return c, ""
}

// makeRoom closes a connection that has not logged in for one that comes from an address: the oldest of the address that has most of them. So
// whoever holds all places from many addresses keeps nobody out who is quicker to log in than they can connect. false: no address has more than
// this one. The lock is held.
func (t *connections) makeRoom(at netip.Addr) bool {
	var oldest *connection
	most := t.halfEach[at]
	for _, c := range t.waiting {
		if n := t.halfEach[household(c.remote.Addr())]; n > most {
			oldest, most = c, n
		}
	}
	if oldest == nil {
		return false
	}
	t.crowded++
	t.in(oldest)
	oldest.conn.Close()
	return true
}

// ready notes that a connection has logged in.
func (t *connections) ready(c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.in(c)
}

func (t *connections) in(c *connection) {
	if c.in {
		return
	}
	c.in = true
	t.waiting = slices.DeleteFunc(t.waiting, func(x *connection) bool { return x == c })
	at := household(c.remote.Addr())
	t.half--
	if t.halfEach[at]--; t.halfEach[at] <= 0 {
		delete(t.halfEach, at)
	}
}

func (t *connections) leave(c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.in(c)
	delete(t.open, c)
	at := household(c.remote.Addr())
	if t.each[at]--; t.each[at] <= 0 {
		delete(t.each, at)
	}
}

// madeRoom is how many connections were closed for others.
func (t *connections) madeRoom() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.crowded
}

func (t *connections) count() (open, half int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open), t.half
}

// all are the open connections, in the order they came.
func (t *connections) all() []*connection {
	t.mu.Lock()
	defer t.mu.Unlock()
	return sorted(t.open)
}

// end lets nobody in any more and tells every connection to end.
func (t *connections) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for c := range t.open {
		c.box.put(shutdown{})
	}
}

// cut closes every connection that is left.
func (t *connections) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.open {
		c.conn.Close()
	}
}
