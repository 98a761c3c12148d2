// Package callmanager is the call manager: registrar and back-to-back user agent for phones and trunks.
//
// # What comes in
//
// The service listens on 5061 for mutual TLS, and on 5060 only while a device or trunk has a profile that allows it (a
// named exception). Who may be here at all is decided in the handshake by package pki; what the peer may do is decided
// for each request:
//
//   - a device's certificate must name that device, exactly or as CP-<model>-SEP<12 hex digits>, and must have been issued to
//     a device; transport and port must be those of its phone security profile; otherwise 403 with a Warning that says
//     which rule failed;
//   - a trunk's peer must show one of the accepted subjects of its SIP trunk security profile.
//
// # What it owns
//
// The table of registrations (bindings), the state of trunk destinations (driven by OPTIONS), and the wiring: one
// endpoint (package wire/sip/endpoint), one call engine (call/live) with the drivers sipleg and appleg, one media plane.
// Configuration comes from the store as a snapshot; a change is compiled, given to the engine, and taken into use without
// touching calls. Operators ask over the bus: registrations, trunks, connections, exceptions, reset.
package callmanager
