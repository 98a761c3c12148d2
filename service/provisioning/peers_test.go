package provisioning_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/peers"
	"github.com/locktone/locktone/service/provisioning"
	"github.com/locktone/locktone/wire/trustlist"
)

// The programs that fetch like phones, with the Debian packages that bring them.
var (
	tftpHPA = peers.Program{Name: "tftp", Package: "tftp-hpa"}
	atftp   = peers.Program{Name: "atftp", Package: "atftp"}
	busybox = peers.Program{Name: "busybox", Package: "busybox"}
	curl    = peers.Program{Name: "curl", Package: "curl"}
	openssl = peers.Program{Name: "openssl", Package: "openssl"}
	tshark  = peers.Program{Name: "tshark", Package: "tshark"}
)

// run runs a program and returns what it said.
func run(t *testing.T, dir, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, must(peers.Find(name))(t), args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// fetcher fetches a name into the file "got" of a folder.
type fetcher struct {
	name     string
	program  peers.Program
	protocol string
	args     func(p *provisioning.Service, name string) []string
}

// fetchers are the programs, each without and with the options it knows.
func fetchers() []fetcher {
	host := func(p *provisioning.Service) (string, string) {
		return p.TFTP().Addr().String(), strconv.Itoa(int(p.TFTP().Port()))
	}
	curlTo := func(url func(p *provisioning.Service) string, options ...string) func(*provisioning.Service, string) []string {
		return func(p *provisioning.Service, name string) []string {
			return append(options, "--fail", "--silent", "--show-error", "--insecure", "--globoff", "-o", "got", url(p)+"/"+name)
		}
	}
	overTFTP := func(p *provisioning.Service) string { return "tftp://" + p.TFTP().String() }
	return []fetcher{
		{"tftp-hpa", tftpHPA, "tftp", func(p *provisioning.Service, name string) []string {
			h, port := host(p)
			return []string{"-m", "binary", h, port, "-c", "get", name, "got"}
		}},
		{"atftp", atftp, "tftp", func(p *provisioning.Service, name string) []string {
			h, port := host(p)
			return []string{"--get", "--remote-file", name, "--local-file", "got", h, port}
		}},
		{"atftp with blksize, tsize and timeout", atftp, "tftp", func(p *provisioning.Service, name string) []string {
			h, port := host(p)
			return []string{"--option", "blksize 1024", "--option", "tsize 0", "--option", "timeout 3", "--get", "--remote-file", name, "--local-file", "got", h, port}
		}},
		{"busybox", busybox, "tftp", func(p *provisioning.Service, name string) []string {
			h, port := host(p)
			return []string{"tftp", "-g", "-r", name, "-l", "got", h, port}
		}},
		{"busybox with blksize", busybox, "tftp", func(p *provisioning.Service, name string) []string {
			h, port := host(p)
			return []string{"tftp", "-b", "1400", "-g", "-r", name, "-l", "got", h, port}
		}},
		{"curl tftp", curl, "tftp", curlTo(overTFTP)},
		{"curl tftp without options", curl, "tftp", curlTo(overTFTP, "--tftp-no-options")},
		{"curl tftp with small blocks", curl, "tftp", curlTo(overTFTP, "--tftp-blksize", "8")},
		{"curl http", curl, "http", curlTo(func(p *provisioning.Service) string { return "http://" + p.HTTP().String() })},
		{"curl https", curl, "https", curlTo(func(p *provisioning.Service) string { return "https://" + p.HTTPS().String() })},
	}
}

// get returns the file, or nil when the program says there is none.
func (f fetcher) get(t *testing.T, p *provisioning.Service, name string) []byte {
	t.Helper()
	dir := t.TempDir()
	out, err := run(t, dir, f.program.Name, f.args(p, name)...)
	b, readErr := os.ReadFile(filepath.Join(dir, "got"))
	said := strings.ToLower(out)
	if err != nil || readErr != nil || strings.Contains(said, "no such file") || strings.Contains(said, "not found") { // tftp-hpa ends with 0 and leaves an empty file
		if !strings.Contains(said, "no such file") && !strings.Contains(said, "not found") && !strings.Contains(said, "404") && !strings.Contains(said, "curl: (68)") { // CURLE_TFTP_NOTFOUND
			t.Errorf("%s %s: %v: %s", f.name, name, err, out)
		}
		return nil
	}
	return b
}

// TestPrograms: programs nobody here wrote fetch in the order of phones, in mixed mode and without.
func TestPrograms(t *testing.T) {
	s := newSite(t)
	s.write("RingList.xml", bytes.Repeat([]byte("ring "), 3000))
	p := s.start()
	for _, mode := range []config.SecurityMode{config.Mixed, config.NonSecureCluster} {
		s.change(func(c *config.Site) { c.Cluster.SecurityMode = mode })
		s.publish()
		for _, f := range fetchers() {
			t.Run(mode.String()+"/"+f.name, func(t *testing.T) {
				peers.Need(t, f.program)
				var ph phone
				ph.ctl = must(trustlist.Parse(f.get(t, p, "CTL"+sep+".tlv")))(t)
				must(trustlist.AcceptPhone(ph.ctl))(t)
				ph.itl = must(trustlist.Parse(f.get(t, p, "ITL"+sep+".tlv")))(t)
				must(trustlist.AcceptPhone(ph.itl, ph.ctl))(t)
				if b := f.get(t, p, sep+".cnf.xml.enc.sgn"); b != nil {
					t.Errorf("a phone without a certificate got %d encrypted bytes", len(b))
				}
				for _, name := range []string{sep + ".cnf.xml", "RingList.xml"} {
					plain, signed := f.get(t, p, name), f.get(t, p, name+".sgn")
					payload := signed
					if f.protocol != "https" {
						var err error
						if payload, _, err = trustlist.Open(signed, ph.ctl, ph.itl); err != nil {
							t.Errorf("%s.sgn: %v", name, err)
						}
					}
					if len(plain) == 0 || !bytes.Equal(plain, payload) {
						t.Errorf("%s: %d bytes, signed %d", name, len(plain), len(payload))
					}
				}
				for _, name := range []string{"SEP000000000000.cnf.xml", "ConfigFileCacheList.txt"} {
					if b := f.get(t, p, name); b != nil {
						t.Errorf("%s: %d bytes", name, len(b))
					}
				}
			})
		}
	}
}

// TestOpenSSLJudges: openssl verifies the signature of what was fetched, decrypts it with the phone's key, and verifies the
// certificate on 6971.
func TestOpenSSLJudges(t *testing.T) {
	peers.Need(t, openssl, curl)
	s := newSite(t)
	s.enrol(sep, phoneKey().Public())
	p := s.start()
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var signer *x509.Certificate
	for _, c := range s.identity.Snapshot().Certificates.Server {
		if c.Leaf().PublicKeyAlgorithm == x509.RSA {
			signer = c.Leaf()
		}
	}
	public := file("signer.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: signer.RawSubjectPublicKeyInfo}))
	for _, name := range []string{sep + ".cnf.xml.sgn", sep + ".cnf.xml.enc.sgn"} {
		b := fetch(t, p, "tftp", name)
		h := must(trustlist.ParseSigned(b))(t).Header
		data := append(bytes.Clone(b[:h.SignatureOffset]), b[h.SignatureOffset+3+len(h.Signature):]...)
		out, err := run(t, dir, "openssl", "dgst", "-sha256", "-verify", public, "-signature", file("sig", h.Signature), file("data", data))
		if err != nil || !strings.Contains(out, "Verified OK") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		if h.Encryption == nil {
			continue
		}
		key := file("phone.key", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(phoneKey())}))
		if out, err := run(t, dir, "openssl", "pkeyutl", "-decrypt", "-inkey", key, "-in", file("wrapped", h.Encryption.Key), "-out", "aes"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		aes := must(os.ReadFile(filepath.Join(dir, "aes")))(t)
		if out, err := run(t, dir, "openssl", "enc", "-d", "-aes-128-cbc", "-nopad", "-K", hex.EncodeToString(aes), "-iv", hex.EncodeToString(h.Encryption.IV), "-in", file("payload", b[h.Length:]), "-out", "plain"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		plain := must(os.ReadFile(filepath.Join(dir, "plain")))(t)
		plain = plain[:len(plain)-h.Encryption.Padding]
		if sum := sha1.Sum(plain); !bytes.Equal(sum[:], h.Encryption.Hash) || !bytes.Contains(plain, []byte("<name>1001</name>")) {
			t.Errorf("openssl decrypted something else: %s", plain)
		}
	}
	var roots bytes.Buffer
	for _, c := range s.ca.Roots() {
		pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	if out, err := run(t, dir, "curl", "--fail", "--silent", "--show-error", "--cacert", file("roots.pem", roots.Bytes()), "-o", "ctl", "https://"+p.HTTPS().String()+"/CTLFile.tlv"); err != nil {
		t.Errorf("curl does not trust 6971: %v: %s", err, out)
	}
}

// TestDissector: tshark finds nothing malformed in our TFTP, and reads the options as they were meant.
func TestDissector(t *testing.T) {
	peers.Need(t, tshark, atftp)
	if os.Geteuid() != 0 {
		t.Skip("needs the right to capture on the loopback interface")
	}
	s := newSite(t)
	p := s.start()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	file := filepath.Join(t.TempDir(), "tftp.pcapng")
	capture := must(peers.StartCapture(ctx, t.TempDir(), file, "udp and host "+s.addr.String()))(t)
	recorded(t, s, file, "the beginning")
	f := fetchers()[2]
	if f.get(t, p, "CTLFile.tlv") == nil {
		t.Fatal("nothing came")
	}
	f.get(t, p, "nothing")
	recorded(t, s, file, "the end")
	if err := capture.Close(ctx); err != nil {
		t.Fatal(err)
	}
	as := []string{"-d", fmt.Sprintf("udp.port==%d,tftp", p.TFTP().Port())}
	bad := must(peers.Dissect(ctx, file, append(as, "-Y", "_ws.malformed")...))(t)
	if len(bad) > 0 {
		t.Errorf("malformed: %s", strings.Join(bad, "\n"))
	}
	text := strings.Join(must(peers.Dissect(ctx, file, as...))(t), "\n")
	for _, want := range []string{"Read Request, File: CTLFile.tlv", "Option Acknowledgement", "blksize=1024", "timeout=3", "Data Packet, Block: 1", "(last)", "Error Code, Code: File not found"} {
		if !strings.Contains(text, want) {
			t.Errorf("tshark does not see %q in\n%s", want, text)
		}
	}
}

// recorded sends packets of our own until the recording has one: then it has begun, and has all that came before.
func recorded(t *testing.T, s *site, file, mark string) {
	t.Helper()
	c := must(net.DialUDP("udp", &net.UDPAddr{IP: s.addr.AsSlice()}, &net.UDPAddr{IP: s.addr.AsSlice(), Port: 9}))(t)
	defer c.Close()
	wait(t, func() bool {
		c.Write([]byte(mark)) // nobody listens; an ICMP error comes back
		b, err := os.ReadFile(file)
		return err == nil && bytes.Contains(b, []byte(mark))
	})
}
