package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
)

// Keep writes a value that a user has set and that must not be lost, over whatever is there. With an outbox it waits on this node's disk
// while PostgreSQL is away or full, is what Get and List of this node return from then on, also after a restart, and is written when
// PostgreSQL is back. Keep fails with ErrNoSpace when the outbox is full as well, and with ErrUnavailable where there is none.
//
// When somebody else changed the document while the value waited, the newest of the two changes stays: that is what the later user wanted,
// and nobody is there any more who could be asked. The revision decides, which is the time of the change: Keep returns the one the value
// will have. Of changes on two nodes within the difference of their clocks either may stay. The change that yields is counted
// (locktone_store_outbox_overtaken_total), and Watch tells of the one that stays. A document that somebody removed meanwhile comes back.
//
// A value that depends on another belongs into Put with its revision, which does not wait: what waits could not be refused to anybody.
func (d *Documents) Keep(ctx context.Context, key string, value any) (revision int64, err error) {
	w := Write{key, value, AnyRevision}
	o := d.s.outbox
	if o == nil {
		return d.Put(ctx, key, value, AnyRevision)
	}
	text, err := d.encode(w)
	if err != nil {
		return 0, err
	}
	o.order.Lock()
	defer o.order.Unlock()
	waiting, waits := o.document(d.collection, key)
	if !waits {
		revisions, err := d.putAll(ctx, []Write{w}, []string{text}, []string{key})
		if err == nil {
			return revisions[0], nil
		}
		if !mayWait(err) {
			return 0, err
		}
	}
	revision = max(micros(d.s.now()), waiting.Revision+1, d.copied(ctx, key)+1000) // above that of a write whose commit got no answer
	if err := o.put(ctx, entry{kind: kindDocument, collection: d.collection, key: key, revision: revision, body: text}); err != nil {
		return 0, err
	}
	d.s.signals.tell(noticeDocument+d.collection, struct{}{})
	return revision, nil
}

// copied is the revision of a document in the copy; 0: there is none.
func (d *Documents) copied(ctx context.Context, key string) (revision int64) {
	if d.s.copy != nil {
		_ = d.s.copy.e.read.QueryRowContext(ctx, `SELECT revision FROM document WHERE collection = ? AND key = ?`, d.collection, key).Scan(&revision)
	}
	return revision
}

const arrivingDocument = insertDocument + ` ON CONFLICT (collection, key) DO UPDATE SET at = $3, value = $4, revision = $3 WHERE document.revision < $3 RETURNING revision`

// arrive writes a document that waited, unless a newer one is there.
func (d *Documents) arrive(ctx context.Context, tx *sql.Tx, e entry) (overtaken bool, err error) {
	var revision int64
	err = tx.QueryRowContext(ctx, d.s.e.rebind(arrivingDocument), d.collection, e.key, e.revision, e.body).Scan(&revision)
	if err == sql.ErrNoRows {
		err = tx.QueryRowContext(ctx, d.s.e.rebind(`SELECT revision FROM document WHERE collection = $1 AND key = $2`), d.collection, e.key).Scan(&revision)
		return revision > e.revision, err
	}
	if err != nil {
		return false, err
	}
	return false, d.s.e.tell(ctx, tx, noticeDocument+d.collection, e.key)
}

// deliver lets documents that wait go first, before somebody writes over them.
func (d *Documents) deliver(ctx context.Context, keys ...string) error {
	if d.s.outbox == nil {
		return nil
	}
	for _, key := range keys {
		if _, waits := d.s.outbox.document(d.collection, key); waits {
			return d.s.outbox.deliver(ctx)
		}
	}
	return nil
}

// over lays the documents that wait over those that are there.
func (o *outbox) over(docs []Document, collection, prefix string) []Document {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.docs) == 0 {
		return docs
	}
	at := make(map[string]int, len(docs))
	for i, d := range docs {
		at[d.Key] = i
	}
	for ref, d := range o.docs {
		if ref.collection != collection || !strings.HasPrefix(ref.key, prefix) {
			continue
		}
		if i, there := at[ref.key]; !there {
			docs = append(docs, d)
		} else if docs[i].Revision < d.Revision {
			docs[i] = d
		}
	}
	slices.SortFunc(docs, func(a, b Document) int { return cmp.Compare(a.Key, b.Key) })
	return docs
}
