// Package bus carries what services of one cluster tell each other besides
// their protocols: events, questions and answers, control requests, and the
// soft state that can be rebuilt at any time.
//
// # NATS
//
// One machine runs a NATS server inside the process, without a port. The
// embedded servers of several nodes are joined by routes over mutual TLS, still
// without a port for clients; or the nodes connect to an operator's NATS cluster
// by URL. Core NATS only, no JetStream (docs/adr/0021). Nothing on the bus is a
// record: whoever misses a message asks again or takes a new snapshot. Without a
// connection publishing and asking fail at once, nothing is kept for later; a
// question that was under way when the connection died fails with its deadline.
//
// # Subjects
//
//	locktone.<cluster>.<node>.<service>.<verb...>
//
// A question to all nodes puts "*" where the node stands. Tokens are escaped by
// Token so that names with dots or blanks stay one token.
//
// # Facts
//
// A Board holds what nodes say of themselves: a registration, a trunk that is up, a call others may pick up. A fact has an
// owner, and holds as long as the owner says so and lives: 3 s without a beat, by the hearer's own monotonic clock, and all
// it has said is gone. Reads answer from memory; a Watch tells what changes. Package board is the machine behind it.
//
// # Values only
//
// Messages are JSON of typed Go values. Subscribers read a bounded queue; when
// it overflows the oldest stay, the new one is dropped and the next value read
// carries Lagged, so that the reader takes a new snapshot instead of trusting
// a gap.
package bus
