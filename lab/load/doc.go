// Package load is the load generator behind `locktone load`: phones that register, call and are called at a given rate
// over mutual TLS, TCP or UDP, with SDES keys (RFC 4568) and, where wanted, SRTP both ways, against any PBX.
//
// # What one run does
//
// It starts N phones, each with a connection (and, over TLS, a certificate) of its own. In mode calls the first half
// calls the second half through the server, and both ends are in this process, on one clock:
//
//	caller             server             callee
//	  | INVITE ---------> |                  |      t0
//	  |                   | INVITE --------> |
//	  |                   | <--- 180, 200 -- |
//	  | <--------- 180 -- |                  |      t0 + ring
//	  | <--------- 200 -- |                  |      t0 + answer
//	  | ACK ------------> | ...    hold      |
//	  | BYE ------------> | ... 200          |
//
// The generator is open loop: calls start when the clock says so, whether or not earlier ones are answered, because a
// closed loop hides the waiting it causes. Mode register sends REGISTERs at a rate, mode connect makes TLS handshakes.
//
// # Cost
//
// Messages are text with the changing parts filled in; what arrives is scanned for the lines that matter, not parsed
// into a tree. There is no transaction layer: over UDP one sweep resends what is unanswered (RFC 3261, 17.1.1.2), over
// streams nothing is resent. A call costs about 0.1 ms of CPU here, both ends together, so that on a small machine
// what is measured is the server.
//
// # Limits
//
// Number, rate and time of a run are bounded. A server that is not on this machine is refused unless its address is
// named a second time (AllowHost): load belongs on machines whose owner agreed.
package load
