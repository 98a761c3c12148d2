package peers

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/desk"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/wire/capf"
)

// A corporation is an authority of which openssl has the key. Everything is a file of its folder.
type corporation struct {
	dir  string
	root *x509.Certificate
}

const corporateName = "CN=Corporate CA,O=Corp"

func newCorporation(t *testing.T) *corporation {
	t.Helper()
	c := &corporation{dir: folder(t, "corp")}
	c.run(t, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/O=Corp/CN=Corporate CA", "-days", "3650",
		"-addext", "keyUsage=critical,keyCertSign,cRLSign")
	list, err := pki.ParseCertificates([]byte(c.read(t, "ca.pem")))
	if err != nil {
		t.Fatal(err)
	}
	c.root = list[0]
	return c
}

// run has openssl do something in the folder.
func (c *corporation) run(t *testing.T, args ...string) {
	t.Helper()
	if err := c.try(t.Context(), args...); err != nil {
		t.Fatal(err)
	}
}

func (c *corporation) try(ctx context.Context, args ...string) error {
	p, err := run(c.dir, "openssl", args...)
	if err != nil {
		return err
	}
	if err := p.Exit(ctx); err != nil {
		return fmt.Errorf("openssl %s: %w\n%s", args[0], err, p.Tail(20))
	}
	return nil
}

func (c *corporation) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *corporation) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A newcomer is a desk phone of the configuration with an order to enrol.
type newcomer struct {
	site  *testSite
	api   *admin.Client
	name  string
	dir   string
	token capf.JoinToken
}

const newcomerName, newcomerNumber = "SEP0A1B2C3D4E51", "1051"

// addNewcomer is the desk phone in the configuration.
func addNewcomer(c *config.Site) {
	addPhone(c, newcomerName, newcomerNumber, "encrypted")
	c.Devices[len(c.Devices)-1].Model = "8845"
}

// invite orders its enrolment with a join token, as an operator does.
func (s *testSite) invite(t *testing.T, ctx context.Context) *newcomer {
	t.Helper()
	n := &newcomer{site: s, api: admin.NewClient(s.Home()), name: newcomerName, dir: t.TempDir()}
	t.Cleanup(n.api.Close)
	var made admin.CAPFCreated
	n.do(t, ctx, http.MethodPost, "/v1/capf/profiles", admin.CAPFOrder{Device: n.name, JoinToken: true}, &made)
	var err error
	if n.token, err = enroll.ParseAuthorization(made.JoinToken); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *newcomer) do(t *testing.T, ctx context.Context, method, path string, in, out any) {
	t.Helper()
	if err := n.api.Do(ctx, method, path, in, out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

// start lets the phone provision itself and register.
func (n *newcomer) start(ctx context.Context, observe func(enroll.Event)) (*desk.Phone, error) {
	return desk.Start(ctx, desk.Config{Name: n.name, Dir: n.dir, Source: enroll.TFTP{Server: n.site.Provisioning.TFTP().String()}, Domain: "locktone.test",
		Authorization: n.token, Observe: observe})
}

// trustCorporation uploads the authority for devices, and returns when it counts.
func (n *newcomer) trustCorporation(t *testing.T, ctx context.Context, c *corporation) {
	t.Helper()
	n.do(t, ctx, http.MethodPost, "/v1/trust/stores/capf-trust", admin.TrustUpload{Data: []byte(c.read(t, "ca.pem")), For: []string{pki.KindDevice.String()}}, nil)
	eventually(t, ctx, "the corporate authority is trusted", func() bool {
		r := n.site.Identity("capf").Snapshot().Trust.Verify([]*x509.Certificate{c.root}, pki.PeerIsClient, pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindDevice)}, time.Now())
		return !r.Findings.Has(pki.RuleSelfSigned) && !r.Findings.Has(pki.RuleUntrustedRoot)
	})
}

// registered makes sure that the phone is registered encrypted with what the corporation issued, that it is its LSC, and that
// the profile says so.
func (n *newcomer) registered(t *testing.T, ctx context.Context, p *desk.Phone) {
	t.Helper()
	rows := show[bus.Registration](t, n.site, bus.VerbRegistrations, n.name)
	if len(rows) != 1 {
		t.Fatalf("%d registrations", len(rows))
	}
	r := rows[0]
	if r.State != "registered" || r.Mode != "encrypted" || r.Certificate != "LSC" || r.Issuer != corporateName || !strings.EqualFold(r.Serial, p.LSC()) {
		t.Errorf("registered as %+v, and shows %s", r, p.LSC())
	}
	var list admin.Rows[admin.CAPFProfile]
	n.do(t, ctx, http.MethodGet, "/v1/capf/profiles?name="+n.name, nil, &list)
	if x := list.Rows[0]; x.Status != "Upgrade Success" || x.LSC == nil || x.LSC.Issuer != corporateName || !strings.EqualFold(x.LSC.Serial, p.LSC()) || x.Waiting != "" {
		t.Errorf("the profile: %+v %+v", x, x.LSC)
	}
}

func (n *newcomer) end(t *testing.T, p *desk.Phone) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
}

// TestOfflineIssuer: with issuer offline a desk phone is sent away; its request is exported, openssl issues for it, what came is
// imported, and the phone, switched on again, has its certificate and registers encrypted with it.
func TestOfflineIssuer(t *testing.T) {
	Need(t, openssl)
	ctx := within(t, 60*time.Second)
	s := startSite(t, func(c *config.Site) {
		addNewcomer(c)
		withCAPF(c, config.NodeService{Issuer: config.IssuerOffline})
	}, lab.Options{})
	corp, n := newCorporation(t), s.invite(t, ctx)
	n.trustCorporation(t, ctx, corp)

	first, off := context.WithCancel(ctx)
	var sentAway error
	p, err := n.start(first, func(e enroll.Event) { // it would ask again in a quarter of an hour
		if errors.Is(e.Err, capf.ErrRetry) {
			sentAway = e.Err
			off()
		}
	})
	off()
	if err == nil {
		n.end(t, p)
	}
	if sentAway == nil {
		t.Fatalf("the phone was not sent away: %v", err)
	}
	var asked, taken admin.Rows[admin.CAPFRequest]
	n.do(t, ctx, http.MethodPost, "/v1/capf/requests/export", map[string]any{}, &asked)
	if len(asked.Rows) != 1 || asked.Rows[0].CommonName != n.name {
		t.Fatalf("%+v", asked.Rows)
	}
	corp.write(t, "phone.csr", asked.Rows[0].CSR)
	corp.write(t, "phone.pub", asked.Rows[0].Key)
	corp.run(t, "x509", "-req", "-in", "phone.csr", "-force_pubkey", "phone.pub", "-CA", "ca.pem", "-CAkey", "ca.key", "-copy_extensions", "copyall", "-days", "1095", "-out", "phone.pem")
	n.do(t, ctx, http.MethodPost, "/v1/capf/requests/import", map[string]string{"pem": corp.read(t, "phone.pem")}, &taken)
	if len(taken.Rows) != 1 || taken.Rows[0].State != "answered" {
		t.Fatalf("%+v %v", taken.Rows, taken.Problems)
	}

	if p, err = n.start(ctx, nil); err != nil {
		t.Fatal(err)
	}
	defer n.end(t, p)
	if !p.First.Pinned {
		t.Errorf("enrolled without pinning: %+v", p.First)
	}
	n.registered(t, ctx, p)
}

// TestOnlineIssuer: with issuer online CAPF asks openssl's CMP server, and the phone registers encrypted with what it issued.
func TestOnlineIssuer(t *testing.T) {
	Need(t, openssl)
	ctx := within(t, 60*time.Second)
	corp := newCorporation(t)
	front := &cmpFront{t: t, corp: corp, name: newcomerName}
	front.url = listenHTTP(t, front)
	home := filepath.Join(t.TempDir(), "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "corporate.pem"), []byte(corp.read(t, "ca.pem")), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startSite(t, func(c *config.Site) {
		addNewcomer(c)
		withCAPF(c, config.NodeService{Issuer: config.IssuerOnline, IssuerURL: front.url + "/pkix/", IssuerCertificates: "corporate.pem"})
	}, lab.Options{Home: home})
	corp.write(t, "ra.pem", string(s.CA.RootsPEM())) // it knows CAPF as its registration authority
	n := s.invite(t, ctx)
	n.trustCorporation(t, ctx, corp)
	p, err := n.start(ctx, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, front.said())
	}
	defer n.end(t, p)
	n.registered(t, ctx, p)
	if n := front.exchanges(); n != 2 { // request and confirmation
		t.Errorf("%d exchanges with the authority", n)
	}
}

// cmpFront stands before openssl's CMP server, which answers every request with one certificate that it is given when it starts:
// with the first request the front has openssl issue for the key in it, starts the server, and then passes everything on unchanged.
type cmpFront struct {
	t    *testing.T
	corp *corporation
	name string
	url  string

	mu     sync.Mutex
	server *Process
	proxy  *httputil.ReverseProxy
	count  int
}

func listenHTTP(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func (f *cmpFront) exchanges() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

func (f *cmpFront) said() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server == nil {
		return "the authority was not asked"
	}
	return f.server.Tail(20)
}

func (f *cmpFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.proxy == nil {
		err = f.begin(b)
	}
	if err != nil {
		f.t.Error(err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	f.count++
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(b))), int64(len(b))
	f.proxy.ServeHTTP(w, r)
}

// begin issues for the key of the request and starts the server. The caller holds mu.
func (f *cmpFront) begin(request []byte) error {
	spki, err := requestedKey(request)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{"phone.pub": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}),
		"ext": []byte("keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n")} {
		if err := os.WriteFile(filepath.Join(f.corp.dir, name), text, 0o600); err != nil {
			return err
		}
	}
	ctx := f.t.Context()
	for _, args := range [][]string{
		{"req", "-newkey", "rsa:2048", "-nodes", "-keyout", "srv.key", "-out", "srv.csr", "-subj", "/O=Corp/CN=CMP"},
		{"x509", "-req", "-in", "srv.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-out", "srv.pem"},
		{"x509", "-new", "-force_pubkey", "phone.pub", "-subj", "/CN=" + f.name, "-extfile", "ext", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30", "-out", "phone.pem"},
	} {
		if err := f.corp.try(ctx, args...); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	at := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(at)
	if f.server, err = run(f.corp.dir, "openssl", "cmp", "-config", "", "-port", port, "-srv_cert", "srv.pem", "-srv_key", "srv.key", "-srv_trusted", "ra.pem",
		"-accept_raverified", "-rsp_cert", "phone.pem"); err != nil {
		return err
	}
	f.t.Cleanup(f.server.Stop)
	if _, err := f.server.Wait(ctx, 0, "ACCEPT"); err != nil {
		return err
	}
	target, err := url.Parse("http://" + at)
	f.proxy = httputil.NewSingleHostReverseProxy(target)
	f.proxy.Transport = &http.Transport{DisableKeepAlives: true}
	return err
}

// requestedKey is the public key, DER, in the template of a certificate request. RFC 4210, 5.1: messages; RFC 4211, 5: the template.
func requestedKey(message []byte) ([]byte, error) {
	at := message
	inside := func(index int) error { // go to the element of the structure at hand, and into it
		for ; ; index-- {
			var v asn1.RawValue
			rest, err := asn1.Unmarshal(at, &v)
			if err != nil {
				return fmt.Errorf("a CMP message without a key: %w", err)
			}
			if index == 0 {
				at = v.Bytes
				return nil
			}
			at = rest
		}
	}
	for _, index := range []int{0, 1, 0, 0, 0, 1} { // message, body, requests, request, its CertRequest, template
		if err := inside(index); err != nil {
			return nil, err
		}
	}
	for len(at) > 0 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(at, &v)
		if err != nil {
			return nil, err
		}
		if v.Class == asn1.ClassContextSpecific && v.Tag == 6 {
			return asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: v.Bytes})
		}
		at = rest
	}
	return nil, errors.New("a CMP request without a key")
}
