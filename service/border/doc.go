// Package border is the border element: where calls from outside come in and calls to outside leave, in the field's words a session border
// controller with dial-peers.
//
// # A call
//
//	carrier <-- UDP, TCP or TLS, RTP or SRTP --> border <-- TLS, SRTP --> call server, call manager
//
// An INVITE is let in when its sender is one of the dial-peers: by its certificate over TLS, by its address without. Rates and limits of
// its address, of the peer and of the border come next; then package dialpeer chooses the inbound peer and the ones to hunt, and the
// engine hunts through them (call.Setup.Route): it asks no dial plan. A peer is left out of the hunt while none of its targets
// answers OPTIONS. The two sides are two dialogs with nothing in common: Call-ID, tags, Via, Contact, the addresses and keys of
// media and the product on the other side are never passed on. Media always goes through the border, which ends SRTP on both sides and
// converts where one has none.
//
// Everything of one call is the work of package element; this package is what makes an element a border: the choice, admission,
// header rules, trustpoints, and what operators ask (docs/border.md).
package border
