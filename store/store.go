package store

import (
	"errors"
	"time"

	"github.com/locktone/locktone/config"
)

// Errors that callers tell apart with errors.Is. The text around them says
// what was attempted and what to do.
var (
	// ErrConflict: the change set was computed from a revision that is no longer the newest.
	ErrConflict = errors.New("the configuration has changed meanwhile")
	// ErrNoSpace: the disk or the quota of the database is full; nothing was written.
	ErrNoSpace = errors.New("no space left for the store")
	// ErrUnavailable: the database cannot be reached or written now; nothing was written.
	ErrUnavailable = errors.New("the store is unavailable")
)

// Options of Open. The zero value is good.
type Options struct {
	// Copy is the path of this node's copy of a PostgreSQL record, an SQLite file that is made when missing: the configuration with its
	// history, the certificates and the documents. While PostgreSQL is away they are read from there, also by a node that starts then. It
	// does not count for a record in SQLite. Empty: no copy.
	Copy string
	// Outbox is the path of a file in which call records, and what users set (Documents.Keep), wait while PostgreSQL is away or full. Like
	// Copy it is for PostgreSQL. Empty: they fail instead.
	Outbox string
	// OutboxBytes bounds what waits there. 0: 1 GiB, the records of about 600,000 calls.
	OutboxBytes int64
	// MaxPages bounds an SQLite file, in pages of 4096 bytes. 0: no bound.
	MaxPages int
	// Now is the clock for revisions and audit entries. nil: time.Now.
	Now func() time.Time
}

// Revision is one applied state of the configuration. Number 0 is the empty
// site of a new store.
type Revision struct {
	Number  int64     `json:"number"`
	Author  string    `json:"author,omitempty"`
	Time    time.Time `json:"time,omitzero"`
	Comment string    `json:"comment,omitempty"`
	// Changes is the number of entities added, changed or removed.
	Changes int `json:"changes"`
}

// ChangeSet is what Apply writes in one piece.
type ChangeSet struct {
	// Base is the revision the changes were computed from.
	Base    int64
	Author  string
	Comment string
	Changes []config.Change
}

// Snapshot is the configuration at one revision. It is shared: do not modify
// the site, Clone it.
type Snapshot struct {
	Revision Revision
	Site     *config.Site
	// Stale is set when the store could not be asked and this is the last known state; Reason says why.
	Stale  bool
	Reason error
}

// HistoryEntry is one entity's change within a revision. Before and After are
// JSON documents without secrets, empty where there was none.
type HistoryEntry struct {
	Revision int64       `json:"revision"`
	Op       config.Op   `json:"op"`
	Kind     config.Kind `json:"kind"`
	Key      string      `json:"key"`
	Before   string      `json:"before,omitempty"`
	After    string      `json:"after,omitempty"`
}

// AuditEntry is one thing somebody did or tried.
type AuditEntry struct {
	ID     int64     `json:"id"`   // given by the store, rising
	Time   time.Time `json:"time"` // zero: now
	Actor  string    `json:"actor"`
	Source string    `json:"source,omitempty"` // address or socket the request came from
	Action string    `json:"action"`           // apply, reset-device, login ...
	Object string    `json:"object,omitempty"` // device alice
	Result string    `json:"result"`           // ok, or a stable error code
	Detail string    `json:"detail,omitempty"` // for people; no secrets
}

// AuditQuery selects audit entries, newest first. Zero fields do not restrict.
type AuditQuery struct {
	Since, Until time.Time
	Actor        string
	Action       string
	Limit        int // 0: 100
}
