package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// at is the clock of most tests: inside the validity of the badclient kit.
func at() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// sharedCA returns one CA for all tests that do not change it: its RSA root takes a moment to make.
var sharedCA = sync.OnceValues(func() (*CA, error) {
	reg, err := OpenRegister("")
	if err != nil {
		return nil, err
	}
	return Open(context.Background(), Config{Cluster: "lab", Custody: newMemory(), Register: reg})
})

func testCA(t testing.TB) *CA {
	t.Helper()
	ca, err := sharedCA()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func spec(name string) ServiceSpec {
	return ServiceSpec{Name: name, Host: name + ".lab.test", DNSNames: []string{"localhost"},
		IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, SIPDomain: "lab.test"}
}

func issue(t testing.TB, ca *CA, r Request) Issued {
	t.Helper()
	return must(ca.Issue(t.Context(), r))(t)
}

// echoServer accepts until the test ends: each connection gets a handshake and an echo; outcomes go to the channel.
type outcome struct {
	state tls.ConnectionState
	err   error
}

func serve(t testing.TB, cfg *tls.Config) (addr string, outcomes <-chan outcome) {
	t.Helper()
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	ch := make(chan outcome, 64)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			raw, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { ch <- handle(tls.Server(raw, cfg)) })
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String(), ch
}

// handle echoes bytes until the client closes. The outcome of the handshake is sent back only then, or at once when
// it failed.
func handle(c *tls.Conn) outcome {
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if err := c.Handshake(); err != nil {
		return outcome{err: err}
	}
	o := outcome{state: c.ConnectionState()}
	buf := make([]byte, 16)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return o
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return o
		}
	}
}

// exchange dials, and sends a byte there and back: in TLS 1.3 only the answer proves that the server let us in.
func exchange(addr string, cfg *tls.Config) (tls.ConnectionState, error) {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr, cfg)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	return c.ConnectionState(), ping(c)
}

func ping(c *tls.Conn) error {
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

// clientWith is a plain crypto/tls client with one certificate, which verifies nothing: the server is under test.
func clientWith(c Credential) *tls.Config {
	cert := c.TLS()
	return &tls.Config{InsecureSkipVerify: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }}
}

func pool(certs ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}
