package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// An outbox keeps on this node's disk what may not be lost while PostgreSQL is away: records of calls and legs, and what users set. It is a
// queue in an SQLite file of its own that is synced with every entry, so that what was taken survives kill -9 and a power cut.
//
// In order: as long as something waits, what comes goes behind it. Exactly once: every batch of records has a number, rising in the epoch
// of its process, and is written in one transaction with the number as the epoch's mark in the record; a number that is not above the mark
// is there already. That holds too for a batch whose commit got no answer, which is put into the queue under the number it was sent with.
// Of documents the newest waits, and its revision decides (Documents.Keep).
//
// It is bounded in bytes, and refuses the newest: what was taken is never given up, whoever is refused knows it and may wait, and the gap in
// the records is one, at the end. Users' settings, of which only the newest counts, have an eighth more room than records.
type outbox struct {
	s     *Store
	e     *engine
	limit int64
	group string // node state of the record under which its marks are
	epoch string
	wake  chan struct{} // capacity 1

	order sync.Mutex // held while something is written, here or in the record
	next  int64      // number of the next batch, guarded by order

	mu    sync.Mutex // of what follows
	stats outboxStats
	docs  map[documentRef]Document // that wait
}

type documentRef struct{ collection, key string }

// outboxStats are what waits and what became of it.
type outboxStats struct {
	records, documents, bytes    int64 // batches, documents, size of both
	delivered, refused, overtake int64
	problem                      error // of the last delivery
}

// An entry is one row of the queue.
type entry struct {
	place      int64
	epoch      string
	number     int64
	kind       string // name of a table of records, or kindDocument
	collection string
	key        string
	revision   int64
	body       string
}

const (
	kindDocument = "document"
	// kindRefused goes before the kind of what the record will never take: it stays in the file, for whoever looks into it.
	kindRefused  = "refused "
	entryBytes   = 256     // of a row beside its body
	outboxBytes  = 1 << 30 // unless Options say otherwise
	deliverBytes = 1 << 20 // in one transaction
	deliverRetry = 2 * time.Second
)

const outboxSchema = `CREATE TABLE IF NOT EXISTS waiting (
	place      INTEGER PRIMARY KEY AUTOINCREMENT,
	epoch      TEXT    NOT NULL, -- of the process that wrote it
	number     INTEGER NOT NULL, -- within the epoch
	kind       TEXT    NOT NULL,
	collection TEXT    NOT NULL, -- of a document
	key        TEXT    NOT NULL, -- of a document; 'missing': records that are written where they are missing
	revision   INTEGER NOT NULL,
	body       TEXT    NOT NULL  -- JSON
);
CREATE UNIQUE INDEX IF NOT EXISTS waiting_document ON waiting (collection, key) WHERE kind = 'document';
CREATE TABLE IF NOT EXISTS outbox (name TEXT NOT NULL);`

func openOutbox(ctx context.Context, s *Store, opt Options) (*outbox, error) {
	e, err := openSQLite(opt.Outbox, Options{MaxPages: opt.MaxPages})
	if err != nil {
		return nil, fmt.Errorf("the outbox of the record: %w", err)
	}
	o := &outbox{s: s, e: e, limit: opt.OutboxBytes, epoch: rand.Text(), wake: make(chan struct{}, 1), docs: map[documentRef]Document{}}
	if o.limit <= 0 {
		o.limit = outboxBytes
	}
	if err := o.load(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the outbox of the record: %w", e.failure("open "+e.path, err)), e.close())
	}
	return o, nil
}

func (o *outbox) load(ctx context.Context) error {
	if _, err := o.e.write.ExecContext(ctx, outboxSchema); err != nil {
		return err
	}
	var name string
	err := o.e.write.QueryRowContext(ctx, `SELECT name FROM outbox`).Scan(&name)
	if err == sql.ErrNoRows {
		name = rand.Text()
		_, err = o.e.write.ExecContext(ctx, `INSERT INTO outbox (name) VALUES (?)`, name)
	}
	if err != nil {
		return err
	}
	o.group = "outbox " + name
	rows, err := o.e.read.QueryContext(ctx, `SELECT kind, COUNT(*), SUM(LENGTH(CAST(body AS BLOB)) + ?) FROM waiting GROUP BY kind`, entryBytes)
	_, err = all(rows, err, func(r *sql.Rows) (x struct{}, err error) {
		var kind string
		var n, bytes int64
		err = r.Scan(&kind, &n, &bytes)
		o.count(kind, n, bytes)
		return x, err
	})
	if err != nil {
		return err
	}
	rows, err = o.e.read.QueryContext(ctx, `SELECT collection, key, revision, body FROM waiting WHERE kind = ?`, kindDocument)
	_, err = all(rows, err, func(r *sql.Rows) (x struct{}, err error) {
		var e entry
		err = r.Scan(&e.collection, &e.key, &e.revision, &e.body)
		o.docs[documentRef{e.collection, e.key}] = e.document()
		return x, err
	})
	return err
}

func (e entry) document() Document {
	return Document{Key: e.key, Revision: e.revision, Time: fromMicros(e.revision), Value: json.RawMessage(e.body)}
}

// count adds to what waits.
func (o *outbox) count(kind string, n, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stats.bytes += bytes
	switch {
	case kind == kindDocument:
		o.stats.documents += n
	case strings.HasPrefix(kind, kindRefused):
		o.stats.refused += n
	default:
		o.stats.records += n
	}
}

func (o *outbox) look() outboxStats {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stats
}

// empty says that nothing waits.
func (s outboxStats) empty() bool { return s.records+s.documents == 0 }

// document is one that waits.
func (o *outbox) document(collection, key string) (Document, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	d, ok := o.docs[documentRef{collection, key}]
	return d, ok
}

// mayWait says that a write that failed may succeed later. After a deadline it is not known whether it did, and that is for the marks to find
// out.
func mayWait(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNoSpace) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// records writes records, or lets them wait; key is empty or keyMissing.
func (o *outbox) records(ctx context.Context, t table, key string, records any, write func(tx *sql.Tx) error) error {
	o.order.Lock()
	defer o.order.Unlock()
	o.next++
	e := entry{epoch: o.epoch, number: o.next, kind: t.name, key: key}
	if o.look().empty() {
		err := o.s.e.inTx(ctx, "write "+t.name, func(tx *sql.Tx) error {
			if _, err := o.advance(ctx, tx, e); err != nil {
				return err
			}
			return write(tx)
		})
		if err == nil || !mayWait(err) {
			return err
		}
	}
	body, err := json.Marshal(records)
	if err != nil {
		return fmt.Errorf("store: encode %s: %w", t.name, err)
	}
	e.body = string(body)
	return o.put(ctx, e)
}

// advance moves the mark of an entry's epoch, which is in the column of the time, to the entry; false when it is there already. Who does
// it at the same time, such as a transaction whose commit got no answer, is waited for.
func (o *outbox) advance(ctx context.Context, tx *sql.Tx, e entry) (moved bool, err error) {
	var at int64
	err = tx.QueryRowContext(ctx, `INSERT INTO node_state (node, key, value, at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (node, key) DO UPDATE SET at = excluded.at WHERE node_state.at < excluded.at RETURNING at`, o.group, e.epoch, []byte{}, e.number).Scan(&at)
	if err == sql.ErrNoRows {
		return false, nil
	}
	return err == nil, err
}

// put adds an entry to the queue; of a document the newest waits. The caller holds order. It goes on when ctx ends: it is short, and who
// asked would not know what became of it.
func (o *outbox) put(ctx context.Context, e entry) error {
	ctx = context.WithoutCancel(ctx)
	size, room := int64(len(e.body)+entryBytes), o.limit
	if e.kind == kindDocument {
		room += o.limit / 8
	}
	if st := o.look(); st.bytes+size > room {
		return fmt.Errorf("store: %w: PostgreSQL is away, and %d MiB wait in %s already; bring it back (%s), or give the outbox more room", ErrNoSpace, st.bytes>>20, o.e.path, o.s.e.location)
	}
	old, replaces := o.document(e.collection, e.key)
	err := o.e.inTx(ctx, "let it wait for PostgreSQL", func(tx *sql.Tx) error {
		if e.kind == kindDocument {
			if _, err := tx.ExecContext(ctx, `DELETE FROM waiting WHERE kind = ? AND collection = ? AND key = ?`, kindDocument, e.collection, e.key); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO waiting (epoch, number, kind, collection, key, revision, body) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			e.epoch, e.number, e.kind, e.collection, e.key, e.revision, e.body)
		return err
	})
	if err != nil {
		return err
	}
	if e.kind == kindDocument {
		if replaces {
			o.count(kindDocument, -1, -int64(len(old.Value)+entryBytes))
		}
		o.mu.Lock()
		o.docs[documentRef{e.collection, e.key}] = e.document()
		o.mu.Unlock()
	}
	o.count(e.kind, 1, size)
	o.poke()
	return nil
}

// poke wakes the worker.
func (o *outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run delivers what waits whenever PostgreSQL is there, until ctx ends.
func (o *outbox) run(ctx context.Context) {
	o.poke()
	again := time.NewTimer(deliverRetry)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		case <-again.C:
		}
		if !o.look().empty() {
			_ = o.deliver(ctx)
		}
		again.Reset(deliverRetry)
	}
}

// deliver writes what waits into the record, in order, until nothing waits.
func (o *outbox) deliver(ctx context.Context) error {
	for {
		more, err := o.deliverSome(ctx)
		o.mu.Lock()
		o.stats.problem = err
		o.mu.Unlock()
		if err != nil || !more {
			return err
		}
	}
}

// deliverSome writes what comes next.
func (o *outbox) deliverSome(ctx context.Context) (more bool, err error) {
	o.order.Lock()
	defer o.order.Unlock()
	batch, err := o.first(ctx)
	if err != nil {
		return false, err
	}
	if len(batch) == 0 { // marks of former processes are of no more use
		_, err := o.s.e.write.ExecContext(ctx, `DELETE FROM node_state WHERE node = $1 AND key <> $2`, o.group, o.epoch)
		return false, o.s.e.failure("tidy up after the outbox", err)
	}
	err = o.write(ctx, batch)
	if err != nil && !mayWait(err) && len(batch) > 1 { // one of them is at fault
		batch = batch[:1]
		err = o.write(ctx, batch)
	}
	if err != nil && !mayWait(err) {
		return true, o.refuse(ctx, batch[0])
	}
	if err != nil {
		return false, err
	}
	return true, o.remove(ctx, batch)
}

// first is the beginning of the queue.
func (o *outbox) first(ctx context.Context) (batch []entry, err error) {
	rows, err := o.e.read.QueryContext(ctx, `SELECT place, epoch, number, kind, collection, key, revision, body FROM waiting
		WHERE kind NOT LIKE ? ORDER BY place LIMIT 100`, kindRefused+"%")
	batch, err = all(rows, err, func(r *sql.Rows) (e entry, err error) {
		return e, r.Scan(&e.place, &e.epoch, &e.number, &e.kind, &e.collection, &e.key, &e.revision, &e.body)
	})
	bytes := 0
	for i := range batch {
		if bytes += len(batch[i].body); bytes > deliverBytes && i > 0 {
			return batch[:i], err
		}
	}
	return batch, o.e.failure("read the outbox", err)
}

// write brings entries into the record, in one transaction.
func (o *outbox) write(ctx context.Context, batch []entry) error {
	overtaken := int64(0)
	err := o.s.e.inTx(ctx, "write what waited in the outbox", func(tx *sql.Tx) error {
		overtaken = 0
		for _, e := range batch {
			late, err := o.writeOne(ctx, tx, e)
			if err != nil {
				return err
			}
			if late {
				overtaken++
			}
		}
		return nil
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		o.stats.overtake += overtaken
	}
	return err
}

func (o *outbox) writeOne(ctx context.Context, tx *sql.Tx, e entry) (overtaken bool, err error) {
	if e.kind == kindDocument {
		return o.s.Documents(e.collection).arrive(ctx, tx, e)
	}
	moved, err := o.advance(ctx, tx, e)
	if err != nil || !moved {
		return false, err
	}
	switch e.kind {
	case callTable.name:
		err = insertBody[CallRecord](ctx, o.s.e, tx, callTable, e)
	case legTable.name:
		err = insertBody[LegRecord](ctx, o.s.e, tx, legTable, e)
	case contactTable.name:
		err = insertBody[ContactRecord](ctx, o.s.e, tx, contactTable, e)
	case queueTable.name:
		err = insertBody[QueueInterval](ctx, o.s.e, tx, queueTable, e)
	case agentTable.name:
		err = insertBody[AgentInterval](ctx, o.s.e, tx, agentTable, e)
	default:
		err = fmt.Errorf("store: the outbox has records of kind %q, which this version does not know", e.kind)
	}
	return false, err
}

func insertBody[T any](ctx context.Context, db *engine, tx *sql.Tx, t table, e entry) error {
	var records []T
	if err := json.Unmarshal([]byte(e.body), &records); err != nil {
		return err
	}
	if e.key == keyMissing {
		return insertAbsent(ctx, db, tx, t, records)
	}
	return insertRows(ctx, db, tx, t, records)
}

// remove takes out of the queue what has been delivered. The caller holds order.
func (o *outbox) remove(ctx context.Context, batch []entry) error {
	_, err := o.e.write.ExecContext(context.WithoutCancel(ctx), `DELETE FROM waiting WHERE place <= ? AND kind NOT LIKE ?`,
		batch[len(batch)-1].place, kindRefused+"%")
	if err != nil {
		return o.e.failure("take out of the outbox", err)
	}
	for _, e := range batch {
		o.count(e.kind, -1, -int64(len(e.body)+entryBytes))
		o.mu.Lock()
		o.stats.delivered++
		delete(o.docs, documentRef{e.collection, e.key})
		o.mu.Unlock()
		if e.kind == kindDocument {
			o.s.signals.tell(noticeDocument+e.collection, struct{}{})
		}
	}
	return nil
}

// refuse puts aside what the record will never take, so that the rest is not held up by it.
func (o *outbox) refuse(ctx context.Context, e entry) error {
	if _, err := o.e.write.ExecContext(context.WithoutCancel(ctx), `UPDATE waiting SET kind = ? || kind WHERE place = ?`, kindRefused, e.place); err != nil {
		return o.e.failure("put aside in the outbox", err)
	}
	o.count(e.kind, -1, -int64(len(e.body)+entryBytes))
	o.count(kindRefused, 1, int64(len(e.body)+entryBytes))
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.docs, documentRef{e.collection, e.key})
	return nil
}
