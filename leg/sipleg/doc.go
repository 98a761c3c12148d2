// Package sipleg ties SIP dialogs to the legs of a call engine.
//
//	phone, trunk --SIP--> endpoint --User--> Driver --Signal--> call engine
//	             <-SIP---          <--------        <-Command--
//	                                  |  ^
//	                          received SDP  made SDP
//	                                  v  |
//	                               media.Plane
//
// One leg is one dialog (package wire/sip/dialog) and belongs to the shard of its Call-ID: what the wire brings
// arrives there, and commands of the engine are posted there. The driver's only shared state is an index of legs, for
// commands, for requests inside dialogs and for Replaces.
//
// # What the driver decides alone
//
// Session refreshes, repeated 2xx, glare, PRACK, CANCEL, forks: the session's business. A request inside a dialog that
// comes on a connection of somebody else's certificate: 403. An offer the plane refuses (plain RTP from an encrypted
// device, no common codec): 488 with its Warning. Ways to a trunk that fail before anything rang: the next way.
//
// # What it asks
//
// The Directory (by an interface declared here) says who an INVITE comes from and how a target is reached, from the verified
// identity of the connection, not from what From claims. Descriptions go to the media plane and through the engine as
// numbers only.
//
// # Identifiers
//
// Session-ID (RFC 7989) carries the call's global id through every leg and service, so that traces of several nodes join.
package sipleg
