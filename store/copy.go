package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A replica is a node's copy of a PostgreSQL record: an SQLite file of the same schema with the configuration and its history, the
// certificates and the documents. Its follower alone writes it, each time in one transaction that holds what one transaction of PostgreSQL
// saw: the copy is the record as it was at one moment, also after kill -9.
//
// Between notices only the rows they name are read. At the beginning of an era, when notices may have been missed, revisions say what
// changed in the configuration, and what identifies the state of each certificate and document is compared, row by row in the order of
// their keys: 100,000 devices are a second or two then, and only what differs is read.
type replica struct {
	e      *engine
	tables map[string]Table
	mu     sync.Mutex
	mark   copyMark // as it is in the file
	err    error    // why it is behind; nil: it is not
}

// A copyMark is in the node state of the copy and says what it holds. The zero value: nothing.
type copyMark struct {
	Record string    `json:"record"` // whose copy it is
	Schema int64     `json:"schema"` // of the record, as the copy knows it
	Time   time.Time `json:"time"`   // when the follower brought it up to date
}

const (
	copyKey   = "copy"   // of the mark
	recordKey = "record" // node state of the record: its name, made by the first follower
)

// copied are the tables of a copy, in an order in which they can be filled.
var copied = [...]string{"revision", "entity", "history", "certificate", "document"}

// openCopy opens the copy, and makes a new one where it cannot be read: the record has everything.
func openCopy(ctx context.Context, path string) (*replica, error) {
	e, err := openCopyFile(ctx, path)
	if err != nil && !errors.Is(err, ErrNoSpace) {
		removeSQLite(path)
		e, err = openCopyFile(ctx, path)
	}
	if err != nil {
		return nil, fmt.Errorf("the copy of the record: %w", err)
	}
	c := &replica{e: e, tables: map[string]Table{}}
	tables, err := TablesAt(ctx, NewestSchema())
	for _, t := range tables {
		c.tables[t.Name] = t
	}
	if err == nil {
		c.mark, err = c.readMark(ctx, e.read)
	}
	if err != nil {
		return nil, errors.Join(err, e.close())
	}
	return c, nil
}

func openCopyFile(ctx context.Context, path string) (*engine, error) {
	e, err := openSQLite(path, Options{})
	if err != nil {
		return nil, err
	}
	if err := e.migrate(ctx); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (c *replica) readMark(ctx context.Context, q querier) (m copyMark, err error) {
	var value []byte
	err = q.QueryRowContext(ctx, c.e.rebind(`SELECT value FROM node_state WHERE node = $1 AND key = $2`), "", copyKey).Scan(&value)
	switch {
	case err == sql.ErrNoRows:
		return m, nil
	case err != nil:
		return m, c.e.failure("read the copy of the record", err)
	}
	return m, json.Unmarshal(value, &m)
}

// state is what the copy holds, and why it is behind.
func (c *replica) state() (copyMark, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mark, c.err
}

// sync brings the copy up to date with what the news are about.
func (c *replica) sync(ctx context.Context, record *engine, n news) error {
	mark, err := c.syncTo(ctx, record, n)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = err; err == nil {
		c.mark = mark
	}
	return err
}

func (c *replica) syncTo(ctx context.Context, record *engine, n news) (mark copyMark, err error) {
	name, err := recordName(ctx, record)
	if err != nil {
		return mark, record.failure("read for the copy", err)
	}
	from, err := record.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: record.isolation()})
	if err != nil {
		return mark, record.failure("read for the copy", err)
	}
	defer from.Rollback()
	err = c.e.inTx(ctx, "write the copy of the record", func(tx *sql.Tx) error {
		x := transfer{ctx: ctx, record: record, from: from, c: c, to: tx}
		have, err := c.readMark(ctx, tx)
		if err != nil {
			return err
		}
		mark = copyMark{Record: name, Schema: NewestSchema(), Time: time.Now().UTC()}
		if have.Record != mark.Record || have.Schema != mark.Schema {
			err = x.everything()
		} else {
			err = x.news(n)
		}
		if err != nil {
			return err
		}
		value, err := json.Marshal(mark)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, c.e.rebind(upsertState), "", copyKey, value, micros(mark.Time))
		return err
	})
	return mark, err
}

// recordName names the record; the first who asks makes the name.
func recordName(ctx context.Context, record *engine) (string, error) {
	var name []byte
	read := func() error {
		return record.read.QueryRowContext(ctx, `SELECT value FROM node_state WHERE node = $1 AND key = $2`, "", recordKey).Scan(&name)
	}
	err := read()
	if err == sql.ErrNoRows {
		_, err = record.write.ExecContext(ctx, `INSERT INTO node_state (node, key, value, at) VALUES ($1, $2, $3, 0) ON CONFLICT (node, key) DO NOTHING`, "", recordKey, []byte(rand.Text()))
		if err == nil {
			err = read()
		}
	}
	return string(name), err
}

// A transfer brings rows from one transaction of the record into one of the copy.
type transfer struct {
	ctx    context.Context
	record *engine
	from   *sql.Tx
	c      *replica
	to     *sql.Tx
}

// everything replaces the copy.
func (x *transfer) everything() error {
	for i := len(copied) - 1; i >= 0; i-- {
		if _, err := x.to.ExecContext(x.ctx, "DELETE FROM "+copied[i]); err != nil {
			return err
		}
	}
	for _, name := range copied {
		if err := x.rows(name, ""); err != nil {
			return err
		}
	}
	return nil
}

// news brings what they are about.
func (x *transfer) news(n news) error {
	all := n.everything()
	if _, told := n.about[noticeRevision]; told || all {
		if err := x.configuration(); err != nil {
			return err
		}
	}
	if rows, told := n.about[noticeCertificate]; told || all {
		if all || rows == nil {
			if err := x.compare(certificateState, ""); err != nil {
				return err
			}
		} else if err := x.certificates(n.certs); err != nil {
			return err
		}
	}
	if all {
		return x.compare(documentState, "")
	}
	for what, rows := range n.about {
		collection, ok := strings.CutPrefix(what, noticeDocument)
		if !ok {
			continue
		}
		if rows == nil {
			if err := x.compare(documentState, collection); err != nil {
				return err
			}
			continue
		}
		keys := make([]string, 0, len(rows))
		for key := range rows {
			keys = append(keys, key)
		}
		if err := x.documents(collection, keys); err != nil {
			return err
		}
	}
	return nil
}

// rows copies the rows of a table for which a condition on $1, $2 ... holds; empty: all.
func (x *transfer) rows(name, condition string, args ...any) error {
	t := x.c.tables[name]
	columns := make([]string, len(t.Columns))
	into, row := make([]any, len(t.Columns)), make([]any, len(t.Columns))
	for i, c := range t.Columns {
		if columns[i] = c.Name; c.Type == Text {
			columns[i] += "::text" // JSONB too
		}
		into[i] = c.Type.place()
	}
	query := "SELECT " + strings.Join(columns, ", ") + " FROM " + name
	if condition != "" {
		query += " WHERE " + condition
	}
	rows, err := x.from.QueryContext(x.ctx, query, args...)
	if err != nil {
		return x.record.failure("read for the copy", err)
	}
	defer rows.Close()
	insertion := strings.Replace(table{name: name, names: t.names()}.insertion(1, false), "INSERT", "INSERT OR REPLACE", 1)
	st, err := x.to.PrepareContext(x.ctx, insertion)
	if err != nil {
		return err
	}
	defer st.Close()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return x.record.failure("read for the copy", err)
		}
		for i := range into {
			row[i] = valueOf(into[i])
		}
		if _, err := st.ExecContext(x.ctx, row...); err != nil {
			return err
		}
	}
	return x.record.failure("read for the copy", rows.Err())
}

// configuration brings the revisions that the copy does not have, or all where the copy has another past than the record.
func (x *transfer) configuration() error {
	have, err := x.c.e.newest(x.ctx, x.to)
	if err != nil {
		return err
	}
	same, err := scanRevision(x.from.QueryRowContext(x.ctx, `SELECT number, author, at, comment, changes FROM revision WHERE number = $1`, have.Number))
	if err != nil && err != sql.ErrNoRows {
		return x.record.failure("read for the copy", err)
	}
	if have.Number > 0 && same != have {
		return x.everything()
	}
	if err := x.rows("revision", "number > $1", have.Number); err != nil {
		return err
	}
	if err := x.rows("history", "revision > $1", have.Number); err != nil {
		return err
	}
	if _, err := x.to.ExecContext(x.ctx, x.c.e.rebind(`DELETE FROM entity WHERE (kind, key) IN (SELECT kind, key FROM history WHERE revision > $1)`), have.Number); err != nil {
		return err
	}
	return x.rows("entity", "revision > $1", have.Number) // the revision that wrote it last
}

// certificates brings the entries that are named.
func (x *transfer) certificates(refs map[[2]string]bool) error {
	for r := range refs {
		if err := x.rows("certificate", "issuer = $1 AND serial = $2", r[0], r[1]); err != nil { // nobody removes one
			return err
		}
	}
	return nil
}

// documents brings documents that are named, or removes them where there is none.
func (x *transfer) documents(collection string, keys []string) error {
	for chunk := range slices.Chunk(keys, 500) {
		args := []any{collection}
		for _, k := range chunk {
			args = append(args, k)
		}
		if _, err := x.to.ExecContext(x.ctx, `DELETE FROM document WHERE collection = ? AND key IN (?`+strings.Repeat(",?", len(chunk)-1)+`)`, args...); err != nil {
			return err
		}
		if err := x.rows("document", "collection = $1 AND key = ANY($2)", collection, chunk); err != nil {
			return err
		}
	}
	return nil
}

// A rowState identifies a row and the state it is in.
type rowState struct {
	id        int64 // of a certificate
	part, key string
	state     string
}

func (a rowState) compare(b rowState) int {
	return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.part, b.part), cmp.Compare(a.key, b.key))
}

// What identifies the rows of a table and their state, in the order of the keys; %s says that texts are compared byte by byte.
const (
	certificateState = `SELECT id, issuer, serial, CAST(revoked AS TEXT) || ' ' || node FROM certificate ORDER BY id, issuer%s, serial%s`
	documentState    = `SELECT 0, collection, key, CAST(revision AS TEXT) FROM document WHERE collection = $1 OR $1 = '' ORDER BY collection%s, key%s`
)

// compare finds the rows that differ, and brings those. part restricts documents to a collection.
func (x *transfer) compare(states, part string) error {
	var args []any
	if states == documentState {
		args = []any{part}
	}
	theirs, err := x.from.QueryContext(x.ctx, strings.ReplaceAll(states, "%s", ` COLLATE "C"`), args...)
	if err != nil {
		return x.record.failure("read for the copy", err)
	}
	defer theirs.Close()
	ours, err := x.to.QueryContext(x.ctx, x.c.e.rebind(strings.ReplaceAll(states, "%s", "")), args...)
	if err != nil {
		return err
	}
	defer ours.Close()
	differ, err := difference(theirs, ours)
	if err != nil {
		return x.record.failure("read for the copy", err)
	}
	if err := errors.Join(theirs.Close(), ours.Close()); err != nil {
		return err
	}
	if states == certificateState {
		return x.certificatesByID(differ)
	}
	byCollection := map[string][]string{}
	for _, r := range differ {
		byCollection[r.part] = append(byCollection[r.part], r.key)
	}
	for collection, keys := range byCollection {
		if err := x.documents(collection, keys); err != nil {
			return err
		}
	}
	return nil
}

func (x *transfer) certificatesByID(differ []rowState) error {
	for chunk := range slices.Chunk(differ, 500) {
		ids := make([]int64, len(chunk))
		text := make([]string, len(chunk))
		for i, r := range chunk {
			ids[i], text[i] = r.id, strconv.FormatInt(r.id, 10)
		}
		if _, err := x.to.ExecContext(x.ctx, `DELETE FROM certificate WHERE id IN (`+strings.Join(text, ",")+`)`); err != nil {
			return err
		}
		if err := x.rows("certificate", "id = ANY($1)", ids); err != nil {
			return err
		}
	}
	return nil
}

// difference reads two ordered lists of rows and returns those that are not in both in the same state.
func difference(theirs, ours *sql.Rows) (out []rowState, err error) {
	a, moreA, errA := nextState(theirs)
	b, moreB, errB := nextState(ours)
	for errA == nil && errB == nil && (moreA || moreB) {
		order := a.compare(b)
		switch {
		case !moreB || moreA && order < 0:
			out = append(out, a)
			a, moreA, errA = nextState(theirs)
		case !moreA || order > 0:
			out = append(out, b)
			b, moreB, errB = nextState(ours)
		default:
			if a.state != b.state {
				out = append(out, a)
			}
			a, moreA, errA = nextState(theirs)
			b, moreB, errB = nextState(ours)
		}
	}
	return out, errors.Join(errA, errB)
}

func nextState(rows *sql.Rows) (r rowState, more bool, err error) {
	if !rows.Next() {
		return r, false, rows.Err()
	}
	return r, true, rows.Scan(&r.id, &r.part, &r.key, &r.state)
}
