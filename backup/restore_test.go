package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/store"
)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// files of a node, with what a backup must not take.
var homeFiles = map[string]string{
	"pki/ca.pem": "the key", "pki/service/cm.pem": "another", "trust/peers/x.pem": "anchor", "music/hold.wav": strings.Repeat("la", 700_000), "admin.tokens": "secret",
	"outbox.db": "waiting", "node.yaml": "node: node1\ntrace:\n  folder: traces\n",
}

// node makes a home folder with a record, and returns a source of it.
func node(t *testing.T, dsn string) (Source, *store.Store) {
	t.Helper()
	home := t.TempDir()
	write := func(name, text string) {
		ok(t, os.MkdirAll(filepath.Dir(filepath.Join(home, name)), 0o700))
		ok(t, os.WriteFile(filepath.Join(home, name), []byte(text), 0o644))
	}
	for name, text := range homeFiles {
		write(name, text)
	}
	for _, name := range []string{"traces/t.jsonl", "lock", "pki/.new-123", "locktone.db-journal", "copy.db", "copy.db-wal", "old.backup"} {
		text := "not taken"
		if name == "old.backup" {
			text = Magic + text
		}
		write(name, text)
	}
	ok(t, syscall.Mkfifo(filepath.Join(home, "admin.sock"), 0o600))
	if dsn == "" {
		dsn = filepath.Join(home, "locktone.db")
	}
	s, err := store.Open(t.Context(), dsn, store.Options{})
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	site := config.Default("node1")
	site.MusicOnHold = append(site.MusicOnHold, config.MusicOnHold{Name: "here", File: "music/hold.wav"}, config.MusicOnHold{Name: "there", File: "/srv/away.wav"})
	_, err = s.Apply(t.Context(), store.ChangeSet{Author: "test", Changes: config.Diff(nil, site.Canonical())})
	ok(t, err)
	for i := range 200 {
		ok(t, s.AppendCalls(t.Context(), store.CallRecord{Call: fmt.Sprint("c", i)}))
	}
	n, err := config.LoadNode(filepath.Join(home, "node.yaml"))
	ok(t, err)
	return Source{Home: home, Node: *n, Program: "test", Skip: []string{"copy.db"}, Dump: s.Dump}, s
}

// plain is the content of a backup.
func plain(t *testing.T, s Source) func() (io.Reader, error) {
	t.Helper()
	var out bytes.Buffer
	_, err := s.Write(t.Context(), &out)
	ok(t, err)
	return func() (io.Reader, error) { return bytes.NewReader(out.Bytes()), nil }
}

// tree is every file below a folder, with its content; other modes than ours are errors.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	ok(t, filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		st, err := e.Info()
		ok(t, err)
		if want := map[bool]os.FileMode{true: 0o700, false: 0o600}[e.IsDir()]; st.Mode().Perm() != want {
			t.Errorf("%s has mode %v", p, st.Mode())
		}
		if rel, _ := filepath.Rel(dir, p); !e.IsDir() && !strings.HasPrefix(rel, "record.db") && !strings.HasPrefix(rel, "locktone.db") {
			b, err := os.ReadFile(p)
			ok(t, err)
			out[rel] = string(b)
		}
		return nil
	}))
	return out
}

func records(t *testing.T, dsn string) (calls int, site *config.Site, audit []store.AuditEntry) {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, store.Options{})
	ok(t, err)
	defer s.Close()
	list, err := s.Calls(t.Context(), store.CallQuery{Limit: 1000})
	ok(t, err)
	audit, err = s.Audit(t.Context(), store.AuditQuery{})
	ok(t, err)
	if _, err := s.State(t.Context(), "", "restore"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the mark of the restore is still there: %v", err)
	}
	return len(list), s.Known().Site, audit
}

// TestRestore carries a node from each engine to each.
func TestRestore(t *testing.T) {
	pg := postgres.Need(t)
	for _, x := range []struct{ from, to string }{{"", ""}, {"", "pg"}, {"pg", "record.db"}, {"pg", "pg"}} {
		t.Run(x.from+" to "+x.to, func(t *testing.T) {
			dsn := ""
			if x.from == "pg" {
				dsn = pg.Database(t)
			}
			source, s := node(t, dsn)
			open := plain(t, source)
			target := Target{Home: filepath.Join(t.TempDir(), "a", "home"), DSN: x.to, Name: "b.backup", Actor: "tester"}
			if x.to == "pg" {
				target.DSN = pg.Database(t)
			}
			out, err := Restore(t.Context(), open, target)
			ok(t, err)
			want := maps.Clone(homeFiles)
			switch x.to {
			case "pg":
				want["record.dsn"], want["node.yaml.before"] = target.DSN+"\n", want["node.yaml"]
				want["node.yaml"] = "node: node1\nstore:\n  dsnFile: record.dsn\ntrace:\n  folder: traces\n"
			case "record.db":
				want["node.yaml.before"] = want["node.yaml"]
				want["node.yaml"] = "node: node1\nstore:\n  dsn: record.db\ntrace:\n  folder: traces\n"
			}
			if got := tree(t, target.Home); !maps.Equal(got, want) {
				t.Errorf("files %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
				for name := range want {
					if len(want[name]) < 200 && got[name] != want[name] {
						t.Errorf("%s: %q, want %q", name, got[name], want[name])
					}
				}
			}
			if !slices.ContainsFunc(out.Notes, func(n string) bool { return strings.HasPrefix(n, "/srv/away.wav is named") }) {
				t.Errorf("notes %q", out.Notes)
			}
			n, err := config.LoadNode(filepath.Join(target.Home, "node.yaml"))
			ok(t, err)
			at, err := n.DSN(target.Home)
			ok(t, err)
			calls, site, audit := records(t, at)
			if calls != 200 || len(config.Diff(s.Known().Site, site)) != 0 || audit[0].Action != "restore" || audit[0].Actor != "tester" || audit[0].Object != "b.backup" {
				t.Errorf("%d calls, %v, %+v", calls, config.Diff(s.Known().Site, site), audit)
			}
			if strings.Contains(fmt.Sprint(out), "password") && strings.Contains(fmt.Sprint(out), "secret@") {
				t.Error("the result shows a password")
			}
			if _, err := Restore(t.Context(), open, target); !errors.Is(err, ErrHomeNotEmpty) {
				t.Errorf("a second restore over the first: %v", err)
			}
			if x.to == "pg" {
				elsewhere := Target{Home: filepath.Join(t.TempDir(), "other"), DSN: target.DSN}
				if _, err := Restore(t.Context(), open, elsewhere); !errors.Is(err, store.ErrNotEmpty) {
					t.Errorf("a restore into a record in use: %v", err)
				}
				if left, _ := os.ReadDir(elsewhere.Home); len(left) != 0 {
					t.Errorf("it left %v", left)
				}
			}
		})
	}
}

// TestRestoreCrash ends a restore at each of its steps as a crash does, without any clearing up; the next one succeeds.
func TestRestoreCrash(t *testing.T) {
	pg := postgres.Need(t)
	source, _ := node(t, "")
	open := plain(t, source)
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			for step, last := 1, false; !last; step++ {
				if (step > 5 && step < 11 || step%2 == 0 == (engine == "SQLite")) && os.Getenv("LOCKTONE_ALL") == "" {
					continue // one table is like another, and each step is tried with one of the two
				}
				target := Target{Home: filepath.Join(t.TempDir(), "home")}
				at := filepath.Join(target.Home, "locktone.db")
				if engine == "PostgreSQL" {
					target.DSN = pg.Database(t)
					at = target.DSN
				}
				text, crashed := crashAt(t, step, open, target)
				if last = !crashed; last {
					if step < 10 {
						t.Errorf("only %d steps", step)
					}
					return
				}
				if text != "reading the backup" && text != "finishing the record" && !Unfinished(target.Home) {
					t.Errorf("%s: the folder is not marked", text)
				}
				if text == "finishing the record" && !Unfinished(target.Home) { // the very last one: all is there, only the record's mark is left
					s, err := store.Open(t.Context(), at, store.Options{})
					ok(t, err)
					ok(t, errors.Join(s.Restored(t.Context()), s.Close()))
				} else if _, err := Restore(t.Context(), open, target); err != nil {
					t.Fatalf("again after a crash at %q: %v", text, err)
				}
				if calls, _, _ := records(t, at); calls != 200 {
					t.Errorf("after a crash at %q: %d calls", text, calls)
				}
				if Unfinished(target.Home) || len(tree(t, target.Home)) < len(homeFiles) {
					t.Errorf("after a crash at %q: %v", text, tree(t, target.Home))
				}
			}
		})
	}
}

// crashAt lets a restore end at its nth step.
func crashAt(t *testing.T, n int, open func() (io.Reader, error), target Target) (step string, crashed bool) {
	t.Helper()
	type crash struct{ at string }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel() // the connection of a process that died is gone too
	defer func() {
		if v := recover(); v != nil {
			c, ours := v.(crash)
			if !ours {
				panic(v)
			}
			step, crashed = c.at, true
		}
	}()
	target.Progress = func(text string) {
		if n--; n == 0 {
			panic(crash{text})
		}
	}
	_, err := Restore(ctx, open, target)
	ok(t, err)
	return "", false
}

// TestRestoreRefuses: a folder with anything in it, a backup that is damaged anywhere, one that was exchanged between its two
// readings; nothing is left behind.
func TestRestoreRefuses(t *testing.T) {
	source, _ := node(t, "")
	open := plain(t, source)
	home := filepath.Join(t.TempDir(), "home")
	ok(t, os.MkdirAll(home, 0o700))
	ok(t, os.WriteFile(filepath.Join(home, "node.yaml"), nil, 0o600))
	if _, err := Restore(t.Context(), open, Target{Home: home}); !errors.Is(err, ErrHomeNotEmpty) || !strings.Contains(err.Error(), "node.yaml") {
		t.Errorf("got %v", err)
	}
	ok(t, os.Remove(filepath.Join(home, "node.yaml")))
	whole, _ := open()
	b, _ := io.ReadAll(whole)
	empty := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
		if left, _ := os.ReadDir(home); len(left) != 0 {
			t.Errorf("%s: it left %v", what, left)
		}
	}
	short := func() (io.Reader, error) { return bytes.NewReader(b[:len(b)-1]), nil }
	_, err := Restore(t.Context(), short, Target{Home: home})
	empty("damaged", err, ErrDamaged)
	first := true
	exchanged := func() (io.Reader, error) {
		if first {
			first = false
			return open()
		}
		return short()
	}
	_, err = Restore(t.Context(), exchanged, Target{Home: home})
	empty("exchanged", err, ErrDamaged)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Restore(ctx, open, Target{Home: home, Progress: func(text string) {
		if text == "writing the record: audit" {
			cancel()
		}
	}})
	empty("interrupted", err, context.Canceled)
	// A link that was put into the folder meanwhile is not followed out of it.
	outside := t.TempDir()
	_, err = Restore(t.Context(), open, Target{Home: home, Progress: func(text string) {
		if text == "writing the files" {
			ok(t, os.Symlink(outside, filepath.Join(home, "pki")))
		}
	}})
	if left, _ := os.ReadDir(outside); err == nil || len(left) != 0 {
		t.Errorf("a link was followed: %v, %v", err, left)
	}
}

// TestRestoreFull restores onto a disk that is too small; with space, the same again succeeds.
func TestRestoreFull(t *testing.T) {
	source, _ := node(t, "")
	open := plain(t, source)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1600k"); err != nil {
		t.Skipf("a full disk is not tested: mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	home := filepath.Join(dir, "home")
	_, err := Restore(t.Context(), open, Target{Home: home})
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(home); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
	ok(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"))
	_, err = Restore(t.Context(), open, Target{Home: home})
	ok(t, err)
}

// TestKeysOfTheMoment: keys that change while the dump begins are read again, until they and the dump belong together.
func TestKeysOfTheMoment(t *testing.T) {
	source, s := node(t, "")
	key := filepath.Join(source.Home, "pki", "ca.pem")
	changes := 0
	source.Dump = func(ctx context.Context) (*store.Dump, error) {
		d, err := s.Dump(ctx)
		if changes++; changes <= 3 {
			ok(t, os.WriteFile(key, fmt.Appendf(nil, "key %d", changes), 0o600))
			ok(t, s.PutState(ctx, "node1", "key", fmt.Appendf(nil, "key %d", changes)))
		}
		return d, err
	}
	out := Target{Home: filepath.Join(t.TempDir(), "home")}
	_, err := Restore(t.Context(), plain(t, source), out)
	ok(t, err)
	b, err := os.ReadFile(filepath.Join(out.Home, "pki", "ca.pem"))
	ok(t, err)
	r, err := store.Open(t.Context(), filepath.Join(out.Home, "locktone.db"), store.Options{})
	ok(t, err)
	defer r.Close()
	if state, err := r.State(t.Context(), "node1", "key"); string(state) != "key 3" || string(b) != "key 3" || changes != 4 {
		t.Errorf("the record says %q, the file %q after %d dumps, %v", state, b, changes, err)
	}
	source.Dump = func(ctx context.Context) (*store.Dump, error) {
		changes++
		ok(t, os.WriteFile(key, fmt.Append(nil, changes), 0o600))
		return s.Dump(ctx)
	}
	if _, err := source.Write(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "try again when the rotation is done") {
		t.Errorf("got %v", err)
	}
}
