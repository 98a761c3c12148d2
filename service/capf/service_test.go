package capf

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	wire "github.com/locktone/locktone/wire/capf"
)

const (
	install = capfprofile.InstallUpgrade
	byNull  = capfprofile.ByNullString
)

// TestEnrol: every version with a string, EC and RSA, and what becomes of certificate, register and profile.
func TestEnrol(t *testing.T) {
	k := start(t, nil)
	app := capfprofile.Owner{User: "tapi", Instance: "inst1"}
	for _, c := range []struct {
		owner   capfprofile.Owner
		name    string
		version uint8
		order   capfprofile.KeyOrder
		key     string
	}{
		{phone, phone.Device, 3, capfprofile.ECPreferredRSABackup, "ECDSA-P256"},
		{phone, phone.Device, 3, capfprofile.RSAOnly, "RSA-2048"},
		{capfprofile.Owner{Device: "CSFJDOE"}, "CSFJDOE", 2, capfprofile.ECPreferredRSABackup, "RSA-2048"},
		{app, "CTI-inst1", 1, capfprofile.ECPreferredRSABackup, "RSA-2048"},
		{app, "inst1", 3, capfprofile.RSAOnly, "RSA-2048"},
	} {
		s := k.create(capfprofile.Order{Owner: c.owner, Operation: install, Order: c.order})
		d := &device{name: c.name, password: s, version: c.version}
		if r := k.enrol(d); r.Err != nil || r.Reason != wire.ReasonOK {
			t.Fatalf("%s: %+v", c.name, r)
		}
		p := k.profile(c.owner)
		e := check(k.reg.Lookup(t.Context(), pki.RefOf(d.stored)))(t)
		if p.Status != "Upgrade Success" || p.LSC.Ref != pki.RefOf(d.stored) || e.Kind != c.owner.Kind() || e.Name != c.owner.CommonName() || e.Algorithm != c.key || p.LSC.IssuerEnds.IsZero() {
			t.Errorf("%s: %+v %+v", c.name, p, e)
		}
		report := k.id.Snapshot().Trust.Verify([]*x509.Certificate{d.stored}, pki.PeerIsClient, pki.PeerPolicy{Kinds: pki.KindsOf(c.owner.Kind())}, time.Now())
		if err := report.Err(); err != nil {
			t.Error(err)
		}
		if rsaKey := c.key == "RSA-2048"; rsaKey != (d.stored.KeyUsage&x509.KeyUsageKeyEncipherment != 0) {
			t.Errorf("%s: key usage %v", c.name, d.stored.KeyUsage)
		}
		if r := k.enrol(d); r.Reason != wire.ReasonNone { // one use
			t.Errorf("%s: the string is good twice: %+v", c.name, r)
		}
	}
	for _, r := range k.records("") {
		if strings.Contains(string(r.Body)+r.Summary, "authorization string ") {
			t.Error(r.Summary)
		}
	}
}

// TestExponent17: applications of the field make RSA keys with the public exponent 17.
func TestExponent17(t *testing.T) {
	k := start(t, nil)
	app := capfprofile.Owner{User: "tapi", Instance: "17"}
	s := k.create(capfprofile.Order{Owner: app, Operation: install})
	key := check(rsaKey(2048))(t)
	pub := rsa.PublicKey{N: key.N, E: 17} // nothing is signed with it here
	c := k.mustDial()
	sid := read(t, c, wire.CommandAuthRequest).Session
	send1(t, c, wire.AuthResponse{Version: 1, Device: "CTI-17", Reason: 1, Password: wire.NewSecret(s)}.Message(sid))
	read(t, c, wire.CommandKeygenRequest)
	send1(t, c, wire.KeygenResponse{Reason: 1, PublicKey: check(x509.MarshalPKIXPublicKey(&pub))(t)}.Message(sid))
	read(t, c, wire.CommandStoreRequest)
	send1(t, c, wire.StoreResponse{Reason: 1}.Message(sid))
	if e := check(wire.ParseEndSession(read(t, c, wire.CommandEndSession)))(t); e.Reason != wire.ReasonOK {
		t.Error(e)
	}
}

func read(t *testing.T, c net.Conn, want wire.Command) wire.Message {
	t.Helper()
	m, err := wire.Read(c, 0)
	if err != nil || m.Command != want {
		t.Fatalf("%v %v, want %v", m, err, want)
	}
	return m
}

func send1(t *testing.T, c net.Conn, m wire.Message) {
	t.Helper()
	if err := wire.Write(c, m); err != nil {
		t.Fatal(err)
	}
}

// TestOperations: delete and troubleshoot, by null string and by existing certificate.
func TestOperations(t *testing.T) {
	k := start(t, func(c *Config) { c.Sweep = time.Hour })
	k.create(capfprofile.Order{Owner: phone, Operation: install, Mode: byNull, Order: capfprofile.RSAOnly})
	d := &device{name: phone.Device}
	if r := k.enrol(d); r.Err != nil {
		t.Fatal(r)
	}
	first := d.stored
	d.existing = &held{d.stored, wire.CertLSC, d.key}

	k.create(capfprofile.Order{Owner: phone, Operation: capfprofile.Troubleshoot, Mode: capfprofile.ByExistingLSC})
	if r := k.enrol(d); r.Err != nil {
		t.Fatal(r)
	}
	if p := k.profile(phone); p.Status != "Troubleshoot Success" || len(p.Fetched) != 1 || p.Fetched[0].Ref != pki.RefOf(first) {
		t.Fatalf("%+v", p)
	}

	k.create(capfprofile.Order{Owner: phone, Operation: install, Mode: capfprofile.ByExistingLSC})
	if r := k.enrol(d); r.Err != nil {
		t.Fatal(r)
	}
	p := k.profile(phone)
	if p.Status != "Upgrade Success" || len(p.Superseded) != 1 || p.LSC.Ref == pki.RefOf(first) {
		t.Fatalf("%+v", p)
	}
	d.existing = &held{d.stored, wire.CertLSC, d.key}

	k.create(capfprofile.Order{Owner: phone, Operation: capfprofile.Delete, Mode: capfprofile.ByExistingMIC})
	if r := k.enrol(d); r.Err != nil {
		t.Fatal(r)
	}
	k.until(phone, "swept", func(p capfprofile.Profile) bool { return p.Status == "Delete Success" && p.LSC == nil })
	if err := k.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := check(k.reg.Lookup(t.Context(), p.LSC.Ref))(t); e.Revoked.IsZero() {
		t.Error("a deleted LSC is revoked at once")
	}

	// It is revoked: it proves nothing any more.
	k.create(capfprofile.Order{Owner: phone, Operation: install, Mode: capfprofile.ByExistingLSC})
	if r := k.enrol(d); r.Reason != wire.ReasonRefused || len(k.records("proves nothing")) == 0 {
		t.Errorf("%+v", r)
	}
	if p := k.profile(phone); p.Status != "Upgrade Failed: Invalid LSC" {
		t.Errorf("%+v", p)
	}
}

// TestExistingCertificates: whose certificate proves whom.
func TestExistingCertificates(t *testing.T) {
	k := start(t, nil)
	issue := func(kind pki.Kind, name string) *held {
		key := check(rsaKey(2048))(t)
		i := check(k.ca.Issue(t.Context(), pki.Request{Kind: kind, Name: name, PublicKey: key.Public()}))(t)
		return &held{i.Credential.Leaf(), wire.CertLSC, key}
	}
	own, other, app := issue(pki.KindDevice, phone.Device), issue(pki.KindDevice, "SEP00000000FFFF"), issue(pki.KindCTI, phone.Device)
	maker, mic := manufacturer(t, "CP-8861-"+phone.Device)
	stranger, alien := manufacturer(t, "CP-8861-"+phone.Device)
	_ = stranger
	trust := check(k.ca.Trust(pki.Anchor{Certificate: maker, Kinds: pki.KindsOf(pki.KindDevice)}))(t)
	s := k.id.Snapshot()
	s.Trust = trust
	if err := k.id.Replace(s); err != nil {
		t.Fatal(err)
	}
	forged := &held{own.cert, wire.CertLSC, check(rsaKey(2048))(t)}
	for _, c := range []struct {
		name  string
		with  *held
		mode  capfprofile.AuthMode
		wants bool
	}{
		{"its own LSC", own, capfprofile.ByExistingLSC, true},
		{"its MIC", mic, capfprofile.ByExistingMIC, true},
		{"its MIC where the LSC comes first", mic, capfprofile.ByExistingLSC, true},
		{"another device's LSC", other, capfprofile.ByExistingLSC, false},
		{"an application's certificate of the name", app, capfprofile.ByExistingLSC, false},
		{"a MIC of an unknown maker", alien, capfprofile.ByExistingMIC, false},
		{"its LSC without the key", forged, capfprofile.ByExistingLSC, false},
	} {
		k.create(capfprofile.Order{Owner: phone, Operation: capfprofile.Troubleshoot, Mode: c.mode, Replace: true})
		r := k.enrol(&device{name: phone.Device, existing: c.with})
		if (r.Err == nil) != c.wants {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

// TestRenewalByItself: in the last third of its life an LSC is renewed without an order, by SUDI_DATA only.
func TestRenewalByItself(t *testing.T) {
	var mu sync.Mutex
	ahead := time.Duration(0)
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(ahead) }
	k := start(t, func(c *Config) { c.Now = now })
	app := capfprofile.Owner{User: "tapi", Instance: "9"}
	d := &device{name: "CTI-9", password: k.create(capfprofile.Order{Owner: app, Operation: install}), version: 1}
	if r := k.enrol(d); r.Err != nil {
		t.Fatal(r)
	}
	d.existing, d.version, d.password, d.sudi = &held{d.stored, wire.CertLSC, d.key}, 3, "", true
	if r := k.enrol(d); r.Reason != wire.ReasonNone {
		t.Fatalf("too early: %+v", r)
	}
	mu.Lock()
	ahead = time.Until(d.stored.NotAfter) - 24*time.Hour
	mu.Unlock()
	old := d.stored
	d.sudi = false
	if r := k.enrol(d); r.Reason != wire.ReasonNone {
		t.Fatalf("a proof that can be replayed: %+v", r)
	}
	d.sudi = true
	if r := k.enrol(d); r.Err != nil || d.stored.Equal(old) {
		t.Fatalf("%+v", r)
	}
}

// TestWrongAndUnknown: reasons 7, 9 and 0, names with path characters, and the lock-out with its alarm.
func TestWrongAndUnknown(t *testing.T) {
	k := start(t, nil)
	for name, want := range map[string]wire.Reason{
		"SEP0000000000AA": wire.ReasonNone, // the site has the device, nothing pends
		"SEPDEADBEEF0000": wire.ReasonUnknown, "../../etc/passwd": wire.ReasonUnknown, "CTI-../x": wire.ReasonUnknown, "device/SEP1%2f..": wire.ReasonUnknown,
		"CTI-": wire.ReasonUnknown, strings.Repeat("A", 5000): wire.ReasonUnknown,
	} {
		if r := k.enrol(&device{name: name}); r.Reason != want || want == 9 && r.Err == nil {
			t.Errorf("%.40q: %+v", name, r)
		}
	}
	s := k.create(capfprofile.Order{Owner: phone, Operation: install, String: "4711"})
	for i := range 5 {
		if r := k.enrol(&device{name: phone.Device, password: fmt.Sprint(1000 + i)}); r.Reason != wire.ReasonRefused {
			t.Errorf("%+v", r)
		}
	}
	if r := k.enrol(&device{name: phone.Device, password: s}); r.Reason != wire.ReasonRefused {
		t.Errorf("the right string of a locked profile: %+v", r)
	}
	alarms := 0
	for _, r := range k.records("refused") {
		if r.Field("alarm") == "capf-lock-out" {
			alarms++
		}
	}
	if p := k.profile(phone); alarms != 1 || k.counts.lockouts.Load() != 1 || p.Status != "Upgrade Failed: Invalid Authentication String" || p.LockedUntil.IsZero() {
		t.Errorf("%d alarms, %+v", alarms, p)
	}
	problem := func() string { return k.Status(t.Context()).Problem }
	if !strings.Contains(problem(), phone.Device+" until ") || !strings.Contains(problem(), "capf profile show") {
		t.Errorf("the status says %q", problem())
	}
	k.lockouts = lockouts{} // as after a restart, or locked by another node
	if err := k.Sweep(t.Context()); err != nil || !strings.Contains(problem(), phone.Device+" until ") {
		t.Errorf("the status says %q behind a sweep; %v", problem(), err)
	}
	check(k.Book().Reset(t.Context(), phone, false))(t)
	if problem() != "" {
		t.Errorf("the status says %q after the reset", problem())
	}
	if r := k.enrol(&device{name: phone.Device, password: s}); r.Err != nil {
		t.Errorf("after a reset: %+v", r)
	}
}

// TestResetAfterStoreRequest: the certificate was sent, the connection was reset: a communication failure, the former
// LSC valid, and the next attempt succeeds.
func TestResetAfterStoreRequest(t *testing.T) {
	k := start(t, nil)
	d := &device{name: phone.Device, password: k.create(capfprofile.Order{Owner: phone, Operation: install})}
	if r := k.enrol(d); r.Err != nil {
		t.Fatal(r)
	}
	first := d.stored
	d.password = k.create(capfprofile.Order{Owner: phone, Operation: install, Order: capfprofile.RSAOnly})
	c := k.mustDial()
	sid := read(t, c, wire.CommandAuthRequest).Session
	send1(t, c, wire.AuthResponse{Version: 3, Device: phone.Device, Reason: 1, Password: wire.NewSecret(d.password)}.Message(sid))
	read(t, c, wire.CommandKeygenRequest)
	send1(t, c, wire.KeygenResponse{Reason: 1, PublicKey: testKey(t, "rsa2048")}.Message(sid))
	sent := check(wire.ParseStoreRequest(read(t, c, wire.CommandStoreRequest)))(t)
	_ = c.NetConn().(*net.TCPConn).SetLinger(0)
	c.NetConn().Close()
	p := k.until(phone, "failed", func(p capfprofile.Profile) bool { return p.Status == "Upgrade Failed: Phone Communication Failure" })
	cert := check(x509.ParseCertificate(sent.Certificate.DER))(t)
	if p.LSC.Ref != pki.RefOf(first) || p.Unconfirmed == nil || p.Unconfirmed.Ref != pki.RefOf(cert) {
		t.Errorf("%+v", p)
	}
	if e := check(k.reg.Lookup(t.Context(), pki.RefOf(first)))(t); !e.Revoked.IsZero() {
		t.Error("the former LSC is revoked")
	}
	if r := k.enrol(d); r.Err != nil {
		t.Errorf("the next attempt: %+v", r)
	}
}

// TestTwoSessionsOfOneDevice: both know the string; one certificate results, and what was issued for the other is revoked.
func TestTwoSessionsOfOneDevice(t *testing.T) {
	k := start(t, nil)
	s := k.create(capfprofile.Order{Owner: phone, Operation: install, Order: capfprofile.RSAOnly})
	begin := func() (*tls.Conn, uint32) {
		c := k.mustDial()
		sid := read(t, c, wire.CommandAuthRequest).Session
		send1(t, c, wire.AuthResponse{Version: 3, Device: phone.Device, Reason: 1, Password: wire.NewSecret(s)}.Message(sid))
		read(t, c, wire.CommandKeygenRequest)
		return c, sid
	}
	a, sidA := begin()
	b, sidB := begin()
	if sidA == sidB {
		t.Error("one session id twice")
	}
	send1(t, a, wire.KeygenResponse{Reason: 1, PublicKey: testKey(t, "rsa2048")}.Message(sidA))
	if e := check(wire.ParseEndSession(read(t, a, wire.CommandEndSession)))(t); e.Reason != wire.ReasonRefused {
		t.Error(e)
	}
	// A replay of A's message in B's session.
	send1(t, b, wire.KeygenResponse{Reason: 1, PublicKey: testKey(t, "rsa2048")}.Message(sidB))
	read(t, b, wire.CommandStoreRequest)
	send1(t, b, wire.StoreResponse{Reason: 1}.Message(sidB))
	if e := check(wire.ParseEndSession(read(t, b, wire.CommandEndSession)))(t); e.Reason != wire.ReasonOK {
		t.Error(e)
	}
	valid := 0
	for _, e := range check(k.reg.Entries(t.Context()))(t) {
		if e.Name == phone.Device && e.Revoked.IsZero() && e.NotBefore.After(k.started.Add(-2*time.Hour)) && e.Fingerprint == k.profile(phone).LSC.Fingerprint {
			valid++
		}
	}
	if valid != 1 {
		t.Errorf("%d certificates are valid", valid)
	}
}

// TestSilentClients: clients that connect and say nothing block nobody, and are gone after their time.
func TestSilentClients(t *testing.T) {
	k := start(t, func(c *Config) {
		c.Limits.Handshake, c.Limits.PerAddress, c.Times.Greeting = 500*time.Millisecond, 20, 500*time.Millisecond
	})
	var silent []net.Conn
	for range 10 {
		silent = append(silent, check(net.Dial("tcp", k.addr))(t), k.mustDial().NetConn())
	}
	if _, err := k.dial(nil); err == nil {
		t.Error("more connections of one address than allowed")
	}
	for _, c := range silent {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Error("a silent client is still there")
		}
		c.Close()
	}
	k.create(capfprofile.Order{Owner: phone, Operation: install, Mode: byNull})
	if r := k.enrol(&device{name: phone.Device}); r.Err != nil {
		t.Error(r)
	}
	if k.counts.refusedConnections.Load() == 0 || k.counts.failedHandshakes.Load() == 0 {
		t.Error("not counted")
	}
}

// TestOneSilentClient: a phone enrols at once while a client sits in its handshake.
func TestOneSilentClient(t *testing.T) {
	k := start(t, nil)
	c := check(net.Dial("tcp", k.addr))(t)
	defer c.Close()
	k.create(capfprofile.Order{Owner: phone, Operation: install, Mode: byNull})
	begun := time.Now()
	if r := k.enrol(&device{name: phone.Device}); r.Err != nil {
		t.Fatal(r)
	}
	if d := time.Since(begun); d > k.cfg.Limits.Handshake/2 {
		t.Errorf("it took %v", d)
	}
}

// TestLies: lengths that lie, elements past the end, another protocol, more than a message may hold.
func TestLies(t *testing.T) {
	k := start(t, nil)
	for name, raw := range map[string]string{
		"body longer than allowed": "\x55\x02\x00\x00\x00\x01\xff\xff",
		"element past the end":     "\x55\x02\x00\x00\x00\x01\x00\x04\x0d\xff\xff\x00",
		"no CAPF":                  "GET / HTTP/1.1\r\n\r\n",
		"empty":                    "\x55\x02\x00\x00\x00\x01\x00\x00",
		"giant count":              "\x55\x02\x00\x00\x00\x01\x00\x0c\x04\x00\x05\xff\x00\x02\x00\x01\x0d\x00\x01A",
	} {
		c := k.mustDial()
		read(t, c, wire.CommandAuthRequest)
		if _, err := io.WriteString(c, raw); err != nil {
			t.Fatal(err)
		}
		if e := check(wire.ParseEndSession(read(t, c, wire.CommandEndSession)))(t); e.Reason != wire.ReasonRefused {
			t.Errorf("%s: %v", name, e)
		}
		c.Close()
	}
	if k.counts.malformed.Load() == 0 {
		t.Error("not counted")
	}
}

// TestTLS: what is spoken, what needs the exception, and what a refusal tells.
func TestTLS(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		k := start(t, func(c *Config) { c.LegacyRSA = legacy })
		rows := check(bus.Ask[bus.Query, []bus.Exception](t.Context(), k.cfg.Bus, k.cfg.Bus.Subject(Name, bus.VerbExceptions).To("node1"), bus.Query{}))(t)
		if (len(rows) == 1 && rows[0].Setting == Exception) != legacy {
			t.Errorf("%v: %+v", legacy, rows)
		}
		for _, c := range []struct {
			name      string
			min, max  uint16
			suites    []uint16
			ok, onLeg bool
			says      string
		}{
			{"1.3", tls.VersionTLS13, tls.VersionTLS13, nil, true, true, ""},
			{"1.2", tls.VersionTLS12, tls.VersionTLS12, nil, true, true, ""},
			{"1.2 RSA", tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, true, true, ""},
			{"JTAPI", tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}, false, true, "knows no cipher suite with forward secrecy"},
			{"AES-256", tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_256_CBC_SHA}, false, false, "shares no cipher suite"},
			{"1.1", tls.VersionTLS10, tls.VersionTLS11, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}, false, false, "speaks nothing newer than TLS 1.1"},
			{"1.0", tls.VersionTLS10, tls.VersionTLS10, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}, false, false, "speaks nothing newer than TLS 1.0"},
		} {
			conn, err := k.dial(func(cfg *tls.Config) { cfg.MinVersion, cfg.MaxVersion, cfg.CipherSuites = c.min, c.max, c.suites })
			want := c.ok || legacy && c.onLeg
			if (err == nil) != want {
				t.Errorf("%s, exception %v: %v", c.name, legacy, err)
			}
			if err == nil {
				conn.Close()
				continue
			}
			k.waitFor(func() bool { return len(k.records(c.says)) > 0 }, c.says)
			if r := k.records(c.says)[0]; !strings.Contains(r.Field("offered"), "TLS 1.") || r.Field("fix") == "" {
				t.Errorf("%s: %+v", c.name, r)
			}
		}
		conns := check(bus.Ask[bus.Query, []bus.Connection](t.Context(), k.cfg.Bus, k.cfg.Bus.Subject(Name, bus.VerbConnections).To("node1"), bus.Query{}))(t)
		failed := ""
		for _, c := range conns {
			failed += c.LastFailure
		}
		if !strings.Contains(failed, "speaks nothing newer than TLS 1.0") {
			t.Errorf("%+v", conns)
		}
	}
}

// waitFor polls what happens a moment after the client has seen its side of it.
func (k *kit) waitFor(ok func() bool, what string) {
	k.t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			k.t.Fatalf("never: %s", what)
		}
	}
}

// TestBurst: many at once on a paced pool: all are served, the queue empties, nothing is left behind.
func TestBurst(t *testing.T) {
	k := start(t, func(c *Config) { c.Pace = Pace{Workers: 1, Share: 0.5} })
	const n = 40
	for i := range n {
		k.create(capfprofile.Order{Owner: capfprofile.Owner{Device: fmt.Sprintf("SEP%012d", i)}, Operation: install, Mode: byNull})
	}
	var wg sync.WaitGroup
	failed := make(chan string, n)
	for i := range n {
		wg.Go(func() {
			if r := k.enrol(&device{name: fmt.Sprintf("SEP%012d", i)}); r.Err != nil {
				failed <- fmt.Sprintf("%d: %+v", i, r)
			}
		})
	}
	wg.Wait()
	close(failed)
	for f := range failed {
		t.Error(f)
	}
	if got := k.counts.succeeded.Load(); got != n || k.pool.length() != 0 {
		t.Errorf("%d enrolled, %d jobs left", got, k.pool.length())
	}
}

// TestSweepLearnsOfUse: what a call manager tells of its connections lets the former LSC be revoked.
func TestSweepLearnsOfUse(t *testing.T) {
	k := start(t, func(c *Config) { c.Sweep = time.Hour })
	d := &device{name: phone.Device}
	var certs []*x509.Certificate
	for range 2 {
		k.create(capfprofile.Order{Owner: phone, Operation: install, Mode: byNull})
		if r := k.enrol(d); r.Err != nil {
			t.Fatal(r)
		}
		certs = append(certs, d.stored)
	}
	var row bus.Connection
	r := check(bus.Serve(k.cfg.Bus, k.cfg.Bus.Subject("callmanager", bus.VerbConnections), func(context.Context, bus.Query) ([]bus.Connection, error) { return []bus.Connection{row}, nil }))(t)
	defer r.Close()
	ref := pki.RefOf(certs[1])
	for i, verified := range []bool{false, true} {
		row = bus.Connection{Issuer: ref.Issuer, Serial: ref.Serial, Verified: verified}
		if err := k.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e := check(k.reg.Lookup(t.Context(), pki.RefOf(certs[0])))(t); e.Revoked.IsZero() != (i == 0) {
			t.Errorf("verified %v: revoked %v", verified, e.Revoked)
		}
	}
}
