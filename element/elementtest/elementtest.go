// Package elementtest is what tests of SIP elements need around them: an authority of their own, identities and peers' certificates under
// it, and addresses of the loopback network that nobody else has, since every element listens on 5061.
package elementtest

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/locktone/locktone/pki"
)

// Authority is the authority of one test.
type Authority struct {
	CA *pki.CA
	t  testing.TB
}

// rsaKey is the one RSA key of the process: to make one takes a tenth of a second, and an authority needs several.
var rsaKey = sync.OnceValues(func() (pki.PrivateKey, error) { return pki.GenerateKey(pki.RSA2048) })

// NewAuthority makes an authority. What it keeps goes with the test.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	keys, err := pki.OpenDir(filepath.Join(t.TempDir(), "pki"))
	must(t, err)
	register, err := pki.OpenRegister(filepath.Join(t.TempDir(), "register"))
	must(t, err)
	ca, err := pki.Open(t.Context(), pki.Config{Cluster: "elements", Custody: keys, Register: register, Keys: func(a pki.Algorithm) (pki.PrivateKey, error) {
		if a == pki.RSA2048 {
			return rsaKey()
		}
		return pki.GenerateKey(a)
	}})
	must(t, err)
	return &Authority{CA: ca, t: t}
}

// Identity is the identity of a service: its certificates bear host, and the addresses. Foreign anchors are trusted too.
func (a *Authority) Identity(service, host string, addresses []netip.Addr, foreign ...pki.Anchor) *pki.Identity {
	a.t.Helper()
	certificates, err := a.CA.Service(a.t.Context(), pki.ServiceSpec{Name: service, Node: "n1", Host: host, IPs: addresses})
	must(a.t, err)
	trust, err := a.CA.Trust(foreign...)
	must(a.t, err)
	id, err := pki.NewIdentity(service, pki.Snapshot{Certificates: certificates, Trust: trust}, nil)
	must(a.t, err)
	return id
}

// Peer is the certificate of a foreign system, for both directions.
func (a *Authority) Peer(name string, addresses ...netip.Addr) tls.Certificate {
	a.t.Helper()
	issued, err := a.CA.Issue(a.t.Context(), pki.Request{Kind: pki.KindPeer, Name: name, IPs: addresses})
	must(a.t, err)
	return issued.Credential.TLS()
}

// Roots are what a foreign system trusts.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range a.CA.Roots() {
		pool.AddCert(c)
	}
	return pool
}

var lastAddress atomic.Uint32

// Address is an address of the loopback network on which port 5061 is free, another one at every call.
func Address(t testing.TB) netip.Addr {
	t.Helper()
	for range 1000 {
		n := lastAddress.Add(1)
		addr := netip.AddrFrom4([4]byte{127, 100 + byte(os.Getpid()%100), byte(os.Getpid() / 100), byte(1 + n%250)})
		l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 5061).String())
		if err != nil {
			continue
		}
		must(t, l.Close())
		return addr
	}
	t.Fatal("no free loopback address: port 5061 is taken everywhere")
	return netip.Addr{}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
