package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Config of Open. The zero value is an embedded server without a port.
type Config struct {
	// URLs of a NATS cluster. Empty: embedded.
	URLs []string
	// TLS is used with URLs of scheme tls. nil: the system's roots.
	TLS *tls.Config
	// Routes join the embedded server with those of other nodes. Zero: it is alone, without a port. Of no use with URLs.
	Routes Routes
	// CredentialsFile is a NATS credentials file.
	CredentialsFile string
	// Cluster and Node name this end, for subjects. Default: locktone, node1.
	Cluster, Node string
	// MaxPayload bounds one message in bytes. Default: 8 MiB, for answers with many rows.
	MaxPayload int
	// ConnectTimeout bounds the first connection. Default: 5 s.
	ConnectTimeout time.Duration
	// Beat is the time between two beats of the board, and Lease how long a node that is not heard is believed. Default: 1 s, 3 s.
	Beat, Lease time.Duration
	// Hold is how long what other nodes have said is believed while this node has no connection to any server of URLs. Default: 5 min.
	// The embedded server is always there: that it hears no other node looks as if they were dead.
	Hold time.Duration
	// Notice is told when the connection to the cluster is lost (err set) or
	// back (err nil), from a goroutine of the client. nil: nobody is told.
	Notice func(err error)
}

const (
	defaultMaxPayload     = 8 << 20
	defaultConnectTimeout = 5 * time.Second
	reconnectWait         = 500 * time.Millisecond
	// A server that does not answer is given up as the board gives a node up, and the next of URLs is tried.
	serverPing  = time.Second
	serverPings = 2
)

// Bus is one end of the bus. It owns the connection, and the embedded server
// when there is one; it is safe for concurrent use.
type Bus struct {
	cluster, node string
	conn          *nats.Conn
	server        *embedded // nil with a cluster
	board         *Board
}

// Open starts the embedded server or connects to the cluster.
func Open(ctx context.Context, c Config) (*Bus, error) {
	c = c.withDefaults()
	b := &Bus{cluster: c.Cluster, node: c.Node}
	if err := b.open(ctx, c); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (c Config) withDefaults() Config {
	if c.Cluster == "" {
		c.Cluster = "locktone"
	}
	if c.Node == "" {
		c.Node = "node1"
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = defaultMaxPayload
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = defaultConnectTimeout
	}
	return c
}

func (b *Bus) open(ctx context.Context, c Config) (err error) {
	timeout := c.ConnectTimeout
	if d, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(d))
	}
	opts := []nats.Option{
		nats.Name("locktone " + c.Node), nats.Timeout(max(timeout, time.Millisecond)),
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.ReconnectBufSize(-1), // without a connection publishing fails at once: what is kept would come when nobody waits for it any more
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if c.Notice != nil && err != nil {
				c.Notice(fmt.Errorf("bus: connection lost, trying again: %w", err))
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			if c.Notice != nil {
				c.Notice(nil)
			}
		}),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // overflow is seen by the subscriber
	}
	if len(c.URLs) == 0 {
		if b.server, err = startEmbedded(ctx, c, timeout); err != nil {
			return err
		}
		b.conn, err = nats.Connect("", append(opts, nats.InProcessServer(b.server.Server))...)
	} else {
		b.conn, err = nats.Connect(strings.Join(c.URLs, ","), append(opts, remoteOptions(c)...)...)
	}
	if err != nil {
		return fmt.Errorf("bus: connect to %s: %w; check that the servers run and that their certificates chain to the configured CA", place(c.URLs), err)
	}
	return b.openBoard(c)
}

func place(urls []string) string {
	if len(urls) == 0 {
		return "the embedded server"
	}
	hosts := make([]string, len(urls))
	for i, u := range urls {
		hosts[i] = Host(u)
	}
	return strings.Join(hosts, ", ")
}

// Host is the server that a URL names, without what may be secret in it: a password, a token.
func Host(server string) string {
	if !strings.Contains(server, "://") {
		server = "nats://" + server // as the client of NATS reads it
	}
	u, err := url.Parse(server)
	if err != nil {
		return "a URL that cannot be read"
	}
	return u.Host
}

func remoteOptions(c Config) []nats.Option {
	opts := []nats.Option{nats.PingInterval(serverPing), nats.MaxPingsOutstanding(serverPings)}
	if c.TLS != nil {
		opts = append(opts, nats.Secure(c.TLS))
	}
	if c.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(c.CredentialsFile))
	}
	return opts
}

// Close sends what is waiting, drops subscriptions and stops the embedded server.
func (b *Bus) Close() error {
	var err error
	if b.board != nil {
		b.board.close()
	}
	if b.conn != nil && !b.conn.IsClosed() {
		if err = b.conn.FlushTimeout(time.Second); errors.Is(err, nats.ErrConnectionClosed) {
			err = nil
		}
		b.conn.Close()
	}
	if b.server != nil {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	}
	return err
}

// Connected reports whether the bus can be used now.
func (b *Bus) Connected() bool { return b.conn.IsConnected() }

// Node is the name of this end's node.
func (b *Bus) Node() string { return b.node }

// Subject names a subject of this node.
func (b *Bus) Subject(service, verb string) Subject {
	return Subject{Cluster: b.cluster, Node: b.node, Service: service, Verb: verb}
}

// AllNodes names the same subject of every node of the cluster.
func (b *Bus) AllNodes(service, verb string) Subject {
	return Subject{Cluster: b.cluster, Node: Any, Service: service, Verb: verb}
}
