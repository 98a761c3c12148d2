package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/pki"
)

// TestDiskFull fills a small file system (when allowed to mount one) and a
// bounded database file.
func TestDiskFull(t *testing.T) {
	t.Run("tmpfs", func(t *testing.T) {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
			t.Skipf("a full file system is not tested, only a bounded file: mount: %v", err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		t.Log("on a tmpfs of 2 MiB")
		full(t, filepath.Join(dir, "full.db"), Options{}, func() error {
			return syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m")
		})
	})
	t.Run("max_page_count", func(t *testing.T) { full(t, filepath.Join(t.TempDir(), "full.db"), Options{MaxPages: 120}, nil) })
}

func full(t *testing.T, dsn string, opt Options, grow func() error) {
	s, err := Open(t.Context(), dsn, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	known := pki.Entry{Ref: pki.Ref{Issuer: "CN=CA", Serial: "1"}, Kind: pki.KindDevice, Name: "alice"}
	if err := s.Certificates().Add(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	site := config.Default("node1")
	apply(t, s, site)
	for _, size := range []int{32 << 10, 1 << 10, 1} { // down to the last page
		err = nil
		for i := 0; err == nil && i < 10000; i++ {
			err = s.AppendAudit(t.Context(), AuditEntry{Actor: "filler", Action: "fill", Result: "ok", Detail: strings.Repeat("x", size)})
		}
	}
	if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "free space for") {
		t.Fatalf("got %v, want ErrNoSpace with advice", err)
	}
	next := generation(1)
	_, err = s.Apply(t.Context(), ChangeSet{Base: 1, Changes: config.Diff(site, next)})
	if !errors.Is(err, ErrNoSpace) {
		t.Errorf("apply: %v, want ErrNoSpace", err)
	}
	wantSite(t, read(t, s).Site, site)
	if got, err := s.Certificates().Lookup(t.Context(), known.Ref); err != nil || got != known {
		t.Errorf("lookup on a full disk: %+v, %v", got, err)
	}
	if h := s.Health(t.Context()); h.OK && opt.MaxPages == 0 { // a small write may fit, but the disk is full
		t.Errorf("health says all is well: %+v", h)
	}
	if grow == nil {
		return
	}
	if err := grow(); err != nil {
		t.Fatal(err)
	}
	apply(t, s, next)
	wantSite(t, read(t, s).Site, next)
	if h := s.Health(t.Context()); !h.OK {
		t.Errorf("health with space again: %+v", h)
	}
}

// TestServerLost: with PostgreSQL away writes say so, reads go on, and after
// its return the node catches up with what another node did.
func TestServerLost(t *testing.T) {
	pg := postgres.Need(t)
	dsn := pg.Database(t)
	a, b := open(t, dsn), open(t, dsn)
	site := config.Default("node1")
	watch := b.Watch(t.Context())
	apply(t, a, site)
	await(t, watch, 1)

	pg.Stop()
	_, err := a.Apply(t.Context(), ChangeSet{Base: 1, Changes: config.Diff(site, generation(2))})
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "nothing was written; check") {
		t.Errorf("apply: %v, want ErrUnavailable with advice", err)
	}
	if strings.Contains(fmt.Sprint(err), "secret") {
		t.Errorf("the error shows the password: %v", err)
	}
	snap, err := b.Site(t.Context())
	if err != nil || !snap.Stale || !errors.Is(snap.Reason, ErrUnavailable) {
		t.Errorf("site: %+v, %v", snap, err)
	}
	wantSite(t, snap.Site, site)
	if _, err := b.Certificates().Lookup(t.Context(), pki.Ref{Serial: "1"}); !errors.Is(err, ErrUnavailable) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lookup of an unknown certificate: %v, want ErrUnavailable", err)
	}
	if h := b.Health(t.Context()); h.OK || h.Problem == "" {
		t.Errorf("health %+v", h)
	}

	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	back(t, a)
	back(t, b)
	apply(t, a, generation(2))
	await(t, watch, 2)
	entry := pki.Entry{Ref: pki.Ref{Issuer: "CN=CA", Serial: "1"}, Kind: pki.KindDevice, Name: "alice"}
	if err := a.Certificates().Add(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Certificates().Lookup(t.Context(), entry.Ref); err != nil {
		t.Error(err)
	}
	if err := a.Certificates().Revoke(t.Context(), entry.Ref, time.Now(), "stolen"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // Register has no event to wait for
		got, err := b.Certificates().Lookup(t.Context(), entry.Ref)
		if err == nil && !got.Revoked.IsZero() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the revocation did not reach the other node: %+v, %v", got, err)
		}
	}
}

// back waits until PostgreSQL is there again for a store.
func back(t *testing.T, s *Store) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) { // what is asked here has no event
		_, why := s.e.link.state()
		if why == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("PostgreSQL is not back: ", why)
		}
	}
}

func await(t *testing.T, watch <-chan Snapshot, revision int64) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case s := <-watch:
			if s.Revision.Number >= revision {
				return
			}
		case <-timeout:
			t.Fatalf("no notice of revision %d", revision)
		}
	}
}

func TestUnreachable(t *testing.T) {
	_, err := Open(t.Context(), "postgres://locktone:secret@127.0.0.1:1/db?connect_timeout=2", Options{})
	if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "127.0.0.1:1/db") {
		t.Errorf("got %v", err)
	}
	if _, err = Open(t.Context(), "postgres://%zz:secret@", Options{}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	dir := t.TempDir()
	if _, err = Open(t.Context(), dir, Options{}); !errors.Is(err, ErrUnavailable) { // a folder where the file should be
		t.Errorf("got %v", err)
	}
}

func TestNewerSchema(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "new.db")
	s := open(t, dsn)
	if _, err := s.e.write.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dsn, Options{}); err == nil || !strings.Contains(err.Error(), "schema 99") {
		t.Errorf("got %v", err)
	}
}

// TestUnreadableContent: a store whose content this program cannot read is not opened.
func TestUnreadableContent(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "odd.db")
	s := open(t, dsn)
	apply(t, s, config.Default("node1"))
	if _, err := s.e.write.Exec("UPDATE entity SET kind = 'hologram' WHERE key = 'alice' AND kind = 'device'"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dsn, Options{}); err == nil || !strings.Contains(err.Error(), `holds a "hologram" (alice)`) {
		t.Errorf("got %v", err)
	}
}

func TestFileMode(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "mode.db")
	apply(t, open(t, dsn), config.Default("node1"))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(dsn + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", dsn+suffix, info.Mode(), err)
		}
	}
}

// TestFileModeOfNode: so have the copy, which holds sealed keys and hashes, and the outbox, which holds who called whom.
func TestFileModeOfNode(t *testing.T) {
	home := t.TempDir()
	pg := postgres.Need(t)
	s := node(t, pg.Database(t), home)
	followed(t, s, func(*engine) bool { return true })
	pg.Stop()
	appendRecord(t, s, 1)
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"copy.db", "copy.db-wal", "copy.db-shm", "outbox.db", "outbox.db-wal", "outbox.db-shm"} {
		info, err := os.Stat(filepath.Join(home, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", name, info, err)
		}
	}
}

func TestNoGoroutineStays(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { leaves(t, filepath.Join(t.TempDir(), "leak.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { leaves(t, postgres.Need(t).Database(t)) })
}

func leaves(t *testing.T, dsn string) {
	before := goleak.IgnoreCurrent()
	s, err := Open(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := s.Watch(t.Context())
	apply(t, s, config.Default("node1"))
	<-w
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, open := <-w; open {
		t.Error("Watch goes on after Close")
	}
	goleak.VerifyNone(t, before)
}
