package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// channel carries notices between nodes: what changed, on the first line, and which rows of it, as a JSON array, on the second.
const channel = "locktone"

const (
	idleConnections = 4 // of the pool

	pulse       = time.Second     // a server that has said nothing for so long is asked
	migrateTime = 5 * time.Minute // to bring the schema up to date, or to wait for another node that does
)

// A link is the tie between a store and PostgreSQL. One session of its own takes the notices and, when there are none, asks the server every
// second: so a server that is gone, and one that hangs with all connections open, is found out within pulse + answerTime, whoever is waiting
// for it then fails at once, and nobody waits for it again until it answers.
//
//	          connected, schema up to date
//	away  ------------------------------------>  here: an era, with connections to one server
//	      <------------------------------------
//	          no answer, connection lost
//
// Its goroutine (run) changes the state; everybody else reads it under the lock. It is the connector of the store's pool.
type link struct {
	hosts    servers
	pool     *sql.DB
	migrated bool // by this process; only run and the first reach look at it
	mu       sync.Mutex
	now      *era
	reason   error     // why there is no era
	since    time.Time // when the state began
}

// An era is a time in which one server answers. Every connection to it ends with the era.
type era struct {
	ctx    context.Context
	end    context.CancelCauseFunc
	server *pgx.ConnConfig
	conn   *pgx.Conn // for notices; owned by run
}

// errNotYet is why there is no era before the first.
var errNotYet = errors.New("it has not been reached yet")

func newLink(hosts servers) *link { return &link{hosts: hosts, reason: errNotYet, since: time.Now()} }

// Connect makes the link a connector of database/sql.
func (l *link) Connect(ctx context.Context) (driver.Conn, error) {
	l.mu.Lock()
	a, gone := l.now, away{l.since, l.reason}
	l.mu.Unlock()
	if a == nil {
		return nil, gone
	}
	conn, err := stdlib.GetConnector(*a.server).Connect(ctx)
	if err != nil && a.ctx.Err() != nil {
		err = away{time.Now(), context.Cause(a.ctx)}
	}
	return conn, err
}

// Driver implements driver.Connector.
func (*link) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// away says that a server is not there, and since when.
type away struct {
	since time.Time
	why   error
}

func (a away) Error() string {
	return fmt.Sprintf("PostgreSQL has been away since %s: %v", a.since.UTC().Format("15:04:05 MST"), a.why)
}

func (a away) Unwrap() error { return a.why }

// state says since when the server has been here, or away and why.
func (l *link) state() (since time.Time, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now == nil {
		return l.since, l.reason
	}
	return l.since, nil
}

// reach opens an era with the first server that takes a session and can be written. The schema is brought up to date once.
func (l *link) reach(ctx context.Context, migrate func(context.Context, *sql.DB) error) (*era, error) {
	var errs []error
	for _, c := range l.hosts {
		a, err := newEra(ctx, c)
		if err == nil && !l.migrated {
			err = a.migrate(ctx, migrate)
		}
		if err == nil {
			l.migrated = true
			return a, nil
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func newEra(ctx context.Context, c *pgx.ConnConfig) (*era, error) {
	a := &era{server: c.Copy()}
	a.ctx, a.end = context.WithCancelCause(context.Background())
	a.server.DialFunc = dialUntil(a.ctx, c.DialFunc)
	var err error
	if a.conn, err = pgx.ConnectConfig(ctx, a.server.Copy()); err == nil {
		err = answered(ctx, answerTime, func(ctx context.Context) error { _, err := a.conn.Exec(ctx, "LISTEN "+channel); return err })
	}
	if err != nil {
		a.end(err)
		return nil, err
	}
	return a, nil
}

// migrate brings the schema up to date over a pool of its own: nobody else may see the database before.
func (a *era) migrate(ctx context.Context, migrate func(context.Context, *sql.DB) error) error {
	pool := stdlib.OpenDB(*a.server)
	defer pool.Close()
	err := answered(ctx, migrateTime, func(ctx context.Context) error { return migrate(ctx, pool) })
	if err != nil {
		a.close(err)
	}
	return err
}

// close ends the era: all its connections are cut, so that nothing waits for them.
func (a *era) close(why error) {
	a.end(why)
	_ = a.conn.Close(a.ctx)
}

// dialUntil makes connections that end with ctx.
func dialUntil(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(request context.Context, network, address string) (net.Conn, error) {
		request, cancel := context.WithCancelCause(request)
		defer cancel(nil)
		stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
		defer stop()
		c, err := dial(request, network, address)
		if err != nil {
			return nil, err
		}
		return &boundConn{c, context.AfterFunc(ctx, func() { _ = c.Close() })}, nil
	}
}

// A boundConn is a connection that is cut when its era ends.
type boundConn struct {
	net.Conn
	stop func() bool
}

func (c *boundConn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// begin takes an era into use.
func (l *link) begin(a *era) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now, l.reason, l.since = a, nil, time.Now()
}

// finish ends the era, if there is one, and says why there is none.
func (l *link) finish(why error) {
	l.mu.Lock()
	a := l.now
	if l.reason = why; a != nil {
		l.now, l.since = nil, time.Now()
	}
	l.mu.Unlock()
	if a != nil {
		a.close(why)
		l.pool.SetMaxIdleConns(-1) // those of the era are cut
		l.pool.SetMaxIdleConns(idleConnections)
	}
}

// run keeps up the link until ctx ends. told gets every notice, and noticeAll at the beginning of an era: what was told meanwhile is lost.
func (l *link) run(ctx context.Context, migrate func(context.Context, *sql.DB) error, told func(what string)) {
	defer l.finish(errClosed)
	for wait := firstWait; ctx.Err() == nil; wait = min(2*wait, lastWait) {
		l.mu.Lock()
		a := l.now // Open has begun the first
		l.mu.Unlock()
		err := error(nil)
		if a == nil {
			if a, err = l.reach(ctx, migrate); err == nil {
				l.begin(a)
			}
		}
		if err == nil {
			wait = firstWait
			told(noticeAll)
			err = a.attend(ctx, told)
		}
		l.finish(err)
		pause(ctx, wait)
	}
}

// attend takes notices until the server is lost.
func (a *era) attend(ctx context.Context, told func(what string)) error {
	for {
		quiet, cancel := context.WithTimeout(ctx, pulse)
		n, err := a.conn.WaitForNotification(quiet)
		late := quiet.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			told(n.Payload)
		case !late:
			return err
		default:
			if err := answered(ctx, answerTime, a.conn.Ping); errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("it does not answer within %v", answerTime)
			} else if err != nil {
				return err
			}
		}
	}
}
