package bus

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Routes make the embedded servers of a cluster's nodes one bus. They are connections between servers only: there is no port
// for clients and none for monitoring.
type Routes struct {
	// Listen is where the other nodes' buses come to, address:port; port 0 takes a free one.
	Listen string
	// Peers are where the buses of the other nodes listen. Those that are not there are tried every second.
	Peers []string
	// TLS is used in both directions and must verify who is at the other end, as a server and as a client: whoever it lets in
	// reads and says everything. Required.
	TLS *tls.Config
}

// Limits on routes: a neighbour that does not answer pings is given up as the board gives it up, and its place is tried anew.
const (
	routePing    = time.Second
	routePings   = 2
	routeTLSTime = 5   // seconds
	routeWrite   = 3   // seconds for one write
	maxPeers     = 256 // nodes
	pendingLimit = 64  // MiB that wait for a node that is slow to read
)

// embedded is the server inside the process.
type embedded struct {
	*server.Server
	mu    sync.Mutex // held while the routes change
	opt   *server.Options
	peers []string
}

// startEmbedded starts the server: without a port, or with one for routes.
func startEmbedded(ctx context.Context, c Config, timeout time.Duration) (*embedded, error) {
	e := &embedded{opt: &server.Options{
		// Two lives of a node are two servers: a name that comes back before its old connection is gone would be turned away.
		ServerName: fmt.Sprintf("%s-%x", Token(c.Node), process()),
		DontListen: true, NoLog: true, NoSigs: true,
		MaxPayload: int32(c.MaxPayload), MaxPending: int64(max(c.MaxPayload*8, pendingLimit<<20)),
	}}
	if c.Routes.Listen != "" {
		if err := e.route(ctx, c); err != nil {
			return nil, err
		}
	}
	s, err := server.NewServer(e.opt)
	if err != nil {
		return nil, fmt.Errorf("bus: embedded server: %w", err)
	}
	e.Server = s
	s.Start()
	if e.ready(timeout) {
		return e, nil
	}
	s.Shutdown()
	if c.Routes.Listen != "" {
		return nil, fmt.Errorf("bus: the embedded server does not listen on %s for the buses of other nodes after %s", c.Routes.Listen, timeout)
	}
	return nil, fmt.Errorf("bus: embedded server not ready within %s", timeout)
}

// ready waits for the server.
func (e *embedded) ready(timeout time.Duration) bool {
	if e.opt.DontListen {
		return e.ReadyForConnections(timeout)
	}
	for end := time.Now().Add(timeout); e.ClusterAddr() == nil; time.Sleep(time.Millisecond) { // no event tells
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// noPort is a port that nobody can listen on. The server begins with its routes only when it has tried to listen for clients; told
// not to listen for them (DontListen) it waits for that for ever.
const noPort = 1 << 16

// route fills in what makes the server part of a cluster.
func (e *embedded) route(ctx context.Context, c Config) error {
	if c.Routes.TLS == nil {
		return fmt.Errorf("bus: routes need TLS: without it anybody who reaches %s would be on the bus", c.Routes.Listen)
	}
	host, port, err := splitPort(c.Routes.Listen)
	if err != nil {
		return fmt.Errorf("bus: listen: %w", err)
	}
	// The server tells a log that nobody keeps why it cannot listen; so it is tried here, where the reason can be told.
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(max(port, 0))))
	if err != nil {
		return fmt.Errorf("bus: listen for the buses of other nodes: %w", err)
	}
	_ = l.Close()
	e.opt.DontListen, e.opt.Port = false, noPort
	e.opt.Cluster = server.ClusterOpts{
		Name: Token(c.Cluster), Host: host, Port: port, TLSConfig: c.Routes.TLS, TLSTimeout: routeTLSTime, AuthTimeout: routeTLSTime,
		NoAdvertise: true, PoolSize: -1, PingInterval: routePing, MaxPingsOut: routePings, WriteDeadline: routeWrite * time.Second,
		Compression: server.CompressionOpts{Mode: server.CompressionOff},
	}
	e.peers = slices.Clone(c.Routes.Peers)
	e.opt.Routes, err = routesTo(c.Routes.Peers)
	return err
}

// splitPort reads address:port. The server spells any port -1.
func splitPort(s string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	if port, err = strconv.Atoi(text); err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q is no port", text)
	}
	return host, cmp.Or(port, -1), nil
}

func routesTo(peers []string) ([]*url.URL, error) {
	if len(peers) > maxPeers {
		return nil, fmt.Errorf("bus: %d other nodes; at most %d", len(peers), maxPeers)
	}
	var out []*url.URL
	for _, p := range peers {
		if _, _, err := splitPort(p); err != nil {
			return nil, fmt.Errorf("bus: other node: %w", err)
		}
		out = append(out, &url.URL{Scheme: "nats-route", Host: p})
	}
	return out, nil
}

// RouteAddress is where other nodes' buses come to; empty without routes.
func (b *Bus) RouteAddress() string {
	if b.server == nil || b.server.ClusterAddr() == nil {
		return ""
	}
	return b.server.ClusterAddr().String()
}

// SetPeers changes where the buses of the other nodes are. Connections to those that stay are kept.
func (b *Bus) SetPeers(peers []string) error {
	if b.server == nil || b.server.ClusterAddr() == nil {
		return fmt.Errorf("bus: this node's bus has no routes")
	}
	e := b.server
	e.mu.Lock()
	defer e.mu.Unlock()
	if slices.Equal(slices.Sorted(slices.Values(peers)), slices.Sorted(slices.Values(e.peers))) {
		return nil
	}
	routes, err := routesTo(peers)
	if err != nil {
		return err
	}
	next := e.opt.Clone()
	next.Routes = routes
	if err := e.ReloadOptions(next); err != nil {
		return fmt.Errorf("bus: other nodes: %w", err)
	}
	e.opt, e.peers = next, slices.Clone(peers)
	return nil
}

// Connections is the number of other nodes' servers this one is connected to.
func (b *Bus) Connections() int {
	if b.server == nil {
		return 0
	}
	return b.server.NumRoutes()
}
