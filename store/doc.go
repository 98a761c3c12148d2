// Package store is the system of record: configuration with its history, the
// audit log, the register of certificates, small node state and call records.
// Everything else (registrations, trunk state, events) can be rebuilt and
// lives on the bus.
//
// # Two engines, one behaviour
//
// One machine uses SQLite inside the process (WAL, synchronous=FULL: a commit
// that returned survives a power cut). A cluster names a PostgreSQL by URL. The
// SQL is written by hand to the common part of both; the schema exists once
// per engine under migrations, because column types differ. One contract test
// suite runs against both.
//
// # Configuration
//
// Each entity of the site is one row: kind, key, a JSON document and, apart
// from it, its secrets, so that a look into the table or a dump of the
// documents shows none. Apply writes a list of changes, the new revision
// number and the history in one transaction: whoever looks sees the old site
// or the new one, also after kill -9. A change set names the revision it was
// computed from, and is refused when somebody else was faster.
//
// # When the disk is full or the database away
//
// Writes fail with ErrNoSpace or ErrUnavailable and say what to do. Site and
// Lookup go on answering from memory, because calls must.
//
// A node on PostgreSQL has more (docs/adr/0020): with Options.Copy the
// configuration, its history, certificates and documents are read from the
// node's own copy while the server is away, and a node can start then; with
// Options.Outbox call records and what users set (Documents.Keep) wait on its
// disk and are written once, in order, when the server is back. A server that
// has not answered for three seconds is away: whoever waits for it is freed.
// The URL may name several hosts; the one that can be written is used, and
// found again after a fail-over. For what was acknowledged to survive the loss
// of the primary it must wait for its standby (synchronous_commit=on with
// synchronous_standby_names).
package store
