package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/config"
)

// Store is the open system of record. It owns its connections, the newest
// snapshot and the certificate table in memory; it is safe for concurrent use.
type Store struct {
	e        *engine
	now      func() time.Time
	current  atomic.Pointer[Snapshot]
	reload   sync.Mutex // serialises reading of snapshots
	watchers feeds[Snapshot]
	certs    Certificates
	signals  feeds[struct{}] // by notice
	copy     *replica        // of PostgreSQL; nil: none
	outbox   *outbox         // nil: none
	follow   follower
	life     context.Context // ends with Close
	stop     context.CancelFunc
	ending   sync.Mutex // held while a worker starts, and while Close ends life
	running  sync.WaitGroup
	closed   sync.Once
}

// Open opens the store: dsn is a path of an SQLite file (made when missing) or
// a postgres:// URL. It brings the schema up to date.
func Open(ctx context.Context, dsn string, opt Options) (*Store, error) {
	s := &Store{now: opt.Now}
	if s.now == nil {
		s.now = time.Now
	}
	s.life, s.stop = context.WithCancel(context.Background())
	s.certs.s = s
	s.follow = follower{s: s, wake: make(chan struct{}, 1)}
	s.current.Store(&Snapshot{Site: &config.Site{}})
	if err := s.open(ctx, dsn, opt); err != nil {
		_ = s.Close()
		return nil, err
	}
	if s.e.link != nil {
		s.work(func() { s.follow.run(s.life) })
		if s.outbox != nil {
			s.work(func() { s.outbox.run(s.life) })
		}
		s.work(func() { s.e.link.run(s.life, s.migrateOver, s.told) })
	}
	return s, nil
}

// open connects the engine, brings its schema up to date and reads what is kept in memory.
func (s *Store) open(ctx context.Context, dsn string, opt Options) (err error) {
	if isURL(dsn) {
		err = s.openLinked(ctx, dsn, opt)
	} else if s.e, err = openSQLite(dsn, opt); err == nil {
		err = s.e.migrate(ctx)
	}
	if err == nil {
		err = s.certs.load(ctx)
	}
	if err != nil || s.Known().Stale {
		return err
	}
	_, err = s.refresh(ctx)
	return err
}

// openLinked reaches PostgreSQL, or starts from the copy where that fails.
func (s *Store) openLinked(ctx context.Context, dsn string, opt Options) (err error) {
	if s.e, err = linkPostgres(dsn); err != nil {
		return err
	}
	if opt.Copy != "" {
		if s.copy, err = openCopy(ctx, opt.Copy); err != nil {
			return err
		}
	}
	if opt.Outbox != "" {
		if s.outbox, err = openOutbox(ctx, s, opt); err != nil {
			return err
		}
	}
	first, err := s.e.link.reach(ctx, s.migrateOver)
	if err == nil {
		s.e.link.begin(first)
		return nil
	}
	s.e.link.finish(err)
	err = s.e.failure("connect", err)
	switch {
	case ctx.Err() != nil || !errors.Is(err, ErrUnavailable) || s.copy == nil:
		return err
	case !s.hasCopy():
		return fmt.Errorf("%w; this node has no copy of the record yet, and cannot start without it", err)
	}
	return s.startFromCopy(ctx, err)
}

// migrateOver brings the schema of PostgreSQL up to date.
func (s *Store) migrateOver(ctx context.Context, db *sql.DB) error {
	e := *s.e
	e.link, e.write, e.read = nil, db, db
	return e.migrate(ctx)
}

// Close waits for what runs and closes the store; channels of Watch are closed.
func (s *Store) Close() (err error) {
	s.closed.Do(func() {
		s.ending.Lock()
		s.stop()
		s.ending.Unlock()
		s.running.Wait()
		s.watchers.close()
		s.signals.close()
		if s.e != nil {
			err = s.e.close()
		}
		if s.copy != nil {
			err = errors.Join(err, s.copy.e.close())
		}
		if s.outbox != nil {
			err = errors.Join(err, s.outbox.e.close())
		}
	})
	return err
}

// told takes a notice of the link.
func (s *Store) told(payload string) {
	s.follow.told(payload)
	if payload == noticeAll && s.outbox != nil {
		s.outbox.poke()
	}
}

// work runs a worker that Close waits for; false when the store is closed.
func (s *Store) work(f func()) bool {
	s.ending.Lock()
	defer s.ending.Unlock()
	if s.life.Err() != nil {
		return false
	}
	s.running.Go(f)
	return true
}

// micros is how times are stored; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMicro(v).UTC()
}

// all collects rows.
func all[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

func limitOr(limit int) int {
	if limit <= 0 {
		return 100
	}
	return limit
}
