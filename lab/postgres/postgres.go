// Package postgres runs a PostgreSQL server for tests: a real one, in a temporary folder, on a unix socket only, so that nothing
// of the machine is touched and no port is taken. One server serves every test of a process that needs one at the same time, each
// with a database of its own; it ends with the last of them.
//
//	dsn := postgres.Need(t).Database(t)
//
// Stop is a crash (SIGQUIT: immediate shutdown), Start brings the same data back. Hang and Resume stop and continue the server's processes.
// Standby makes a second server that follows the first by streaming replication; Promote makes it the primary.
package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a running, or stopped, PostgreSQL. Its methods may be called from any goroutine.
type Server struct {
	bin, dir string
	as       *syscall.SysProcAttr
	mu       sync.Mutex
	cmd      *exec.Cmd
	count    int // of databases made
}

// ErrNotInstalled is what New returns on a machine without the server's programs.
var ErrNotInstalled = errors.New("no /usr/lib/postgresql/*/bin/initdb; on Debian: apt install postgresql")

// shared is the server of this process and how many tests use it.
var shared struct {
	mu     sync.Mutex
	users  int
	server *Server
}

// Need is the server of this process, started when the first test asks and removed when the last one that asked is over. Where
// PostgreSQL is not installed the test is skipped, and the reason printed; LOCKTONE_REQUIRE_PEERS=1 makes that a failure.
func Need(t testing.TB) *Server {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		s, err := New()
		if err != nil {
			why := "PostgreSQL is not tested: " + err.Error()
			if !errors.Is(err, ErrNotInstalled) || os.Getenv("LOCKTONE_REQUIRE_PEERS") == "1" {
				t.Fatal(why)
			}
			fmt.Println(why)
			t.Skip(why)
		}
		shared.server = s
	}
	shared.users++
	t.Cleanup(func() {
		if err := leave(); err != nil {
			t.Error(err)
		}
	})
	return shared.server
}

// Keep lets a server that is started live until release is called, whoever needs it between: for TestMain of a package with many
// tests that need one after the other.
func Keep() (release func() error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.users++
	return leave
}

func leave() (err error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.users--; shared.users == 0 && shared.server != nil {
		err = shared.server.Close()
		shared.server = nil
	}
	return err
}

// New makes and starts a server. Close removes it.
func New() (*Server, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return nil, ErrNotInstalled
	}
	dir, err := os.MkdirTemp("", "locktone-pg")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: filepath.Dir(slices.Max(found)), dir: dir, as: &syscall.SysProcAttr{}}
	if err = s.initialise(); err == nil {
		err = s.Start()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) initialise() (err error) {
	if os.Geteuid() == 0 { // the server refuses to run as root
		if s.as.Credential, err = unprivileged(); err == nil {
			err = os.Chown(s.dir, int(s.as.Credential.Uid), int(s.as.Credential.Gid))
		}
		if err != nil {
			return err
		}
	}
	init := exec.Command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-A", "trust", "-U", "locktone", "-E", "UTF8", "--locale=C", "--no-sync")
	init.SysProcAttr, init.Dir = s.as, s.dir
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.Atoi(u.Uid)
			gid, _ := strconv.Atoi(u.Gid)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("no user postgres or nobody to run the server as")
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Socket is the unix socket of the server.
func (s *Server) Socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// Start runs the server after Stop, and waits until it says that it is ready.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=120")
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
	go readyOrEnded(bufio.NewScanner(log), ready)
	select {
	case err := <-ready:
		return err
	case <-time.After(30 * time.Second):
		return errors.New("postgres not ready after 30 s")
	}
}

// readyOrEnded reads the server's log until it ends, and tells once that the server is ready, or what it said instead.
func readyOrEnded(log *bufio.Scanner, ready chan<- error) {
	var lines []string
	told := false
	for log.Scan() {
		switch {
		case told:
		case strings.Contains(log.Text(), "ready to accept connections"), strings.Contains(log.Text(), "ready to accept read-only connections"):
			told = true
			ready <- nil
		default:
			lines = append(lines, log.Text())
		}
	}
	if !told {
		ready <- fmt.Errorf("postgres ended: %s", strings.Join(lines, "\n"))
	}
}

// Stop ends the server at once, as a crash would (SIGQUIT: immediate shutdown). A server that is stopped stays so.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		_ = s.signal(syscall.SIGCONT) // where it hangs
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// Kill ends the server and everything it runs with SIGKILL, as the loss of its machine would.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	err := s.signal(syscall.SIGKILL)
	_ = s.cmd.Wait()
	s.cmd = nil
	return err
}

// Hang stops all processes of the server: connections stay open, and nothing answers, until Resume.
func (s *Server) Hang() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signal(syscall.SIGSTOP)
}

// Resume lets a server go on that hangs.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signal(syscall.SIGCONT)
}

// signal goes to the server and the processes it has started, the server first, so that it starts no more.
func (s *Server) signal(sig syscall.Signal) error {
	if s.cmd == nil {
		return errors.New("postgres is not running")
	}
	parent := s.cmd.Process.Pid
	children, err := childrenOf(parent)
	if err != nil {
		return err
	}
	if err := syscall.Kill(parent, sig); err != nil {
		return err
	}
	for _, pid := range children {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

func childrenOf(parent int) (pids []int, err error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, ok := strings.Cut(string(text), ") ") // the name may hold anything
		fields := strings.Fields(rest)
		if !ok || len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, err
}

// Standby makes and starts a server that follows this one. A commit on this one waits for the standby from now on
// (synchronous_commit=on with the standby in synchronous_standby_names).
func (s *Server) Standby() (*Server, error) {
	dir, err := os.MkdirTemp("", "locktone-pg")
	if err != nil {
		return nil, err
	}
	b := &Server{bin: s.bin, dir: dir, as: s.as}
	if c := s.as.Credential; c != nil {
		err = os.Chown(dir, int(c.Uid), int(c.Gid))
	}
	if err == nil {
		err = b.run("pg_basebackup", "-h", s.dir, "-U", "locktone", "-D", b.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync")
	}
	if err == nil {
		err = b.Start()
	}
	if err == nil {
		err = s.exec("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Promote makes a standby the primary; it waits for nobody's standby.
func (s *Server) Promote() error {
	if err := s.run("pg_ctl", "promote", "-w", "-D", s.data()); err != nil {
		return err
	}
	return s.exec("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
}

// run runs one of the server's programs.
func (s *Server) run(name string, args ...string) error {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.SysProcAttr, cmd.Dir = s.as, s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

func (s *Server) exec(statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// Close ends the server and removes its data.
func (s *Server) Close() error {
	s.Stop()
	return os.RemoveAll(s.dir)
}

// URLs is the DSN of a database that is on this server or, after a fail-over, on another.
func (s *Server) URLs(database string, others ...*Server) string {
	hosts := s.dir
	for _, o := range others {
		hosts += "," + o.dir
	}
	return fmt.Sprintf("postgres:///%s?host=%s&user=locktone&password=secret&target_session_attrs=read-write", database, hosts)
}

// URL is the DSN of a database.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&user=locktone&password=secret", database, s.dir)
}

// Database makes an empty one and returns its DSN.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	name, err := s.Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

// CreateOn makes an empty database whose tables are in a folder, which the server's user is given, and returns its name: for a disk of
// its own, which can be full. Close the server before the folder is removed.
func (s *Server) CreateOn(ctx context.Context, dir string) (string, error) {
	if c := s.as.Credential; c != nil {
		if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
			return "", err
		}
	}
	name := "disk" + filepath.Base(dir)
	if err := s.exec("CREATE TABLESPACE "+name+" LOCATION '"+dir+"'", "CREATE DATABASE "+name+" TABLESPACE "+name); err != nil {
		return "", err
	}
	return name, nil
}

// Create makes an empty database and returns its name.
func (s *Server) Create(ctx context.Context) (string, error) {
	s.mu.Lock()
	s.count++
	name := fmt.Sprintf("test%d", s.count)
	s.mu.Unlock()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CREATE DATABASE "+name)
	return name, err
}
