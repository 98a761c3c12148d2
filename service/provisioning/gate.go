package provisioning

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// gate bounds the connections of all TCP ports together, and of each address.
type gate struct {
	total, each int
	now         func() time.Time
	note        func(x *gated, why string) // hears of connections without a request

	mu       sync.Mutex
	open     map[*gated]struct{}
	byAddr   map[netip.Addr]int
	refused  uint64
	useless  [overHTTPS + 1]uint64 // ended without a request that could be read
	failures map[netip.Addr]failure
}

// failure is the last connection without a request of an address, and how many there were.
type failure struct {
	count         int64
	at            time.Time
	why           string
	protocol      protocol
	remote, local netip.AddrPort
}

// maxFailures bounds the table; when it is full it begins anew.
const maxFailures = 1024

func newGate(total, each int, now func() time.Time, note func(*gated, string)) *gate {
	return &gate{total: total, each: each, now: now, note: note, open: map[*gated]struct{}{}, byAddr: map[netip.Addr]int{}, failures: map[netip.Addr]failure{}}
}

func (g *gate) wrap(l net.Listener, p protocol) net.Listener { return &gatedListener{l, g, p} }

type gatedListener struct {
	net.Listener
	gate     *gate
	protocol protocol
}

// Accept implements net.Listener. A connection over a limit is told so where it can be, and closed.
func (l *gatedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if x := l.gate.admit(c, l.protocol); x != nil {
			return x, nil
		}
		if l.protocol == overHTTP {
			_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // a fresh socket takes a hundred bytes at once
			_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}
		c.Close()
	}
}

// gated is a connection that counts.
type gated struct {
	net.Conn
	gate          *gate
	protocol      protocol
	remote, local netip.AddrPort
	since         time.Time
	asked         atomic.Bool // a request was read
	once          sync.Once
	why           string // of a failed handshake; guarded by the gate's lock
}

func (g *gate) admit(c net.Conn, p protocol) *gated {
	x := &gated{Conn: c, gate: g, protocol: p, remote: addrPort(c.RemoteAddr().String()), local: addrPort(c.LocalAddr().String()), since: g.now()}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.open) >= g.total || g.byAddr[x.remote.Addr()] >= g.each {
		g.refused++
		return nil
	}
	g.open[x] = struct{}{}
	g.byAddr[x.remote.Addr()]++
	return x
}

// Close implements net.Conn.
func (x *gated) Close() error {
	x.once.Do(func() {
		if why := x.gate.leave(x); why != "" {
			x.gate.note(x, why)
		}
	})
	return x.Conn.Close()
}

// leave gives a connection's place back, and says what was wrong with it.
func (g *gate) leave(x *gated) (why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := x.remote.Addr()
	delete(g.open, x)
	if g.byAddr[at]--; g.byAddr[at] == 0 {
		delete(g.byAddr, at)
	}
	if x.asked.Load() {
		return ""
	}
	if why = x.why; why == "" {
		why = "it ended without a request that could be read"
	}
	g.useless[x.protocol]++
	if len(g.failures) >= maxFailures {
		clear(g.failures)
	}
	g.failures[at] = failure{g.failures[at].count + 1, g.now(), why, x.protocol, x.remote, x.local}
	return why
}

// failed notes why the handshake of an open connection failed; it is closed next.
func (g *gate) failed(remote netip.AddrPort, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for x := range g.open {
		if x.remote == remote && x.protocol == overHTTPS {
			x.why = why
		}
	}
}

// list is what is open, and how many were refused.
func (g *gate) list() (out []*gated, refused uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for x := range g.open {
		out = append(out, x)
	}
	return out, g.refused
}

// troubles are the addresses whose last connection brought no request, and how many there were by protocol.
func (g *gate) troubles() (out []failure, useless [overHTTPS + 1]uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range g.failures {
		out = append(out, f)
	}
	return out, g.useless
}
