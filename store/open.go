package store

import (
	"context"
	"database/sql"
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
	life     context.Context // ends with Close
	stop     context.CancelFunc
	ending   sync.Mutex // held while a worker starts, and while Close ends life
	running  sync.WaitGroup
	closed   sync.Once
}

// Open opens the store: dsn is a path of an SQLite file (made when missing) or
// a postgres:// URL. It brings the schema up to date.
func Open(ctx context.Context, dsn string, opt Options) (*Store, error) {
	e, err := openEngine(ctx, dsn, opt)
	if err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.Background())
	s := &Store{e: e, now: opt.Now, life: run, stop: stop}
	if s.now == nil {
		s.now = time.Now
	}
	s.certs.s = s
	s.current.Store(&Snapshot{Site: &config.Site{}})
	if err = s.certs.load(ctx); err == nil {
		_, err = s.refresh(ctx)
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	if e.notify != "" {
		s.running.Go(func() { listen(run, e.servers, s.noticed) })
	}
	return s, nil
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
		err = s.e.close()
	})
	return err
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

// noticed takes a notice of another node. What cannot be read now is read with
// the next notice or the next reconnection.
func (s *Store) noticed(ctx context.Context, what string) {
	if what == noticeAll || what == noticeCertificate {
		_ = s.certs.load(ctx)
	}
	if what == noticeAll || what == noticeRevision {
		_, _ = s.refresh(ctx)
	}
	s.signals.tell(what, struct{}{})
}

// lowSpace is the free space under which Health warns, in bytes: a small write
// may still succeed in space the file already has, the next large one will not.
const lowSpace = 16 << 20

// Health asks the engine whether it can be written, by writing, and looks at
// the space that is left.
func (s *Store) Health(ctx context.Context) Health {
	h := Health{Engine: s.e.name, Location: s.e.location, Revision: s.current.Load().Revision.Number}
	err := s.PutState(ctx, "", "health", []byte(s.now().UTC().Format(time.RFC3339)))
	if err == nil {
		err = s.e.failure("ask for the size", s.e.read.QueryRowContext(ctx, s.e.size).Scan(&h.Bytes))
	}
	if free, known := s.e.free(); err == nil && known && free < lowSpace {
		err = fmt.Errorf("store: %w: %d MiB left for %s; free some before changes and call records are refused", ErrNoSpace, free>>20, s.e.location)
	}
	if h.OK = err == nil; !h.OK {
		h.Problem = err.Error()
	}
	return h
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
