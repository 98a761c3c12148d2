package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/locktone/locktone/pki"
)

// Certificates implements pki.Register on the store. It owns a copy of the
// whole register in memory, which answers Lookup in every handshake, also while
// the store is away.
type Certificates struct {
	s      *Store
	change sync.Mutex // held from reading or writing the engine to changing byRef
	mu     sync.RWMutex
	byRef  map[pki.Ref]pki.Entry
	// missed are certificates that the engine did not have when it was asked, and when that was: those of foreign issuers, which
	// are asked for in every handshake. Without a serial number it is an issuer of whom the engine has none: when thousands of phones with
	// their maker's certificates come at once, the engine is asked about one of them.
	missed map[pki.Ref]time.Time
}

// A miss is believed for a while, and only so many of them: what changes here, or is told of by another node, ends it at once.
const (
	missTime  = 5 * time.Second
	maxMisses = 10_000
)

var _ pki.Register = (*Certificates)(nil)

// Certificates is the register of issued certificates.
func (s *Store) Certificates() *Certificates { return &s.certs }

const insertCertificate = `INSERT INTO certificate (issuer, serial, kind, name, not_after, revoked, doc, node) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
	ON CONFLICT (issuer, serial) DO NOTHING`

// Add implements pki.Register.
func (c *Certificates) Add(ctx context.Context, e pki.Entry) error {
	doc, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("store: encode certificate: %w", err)
	}
	c.change.Lock()
	defer c.change.Unlock()
	err = c.s.e.inTx(ctx, "register certificate "+e.Serial, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, c.s.e.rebind(insertCertificate), e.Issuer, e.Serial, e.Kind.String(), e.Name, micros(e.NotAfter), micros(e.Revoked), string(doc), e.Node)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return taken("issuer and serial are taken")
		}
		return c.s.e.tell(ctx, tx, noticeCertificate, e.Issuer, e.Serial)
	})
	if err == nil {
		c.keep(e)
	}
	return err
}

func (c *Certificates) keep(e pki.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byRef[e.Ref] = e
	delete(c.missed, e.Ref)
	delete(c.missed, pki.Ref{Issuer: e.Issuer})
}

// miss remembers that the engine does not have a certificate.
func (c *Certificates) miss(r pki.Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.missed == nil || len(c.missed) >= maxMisses {
		c.missed = make(map[pki.Ref]time.Time)
	}
	c.missed[r] = c.s.now()
}

// notIssued is the answer for a certificate that the register does not have.
const notIssued = absent("this cluster did not issue it")

// Lookup implements pki.Register. A certificate not in memory is looked up in
// the engine once more: another node may have issued it a moment ago.
func (c *Certificates) Lookup(ctx context.Context, r pki.Ref) (pki.Entry, error) {
	doing := "look up certificate " + r.Serial
	if e, err, known := c.remembered(r); known {
		return e, c.s.e.failure(doing, err)
	}
	c.change.Lock() // so that a revocation just being written is not overwritten
	defer c.change.Unlock()
	if e, err, known := c.remembered(r); known { // who had the lock before has asked
		return e, c.s.e.failure(doing, err)
	}
	e, err := c.read(ctx, c.s.e.read, r)
	switch {
	case err == nil:
		c.keep(e)
	case errors.Is(err, notIssued):
		c.miss(r)
		if any, failed := c.issued(ctx, r.Issuer); failed == nil && !any {
			c.miss(pki.Ref{Issuer: r.Issuer})
		}
	}
	return e, c.s.e.failure(doing, err)
}

// remembered is the answer from memory, if there is one.
func (c *Certificates) remembered(r pki.Ref) (e pki.Entry, err error, known bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if e, known = c.byRef[r]; known {
		return e, nil, true
	}
	now := c.s.now()
	for _, x := range []pki.Ref{r, {Issuer: r.Issuer}} {
		if at, missed := c.missed[x]; missed && now.Sub(at) >= 0 && now.Sub(at) < missTime {
			return e, notIssued, true
		}
	}
	return e, nil, false
}

// issued says whether the engine has any certificate of an issuer.
func (c *Certificates) issued(ctx context.Context, issuer string) (any bool, err error) {
	err = c.s.e.read.QueryRowContext(ctx, c.s.e.rebind("SELECT EXISTS (SELECT 1 FROM certificate WHERE issuer = $1)"), issuer).Scan(&any)
	return any, err
}

func (c *Certificates) read(ctx context.Context, q querier, r pki.Ref) (e pki.Entry, err error) {
	var doc string
	err = q.QueryRowContext(ctx, c.s.e.rebind("SELECT "+c.s.e.fromJSON+" FROM certificate WHERE issuer = $1 AND serial = $2"), r.Issuer, r.Serial).Scan(&doc)
	if err == sql.ErrNoRows {
		return e, notIssued
	}
	if err != nil {
		return e, err
	}
	return e, json.Unmarshal([]byte(doc), &e)
}

// Revoke implements pki.Register.
func (c *Certificates) Revoke(ctx context.Context, r pki.Ref, at time.Time, reason string) error {
	err := c.edit(ctx, "revoke certificate "+r.Serial, r, func(e *pki.Entry) bool {
		if !e.Revoked.IsZero() {
			return false
		}
		e.Revoked, e.Reason = fromMicros(micros(at)), reason
		return true
	})
	if err == nil {
		c.s.signals.tell(noticeCertificate, struct{}{})
	}
	return err
}

// Place implements pki.Register.
func (c *Certificates) Place(ctx context.Context, r pki.Ref, node string) error {
	return c.edit(ctx, "say on which node certificate "+r.Serial+" is", r, func(e *pki.Entry) bool {
		if e.Node != "" {
			return false
		}
		e.Node = node
		return true
	})
}

// edit changes an entry; f returns false when there is nothing to do.
func (c *Certificates) edit(ctx context.Context, doing string, r pki.Ref, f func(*pki.Entry) bool) error {
	c.change.Lock()
	defer c.change.Unlock()
	var e pki.Entry
	err := c.s.e.inTx(ctx, doing, func(tx *sql.Tx) (err error) {
		if e, err = c.read(ctx, tx, r); err != nil || !f(&e) {
			return err
		}
		doc, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err = tx.ExecContext(ctx, c.s.e.rebind(`UPDATE certificate SET revoked = $1, node = $2, doc = $3 WHERE issuer = $4 AND serial = $5`),
			micros(e.Revoked), e.Node, string(doc), r.Issuer, r.Serial); err != nil {
			return err
		}
		return c.s.e.tell(ctx, tx, noticeCertificate, e.Issuer, e.Serial)
	})
	if err == nil {
		c.keep(e)
	}
	return err
}

// Watch returns a channel that gets a value after a certificate was revoked by
// this process, or (PostgreSQL) the register changed in any way by another
// node. It is closed when ctx ends or the store closes.
func (c *Certificates) Watch(ctx context.Context) <-chan struct{} {
	ch := c.s.signals.add(noticeCertificate)
	context.AfterFunc(ctx, func() { c.s.signals.drop(ch) })
	return ch
}

// Entries implements pki.Register.
func (c *Certificates) Entries(ctx context.Context) (out []pki.Entry, err error) {
	err = c.s.ask(ctx, "read the certificate register", func(e *engine, q querier) error {
		rows, err := q.QueryContext(ctx, "SELECT "+e.fromJSON+" FROM certificate ORDER BY id")
		out, err = all(rows, err, func(r *sql.Rows) (e pki.Entry, err error) {
			var doc string
			if err := r.Scan(&doc); err != nil {
				return e, err
			}
			return e, json.Unmarshal([]byte(doc), &e)
		})
		return err
	})
	return out, err
}

// load replaces the copy in memory.
func (c *Certificates) load(ctx context.Context) error {
	c.change.Lock()
	defer c.change.Unlock()
	all, err := c.Entries(ctx)
	if err != nil {
		return err
	}
	byRef := make(map[pki.Ref]pki.Entry, len(all))
	for _, e := range all {
		byRef[e.Ref] = e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byRef, c.missed = byRef, nil
	return nil
}
