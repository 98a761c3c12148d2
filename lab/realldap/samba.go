package realldap

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/go-ldap/ldap/v3"
)

// Of the domain that Samba makes.
const (
	Realm               = "CORP.TEST"
	DomainDN            = "DC=corp,DC=test"
	DomainAdmin         = "administrator@corp.test"
	DomainAdminPassword = "Passw0rd!admin"
	UsersDN             = "OU=Breaking Bad,DC=corp,DC=test"
)

// A Controller is a running Samba domain controller. Its ports are those of Active Directory: 389, 636, 3268 and 3269.
type Controller struct {
	Address   string // a loopback address of its own
	Authority *Authority
	dir       string
	samba     string
	cmd       *exec.Cmd
	ended     chan error
	log       *bytes.Buffer
}

// Samba makes a domain and starts its controller. It needs root, for the ports.
func Samba(t testing.TB) *Controller {
	t.Helper()
	c := &Controller{samba: Need(t, "samba", "samba-ad-dc"), dir: t.TempDir(), Authority: NewAuthority(t, "Directory Authority")}
	tool := Need(t, "samba-tool", "samba-common-bin samba-ad-provision samba-dsdb-modules winbind")
	if os.Getuid() != 0 {
		Unable(t, "a domain controller listens on ports that root alone may use")
	}
	pid := os.Getpid()
	c.Address = fmt.Sprintf("127.88.%d.%d", pid>>8&255, max(pid&255, 1))
	domain := filepath.Join(c.dir, "domain")
	provision := exec.Command(tool, "domain", "provision", "--realm="+Realm, "--domain=CORP", "--server-role=dc", "--dns-backend=NONE", "--adminpass="+DomainAdminPassword,
		"--host-name=dc1", "--host-ip="+c.Address, "--targetdir="+domain, "--option=interfaces=lo", "--option=bind interfaces only=yes")
	if out, err := provision.CombinedOutput(); err != nil {
		t.Fatalf("samba-tool domain provision: %v\n%s", err, tail(out))
	}
	files := c.Authority.Issue(t, c.dir, -time.Hour, 90*24*time.Hour, "dc1.corp.test", "localhost", c.Address)
	write(t, filepath.Join(c.dir, "smb.conf"), fmt.Appendf(nil, `[global]
	netbios name = DC1
	realm = %s
	workgroup = CORP
	server role = active directory domain controller
	server services = ldap
	dcerpc endpoint servers = none
	interfaces = %s/8
	bind interfaces only = yes
	tls enabled = yes
	tls keyfile = %s
	tls certfile = %s
	tls cafile = %s
	private dir = %[6]s/private
	lock directory = %[6]s
	state directory = %[6]s/state
	cache directory = %[6]s/cache
	pid directory = %[7]s/run
	ncalrpc dir = %[7]s/run/ncalrpc
	ntp signd socket directory = %[7]s/run/ntp
	winbindd socket directory = %[7]s/run/winbind
	log file = %[7]s/log
	disable netbios = yes
`, Realm, c.Address, files.Key, files.Certificate, files.Authority, domain, c.dir), 0o600)
	if err := os.MkdirAll(filepath.Join(c.dir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	t.Cleanup(c.Kill)
	return c
}

func tail(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(len(lines)-20, 0):], "\n")
}

func (c *Controller) start(t testing.TB) {
	t.Helper()
	c.log, c.ended = &bytes.Buffer{}, make(chan error, 1)
	c.cmd = exec.Command(c.samba, "-s", filepath.Join(c.dir, "smb.conf"), "-i", "-M", "single", "--debug-stdout")
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.ended <- c.cmd.Wait() }()
	for _, port := range []int{389, 636, 3268, 3269} {
		if err := await(fmt.Sprintf("%s:%d", c.Address, port), c.ended); err != nil {
			t.Fatalf("samba: %v\n%s", err, tail(c.log.Bytes()))
		}
	}
}

// Kill ends it at once.
func (c *Controller) Kill() {
	if c.cmd != nil {
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // its group; it may be over already
		<-c.ended
		c.cmd = nil
	}
}

// Admin does something as the administrator of the domain.
func (c *Controller) Admin(t testing.TB, do func(*ldap.Conn) error) {
	t.Helper()
	conn, err := ldap.DialURL("ldaps://"+c.Address, ldap.DialWithTLSConfig(&tls.Config{InsecureSkipVerify: true})) // whom we started a moment ago
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Bind(DomainAdmin, DomainAdminPassword); err != nil {
		t.Fatal(err)
	}
	if err := do(conn); err != nil {
		t.Fatalf("as administrator: %v", err)
	}
}

// User makes a user: name is its sAMAccountName, control its userAccountControl, and further its other attributes.
func (c *Controller) User(t testing.TB, ou, cn, name, password string, control int, further map[string]string) {
	t.Helper()
	c.Admin(t, func(conn *ldap.Conn) error {
		dn := "CN=" + ldap.EscapeDN(cn) + "," + ou
		r := ldap.NewAddRequest(dn, nil)
		r.Attribute("objectClass", []string{"user"})
		r.Attribute("sAMAccountName", []string{name})
		r.Attribute("userPrincipalName", []string{strings.ToLower(name) + "@corp.test"})
		r.Attribute("displayName", []string{cn})
		r.Attribute("unicodePwd", []string{quoted(password)})
		r.Attribute("userAccountControl", []string{fmt.Sprint(control)})
		if err := conn.Add(r); err != nil {
			return fmt.Errorf("%s: %w", dn, err)
		}
		for k, v := range further {
			m := ldap.NewModifyRequest(dn, nil)
			m.Replace(k, []string{v})
			if err := conn.Modify(m); err != nil {
				return fmt.Errorf("%s: %s: %w", dn, k, err)
			}
		}
		return nil
	})
}

// Set replaces an attribute.
func (c *Controller) Set(t testing.TB, dn, attribute string, values ...string) {
	t.Helper()
	c.Admin(t, func(conn *ldap.Conn) error {
		m := ldap.NewModifyRequest(dn, nil)
		m.Replace(attribute, values)
		return conn.Modify(m)
	})
}

// quoted is a password as unicodePwd takes it: in quotes, UTF-16 ([MS-ADTS] 3.1.1.3.1.5).
func quoted(password string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(`"` + password + `"`)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

// age sets when a password was set, which no client may: in the database of a controller that does not run.
const age = `
import sys, ldb
l = ldb.Ldb("tdb://" + sys.argv[1], flags=ldb.FLG_DONT_CREATE_DB)
m = ldb.Message(ldb.Dn(l, sys.argv[2]))
m["pwdLastSet"] = ldb.MessageElement(sys.argv[3], ldb.FLAG_MOD_REPLACE, "pwdLastSet")
l.modify(m)
`

// Age makes the password of an entry that old. The controller is started again for it.
func (c *Controller) Age(t testing.TB, dn string, by time.Duration) {
	t.Helper()
	c.Kill()
	set := (time.Now().Add(-by).UnixNano())/100 + 116444736000000000 // 100 ns since 1601
	edit := exec.Command("/usr/bin/python3", "-c", age, filepath.Join(c.dir, "domain/private/sam.ldb.d", strings.ToUpper(DomainDN)+".ldb"), dn, fmt.Sprint(set))
	if out, err := edit.CombinedOutput(); err != nil {
		t.Fatalf("the age of a password: %v\n%s", err, out)
	}
	c.start(t)
}
