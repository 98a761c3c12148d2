package ctimanager

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A knock is a connection that says nothing, from an address.
type knock struct {
	net.Conn
	from   netip.AddrPort
	closed bool
}

func (k *knock) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(k.from) }
func (k *knock) LocalAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 100), Port: Port}
}
func (k *knock) Close() error { k.closed = true; return nil }

func closed(c *connection) bool { return c.conn.(*knock).closed }

// A doorway is a table of connections.
type doorway struct {
	*connections
	limits Limits
	port   uint16
}

func newDoorway(l Limits) *doorway {
	return &doorway{connections: newConnections(), limits: l.withDefaults()}
}

// knock is a new connection from an address. nil: it was not let in, and why.
func (d *doorway) knock(from string) (*connection, string) {
	d.port++
	return d.enter(&knock{from: netip.AddrPortFrom(netip.MustParseAddr(from), d.port)}, true, d.limits, 10, time.Time{})
}

// let is knock where it must be let in.
func (d *doorway) let(t *testing.T, from string) *connection {
	t.Helper()
	c, why := d.knock(from)
	if c == nil {
		t.Fatalf("%s was not let in: %s", from, why)
	}
	return c
}

// TestMakeRoom: when all places of those that have not logged in are taken, who comes from an address with fewer than another one has takes the
// place of the oldest of the address that has the most; nobody is displaced for who has as many, nor anybody who has logged in.
func TestMakeRoom(t *testing.T) {
	const many, some, new, sixth = "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.6"
	d := newDoorway(Limits{HalfOpen: 6})
	inside := d.let(t, many) // the oldest of them all, but it has logged in
	d.ready(inside)
	bystander := d.let(t, some)
	var crowd []*connection
	for range 3 {
		crowd = append(crowd, d.let(t, many))
	}
	other := d.let(t, some)
	d.let(t, sixth)
	if d.madeRoom() != 0 || d.half != 6 {
		t.Fatalf("%d were closed while there was room, %d wait", d.madeRoom(), d.half)
	}
	if c, why := d.knock(many); c != nil || !strings.Contains(why, "6 connections have not logged in") {
		t.Errorf("who has the most is let in, or told %q", why)
	}
	late := d.let(t, new) // 3, 2, 1: the oldest of the three
	for i, want := range []bool{true, false, false} {
		if got := closed(crowd[i]); got != want {
			t.Errorf("connection %d of the crowd is closed: %v, want %v", i, got, want)
		}
	}
	again := d.let(t, new) // 2, 2, 1, 1: the oldest of the two that have two; of these it is who has come first
	for c, want := range map[*connection]bool{bystander: true, other: false, inside: false, late: false, again: false} {
		if got := closed(c); got != want {
			t.Errorf("the connection from %s is closed: %v, want %v", c.remote, got, want)
		}
	}
	if d.madeRoom() != 2 || d.half != 6 || len(d.waiting) != 6 {
		t.Errorf("%d were closed for others, %d of %d wait", d.madeRoom(), len(d.waiting), d.half)
	}
	if c, why := d.knock(new); c != nil || why == "" { // 2, 2, 1, 1, and it has two
		t.Error("who has as many as anybody is let in")
	}
	d.leave(crowd[0]) // its goroutine ends later: it counts no longer among those that wait, and not twice
	d.leave(bystander)
	if open, half := d.count(); open != 7 || half != 6 {
		t.Errorf("%d are open, %d of them wait, want 7 and 6", open, half)
	}
	d.ready(late) // a place is free without anybody making room
	d.let(t, new)
	if d.madeRoom() != 2 {
		t.Errorf("%d were closed for others", d.madeRoom())
	}
}

// TestNobodyToDisplace: where every address has one place, a second for any of them displaces nobody, and is refused; a whole /64 is one address.
// Who has none yet is let in.
func TestNobodyToDisplace(t *testing.T) {
	d := newDoorway(Limits{HalfOpen: 3})
	var there []*connection
	for _, from := range []string{"192.0.2.1", "2001:db8:0:1::1", "2001:db8:0:2::1"} {
		there = append(there, d.let(t, from))
	}
	for _, from := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8:0:1::2"} {
		if c, why := d.knock(from); c != nil || why == "" {
			t.Errorf("%s is let in, though its address has as many as the others", from)
		}
	}
	if d.madeRoom() != 0 || d.half != 3 {
		t.Errorf("%d were closed, %d wait", d.madeRoom(), d.half)
	}
	d.let(t, "192.0.2.2")
	if !closed(there[0]) || closed(there[1]) || closed(there[2]) || d.half != 3 {
		t.Errorf("for the first of another address were closed %v %v %v; %d wait", closed(there[0]), closed(there[1]), closed(there[2]), d.half)
	}
}
