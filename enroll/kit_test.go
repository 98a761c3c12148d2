package enroll

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/trustlist"
	"github.com/locktone/locktone/wire/tvs"
)

// rsaKeys are made once: four identities of a site.
var rsaKeys = sync.OnceValue(func() (out [4]*rsa.PrivateKey) {
	for i := range out {
		out[i], _ = rsa.GenerateKey(rand.Reader, 2048)
	}
	return out
})

var serial = struct {
	sync.Mutex
	n int64
}{}

func nextSerial() *big.Int {
	serial.Lock()
	defer serial.Unlock()
	serial.n++
	return big.NewInt(0x4000 + serial.n)
}

// certify makes a certificate; parent nil: self-signed.
func certify(t testing.TB, name string, public crypto.PublicKey, from, to time.Time, parent *x509.Certificate, key crypto.Signer) *x509.Certificate {
	t.Helper()
	draft := &x509.Certificate{SerialNumber: nextSerial(), Subject: pkix.Name{CommonName: name, Organization: []string{"Lab"}, Country: []string{"DE"}},
		NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	if parent == nil {
		parent = draft
		draft.IsCA, draft.BasicConstraintsValid, draft.KeyUsage = true, true, draft.KeyUsage|x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, draft, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// site is a small cluster: signed lists, files, and a CAPF server on pipes.
type site struct {
	t                      testing.TB
	now                    func() time.Time
	first, second          trustlist.Signer // two SAST signers
	callManager, authority trustlist.Signer // the authority issues the LSCs and is the CAPF server

	mu       sync.Mutex
	files    map[string][]byte
	asked    []string // file names
	fail     error    // of every fetch
	refuse   int      // connections to refuse before one is accepted
	sessions int
	behave   behaviour
	seen     []capf.AuthResponse
	keys     []string // public keys sent
	served   sync.WaitGroup
	dialled  []string
	dead     map[string]bool   // addresses that refuse connections
	vouched  map[string][]byte // roles that TVS answers with, by the signer's DER; nil: there is no TVS
	queries  int
}

// behaviour is what the CAPF server does.
type behaviour struct {
	order      capf.KeygenRequest // zero: RSA 2048
	password   string             // wanted
	existing   bool               // take an existing certificate of the authority in place of the string
	lifetime   time.Duration
	offer      *tls.Config // changes of the server's TLS, nil: none
	wrongKey   bool        // certify somebody else's key
	expired    bool
	later      int // sessions that end with RETRY_LATER after the key
	noCert     bool
	nothing    bool
	remove     bool
	hangUp     bool // after STORE_CERT_RES, in place of END_SESSION
	silent     bool
	withoutKey bool // hand out a certificate for the key of the session before, without an order
}

func newSite(t testing.TB, now func() time.Time) *site {
	t.Helper()
	keys := rsaKeys()
	make := func(i int, name string) trustlist.Signer {
		return trustlist.Signer{Certificate: certify(t, name, keys[i].Public(), now().Add(-time.Hour), now().Add(10*365*24*time.Hour), nil, keys[i]), Key: keys[i]}
	}
	s := &site{t: t, now: now, files: map[string][]byte{}, first: make(0, "SAST-1"), second: make(1, "SAST-2"), callManager: make(2, "cm1.lab"), authority: make(3, "CAPF-0a1b2c3d"),
		behave: behaviour{password: "1234567890", lifetime: 30 * 24 * time.Hour, order: capf.KeygenRequest{Type: capf.KeyEC, Curve: capf.CurveP256}}} // soon made
	s.publish(s.first, s.entries()...)
	return s
}

// entries are the records of the site's list.
func (s *site) entries() []trustlist.Entry {
	address := netip.MustParseAddr("127.0.0.1")
	return []trustlist.Entry{
		{Role: trustlist.RoleSAST, Name: "127.0.0.1", Address: address, Certificate: s.first.Certificate},
		{Role: trustlist.RoleSAST, Name: "127.0.0.1", Address: address, Certificate: s.second.Certificate},
		{Role: trustlist.RoleCCMTFTP, Name: "127.0.0.1", Address: address, Certificate: s.callManager.Certificate},
		{Role: trustlist.RoleCAPF, Name: "127.0.0.1", Address: address, Certificate: s.authority.Certificate},
	}
}

func (s *site) list(kind trustlist.Kind, signer trustlist.Signer, at time.Time, entries ...trustlist.Entry) []byte {
	s.t.Helper()
	b, _, err := trustlist.Draft{Kind: kind, Entries: entries, Time: at}.Sign(signer)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// publish serves a list under the names applications and devices ask for.
func (s *site) publish(signer trustlist.Signer, entries ...trustlist.Entry) {
	b := s.list(trustlist.CTL, signer, s.now(), entries...)
	s.serve(b, "CTLCAPF7F000001.tlv", "CTLFile.tlv")
}

func (s *site) serve(b []byte, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if b == nil {
			delete(s.files, name)
		} else {
			s.files[name] = b
		}
	}
}

func (s *site) set(change func(*behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.behave)
}

// Fetch makes a site a Source.
func (s *site) Fetch(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, name)
	if s.fail != nil {
		return nil, s.fail
	}
	b, ok := s.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return b, nil
}

// dial connects to the CAPF server by a pipe, which a bubble of synctest understands.
func (s *site) dial(_ context.Context, _, address string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasSuffix(address, ":2445") {
		return s.dialTVS()
	}
	s.dialled = append(s.dialled, address)
	if s.dead[address] {
		return nil, errors.New("connection refused")
	}
	s.sessions++
	if s.refuse > 0 {
		s.refuse--
		return nil, errors.New("connection refused")
	}
	client, server := net.Pipe()
	b, id := s.behave, uint32(s.sessions)
	s.served.Go(func() {
		defer server.Close()
		if b.silent {
			_, _ = server.Read(make([]byte, 1<<16))
			time.Sleep(time.Hour)
			return
		}
		c := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{s.authority.Certificate.Raw}, PrivateKey: s.authority.Key}}, MinVersion: tls.VersionTLS12}
		if b.offer != nil {
			c = b.offer
		}
		conn := tls.Server(server, c)
		if conn.Handshake() == nil {
			_ = s.session(conn, id, b)
		}
		_ = conn.Close()
	})
	return client, nil
}

var errEnd = errors.New("the session is over")

// session is the server's side of one dialogue.
func (s *site) session(conn net.Conn, id uint32, b behaviour) error {
	say := func(m interface{ Message(uint32) capf.Message }) error { return capf.Write(conn, m.Message(id)) }
	hear := func() (capf.Message, error) {
		for {
			m, err := capf.Read(conn, 0)
			if err != nil || m.Command != capf.CommandInProgress {
				return m, err
			}
		}
	}
	end := func(r capf.Reason) error { return errors.Join(say(capf.EndSession{Reason: r}), errEnd) }
	if err := say(capf.AuthRequest{Version: 3, NoAuth: true}); err != nil {
		return err
	}
	m, err := hear()
	if err != nil {
		return err
	}
	who, err := capf.ParseAuthResponse(m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.seen = append(s.seen, who)
	s.mu.Unlock()
	switch {
	case !s.admitted(who, b):
		return end(capf.ReasonRefused)
	case b.nothing:
		return end(capf.ReasonNone)
	case b.noCert:
		return end(capf.ReasonOK)
	case b.remove:
		if err := say(capf.DeleteRequest{}); err != nil {
			return err
		}
		if _, err := hear(); err != nil {
			return err
		}
		return end(capf.ReasonOK)
	}
	key, err := s.order(who, b, say, hear)
	if err != nil {
		return err
	}
	if key == nil { // refused by the client, or the authority takes its time
		s.mu.Lock()
		late := s.behave.later > 0
		s.behave.later--
		s.mu.Unlock()
		if late {
			return say(capf.RetryLater{Seconds: 900})
		}
		return end(capf.ReasonRefused)
	}
	cert := s.issue(who.Device, key, b)
	if err := say(capf.StoreRequest{Type: capf.CertLSC, Certificate: capf.Certificate{Type: capf.CertLSC, DER: cert.Raw}}); err != nil {
		return err
	}
	if m, err = hear(); err != nil {
		return err
	}
	stored, err := capf.ParseStoreResponse(m)
	switch {
	case err != nil:
		return err
	case b.hangUp:
		return errEnd
	case stored.Reason != capf.ReasonOK:
		return end(capf.ReasonRefused)
	}
	return end(capf.ReasonOK)
}

func (s *site) admitted(who capf.AuthResponse, b behaviour) bool {
	if len(who.Certificates) > 0 && b.existing {
		cert, err := x509.ParseCertificate(who.Certificates[0].DER)
		return err == nil && cert.CheckSignatureFrom(s.authority.Certificate) == nil && capf.VerifyProof(cert, who) == nil
	}
	return who.Password.Reveal() == b.password
}

// order gets a public key; nil when there is none to certify now.
func (s *site) order(who capf.AuthResponse, b behaviour, say func(interface{ Message(uint32) capf.Message }) error, hear func() (capf.Message, error)) (crypto.PublicKey, error) {
	if b.withoutKey {
		return x509.ParsePKIXPublicKey([]byte(s.keys[len(s.keys)-1]))
	}
	order := b.order
	if order.Size == 0 && order.Type == capf.KeyRSA {
		order.Size = 2048
	}
	order.Version = who.Version
	if err := say(order); err != nil {
		return nil, err
	}
	m, err := hear()
	if err != nil {
		return nil, err
	}
	r, err := capf.ParseKeygenResponse(m)
	if err != nil || r.Reason != capf.ReasonOK {
		return nil, err
	}
	key, err := capf.CheckKey(r.PublicKey, order)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, string(r.PublicKey))
	if s.behave.later > 0 {
		return nil, err
	}
	return key, err
}

func (s *site) issue(name string, key crypto.PublicKey, b behaviour) *x509.Certificate {
	from, to := s.now(), s.now().Add(b.lifetime)
	if b.expired {
		from, to = from.Add(-2*time.Hour), from.Add(-time.Hour)
	}
	if b.wrongKey {
		other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		key = other.Public()
	}
	return certify(s.t, name, key, from, to, s.authority.Certificate, s.authority.Key)
}

// config is that of an application on the site.
func (s *site) config(dir string) Config {
	return Config{Instance: "inst1", Authorization: capf.JoinToken{Password: capf.NewSecret("1234567890")}, Dir: dir, CAPF: "127.0.0.1", Source: s, Now: s.now, Dial: s.dial}
}

// pin is the fingerprint of a signer.
func pin(s trustlist.Signer) [32]byte { return sha256.Sum256(s.Certificate.Raw) }

func open(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must(t testing.TB, r Result, err error) Result {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (%+v)", err, r)
	}
	return r
}

func stepOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Step.String()
	}
	return fmt.Sprint(err)
}

// dialTVS connects to a trust verification service that answers one question; it uses the call manager's identity.
func (s *site) dialTVS() (net.Conn, error) {
	if s.vouched == nil {
		return nil, errors.New("connection refused")
	}
	s.queries++
	client, server := net.Pipe()
	s.served.Go(func() {
		defer server.Close()
		conn := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{s.callManager.Certificate.Raw}, PrivateKey: s.callManager.Key}}, ClientAuth: tls.RequestClientCert})
		m, err := tvs.Read(conn, 0)
		if err != nil {
			return
		}
		q, err := m.Request()
		if err != nil {
			return
		}
		res := tvs.Response{Query: true, Session: q.Session, Status: tvs.NotFound}
		for der, roles := range s.vouched {
			if cert, err := x509.ParseCertificate([]byte(der)); err == nil && trustlist.EqualDN(q.Issuer, issuerOf(cert)) && new(big.Int).SetBytes(q.Serial).Cmp(cert.SerialNumber) == 0 {
				res = tvs.Response{Query: true, Session: q.Session, Certificate: cert.Raw, Roles: roles, TTL: 60}
			}
		}
		b, _ := res.Message().Append(nil)
		_, _ = conn.Write(b)
		_ = conn.Close()
	})
	return client, nil
}
