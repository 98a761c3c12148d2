package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is a PostgreSQL started for this test run, on a unix socket only.
type server struct {
	bin, dir string
	as       *syscall.SysProcAttr
	mu       sync.Mutex
	cmd      *exec.Cmd
	count    int
}

var shared struct {
	once   sync.Once
	server *server
	why    string
}

// postgres returns the server of this run, and skips the test where
// PostgreSQL is not installed (LOCKTONE_REQUIRE_PEERS=1 makes that a failure).
func postgres(t *testing.T) *server {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.why = startServer() })
	if shared.server != nil {
		return shared.server
	}
	why := "PostgreSQL is not tested: " + shared.why
	if os.Getenv("LOCKTONE_REQUIRE_PEERS") == "1" {
		t.Fatal(why)
	}
	fmt.Println(why)
	t.Skip(why)
	return nil
}

func TestMain(m *testing.M) {
	if dsn := os.Getenv("LOCKTONE_STORE_CHILD"); dsn != "" {
		applyForEver(dsn)
		return
	}
	code := m.Run()
	if s := shared.server; s != nil {
		s.stop()
		os.RemoveAll(s.dir)
	}
	os.Exit(code)
}

func startServer() (*server, string) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return nil, "no /usr/lib/postgresql/*/bin/initdb; on Debian: apt install postgresql"
	}
	s := &server{bin: filepath.Dir(found[len(found)-1])}
	var err error
	if s.dir, err = os.MkdirTemp("", "locktone-pg"); err != nil {
		return nil, err.Error()
	}
	s.as = &syscall.SysProcAttr{}
	if os.Geteuid() == 0 { // the server refuses to run as root
		if s.as.Credential, err = unprivileged(); err == nil {
			err = os.Chown(s.dir, int(s.as.Credential.Uid), int(s.as.Credential.Gid))
		}
		if err != nil {
			return nil, err.Error()
		}
	}
	init := exec.Command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-A", "trust", "-U", "locktone", "-E", "UTF8", "--locale=C", "--no-sync")
	init.SysProcAttr, init.Dir = s.as, s.dir
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Sprintf("initdb: %v: %s", err, out)
	}
	if err := s.start(); err != nil {
		return nil, err.Error()
	}
	return s, ""
}

func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.Atoi(u.Uid)
			gid, _ := strconv.Atoi(u.Gid)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("no user postgres or nobody to run the server as")
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

// start runs the server and waits until it says that it is ready.
func (s *server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60")
	cmd.SysProcAttr, cmd.Dir = s.as, s.dir
	log, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	ready := make(chan error, 1)
	go func() {
		var lines []string
		told := false
		for sc := bufio.NewScanner(log); sc.Scan(); {
			if lines = append(lines, sc.Text()); !told && strings.Contains(sc.Text(), "ready to accept connections") {
				told = true
				ready <- nil
			}
		}
		if !told {
			ready <- fmt.Errorf("postgres ended: %s", strings.Join(lines, "\n"))
		}
	}()
	select {
	case err := <-ready:
		return err
	case <-time.After(30 * time.Second):
		return fmt.Errorf("postgres not ready after 30 s")
	}
}

// stop ends the server at once, as a crash would (SIGQUIT: immediate shutdown).
func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) url(db string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&user=locktone&password=secret", db, s.dir)
}

// database makes an empty one.
func (s *server) database(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	s.count++
	name := fmt.Sprintf("test%d", s.count)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.url(name)
}
