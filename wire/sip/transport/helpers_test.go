package transport

import (
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
	"testing"
	"time"
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
func (a *authority) verify(c Check) (PeerIdentity, error) {
	if len(c.State.PeerCertificates) == 0 {
		return PeerIdentity{}, errors.New("no certificate")
	}
	leaf := c.State.PeerCertificates[0]
	options := x509.VerifyOptions{Roots: a.pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if !c.Inbound {
		options.DNSName = c.ServerName
	}
	if _, err := leaf.Verify(options); err != nil {
		return PeerIdentity{}, err
	}
	return PeerIdentity{
		Key: fmt.Sprintf("%s/%x", leaf.Issuer, leaf.SerialNumber), Subject: leaf.Subject.String(), Names: leaf.DNSNames,
	}, nil
}

// transportConfig is a configuration with one certificate for both directions.
func (a *authority) transportConfig(cert tls.Certificate) Config {
	return Config{
		Verify: a.verify,
		DialTLS: func(Dest) (*tls.Config, error) {
			return &tls.Config{Certificates: []tls.Certificate{cert}}, nil
		},
	}
}

func (a *authority) listenTLS(cert tls.Certificate) ListenConfig {
	config := &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert}
	return ListenConfig{
		Network: TLS, Addr: netip.MustParseAddrPort("127.0.0.1:0"),
		TLS: func(*tls.ClientHelloInfo) (*tls.Config, error) { return config, nil },
	}
}

func listenOn(n Network) ListenConfig {
	return ListenConfig{Network: n, Addr: netip.MustParseAddrPort("127.0.0.1:0")}
}
