package endpoint

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// authority is a CA for tests.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
	next int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{key: key, cert: cert, pool: pool, next: 1}
}

// issue makes a certificate for names.
func (a *authority) issue(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.next++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// verify is a VerifyFunc: the chain must lead to the CA, and an outgoing connection must prove its name.
func (a *authority) verify(c transport.Check) (transport.PeerIdentity, error) {
	if len(c.State.PeerCertificates) == 0 {
		return transport.PeerIdentity{}, errors.New("no certificate")
	}
	leaf := c.State.PeerCertificates[0]
	options := x509.VerifyOptions{Roots: a.pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if !c.Inbound {
		options.DNSName = c.ServerName
	}
	if _, err := leaf.Verify(options); err != nil {
		return transport.PeerIdentity{}, err
	}
	return transport.PeerIdentity{
		Key: fmt.Sprintf("%s/%x", leaf.Issuer, leaf.SerialNumber), Subject: leaf.Subject.String(), Names: leaf.DNSNames,
	}, nil
}

// transportConfig is a configuration with one certificate for both directions.
func (a *authority) transportConfig(cert tls.Certificate) transport.Config {
	return transport.Config{
		Verify: a.verify,
		DialTLS: func(transport.Dest) (*tls.Config, error) {
			return &tls.Config{Certificates: []tls.Certificate{cert}}, nil
		},
	}
}

func (a *authority) listenTLS(cert tls.Certificate) transport.ListenConfig {
	config := &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert}
	return transport.ListenConfig{
		Network: transport.TLS, Addr: netip.MustParseAddrPort("127.0.0.1:0"),
		TLS: func(*tls.ClientHelloInfo) (*tls.Config, error) { return config, nil },
	}
}

func listenOn(n transport.Network) transport.ListenConfig {
	return transport.ListenConfig{Network: n, Addr: netip.MustParseAddrPort("127.0.0.1:0")}
}

// event is what a recorder saw.
type event struct {
	what string
	stx  *ServerTx
	ctx  *ClientTx
	m    *sip.Message
	err  error
	v    any
}

// recorder is a User that passes everything to a channel, and answers by script.
type recorder struct {
	events chan event
	on     func(e event) // called on the shard, before the event is recorded
}

func newRecorder(on func(event)) *recorder { return &recorder{events: make(chan event, 65536), on: on} }

func (r *recorder) put(e event) {
	if r.on != nil {
		r.on(e)
	}
	r.events <- e
}

func (r *recorder) Request(tx *ServerTx, m *sip.Message) {
	r.put(event{what: string(m.Method()), stx: tx, m: m})
}
func (r *recorder) Cancelled(tx *ServerTx) { r.put(event{what: "cancelled", stx: tx}) }
func (r *recorder) Response(tx *ClientTx, m *sip.Message) {
	r.put(event{what: fmt.Sprint(m.Status()), ctx: tx, m: m})
}
func (r *recorder) Failed(tx *ClientTx, err error) { r.put(event{what: "failed", ctx: tx, err: err}) }
func (r *recorder) Posted(_ string, v any)         { r.put(event{what: fmt.Sprintf("%T", v), v: v}) }

// next waits for an event of one of the kinds and skips others.
func (r *recorder) next(t testing.TB, kinds ...string) event {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case e := <-r.events:
			for _, k := range kinds {
				if e.what == k {
					return e
				}
			}
		case <-timeout:
			t.Fatalf("no %v within 10 s", kinds)
		}
	}
}

// start makes an endpoint and closes it with the test.
func start(t testing.TB, cfg Config, listeners ...transport.ListenConfig) (*Endpoint, []*transport.Listener) {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, e) })
	var ls []*transport.Listener
	for _, lc := range listeners {
		l, err := e.Listen(lc)
		if err != nil {
			t.Fatal(err)
		}
		ls = append(ls, l)
	}
	return e, ls
}

func stop(t testing.TB, e *Endpoint) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_ = e.Close(ctx)
}

// request builds a request to a listener.
func request(t testing.TB, method sip.Method, callID string, seq uint32) *sip.Message {
	t.Helper()
	to, err := sip.ParseURI("sip:bob@example.com")
	if err != nil {
		t.Fatal(err)
	}
	m := sip.NewRequest(method, to)
	m.SetFrom(sip.Address{URI: sip.URI{Scheme: "sip", User: "alice", Host: "example.com"}, Params: sip.Params{{Name: "tag", Value: "a1"}}})
	m.SetTo(sip.Address{URI: to})
	m.SetCallID(callID)
	m.SetCSeq(sip.CSeq{Seq: seq, Method: method})
	if method == sip.INVITE {
		m.SetContact(sip.Address{URI: sip.URI{Scheme: "sip", User: "alice", Host: "127.0.0.1"}})
	}
	return m
}

// raw builds the text of a message with CRLF line ends and a Content-Length.
func raw(lines ...string) string {
	return strings.Join(lines, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
}

func invite(callID, branch, via string) string {
	return raw("INVITE sip:bob@example.com SIP/2.0", "Via: SIP/2.0/"+via+";branch="+branch+";rport",
		"Max-Forwards: 70", "From: <sip:alice@example.com>;tag=a1", "To: <sip:bob@example.com>", "Call-ID: "+callID,
		"CSeq: 1 INVITE", "Contact: <sip:alice@127.0.0.1>")
}

func follow(method, callID, branch, via, toTag string, seq int) string {
	to := "To: <sip:bob@example.com>"
	if toTag != "" {
		to += ";tag=" + toTag
	}
	return raw(method+" sip:bob@example.com SIP/2.0", "Via: SIP/2.0/"+via+";branch="+branch+";rport", "Max-Forwards: 70",
		"From: <sip:alice@example.com>;tag=a1", to, "Call-ID: "+callID, fmt.Sprintf("CSeq: %d %s", seq, method))
}
