package capf

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	wire "github.com/locktone/locktone/wire/capf"
)

// manufacturer makes an authority and one certificate of it.
func manufacturer(t *testing.T, cn string) (*x509.Certificate, *held) {
	t.Helper()
	now := time.Now()
	ca := check(rsaKey(2048))(t)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Maker"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	root := check(x509.ParseCertificate(check(x509.CreateCertificate(rand.Reader, tmpl, tmpl, ca.Public(), ca))(t)))(t)
	key := check(rsaKey(2048))(t)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano() + 1), Subject: pkix.Name{CommonName: cn}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(900 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, BasicConstraintsValid: true}
	cert := check(x509.ParseCertificate(check(x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), ca))(t)))(t)
	return root, &held{cert, wire.CertMIC, key}
}

// openssl runs it in a folder; the test is skipped where there is none.
func openssl(t *testing.T, dir string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: an operator's part of the offline authority is not tried")
	}
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// corporate is an authority that only openssl works.
func corporate(t *testing.T) (dir string, root *x509.Certificate) {
	t.Helper()
	dir = t.TempDir()
	openssl(t, dir, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/O=Corp/CN=Corporate CA", "-days", "3650",
		"-addext", "keyUsage=critical,keyCertSign,cRLSign")
	list := check(pki.ParseCertificates(check(os.ReadFile(filepath.Join(dir, "ca.pem")))(t)))(t)
	return dir, list[0]
}

// sign issues for a request as an operator does: from the request with the key beside it.
func sign(t *testing.T, dir string, r capfprofile.Request) *x509.Certificate {
	t.Helper()
	for suffix, text := range map[string]string{".csr": r.CSR, ".pub": r.Key} {
		if err := os.WriteFile(filepath.Join(dir, r.ID+suffix), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out := openssl(t, dir, "req", "-in", r.ID+".csr", "-verify", "-noout", "-text"); !strings.Contains(out, "CN = "+r.CommonName) || !strings.Contains(out, "TLS Web Client Authentication") {
		t.Errorf("the request:\n%s", out)
	}
	openssl(t, dir, "x509", "-req", "-in", r.ID+".csr", "-force_pubkey", r.ID+".pub", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copyall", "-days", "1000", "-out", r.ID+".pem")
	b := check(os.ReadFile(filepath.Join(dir, r.ID+".pem")))(t)
	block, _ := pem.Decode(b)
	return check(x509.ParseCertificate(block.Bytes))(t)
}

// offlineKit is a service whose authority is offline and trusted.
func offlineKit(t *testing.T) (*kit, string) {
	t.Helper()
	dir, root := corporate(t)
	k := start(t, func(c *Config) {
		q := capfprofile.NewQueue(c.Store.Documents(capfprofile.RequestCollection), nil)
		c.Authority = Offline(q, c.Identity, c.CA)
		c.Times.KeepAlive = 50 * time.Millisecond
	})
	s := k.id.Snapshot()
	s.Trust = check(k.ca.Trust(pki.Anchor{Certificate: root, Kinds: pki.KindsOf(pki.KindDevice, pki.KindCTI)}))(t)
	if err := k.id.Replace(s); err != nil {
		t.Fatal(err)
	}
	return k, dir
}

// answer has the one waiting request issued and brings the certificate back.
func (k *kit) answer(dir string) *x509.Certificate {
	k.t.Helper()
	q := k.Queue()
	k.waitFor(func() bool {
		l, err := q.List(k.t.Context())
		return err == nil && len(l) == 1 && l[0].State == capfprofile.RequestWaiting
	}, "a request waits")
	r := check(q.Export(k.t.Context()))(k.t)[0]
	c := sign(k.t, dir, r)
	m := check(q.Match(k.t.Context(), c))(k.t)
	check(k.ca.Adopt(k.t.Context(), c, m.Owner.Kind(), m.CommonName))(k.t)
	if err := q.Answer(k.t.Context(), m, c); err != nil {
		k.t.Fatal(err)
	}
	return c
}

// TestOfflinePhone: it is sent away, and gets its certificate at the next contact with the same key.
func TestOfflinePhone(t *testing.T) {
	k, dir := offlineKit(t)
	k.create(capfprofile.Order{Owner: phone, Operation: install, Mode: byNull, Order: capfprofile.RSAOnly})
	d := &device{name: phone.Device, keep: true}
	if r := k.enrol(d); r.Retry != 15*time.Minute {
		t.Fatalf("%+v", r)
	}
	if p := k.profile(phone); p.Status != capfprofile.StatusPending || p.Waiting == "" {
		t.Fatalf("%+v", p)
	}
	if r := k.enrol(d); r.Retry == 0 {
		t.Fatalf("asked again: %+v", r)
	}
	c := k.answer(dir)
	if r := k.enrol(d); r.Err != nil || !d.stored.Equal(c) {
		t.Fatalf("%+v", r)
	}
	if p := k.profile(phone); p.Status != "Upgrade Success" || p.LSC.Ref != pki.RefOf(c) || p.Waiting != "" {
		t.Errorf("%+v", p)
	}
	if l := check(k.Queue().List(t.Context()))(t); len(l) != 0 {
		t.Errorf("%+v", l)
	}
	report := k.id.Snapshot().Trust.Verify([]*x509.Certificate{c}, pki.PeerIsClient, existingPolicy(phone.Device, pki.KindDevice), time.Now())
	if f, ok := pki.AuthorizeDevice(report, phone.Device); !ok || !report.Registered() {
		t.Errorf("the register has it as the device's: %v", f)
	}
}

// TestOfflineApplication: an application of version 1 is kept on the line until its certificate is imported.
func TestOfflineApplication(t *testing.T) {
	k, dir := offlineKit(t)
	app := capfprofile.Owner{User: "tapi", Instance: "5"}
	s := k.create(capfprofile.Order{Owner: app, Operation: install})
	// A first attempt that hangs up: its key is gone, its request is replaced, its string stays good.
	c := k.mustDial()
	sid := read(t, c, wire.CommandAuthRequest).Session
	send1(t, c, wire.AuthResponse{Version: 1, Device: "CTI-5", Reason: 1, Password: wire.NewSecret(s)}.Message(sid))
	read(t, c, wire.CommandKeygenRequest)
	send1(t, c, wire.KeygenResponse{Reason: 1, PublicKey: testKey(t, "rsa2048")}.Message(sid))
	read(t, c, wire.CommandInProgress)
	send1(t, c, wire.Message{Command: wire.CommandStatusResponse, Session: sid})
	c.Close()
	gone := check(k.Queue().List(t.Context()))(t)[0].ID

	d := &device{name: "CTI-5", password: s, version: 1}
	conn := k.mustDial()
	done := make(chan wire.Result, 1)
	go func() { done <- d.run(conn) }()
	k.waitFor(func() bool {
		l, err := k.Queue().List(t.Context())
		return err == nil && len(l) == 1 && l[0].ID != gone
	}, "the newer request")
	cert := k.answer(dir)
	select {
	case r := <-done:
		if r.Err != nil || !d.stored.Equal(cert) {
			t.Fatalf("%+v", r)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the application still waits")
	}
	if o, err := k.Book().Holder(t.Context(), pki.KindCTI, "5", pki.RefOf(cert)); err != nil || o != app {
		t.Errorf("%v %v", o, err)
	}
}

// TestOfflineRejected: an authority that says no ends the operation.
func TestOfflineRejected(t *testing.T) {
	k, _ := offlineKit(t)
	app := capfprofile.Owner{User: "tapi", Instance: "6"}
	d := &device{name: "CTI-6", password: k.create(capfprofile.Order{Owner: app, Operation: install}), version: 1}
	conn := k.mustDial()
	done := make(chan wire.Result, 1)
	go func() { done <- d.run(conn) }()
	var l []capfprofile.Request
	k.waitFor(func() bool { l, _ = k.Queue().List(t.Context()); return len(l) == 1 }, "a request")
	check(k.Queue().Reject(t.Context(), l[0].ID, "not on our list"))(t)
	if r := <-done; r.Reason != wire.ReasonRefused {
		t.Errorf("%+v", r)
	}
	if p := k.profile(app); p.Status != "Upgrade Failed: CA Rejected Connection" {
		t.Errorf("%+v", p)
	}
}

// TestOfflineWrongAnswers: another key, another name, an authority's certificate, one that is not valid now.
func TestOfflineWrongAnswers(t *testing.T) {
	k, dir := offlineKit(t)
	k.create(capfprofile.Order{Owner: phone, Operation: install, Mode: byNull, Order: capfprofile.RSAOnly})
	if r := k.enrol(&device{name: phone.Device, keep: true}); r.Retry == 0 {
		t.Fatal(r)
	}
	q := k.Queue()
	r := check(q.Export(t.Context()))(t)[0]
	good := sign(t, dir, r)
	for _, c := range []struct {
		name, says string
		change     func(*x509.Certificate)
	}{
		{"another name", "names", func(c *x509.Certificate) { c.Subject.CommonName = "SEP00000000FFFF" }},
		{"a CA", "a CA's", func(c *x509.Certificate) { c.IsCA = true }},
		{"expired", "not now", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }},
		{"another key", "nobody waits", func(c *x509.Certificate) { c.RawSubjectPublicKeyInfo = []byte("x") }},
	} {
		bad := *good
		c.change(&bad)
		if _, err := q.Match(t.Context(), &bad); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := q.Match(t.Context(), good); err != nil {
		t.Error(err)
	}
}
