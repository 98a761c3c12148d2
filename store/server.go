package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// connectTimeout bounds one attempt to reach one host.
	connectTimeout = 3 * time.Second
	// answerTime is how long a server may take to answer a question that is no work: one that does not is away.
	answerTime = 2 * time.Second

	firstWait = 100 * time.Millisecond // before the next attempt
	lastWait  = time.Second
)

// servers are the ways to PostgreSQL that a DSN names, in its order: every host, with TLS and without where sslmode leaves that open.
type servers []*pgx.ConnConfig

func parseServers(dsn string) (servers, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("store: the PostgreSQL URL cannot be read; expected postgres://user@host:5432/database?sslmode=verify-full (password in PGPASSFILE)")
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	if cfg.ValidateConnect == nil { // as with target_session_attrs=read-write: a standby is no place for a record
		cfg.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	// A peer whose machine is gone sends nothing: what waits for it ends after some ten seconds.
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}}
	cfg.DialFunc = dialer.DialContext
	var out servers
	for _, way := range append([]*pgconn.FallbackConfig{{Host: cfg.Host, Port: cfg.Port, TLSConfig: cfg.TLSConfig}}, cfg.Fallbacks...) {
		c := cfg.Copy()
		c.Host, c.Port, c.TLSConfig, c.Fallbacks = way.Host, way.Port, way.TLSConfig, nil
		out = append(out, c)
	}
	return out, nil
}

// location names hosts and database for people.
func (h servers) location() string {
	var hosts []string
	for _, c := range h {
		if at := fmt.Sprintf("%s:%d", c.Host, c.Port); len(hosts) == 0 || hosts[len(hosts)-1] != at {
			hosts = append(hosts, at)
		}
	}
	return strings.Join(hosts, ",") + "/" + h[0].Database
}

// connect opens a session on the first server that takes one and can be written.
func (h servers) connect(ctx context.Context) (*pgx.Conn, error) {
	var errs []error
	for _, c := range h {
		conn, err := pgx.ConnectConfig(ctx, c.Copy())
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// answered runs f, which asks a server, and gives it some time.
func answered(ctx context.Context, within time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return f(ctx)
}

// hangUp ends a session without waiting for a server that hangs.
func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	_ = conn.Close(ctx)
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
