package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/pki"
)

// site is a CA with EC-only identities (RSA keys take their time).
type site struct {
	t     *testing.T
	ca    *pki.CA
	trust *pki.Trust
}

func newSite(t *testing.T) *site {
	t.Helper()
	custody, err := pki.OpenDir(t.TempDir() + "/keys")
	check(t, err)
	reg, err := pki.OpenRegister("")
	check(t, err)
	ca, err := pki.Open(t.Context(), pki.Config{Cluster: "lab", Custody: custody, Register: reg})
	check(t, err)
	trust, err := ca.Trust()
	check(t, err)
	return &site{t, ca, trust}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) issue(name string, usage pki.Usage) pki.Credential {
	s.t.Helper()
	i, err := s.ca.Issue(s.t.Context(), pki.Request{Kind: pki.KindPeer, Name: name, Usage: usage,
		DNSNames: []string{name}, IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	check(s.t, err)
	return i.Credential
}

func (s *site) identity(name string, trust *pki.Trust) *pki.Identity {
	s.t.Helper()
	id, err := pki.NewIdentity(name, pki.Snapshot{Trust: trust, Certificates: pki.Certificates{
		Server: []pki.Credential{s.issue(name, pki.UsageServer)}, Client: []pki.Credential{s.issue(name+".client", pki.UsageClient)}}}, nil)
	check(s.t, err)
	return id
}

// listen runs a server until the test ends; each connection is given to handle.
func listen(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				handle(c)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

func serveTLS(t *testing.T, cfg *tls.Config) string {
	return listen(t, func(c net.Conn) {
		s := tls.Server(c, cfg)
		if s.Handshake() == nil {
			s.Read(make([]byte, 1)) // until the probe goes
		}
	})
}

func probeIt(t *testing.T, address string, o Options) *Result {
	t.Helper()
	r, err := Dial(t.Context(), address, o)
	check(t, err)
	return r
}

func TestDial(t *testing.T) {
	s, stranger := newSite(t), newSite(t)
	server := s.identity("sbc.lab.test", s.trust)
	mutual := pki.ServerPolicy{Peers: pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindPeer)}}
	mutual12 := mutual
	mutual12.MaxVersion = tls.VersionTLS12
	open := pki.ServerPolicy{ClientAuth: pki.ClientAuthNone}
	weak := open
	weak.MinVersion, weak.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	weak.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	us := s.identity("us.lab.test", s.trust)
	strangeUs := stranger.identity("us.lab.test", s.trust)
	addr13, addr12 := serveTLS(t, server.ServerConfig(mutual)), serveTLS(t, server.ServerConfig(mutual12))
	addrOpen, addrWeak := serveTLS(t, server.ServerConfig(open)), serveTLS(t, server.ServerConfig(weak))
	plain := listen(t, func(c net.Conn) {
		c.Read(make([]byte, 100))
		c.Write([]byte("SIP/2.0 400 Bad Request\r\n\r\n"))
	})
	silent := listen(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	other := Options{Identity: us, Policy: pki.ClientPolicy{Peer: pki.PeerPolicy{Names: pki.Names{SIPDomain: "other.test"}}}}
	for _, c := range []struct {
		name, addr string
		o          Options
		accepted   bool
		rule       pki.Rule
		says       string
	}{
		{"good 1.3", addr13, Options{Identity: us}, true, "", "asked for, sent CN=us.lab.test.client"},
		{"good 1.2", addr12, Options{Identity: us}, true, "", "TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
		{"not mutual", addrOpen, Options{Identity: us}, true, "", "not asked for"},
		{"no certificate 1.3", addr13, Options{Trust: s.trust}, false, pki.RuleAlert, "it wants a client certificate and got none"},
		{"no certificate 1.2", addr12, Options{Trust: s.trust}, false, pki.RuleAlert, "alert 40"},
		{"rogue certificate 1.3", addr13, Options{Identity: strangeUs}, false, pki.RuleAlert, "does not trust the CA that issued our client certificate"},
		{"rogue certificate 1.2", addr12, Options{Identity: strangeUs}, false, pki.RuleAlert, "does not trust the CA that issued our client certificate"},
		{"unknown CA", addrOpen, Options{Trust: stranger.trust}, false, pki.RuleIssuerMissing, "that is not trusted here"},
		{"trusting nobody", addrOpen, Options{}, false, pki.RuleIssuerMissing, "that is not trusted here"},
		{"other name", addrOpen, other, false, pki.RuleName, "is not for other.test"},
		{"forecast", addrOpen, Options{Identity: us, At: time.Now().AddDate(2, 0, 0)}, false, pki.RuleExpired, "that expired"},
		{"weak", addrWeak, Options{Identity: us}, false, pki.RuleProtocol, "speaks nothing better than TLS 1.1"},
		{"plain SIP", plain, Options{}, false, pki.RuleProtocol, `"SIP/2", which is plain text`},
		{"silent", silent, Options{Timeout: 300 * time.Millisecond}, false, pki.RuleProtocol, "did not finish the handshake in time"},
		{"nobody", "127.0.0.1:1", Options{}, false, pki.RuleProtocol, "nothing listens there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := probeIt(t, c.addr, c.o)
			f, _ := r.Findings.First()
			if r.Accepted != c.accepted || f.Rule != c.rule || !strings.Contains(r.Text(), c.says) {
				t.Errorf("accepted %v by %q:\n%s", r.Accepted, f.Rule, r.Text())
			}
			var back Result
			b, err := json.Marshal(r)
			if err == nil {
				err = json.Unmarshal(b, &back)
			}
			if err != nil || back.Text() != r.Text() {
				t.Errorf("as JSON: %v\n%s\n%s", err, b, back.Text())
			}
		})
	}
}

func TestDialBadAddress(t *testing.T) {
	for _, a := range []string{"", "host", ":5061", "host:", "a:b:c"} {
		if r, err := Dial(context.Background(), a, Options{}); err == nil {
			t.Errorf("%q: %+v", a, r)
		}
	}
}

// TestSendsNothing: a probe makes itself known by nothing but the handshake.
func TestSendsNothing(t *testing.T) {
	s := newSite(t)
	server := s.identity("sbc.lab.test", s.trust)
	got := make(chan []byte, 1)
	addr := listen(t, func(c net.Conn) {
		tc := tls.Server(c, server.ServerConfig(pki.ServerPolicy{ClientAuth: pki.ClientAuthNone}))
		var b bytes.Buffer
		b.ReadFrom(tc)
		got <- b.Bytes()
	})
	probeIt(t, addr, Options{Trust: s.trust})
	if b := <-got; len(b) != 0 {
		t.Errorf("sent %q", b)
	}
}

// TestChain: a chain from a file gets the verdict it would get in a handshake, today and later.
func TestChain(t *testing.T) {
	s := newSite(t)
	c := s.issue("sbc.lab.test", pki.UsageServer)
	for _, k := range []struct {
		side     pki.Side
		at       time.Time
		accepted bool
		rule     pki.Rule
	}{
		{pki.PeerIsServer, time.Time{}, true, ""},
		{pki.PeerIsClient, time.Time{}, false, pki.RuleEKU},
		{pki.PeerIsServer, time.Now().AddDate(3, 0, 0), false, pki.RuleExpired},
	} {
		r, err := Chain("sbc", c.Chain, k.side, Options{Trust: s.trust, At: k.at})
		check(t, err)
		if f, _ := r.Findings.First(); r.Accepted != k.accepted || f.Rule != k.rule {
			t.Errorf("%v: %s", k, r.Text())
		}
	}
}
