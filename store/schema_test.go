package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/pki"
)

// engines runs a test on an empty database of each.
func engines(t *testing.T, f func(t *testing.T, fresh func(*testing.T) string)) {
	t.Run("SQLite", func(t *testing.T) {
		f(t, func(t *testing.T) string { return filepath.Join(t.TempDir(), "record.db") })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		server := postgres.Need(t)
		f(t, func(t *testing.T) string { return server.Database(t) })
	})
}

// TestSchemaVersions: both engines have the same migrations, numbered without a gap, each with a way back, and make the same tables
// of them at every version.
func TestSchemaVersions(t *testing.T) {
	versions := map[string][]string{}
	for _, engine := range []string{"sqlite", "postgresql"} {
		names, err := fs.Glob(migrations, "migrations/"+engine+"/*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range names {
			if want := fmt.Sprintf("%05d_", i+1); !strings.HasPrefix(filepath.Base(name), want) {
				t.Errorf("%s: want a name that begins with %s", name, want)
			}
			b, err := fs.ReadFile(migrations, name)
			if err != nil || !strings.Contains(string(b), "-- +goose Down\n") {
				t.Errorf("%s has no way back (%v)", name, err)
			}
			versions[engine] = append(versions[engine], filepath.Base(name))
		}
	}
	if !slices.Equal(versions["sqlite"], versions["postgresql"]) || int(NewestSchema()) != len(versions["sqlite"]) {
		t.Errorf("the engines have other migrations, or NewestSchema is wrong: %v, %d", versions, NewestSchema())
	}
	dsn := postgres.Need(t).Database(t)
	e, err := connect(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	for v := int64(1); v <= NewestSchema(); v++ {
		if err := e.moveTo(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		want, err := TablesAt(t.Context(), v)
		if err != nil {
			t.Fatal(err)
		}
		if got := catalogue(t, e); !maps.EqualFunc(got, asMap(want), maps.Equal) {
			t.Errorf("schema %d: PostgreSQL has\n%v\nSQLite has\n%v", v, got, asMap(want))
		}
	}
}

func asMap(tables []Table) map[string]map[string]ColumnType {
	out := map[string]map[string]ColumnType{}
	for _, t := range tables {
		out[t.Name] = map[string]ColumnType{}
		for _, c := range t.Columns {
			out[t.Name][c.Name] = c.Type
		}
	}
	return out
}

// catalogue is what PostgreSQL says of its tables, in the words of SQLite.
func catalogue(t *testing.T, e *engine) map[string]map[string]ColumnType {
	t.Helper()
	words := map[string]ColumnType{"bigint": Integer, "text": Text, "jsonb": Text, "bytea": Blob, "double precision": Real}
	rows, err := e.read.Query(`SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = current_schema() AND table_name <> 'goose_db_version'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]map[string]ColumnType{}
	for rows.Next() {
		var table, column, kind string
		if err := rows.Scan(&table, &column, &kind); err != nil {
			t.Fatal(err)
		}
		if out[table] == nil {
			out[table] = map[string]ColumnType{}
		}
		out[table][column] = words[kind]
	}
	return out
}

// fill puts rows into every table of the schema a database has, whatever it is: each column gets a value that differs from row to row.
func fill(t *testing.T, e *engine, tables []Table) {
	t.Helper()
	for _, table := range tables {
		for i := range 3 {
			var names, values []string
			for _, c := range table.Columns {
				v := fmt.Sprint(i + 1)
				switch {
				case c.Name == "id": // the database gives it
					continue
				case c.Name == "secret":
					v = "''"
				case c.Type == Text && c.Name == "doc" && (table.Name == "entity" || table.Name == "certificate"):
					v = fmt.Sprintf(`'{"n": %d}'`, i+1)
				case c.Type == Text:
					v = fmt.Sprintf("'%s %d'", c.Name, i+1)
				case c.Type == Real:
					v = fmt.Sprintf("%d.5", i+1)
				case c.Type == Blob && e.name == "postgresql":
					v = fmt.Sprintf(`'\x00ff0%d'`, i+1)
				case c.Type == Blob:
					v = fmt.Sprintf("x'00ff0%d'", i+1)
				}
				names, values = append(names, c.Name), append(values, v)
			}
			if _, err := e.write.Exec("INSERT INTO " + table.Name + " (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(values, ", ") + ")"); err != nil {
				t.Fatalf("%s: %v", table.Name, err)
			}
		}
	}
}

// content is every row of a record.
func content(t *testing.T, dsn string) map[string][]string {
	t.Helper()
	d, err := OpenDump(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	out := map[string][]string{}
	for _, table := range d.Tables() {
		out[table.Name] = []string{}
		if err := d.Rows(t.Context(), table, func(row []any) error {
			out[table.Name] = append(out[table.Name], fmt.Sprintf("%q", row))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestMigrateDown goes from the newest schema down to the first and up again, with rows in every table, one step at a time; what
// goes is said before, and what stays is as it was.
func TestMigrateDown(t *testing.T) {
	engines(t, func(t *testing.T, fresh func(*testing.T) string) {
		ctx, dsn := t.Context(), fresh(t)
		e, err := connect(ctx, dsn, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer e.close()
		if err := e.moveTo(ctx, NewestSchema()); err != nil {
			t.Fatal(err)
		}
		tables, _ := TablesAt(ctx, NewestSchema())
		fill(t, e, tables)
		for to := NewestSchema() - 1; to >= 1; to-- {
			before := content(t, dsn)
			plan, err := PlanSchema(ctx, dsn, to)
			if err != nil || plan.From != to+1 || plan.To != to || len(plan.Loses) == 0 {
				t.Fatalf("plan to %d: %+v, %v; every migration so far added something", to, plan, err)
			}
			if e.name == "postgresql" && plan.Others == 0 {
				t.Error("the plan does not see that this test has the database open")
			}
			if _, err := MigrateSchema(ctx, dsn, to, AuditEntry{Actor: "test", Action: "migrate", Result: "ok"}); err != nil {
				t.Fatal(err)
			}
			after := content(t, dsn)
			for name, rows := range after {
				if name != "audit" && len(rows) != len(before[name]) { // the columns may be fewer, the rows are not
					t.Errorf("down to %d: %s has %d rows, had %d", to, name, len(rows), len(before[name]))
				}
			}
			for name := range before {
				if _, kept := after[name]; !kept && !strings.Contains(strings.Join(plan.Loses, "\n"), "the table "+name+" with 3 rows") {
					t.Errorf("down to %d: %s went without being named in %q", to, name, plan.Loses)
				}
			}
		}
		low := content(t, dsn)
		s, err := Open(ctx, dsn, Options{}) // a program of today takes it up again
		if err == nil {
			err = s.Close()
		}
		if !strings.Contains(fmt.Sprint(err), `holds a "kind 1"`) { // what fill wrote is no configuration; the schema is
			t.Errorf("open: %v", err)
		}
		high := content(t, dsn)
		if len(high) != len(tables) {
			t.Errorf("%d tables after the way up, want %d", len(high), len(tables))
		}
		for _, name := range []string{"revision", "node_state", "call_record"} {
			if len(low[name]) != 3 || !reflect.DeepEqual(high[name], low[name]) {
				t.Errorf("%s: %v, was %v", name, high[name], low[name])
			}
		}
		if n := len(high["audit"]); n != 3+int(NewestSchema())-1 {
			t.Errorf("%d audit entries: each step writes one", n)
		}
	})
}

// TestMigrateRefuses: versions that do not exist, and a record that is not there, which is not made either.
func TestMigrateRefuses(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "none.db")
	if _, err := PlanSchema(t.Context(), dsn, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := OpenDump(t.Context(), dsn); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	open(t, dsn)
	for _, to := range []int64{0, -2, NewestSchema() + 1} {
		if _, err := MigrateSchema(t.Context(), dsn, to, AuditEntry{}); err == nil || !strings.Contains(err.Error(), "there is no schema") {
			t.Errorf("to %d: %v", to, err)
		}
	}
	if plan, err := PlanSchema(t.Context(), dsn, -1); err != nil || plan.From != NewestSchema() || plan.To != plan.From || plan.Loses != nil {
		t.Errorf("%+v, %v", plan, err)
	}
}

// copyRecord loads what a dump reads.
func copyRecord(t *testing.T, from, to string, mark string) error {
	t.Helper()
	ctx := t.Context()
	d, err := OpenDump(ctx, from)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	l, err := OpenLoader(ctx, to, d.Schema(), mark)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := load(ctx, d, l); err != nil {
		return err
	}
	if err := l.Commit(ctx, AuditEntry{Actor: "test", Action: "restore", Result: "ok"}); err != nil {
		return err
	}
	return l.Finish(ctx)
}

func load(ctx context.Context, d *Dump, l *Loader) error {
	for _, t := range d.Tables() {
		if err := d.Rows(ctx, t, func(row []any) error { return l.Insert(ctx, t, [][]any{slices.Clone(row)}) }); err != nil {
			return err
		}
	}
	return nil
}

// TestDumpLoad carries a record from each engine to each: everything arrives but the mark, ids go on where they ended, and the
// store opens on it.
func TestDumpLoad(t *testing.T) {
	engines(t, func(t *testing.T, from func(*testing.T) string) {
		engines(t, func(t *testing.T, to func(*testing.T) string) {
			source, target := from(t), to(t)
			s := open(t, source)
			apply(t, s, config.Default("node1"))
			apply(t, s, generation(3))
			for i := range 3 {
				if err := errors.Join(s.AppendCalls(t.Context(), CallRecord{Call: fmt.Sprint("c", i)}), s.AppendLegs(t.Context(), LegRecord{Call: fmt.Sprint("c", i), MOS: 4.25}),
					s.AppendAudit(t.Context(), AuditEntry{Actor: "a", Action: "b", Result: "ok"}), s.PutState(t.Context(), "node1", "k", []byte{0, 255, 10})); err != nil {
					t.Fatal(err)
				}
			}
			ref := pki.Ref{Issuer: "CN=CA", Serial: "1"}
			if err := s.Certificates().Add(t.Context(), pki.Entry{Ref: ref, Kind: pki.KindDevice, Name: "alice"}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Documents("x").Put(t.Context(), "k", map[string]int{"n": 1}, 0); err != nil {
				t.Fatal(err)
			}
			if err := copyRecord(t, source, target, "m1"); err != nil {
				t.Fatal(err)
			}
			want, got := content(t, source), content(t, target)
			if n := len(got["audit"]); n != len(want["audit"])+1 || !strings.Contains(got["audit"][n-1], "restore") {
				t.Errorf("audit: %v", got["audit"])
			}
			for name := range want {
				if name == "audit" || name == "entity" || name == "certificate" { // PostgreSQL writes JSON in its own order
					continue
				}
				if !slices.Equal(got[name], want[name]) {
					t.Errorf("%s:\n%v\nwant\n%v", name, got[name], want[name])
				}
			}
			r := open(t, target)
			wantSite(t, read(t, r).Site, generation(3))
			if _, err := r.Certificates().Lookup(t.Context(), ref); err != nil {
				t.Error(err)
			}
			if err := r.AppendCalls(t.Context(), CallRecord{Call: "new"}); err != nil {
				t.Fatal(err)
			}
			if calls, err := r.Calls(t.Context(), CallQuery{}); err != nil || len(calls) != 4 || calls[0].ID != 4 {
				t.Errorf("%+v, %v", calls, err)
			}
			if err := copyRecord(t, source, target, "m1"); !errors.Is(err, ErrNotEmpty) {
				t.Errorf("a record in use was loaded over: %v", err)
			}
		})
	})
}

// TestLoadAgain: a load that ended before its rows were committed leaves nothing, one that ended after that may be done again by
// who did it, and by nobody else.
func TestLoadAgain(t *testing.T) {
	engines(t, func(t *testing.T, fresh func(*testing.T) string) {
		ctx, source, target := t.Context(), filepath.Join(t.TempDir(), "s.db"), fresh(t)
		apply(t, open(t, source), config.Default("node1"))
		d, err := OpenDump(ctx, source)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for _, commit := range []bool{false, true} {
			l, err := OpenLoader(ctx, target, d.Schema(), "mine")
			if err != nil {
				t.Fatal(err)
			}
			if err := load(ctx, d, l); err != nil {
				t.Fatal(err)
			}
			if commit {
				if err := l.Commit(ctx, AuditEntry{Action: "restore"}); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := OpenLoader(ctx, target, d.Schema(), "another"); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("another load: %v", err)
		}
		if err := copyRecord(t, source, target, "mine"); err != nil {
			t.Errorf("the same load again: %v", err)
		}
		wantSite(t, read(t, open(t, target)).Site, config.Default("node1"))
	})
}

// TestDumpIsOneMoment: what is written while a dump runs is not in it.
func TestDumpIsOneMoment(t *testing.T) {
	engines(t, func(t *testing.T, fresh func(*testing.T) string) {
		s := open(t, fresh(t))
		apply(t, s, config.Default("node1"))
		d, err := s.Dump(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		apply(t, s, generation(1))
		rows := 0
		if err := d.Rows(t.Context(), d.Tables()[0], func([]any) error { rows++; return nil }); err != nil {
			t.Fatal(err)
		}
		site, err := d.Site(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantSite(t, site, config.Default("node1"))
		if all, err := s.Revisions(t.Context(), 0); err != nil || len(all) != 2 {
			t.Errorf("the store did not go on while a dump was open: %v, %v", all, err)
		}
		if name := d.Tables()[0].Name; name != "revision" || rows != 1 {
			t.Errorf("the dump has %d rows in %s, want the one revision of its beginning", rows, name)
		}
	})
}

// TestLoadForeignText: SQLite takes texts that PostgreSQL does not.
func TestLoadForeignText(t *testing.T) {
	source := filepath.Join(t.TempDir(), "s.db")
	s := open(t, source)
	if err := s.AppendCalls(t.Context(), CallRecord{Call: "c", Called: "a\x00b\xffc"}); err != nil {
		t.Fatal(err)
	}
	target := postgres.Need(t).Database(t)
	if err := copyRecord(t, source, target, "m"); err != nil {
		t.Fatal(err)
	}
	if calls, err := open(t, target).Calls(t.Context(), CallQuery{}); err != nil || len(calls) != 1 || calls[0].Called != "a\ufffdb\ufffdc" {
		t.Errorf("%+v, %v", calls, err)
	}
}
