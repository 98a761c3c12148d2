package enroll

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/phonexml"
	"github.com/locktone/locktone/wire/trustlist"
)

const phoneName = "SEP001122334455"

func (s *site) phone(t *testing.T, dir string) PhoneConfig {
	t.Helper()
	return PhoneConfig{Name: phoneName, Dir: dir, Source: s, Authorization: capf.JoinToken{Password: capf.NewSecret("1234567890")}, Now: s.now, Dial: s.dial}
}

func openPhone(t *testing.T, cfg PhoneConfig) *Phone {
	t.Helper()
	p, err := NewPhone(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// publishITL serves an ITL with TVS, signed as lists are.
func (s *site) publishITL(signer trustlist.Signer) {
	entries := append(s.entries(), trustlist.Entry{Role: trustlist.RoleTVS, Name: "127.0.0.1", Address: netip.MustParseAddr("127.0.0.1"), Certificate: s.callManager.Certificate})
	s.serve(s.list(trustlist.ITL, signer, s.now(), entries...), "ITLFile.tlv")
	s.serve(s.files["CTLFile.tlv"], "CTL"+phoneName+".tlv")
}

// configure serves the phone's configuration, signed by the call manager; encrypted to a certificate when there is one.
func (s *site) configure(mode phonexml.CAPFAuthMode, encrypted bool, to *x509.Certificate) {
	s.t.Helper()
	d := phonexml.New(phonexml.SIPProtocol)
	d.Pool.Members = []phonexml.Member{{Host: "cm1.lab", SecureSIPPort: 5061}}
	d.CAPFAuthMode, d.CAPF, d.EncryptedConfig = mode, []phonexml.Server{{Host: "127.0.0.1", Port: 3804}}, encrypted
	if encrypted {
		var der []byte
		if to != nil {
			der = to.Raw
			key := to.PublicKey.(*rsa.PublicKey)
			b, err := trustlist.EncryptFile(s.xml(d), key, trustlist.FileOptions{Filename: phoneName + encryptedEnd, Time: s.now()}, s.callManager)
			if err != nil {
				s.t.Fatal(err)
			}
			s.serve(b, phoneName+encryptedEnd)
		}
		d = phonexml.Short(d, der)
	}
	s.serve(s.sign(phoneName+signedEnd, s.xml(d), s.callManager), phoneName+signedEnd)
}

func (s *site) xml(d *phonexml.Device) []byte {
	s.t.Helper()
	b, err := phonexml.Marshal(d)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *site) sign(name string, payload []byte, signer trustlist.Signer) []byte {
	s.t.Helper()
	b, err := trustlist.SignFile(payload, trustlist.FileOptions{Filename: name, Time: s.now()}, signer)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// TestPhoneProvisions: lists, the short file, enrolment, the encrypted file; in that order.
func TestPhoneProvisions(t *testing.T) {
	s := newSite(t, time.Now)
	s.behave.order = capf.KeygenRequest{} // what configurations are encrypted to
	s.publishITL(s.first)
	s.configure(phonexml.CAPFString, true, nil)
	p := openPhone(t, s.phone(t, t.TempDir()))
	c, r, err := p.Provision(t.Context())
	if err != nil || !c.NeedsCertificate || r.Certificate == nil || r.Certificate.Subject.CommonName != phoneName {
		t.Fatalf("%+v, %+v, %v", c, r, err)
	}
	want := []string{"CTL" + phoneName + ".tlv", "ITL" + phoneName + ".tlv", "ITLFile.tlv", phoneName + signedEnd, phoneName + signedEnd}
	if !slices.Equal(s.asked, want) {
		t.Errorf("asked for %v\nwant %v", s.asked, want)
	}
	s.configure(phonexml.CAPFNone, true, r.Certificate) // the server has noticed the new LSC
	c, r, err = p.Provision(t.Context())
	if err != nil || !c.Encrypted || !c.Signed || c.NeedsCertificate || r.Certificate != nil || len(c.Device.Pool.Members) != 1 || !c.Device.FullConfig {
		t.Errorf("%+v, %+v, %v", c, r, err)
	}
	if got := s.asked[len(s.asked)-1]; got != phoneName+encryptedEnd {
		t.Errorf("the last file asked for is %s", got)
	}
	again := openPhone(t, s.phone(t, p.cfg.Dir)) // after a power cut it remembers all of it
	if c, err := again.Config(t.Context()); err != nil || !c.Encrypted {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestPhoneRefusesConfigurations(t *testing.T) {
	s := newSite(t, time.Now)
	s.publishITL(s.first)
	s.configure(phonexml.CAPFNone, false, nil)
	p := openPhone(t, s.phone(t, t.TempDir()))
	if _, err := p.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	name := phoneName + signedEnd
	good := s.files[name]
	if c, err := p.Config(t.Context()); err != nil || !c.Signed {
		t.Fatalf("%+v, %v", c, err)
	}
	plain := s.xml(phonexml.New(phonexml.SIPProtocol))
	for what, b := range map[string][]byte{
		"unsigned":                plain,
		"signed by a SAST":        s.sign(name, plain, s.first),
		"signed by CAPF":          s.sign(name, plain, s.authority),
		"another phone's":         s.sign("SEP665544332211.cnf.xml.sgn", plain, s.callManager),
		"flipped":                 append(append(bytes.Clone(good[:len(good)-9]), good[len(good)-9]^1), good[len(good)-8:]...),
		"signed, but not of ours": s.sign(name, []byte("<html></html>"), s.callManager),
	} {
		s.serve(b, name)
		if c, err := p.Config(t.Context()); stepOf(err) != "trust list" {
			t.Errorf("%s: %+v, %v", what, c, err)
		}
	}
	s.serve(nil, name)
	s.serve(plain, phoneName+plainEnd)
	if c, err := p.Config(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the unsigned file in place of the signed one: %+v, %v", c, err)
	}
	naive := openPhone(t, s.phone(t, t.TempDir())) // without lists it takes the plain file, and says so
	if c, err := naive.Config(t.Context()); err != nil || c.Signed {
		t.Errorf("%+v, %v", c, err)
	}
	pinned := s.phone(t, t.TempDir())
	pinned.Authorization.Signers = [][32]byte{pin(s.first)}
	if c, err := openPhone(t, pinned).Config(t.Context()); err == nil {
		t.Errorf("a pinned phone without a list takes %+v", c)
	}
}

// TestPhoneLists: by the CTL just fetched, by the list held, by TVS, and not otherwise.
func TestPhoneLists(t *testing.T) {
	s, evil := newSite(t, time.Now), newSite(t, time.Now)
	evil.publishITL(evil.first)
	s.publishITL(s.second) // not the CTL's signer, but a SAST of it
	p := openPhone(t, s.phone(t, t.TempDir()))
	l, err := p.Update(t.Context())
	if err != nil || l.CTL == nil || l.ITL == nil || len(l.Changed) != 2 || l.Pinned {
		t.Fatalf("%+v, %v", l, err)
	}
	if l, err = p.Update(t.Context()); err != nil || len(l.Changed) != 0 {
		t.Errorf("nothing new: %+v, %v", l, err)
	}
	held := l.CTL.Bytes()
	s.serve(evil.files["CTLFile.tlv"], "CTL"+phoneName+".tlv")
	if l, err = p.Update(t.Context()); stepOf(err) != "trust list" || !bytes.Equal(l.CTL.Bytes(), held) {
		t.Errorf("another site's: %v", err)
	}
	s.vouched = map[string][]byte{} // TVS does not know it either
	if _, err = p.Update(t.Context()); stepOf(err) != "trust list" || s.queries != 1 {
		t.Errorf("TVS says no: %v after %d queries", err, s.queries)
	}
	s.vouched[string(evil.first.Certificate.Raw)] = []byte{7} // known as a web server
	if _, err = p.Update(t.Context()); stepOf(err) != "trust list" {
		t.Errorf("TVS knows it in another role: %v", err)
	}
	s.vouched[string(evil.first.Certificate.Raw)] = []byte{0, 3} // a migration between clusters
	if l, err = p.Update(t.Context()); err != nil || bytes.Equal(l.CTL.Bytes(), held) {
		t.Errorf("TVS says yes: %v", err)
	}
	s.served.Wait()

	fresh := openPhone(t, s.phone(t, t.TempDir())) // the CTL is evil's now, the ITL is not
	if l, err = fresh.Update(t.Context()); stepOf(err) != "trust list" || l.ITL != nil || l.CTL == nil {
		t.Errorf("an ITL that the CTL does not vouch for: %+v, %v", l, err)
	}
	pinned := s.phone(t, t.TempDir())
	pinned.Authorization.Signers = [][32]byte{pin(s.first), pin(s.second)}
	if l, err = openPhone(t, pinned).Update(t.Context()); stepOf(err) != "trust list" || l.CTL != nil || l.ITL != nil {
		t.Errorf("pinned: %+v, %v", l, err)
	}
	s.serve(s.files["CTLFile.tlv"], "CTL"+phoneName+".tlv")
	if l, err = openPhone(t, pinned).Update(t.Context()); err != nil || !l.Pinned || l.ITL == nil {
		t.Errorf("pinned, the right lists: %+v, %v", l, err)
	}
}

// TestPhoneCTLTries: four, and then the list held counts, by telling the error.
func TestPhoneCTLTries(t *testing.T) {
	s := newSite(t, time.Now)
	s.fail = errors.New("no answer")
	if _, err := openPhone(t, s.phone(t, t.TempDir())).Update(t.Context()); stepOf(err) != "download" || len(s.asked) != ctlTries {
		t.Errorf("%v after %d", err, len(s.asked))
	}
}

// TestPhoneAuthenticates: each mode sends what it says and no more.
func TestPhoneAuthenticates(t *testing.T) {
	s := newSite(t, time.Now)
	s.publishITL(s.first)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	mic := certify(t, "CP-8861-"+phoneName, key.Public(), time.Now(), time.Now().Add(time.Hour), s.authority.Certificate, s.authority.Key)
	dir := t.TempDir()
	for _, c := range []struct {
		mode     phonexml.CAPFAuthMode
		password string
		kind     capf.CertType // of the certificate sent
	}{
		{phonexml.CAPFString, "1234567890", capf.CertNone},
		{phonexml.CAPFNullString, "", capf.CertNone},
		{phonexml.CAPFLSC, "", capf.CertLSC},
		{phonexml.CAPFMIC, "", capf.CertMIC},
	} {
		s.configure(c.mode, false, nil)
		s.behave.password, s.behave.existing = c.password, c.kind != capf.CertNone
		cfg := s.phone(t, dir)
		cfg.MIC = &tls.Certificate{Certificate: [][]byte{mic.Raw}, PrivateKey: key}
		_, r, err := openPhone(t, cfg).Provision(t.Context())
		who := s.seen[len(s.seen)-1]
		var sent capf.CertType
		if len(who.Certificates) > 0 {
			sent = who.Certificates[0].Type
		}
		if err != nil || r.Certificate == nil || who.Password.Reveal() != c.password || sent != c.kind {
			t.Errorf("mode %d: sent %v and a string of %d, %v", c.mode, sent, len(who.Password.Reveal()), err)
		}
	}
}

// TestPhoneTriesServers: the addresses of the configuration in their order, then those of the lists.
func TestPhoneTriesServers(t *testing.T) {
	s := newSite(t, time.Now)
	s.publishITL(s.first)
	d := phonexml.New(phonexml.SIPProtocol)
	d.CAPFAuthMode, d.CAPF = phonexml.CAPFString, []phonexml.Server{{Host: "10.0.0.1", Port: 3804}, {Host: "10.0.0.2", Port: 3805}}
	s.serve(s.sign(phoneName+signedEnd, s.xml(d), s.callManager), phoneName+signedEnd)
	s.dead = map[string]bool{"10.0.0.1:3804": true}
	p := openPhone(t, s.phone(t, t.TempDir()))
	if _, r, err := p.Provision(t.Context()); err != nil || !slices.Equal(s.dialled, []string{"10.0.0.1:3804", "10.0.0.2:3805"}) {
		t.Errorf("%v, %+v, %v", s.dialled, r, err)
	}
	s.dialled = nil
	p = openPhone(t, s.phone(t, t.TempDir()))
	if _, err := p.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Enroll(t.Context()); err != nil || !slices.Equal(s.dialled, []string{"127.0.0.1:3804"}) {
		t.Errorf("%v, %+v, %v", s.dialled, r, err)
	}
	if _, err := openPhone(t, s.phone(t, t.TempDir())).Enroll(t.Context()); stepOf(err) != "trust list" {
		t.Errorf("without a list: %v", err)
	}
}

// TestServerTLS: the call manager by the lists, with the LSC; CAPF in its place is refused.
func TestServerTLS(t *testing.T) {
	s := newSite(t, time.Now)
	c := open(t, s.config(t.TempDir()))
	r, err := c.Enroll(t.Context())
	must(t, r, err)
	dial := func(server trustlist.Signer) (shown string, err error) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		done := make(chan string, 1)
		go func() {
			conn := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{server.Certificate.Raw}, PrivateKey: server.Key}}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12})
			if conn.Handshake() != nil {
				done <- ""
				return
			}
			done <- conn.ConnectionState().PeerCertificates[0].Subject.CommonName
		}()
		err = tls.Client(a, c.Store().ServerTLS(nil)).Handshake()
		_ = a.Close()
		return <-done, err
	}
	if shown, err := dial(s.callManager); err != nil || shown != "CTI-inst1" {
		t.Errorf("%q, %v", shown, err)
	}
	var wrong *CertificateError
	if _, err := dial(s.authority); !errors.As(err, &wrong) {
		t.Errorf("CAPF as call manager: %v", err)
	}
}

func TestHTTPSource(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/CTLFile.tlv":
			_, _ = w.Write([]byte{1, 2, 3})
		case "/big":
			_, _ = w.Write(make([]byte, maxFile+1))
		case "/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/elsewhere":
			http.Redirect(w, r, "/CTLFile.tlv", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	h := HTTP{Server: strings.TrimPrefix(server.URL, "http://")}
	if b, err := h.Fetch(t.Context(), "CTLFile.tlv"); err != nil || !bytes.Equal(b, []byte{1, 2, 3}) {
		t.Errorf("%v, %v", b, err)
	}
	if _, err := h.Fetch(t.Context(), "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	for _, name := range []string{"big", "busy", "elsewhere"} {
		if b, err := h.Fetch(t.Context(), name); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %d octets, %v", name, len(b), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Fetch(ctx, "CTLFile.tlv"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
