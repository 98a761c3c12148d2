package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// where collects the conditions of a query; $ stands for the next argument.
type where struct {
	parts []string
	args  []any
}

func (w *where) add(condition string, arg any) {
	w.args = append(w.args, arg)
	w.parts = append(w.parts, strings.ReplaceAll(condition, "$", "$"+strconv.Itoa(len(w.args))))
}

func (w *where) span(column string, since, until time.Time) {
	if !since.IsZero() {
		w.add(column+" >= $", micros(since))
	}
	if !until.IsZero() {
		w.add(column+" < $", micros(until))
	}
}

// tail is the WHERE clause, the order, newest first unless the oldest are wanted, and the limit.
func (w *where) tail(oldest bool, limit int) string {
	q := ""
	if len(w.parts) > 0 {
		q = " WHERE " + strings.Join(w.parts, " AND ")
	}
	order := " ORDER BY id DESC LIMIT "
	if oldest {
		order = " ORDER BY id LIMIT "
	}
	return q + order + strconv.Itoa(limitOr(limit))
}

// AppendAudit adds an entry to the audit log.
func (s *Store) AppendAudit(ctx context.Context, a AuditEntry) error {
	if a.Time.IsZero() {
		a.Time = s.now()
	}
	return s.e.appendAudit(ctx, a)
}

func (e *engine) appendAudit(ctx context.Context, a AuditEntry) error {
	if a.Time.IsZero() {
		a.Time = time.Now()
	}
	_, err := e.write.ExecContext(ctx, e.rebind(`INSERT INTO audit (at, actor, source, action, object, result, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)`),
		micros(a.Time), a.Actor, a.Source, a.Action, a.Object, a.Result, a.Detail)
	return e.failure("write the audit log", err)
}

// Audit lists audit entries, newest first.
func (s *Store) Audit(ctx context.Context, q AuditQuery) ([]AuditEntry, error) {
	var w where
	w.span("at", q.Since, q.Until)
	if q.Actor != "" {
		w.add("actor = $", q.Actor)
	}
	if q.Action != "" {
		w.add("action = $", q.Action)
	}
	rows, err := s.e.read.QueryContext(ctx, s.e.rebind("SELECT id, at, actor, source, action, object, result, detail FROM audit"+w.tail(false, q.Limit)), w.args...)
	out, err := all(rows, err, func(r *sql.Rows) (a AuditEntry, err error) {
		var at int64
		err = r.Scan(&a.ID, &at, &a.Actor, &a.Source, &a.Action, &a.Object, &a.Result, &a.Detail)
		a.Time = fromMicros(at)
		return a, err
	})
	return out, s.e.failure("read the audit log", err)
}

// maxState bounds a value of PutState: state is small, files are files.
const maxState = 64 << 10

const upsertState = `INSERT INTO node_state (node, key, value, at) VALUES ($1, $2, $3, $4)
	ON CONFLICT (node, key) DO UPDATE SET value = excluded.value, at = excluded.at`

// PutState keeps a small value of a node, at most 64 KiB.
func (s *Store) PutState(ctx context.Context, node, key string, value []byte) error {
	if len(value) > maxState {
		return fmt.Errorf("store: keep state %s of %s: %d bytes, at most %d are kept", key, node, len(value), maxState)
	}
	if value == nil {
		value = []byte{}
	}
	_, err := s.e.write.ExecContext(ctx, s.e.rebind(upsertState), node, key, value, micros(s.now()))
	return s.e.failure("keep state "+key, err)
}

// State returns a value kept with PutState; fs.ErrNotExist when there is none.
func (s *Store) State(ctx context.Context, node, key string) ([]byte, error) {
	var value []byte
	err := s.e.read.QueryRowContext(ctx, s.e.rebind(`SELECT value FROM node_state WHERE node = $1 AND key = $2`), node, key).Scan(&value)
	if err == sql.ErrNoRows {
		err = absent("nothing is kept under this name")
	}
	return value, s.e.failure("read state "+key, err)
}

// DeleteState removes a value; removing nothing is no error.
func (s *Store) DeleteState(ctx context.Context, node, key string) error {
	_, err := s.e.write.ExecContext(ctx, s.e.rebind(`DELETE FROM node_state WHERE node = $1 AND key = $2`), node, key)
	return s.e.failure("remove state "+key, err)
}
