// Package transaction has the transaction machines of SIP: INVITE client and server (RFC 3261, 17.1.1 and 17.2.1, with
// the Accepted states of RFC 6026), non-INVITE client and server (RFC 3261, 17.1.2 and 17.2.2, with the rules of
// RFC 4320), and the UAS core's retransmission of 2xx (RFC 3261, 13.3.1.4).
//
// A machine is a small value without clock, socket or goroutine: Step takes the time and one input and returns what to
// do as a set of actions; Deadline says when it wants its next Timer input. Messages are the runner's business
// (package endpoint): the machines see only which class of message came.
//
// Time is a [Instant], a monotonic duration since an origin that the runner chose.
package transaction
