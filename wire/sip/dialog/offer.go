package dialog

import "errors"

// The offer/answer state of one dialog (RFC 3264, section 5 to 8; RFC 6337, table 1). A session description is an
// opaque body here: who may speak is decided in this file, what is said is decided in package media.
//
//	                     +--------+
//	      our offer      |        |   their offer
//	    +----------------+  Idle  +----------------+
//	    |                | Stable |                |
//	    v   their answer |        | our answer     v
//	+---------+--------->+--------+<---------+----------+
//	| Sent    |                              | Received |
//	+---------+  refused, failed: back       +----------+
//
// RFC 6337, table 1: the six places where the pair may travel.
//
//	offer                 answer
//	1 INVITE              2xx of INVITE
//	2 2xx of INVITE       ACK
//	3 INVITE              reliable 1xx of INVITE
//	4 reliable 1xx        PRACK
//	5 PRACK               2xx of PRACK
//	6 UPDATE              2xx of UPDATE

// OfferState says who owes what in an offer/answer exchange.
type OfferState uint8

// The states of an exchange. Idle: nothing was ever agreed. Stable: a pair is complete. Sent: our offer waits for its
// answer. Received: their offer waits for ours.
const (
	Idle OfferState = iota
	Stable
	Sent
	Received
)

// String names the state.
func (s OfferState) String() string {
	return [...]string{"idle", "stable", "offer-sent", "offer-received"}[s&3]
}

// Carrier is the message a session description travels in.
type Carrier uint8

// The carriers of RFC 6337, table 1. CarrierNone is "nowhere".
const (
	CarrierNone Carrier = iota
	CarrierInvite
	CarrierInvite2xx
	CarrierReliable1xx
	CarrierPrack
	CarrierPrack2xx
	CarrierUpdate
	CarrierUpdate2xx
	CarrierAck
)

// String names the carrier.
func (c Carrier) String() string {
	names := [...]string{"none", "INVITE", "2xx-INVITE", "1xx-rel", "PRACK", "2xx-PRACK", "UPDATE", "2xx-UPDATE", "ACK"}
	if int(c) >= len(names) {
		return "?"
	}
	return names[c]
}

// Errors of the exchange: what was tried in which state.
var (
	ErrOfferPending   = errors.New("dialog: an offer of ours is still unanswered; wait for its answer")
	ErrAnswerOwed     = errors.New("dialog: the peer's offer is not answered yet; answer it first")
	ErrNoOffer        = errors.New("dialog: there is no offer to answer")
	ErrCarrier        = errors.New("dialog: a session description may not travel in this message")
	ErrAnswerMismatch = errors.New("dialog: this message cannot carry the answer to that offer")
)

// answers tells whether an answer in carrier a completes an offer that travelled in o (RFC 6337, table 1).
func answers(o, a Carrier) bool {
	switch o {
	case CarrierInvite:
		return a == CarrierInvite2xx || a == CarrierReliable1xx
	case CarrierInvite2xx:
		return a == CarrierAck
	case CarrierReliable1xx:
		return a == CarrierPrack
	case CarrierPrack:
		return a == CarrierPrack2xx
	case CarrierUpdate:
		return a == CarrierUpdate2xx
	}
	return false
}

// mayOffer tells whether a carrier can hold an offer at all.
func mayOffer(c Carrier) bool {
	switch c {
	case CarrierInvite, CarrierInvite2xx, CarrierReliable1xx, CarrierPrack, CarrierUpdate:
		return true
	}
	return false
}

// Negotiation is the offer/answer state of one dialog. The dialog's session owns it; the zero value is a dialog in
// which nothing was said yet.
type Negotiation struct {
	state  OfferState
	stable bool    // a pair was completed before: a refused offer falls back to Stable instead of Idle
	in     Carrier // where the pending offer travelled
}

// State is the current state.
func (n *Negotiation) State() OfferState { return n.state }

// Pending is the carrier of the unanswered offer.
func (n *Negotiation) Pending() Carrier { return n.in }

// Agreed tells whether a pair was ever completed.
func (n *Negotiation) Agreed() bool { return n.stable }

// Send records a session description of ours travelling in c and says whether it is an offer.
func (n *Negotiation) Send(c Carrier) (offer bool, err error) {
	return n.move(c, Sent, Received, ErrOfferPending)
}

// Receive records a session description of the peer travelling in c and says whether it is an offer.
func (n *Negotiation) Receive(c Carrier) (offer bool, err error) {
	return n.move(c, Received, Sent, ErrAnswerOwed)
}

// move is Send and Receive: mine is the state in which the speaker's offer waits, other the state in which the
// speaker owes an answer.
func (n *Negotiation) move(c Carrier, mine, other OfferState, again error) (bool, error) {
	switch n.state {
	case mine:
		return false, again
	case other:
		if !answers(n.in, c) {
			return false, ErrAnswerMismatch
		}
		n.state, n.stable, n.in = Stable, true, CarrierNone
		return false, nil
	}
	if !mayOffer(c) {
		return false, ErrCarrier
	}
	n.state, n.in = mine, c
	return true, nil
}

// Fail forgets a pending offer: it was refused, or its transaction failed. The session stays as it was before
// (RFC 3261, 14.1: the session description parameters must not change).
func (n *Negotiation) Fail() {
	n.in = CarrierNone
	if n.state = Idle; n.stable {
		n.state = Stable
	}
}
