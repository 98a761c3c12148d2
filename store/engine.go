package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations
var migrations embed.FS

// engine is the difference between the two databases: how to open, what SQL
// spells differently, what their errors mean.
type engine struct {
	name     string // sqlite, postgresql
	location string // for people: no credentials
	write    *sql.DB
	read     *sql.DB // the same as write for PostgreSQL
	rebind   func(query string) string
	// numbered says that the values of a statement are $1, $2. SQLite knows that too, but its driver asks for the name of every value, and
	// SQLite looks through all names for each: a statement with thousands of values has them without (?).
	numbered bool
	rows     int    // of one INSERT among many: one that is long is dear to parse (SQLite), many are many round trips (PostgreSQL)
	lock     string // statement that makes writers of the configuration queue
	notify   string // statement that tells other nodes; takes the payload
	fromJSON string // column doc of a table as text
	size     string // size of the database in bytes
	path     string // of the SQLite file
	link     *link  // of a Store to PostgreSQL
}

// connect opens the database and leaves its schema as it is.
func connect(ctx context.Context, dsn string, opt Options) (*engine, error) {
	if isURL(dsn) {
		return openPostgres(ctx, dsn)
	}
	return openSQLite(dsn, opt)
}

// isURL tells a PostgreSQL URL from the path of a file.
func isURL(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

func (e *engine) close() error {
	if e.link != nil {
		e.link.finish(errClosed)
		_ = e.write.Close() // its connections are cut
		return nil
	}
	err := e.write.Close()
	if e.read != e.write {
		err = errors.Join(e.read.Close(), err)
	}
	return err
}

var errClosed = errors.New("the store is closed")

// failure wraps an engine's error: the typed cause, what was attempted, and
// what to do. Errors of the context and of this package pass.
func (e *engine) failure(doing string, err error) error {
	var gone away
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("store: %s: %w", doing, err)
	case e.noSpace(err):
		return fmt.Errorf("store: %s: %w: nothing was written; free space for %s and try again (%v)", doing, ErrNoSpace, e.location, err)
	case errors.As(err, &gone):
		return fmt.Errorf("store: %s: %w: nothing was written; check %s and try again when it is back (%v)", doing, ErrUnavailable, e.location, gone)
	case isUnavailable(err):
		return fmt.Errorf("store: %s: %w: nothing was written; check %s (%v)", doing, ErrUnavailable, e.location, err)
	}
	return fmt.Errorf("store: %s: %w", doing, err)
}

// absent and taken are answers about rows. They are types of their own, because
// the error of a missing socket file is fs.ErrNotExist too, and means that the
// server is down.
type (
	absent string
	taken  string
)

func (a absent) Error() string      { return string(a) }
func (absent) Is(target error) bool { return target == fs.ErrNotExist }
func (t taken) Error() string       { return string(t) }
func (taken) Is(target error) bool  { return target == fs.ErrExist }

func (e *engine) noSpace(err error) bool {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code()&0xff == sqlite3.SQLITE_FULL || lite.Code()&0xff == sqlite3.SQLITE_IOERR && e.diskFull()
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "53100" // disk_full
}

// diskFull tells an I/O error of a full disk from one of a broken disk: SQLite
// reports both alike when it cannot extend its shared-memory file.
func (e *engine) diskFull() bool {
	free, known := e.free()
	return known && free < 1<<20
}

// free is the space left for an SQLite file, in bytes.
func (e *engine) free() (bytes uint64, known bool) {
	var st syscall.Statfs_t
	if e.path == "" || syscall.Statfs(e.path, &st) != nil {
		return 0, false
	}
	return st.Bavail * uint64(st.Bsize), true
}

func isUnavailable(err error) bool {
	if err == nil {
		return false
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
			return true
		}
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// Class 08 connection, 53 resources, 57P shutdown and start-up, 25006 read-only server, 28 and 3D000 wrong log-in or database.
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "53") || strings.HasPrefix(pg.Code, "57P") ||
			strings.HasPrefix(pg.Code, "28") || pg.Code == "25006" || pg.Code == "3D000"
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "unexpected EOF") || strings.Contains(err.Error(), "database is closed")
}

// inTx runs f in a transaction of the writer.
func (e *engine) inTx(ctx context.Context, doing string, f func(tx *sql.Tx) error) error {
	tx, err := e.write.BeginTx(ctx, nil)
	if err != nil {
		return e.failure(doing, err)
	}
	defer tx.Rollback() // after a commit it does nothing
	if err := f(tx); err != nil {
		return e.failure(doing, err)
	}
	err = tx.Commit()
	if e.link != nil && isUnavailable(err) {
		return fmt.Errorf("store: %s: %w when it was to confirm: whether it was written is not known; look again when %s is back (%v)", doing, ErrUnavailable, e.location, err)
	}
	return e.failure(doing, err)
}
