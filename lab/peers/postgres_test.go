package peers

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/store"
)

func exceptions(t *testing.T, s *testSite) []bus.Exception {
	t.Helper()
	return show[bus.Exception](t, s, bus.VerbExceptions, "")
}

// TestPostgresSite runs a site whose system of record is a PostgreSQL, places a call and finds its record there.
func TestPostgresSite(t *testing.T) {
	t.Parallel()
	dsn := throwAwayPostgres(t)
	s := startSite(t, nil, lab.Options{Node: config.NodeConfig{Store: config.StoreConfig{DSN: dsn}}})
	ctx := within(t, 30*time.Second)
	alice, err := s.Registered(ctx, "alice", "1001")
	must(t, err)
	bob, err := s.Registered(ctx, "bob", "1002")
	must(t, err)
	defer func() { _, _ = alice.Close(ctx), bob.Close(ctx) }()
	c, err := alice.Dial(ctx, "1002")
	must(t, err)
	select {
	case called := <-bob.Incoming():
		must(t, called.Answer(ctx))
	case <-ctx.Done():
		t.Fatal("bob did not ring")
	}
	must(t, c.WaitAnswered(ctx))
	must(t, c.Hangup(ctx))
	var calls []store.CallRecord
	eventually(t, ctx, "the call's record in PostgreSQL", func() bool {
		calls, err = s.Store.Calls(ctx, store.CallQuery{})
		must(t, err)
		return len(calls) > 0
	})
	if r := calls[0]; len(calls) != 1 || r.Calling != "1001" || r.Called != "1002" || r.FromDevice != "alice" || r.ToDevice != "bob" || r.Security != "encrypted" || r.Answer.IsZero() {
		t.Errorf("the record: %+v", calls)
	}
	if _, err := os.Stat(filepath.Join(s.Home(), "locktone.db")); err == nil {
		t.Error("an SQLite file was made besides")
	}
}

// throwAwayPostgres starts a server on a unix socket in a folder of its own.
func throwAwayPostgres(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		if os.Getenv("LOCKTONE_REQUIRE_PEERS") == "1" {
			t.Fatal("PostgreSQL is not installed and LOCKTONE_REQUIRE_PEERS=1: apt-get install postgresql")
		}
		t.Skip("needs PostgreSQL: apt-get install postgresql")
	}
	bin, dir := filepath.Dir(found[len(found)-1]), folder(t, "pg")
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 { // the server refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			u, err = user.Lookup("nobody")
		}
		must(t, err)
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		must(t, os.Chown(dir, uid, gid))
	}
	data := filepath.Join(dir, "data")
	init := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-A", "trust", "-U", "locktone", "-E", "UTF8", "--locale=C", "--no-sync")
	init.SysProcAttr, init.Dir = attr, dir
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	cmd.SysProcAttr, cmd.Dir = attr, dir
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		_ = cmd.Wait()
	})
	ctx := within(t, 20*time.Second)
	eventually(t, ctx, "PostgreSQL accepts connections", func() bool {
		ready := exec.CommandContext(ctx, filepath.Join(bin, "pg_isready"), "-h", dir, "-U", "locktone", "-d", "postgres")
		return ready.Run() == nil
	})
	return fmt.Sprintf("postgres:///postgres?host=%s&user=locktone", dir)
}
