package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// How a lead is held: it is proved to us every leadBeat, by an answer within answerTime; a session that PostgreSQL has not heard for leadIdle
// loses it, so that a node that hangs or is cut off does not keep it. leadBeat + answerTime is well below leadIdle: whoever loses the lead
// knows before another can have it.
const (
	leadBeat = 2 * time.Second
	leadIdle = 12 * time.Second
)

// Lead lets one node at a time do a duty: pruning, rotation, the publishing of lists. The channel carries terms of office: a context that
// ends when the lead is lost, ctx ends or the store closes. After a term has ended another may come, and when no more can come the channel is
// closed. With SQLite there is one node, and one term.
//
//	for term := range s.Lead(ctx, "prune-calls") {
//		work(term) // returns when term is done, and not before: nobody else can have the duty as long as this node holds it
//	}
//
// A worker with a select receives the term and then waits for term.Done() beside its own events. Everything the duty writes is written
// under the term, so that it fails once the lead is lost. The end of a term is told before another node can have the duty, unless this
// whole process was stopped and wakes late: what must not happen twice, even then, is written with a revision (Documents.Put, Apply), which
// the second of two writers is refused.
//
// The lead is an advisory lock on a PostgreSQL session of its own. It passes on at once when its holder gives it up or dies, and after
// twelve seconds when its holder hangs or is cut off. While PostgreSQL is away nobody leads.
func (s *Store) Lead(ctx context.Context, duty string) <-chan context.Context {
	terms := make(chan context.Context)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel)
	ok := s.work(func() {
		defer close(terms)
		defer stop()
		defer cancel()
		if s.e.link == nil {
			alone(ctx, terms)
			return
		}
		s.e.link.hosts.lead(ctx, duty, terms)
	})
	if !ok {
		cancel()
		close(terms)
	}
	return terms
}

// alone is the lead of the only node.
func alone(ctx context.Context, terms chan<- context.Context) {
	select {
	case terms <- ctx:
		<-ctx.Done()
	case <-ctx.Done():
	}
}

// lead competes for a duty until ctx ends.
func (h servers) lead(ctx context.Context, duty string, terms chan<- context.Context) {
	for wait := firstWait; ctx.Err() == nil; wait = min(2*wait, lastWait) {
		if conn, err := h.connect(ctx); err == nil {
			if h.elected(ctx, conn, duty) {
				wait = firstWait
				h.hold(ctx, conn, terms)
			}
			hangUp(conn)
		}
		pause(ctx, wait)
	}
}

// elected waits until the session has the lock of a duty; false when the session is lost.
func (h servers) elected(ctx context.Context, conn *pgx.Conn, duty string) bool {
	limits := fmt.Sprintf("SET lock_timeout = %d; SELECT set_config(name, '%d', false) FROM pg_settings WHERE name = 'idle_session_timeout'",
		leadBeat.Milliseconds(), leadIdle.Milliseconds()) // PostgreSQL 13 has no idle_session_timeout: there the keep-alive of TCP finds out
	if answered(ctx, answerTime, func(ctx context.Context) error { _, err := conn.Exec(ctx, limits); return err }) != nil {
		return false
	}
	for {
		// The wait is cut into pieces, because a server that hangs and one that makes us wait look alike.
		err := answered(ctx, leadBeat+answerTime, func(ctx context.Context) error {
			_, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended($1, 0))", "locktone lead "+duty)
			return err
		})
		var late *pgconn.PgError
		switch {
		case err == nil:
			return true
		case !errors.As(err, &late) || late.Code != "55P03": // lock_not_available
			return false
		}
	}
}

// hold hands over a term and ends it when the session is lost or ctx ends.
func (h servers) hold(ctx context.Context, conn *pgx.Conn, terms chan<- context.Context) {
	term, end := context.WithCancel(ctx)
	defer end()
	beat := time.NewTicker(leadBeat)
	defer beat.Stop()
	for {
		select {
		case terms <- term:
			terms = nil
		case <-beat.C:
			if answered(ctx, answerTime, conn.Ping) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
