package capf

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
)

// peer finds a program of somebody else's in a folder named by the environment; the test is skipped with the reason where
// it is not there. They are run, never part of this repository.
func peer(t *testing.T, env string, names ...string) string {
	t.Helper()
	dir := os.Getenv(env)
	if dir == "" {
		t.Skipf("%s names no folder with %s: that client is not tried", env, names[0])
	}
	for _, n := range names {
		if p := filepath.Join(dir, n); exists(p) {
			return p
		}
	}
	t.Skipf("%s=%s holds no %s: that client is not tried", env, dir, names[0])
	return ""
}

func exists(p string) bool { _, err := os.Stat(p); return err == nil }

const python = "/usr/bin/python3"

// run runs a program with the distribution's Python and returns what it printed.
func run(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	if !exists(python) {
		t.Skip("there is no " + python)
	}
	cmd := exec.CommandContext(t.Context(), python, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "No module named 'cryptography'") {
		t.Skip("python3-cryptography is not installed")
	}
	return string(out), err
}

// TestCapfc: the client of usecallmanager.nz as a phone: string, null string, existing certificate, RSA and EC, all
// operations, and what it is told when it may not.
func TestCapfc(t *testing.T) {
	tool := peer(t, "LOCKTONE_USECALLMANAGER", "daemons/capfc", "capfc")
	k := start(t, nil)
	dir := t.TempDir()
	write := func(name string, blocks ...*pem.Block) string {
		var b []byte
		for _, x := range blocks {
			b = append(b, pem.EncodeToMemory(x)...)
		}
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	var roots []*pem.Block
	for _, c := range k.ca.Roots() {
		roots = append(roots, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	ca := write("ca.pem", roots...)
	key := check(rsaKey(2048))(t)
	lsc := check(k.ca.Issue(t.Context(), pki.Request{Kind: pki.KindDevice, Name: phone.Device, PublicKey: key.Public()}))(t).Credential.Leaf()
	existing := write("lsc.pem", &pem.Block{Type: "CERTIFICATE", Bytes: lsc.Raw}, &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	for _, c := range []struct {
		name   string
		order  capfprofile.Order
		args   []string
		status capfprofile.Status
	}{
		{"string, RSA", capfprofile.Order{Operation: install, Order: capfprofile.RSAOnly, String: "123456"}, []string{"-p", "123456"}, "Upgrade Success"},
		{"null string, EC P-256", capfprofile.Order{Operation: install, Mode: byNull, Order: capfprofile.ECOnly}, nil, "Upgrade Success"},
		{"null string, EC P-384", capfprofile.Order{Operation: install, Mode: byNull, ECKeySize: 384}, nil, "Upgrade Success"},
		{"LSC", capfprofile.Order{Operation: install, Mode: capfprofile.ByExistingLSC, Order: capfprofile.RSAOnly}, []string{"-l", existing}, "Upgrade Success"},
		{"LSC and SUDI", capfprofile.Order{Operation: install, Mode: capfprofile.ByExistingLSC, Order: capfprofile.RSAOnly}, []string{"-l", existing, "-s", existing}, "Upgrade Success"},
		{"wrong string", capfprofile.Order{Operation: install, String: "123456"}, []string{"-p", "999999"}, "Upgrade Failed: Invalid Authentication String"},
		{"delete", capfprofile.Order{Operation: capfprofile.Delete, Mode: byNull}, nil, "Delete Success"},
	} {
		c.order.Owner, c.order.Replace = phone, true
		k.create(c.order)
		args := append([]string{tool, "-A", ca, "-h", k.addr, "-c", filepath.Join(dir, "got.pem")}, c.args...)
		out, err := run(t, dir, append(args, phone.Device)...)
		p := k.until(phone, string(c.status), func(p capfprofile.Profile) bool { return p.Status == c.status || p.Status.Failed() })
		if p.Status != c.status {
			t.Errorf("%s: %s\n%s%v", c.name, p.Status, out, err)
		}
	}
}

// asn1Module stands in for the one module of the client below that no distribution packages: it writes what it needs.
const asn1Module = `
class Numbers:
    Integer, BitString, Null, ObjectIdentifier, Sequence = 2, 3, 5, 6, 16
class Encoder:
    def start(self): self.stack = [b'']
    def enter(self, n): self.stack.append(b'')
    def leave(self):
        body = self.stack.pop()
        self.put(0x30, body)
    def put(self, tag, v):
        n = len(v)
        head = bytes([n]) if n < 128 else bytes([0x80 + (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, 'big')
        self.stack[-1] += bytes([tag]) + head + v
    def write(self, v, n):
        if n == Numbers.Integer: self.put(2, v.to_bytes(v.bit_length() // 8 + 1, 'big'))
        elif n == Numbers.Null: self.put(5, b'')
        elif n == Numbers.BitString: self.put(3, b'\x00' + v)
        else:
            arcs = [int(x) for x in v.split('.')]
            out = bytes([arcs[0] * 40 + arcs[1]])
            for a in arcs[2:]:
                part = bytes([a & 127]); a >>= 7
                while a: part = bytes([a & 127 | 128]) + part; a >>= 7
                out += part
            self.put(6, out)
    def output(self): return self.stack[0]
`

// TestJabber4Linux: a client that was made against a call manager of the field: version 2, null string, no KEY_TYPE.
func TestJabber4Linux(t *testing.T) {
	tool := peer(t, "LOCKTONE_JABBER4LINUX", "jabber4linux/CapfWrapper.py", "CapfWrapper.py")
	k := start(t, nil)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "asn1.py"), []byte(asn1Module), 0o600); err != nil {
		t.Fatal(err)
	}
	owner := capfprofile.Owner{Device: "CSFJDOE"}
	host, port, _ := net.SplitHostPort(k.addr)
	script := fmt.Sprintf("import sys; sys.path.insert(0, %q); import CapfWrapper as c; c.CapfWrapper(%q, %s).requestCertificate(%q, 'got.pem')", filepath.Dir(tool), host, port, owner.Device)
	out, err := run(t, dir, "-c", script)
	if err == nil || !strings.Contains(out, "no phone found") {
		t.Errorf("an unknown phone: %v\n%s", err, out)
	}
	k.create(capfprofile.Order{Owner: owner, Operation: install, Mode: byNull})
	if out, err = run(t, dir, "-c", script); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := k.until(owner, "enrolled", func(p capfprofile.Profile) bool { return p.Status == "Upgrade Success" })
	got := check(pki.ParseCertificates(check(os.ReadFile(filepath.Join(dir, "got.pem")))(t)))(t)
	if len(got) != 1 || pki.RefOf(got[0]) != p.LSC.Ref {
		t.Errorf("%+v %+v", got, p)
	}
}
