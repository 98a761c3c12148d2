package endpoint

import (
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// ServerTx is a server transaction: one request from a peer and our responses to it. Its methods may be called from any
// goroutine.
type ServerTx struct{}

// Request is the request that opened the transaction; do not change it.
func (tx *ServerTx) Request() *sip.Message { panic("unfinished") }

// Flow is the flow the request came on.
func (tx *ServerTx) Flow() *transport.Flow { panic("unfinished") }

// Stateless is true for an ACK that acknowledges a 2xx: it takes no response.
func (tx *ServerTx) Stateless() bool { panic("unfinished") }

// Invite is the INVITE transaction whose 2xx a stateless tx acknowledges; nil when it is not known (any more).
func (tx *ServerTx) Invite() *ServerTx { panic("unfinished") }

// LocalTag is the To tag the endpoint puts into responses above 100 that have none. A User that makes dialogs takes it as
// its own tag, so that the 200 to a CANCEL carries the same (RFC 3261, 9.2).
func (tx *ServerTx) LocalTag() string { panic("unfinished") }

// Respond sends a response: provisional, final, or a further 2xx. A provisional or non-2xx final after a final response
// is dropped, so that a 487 after Cancelled cannot harm an INVITE that was answered at the same moment.
func (tx *ServerTx) Respond(res *sip.Message) error { panic("unfinished") }

// Reply is Respond with a response of this status and the standard phrase when reason is empty.
func (tx *ServerTx) Reply(status int, reason string) error { panic("unfinished") }

// ClientTx is an outgoing request, over all hops it is tried on. Its methods may be called from any goroutine.
type ClientTx struct {
	// Tag is the caller's own; the endpoint does not look at it. Set it with RequestTag.
	Tag any
}

// Request is the request as the caller gave it, without Via.
func (tx *ClientTx) Request() *sip.Message { panic("unfinished") }

// Flow is the flow of the hop in use; nil before there is one. To be read in User callbacks.
func (tx *ClientTx) Flow() *transport.Flow { panic("unfinished") }

// Cancel cancels an INVITE: CANCEL goes out at once, or after the first provisional response (RFC 3261, 9.1). The INVITE
// still ends with a final response (487, or 200 when it crossed) or with ErrTimeout 64*T1 later. header, if not nil,
// gives header fields for the CANCEL (Reason).
func (tx *ClientTx) Cancel(header ...sip.Field) { panic("unfinished") }
