package enroll

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/trustlist"
)

// files lists the folder.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, Folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestEnrolApplication(t *testing.T) {
	s, dir := newSite(t, time.Now), t.TempDir()
	s.behave.order = capf.KeygenRequest{}
	r, err := open(t, s.config(dir)).Enroll(t.Context())
	must(t, r, err)
	if r.Operation != capf.OperationInstall || r.Pinned || r.Name != "CTI-inst1" || r.Attempts != 1 || r.List != "CTLCAPF7F000001.tlv" || !strings.Contains(r.ListSigner, "CN=SAST-1") ||
		!strings.Contains(strings.Join(r.Warnings, " "), "trusted on first use") {
		t.Errorf("%+v", r)
	}
	want := []string{"CTLFile.tlv.sgn", "CallManager.cer", "QBEClient.cer", "QBEClient.pem", "enrolment.json"}
	for _, c := range []trustlist.Signer{s.first, s.second, s.callManager, s.authority} {
		hash, err := trustlist.SubjectHash(c.Certificate.RawSubject)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, hash+".0")
		b, err := os.ReadFile(filepath.Join(dir, Folder, hash+".0"))
		block, _ := pem.Decode(b)
		if err != nil || block == nil || !bytes.Equal(block.Bytes, c.Certificate.Raw) {
			t.Errorf("%s.0 is not %s: %v", hash, c.Certificate.Subject, err)
		}
	}
	slices.Sort(want)
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("the folder holds\n%v, want\n%v", got, want)
	}
	info, err := os.Stat(filepath.Join(dir, Folder, "QBEClient.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("QBEClient.pem: %v, %v", info.Mode(), err)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, Folder, "CallManager.cer")); !bytes.Equal(b, s.callManager.Certificate.Raw) {
		t.Error("CallManager.cer is not the call manager's")
	}
	have, err := open(t, s.config(dir)).Store().Credential()
	if err != nil || have.Leaf.Subject.CommonName != "CTI-inst1" || have.Leaf.CheckSignatureFrom(s.authority.Certificate) != nil {
		t.Errorf("%v, %v", have.Leaf, err)
	}
	if key, ok := have.PrivateKey.(*rsa.PrivateKey); !ok || key.N.BitLen() != 2048 {
		t.Errorf("key %T", have.PrivateKey)
	}
	who := s.seen[0]
	if who.Version != capf.VersionJTAPI || who.Device != "CTI-inst1" || who.Password.Reveal() != "1234567890" {
		t.Errorf("the client said version %d, %q", who.Version, who.Device)
	}
}

// TestOpenSSLReadsTheFolder: the folder is what `openssl verify -CApath` expects, with the old hash too.
func TestOpenSSLReadsTheFolder(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed; it would judge our names of certificates")
	}
	s, dir := newSite(t, time.Now), t.TempDir()
	cfg := s.config(dir)
	cfg.HashOld = true
	r, err := open(t, cfg).Enroll(t.Context())
	must(t, r, err)
	folder := filepath.Join(dir, Folder)
	run := func(args ...string) string {
		out, err := exec.Command(openssl, args...).CombinedOutput()
		if err != nil {
			t.Errorf("openssl %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if out := run("verify", "-CApath", folder, "-no-CAfile", filepath.Join(folder, "QBEClient.cer")); !strings.HasSuffix(out, ": OK") {
		t.Error(out)
	}
	for _, hash := range []string{run("x509", "-in", filepath.Join(folder, "CallManager.cer"), "-noout", "-subject_hash"),
		run("x509", "-in", filepath.Join(folder, "CallManager.cer"), "-noout", "-subject_hash_old")} {
		if !slices.Contains(files(t, dir), hash+".0") {
			t.Errorf("no %s.0 in %v", hash, files(t, dir))
		}
	}
	cert := run("x509", "-in", filepath.Join(folder, "QBEClient.cer"), "-noout", "-pubkey")
	if key := run("pkey", "-in", filepath.Join(folder, "QBEClient.pem"), "-pubout"); key != cert {
		t.Error("QBEClient.pem is not the key of QBEClient.cer")
	}
}

// TestHashCollision: certificates of one subject count up, and those of a former list go.
func TestHashCollision(t *testing.T) {
	s, dir := newSite(t, time.Now), t.TempDir()
	twin := certify(t, "cm1.lab", rsaKeys()[1].Public(), time.Now(), time.Now().Add(time.Hour), nil, rsaKeys()[1])
	entries := append(s.entries(), trustlist.Entry{Role: trustlist.RoleTFTP, Name: "tftp", Certificate: twin})
	s.publish(s.first, entries...)
	c := open(t, s.config(dir))
	r, err := c.Refresh(t.Context())
	must(t, r, err)
	hash, _ := trustlist.SubjectHash(twin.RawSubject)
	if got := files(t, dir); !slices.Contains(got, hash+".0") || !slices.Contains(got, hash+".1") {
		t.Errorf("no %s.0 and .1 in %v", hash, got)
	}
	if err := os.WriteFile(filepath.Join(dir, Folder, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.publish(s.second, s.entries()...)
	r, err = c.Refresh(t.Context())
	must(t, r, err)
	got := files(t, dir)
	if slices.Contains(got, hash+".1") || !slices.Contains(got, hash+".0") || !slices.Contains(got, "notes.txt") {
		t.Errorf("after a shorter list: %v", got)
	}
}

func TestFileNames(t *testing.T) {
	s := newSite(t, time.Now)
	b := s.files["CTLFile.tlv"]
	for _, c := range []struct {
		instance, device, capf string
		have                   string
		want                   []string
	}{
		{"5", "", "10.106.99.197", "CTLCAPFA6A63C5.tlv", []string{"CTLCAPF0A6A63C5.tlv", "CTLCAPFA6A63C5.tlv"}},
		{"5", "", "10.106.99.197:3805", "CTLFile.tlv", []string{"CTLCAPF0A6A63C5.tlv", "CTLCAPFA6A63C5.tlv", "CTLFile.tlv"}},
		{"5", "", "127.0.0.1", "CTLCAPF7F000001.tlv", []string{"CTLCAPF7F000001.tlv"}},
		{"5", "", "[2001:db8::1]:3804", "CTLFile.tlv", []string{"CTLFile.tlv"}},
		{"", "SEP001122334455", "127.0.0.1", "CTLSEP001122334455.tlv", []string{"CTLSEP001122334455.tlv"}},
		{"", "SEP001122334455", "127.0.0.1", "CTLFile.tlv", []string{"CTLSEP001122334455.tlv", "CTLFile.tlv"}},
	} {
		s.files, s.asked = map[string][]byte{c.have: b}, nil
		cfg := s.config(t.TempDir())
		cfg.Instance, cfg.Device, cfg.CAPF = c.instance, c.device, c.capf
		r, err := open(t, cfg).Refresh(t.Context())
		must(t, r, err)
		if r.List != c.have || !slices.Equal(s.asked, c.want) {
			t.Errorf("CAPF %s, device %q: asked for %v, took %s; want %v", c.capf, c.device, s.asked, r.List, c.want)
		}
	}
}

// TestPin: the join token decides on the first list, and what was trusted on first use cannot outvote it.
func TestPin(t *testing.T) {
	s := newSite(t, time.Now)
	evil := newSite(t, time.Now) // the same names, other certificates
	enrol := func(dir string, from *site, signers ...trustlist.Signer) (Result, error) {
		cfg := s.config(dir)
		cfg.Source = from
		for _, signer := range signers {
			cfg.Authorization.Signers = append(cfg.Authorization.Signers, pin(signer))
		}
		return open(t, cfg).Enroll(t.Context())
	}
	dir := t.TempDir()
	if r, err := enrol(dir, s, s.first); err != nil || !r.Pinned || len(r.Warnings) > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	s.publish(s.second, s.entries()...) // later lists by the list held, whatever the token of then says
	if r, err := enrol(dir, s, s.first); err != nil || !r.Pinned || !strings.Contains(r.ListSigner, "SAST-2") {
		t.Errorf("signed by the second signer: %+v, %v", r, err)
	}
	sessions := s.sessions
	r, err := enrol(t.TempDir(), s, s.first) // a first list by a signer that is not pinned
	if err == nil || stepOf(err) != "trust list" || !strings.Contains(err.Error(), "join token does not know this signer") || s.sessions != sessions {
		t.Errorf("%+v, %v, %d sessions: want a refusal before anything is sent", r, err, s.sessions-sessions)
	}
	if r, err := enrol(t.TempDir(), s, s.first, s.second); err != nil || !r.Pinned {
		t.Errorf("both pinned: %+v, %v", r, err)
	}
	fooled := t.TempDir()
	cfg := s.config(fooled)
	cfg.Source = evil
	r, err = open(t, cfg).Refresh(t.Context())
	must(t, r, err) // trust on first use took the wrong site's list
	if r, err := enrol(fooled, evil, s.second); err == nil || r.Pinned {
		t.Errorf("a token is outvoted by what was trusted on first use: %+v", r)
	}
	if r, err := enrol(fooled, s, s.second); err != nil || !r.Pinned {
		t.Errorf("the token brings the right site's list: %+v, %v", r, err)
	}
}

// TestNextList: the list held decides about the next one.
func TestNextList(t *testing.T) {
	s, dir := newSite(t, time.Now), t.TempDir()
	c := open(t, s.config(dir))
	r, err := c.Refresh(t.Context())
	must(t, r, err)
	held := func() []byte {
		b, err := os.ReadFile(filepath.Join(dir, Folder, "CTLFile.tlv.sgn"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	before := held()
	evil := newSite(t, time.Now)
	evilList := evil.files["CTLFile.tlv"]
	for name, file := range map[string][]byte{
		"another site's": evilList,
		"cut":            before[:len(before)-7],
		"flipped":        append(append(bytes.Clone(before[:900]), before[900]^1), before[901:]...),
		"no list":        []byte("<html>"),
		"old copy":       s.list(trustlist.CTL, s.first, time.Now().Add(-48*time.Hour), s.entries()...),
	} {
		s.serve(file, "CTLCAPF7F000001.tlv")
		r, err := c.Enroll(t.Context())
		if err != nil || len(r.Warnings) == 0 || !bytes.Equal(held(), before) {
			t.Errorf("%s: %+v, %v; want the list held kept and a warning", name, r, err)
		}
		c.Authorize(capf.JoinToken{Password: capf.NewSecret("1234567890")})
	}
	s.serve(nil, "CTLCAPF7F000001.tlv", "CTLFile.tlv") // a site that lost its mixed mode
	c.Authorize(capf.JoinToken{Password: capf.NewSecret("1234567890")})
	if r, err := c.Enroll(t.Context()); err != nil || len(r.Warnings) == 0 {
		t.Errorf("no file: %+v, %v", r, err)
	}
	if _, err := open(t, s.config(t.TempDir())).Enroll(t.Context()); stepOf(err) != "download" || !strings.Contains(err.Error(), "mixed mode") {
		t.Errorf("no file and none held: %v", err)
	}
	s.serve(evilList, "CTLCAPF7F000001.tlv")
	if _, err := open(t, s.config(t.TempDir())).Enroll(t.Context()); stepOf(err) != "certificate of the server" {
		t.Errorf("another site's list on first use: %v; want the server's certificate refused", err)
	}
}

// TestServerMustBeListed: who holds a certificate issued by CAPF is not CAPF; neither is the call manager.
func TestServerMustBeListed(t *testing.T) {
	s := newSite(t, time.Now)
	key := rsaKeys()[0]
	lsc := certify(t, "SEP001122334455", key.Public(), time.Now(), time.Now().Add(time.Hour), s.authority.Certificate, s.authority.Key)
	for name, c := range map[string]trustlist.Signer{"an LSC": {Certificate: lsc, Key: key}, "the call manager": s.callManager, "a signer": s.first} {
		s.behave.offer = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{c.Certificate.Raw, s.authority.Certificate.Raw}, PrivateKey: c.Key}}}
		_, err := open(t, s.config(t.TempDir())).Enroll(t.Context())
		var wrong *CertificateError
		if !errors.As(err, &wrong) || stepOf(err) != "certificate of the server" || len(wrong.Listed) != 1 || len(s.seen) > 0 {
			t.Errorf("%s as CAPF: %v, %d messages came", name, err, len(s.seen))
		}
	}
}

// TestTLSErrorsSayWhatToDo is what the field's "Internal SSL error" should have said.
func TestTLSErrorsSayWhatToDo(t *testing.T) {
	s := newSite(t, time.Now)
	identity := []tls.Certificate{{Certificate: [][]byte{s.authority.Certificate.Raw}, PrivateKey: s.authority.Key}}
	old := &tls.Config{Certificates: identity, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}
	for _, c := range []struct {
		name  string
		offer *tls.Config
		words string
	}{
		{"RSA key exchange only", old, "capf-legacy-rsa"},
		{"TLS 1.1 only", &tls.Config{Certificates: identity, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "versions and cipher suites"},
		{"a CTI manager's port", &tls.Config{Certificates: identity, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, "CTI manager"},
	} {
		s.behave.offer = c.offer
		_, err := open(t, s.config(t.TempDir())).Enroll(t.Context())
		if stepOf(err) != "TLS handshake" || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	s.behave.offer = old
	cfg := s.config(t.TempDir())
	cfg.LegacyRSA = true
	r, err := open(t, cfg).Enroll(t.Context())
	if must(t, r, err); !strings.Contains(r.TLS, "TLS_RSA_WITH_AES_128_CBC_SHA") {
		t.Errorf("with the exception: %s", r.TLS)
	}
	s.behave.offer = nil
	cfg = s.config(t.TempDir())
	cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() { _, _ = server.Write([]byte("220 mail.example ESMTP\r\n")) }()
		go func() { _, _ = server.Read(make([]byte, 1<<14)) }()
		return client, nil
	}
	if _, err = open(t, cfg).Enroll(t.Context()); stepOf(err) != "TLS handshake" || !strings.Contains(err.Error(), "does not speak TLS") {
		t.Errorf("a mail server: %v", err)
	}
}

func TestDialogueErrorsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*behaviour)
		step   string
		words  string
	}{
		{"wrong string", func(b *behaviour) { b.password = "999999" }, "enrolment", "authorization string is wrong"},
		{"nothing pending", func(b *behaviour) { b.nothing = true }, "enrolment", "no certificate operation is pending"},
		{"done without a certificate", func(b *behaviour) { b.noCert = true }, "enrolment", "issued no certificate"},
		{"certificate for another key", func(b *behaviour) { b.wrongKey = true }, "storing", "another key than ours"},
		{"expired certificate", func(b *behaviour) { b.expired = true }, "storing", "clock"},
		{"RSA of 512 bits", func(b *behaviour) { b.order = capf.KeygenRequest{Size: 512} }, "enrolment", "key order or size"},
	} {
		s, dir := newSite(t, time.Now), t.TempDir()
		c.change(&s.behave)
		_, err := open(t, s.config(dir)).Enroll(t.Context())
		if stepOf(err) != c.step || !strings.Contains(err.Error(), c.words) || s.sessions != 1 {
			t.Errorf("%s: %v after %d sessions", c.name, err, s.sessions)
		}
		if slices.Contains(files(t, dir), fileCertificate) {
			t.Errorf("%s: a certificate is in the folder", c.name)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	s := newSite(t, time.Now)
	for name, change := range map[string]func(*Config){
		"neither name":    func(c *Config) { c.Instance = "" },
		"both names":      func(c *Config) { c.Device = "SEP001122334455" },
		"no CAPF":         func(c *Config) { c.CAPF = "" },
		"no TFTP":         func(c *Config) { c.Source = nil },
		"no folder":       func(c *Config) { c.Dir = "" },
		"a path for name": func(c *Config) { c.Instance = "../../etc/passwd" },
		"NUL":             func(c *Config) { c.Instance = "a\x00b" },
	} {
		cfg := s.config(t.TempDir())
		change(&cfg)
		if _, err := New(cfg); stepOf(err) != "configuration" {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	r, err := open(t, s.config(dir)).Refresh(t.Context())
	must(t, r, err)
	other := s.config(dir)
	other.Instance = "inst2"
	if _, err := New(other); err == nil || !strings.Contains(err.Error(), "CTI-inst1") {
		t.Errorf("the folder of another instance: %v", err)
	}
	if _, err := ParseAuthorization("no spaces here"); err == nil {
		t.Error("a string with spaces is taken")
	}
	if a, err := ParseAuthorization(capf.JoinToken{Password: capf.NewSecret("1234"), Signers: [][32]byte{{1}}}.Text()); err != nil || len(a.Signers) != 1 || a.Password.Reveal() != "1234" {
		t.Errorf("%v, %v", a, err)
	}
}

func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, time.Now)
		s.refuse = 2
		cfg := s.config(t.TempDir())
		cfg.Retries, cfg.Every = 3, 20*time.Second
		began := time.Now()
		var events []Event
		cfg.Observe = func(e Event) { events = append(events, e) }
		r, err := open(t, cfg).Enroll(t.Context())
		must(t, r, err)
		if r.Attempts != 3 || time.Since(began) != 40*time.Second || len(events) < 4 || events[1].Err == nil {
			t.Errorf("%d attempts in %v, events %v", r.Attempts, time.Since(began), events)
		}
		s.refuse, began = 100, time.Now()
		r, err = open(t, cfg).Enroll(t.Context())
		if stepOf(err) != "connection" || r.Attempts != 4 || time.Since(began) != time.Minute {
			t.Errorf("%v, %d attempts in %v", err, r.Attempts, time.Since(began))
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, errors.New("enough"))
		defer cancel()
		if _, err = open(t, cfg).Enroll(ctx); err == nil || err.Error() != "enough" {
			t.Errorf("cancelled while it waits: %v", err)
		}
	})
}

func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, time.Now)
		s.behave.silent = true
		began := time.Now()
		_, err := open(t, s.config(t.TempDir())).Enroll(t.Context())
		if stepOf(err) != "TLS handshake" || time.Since(began) != handshakeTime || !strings.Contains(err.Error(), "said nothing") {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		s.served.Wait()
	})
}

// TestPendingKey: while an offline authority takes its time, the key stays, and the certificate fits it, whether the server
// orders a key again or hands the certificate out at once.
func TestPendingKey(t *testing.T) {
	for _, withoutKey := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, dir := newSite(t, time.Now), t.TempDir()
			s.behave.later = 1
			cfg := s.config(dir)
			cfg.Instance, cfg.Device = "", "SEP001122334455"
			began := time.Now()
			_, err := open(t, cfg).Enroll(t.Context())
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, capf.ErrRetry) || e.After != 15*time.Minute {
				t.Fatalf("%v", err)
			}
			if got := files(t, dir); !slices.Contains(got, fileKeyNext) || slices.Contains(got, fileKey) {
				t.Errorf("%v", got)
			}
			s.behave.withoutKey, s.behave.later = withoutKey, 0
			r, err := open(t, cfg).Enroll(t.Context()) // another process, later
			must(t, r, err)
			if len(s.keys) == 2 && s.keys[0] != s.keys[1] {
				t.Error("the second session brought another key")
			}
			if got := files(t, dir); slices.Contains(got, fileKeyNext) || !slices.Contains(got, fileKey) {
				t.Errorf("%v", got)
			}
			s.behave.withoutKey, s.behave.later = false, 1
			cfg.Retries = 1 // the server's wish counts when it is longer than ours
			c := open(t, cfg)
			r, err = c.Enroll(t.Context())
			must(t, r, err)
			if r.Attempts != 2 || time.Since(began) != 15*time.Minute {
				t.Errorf("%d attempts, %v", r.Attempts, time.Since(began))
			}
			s.served.Wait()
		})
	}
}

func TestEllipticKeys(t *testing.T) {
	s := newSite(t, time.Now)
	s.behave.order = capf.KeygenRequest{Type: capf.KeyEC, Curve: capf.CurveP384}
	cfg := s.config(t.TempDir())
	cfg.Instance, cfg.Device = "", "SEP001122334455"
	c := open(t, cfg)
	r, err := c.Enroll(t.Context())
	must(t, r, err)
	have, err := c.Store().Credential()
	if key, ok := have.PrivateKey.(*ecdsa.PrivateKey); err != nil || !ok || key.Params().BitSize != 384 {
		t.Errorf("%T, %v", have.PrivateKey, err)
	}
	s.behave.existing = true // and an EC certificate proves itself
	r, err = c.Enroll(t.Context())
	if must(t, r, err); len(s.seen[1].Certificates) != 1 || !s.seen[1].Password.IsZero() {
		t.Errorf("the second enrolment said %d certificates", len(s.seen[1].Certificates))
	}
}

// TestLostEnd: the certificate is stored, and then the connection breaks: what is on disk counts, and a warning says so.
func TestLostEnd(t *testing.T) {
	s := newSite(t, time.Now)
	s.behave.hangUp = true
	c := open(t, s.config(t.TempDir()))
	r, err := c.Enroll(t.Context())
	if must(t, r, err); r.Certificate == nil || len(r.Warnings) != 2 {
		t.Errorf("%+v", r)
	}
	if _, err := c.Store().Credential(); err != nil {
		t.Error(err)
	}
}

func TestDelete(t *testing.T) {
	s, dir := newSite(t, time.Now), t.TempDir()
	r, err := open(t, s.config(dir)).Enroll(t.Context())
	must(t, r, err)
	s.behave.remove = true
	c := open(t, s.config(dir))
	r, err = c.Enroll(t.Context())
	if must(t, r, err); r.Operation != capf.OperationDelete {
		t.Errorf("%+v", r)
	}
	if _, err := c.Store().Credential(); !errors.Is(err, ErrNone) {
		t.Errorf("%v", err)
	}
	if got := files(t, dir); slices.Contains(got, fileKey) || slices.Contains(got, fileCertificate) || !slices.Contains(got, fileCTL) {
		t.Errorf("%v", got)
	}
	if st, err := c.Store().State(); err != nil || !st.Enrolled.IsZero() || st.Name != "CTI-inst1" {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestCrash fails at every change of the disk during a renewal with a new list: whatever was reached, the folder opens, with
// the old pair or the new one and a list that verifies.
func TestCrash(t *testing.T) {
	s := newSite(t, time.Now)
	s.behave.existing = true
	crashed := errors.New("power cut")
	for at := 1; ; at++ {
		dir := t.TempDir()
		cfg := s.config(dir)
		cfg.Instance, cfg.Device = "", "SEP001122334455"
		c := open(t, cfg)
		r, err := c.Enroll(t.Context())
		old := must(t, r, err).Serial
		s.publish(s.second, s.entries()...)
		n, down := 0, false
		c.store.disk.before = func(op, name string) error {
			if n++; n == at {
				down = true
			}
			if down {
				return crashed
			}
			return nil
		}
		_, err = c.Enroll(t.Context())
		again := open(t, cfg).Store()
		have, credErr := again.Credential()
		list, listErr := again.List(trustlist.CTL)
		if credErr != nil || listErr != nil || list == nil {
			t.Fatalf("down at change %d: %v, %v", at, credErr, listErr)
		}
		if _, verifyErr := list.Verify(trustlist.AnyReading); verifyErr != nil {
			t.Errorf("down at change %d: %v", at, verifyErr)
		}
		now := have.Leaf.SerialNumber.Text(16)
		if err == nil && now == old {
			t.Errorf("down at change %d: said done, and the old certificate is there", at)
		}
		if !down {
			if now == old || at < 15 {
				t.Errorf("nothing failed at change %d, and the certificate is %s after %s", at, now, old)
			}
			return
		}
		cfg.Authorization.Password = capf.Secret{}
		if r, err := open(t, cfg).Enroll(t.Context()); err != nil {
			t.Errorf("after a crash at change %d: %+v, %v", at, r, err)
		}
	}
}

func TestKeepRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, time.Now)
		s.behave.existing = true
		cfg := s.config(t.TempDir())
		var stored []time.Time
		var failures []time.Duration
		began := time.Now()
		cfg.Observe = func(e Event) {
			if strings.HasPrefix(e.Text, "Stored") {
				stored = append(stored, e.Time)
			} else if e.Err != nil {
				failures = append(failures, e.Time.Sub(began))
			}
		}
		c := open(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Keep(ctx) }()
		time.Sleep(45 * 24 * time.Hour) // of certificates that last 30 days
		synctest.Wait()
		if len(stored) != 3 || stored[0].Sub(began) > time.Second || stored[1].Sub(stored[0]) < 20*24*time.Hour-2*time.Second || stored[1].Sub(stored[0]) > 20*24*time.Hour {
			t.Errorf("stored after %v", stored)
		}
		if got := s.seen[1]; !got.Password.IsZero() || len(got.Certificates) != 1 || got.Version != capf.VersionPhone {
			t.Errorf("the renewal said %+v", got)
		}
		s.set(func(b *behaviour) { b.existing = false }) // and now the server wants a new string
		before, _ := c.Store().Credential()
		time.Sleep(24 * 24 * time.Hour) // day 69; due was day 60, the end is day 70
		synctest.Wait()
		after, err := c.Store().Credential()
		if err != nil || before.Leaf.SerialNumber.Cmp(after.Leaf.SerialNumber) != 0 || len(failures) < 30 {
			t.Errorf("%d failures, %v", len(failures), err)
		}
		if last, first := failures[len(failures)-1]-failures[len(failures)-2], failures[1]-failures[0]; first != maxPause || last >= first {
			t.Errorf("pauses from %v to %v: want them shorter towards the end", first, last)
		}
		c.Authorize(capf.JoinToken{Password: capf.NewSecret("1234567890")}) // an operator reads the warning in time
		time.Sleep(7 * time.Hour)
		synctest.Wait()
		if len(stored) != 4 {
			t.Errorf("stored %d times", len(stored))
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		s.served.Wait()
	})
}

func TestKeepTellsARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, time.Now)
		s.behave.password = "4711"
		if err := open(t, s.config(t.TempDir())).Keep(t.Context()); !errors.Is(err, capf.ErrRefused) || s.sessions != 1 {
			t.Errorf("%v after %d sessions: a wrong string is not tried again", err, s.sessions)
		}
		s.behave.password, s.refuse = "1234567890", 3
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		dir := t.TempDir()
		if err := open(t, s.config(dir)).Keep(ctx); !errors.Is(err, context.DeadlineExceeded) || s.sessions != 5 {
			t.Errorf("%v after %v and %d sessions", err, time.Since(began), s.sessions)
		}
		if !slices.Contains(files(t, dir), fileCertificate) {
			t.Error("no certificate after the server came back")
		}
		s.served.Wait()
	})
}
