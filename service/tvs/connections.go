package tvs

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
)

// connections is the table of what is open, with the counts that bound it, guarded by a lock.
type connections struct {
	mu        sync.Mutex
	closed    bool
	next      uint64
	open      map[*connection]struct{}
	each      map[netip.Addr]int // open by address
	strangers int
	failed    map[netip.Addr]failure
}

// connection is one client. Its fields after since are guarded by the table's lock.
type connection struct {
	conn    net.Conn
	id      string
	remote  netip.AddrPort
	local   netip.AddrPort
	since   time.Time
	state   string // handshake, established
	device  string // as it calls itself
	class   standing
	version string
	cipher  string
	report  *pki.Report
	asked   int64
}

// failure counts what went wrong with an address.
type failure struct {
	count int64
	at    time.Time
	last  string
	local netip.AddrPort
}

// maxFailures bounds the table of failures; when it is full it begins anew.
const maxFailures = 4096

func newConnections() *connections {
	return &connections{open: map[*connection]struct{}{}, each: map[netip.Addr]int{}, failed: map[netip.Addr]failure{}}
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

// enter takes a new connection in, or says why not.
func (t *connections) enter(c net.Conn, l Limits, now time.Time) (*connection, string) {
	x := &connection{conn: c, remote: addrPort(c.RemoteAddr()), local: addrPort(c.LocalAddr()), since: now, state: "handshake"}
	at := household(x.remote.Addr())
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return nil, "the service ends"
	case len(t.open) >= l.Connections:
		return nil, fmt.Sprintf("%d connections are open, the most that are allowed", l.Connections)
	case t.each[at] >= l.PerAddress:
		return nil, fmt.Sprintf("%d connections of this address are open, the most that are allowed", l.PerAddress)
	}
	t.next++
	x.id = fmt.Sprintf("v%d", t.next)
	t.open[x] = struct{}{}
	t.each[at]++
	return x, ""
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}

// established notes the outcome of a handshake; false when there are too many strangers.
func (t *connections) established(x *connection, class standing, r *pki.Report, cs tls.ConnectionState, l Limits) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if class == stranger {
		if t.strangers >= l.Strangers {
			return false
		}
		t.strangers++
	}
	x.class, x.report, x.state, x.version, x.cipher = class, r, "established", tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite)
	return true
}

func (t *connections) leave(x *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, x)
	at := household(x.remote.Addr())
	if t.each[at]--; t.each[at] <= 0 {
		delete(t.each, at)
	}
	if x.class == stranger {
		t.strangers--
	}
}

// question notes that a client asked.
func (t *connections) question(x *connection, device string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x.asked++
	x.device = device
}

func (t *connections) fail(remote, local netip.AddrPort, why string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.failed) >= maxFailures {
		clear(t.failed)
	}
	f := t.failed[remote.Addr()]
	t.failed[remote.Addr()] = failure{f.count + 1, now, why, local}
}

func (t *connections) count() (open, strangers int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open), t.strangers
}

// end lets nobody in any more and makes every read that waits return; force also ends what is being written.
func (t *connections) end(force bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for x := range t.open {
		if force {
			x.conn.Close()
		} else {
			_ = x.conn.SetReadDeadline(time.Unix(1, 0)) // a connection that is gone already needs no deadline
		}
	}
}

// ending reports whether end was called.
func (t *connections) ending() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// rows are the open connections and the addresses whose last attempt failed.
func (t *connections) rows(node string) []bus.Connection {
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := []bus.Connection{}
	shown := map[netip.Addr]bool{}
	for x := range t.open {
		row := x.row(node)
		if f, ok := t.failed[x.remote.Addr()]; ok {
			row.Failures, row.LastFailure, row.LastFailureAt = f.count, f.last, f.at.UTC()
			shown[x.remote.Addr()] = true
		}
		rows = append(rows, row)
	}
	for a, f := range t.failed {
		if !shown[a] {
			rows = append(rows, bus.Connection{Node: node, Service: Name, Remote: a.String(), Local: f.local.String(), Transport: "tls", Direction: "inbound", State: "failed",
				Since: f.at.UTC(), Failures: f.count, LastFailure: f.last, LastFailureAt: f.at.UTC()})
		}
	}
	slices.SortStableFunc(rows, func(a, b bus.Connection) int {
		return cmp.Or(strings.Compare(a.Peer, b.Peer), strings.Compare(a.Remote, b.Remote))
	})
	return rows
}

func (x *connection) row(node string) bus.Connection {
	row := bus.Connection{Node: node, Service: Name, ID: x.id, Peer: x.device, Remote: x.remote.String(), Local: x.local.String(), Transport: "tls", Direction: "inbound",
		State: x.state, Since: x.since.UTC(), TLSVersion: x.version, Cipher: x.cipher, Verified: x.class == verified, MessagesIn: x.asked, MessagesOut: x.asked}
	if x.report != nil && x.report.Leaf() != nil {
		c := x.report.Leaf()
		ref := pki.RefOf(c)
		row.Subject, row.Issuer, row.Serial, row.NotAfter = c.Subject.String(), ref.Issuer, ref.Serial, c.NotAfter.UTC()
	}
	return row
}
