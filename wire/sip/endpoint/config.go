package endpoint

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// User is the transaction user (RFC 3261, 17). Calls for one Call-ID come one after the other, in wire order, on whichever
// goroutine is at work on the shard. A call must not block: it holds up every other call of its shard, and often the reader of
// a connection.
type User interface {
	// Request is a new request. ACK for a 2xx comes with a stateless tx; CANCEL never comes here.
	Request(tx *ServerTx, m *sip.Message)
	// Cancelled says that the peer cancelled this INVITE, which has no final response yet. CANCEL has its 200 already.
	Cancelled(tx *ServerTx)
	// Response is every provisional and final response, with forked and retransmitted 2xx to INVITE.
	Response(tx *ClientTx, m *sip.Message)
	// Failed ends a request without a final response: ErrTimeout, ErrFlowGone, a *TransportError, a resolver's error.
	Failed(tx *ClientTx, err error)
	// Posted is a value of Post or After, or one of the endpoint's own: NoAck, ServerFailed.
	Posted(callID string, v any)
}

// Relay is somebody whom User callbacks hand things to and who is to run on the same goroutine afterwards, such as a call engine: a
// message then needs no wake-up on its way through.
type Relay interface {
	// Onward does what the callbacks have left to be done. It is called after every run of a shard, by many goroutines at once,
	// while no shard is held; it may Leave values to shards, which are run next.
	Onward()
}

// NoAck is posted when a 2xx to INVITE was retransmitted for 64*T1 and no ACK came. RFC 3261, 13.3.1.4: the dialog is
// confirmed, but the session should be ended with a BYE.
type NoAck struct{ Tx *ServerTx }

// ServerFailed is posted when a final response to INVITE could not be delivered: no ACK for a non-2xx (Timer H), or the
// transport failed. RFC 3261, 17.2.4.
type ServerFailed struct {
	Tx  *ServerTx
	Err error
}

// Hop is one resolved place to send a request to, as RFC 3263 orders them.
type Hop struct {
	Network transport.Network
	Addr    netip.AddrPort
}

// Resolver finds the hops for a URI (RFC 3263, 4). It may block and is called on its own goroutine, of which there are
// at most Limits.Resolving. Literal addresses are not asked about.
type Resolver interface {
	ResolveSIP(ctx context.Context, uri sip.URI) ([]Hop, error)
}

// Target says where a request goes. The zero value resolves the request's own next hop.
type Target struct {
	// Flow sends on exactly this flow (RFC 5626, 5.3: a registered phone); when it is gone the request fails with
	// ErrFlowGone, unless there are Hops to try after it.
	Flow *transport.Flow
	// Hops are tried in order. Empty, and no Flow: topmost Route or Request-URI is resolved.
	Hops []Hop
	// LocalIdentity is the identity to show, and decides which listener's address goes into Via.
	LocalIdentity string
	// ServerName is the name the peer's certificate must prove; empty is the host of the next-hop URI.
	ServerName string
	// Policy is passed to the verifier, for example the name of a trunk.
	Policy string
	// Timeout replaces Timer B or F for each hop when not 0 (OPTIONS pings, trunk failover).
	Timeout time.Duration
	// Timers replace the endpoint's where not nil (the SIP profile of a trunk). Shared, never written; zero fields take the
	// standard's values.
	Timers *transaction.Timers
}

// Config configures an Endpoint. User is needed; every other zero value is a good value.
type Config struct {
	// User gets everything that is not answered here.
	User User
	// Relay runs after the callbacks of User; nil is nobody.
	Relay Relay
	// Resolver serves targets without hops that name no literal address; nil fails them.
	Resolver Resolver
	// Transport configures connections, TLS verification and the observer of messages.
	Transport transport.Config
	// Shards is the number of shards; 0 is GOMAXPROCS.
	Shards int
	// Timers are the values of RFC 3261, 17; zero fields take the standard's.
	Timers transaction.Timers
	// Limits decide when requests are refused with 503.
	Limits Limits
	// Server is the Server header field of the responses made here; empty sends none.
	Server string
	// Identity is the default LocalIdentity for Targets without one.
	Identity string
	// Outgoing may change the header of a message of the User before it is sent: of a request with its Target's Policy and Flow, of a response
	// with the flow the request came on. What transaction, dialog and body need it must leave alone. It is called by many goroutines at
	// once. Nil changes nothing.
	Outgoing func(m *sip.Message, policy string, flow *transport.Flow)
}

// Limits decide when a request gets a stateless 503 with Retry-After. Zero fields take the default in the comment; a
// negative rate is no limit.
type Limits struct {
	Transactions  int           // server transactions of the whole endpoint: 200,000
	Mailbox       int           // messages waiting in one shard: 8,192
	ShedAbove     time.Duration // mailbox wait over which new requests are refused: 20 ms
	ShedAfter     time.Duration // how long all waits must have been that long: 100 ms
	ShedBelow     time.Duration // mailbox wait under which that ends: 8 ms
	RetryAfter    time.Duration // in the 503, whole seconds, spread by up to its half: 10 s
	RegisterRate  float64       // REGISTER per second of one source address: 200
	RegisterBurst int           // 1,000
	RequestRate   float64       // other new requests per second of one source address: 5,000
	RequestBurst  int           // 10,000
	Sources       int           // source addresses remembered: 16,384; beyond, newcomers share one bucket
	Resolving     int           // resolver calls in flight: 64
}

func (l Limits) withDefaults() Limits {
	setInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	setRate := func(p *float64, v float64) {
		if *p == 0 {
			*p = v
		}
	}
	setTime := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	setInt(&l.Transactions, 200_000)
	setInt(&l.Mailbox, 8_192)
	setInt(&l.RegisterBurst, 1_000)
	setInt(&l.RequestBurst, 10_000)
	setInt(&l.Sources, 16_384)
	setInt(&l.Resolving, 64)
	setRate(&l.RegisterRate, 200)
	setRate(&l.RequestRate, 5_000)
	setTime(&l.ShedAbove, 20*time.Millisecond)
	setTime(&l.ShedAfter, 100*time.Millisecond)
	setTime(&l.ShedBelow, 8*time.Millisecond)
	setTime(&l.RetryAfter, 10*time.Second)
	return l
}

// Errors a request fails with; test with errors.Is.
var (
	// ErrTimeout: no final response in time (Timer B, F or C, or 64*T1 after CANCEL). RFC 3261, 8.1.3.1: treat as 408.
	ErrTimeout = errors.New("no final response in time")
	// ErrFlowGone: the flow named in Target does not exist any more. RFC 5626, 5.3: answer 430 or forget the binding.
	ErrFlowGone = errors.New("the flow is gone")
	// ErrNoHop: nothing to send to, resolution gave nothing usable.
	ErrNoHop = errors.New("no address to send to")
	// ErrResolving: too many resolver calls are in flight.
	ErrResolving = errors.New("too many names are being resolved")
	// ErrCancelled: the request was cancelled before it was sent.
	ErrCancelled = errors.New("cancelled before it was sent")
	// ErrClosed: the endpoint is closing.
	ErrClosed = errors.New("endpoint is closed")
	// ErrStateless: a stateless ServerTx (ACK) cannot be answered.
	ErrStateless = errors.New("an ACK takes no response")
)

// TransportError is the failure of the last hop that was tried. RFC 3261, 8.1.3.1: treat as 503.
type TransportError struct {
	Hop Hop
	Err error
}

func (e *TransportError) Error() string {
	return "sending to " + e.Hop.Network.String() + " " + e.Hop.Addr.String() + ": " + e.Err.Error()
}

func (e *TransportError) Unwrap() error { return e.Err }

// Stats are the endpoint's counters and gauges.
type Stats struct {
	ServerTransactions int
	ClientTransactions int
	Mailbox            int           // messages waiting in all shards
	Wait               time.Duration // longest recent mailbox wait of a shard
	Shedding           int           // shards that refuse new requests now
	Requests           uint64        // requests received
	Responses          uint64        // responses received
	Refused            uint64        // requests answered 503 by a limit
	Merged             uint64        // 482
	Stray              uint64        // responses that matched no transaction
	Absorbed           uint64        // retransmitted requests
	Retransmitted      uint64        // messages sent again by a timer
	Timeouts           uint64
}
