package load

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// flow is a phone's way to the server: a connection, or a socket. Writes are whole messages under a lock; one goroutine
// reads and hands every message on, in order.
type flow struct {
	conn    net.Conn
	udp     bool
	local   string // ip:port
	ip      netip.Addr
	writing sync.Mutex
	closed  atomic.Bool
}

// from is the address of phone i.
func (c *Config) from(i int) netip.Addr {
	if c.Spread == 0 || !c.From.Is4() {
		return c.From
	}
	b := c.From.As4()
	n := binary.BigEndian.Uint32(b[:]) + uint32(i%c.Spread)
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// server is where phone i registers.
func (r *run) server(i int) netip.AddrPort {
	if r.cfg.Callees.IsValid() && i >= len(r.callers) {
		return r.cfg.Callees
	}
	return r.cfg.Server
}

// dial connects phone i with a server; handshake is how long TLS took, from the connected socket on.
func dial(ctx context.Context, c *Config, to netip.AddrPort, i int, tlsConfig *tls.Config) (f *flow, handshake time.Duration, err error) {
	d := net.Dialer{Timeout: c.Timeout}
	network := "tcp"
	if c.Network == "udp" {
		network = "udp"
	}
	if from := c.from(i); from.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: from.AsSlice()}
		if network == "udp" {
			d.LocalAddr = &net.UDPAddr{IP: from.AsSlice()}
		}
	}
	conn, err := d.DialContext(ctx, network, to.String())
	if err != nil {
		return nil, 0, err
	}
	f = &flow{conn: conn, udp: network == "udp", local: conn.LocalAddr().String()}
	if at, err := netip.ParseAddrPort(f.local); err == nil {
		f.ip = at.Addr()
	}
	if u, ok := conn.(*net.UDPConn); ok {
		_ = u.SetReadBuffer(4 << 20) // as far as the system lets us: a small one loses bursts
	}
	if c.Network != "tls" {
		return f, 0, nil
	}
	t := tls.Client(conn, tlsConfig)
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	begin := time.Now()
	if err := t.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, 0, fmt.Errorf("TLS with %s: %w", to, err)
	}
	f.conn = t
	return f, time.Since(begin), nil
}

func (f *flow) send(b []byte) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	_, err := f.conn.Write(b)
	return err
}

func (f *flow) close() {
	f.closed.Store(true)
	f.conn.Close()
}

// read hands on every message until the flow ends; nil when we ended it.
func (f *flow) read(each func(*message)) error {
	buf := make([]byte, 0, 8<<10)
	var m message
	for {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		n, err := f.conn.Read(buf[len(buf):cap(buf)])
		if err != nil {
			if f.closed.Load() {
				return nil
			}
			if f.udp { // an ICMP answer to something we sent: the retransmission finds out
				continue
			}
			return err
		}
		buf = buf[:len(buf)+n]
		used, err := f.messages(buf, &m, each)
		if f.udp {
			used, err = len(buf), nil // a datagram is whole or rubbish
		}
		if err != nil {
			return err
		}
		buf = append(buf[:0], buf[used:]...)
	}
}

func (f *flow) messages(buf []byte, m *message, each func(*message)) (used int, err error) {
	for {
		for used < len(buf) && (buf[used] == '\r' || buf[used] == '\n') { // keep-alive (RFC 5626, 3.5.1)
			used++
		}
		n, err := m.scan(buf[used:])
		if err != nil || n == 0 {
			return used, err
		}
		used += n
		each(m)
	}
}
