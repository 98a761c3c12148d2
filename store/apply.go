package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/locktone/locktone/config"
)

// querier is what *sql.DB and *sql.Tx have in common for reading.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

const (
	selectNewest = `SELECT number, author, at, comment, changes FROM revision ORDER BY number DESC LIMIT 1`
	insertRev    = `INSERT INTO revision (number, author, at, comment, changes) VALUES ($1, $2, $3, $4, $5)`
	upsertEntity = `INSERT INTO entity (kind, key, doc, secret, revision) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (kind, key) DO UPDATE SET doc = excluded.doc, secret = excluded.secret, revision = excluded.revision`
	deleteEntity  = `DELETE FROM entity WHERE kind = $1 AND key = $2`
	insertHistory = `INSERT INTO history (revision, seq, op, kind, key, before_doc, doc, secret) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
)

// Apply writes a change set in one transaction and returns the new revision.
// An empty change set returns the revision in force. Errors: ErrConflict,
// ErrNoSpace, ErrUnavailable; then nothing was written.
func (s *Store) Apply(ctx context.Context, cs ChangeSet) (Revision, error) {
	s.reload.Lock()
	defer s.reload.Unlock()
	var next Snapshot
	err := s.e.inTx(ctx, "apply the configuration", func(tx *sql.Tx) (err error) {
		if err = s.e.begin(ctx, tx); err != nil {
			return err
		}
		newest, err := s.e.newest(ctx, tx)
		if err != nil {
			return err
		}
		if newest.Number != cs.Base {
			return fmt.Errorf("%w: it was computed from revision %d, but %s applied %d; look at the plan again", ErrConflict, cs.Base, newest.Author, newest.Number)
		}
		next.Revision = newest
		if len(cs.Changes) == 0 {
			next.Site = s.current.Load().Site
			return nil
		}
		next.Revision = Revision{Number: newest.Number + 1, Author: cs.Author, Time: fromMicros(micros(s.now())), Comment: cs.Comment, Changes: len(cs.Changes)}
		if err = s.e.writeRevision(ctx, tx, next.Revision, cs.Changes); err != nil {
			return err
		}
		next.Site, err = s.e.site(ctx, tx)
		return err
	})
	if err != nil {
		return Revision{}, err
	}
	if len(cs.Changes) > 0 {
		s.publish(&next)
	}
	return next.Revision, nil
}

// begin makes writers of the configuration queue.
func (e *engine) begin(ctx context.Context, tx *sql.Tx) error {
	if e.lock == "" { // SQLite: the transaction is immediate
		return nil
	}
	_, err := tx.ExecContext(ctx, e.lock)
	return err
}

func (e *engine) newest(ctx context.Context, q querier) (Revision, error) {
	r, err := scanRevision(q.QueryRowContext(ctx, selectNewest))
	if err == sql.ErrNoRows {
		return Revision{}, nil
	}
	return r, err
}

func scanRevision(row interface{ Scan(...any) error }) (r Revision, err error) {
	var at int64
	err = row.Scan(&r.Number, &r.Author, &at, &r.Comment, &r.Changes)
	r.Time = fromMicros(at)
	return r, err
}

func (e *engine) writeRevision(ctx context.Context, tx *sql.Tx, r Revision, changes []config.Change) error {
	if _, err := tx.ExecContext(ctx, e.rebind(insertRev), r.Number, r.Author, micros(r.Time), r.Comment, r.Changes); err != nil {
		return err
	}
	w := writer{ctx: ctx, revision: r.Number}
	for query, stmt := range map[string]**sql.Stmt{upsertEntity: &w.upsert, deleteEntity: &w.remove, insertHistory: &w.history} {
		p, err := tx.PrepareContext(ctx, e.rebind(query))
		if err != nil {
			return err
		}
		defer p.Close()
		*stmt = p
	}
	for i, c := range changes {
		if err := w.write(i, c); err != nil {
			return err
		}
	}
	return e.tell(ctx, tx, noticeRevision)
}

type writer struct {
	ctx                     context.Context
	revision                int64
	upsert, remove, history *sql.Stmt
}

func (w *writer) write(seq int, c config.Change) error {
	var before, after config.Stored
	var err error
	if c.Before != nil {
		if before, err = config.Store(c.Before); err != nil {
			return err
		}
	}
	secret := ""
	if c.Op == config.OpRemove {
		_, err = w.remove.ExecContext(w.ctx, string(c.Kind), c.Key)
	} else {
		if c.After == nil {
			return fmt.Errorf("change %s carries no value", c)
		}
		if after, err = config.Store(c.After); err != nil {
			return err
		}
		secret = encodeSecret(after.Secret)
		_, err = w.upsert.ExecContext(w.ctx, string(c.Kind), c.Key, string(after.Doc), secret, w.revision)
	}
	if err != nil {
		return err
	}
	_, err = w.history.ExecContext(w.ctx, w.revision, seq, c.Op.String(), string(c.Kind), c.Key, string(before.Doc), string(after.Doc), secret)
	return err
}

func encodeSecret(s config.Secrets) string {
	if len(s) == 0 {
		return ""
	}
	b, _ := json.Marshal(map[string]string(s)) // a map of strings always encodes
	return string(b)
}

func decodeStored(kind, key, doc, secret string) (config.Stored, error) {
	st := config.Stored{Kind: config.Kind(kind), Key: key, Doc: json.RawMessage(doc)}
	if secret == "" {
		return st, nil
	}
	return st, json.Unmarshal([]byte(secret), &st.Secret)
}

// site reads all entities.
func (e *engine) site(ctx context.Context, q querier) (*config.Site, error) {
	rows, err := q.QueryContext(ctx, "SELECT kind, key, "+e.fromJSON+", secret FROM entity ORDER BY kind, key")
	stored, err := all(rows, err, func(r *sql.Rows) (config.Stored, error) {
		var kind, key, doc, secret string
		if err := r.Scan(&kind, &key, &doc, &secret); err != nil {
			return config.Stored{}, err
		}
		return decodeStored(kind, key, doc, secret)
	})
	if err != nil {
		return nil, err
	}
	return config.FromStored(stored)
}
