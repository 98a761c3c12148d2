package pcapng

import (
	"net"
	"net/netip"
)

// Listener is l, whose connections are written down from the moment they are accepted.
func (w *Writer) Listener(l net.Listener) net.Listener { return &listener{l, w} }

type listener struct {
	net.Listener
	w *Writer
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, stream: l.w.open(endOf(c.RemoteAddr()), endOf(c.LocalAddr()))}, nil
}

// endOf is the end of a TCP connection.
func endOf(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort()
	}
	at, _ := netip.ParseAddrPort(a.String())
	return at
}

// conn is an accepted connection: what is read was sent by side 0, what is written by side 1.
type conn struct {
	net.Conn
	stream *stream
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.stream.data(0, b[:n])
	if err != nil && n == 0 {
		if t, ok := err.(net.Error); !ok || !t.Timeout() {
			c.stream.end(0)
		}
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.stream.data(1, b[:n])
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.stream.end(1)
	return c.Conn.Close()
}
