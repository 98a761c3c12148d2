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

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// ColumnType is what a column holds; its zero value is no type.
type ColumnType string

// The types of columns, as the migrations for SQLite declare them.
const (
	Integer ColumnType = "INTEGER"
	Text    ColumnType = "TEXT" // in PostgreSQL, JSONB too
	Blob    ColumnType = "BLOB"
	Real    ColumnType = "REAL"
)

// Column is one column of a table.
type Column struct {
	Name string     `json:"name"`
	Type ColumnType `json:"type"`
}

// Table is a table of the record, the same in both engines.
type Table struct {
	Name    string   `json:"name"`
	Columns []Column `json:"columns"`
	key     []string // columns of the primary key
}

// names are the names of the columns.
func (t Table) names() []string {
	out := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		out[i] = c.Name
	}
	return out
}

// provider runs the migrations of an engine.
func (e *engine) provider() (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations/"+e.name)
	if err != nil {
		return nil, err
	}
	dialect, opts := goose.DialectSQLite3, []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if e.name == "postgresql" {
		locker, err := lock.NewPostgresSessionLocker() // nodes that start together migrate one after the other
		if err != nil {
			return nil, fmt.Errorf("store: migrations: %w", err)
		}
		dialect, opts = goose.DialectPostgres, append(opts, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(dialect, e.write, dir, opts...)
	if err != nil {
		return nil, fmt.Errorf("store: migrations: %w", err)
	}
	return p, nil
}

// NewestSchema is the version of the schema this program works with.
func NewestSchema() int64 {
	names, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil || len(names) == 0 {
		return 0
	}
	v, _ := goose.NumericComponent(names[len(names)-1]) // sorted by name, and embedded: TestSchemaVersions looks at them
	return v
}

// migrate brings the schema up to date. A schema newer than this program is
// refused: it would lose what it does not know.
func (e *engine) migrate(ctx context.Context) error {
	p, err := e.provider()
	if err != nil {
		return err
	}
	if at, err := p.GetDBVersion(ctx); err == nil && at > NewestSchema() {
		return e.tooNew(at)
	}
	_, err = p.Up(ctx)
	return e.failure("bring the schema up to date", err)
}

func (e *engine) tooNew(at int64) error {
	return fmt.Errorf("store: %s has schema %d, this program knows up to %d; use the version that wrote it or a later one", e.location, at, NewestSchema())
}

// TablesAt are the tables of a version of the schema, those that others refer to first: what the migrations make of an empty
// database in memory, so that no list of tables can be forgotten when a migration adds one.
func TablesAt(ctx context.Context, version int64) ([]Table, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // each connection would have a database of its own
	e := &engine{name: "sqlite", location: "memory", write: db, read: db}
	p, err := e.provider()
	if err != nil {
		return nil, err
	}
	if version > 0 {
		if _, err = p.UpTo(ctx, version); err != nil {
			return nil, e.failure("make the schema", err)
		}
	}
	rows, err := db.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version' ORDER BY rowid`)
	names, err := all(rows, err, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) })
	if err != nil {
		return nil, err
	}
	out := make([]Table, len(names))
	for i, name := range names {
		if out[i], err = tableOf(ctx, db, name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func tableOf(ctx context.Context, db *sql.DB, name string) (Table, error) {
	t := Table{Name: name}
	keys := map[int]string{}
	rows, err := db.QueryContext(ctx, `SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid`, name)
	t.Columns, err = all(rows, err, func(r *sql.Rows) (c Column, err error) {
		var pk int
		err = r.Scan(&c.Name, &c.Type, &pk)
		if pk > 0 {
			keys[pk] = c.Name
		}
		return c, err
	})
	for i := 1; i <= len(keys); i++ {
		t.key = append(t.key, keys[i])
	}
	return t, err
}

// schemaIn is the version of the schema a transaction sees; 0: there is none yet.
func (e *engine) schemaIn(ctx context.Context, q querier) (int64, error) {
	exists := `SELECT COUNT(*) FROM sqlite_master WHERE name = 'goose_db_version'`
	if e.name == "postgresql" {
		exists = `SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'goose_db_version'`
	}
	var n, version int64
	if err := q.QueryRowContext(ctx, exists).Scan(&n); err != nil || n == 0 {
		return 0, err
	}
	return version, q.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version)
}

// exists says whether a DSN names something that is there: opening an SQLite file would make it.
func exists(dsn string) error {
	if isURL(dsn) {
		return nil
	}
	path, err := filepath.Abs(strings.TrimPrefix(dsn, "sqlite://"))
	if err == nil {
		_, err = os.Stat(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: there is no record at %s: %w", path, fs.ErrNotExist)
	}
	return err
}

// SchemaPlan is what a migration of the schema will do.
type SchemaPlan struct {
	Location string   `json:"location"`
	From     int64    `json:"from"`
	To       int64    `json:"to"`
	Newest   int64    `json:"newest"`
	Loses    []string `json:"loses,omitempty"` // what is in the record now and will not be after
	Others   int      `json:"others,omitempty"`
}

// PlanSchema says what bringing a record to a version of the schema will do, without doing it. The version -1 is the one it has.
func PlanSchema(ctx context.Context, dsn string, to int64) (SchemaPlan, error) {
	if err := exists(dsn); err != nil {
		return SchemaPlan{}, err
	}
	e, err := connect(ctx, dsn, Options{})
	if err != nil {
		return SchemaPlan{}, err
	}
	defer e.close()
	return e.plan(ctx, to)
}

func (e *engine) plan(ctx context.Context, to int64) (SchemaPlan, error) {
	p := SchemaPlan{Location: e.location, To: to, Newest: NewestSchema()}
	var err error
	if p.From, err = e.schemaIn(ctx, e.read); err != nil {
		return p, e.failure("read the version of the schema", err)
	}
	if p.From > p.Newest {
		return p, e.tooNew(p.From)
	}
	if to == -1 {
		p.To = p.From
	} else if to < 1 || to > p.Newest {
		return p, fmt.Errorf("store: there is no schema %d: this program knows 1 to %d, and %s has %d", to, p.Newest, e.location, p.From)
	}
	if e.name == "postgresql" { // whoever else has the database open is a node that would find the schema changed under it
		if err := e.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&p.Others); err != nil {
			return p, e.failure("ask who uses the database", err)
		}
	}
	p.Loses, err = e.losses(ctx, p.From, p.To)
	return p, e.failure("look at what would be lost", err)
}

// losses names what is in tables and columns that a lower version of the schema does not have.
func (e *engine) losses(ctx context.Context, from, to int64) (out []string, err error) {
	if to >= from {
		return nil, nil
	}
	before, err := TablesAt(ctx, from)
	if err != nil {
		return nil, err
	}
	after, err := TablesAt(ctx, to)
	if err != nil {
		return nil, err
	}
	for _, t := range before {
		i := slices.IndexFunc(after, func(x Table) bool { return x.Name == t.Name })
		if i < 0 {
			if n, err := e.count(ctx, t.Name, ""); err != nil {
				return nil, err
			} else if n > 0 {
				out = append(out, fmt.Sprintf("the table %s with %d rows", t.Name, n))
			}
			continue
		}
		for _, c := range t.Columns {
			if slices.Contains(after[i].Columns, c) {
				continue
			}
			if n, err := e.count(ctx, t.Name, c.filled()); err != nil {
				return nil, err
			} else if n > 0 {
				out = append(out, fmt.Sprintf("the column %s of %s, filled in %d rows", c.Name, t.Name, n))
			}
		}
	}
	return out, nil
}

// filled is the condition that a column says something.
func (c Column) filled() string {
	switch c.Type {
	case Integer, Real:
		return c.Name + " <> 0"
	case Blob:
		return "LENGTH(" + c.Name + ") > 0"
	}
	return c.Name + " <> ''"
}

func (e *engine) count(ctx context.Context, table, condition string) (n int64, err error) {
	query := "SELECT COUNT(*) FROM " + table
	if condition != "" {
		query += " WHERE " + condition
	}
	return n, e.read.QueryRowContext(ctx, query).Scan(&n)
}

// MigrateSchema brings a record, which no node may have open, to a version of the schema, up or down: down loses what PlanSchema
// says. Each step is a transaction; after a crash the record is at a version in between, and calling it again goes on.
func MigrateSchema(ctx context.Context, dsn string, to int64, audit AuditEntry) (SchemaPlan, error) {
	if err := exists(dsn); err != nil {
		return SchemaPlan{}, err
	}
	e, err := connect(ctx, dsn, Options{})
	if err != nil {
		return SchemaPlan{}, err
	}
	defer e.close()
	plan, err := e.plan(ctx, to)
	if err != nil {
		return plan, err
	}
	if err := e.moveTo(ctx, plan.To); err != nil {
		return plan, err
	}
	return plan, e.appendAudit(ctx, audit)
}

// moveTo runs the migrations between the present version and another.
func (e *engine) moveTo(ctx context.Context, to int64) error {
	p, err := e.provider()
	if err != nil {
		return err
	}
	at, err := e.schemaIn(ctx, e.write)
	switch {
	case err != nil:
	case at < to:
		_, err = p.UpTo(ctx, to)
	case at > to:
		_, err = p.DownTo(ctx, to)
	}
	return e.failure(fmt.Sprintf("bring the schema to version %d", to), err)
}

// AppendAuditTo writes an entry into the audit log of a record that no node needs to have open, whatever version its schema has.
func AppendAuditTo(ctx context.Context, dsn string, a AuditEntry) error {
	if err := exists(dsn); err != nil {
		return err
	}
	e, err := connect(ctx, dsn, Options{})
	if err != nil {
		return err
	}
	defer e.close()
	return e.appendAudit(ctx, a)
}
