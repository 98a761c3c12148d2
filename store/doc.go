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
package store
