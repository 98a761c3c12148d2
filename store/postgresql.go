package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// channel carries "revision", "certificate" and "document:COLLECTION" notices between nodes.
const channel = "locktone"

// connectTimeout bounds one attempt to reach the server.
const connectTimeout = 5 * time.Second

func openPostgres(ctx context.Context, dsn string) (*engine, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("store: the PostgreSQL URL cannot be read; expected postgres://user@host:5432/database?sslmode=verify-full (password in PGPASSFILE)")
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(16)
	db.SetConnMaxIdleTime(5 * time.Minute)
	e := &engine{
		name: "postgresql", location: fmt.Sprintf("%s:%d/%s", cfg.Host, cfg.Port, cfg.Database),
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
	locker, err := lock.NewPostgresSessionLocker() // nodes that start together migrate one after the other
	if err == nil {
		err = e.migrate(ctx, goose.DialectPostgres, goose.WithSessionLocker(locker))
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return e, nil
}

const (
	firstWait = 100 * time.Millisecond
	lastWait  = 5 * time.Second
)

// listen takes notices of other nodes until ctx ends, and reconnects for ever.
// changed is called after each (re)connection too, because notices sent
// meanwhile are lost.
func listen(ctx context.Context, dsn string, changed func(ctx context.Context, what string)) {
	wait := firstWait
	for ctx.Err() == nil {
		if err := listenOnce(ctx, dsn, func(c context.Context, what string) { wait = firstWait; changed(c, what) }); err == nil {
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

func listenOnce(ctx context.Context, dsn string, changed func(ctx context.Context, what string)) error {
	dial, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgx.Connect(dial, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(dial))
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
