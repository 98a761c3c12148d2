// Package callserver is the call server of a node: it takes callers from the border elements, asks the contact centre where each goes, brings
// them to a voice browser, rings agents for them and moves them there, and keeps every one of them whatever fails. What product of the
// field has this role: Customer Voice Portal (CVP) call server.
//
//	border --INVITE--> element --LegRinging, ...--> follower --Seen--> caller (one goroutine a call, package routing)
//	                      ^                                              |   |
//	                      +------- Redirect, Deliver, SetGuard, Drop ----+   +--- contact.query, contact.note --> contact centre
//	                                                                     ^   +<-- contact.order ------------------
//	voice browser --GET, POST /vxml/CALL/DOCUMENT over mutual TLS--------+
//
// It is a SIP element (package element) with one peer for each member of the SIP server groups, and the driver of one leg of its own, to
// which every call that comes in is offered first: that leg never answers. Labels of the contact centre send the call on from there; a guard
// (call.SetGuard) brings it back whenever the far end has left, failed or died.
//
// All that happens to a call comes to its goroutine by one stream, the engine's events, so it is seen in the order in which it happened; what
// the machine wants done is done before the next input is taken.
package callserver
