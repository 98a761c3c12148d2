package sipleg

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Directory knows devices and trunks. It is asked on the endpoint's shards, by many of them at once: it must
// answer from memory.
type Directory interface {
	// Arrival says who sends an INVITE that opens a call, or why it is refused. The verified identity of the peer is
	// flow.Peer(); From and Request-URI are in m. It may ask for credentials.
	Arrival(flow *transport.Flow, m *sip.Message) (Origin, *Refusal)
	// Sender says who sends a request inside a dialog that comes under another certificate than the dialog had so far: Device
	// or Trunk of the origin must then be the dialog's. Nobody is asked for credentials here: who they belong to was settled
	// when the dialog began.
	Sender(flow *transport.Flow, m *sip.Message) (Origin, *Refusal)
	// Ways says how a target is reached: the registered contacts of a device (its appearance t.Line), the destinations
	// of a trunk. Several ways are tried one after the other: the next one when a way fails by transport, time-out or
	// 503 before anything rang.
	Ways(t call.Target) ([]Way, *Refusal)
	// Elsewhere finds the leg of a dialog that another call manager of this cluster has (RFC 3891, RFC 3911).
	Elsewhere(r sip.Replaces) (node string, leg call.LegID, ok bool)
}

// Engine is the driver's side of a call engine; *live.Driver is one.
type Engine interface {
	NewLeg() call.LegID
	Signal(call.Signal) error
	Commands() <-chan call.Command
}

// Origin is who calls in: exactly one of Device, Trunk and Node is set.
type Origin struct {
	Device string
	Line   call.LineID // the appearance that calls; zero = the device's first line
	Trunk  string
	Node   string          // another call manager of this cluster; its Profile has a Dialect
	Back   endpoint.Target // where the peer is reached once its connection is gone; zero = nowhere
	Called string          // what was dialled; "" = the user part of the Request-URI
	// Route is where the call goes instead of asking the dial plan, and RouteCauses what leads to the next member: see call.Setup.
	Route       []call.RouteMember
	RouteCauses []call.Cause
	Domain      string   // host of the addresses of ours this peer is told; "" = Config.Domain
	Profile     *Profile // not nil; shared, never written
}

// Way is one way to a target.
type Way struct {
	URI     sip.URI         // Request-URI: the registered contact, or the number at the trunk's address
	To      endpoint.Target // the flow of the registration, or hops and the name to prove
	Contact sip.URI         // our Contact; zero = from the flow, or Config.Contact
	Domain  string          // host of the addresses of ours this peer is told; "" = Config.Domain
	Profile *Profile        // not nil; shared, never written
}

// Profile is what the driver must know of a device's or trunk's security and SIP profile. The zero value: SRTP required,
// session timer of 30 minutes, 100rel on demand, no identity trusted, REFER and Replaces refused.
type Profile struct {
	Name         string
	Media        media.Profile
	Timer        dialog.TimerConfig
	Timers       *transaction.Timers // of requests to the peer; nil = the endpoint's
	Reliable     dialog.Reliability
	Transfer     bool // REFER of the peer is obeyed
	Replaces     bool // INVITE with Replaces is obeyed
	TrustAsserts bool // P-Asserted-Identity of the peer counts, and it is told restricted identities (RFC 3325)
	SendAsserts  bool // P-Asserted-Identity is sent
	OwnSession   bool // calls of the peer get a Session-ID of ours: a stranger's could be that of another call (RFC 7989, 12)
	NoInfoDigits bool // digits are not sent by INFO: the peer does not know it
	Redirections Redirections
	// Authorize answers a 401 or 407 of the peer; see dialog.Config. It is asked only where the peer has proven its name over TLS, or where
	// AuthorizeInClear says that the peer's profile has none, by exception.
	Authorize        func(challenge, next *sip.Message) bool
	AuthorizeInClear bool
	// Dialect is what is said to the peer and taken from it beside what SIP has words for: nil for everybody but the call managers of this
	// cluster. It is also what makes a BYE worth repeating that could not be delivered.
	Dialect Dialect
}

// A Dialect is what two call managers of one cluster tell each other beside SIP; tieleg.Dialect is one. It is asked on the shards, by many
// of them at once.
type Dialect interface {
	// Ring is what an INVITE of ours says.
	Ring(r call.Ring) dialog.Header
	// Tell is what any other message of ours says.
	Tell(s Said) dialog.Header
	// Setup completes what the engine is told of an INVITE of the peer, or says why that is refused.
	Setup(m *sip.Message, s *call.Setup) *Refusal
	// Heard is what a message of the peer says; ok is false where it says nothing.
	Heard(m *sip.Message) (s Said, ok bool)
	// Reborn says that the peer lives another life than when the Dialect was made. That it does not know a dialog any more then says nothing
	// of the phones, which talk to each other.
	Reborn() bool
}

// Said is what a call manager says of its side of a call: which call that is, whether whoever is connected is of this site, how well the call
// is protected but for the dialog, and the sentence where that is not encrypted, with the calls that has come through.
type Said struct {
	Call   string // RFC 7989
	Inside bool
	Lock   call.Lock
	Why    string
	Via    call.Via
}

// Refusal says why a call is turned away.
type Refusal struct {
	Status  int         // 0 = 403
	Warning string      // one sentence for the Warning header: which rule failed
	Code    int         // warn-code, 0 = 399 (RFC 3261, 20.43)
	Cause   call.Cause  // for Ways: what the engine is told; zero = from Status
	Retry   int         // Retry-After in seconds, 0 = none
	Header  []sip.Field // further header fields: a challenge
}

// Config configures a Driver. Directory, Engine, Plane and Outside are needed.
type Config struct {
	Directory Directory
	Engine    Engine
	Plane     *media.Plane
	// Outside gets what is no call: REGISTER, OPTIONS, SUBSCRIBE, NOTIFY, MESSAGE, REFER outside dialogs, responses to
	// requests the driver did not send, and posted values it does not know.
	Outside endpoint.User
	// Domain is the host of our own addresses: From, To and P-Asserted-Identity of numbers of this site.
	Domain string
	// Contact is our Contact where the way names none and no flow is known yet.
	Contact sip.URI
	// Agent is the User-Agent and Server header field.
	Agent string
	// T1 is the round-trip estimate of RFC 3261, 17.1.1.1, as the endpoint has it; 0 = 500 ms. An unacknowledged 200 ends
	// its call after 64*T1.
	T1 time.Duration
	// Random gives 64 random bits; nil = crypto/rand.
	Random func() uint64
	// Observer is told what happens between wire and engine, with the leg it happens to; nil tells nobody.
	Observer Observer
}

// Observer sees which dialog carries which leg, so that a trace can join messages and signals. Calls come from many
// goroutines.
type Observer interface {
	// LegOpened reports the Call-ID of a leg, and the device or trunk it belongs to.
	LegOpened(leg call.LegID, callID, globalID, device, trunk string)
	// LegEnded reports how the media of a leg went last and the connection it was signalled on, nil where there was none; it comes
	// when the leg is over for the engine, before the media plane forgets it.
	LegEnded(leg call.LegID, m media.LegMedia, on *transport.Flow)
	// LegClosed reports that the dialog of a leg is over.
	LegClosed(leg call.LegID, callID string)
}

func cryptoRandom() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program where there is no randomness
	return binary.BigEndian.Uint64(b[:])
}
