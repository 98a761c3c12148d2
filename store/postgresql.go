package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
)

// openPostgres connects, and leaves the schema as it is: for what is no Store.
func openPostgres(ctx context.Context, dsn string) (*engine, error) {
	hosts, err := parseServers(dsn)
	if err != nil {
		return nil, err
	}
	e := postgresOver(hosts, hosts.location())
	if err := e.write.PingContext(ctx); err != nil {
		_ = e.close()
		return nil, e.failure("connect", err)
	}
	return e, nil
}

// linkPostgres is the engine of a Store, which is connected when its link is.
func linkPostgres(dsn string) (*engine, error) {
	hosts, err := parseServers(dsn)
	if err != nil {
		return nil, err
	}
	l := newLink(hosts)
	e := postgresOver(l, hosts.location())
	e.link, l.pool = l, e.write
	return e, nil
}

// maxConnections are open at once, beside those for notices and leads.
const maxConnections = 16

func postgresOver(c driver.Connector, location string) *engine {
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(maxConnections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return &engine{
		name: "postgresql", location: location,
		write: db, read: db,
		rebind:   func(q string) string { return q },
		numbered: true,
		rows:     64,
		lock:     "LOCK TABLE revision IN EXCLUSIVE MODE",
		notify:   "SELECT pg_notify('" + channel + "', $1)",
		fromJSON: "doc::text",
		size:     "SELECT pg_database_size(current_database())",
	}
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
