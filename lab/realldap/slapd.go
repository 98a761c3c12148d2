package realldap

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

//go:embed ad.schema
var schema []byte

//go:embed corp.ldif
var corp string

// Suffix is the top of the directories of this package, and Admin who may do everything there.
const (
	Suffix        = "dc=corp,dc=test"
	Admin         = "cn=admin,dc=corp,dc=test"
	AdminPassword = "the admin's password"
	// Service is an account that may read, ServicePassword its password.
	Service         = "cn=svc,ou=services,dc=corp,dc=test"
	ServicePassword = "the service's password"
)

// SlapdConfig says what a slapd is to be like. The zero value has the users of corp.ldif, a certificate of a new authority, and reads for
// everybody who binds.
type SlapdConfig struct {
	Authority *Authority // nil: a new one
	// Hosts are the names of its certificate; nil: localhost and 127.0.0.1. From and To are when it is good, from now; zero: a day each way.
	Hosts    []string
	From, To time.Duration
	NoTLS    bool   // it has no certificate, and refuses StartTLS
	LDIF     string // further entries
	Empty    bool   // without the users of corp.ldif
	Global   string // further lines of slapd.conf before the database
	Database string // and in it
	Policy   bool   // the overlay ppolicy
}

// A Server is a running slapd.
type Server struct {
	Host      string
	Port      int // of clear LDAP and StartTLS
	TLSPort   int // of LDAPS
	Authority *Authority
	dir       string
	path      string
	cmd       *exec.Cmd
	log       *bytes.Buffer
	ended     chan error // how it ended
}

// Slapd starts one for a test.
func Slapd(t testing.TB, c SlapdConfig) *Server {
	t.Helper()
	s := &Server{Host: "127.0.0.1", Authority: c.Authority, dir: t.TempDir(), path: Need(t, "slapd", "slapd")}
	if s.Authority == nil {
		s.Authority = NewAuthority(t, "Directory Authority")
	}
	s.configure(t, c)
	s.load(t, c)
	t.Cleanup(func() { s.Kill() })
	for range 5 { // a port that was free a moment ago may be taken
		s.Port, s.TLSPort = freePort(t), freePort(t)
		if err := s.start(t); err == nil {
			return s
		}
	}
	t.Fatalf("slapd does not start:\n%s", s.log)
	return nil
}

func (s *Server) configure(t testing.TB, c SlapdConfig) {
	t.Helper()
	var b strings.Builder
	write(t, filepath.Join(s.dir, "ad.schema"), schema, 0o644)
	for _, f := range []string{"core", "cosine", "inetorgperson"} {
		fmt.Fprintf(&b, "include /etc/ldap/schema/%s.schema\n", f)
	}
	fmt.Fprintf(&b, "include %s/ad.schema\npidfile %s/pid\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n", s.dir, s.dir)
	if c.Policy {
		b.WriteString("moduleload ppolicy\n")
	}
	if !c.NoTLS {
		if c.Hosts == nil {
			c.Hosts = []string{"localhost", "127.0.0.1"}
		}
		if c.From == 0 && c.To == 0 {
			c.From, c.To = -24*time.Hour, 90*24*time.Hour
		}
		f := s.Authority.Issue(t, s.dir, c.From, c.To, c.Hosts...)
		fmt.Fprintf(&b, "TLSCACertificateFile %s\nTLSCertificateFile %s\nTLSCertificateKeyFile %s\n", f.Authority, f.Certificate, f.Key)
	}
	b.WriteString(c.Global + "\n")
	if err := os.Mkdir(filepath.Join(s.dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "database mdb\nsuffix %q\nrootdn %q\nrootpw %q\ndirectory %s/db\nmaxsize 104857600\nindex objectClass,uid,sAMAccountName eq\n", Suffix, Admin, AdminPassword, s.dir)
	b.WriteString(or(c.Database, "access to attrs=userPassword by anonymous auth by * none\naccess to * by users read by * none") + "\n")
	if c.Policy {
		fmt.Fprintf(&b, "overlay ppolicy\nppolicy_default \"cn=default,ou=policies,%s\"\nppolicy_use_lockout\n", Suffix)
	}
	write(t, filepath.Join(s.dir, "slapd.conf"), []byte(b.String()), 0o600)
}

// load puts the entries in.
func (s *Server) load(t testing.TB, c SlapdConfig) {
	t.Helper()
	ldif := c.LDIF
	if !c.Empty {
		ldif = corp + "\n" + ldif
	}
	if strings.TrimSpace(ldif) == "" {
		return
	}
	s.Add(t, ldif)
}

// Start starts it again after Kill, at the same ports, and returns when it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(t); err != nil {
		t.Fatalf("slapd: %v\n%s", err, s.log)
	}
}

func (s *Server) start(t testing.TB) error {
	t.Helper()
	s.log = &bytes.Buffer{}
	cmd := exec.Command(s.path, "-d", "0", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", fmt.Sprintf("ldap://127.0.0.1:%d ldaps://127.0.0.1:%d", s.Port, s.TLSPort))
	cmd.Stderr = s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.ended = cmd, make(chan error, 1)
	go func(ended chan error) { ended <- cmd.Wait() }(s.ended)
	for _, port := range []int{s.Port, s.TLSPort} {
		if err := await(fmt.Sprintf("127.0.0.1:%d", port), s.ended); err != nil {
			s.Kill()
			return err
		}
	}
	return nil
}

// Kill ends it at once, as a crash would.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill() // it may be over already
		<-s.ended
		s.ended <- nil
		s.cmd = nil
	}
}

// Hang stops it from answering, and Resume lets it go on: the kernel goes on accepting connections.
func (s *Server) Hang() { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume ends Hang.
func (s *Server) Resume() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

// await returns when a port answers, or the program behind it is over.
func await(address string, ended chan error) error {
	for deadline := time.Now().Add(60 * time.Second); ; {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return c.Close()
		}
		select {
		case how := <-ended:
			ended <- how
			return fmt.Errorf("it ended: %w", errors.Join(how, err))
		case <-time.After(20 * time.Millisecond): // there is no event for a program of others
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Need is the path of a program, or skips the test.
func Need(t testing.TB, name, pkg string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/usr/bin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	Unable(t, fmt.Sprintf("%s is not installed; on Debian: apt install %s", name, pkg))
	return ""
}

// Unable skips a test with its reason; LOCKTONE_REQUIRE_PEERS=1 makes it a failure.
func Unable(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("LOCKTONE_REQUIRE_PEERS") == "1" {
		t.Fatal(why)
	}
	fmt.Fprintf(os.Stderr, "%s is skipped: %s\n", t.Name(), why)
	t.Skip(why)
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Add puts further entries into a server that does not run.
func (s *Server) Add(t testing.TB, ldif string) {
	t.Helper()
	add := exec.Command(s.path, "-T", "add", "-f", filepath.Join(s.dir, "slapd.conf"))
	add.Stdin = strings.NewReader(ldif)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
}
