package pki

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testIdentity is a service's identity under the shared CA that also trusts the anchors given.
func testIdentity(t testing.TB, service string, foreign ...Anchor) *Identity {
	t.Helper()
	ca := testCA(t)
	s := Snapshot{must(ca.Service(t.Context(), spec(service)))(t), must(ca.Trust(foreign...))(t)}
	return must(NewIdentity(service, s, nil))(t)
}

// nextEC returns new certificates for an identity, ECDSA only: RSA keys take their time, and are TestServiceLife's part.
func nextEC(t testing.TB, service string, generation int) Certificates {
	t.Helper()
	s, c := Certificates{Generation: generation}, spec(service)
	for _, role := range serviceRoles() {
		switch made := c.request(role, generation); role.role {
		case "server-ec":
			s.Server = append(s.Server, issue(t, testCA(t), made).Credential)
		case "client-ec":
			s.Client = append(s.Client, issue(t, testCA(t), made).Credential)
		}
	}
	return s
}

func services() PeerPolicy { return PeerPolicy{Kinds: KindsOf(KindService)} }

// TestChoice: the peer's ability decides which certificate is presented, in both directions and both versions.
func TestChoice(t *testing.T) {
	server, client := testIdentity(t, "alpha"), testIdentity(t, "beta")
	rsaOnly12 := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256} // as Cisco's CTI client
	for _, c := range []struct {
		name             string
		suites           []uint16
		max              uint16
		serverCN, client string
	}{
		{"1.3", nil, 0, "alpha.lab.test-EC", "beta.lab.test-client-EC"},
		{"1.2", nil, tls.VersionTLS12, "alpha.lab.test-EC", "beta.lab.test-client-EC"},
		{"1.2 RSA only", rsaOnly12, tls.VersionTLS12, "alpha.lab.test", "beta.lab.test-client-EC"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, outcomes := serve(t, server.ServerConfig(ServerPolicy{Peers: services()}))
			p := ClientPolicy{TLSPolicy: TLSPolicy{CipherSuites: c.suites, MaxVersion: c.max},
				ServerName: "some.other.name", Peer: PeerPolicy{Kinds: KindsOf(KindService), Names: Names{SIPDomain: "lab.test"}}}
			cs, err := exchange(addr, client.ClientConfig(p))
			if err != nil {
				t.Fatal(err)
			}
			if got := cs.PeerCertificates[0].Subject.CommonName; got != c.serverCN {
				t.Errorf("server presented %s", got)
			}
			if got := (<-outcomes).state.PeerCertificates[0].Subject.CommonName; got != c.client {
				t.Errorf("client presented %s", got)
			}
		})
	}
}

// TestChooseClient: a server that asks for RSA signatures gets the RSA certificate; CA names are a wish, not a rule.
func TestChooseClient(t *testing.T) {
	id := testIdentity(t, "beta")
	certs := id.cur.Load().client
	for _, c := range []struct {
		name    string
		schemes []tls.SignatureScheme
		cas     [][]byte
		cn      string
	}{
		{"both", []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256}, nil, "beta.lab.test-client-EC"},
		{"RSA only", []tls.SignatureScheme{tls.PSSWithSHA256}, nil, "beta.lab.test-client"},
		{"RSA CA", []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256}, [][]byte{testCA(t).roots.Load().active().rsa.cert.RawSubject}, "beta.lab.test-client"},
		{"strange CA", []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, [][]byte{{0x30, 0}}, "beta.lab.test-client-EC"},
		{"nothing we have", []tls.SignatureScheme{tls.Ed25519}, nil, ""},
	} {
		got := must(chooseClient(certs, &tls.CertificateRequestInfo{Version: tls.VersionTLS13, SignatureSchemes: c.schemes, AcceptableCAs: c.cas}))(t)
		cn := ""
		if got.Leaf != nil {
			cn = got.Leaf.Subject.CommonName
		}
		if cn != c.cn {
			t.Errorf("%s: %q", c.name, cn)
		}
	}
}

// TestReplace: certificates and trust change while a connection lives; the next handshake shows the new serial in both
// directions, and the old connection goes on.
func TestReplace(t *testing.T) {
	t.Run("as is", func(t *testing.T) { replaceBoth(t, func(c *tls.Config) *tls.Config { return c }) })
	t.Run("behind another GetConfigForClient", func(t *testing.T) {
		replaceBoth(t, func(c *tls.Config) *tls.Config {
			return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c, nil }}
		})
	})
}

func replaceBoth(t *testing.T, wrap func(*tls.Config) *tls.Config) {
	server, client := testIdentity(t, "alpha"), testIdentity(t, "beta")
	addr, outcomes := serve(t, wrap(server.ServerConfig(ServerPolicy{Peers: services()})))
	dial := client.ClientConfig(ClientPolicy{Peer: services()})
	old := must(tls.Dial("tcp", addr, dial))(t)
	defer old.Close()
	if err := ping(old); err != nil {
		t.Fatal(err)
	}
	for _, id := range []*Identity{server, client} {
		s := id.Snapshot()
		s.Certificates = nextEC(t, id.Name(), 2)
		if err := id.Replace(s); err != nil {
			t.Fatal(err)
		}
	}
	cs, err := exchange(addr, dial)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := cs.PeerCertificates[0], server.Snapshot().Certificates.Server[0].Leaf(); !got.Equal(want) {
		t.Errorf("server presents %s, serial %x", subject(got), got.SerialNumber)
	}
	if got, want := (<-outcomes).state.PeerCertificates[0], client.Snapshot().Certificates.Client[0].Leaf(); !got.Equal(want) {
		t.Errorf("client presents %s, serial %x", subject(got), got.SerialNumber)
	}
	if err := ping(old); err != nil {
		t.Errorf("the old connection died: %v", err)
	}
	old.Close()
	if got := (<-outcomes).state.PeerCertificates[0].Subject.CommonName; got != "beta.lab.test-client-EC" {
		t.Errorf("the old connection had %s", got)
	}
	bad := server.Snapshot()
	bad.Certificates.Server = []Credential{{Chain: bad.Certificates.Server[0].Chain, Key: ecKey(t)}}
	if err := server.Replace(bad); err == nil {
		t.Error("a snapshot whose key does not fit is taken")
	}
	if err := server.Replace(Snapshot{Certificates: server.Snapshot().Certificates}); err == nil {
		t.Error("a snapshot without trust is taken")
	}
}

// TestResumption: a session is resumed while nothing changed; not after a change of certificates; and a peer whose
// anchor was removed, or who was revoked, is refused when it resumes, as it is otherwise.
func TestResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) { resumption(t, version) })
	}
}

func resumption(t *testing.T, version uint16) {
	k := newGoKit(t)
	now := at()
	server := testIdentity(t, "alpha", Anchor{k.root.Leaf(), KindsOf(KindDevice)})
	server.now = func() time.Time { return now }
	policy := ServerPolicy{TLSPolicy: TLSPolicy{MaxVersion: version}, Peers: PeerPolicy{Kinds: KindsOf(KindDevice)}}
	addr, outcomes := serve(t, server.ServerConfig(policy))
	phone := clientWith(k.made["good"])
	phone.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	phone.ServerName = "x"
	asked := 0 // a client that resumes is not asked for its certificate
	choose := phone.GetClientCertificate
	phone.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) { asked++; return choose(r) }
	try := func(wantResumed bool, wantRule Rule) {
		t.Helper()
		cs, err := exchange(addr, phone)
		got := <-outcomes
		if f, _ := FindingsOf(got.err).First(); f.Rule != wantRule || (err == nil) != (wantRule == "") {
			t.Fatalf("server %v, client %v; want rule %q", got.err, err, wantRule)
		}
		if err == nil && cs.DidResume != wantResumed {
			t.Fatalf("resumed: %v", cs.DidResume)
		}
	}
	resumedAndRefused := func(rule Rule) {
		t.Helper()
		before := asked
		try(true, rule)
		if asked != before {
			t.Fatal("refused in a full handshake: the case was resumption")
		}
	}
	replace := func(change func(*Snapshot)) {
		t.Helper()
		s := server.Snapshot()
		change(&s)
		if err := server.Replace(s); err != nil {
			t.Fatal(err)
		}
	}
	try(false, "")
	try(true, "")
	full := server.Snapshot().Trust
	replace(func(s *Snapshot) { s.Trust = must(s.Trust.WithAnchors(Anchor{newGoKit(t).root.Leaf(), AllKinds()}))(t) })
	try(true, "") // other trust, same certificates: still resumed, and verified
	replace(func(s *Snapshot) { s.Certificates = nextEC(t, "alpha", 2) })
	try(false, "") // a ticket of the old certificates
	try(true, "")
	replace(func(s *Snapshot) { s.Trust = s.Trust.Without(k.root.Leaf()) })
	resumedAndRefused(RuleIssuerKey)
	replace(func(s *Snapshot) { s.Trust = full })
	phone.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	try(false, "")
	try(true, "")
	now = k.made["good"].Leaf().NotAfter.Add(time.Minute)
	try(false, RuleExpired) // crypto/tls drops the ticket for its age
}

// TestRevokedResumption: revoking in the register needs no new snapshot.
func TestRevokedResumption(t *testing.T) {
	ca := testCA(t)
	server := testIdentity(t, "alpha")
	addr, outcomes := serve(t, server.ServerConfig(ServerPolicy{Peers: PeerPolicy{Kinds: KindsOf(KindDevice)}}))
	i := issue(t, ca, Request{Kind: KindDevice, Name: "SEP00000000EEEE"})
	phone := clientWith(i.Credential)
	phone.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	phone.ServerName = "x"
	for _, resumed := range []bool{false, true} {
		if cs, err := exchange(addr, phone); err != nil || cs.DidResume != resumed {
			t.Fatalf("%v, resumed %v", err, cs.DidResume)
		}
		<-outcomes
	}
	if err := ca.Revoke(t.Context(), i.Entry.Ref, "lost"); err != nil {
		t.Fatal(err)
	}
	if _, err := exchange(addr, phone); err == nil {
		t.Error("let in")
	}
	if o := <-outcomes; !FindingsOf(o.err).Has(RuleRevoked) {
		t.Error(o.err)
	}
}

// TestDial: the dialling side refuses a server by the same rules, and says so.
func TestDial(t *testing.T) {
	client := testIdentity(t, "beta")
	server := testIdentity(t, "alpha")
	rogue := newGoKit(t)
	rogueTemplate := clientTemplate("alpha.lab.test")
	rogueTemplate.ExtKeyUsage, rogueTemplate.DNSNames = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []string{"alpha.lab.test"}
	rogueTemplate.NotBefore, rogueTemplate.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(year)
	rogueCert := sign(t, rogueTemplate, ecKey(t), &rogue.root).TLS()
	good, _ := serve(t, server.ServerConfig(ServerPolicy{Peers: services()}))
	bad, _ := serve(t, &tls.Config{Certificates: []tls.Certificate{rogueCert}})
	for _, c := range []struct {
		name, addr string
		names      Names
		rule       Rule
	}{
		{"by host", good, Names{Host: "alpha.lab.test"}, ""},
		{"by address", good, Names{Host: "127.0.0.1"}, ""},
		{"by localhost", good, Names{Host: "localhost"}, ""},
		{"by domain", good, Names{SIPDomain: "lab.test"}, ""},
		{"other host", good, Names{Host: "other.lab.test"}, RuleName},
		{"rogue", bad, Names{Host: "alpha.lab.test"}, RuleIssuerMissing},
	} {
		_, err := exchange(c.addr, client.ClientConfig(ClientPolicy{Peer: PeerPolicy{Peer: "dialled", Kinds: KindsOf(KindService), Names: c.names}}))
		if f, _ := FindingsOf(err).First(); f.Rule != c.rule || (err == nil) != (c.rule == "") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestClientAuth: what each setting does with a client without a certificate.
func TestClientAuth(t *testing.T) {
	id := testIdentity(t, "alpha")
	for auth, ok := range map[ClientAuth]bool{ClientAuthRequired: false, ClientAuthOptional: true, ClientAuthNone: true} {
		p := ServerPolicy{ClientAuth: auth, Peers: services()}
		addr, outcomes := serve(t, id.ServerConfig(p))
		_, err := exchange(addr, &tls.Config{InsecureSkipVerify: true})
		o := <-outcomes
		if (err == nil) != ok {
			t.Errorf("%d: client %v, server %v", auth, err, o.err)
		}
		if !ok && !Explain(o.err, PeerIsClient).Has(RuleNoCertificate) {
			t.Errorf("%v is not explained: %v", o.err, Explain(o.err, PeerIsClient))
		}
		if weak := p.Weaknesses(); (len(weak) == 0) != (auth == ClientAuthRequired) {
			t.Errorf("%d: weaknesses %q", auth, weak)
		}
	}
}

// TestFloor: TLS 1.1 and CBC suites are refused by default, and let in, and listed, by exception.
func TestFloor(t *testing.T) {
	ca := testCA(t)
	id := testIdentity(t, "alpha")
	phone := issue(t, ca, Request{Kind: KindDevice, Name: "SEP00000000FFFF"}).Credential
	old := clientWith(phone)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	cbc := clientWith(phone)
	cbc.MaxVersion, cbc.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	devices := PeerPolicy{Kinds: KindsOf(KindDevice)}
	weak := ServerPolicy{TLSPolicy: TLSPolicy{MinVersion: tls.VersionTLS10, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, Peers: devices}
	strong := ServerPolicy{Peers: devices}
	if w := weak.Weaknesses(); len(w) != 2 {
		t.Errorf("weaknesses: %q", w)
	}
	for _, c := range []struct {
		policy ServerPolicy
		client *tls.Config
		ok     bool
	}{{strong, old, false}, {strong, cbc, false}, {weak, old, true}, {weak, cbc, true}} {
		addr, outcomes := serve(t, id.ServerConfig(c.policy))
		_, err := exchange(addr, c.client)
		o := <-outcomes
		if (err == nil) != c.ok {
			t.Errorf("client %v, server %v", err, o.err)
		}
		if !c.ok {
			server, client := Explain(o.err, PeerIsClient), Explain(err, PeerIsServer)
			if !server.Has(RuleProtocol) || !client.Has(RuleAlert) {
				t.Errorf("not explained: %v / %v", server, client)
			}
		}
	}
}

// TestCiscoClientHello: the recorded hello of Cisco's CTI client, which has no ECDSA suite, gets the RSA certificate.
func TestCiscoClientHello(t *testing.T) {
	shared := os.Getenv("LOCKTONE_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	text, err := os.ReadFile(filepath.Join(shared, "vectors", "jtapi-secure", "clienthello-cti.hex"))
	if err != nil {
		t.Skipf("the recorded hello is not there (set LOCKTONE_SHARED): %v", err)
	}
	hello := must(decodeHex(string(text)))(t)
	id := testIdentity(t, "alpha")
	var chosen *tls.Certificate
	cfg := id.ServerConfig(ServerPolicy{Peers: PeerPolicy{Kinds: KindsOf(KindCTI)}})
	inner := must(cfg.GetConfigForClient(nil))(t)
	cfg.GetConfigForClient = nil
	cfg.GetCertificate = func(h *tls.ClientHelloInfo) (c *tls.Certificate, err error) {
		chosen, err = inner.GetCertificate(h)
		return chosen, err
	}
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		a.Write(hello)
		a.Read(make([]byte, 1))
		a.Close()
	}()
	err = tls.Server(b, cfg).HandshakeContext(t.Context())
	if chosen == nil {
		t.Fatalf("no certificate was chosen: %v", err)
	}
	if _, ok := chosen.Leaf.PublicKey.(*rsa.PublicKey); !ok {
		t.Errorf("chose %s", subject(chosen.Leaf))
	}
}

func decodeHex(s string) ([]byte, error) {
	var out []byte
	var hi byte
	half := false
	for _, r := range s {
		d := strings.IndexRune("0123456789abcdef", r)
		switch {
		case d < 0:
		case half:
			out, half = append(out, hi<<4|byte(d)), false
		default:
			hi, half = byte(d), true
		}
	}
	if half {
		return nil, errors.New("odd number of digits")
	}
	return out, nil
}

// TestExplain: errors that are no findings of the verifier.
func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err  error
		rule Rule
		says string
	}{
		{&net.OpError{Op: "remote error", Err: tls.AlertError(48)}, RuleAlert, "alert 48 (unknown certificate authority), most likely because it does not trust the CA that issued our client certificate: install our roots"},
		{&net.OpError{Op: "remote error", Err: tls.AlertError(116)}, RuleAlert, "wants a client certificate and got none"},
		{&net.OpError{Op: "remote error", Err: tls.AlertError(200)}, RuleAlert, "alert 200"},
		{context.DeadlineExceeded, RuleProtocol, "did not finish the handshake in time"},
		{net.ErrClosed, RuleProtocol, "could not complete the handshake"},
		{tls.RecordHeaderError{Msg: "x", RecordHeader: [5]byte{'S', 'I', 'P', '/', '2'}}, RuleProtocol, `does not speak TLS: it began with "SIP/2", which is plain text`},
	} {
		fs := Explain(c.err, PeerIsServer)
		f, ok := fs.First()
		if !ok || f.Rule != c.rule || f.Severity != Refusal || !strings.Contains(f.String(), c.says) {
			t.Errorf("%v: %v", c.err, fs)
		}
	}
	if Explain(nil, PeerIsServer) != nil {
		t.Error("nil is explained")
	}
	for n := range 256 { // every alert has a cause and a fix
		for _, side := range []Side{PeerIsClient, PeerIsServer} {
			for _, f := range explainAlert(tls.AlertError(n), side) {
				if f.Fix == "" || f.What == "" {
					t.Errorf("alert %d: %+v", n, f)
				}
			}
		}
	}
}

// TestChangesAtOnce: trust is replaced while certificates are renewed, as an upload in the middle of a rotation does: neither
// brings back what the other has replaced.
func TestChangesAtOnce(t *testing.T) {
	id := testIdentity(t, "alpha")
	c := nextEC(t, "alpha", 2)
	old, next := id.Snapshot().Trust, must(testCA(t).Trust())(t)
	const turns = 2000
	ended := make(chan error, 1)
	go func() {
		for i := range turns {
			trust := old
			if i%2 == 0 {
				trust = next
			}
			if err := id.SetTrust(trust); err != nil {
				ended <- err
				return
			}
			if id.Snapshot().Trust != trust {
				ended <- errors.New("a renewal brought the old trust back")
				return
			}
		}
		ended <- nil
	}()
	for generation := 2; generation < turns; generation++ {
		c.Generation = generation
		if changed, err := id.renew(c); !changed || err != nil {
			t.Fatal(changed, err)
		}
		if got := id.Snapshot().Certificates.Generation; got != generation {
			t.Fatalf("generation %d is in use after %d was taken into use", got, generation)
		}
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	c.Generation = 2
	if changed, err := id.renew(c); changed || err != nil || id.Snapshot().Certificates.Generation != turns-1 {
		t.Errorf("a late renewal goes back to generation %d: %v", id.Snapshot().Certificates.Generation, err)
	}
}
