package admin

import (
	"net"
	"sync"
	"sync/atomic"
)

// bounded is a listener that closes what comes beyond a number of connections, counted over all listeners that share
// the counter.
type bounded struct {
	net.Listener
	open *atomic.Int64
	max  int64
}

// Accept returns the next connection there is room for.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.open.Add(1) <= b.max {
			return &boundedConn{Conn: c, open: b.open}, nil
		}
		b.open.Add(-1)
		c.Close()
	}
}

type boundedConn struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

// Close gives the connection's place back.
func (c *boundedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}
