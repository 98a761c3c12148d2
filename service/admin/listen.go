package admin

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// bounded is a listener that closes what comes beyond a number of connections, and counts those that never brought a request.
type bounded struct {
	net.Listener
	max     int64
	open    atomic.Int64
	refused atomic.Int64 // beyond max
	useless atomic.Int64 // closed without a request that could be read
}

// Accept returns the next connection there is room for.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.open.Add(1) <= b.max {
			return &boundedConn{Conn: c, of: b}, nil
		}
		b.open.Add(-1)
		b.refused.Add(1)
		c.Close()
	}
}

type boundedConn struct {
	net.Conn
	of    *bounded
	asked atomic.Bool // a request was read
	once  sync.Once
}

// Close gives the connection's place back.
func (c *boundedConn) Close() error {
	c.once.Do(func() {
		c.of.open.Add(-1)
		if !c.asked.Load() {
			c.of.useless.Add(1)
		}
	})
	return c.Conn.Close()
}

// connKey finds the connection in a request's context.
type connKey struct{}

// identified puts the connection into the context of its requests, before next adds to it.
func identified(next func(context.Context, net.Conn) context.Context) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, c net.Conn) context.Context {
		ctx = context.WithValue(ctx, connKey{}, below(c))
		if next != nil {
			ctx = next(ctx, c)
		}
		return ctx
	}
}

// below is our connection under TLS or plain.
func below(c net.Conn) *boundedConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	b, ok := c.(*boundedConn)
	if !ok {
		return &boundedConn{}
	}
	return b
}

var (
	refusedDesc = prometheus.NewDesc("locktone_admin_connections_refused_total", "Connections closed at once because the limit was reached.", nil, nil)
	uselessDesc = prometheus.NewDesc("locktone_admin_connections_without_request_total", "Connections that ended without a request that could be read: broken handshakes, garbage, silence.", nil, nil)
)

// Describe implements prometheus.Collector.
func (s *Server) Describe(ch chan<- *prometheus.Desc) {
	ch <- refusedDesc
	ch <- uselessDesc
	describeBus(ch)
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	var refused, useless int64
	for _, b := range s.bounds {
		refused += b.refused.Load()
		useless += b.useless.Load()
	}
	ch <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(refused))
	ch <- prometheus.MustNewConstMetric(uselessDesc, prometheus.CounterValue, float64(useless))
	collectBus(s.cfg.Bus, ch)
}
