package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Loader fills an empty record with what a Dump read, all or nothing: until Commit returns nobody sees a row. The record carries
// the loader's mark until Finish, so that whoever loads again after a crash in between is known to be the one who may.
// It is for one goroutine.
type Loader struct {
	e      *engine
	tx     *sql.Tx
	dsn    string // of the record
	path   string // of its SQLite file; the loader writes beside it
	place  string // for people: no credentials
	schema int64
	tables []Table
	mark   string
	there  bool // the record may have the rows
}

// markKey is the node state that says which load filled the record and has not finished. It belongs to no node.
const markKey = "restore"

// besides is how the SQLite file is called that a loader writes.
const besides = ".restoring"

// ErrNotEmpty: the record has something in it.
var ErrNotEmpty = errors.New("the record is not empty")

// OpenLoader prepares an empty record for rows of a version of the schema, which may be older than this program's: Commit brings
// it up to date. The mark must not be empty. Errors: ErrNotEmpty, unless the same mark was left there by a load that did not finish.
func OpenLoader(ctx context.Context, dsn string, schema int64, mark string) (*Loader, error) {
	if newest := NewestSchema(); schema < 1 || schema > newest {
		return nil, fmt.Errorf("store: rows of schema %d cannot be loaded: this program knows 1 to %d; use the version that wrote them or a later one", schema, newest)
	}
	l := &Loader{dsn: dsn, schema: schema, mark: mark}
	var err error
	if l.tables, err = TablesAt(ctx, schema); err != nil {
		return nil, err
	}
	if err := clear(ctx, dsn, mark); err != nil {
		return nil, err
	}
	if !isURL(dsn) {
		if l.path, err = filepath.Abs(strings.TrimPrefix(dsn, "sqlite://")); err != nil {
			return nil, err
		}
		removeSQLite(l.path + besides) // of a load that crashed
		dsn = l.path + besides
	}
	if l.e, err = connect(ctx, dsn, Options{}); err != nil {
		return nil, err
	}
	if l.place = l.e.location; l.path != "" {
		l.place = l.path
	}
	if err = l.e.moveTo(ctx, schema); err == nil {
		l.tx, err = l.e.write.BeginTx(ctx, nil)
	}
	if err == nil {
		_, err = l.tx.ExecContext(ctx, l.e.rebind(`INSERT INTO node_state (node, key, value, at) VALUES ($1, $2, $3, 0)`), "", markKey, []byte(mark))
	}
	if err != nil {
		return nil, errors.Join(l.e.failure("begin to load", err), l.Close())
	}
	return l, nil
}

// clear refuses a record that has something in it, and empties one that the same load filled before.
func clear(ctx context.Context, dsn, mark string) error {
	if err := exists(dsn); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	e, err := connect(ctx, dsn, Options{})
	if err != nil {
		return err
	}
	defer e.close()
	at, err := e.schemaIn(ctx, e.write)
	if err != nil || at == 0 {
		return e.failure("look whether the record is empty", err)
	}
	if at > NewestSchema() {
		return e.tooNew(at)
	}
	tables, err := TablesAt(ctx, at)
	if err != nil {
		return err
	}
	found, err := e.mark(ctx)
	if err != nil {
		return e.failure("look whether the record is empty", err)
	}
	for _, t := range tables {
		n, err := e.count(ctx, t.Name, "")
		if err != nil {
			return e.failure("look whether the record is empty", err)
		}
		if n > 0 && (found == "" || found != mark) {
			return fmt.Errorf("store: %s has %d rows in %s: %w; name a database or a file of its own, or remove this one first", e.location, n, t.Name, ErrNotEmpty)
		}
	}
	return e.moveTo(ctx, 0)
}

// mark is the mark of a load that has not finished; empty: there is none.
func (e *engine) mark(ctx context.Context) (string, error) {
	var value []byte
	err := e.read.QueryRowContext(ctx, e.rebind(`SELECT value FROM node_state WHERE node = $1 AND key = $2`), "", markKey).Scan(&value)
	if err == sql.ErrNoRows {
		return "", nil
	}
	return string(value), err
}

func removeSQLite(path string) {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		_ = os.Remove(path + suffix)
	}
}

// Tables are those that must be loaded, in this order.
func (l *Loader) Tables() []Table { return l.tables }

// Location is where the record is, for people: without credentials.
func (l *Loader) Location() string { return l.place }

// Rows is how many rows one Insert should bring.
func (l *Loader) Rows() int { return l.e.rows }

// Insert adds rows to a table. Values are those of Dump.Rows.
func (l *Loader) Insert(ctx context.Context, t Table, rows [][]any) error {
	if t.Name == "node_state" { // marks of the record that was dumped, and its name, by which copies know it, are none of this one
		node, key := slices.Index(t.names(), "node"), slices.Index(t.names(), "key")
		rows = slices.DeleteFunc(rows, func(r []any) bool { return r[node] == "" && (r[key] == markKey || r[key] == recordKey) })
	}
	if len(rows) == 0 {
		return nil
	}
	names := t.names()
	query := table{name: t.Name, names: names}.insertion(len(rows), l.e.numbered)
	args := make([]any, 0, len(rows)*len(names))
	for _, r := range rows {
		if len(r) != len(names) {
			return fmt.Errorf("store: load %s: a row has %d values, expected %d", t.Name, len(r), len(names))
		}
		args = append(args, r...)
	}
	if l.e.name == "postgresql" { // ids are kept, and texts are UTF-8 without NUL, which SQLite does not ask for
		query = strings.Replace(query, ") VALUES ", ") OVERRIDING SYSTEM VALUE VALUES ", 1)
		for i, v := range args {
			if s, ok := v.(string); ok {
				args[i] = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
			}
		}
	}
	_, err := l.tx.ExecContext(ctx, query, args...)
	return l.e.failure("load "+t.Name, err)
}

// Commit makes the record be there, brings its schema up to date and writes the first entry of its new life into the audit log.
func (l *Loader) Commit(ctx context.Context, audit AuditEntry) error {
	if err := l.commit(ctx, NewestSchema(), audit); err != nil {
		return err
	}
	if l.path == "" {
		return nil
	}
	if err := l.e.close(); err != nil { // the last connection takes the WAL into the file
		return l.e.failure("load", err)
	}
	l.e = nil
	f, err := os.OpenFile(l.path+besides, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("store: load: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("store: load: %w", err)
	}
	removeSQLite(l.path)
	l.there = true
	if err := os.Rename(l.path+besides, l.path); err != nil {
		return fmt.Errorf("store: load: %w", err)
	}
	return syncFolder(filepath.Dir(l.path))
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

func (l *Loader) commit(ctx context.Context, schema int64, audit AuditEntry) error {
	if err := l.sequences(ctx); err != nil {
		return l.e.failure("load", err)
	}
	l.there = l.path == "" // also when the answer to the commit is lost
	if err := l.tx.Commit(); err != nil {
		return l.e.failure("load", err)
	}
	l.tx = nil
	if err := l.e.moveTo(ctx, schema); err != nil {
		return err
	}
	return l.e.appendAudit(ctx, audit)
}

// sequences lets PostgreSQL go on counting where the loaded ids end; SQLite does that by itself.
func (l *Loader) sequences(ctx context.Context) error {
	if l.e.name != "postgresql" {
		return nil
	}
	for _, t := range l.tables {
		if t.Columns[0].Name != "id" || t.Columns[0].Type != Integer {
			continue
		}
		if _, err := l.tx.ExecContext(ctx, fmt.Sprintf(`SELECT setval(pg_get_serial_sequence('%s', 'id'), MAX(id)) FROM %s HAVING MAX(id) IS NOT NULL`, t.Name, t.Name)); err != nil {
			return err
		}
	}
	return nil
}

// Committed says whether the record may have the rows, with the mark.
func (l *Loader) Committed() bool { return l.there }

// Finish removes the mark: the record is in use from now on. Call it once everything beside the record is in its place.
func (l *Loader) Finish(ctx context.Context) error {
	e, err := connect(ctx, l.dsn, Options{})
	if err != nil {
		return err
	}
	defer e.close()
	_, err = e.write.ExecContext(ctx, e.rebind(`DELETE FROM node_state WHERE node = $1 AND key = $2`), "", markKey)
	return e.failure("finish the load", err)
}

// Close ends the loader; what was not committed is gone.
func (l *Loader) Close() error {
	var err error
	if l.tx != nil {
		err = l.tx.Rollback()
	}
	if l.e != nil {
		err = errors.Join(err, l.e.close())
	}
	if l.path != "" {
		removeSQLite(l.path + besides)
	}
	return err
}

// Restored clears the mark of a load, where one is left: rows and mark were committed together, so the record is whole, and whoever
// calls this begins to use it.
func (s *Store) Restored(ctx context.Context) error {
	found, err := s.e.mark(ctx)
	if err == nil && found != "" {
		err = s.DeleteState(ctx, "", markKey)
	}
	return s.e.failure("look for an unfinished restore", err)
}
