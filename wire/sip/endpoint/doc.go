// Package endpoint runs SIP: it puts the transaction machines of RFC 3261, 17 on the flows of package transport and
// serves one transaction user (TU), a registrar, a B2BUA, a phone.
//
// # Shards and order
//
// An [Endpoint] has N shards. A Call-ID hashes to one shard, and every transaction, timer and posted value of that Call-ID
// belongs to the goroutine that is at work on the shard: one at a time, so that nothing in there needs a lock and all calls to
// the [User] for one Call-ID come one after the other in the order of the wire. INVITE and CANCEL in one segment, 180 and 200
// back to back, ACK and BYE stay in order because the reader of a connection puts them into the shard's mailbox one after the
// other.
//
// A reader that has handed over all it has does the work itself when nobody is at it, and has the [Relay] of the Config run
// after it: a message then wakes nobody on its way. The shard's own goroutine is there for timers, for what is asked from
// other goroutines, and for what comes faster than one reader could see to.
//
// Every method of Endpoint, ServerTx and ClientTx may be called from any goroutine: it queues a value for the shard.
// What a User callback asks for is done as soon as the callback returns, before the shard looks at the next message from
// the wire. Errors therefore come back as Failed or Posted, not as return values, except for misuse.
//
// # What the endpoint answers itself
//
//   - 400 for malformed messages (package transport), 482 for merged requests (RFC 3261, 8.2.2.2);
//   - CANCEL: 200 and then Cancelled, or 481 (RFC 3261, 9.2). The User answers the INVITE, normally with 487;
//   - ACK for a non-2xx final response is absorbed (RFC 3261, 17.2.1); ACK for 2xx goes up as a request with its own
//     ServerTx, see [ServerTx.Stateless];
//   - 100 Trying for an INVITE without an answer within 200 ms; for other requests only as RFC 4320 allows;
//   - 2xx to INVITE is retransmitted until its ACK comes (RFC 3261, 13.3.1.4); without ACK the User gets [NoAck];
//   - 503 with Retry-After, without keeping state, past the [Limits]. Responses, ACK, CANCEL, BYE and requests inside
//     dialogs keep their place.
//
// # Outgoing requests
//
// [Endpoint.Request] takes a request without Via and a [Target]: a flow (RFC 5626, 5.3), a list of resolved hops, or
// nothing, then the Resolver is asked about the topmost Route or the Request-URI. Hops are tried in order on transport
// error, timeout without any answer, and 503 (RFC 3263, 4.3), each as a new transaction with a new branch.
package endpoint
