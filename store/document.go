package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// AnyRevision makes Put and Delete write over whatever is there.
const AnyRevision int64 = -1

// maxDocument bounds a value: documents are small; what is large is a file.
const maxDocument = 256 << 10

// Document is a small JSON value under a key. Revision rises with every change
// of the key, also over its removal, and is never 0.
type Document struct {
	Key      string
	Revision int64
	Time     time.Time
	Value    json.RawMessage
}

// Write is one value of PutAll.
type Write struct {
	Key   string
	Value any
	// IfRevision is the revision the value replaces: 0 when there must be none yet, AnyRevision for whatever is there.
	IfRevision int64
}

// Documents is a collection of small JSON values that every node shares: what
// services keep beside the configuration, such as enrolment profiles or trust
// lists. It owns nothing; the values are in the store.
type Documents struct {
	s          *Store
	collection string
}

// Documents is the collection of that name; it exists as soon as it has a
// document.
func (s *Store) Documents(collection string) *Documents { return &Documents{s, collection} }

// Get returns a document; fs.ErrNotExist when there is none under the key.
func (d *Documents) Get(ctx context.Context, key string) (doc Document, err error) {
	err = d.s.ask(ctx, "read "+d.collection+" "+key, func(e *engine, q querier) error {
		doc, err = scanDocument(q.QueryRowContext(ctx, e.rebind(`SELECT key, revision, at, value FROM document WHERE collection = $1 AND key = $2`), d.collection, key))
		if err == sql.ErrNoRows {
			err = absent("there is none under this name")
		}
		return err
	})
	if d.s.outbox == nil {
		return doc, err
	}
	waiting, waits := d.s.outbox.document(d.collection, key)
	if waits && (err == nil && doc.Revision < waiting.Revision || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrUnavailable)) {
		return waiting, nil
	}
	return doc, err
}

func scanDocument(r interface{ Scan(...any) error }) (doc Document, err error) {
	var at int64
	var value string
	err = r.Scan(&doc.Key, &doc.Revision, &at, &value)
	doc.Time, doc.Value = fromMicros(at), json.RawMessage(value)
	return doc, err
}

// List returns the documents whose keys begin with prefix, by key.
func (d *Documents) List(ctx context.Context, prefix string) (out []Document, err error) {
	err = d.s.ask(ctx, "list "+d.collection, func(e *engine, q querier) error {
		// A range and not LIKE: keys may hold its wildcards. No key is above prefix + the last code point.
		rows, err := q.QueryContext(ctx, e.rebind(`SELECT key, revision, at, value FROM document WHERE collection = $1 AND key >= $2 AND key < $3 ORDER BY key`),
			d.collection, prefix, prefix+"\U0010ffff")
		out, err = all(rows, err, func(r *sql.Rows) (Document, error) { return scanDocument(r) })
		return err
	})
	if d.s.outbox != nil && err == nil {
		out = d.s.outbox.over(out, d.collection, prefix)
	}
	return out, err
}

// Put writes value, as JSON, if the document's revision is ifRevision (see
// Write), and returns the new one; else ErrConflict, and nothing is written.
func (d *Documents) Put(ctx context.Context, key string, value any, ifRevision int64) (int64, error) {
	written, err := d.PutAll(ctx, []Write{{key, value, ifRevision}})
	if err != nil {
		return 0, err
	}
	return written[0], nil
}

// PutAll writes several documents, all or none, and returns their revisions.
func (d *Documents) PutAll(ctx context.Context, writes []Write) (revisions []int64, err error) {
	if len(writes) == 0 {
		return nil, nil
	}
	values := make([]string, len(writes))
	for i, w := range writes {
		if values[i], err = d.encode(w); err != nil {
			return nil, err
		}
	}
	keys := make([]string, len(writes))
	for i, w := range writes {
		keys[i] = w.Key
	}
	if err := d.deliver(ctx, keys...); err != nil {
		return nil, err
	}
	return d.putAll(ctx, writes, values, keys)
}

// putAll writes documents whose values are encoded, under their keys.
func (d *Documents) putAll(ctx context.Context, writes []Write, values, keys []string) (revisions []int64, err error) {
	err = d.s.e.inTx(ctx, "write "+d.collection+" "+writes[0].Key, func(tx *sql.Tx) error {
		revisions = revisions[:0]
		for i, w := range writes {
			at, err := d.put(ctx, tx, w, values[i])
			if err != nil {
				return err
			}
			revisions = append(revisions, at)
		}
		return d.s.e.tell(ctx, tx, noticeDocument+d.collection, keys...)
	})
	if err != nil {
		return nil, err
	}
	d.s.signals.tell(noticeDocument+d.collection, struct{}{})
	return revisions, nil
}

func (d *Documents) encode(w Write) (string, error) {
	b, err := json.Marshal(w.Value)
	if err != nil {
		return "", fmt.Errorf("store: encode %s %s: %w", d.collection, w.Key, err)
	}
	if len(b) > maxDocument {
		return "", fmt.Errorf("store: write %s %s: %d bytes, at most %d are kept", d.collection, w.Key, len(b), maxDocument)
	}
	return string(b), nil
}

// The ways to write one document; each returns the new revision, or no row when the present one is not the one expected. The
// clock is part of a revision, so that a document made again does not repeat the revisions of the one removed.
const (
	insertDocument  = `INSERT INTO document (collection, key, at, value, revision) VALUES ($1, $2, $3, $4, $3)`
	documentIfNone  = insertDocument + ` ON CONFLICT (collection, key) DO NOTHING RETURNING revision`
	nextRevision    = ` SET at = $3, value = $4, revision = CASE WHEN document.revision >= $3 THEN document.revision + 1 ELSE $3 END`
	documentAnyway  = insertDocument + ` ON CONFLICT (collection, key) DO UPDATE` + nextRevision + ` RETURNING revision`
	documentIfSame  = `UPDATE document` + nextRevision + ` WHERE collection = $1 AND key = $2 AND revision = $5 RETURNING revision`
	removeDocument  = `DELETE FROM document WHERE collection = $1 AND key = $2`
	removeUnchanged = removeDocument + ` AND revision = $3`
)

func (d *Documents) put(ctx context.Context, tx *sql.Tx, w Write, value string) (revision int64, err error) {
	query, args := documentIfSame, []any{d.collection, w.Key, micros(d.s.now()), value}
	switch w.IfRevision {
	case AnyRevision:
		query = documentAnyway
	case 0:
		query = documentIfNone
	default:
		args = append(args, w.IfRevision)
	}
	err = tx.QueryRowContext(ctx, d.s.e.rebind(query), args...).Scan(&revision)
	if err == sql.ErrNoRows {
		err = changed(w.Key)
	}
	return revision, err
}

func changed(key string) error {
	return fmt.Errorf("%w: somebody else wrote %s; read it again", ErrConflict, key)
}

// Delete removes a document if its revision is ifRevision; removing nothing
// with AnyRevision is no error.
func (d *Documents) Delete(ctx context.Context, key string, ifRevision int64) error {
	if err := d.deliver(ctx, key); err != nil {
		return err
	}
	err := d.s.e.inTx(ctx, "remove "+d.collection+" "+key, func(tx *sql.Tx) error {
		query, args := removeDocument, []any{d.collection, key}
		if ifRevision != AnyRevision {
			query, args = removeUnchanged, append(args, ifRevision)
		}
		res, err := tx.ExecContext(ctx, d.s.e.rebind(query), args...)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 && ifRevision != AnyRevision {
			return cmp.Or(err, changed(key))
		}
		return d.s.e.tell(ctx, tx, noticeDocument+d.collection, key)
	})
	if err == nil {
		d.s.signals.tell(noticeDocument+d.collection, struct{}{})
	}
	return err
}

// Watch returns a channel that gets a value after the collection changed, by
// this process or (PostgreSQL) by another node. Changes that come while nobody
// reads are one value. It is closed when ctx ends or the store closes.
func (d *Documents) Watch(ctx context.Context) <-chan struct{} {
	c := d.s.signals.add(noticeDocument + d.collection)
	context.AfterFunc(ctx, func() { d.s.signals.drop(c) })
	return c
}
