package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
)

// channel carries "revision", "certificate" and "document:COLLECTION" notices between nodes.
const channel = "locktone"

func openPostgres(ctx context.Context, dsn string) (*engine, error) {
	hosts, err := parseServers(dsn)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(hosts)
	db.SetMaxOpenConns(16)
	db.SetConnMaxIdleTime(5 * time.Minute)
	e := &engine{
		name: "postgresql", location: hosts.location(), servers: hosts,
		write: db, read: db,
		rebind:   func(q string) string { return q },
		numbered: true,
		rows:     64,
		lock:     "LOCK TABLE revision IN EXCLUSIVE MODE",
		notify:   "SELECT pg_notify('" + channel + "', $1)",
		fromJSON: "doc::text",
		size:     "SELECT pg_database_size(current_database())",
	}
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, e.failure("connect", err)
	}
	return e, nil
}

// Connect makes servers a connector of database/sql.
func (h servers) Connect(ctx context.Context) (driver.Conn, error) {
	var errs []error
	for _, c := range h {
		conn, err := stdlib.GetConnector(*c).Connect(ctx)
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// Driver implements driver.Connector.
func (servers) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// listen takes notices of other nodes until ctx ends, and reconnects for ever.
// changed is called after each (re)connection too, because notices sent
// meanwhile are lost.
func listen(ctx context.Context, hosts servers, changed func(ctx context.Context, what string)) {
	wait := firstWait
	for ctx.Err() == nil {
		if err := listenOnce(ctx, hosts, func(c context.Context, what string) { wait = firstWait; changed(c, what) }); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, lastWait)
	}
}

func listenOnce(ctx context.Context, hosts servers, changed func(ctx context.Context, what string)) error {
	conn, err := hosts.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	dial, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if _, err := conn.Exec(dial, "LISTEN "+channel); err != nil {
		return err
	}
	changed(ctx, noticeAll)
	for {
		n, err := conn.WaitForNotification(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		changed(ctx, n.Payload)
	}
}

// The notices.
const (
	noticeAll         = "all"
	noticeRevision    = "revision"
	noticeCertificate = "certificate"
	noticeDocument    = "document:" // and the collection
)
