package store

import (
	"context"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
)

// Store is the open system of record. It owns its connections, the cached
// snapshot and the certificate table in memory; it is safe for concurrent use.
type Store struct{}

// Open opens the store: dsn is a path of an SQLite file (made when missing) or
// a postgres:// URL. It brings the schema up to date.
func Open(ctx context.Context, dsn string, opt Options) (*Store, error) { panic("in work") }

// Close waits for running calls and closes the store.
func (s *Store) Close() error { panic("in work") }

// Health asks the engine whether it can be written.
func (s *Store) Health(ctx context.Context) Health { panic("in work") }

// Site returns the newest configuration. When the store cannot be asked it
// returns the last known one, marked stale.
func (s *Store) Site(ctx context.Context) (Snapshot, error) { panic("in work") }

// Apply writes a change set in one transaction and returns the new revision.
// Errors: ErrConflict, ErrNoSpace, ErrUnavailable.
func (s *Store) Apply(ctx context.Context, cs ChangeSet) (Revision, error) { panic("in work") }

// SiteAt returns the configuration as it was at an earlier revision.
func (s *Store) SiteAt(ctx context.Context, number int64) (*config.Site, error) { panic("in work") }

// Revisions lists revisions, newest first. limit 0: 100.
func (s *Store) Revisions(ctx context.Context, limit int) ([]Revision, error) { panic("in work") }

// History lists the entity changes of one revision.
func (s *Store) History(ctx context.Context, number int64) ([]HistoryEntry, error) { panic("in work") }

// Watch returns a channel that carries the newest snapshot after each change,
// by this process or (PostgreSQL) by another node. It never blocks the store: a
// slow reader misses intermediate snapshots, never the last. It is closed when
// ctx ends or the store closes.
func (s *Store) Watch(ctx context.Context) <-chan Snapshot { panic("in work") }

// AppendAudit adds an entry to the audit log.
func (s *Store) AppendAudit(ctx context.Context, e AuditEntry) error { panic("in work") }

// Audit lists audit entries, newest first.
func (s *Store) Audit(ctx context.Context, q AuditQuery) ([]AuditEntry, error) { panic("in work") }

// AppendCalls adds call records, all or none.
func (s *Store) AppendCalls(ctx context.Context, records ...CallRecord) error { panic("in work") }

// Calls lists call records, newest first.
func (s *Store) Calls(ctx context.Context, q CallQuery) ([]CallRecord, error) { panic("in work") }

// PutState keeps a small value of a node (at most 64 KiB).
func (s *Store) PutState(ctx context.Context, node, key string, value []byte) error { panic("in work") }

// State returns a value kept with PutState; fs.ErrNotExist when there is none.
func (s *Store) State(ctx context.Context, node, key string) ([]byte, error) { panic("in work") }

// DeleteState removes a value; removing nothing is no error.
func (s *Store) DeleteState(ctx context.Context, node, key string) error { panic("in work") }

// Certificates is the register of issued certificates.
func (s *Store) Certificates() *Certificates { panic("in work") }

// Certificates implements pki.Register on the store.
type Certificates struct{}

var _ pki.Register = (*Certificates)(nil)

// Add implements pki.Register.
func (c *Certificates) Add(ctx context.Context, e pki.Entry) error { panic("in work") }

// Lookup implements pki.Register; it answers from memory.
func (c *Certificates) Lookup(ctx context.Context, r pki.Ref) (pki.Entry, error) { panic("in work") }

// Revoke implements pki.Register.
func (c *Certificates) Revoke(ctx context.Context, r pki.Ref, at time.Time, reason string) error {
	panic("in work")
}

// Entries implements pki.Register.
func (c *Certificates) Entries(ctx context.Context) ([]pki.Entry, error) { panic("in work") }
