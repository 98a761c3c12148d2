package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/locktone/locktone/backup"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/store"
)

// stoppedHome is the home folder of a node that does not run.
func stoppedHome(t *testing.T) (home, passphrase string) {
	t.Helper()
	home = filepath.Join(t.TempDir(), "home")
	s, err := store.Open(t.Context(), filepath.Join(home, "locktone.db"), store.Options{})
	if err == nil {
		_, err = s.Apply(t.Context(), store.ChangeSet{Changes: config.Diff(nil, config.Default("node1"))})
	}
	if err == nil {
		err = s.AppendCalls(t.Context(), store.CallRecord{Call: "c1"})
	}
	if err == nil {
		err = s.Close()
	}
	passphrase = filepath.Join(t.TempDir(), "passphrase")
	if err == nil {
		err = os.WriteFile(passphrase, []byte("a passphrase for tests\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return home, passphrase
}

func TestBackupOfAStoppedNode(t *testing.T) {
	home, passphrase := stoppedHome(t)
	file := filepath.Join(t.TempDir(), "b")
	text, code := command(t, "backup", file, "--home", home, "--passphrase-file", passphrase, "--json")
	var made backupResult
	if err := json.Unmarshal([]byte(text), &made); code != 0 || err != nil || made.Schema != store.NewestSchema() || made.Node != "node1" || made.Bytes < 1000 {
		t.Fatalf("%d %s", code, text)
	}
	if text, code = command(t, "backup", file, "--home", home, "--passphrase-file", passphrase); code != exitFailed || !strings.Contains(text, "exists") {
		t.Errorf("over another file: %d %s", code, text)
	}
	if text, code = command(t, "restore", file, "--check", "--passphrase-file", passphrase); code != 0 || !strings.Contains(text, "is whole") {
		t.Errorf("check: %d %s", code, text)
	}
	for what, in := range map[string]string{"wrong": "another passphrase\n", "empty": "\n"} {
		if err := os.WriteFile(passphrase, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		second := filepath.Join(t.TempDir(), "second")
		text, code = command(t, "restore", file, "--home", second, "--passphrase-file", passphrase)
		want := map[string]string{"wrong": backup.ErrKey.Error(), "empty": "its first line is no passphrase"}[what]
		if code != exitFailed || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", what, code, text)
		}
	}
	s, err := store.Open(t.Context(), filepath.Join(home, "locktone.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if log, err := s.Audit(t.Context(), store.AuditQuery{Action: "backup"}); err != nil || len(log) != 2 || log[0].Result != "ok" || log[0].Object != "b" || log[1].Result != "begun" {
		t.Errorf("%+v, %v", log, err)
	}
	if text, code = command(t, "backup", file+"2", "--home", filepath.Join(t.TempDir(), "none"), "--passphrase-file", passphrase); code != exitFailed {
		t.Errorf("no home: %d %s", code, text)
	}
}

// TestBackupKey: with a key pair nothing secret is on the machine that writes backups.
func TestBackupKey(t *testing.T) {
	home, _ := stoppedHome(t)
	key, file := filepath.Join(t.TempDir(), "key"), filepath.Join(t.TempDir(), "b")
	second := filepath.Join(t.TempDir(), "second")
	for _, args := range [][]string{{"backup", "key", key}, {"backup", file, "--home", home, "--recipient", key + ".pub"}, {"restore", file, "--home", second, "--key", key},
		{"store", "schema", "--home", second}} {
		if text, code := command(t, args...); code != 0 {
			t.Fatalf("%v: %d %s", args, code, text)
		}
	}
	if st, err := os.Stat(key); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	if text, code := command(t, "backup", "key", key); code != exitFailed {
		t.Errorf("a key was written over: %s", text)
	}
	s, err := store.Open(t.Context(), filepath.Join(second, "locktone.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if calls, err := s.Calls(context.Background(), store.CallQuery{}); err != nil || len(calls) != 1 {
		t.Errorf("%+v, %v", calls, err)
	}
}

// TestBackupFullDisk: no half file is left under any name.
func TestBackupFullDisk(t *testing.T) {
	home, passphrase := stoppedHome(t)
	if err := os.WriteFile(filepath.Join(home, "large"), make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a full disk is not tested: mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	text, code := command(t, "backup", filepath.Join(dir, "b"), "--home", home, "--passphrase-file", passphrase)
	if left, _ := os.ReadDir(dir); code != exitFailed || !strings.Contains(text, "no backup was written") || !strings.Contains(text, "no space left") || len(left) != 0 {
		t.Errorf("%d %s, left %v", code, text, left)
	}
}
