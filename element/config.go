package element

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Config says what an element is and what it stands on. Service, Node, Addresses and Identity must be set.
type Config struct {
	Service string // name of the service, in traces, tables and Call-IDs of its own
	Node    string // this node's name
	Version string // of the program
	// Domain is the host of our own addresses, unless a peer is told another; empty: the first address.
	Domain string
	// Addresses are bound one by one; Contact shows the first.
	Addresses []netip.Addr
	// Source is the address that connections are dialled from, so that peers see who it is by the address too; zero: the system's choice. It
	// counts where it can reach the peer: an address of loopback reaches loopback alone.
	Source netip.Addr
	// Optional addresses are bound too; one that is taken is no failure, and Taken tells.
	Optional []netip.Addr
	Identity *pki.Identity
	Trace    *trace.Recorder // nil traces nothing
	Media    media.PlaneConfig
	Timers   transaction.Timers
	Limits   endpoint.Limits
	Conns    transport.Limits
	Network  Network
	Now      func() time.Time // nil: time.Now
	// KeyLog receives the session secrets of every TLS connection, so that a capture can be read: for laboratories only,
	// listed by Exceptions. No site file can set it.
	KeyLog pki.KeyLogWriter
	// TLSMin and TLSMax are the oldest and the newest version of TLS spoken, for services that an operator can hold to one (`transport tcp tls
	// v1.2`); zero: TLS 1.2 and TLS 1.3.
	TLSMin, TLSMax uint16
	// Policy is the service; nil: calls belong to the peer that sends them, and go where the dial plan says.
	Policy Policy
	// Sessions bounds the applets that run at the same time; zero: 256.
	Sessions int
	Hooks    Hooks
}

// Network replaces how TCP connections are dialled and listeners opened, in laboratories whose network fails; zero is the system's.
type Network struct {
	Dial   func(context.Context, transport.Dest) (net.Conn, error)
	Listen func(netip.AddrPort) (net.Listener, error)
}

// Policy is what a service decides beyond the dial plan. It is asked by many goroutines at once and must answer from memory.
type Policy interface {
	// Arrival says to which peer an INVITE belongs and what it asks for, or why it is refused.
	Arrival(in Incoming) (Arrival, *sipleg.Refusal)
	// Program finds an applet by name; nil where there is none.
	Program(name string) applet.Program
}

// Incoming is an INVITE that begins a call, with what is known of its sender. Peer is the one that fits the connection by certificate or
// address; where none fits it is empty and Refused says why, which is what to answer unless the service knows better.
type Incoming struct {
	Flow    *transport.Flow
	Message *sip.Message
	Peer    string
	Refused *sipleg.Refusal
}

// Arrival is a call that is let in.
type Arrival struct {
	Peer   string // whose call it is
	Called string // what is called; empty: the user part of the Request-URI
	// Route is where it goes instead of asking the dial plan, in this order; RouteCauses lead to the next member, see call.Setup.
	Route       []call.RouteMember
	RouteCauses []call.Cause
}

// Hooks are what a service with more than peers adds: devices, other nodes, records of its own. Every field may be nil.
type Hooks struct {
	// Directory answers the SIP driver instead of the element, and asks the element (Ways, PeerOf) where peers are meant.
	Directory sipleg.Directory
	// Outside gets what is no call instead of the element, which answers OPTIONS (Element.Options does it for who wants to) and refuses the
	// rest. What belongs to the element's own OPTIONS does not come there.
	Outside endpoint.User
	// AllowEvents is the header field of that name in answers to OPTIONS.
	AllowEvents string
	// Kinds are the holders of certificates that may connect; none: peers and services.
	Kinds pki.Kinds
	// Dialled says whom a dialled destination that is no peer must prove to be, and what else is asked of its certificate (check may be nil).
	Dialled func(policy string) (p pki.PeerPolicy, check func(*pki.Report) error, ok bool)
	// Closed is told of a connection that has ended, while Owner still knows whose it was.
	Closed func(*transport.Flow)
	// Refused is told of a handshake that failed.
	Refused func(*transport.HandshakeFailure)
	// Stepped is told of every input of the engine with what came of it, where the engine runs.
	Stepped func(*live.Record)
	// Ended is told how a leg's media went and the connection it was signalled on, as sipleg.Observer.LegEnded is.
	Ended func(leg call.LegID, m media.LegMedia, on *transport.Flow)
	// Device says whether a name is a device, for traces.
	Device func(name string) bool
	// Received and Sending may change the header of messages from and to a peer: Received before anything else looks at them, but for the
	// INVITE that begins a call, which Policy.Arrival sees first. They are called by many goroutines at once.
	Received, Sending func(peer string, m *sip.Message)
	// Program finds an applet by name, for a service without a Policy.
	Program func(name string) applet.Program
	// PeerChanged is told that a peer as a whole became usable or is not any more. The engine knows already (call.TrunkState); what else it
	// should be told comes after that.
	PeerChanged func(peer string, up bool)
}

// engine's overload marks. A busy machine lets a goroutine wait for 20 ms now and then; a queue that is a tenth of a second old is overload.
const (
	refuseAfter = 100 * time.Millisecond
	acceptUnder = 40 * time.Millisecond
)
