package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/locktone/locktone/config"
)

// Site returns the newest configuration. When the store cannot be asked it
// returns the last known one, marked stale with the reason; so it fails only
// when ctx has ended.
func (s *Store) Site(ctx context.Context) (Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return Snapshot{}, err
	}
	snap, err := s.refresh(ctx)
	if err != nil {
		snap = *s.current.Load()
		snap.Stale, snap.Reason = true, err
	}
	return snap, nil
}

// Known returns the newest configuration this process has seen, without asking
// the engine.
func (s *Store) Known() Snapshot { return *s.current.Load() }

// refresh reads the newest revision, and the entities when it is another one.
// Both reads are in one transaction, so that they belong together.
func (s *Store) refresh(ctx context.Context) (Snapshot, error) {
	s.reload.Lock()
	defer s.reload.Unlock()
	const doing = "read the configuration"
	known := s.current.Load()
	tx, err := s.e.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.e.isolation()})
	if err != nil {
		return Snapshot{}, s.e.failure(doing, err)
	}
	defer tx.Rollback()
	newest, err := s.e.newest(ctx, tx)
	if err != nil {
		return Snapshot{}, s.e.failure(doing, err)
	}
	if newest == known.Revision {
		if known.Stale { // it was the truth after all
			known = &Snapshot{Revision: known.Revision, Site: known.Site}
			s.publish(known)
		}
		return *known, nil
	}
	site, err := s.e.site(ctx, tx)
	if err != nil {
		return Snapshot{}, s.e.failure(doing, err)
	}
	next := &Snapshot{Revision: newest, Site: site}
	s.publish(next)
	return *next, nil
}

// isolation makes two reads of one transaction see the same state. SQLite's
// transactions always do.
func (e *engine) isolation() sql.IsolationLevel {
	if e.name == "postgresql" {
		return sql.LevelRepeatableRead
	}
	return sql.LevelDefault
}

// publish takes a snapshot into use and tells the watchers. The caller holds reload.
func (s *Store) publish(next *Snapshot) {
	s.current.Store(next)
	s.watchers.tell(noticeRevision, *next)
}

// Watch returns a channel that carries the newest snapshot after each change,
// by this process or (PostgreSQL) by another node. It never blocks the store: a
// slow reader misses intermediate snapshots, never the last. It is closed when
// ctx ends or the store closes.
func (s *Store) Watch(ctx context.Context) <-chan Snapshot {
	c := s.watchers.add(noticeRevision)
	context.AfterFunc(ctx, func() { s.watchers.drop(c) })
	return c
}

// SiteAt returns the configuration as it was at an earlier revision, from the
// history. fs.ErrNotExist when there was no such revision.
func (s *Store) SiteAt(ctx context.Context, number int64) (*config.Site, error) {
	doing := fmt.Sprintf("read revision %d", number)
	if number < 0 || number > s.current.Load().Revision.Number {
		return nil, fmt.Errorf("store: %s: %w", doing, absent("there is no such revision"))
	}
	var stored []config.Stored
	err := s.ask(ctx, doing, func(e *engine, q querier) error {
		rows, err := q.QueryContext(ctx, e.rebind(`SELECT h.op, h.kind, h.key, h.doc, h.secret FROM history h
		JOIN (SELECT kind, key, MAX(revision) AS revision FROM history WHERE revision <= $1 GROUP BY kind, key) newest
		ON h.kind = newest.kind AND h.key = newest.key AND h.revision = newest.revision ORDER BY h.kind, h.key, h.seq`), number)
		removed := config.OpRemove.String()
		stored, err = all(rows, err, func(r *sql.Rows) (config.Stored, error) {
			var op, kind, key, doc, secret string
			if err := r.Scan(&op, &kind, &key, &doc, &secret); err != nil || op == removed {
				return config.Stored{}, err
			}
			return decodeStored(kind, key, doc, secret)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	present := stored[:0]
	for _, st := range stored {
		if st.Kind != "" {
			present = append(present, st)
		}
	}
	return config.FromStored(present)
}

// Revisions lists revisions, newest first. limit 0: 100.
func (s *Store) Revisions(ctx context.Context, limit int) (out []Revision, err error) {
	err = s.ask(ctx, "list revisions", func(e *engine, q querier) error {
		rows, err := q.QueryContext(ctx, e.rebind(`SELECT number, author, at, comment, changes FROM revision ORDER BY number DESC LIMIT $1`), limitOr(limit))
		out, err = all(rows, err, func(r *sql.Rows) (Revision, error) { return scanRevision(r) })
		return err
	})
	return out, err
}

// History lists the entity changes of one revision, in the order they were applied.
func (s *Store) History(ctx context.Context, number int64) (out []HistoryEntry, err error) {
	err = s.ask(ctx, "read the history", func(e *engine, q querier) error {
		rows, err := q.QueryContext(ctx, e.rebind(`SELECT op, kind, key, before_doc, doc FROM history WHERE revision = $1 ORDER BY seq`), number)
		out, err = all(rows, err, func(r *sql.Rows) (HistoryEntry, error) {
			h := HistoryEntry{Revision: number}
			var op, kind string
			if err := r.Scan(&op, &kind, &h.Key, &h.Before, &h.After); err != nil {
				return h, err
			}
			h.Kind = config.Kind(kind)
			return h, h.Op.UnmarshalText([]byte(op))
		})
		return err
	})
	return out, err
}
