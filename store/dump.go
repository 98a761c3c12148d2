package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/locktone/locktone/config"
)

// A Dump is the whole record as it was at one moment: every read of it sees the same transaction, however long it takes and
// whatever is written meanwhile. It owns a connection until Close. It is for one goroutine.
type Dump struct {
	e      *engine
	tx     *sql.Tx
	own    bool // the engine was opened for this dump
	schema int64
	tables []Table
}

// Dump begins a dump of the open store.
func (s *Store) Dump(ctx context.Context) (*Dump, error) { return s.e.dump(ctx, false) }

// OpenDump begins a dump of a record that no node needs to have open. The record may have an older schema, and keeps it.
func OpenDump(ctx context.Context, dsn string) (*Dump, error) {
	if err := exists(dsn); err != nil {
		return nil, err
	}
	e, err := connect(ctx, dsn, Options{})
	if err != nil {
		return nil, err
	}
	d, err := e.dump(ctx, true)
	if err != nil {
		_ = e.close()
	}
	return d, err
}

func (e *engine) dump(ctx context.Context, own bool) (*Dump, error) {
	tx, err := e.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: e.isolation()})
	if err != nil {
		return nil, e.failure("begin a dump", err)
	}
	d := &Dump{e: e, tx: tx, own: own}
	if d.schema, err = e.schemaIn(ctx, tx); err == nil { // the first read fixes what this transaction sees
		switch {
		case d.schema == 0:
			err = fmt.Errorf("%s is empty: there is nothing to dump", e.location)
		case d.schema > NewestSchema():
			err = e.tooNew(d.schema)
		default:
			d.tables, err = TablesAt(ctx, d.schema)
		}
	}
	if err != nil {
		_ = tx.Rollback()
		return nil, e.failure("begin a dump", err)
	}
	return d, nil
}

// Schema is the version of the schema, Engine the kind of database, Tables what there is to read.
func (d *Dump) Schema() int64   { return d.schema }
func (d *Dump) Engine() string  { return d.e.name }
func (d *Dump) Tables() []Table { return d.tables }

// Site is the configuration in force at the moment of the dump.
func (d *Dump) Site(ctx context.Context) (*config.Site, error) {
	site, err := d.e.site(ctx, d.tx)
	return site, d.e.failure("read the configuration", err)
}

// Rows hands every row of a table to each, in the order of its primary key. The values are int64, string, []byte, float64 or nil, by
// the type of their column; the slice is reused.
func (d *Dump) Rows(ctx context.Context, t Table, each func(row []any) error) error {
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = c.Name
		if d.e.name == "postgresql" && c.Type == Text {
			columns[i] += "::text" // JSONB too
		}
	}
	query := "SELECT " + strings.Join(columns, ", ") + " FROM " + t.Name
	if len(t.key) > 0 {
		query += " ORDER BY " + strings.Join(t.key, ", ")
	}
	doing := "dump " + t.Name
	rows, err := d.tx.QueryContext(ctx, query)
	if err != nil {
		return d.e.failure(doing, err)
	}
	defer rows.Close()
	into, row := make([]any, len(columns)), make([]any, len(columns))
	for i, c := range t.Columns {
		into[i] = c.Type.place()
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return d.e.failure(doing, err)
		}
		for i := range into {
			row[i] = valueOf(into[i])
		}
		if err := each(row); err != nil {
			return err
		}
	}
	return d.e.failure(doing, rows.Err())
}

// place is where a value of the type is scanned into.
func (c ColumnType) place() any {
	switch c {
	case Integer:
		return new(sql.Null[int64])
	case Real:
		return new(sql.Null[float64])
	case Blob:
		return new(sql.Null[[]byte])
	}
	return new(sql.Null[string])
}

func valueOf(place any) any {
	switch p := place.(type) {
	case *sql.Null[int64]:
		return orNil(p)
	case *sql.Null[float64]:
		return orNil(p)
	case *sql.Null[[]byte]:
		return orNil(p)
	case *sql.Null[string]:
		return orNil(p)
	}
	return nil
}

func orNil[T any](v *sql.Null[T]) any {
	if !v.Valid {
		return nil
	}
	return v.V
}

// Close ends the dump.
func (d *Dump) Close() error {
	err := d.tx.Rollback()
	if d.own {
		return d.e.close()
	}
	return err
}
