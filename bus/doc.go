// Package bus carries what services of one cluster tell each other besides
// their protocols: events, questions and answers, control requests, and the
// soft state that can be rebuilt at any time.
//
// # NATS
//
// One machine runs a NATS server inside the process, without a port. Several
// nodes connect to a NATS cluster by URL over TLS. Nothing on the bus is a
// record: whoever misses a message asks again or takes a new snapshot.
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
// owner, and holds as long as the owner says so and lives. Reads answer from memory; a Watch tells what changes.
//
// # Values only
//
// Messages are JSON of typed Go values. Subscribers read a bounded queue; when
// it overflows the oldest stay, the new one is dropped and the next value read
// carries Lagged, so that the reader takes a new snapshot instead of trusting
// a gap.
package bus
