package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// busyTimeout is how long a statement waits for another process's write, in milliseconds.
const busyTimeout = 5000

// openSQLite opens one connection for writing, so that writers queue here and
// not in the file's lock, and a few for reading, which WAL keeps from waiting.
func openSQLite(dsn string, opt Options) (*engine, error) {
	path, err := filepath.Abs(strings.TrimPrefix(dsn, "sqlite://"))
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := private(path); err != nil {
		return nil, err
	}
	e := &engine{
		name: "sqlite", location: path, path: path,
		rebind:   func(q string) string { return strings.ReplaceAll(q, "$", "?") },
		rows:     4,
		fromJSON: "doc",
		size:     "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
	}
	if e.write, err = sql.Open("sqlite", liteURL(path, opt, "_txlock=immediate")); err != nil {
		return nil, fmt.Errorf("store: open %s: %w", path, err)
	}
	e.write.SetMaxOpenConns(1)
	if e.read, err = sql.Open("sqlite", liteURL(path, opt, "_pragma=query_only(1)")); err != nil {
		return nil, fmt.Errorf("store: open %s: %w", path, err)
	}
	e.read.SetMaxOpenConns(4)
	ctx := context.Background()
	if _, err := e.write.ExecContext(ctx, "PRAGMA journal_mode=WAL"); err != nil {
		_ = e.close()
		return nil, e.failure("open "+path, err)
	}
	return e, nil
}

// private makes the file before SQLite does, readable by its owner only: it
// holds password hashes. The WAL beside it inherits the mode.
func private(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("store: folder of the database: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("store: %w: %w", ErrUnavailable, err)
	}
	return f.Close()
}

func liteURL(path string, opt Options, more ...string) string {
	args := append(more, "_pragma=synchronous(FULL)", "_pragma=foreign_keys(1)", fmt.Sprintf("_pragma=busy_timeout(%d)", busyTimeout))
	if opt.MaxPages > 0 {
		args = append(args, fmt.Sprintf("_pragma=max_page_count(%d)", opt.MaxPages))
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + strings.Join(args, "&")
}
