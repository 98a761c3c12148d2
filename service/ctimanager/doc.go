// Package ctimanager is the CTI Manager of a node: applications (TAPI service providers, JTAPI clients, the desk-phone control of soft
// clients) log in here, open the phones and lines they may control, make, answer and transfer calls, and hear what happens to them. The
// protocol is CTIQBE (docs/wire/ctiqbe.md, package wire/ctiqbe) on TCP 2749 over mutual TLS, and, as the named exception cti-clear, on
// 2748 in the clear.
//
// # The parts
//
//		listener --socket--> connection (runner) --input--> provider (machine) --output--> connection --frames--> socket
//		                          |   ^                                                     |
//		                          |   +--- asked{...} <--- errands, one queue for a device <+
//		                          +------- projection events, registrations, site revisions <--- hub
//
//	  - connection is the only place with sockets and goroutines of one client: a reader, the goroutine that steps the provider, a writer
//	    behind a bounded queue. A client that does not read for ten seconds, or whose queue is full, is cut off; nobody else feels it.
//	  - provider is a machine without I/O: Step(now, input) returns what to do. Its states bear the names that the traces of the field
//	    show: init_complete_await_provopen, init_complete_await_auth, authenticating, verifying, ready.
//	  - answers is one table: every request of the protocol, and who answers it, or which error it is answered with. Nothing is left
//	    unanswered; docs/cti-answers.md is made from it.
//	  - hub is one for the service: it follows the engines of every node (call/live.Follower), turns what they say into CTI events by the
//	    projection, and hands each to the providers that opened its device.
//
// A CTI manager has no state that another one needs: an application that loses its connection logs in elsewhere and opens its devices
// again. Handles are good for one connection.
//
// # Who may
//
// Who asks for what is decided in one place (directory/rights) by an ordered list of predicates; each refusal has its documented value.
// A user in the group Standard CTI Secure Connection comes to 2749, with the certificate that CAPF gave this very instance of the
// application; a certificate used twice at the same time throws both out, and repeated is marked as compromised (certificates.go).
package ctimanager
