package transport

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// Network is the transport protocol of a flow. The zero value is no transport.
type Network uint8

// The transports of RFC 3261, 18. TLS is SIP over TLS over TCP.
const (
	NoNetwork Network = iota
	UDP
	TCP
	TLS
)

// String is the name in lower case: "udp", "tcp", "tls".
func (n Network) String() string {
	return [...]string{"none", "udp", "tcp", "tls"}[n&3]
}

// Via is the transport's name in a Via header field: "UDP", "TCP", "TLS".
func (n Network) Via() string {
	return [...]string{"", "UDP", "TCP", "TLS"}[n&3]
}

// Reliable says whether lower layers retransmit, so that transactions need not.
func (n Network) Reliable() bool { return n == TCP || n == TLS }

// Port is the default port: 5060, for TLS 5061. RFC 3261, 19.1.2: the default depends on transport and scheme.
func (n Network) Port() uint16 {
	if n == TLS {
		return 5061
	}
	return 5060
}

// ParseNetwork reads "udp", "tcp" or "tls" in any case; anything else is NoNetwork.
func ParseNetwork(s string) Network {
	for _, n := range []Network{UDP, TCP, TLS} {
		if strings.EqualFold(s, n.String()) {
			return n
		}
	}
	return NoNetwork
}

// Check is the question a VerifyFunc answers: may this TLS peer be here, and who is it?
type Check struct {
	State         *tls.ConnectionState // the handshake, with the chain the peer sent in PeerCertificates
	Inbound       bool                 // the peer connected to us
	Listener      string               // inbound: name of the listener
	LocalIdentity string               // which of our identities we show
	ServerName    string               // outgoing: the name the peer must prove; inbound: the name it asked for
	Policy        string               // outgoing: Dest.Policy
	Remote        netip.AddrPort
}

// VerifyFunc verifies a TLS peer during the handshake, so that the peer gets an alert when the answer is an error.
// It is called on many goroutines. The error's text is what the operator reads.
type VerifyFunc func(Check) (PeerIdentity, error)

// Observer sees everything that happens, for traces and metrics. Calls come from many goroutines, in order per flow and
// direction; raw is only valid during the call. Sent is called with the flow locked: the observer may look at the flow, not
// send on it or close it. A nil Observer costs nothing.
type Observer interface {
	// Received reports a message, with problem set when it was malformed (m may then be nil). raw is nil when the
	// framer does not keep the bytes: m.Append gives them.
	Received(f *Flow, at time.Time, raw []byte, m *sip.Message, problem *sip.ParseError)
	// Sent reports a message given to a flow.
	Sent(f *Flow, at time.Time, raw []byte, m *sip.Message)
	// Opened reports a flow of a connection that is ready; TLS flows are verified.
	Opened(f *Flow, at time.Time)
	// Closed reports the end of a flow that was Opened, and why.
	Closed(f *Flow, at time.Time, err error)
	// Refused reports a handshake that failed, or a connection that never came to one.
	Refused(HandshakeFailure)
}

// Handler receives what comes in. Calls for one flow come in wire order from one goroutine; they must not block for long.
type Handler interface {
	// Message hands over a valid message. The handler owns m from now on, and calls f.Processed when it is done with it:
	// the reader waits when too many are open.
	Message(f *Flow, m *sip.Message)
	// Rest says that all that has come on a connection is handed over: the reader will wait for more, and meanwhile has time to
	// do the work for it. It is not called for UDP.
	Rest(f *Flow)
	// Opened says that a connection we made is ready. It comes before any message.
	Opened(f *Flow)
	// Closed is the last call for a flow of a connection: err says why. Messages that were queued are lost.
	Closed(f *Flow, err error)
}

// Config configures a Transport. The zero value serves UDP and TCP with the default limits.
type Config struct {
	// Verify is asked about every TLS peer; TLS without it is refused.
	Verify VerifyFunc
	// DialTLS gives the TLS configuration for an outgoing connection, at every dial, so that a new certificate is used
	// by the next one. The transport sets ServerName and its own verification on a clone.
	DialTLS func(Dest) (*tls.Config, error)
	// Observer sees messages, connections and refused handshakes; may be nil.
	Observer Observer
	// Limits bound what a peer can cost; zero fields take defaults.
	Limits Limits
	// Dial replaces the dialling of TCP connections, and Listen the opening of TCP listeners, for tests with in-memory pipes or with a
	// network that fails; nil is net.Dialer and net.ListenConfig.
	Dial   func(ctx context.Context, d Dest) (net.Conn, error)
	Listen func(addr netip.AddrPort) (net.Listener, error)
}

// Limits bound connections, bytes and time. A zero field takes the default given in its comment.
type Limits struct {
	Connections        int           // open connections of one listener: 20,000
	ConnectionsPerIP   int           // of one source address: 10,000
	Unproven           int           // connections of a listener without a valid message yet: 4,000
	UnprovenPerIP      int           // of one source address: 256
	Handshakes         int           // TLS handshakes in flight on one listener: 512
	HandshakesPerIP    int           // of one source address: 128
	AcceptRate         int           // connections accepted per second on one listener; the excess is closed: 2,000
	HandshakeTimeout   time.Duration // from accept or connect to a finished handshake: 10 s
	ConnectTimeout     time.Duration // for the TCP connection of a dial: 5 s
	FirstMessage       time.Duration // from the handshake to the first valid message on an accepted connection: 30 s
	PartialMessage     time.Duration // from the first byte of a message to its last: 10 s
	Idle               time.Duration // without any byte from the peer, keep-alives included: 65 min
	WriteTimeout       time.Duration // for one write: 10 s
	QueueBytes         int           // queued and not yet written on one flow: 512 kB
	UDPFlows           int           // UDP flows remembered for reuse and counters: 16,384
	UDPBuffer          int           // socket buffers: 4 MB
	Message            sip.Limits    // size and number limits of one message
	MalformedPerMinute int           // malformed messages answered on one connection before it is closed: 100
}

func (l Limits) withDefaults() Limits {
	ints := []struct {
		p *int
		v int
	}{
		{&l.Connections, 20_000}, {&l.ConnectionsPerIP, 10_000}, {&l.Unproven, 4_000}, {&l.UnprovenPerIP, 256},
		{&l.Handshakes, 512}, {&l.HandshakesPerIP, 128}, {&l.AcceptRate, 2_000}, {&l.QueueBytes, 512 << 10},
		{&l.UDPFlows, 16_384}, {&l.UDPBuffer, 4 << 20}, {&l.MalformedPerMinute, 100},
	}
	for _, f := range ints {
		if *f.p == 0 {
			*f.p = f.v
		}
	}
	times := []struct {
		p *time.Duration
		v time.Duration
	}{
		{&l.HandshakeTimeout, 10 * time.Second}, {&l.ConnectTimeout, 5 * time.Second}, {&l.FirstMessage, 30 * time.Second},
		{&l.PartialMessage, 10 * time.Second}, {&l.Idle, 65 * time.Minute}, {&l.WriteTimeout, 10 * time.Second},
	}
	for _, f := range times {
		if *f.p == 0 {
			*f.p = f.v
		}
	}
	return l
}

// ListenConfig describes one listener.
type ListenConfig struct {
	// Name tells listeners apart in counters, traces and Check; empty is "network:address".
	Name string
	// Network is UDP, TCP or TLS.
	Network Network
	// Addr is the local address; port 0 takes a free one.
	Addr netip.AddrPort
	// LocalIdentity names the identity shown here. Outgoing flows with the same LocalIdentity put this listener's
	// address into Via, and UDP ones leave from its socket.
	LocalIdentity string
	// Advertise is the address to put into Via instead of the bound one (behind NAT, or bound to a wildcard).
	Advertise netip.AddrPort
	// TLS gives the configuration for one handshake; it is asked at every handshake, so a new certificate or client
	// policy is in use by the next one. ClientAuth decides whether the peer must show a certificate
	// (tls.RequireAnyClientCert for mutual TLS: the chain is verified by Config.Verify).
	TLS func(*tls.ClientHelloInfo) (*tls.Config, error)
	// Limits replace Config.Limits for this listener when not nil.
	Limits *Limits
}

// Dest says where an outgoing message goes and as whom. Two Dests share a connection only when all fields agree.
type Dest struct {
	Network       Network
	Addr          netip.AddrPort
	LocalIdentity string // which of our identities to show
	ServerName    string // TLS: the name the peer must prove; also sent as SNI unless it is an address
	Policy        string // TLS: opaque for the verifier, for example the trunk
	Peer          string // TLS: PeerIdentity.Key the peer must have; "" = whoever proves ServerName
}

// HandshakeFailure says why a connection never became a flow.
type HandshakeFailure struct {
	At            time.Time
	Inbound       bool
	Listener      string
	LocalIdentity string
	Remote        netip.AddrPort
	ServerName    string // SNI the peer sent, or the name we asked for
	Policy        string
	Phase         string   // "accept", "connect", "hello", "handshake", "verify", "timeout", "alert" (refused by the peer after our part)
	Chain         [][]byte // DER of the certificates the peer had shown, leaf first
	Err           error
}
