// Package transport moves SIP messages over UDP, TCP and TLS (RFC 3261, 18).
//
// The unit is the [Flow]: one way to one peer, that is a UDP 5-tuple or one connection. A flow of a connection has one
// reader goroutine, which frames, parses and validates and hands every message to the [Handler] in the order of the
// wire; nothing here starts a goroutine per message, so a 200 never overtakes its 180. Sending never blocks: a message
// is serialised into the flow's bounded queue, and whoever flushes the flow writes all that has gathered in one write. What the
// kernel does not take at once is kept for a writer goroutine. A peer that does not read fills its own queue and loses its own
// connection, nobody else's.
//
// # Who is at the other end
//
// A TLS connection is known to the rest of the program only after its handshake, with its deadline, has succeeded and
// the injected [VerifyFunc] has named the peer. Outgoing connections are found again by local identity, remote address,
// server name and policy, and only when the verified peer satisfies the new request too: a connection is never used for
// somebody it did not authenticate. A connection the peer opened carries our requests to that peer only where its
// certificate covers the name wanted (RFC 5923, 5) or where the caller names the very flow (RFC 5626, 5.3).
// A failed handshake is reported as a [HandshakeFailure] with the chain that was seen.
//
// # Limits
//
// Every listener is bounded: connections, connections per source, connections that have not proven themselves by a
// valid message, handshakes in flight, accepts per second; bytes per message and time to complete one; see [Limits].
// Where the places of newcomers are all taken, the oldest that has had time enough makes room: silence keeps nobody out.
// UDP keeps nothing for a source before a message of it has parsed, and a bounded table afterwards.
package transport
