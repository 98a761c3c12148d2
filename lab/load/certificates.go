package load

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/locktone/locktone/service/admin"
)

// An Authority issues phones' certificates, ECDSA P-256 and good for a day, from a key that is at hand.
type Authority struct {
	Certificate *x509.Certificate
	key         any
}

// NewAuthority makes an authority for one run.
func NewAuthority(commonName string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := template(commonName)
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage, t.ExtKeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	return &Authority{c, key}, err
}

// OpenAuthority reads an authority's certificate and key from PEM files.
func OpenAuthority(certificate, key string) (*Authority, error) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("authority for phones: %w", err)
	}
	if pair.Leaf == nil || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("authority for phones: %s is no CA certificate", certificate)
	}
	return &Authority{pair.Leaf, pair.PrivateKey}, nil
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw})
}

func template(commonName string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		serial = big.NewInt(time.Now().UnixNano())
	}
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: commonName}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
}

// Issue makes a certificate. change, where not nil, alters what it will say.
func (a *Authority) Issue(commonName string, change func(*x509.Certificate)) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := template(commonName)
	if change != nil {
		change(t)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.Certificate, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// Phones is Issue for Config.Certificate, once for each device.
func (a *Authority) Phones() func(string) (tls.Certificate, error) {
	return remember(func(device string) (tls.Certificate, error) { return a.Issue(device, nil) })
}

// fromSite asks a running site for certificates, over its socket.
func fromSite(ctx context.Context, home string) (issue func(string) (tls.Certificate, error), roots *x509.CertPool, end func(), err error) {
	api := admin.NewClient(home)
	roots = x509.NewCertPool()
	ask := func(device string) (tls.Certificate, error) {
		var issued admin.CertIssued
		if err := api.Do(ctx, http.MethodPost, "/v1/certificates", admin.CertRequest{Kind: "device", Name: device, Days: 1}, &issued); err != nil {
			return tls.Certificate{}, err
		}
		roots.AppendCertsFromPEM([]byte(issued.CA))
		return tls.X509KeyPair([]byte(issued.Certificate), []byte(issued.Key))
	}
	return remember(ask), roots, api.Close, nil
}

func remember(issue func(string) (tls.Certificate, error)) func(string) (tls.Certificate, error) {
	var mu sync.Mutex
	all := map[string]tls.Certificate{}
	return func(device string) (tls.Certificate, error) {
		mu.Lock()
		c, ok := all[device]
		mu.Unlock()
		if ok {
			return c, nil
		}
		c, err := issue(device)
		if err != nil {
			return c, err
		}
		mu.Lock()
		defer mu.Unlock()
		all[device] = c
		return c, nil
	}
}

// readRoots reads PEM files of authorities.
func readRoots(pool *x509.CertPool, files ...string) error {
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if !pool.AppendCertsFromPEM(b) {
			return fmt.Errorf("%s holds no certificate in PEM form", f)
		}
	}
	return nil
}

// oneForAll is a certificate that every phone shows: for servers that do not look at names.
func oneForAll(certificate, key string) (func(string) (tls.Certificate, error), error) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("--cert and --key: %w", err)
	}
	return func(string) (tls.Certificate, error) { return pair, nil }, nil
}

// folder reads DIR/NAME.crt and DIR/NAME.key for each phone, as `locktone cert issue` writes them.
func folder(dir string) (func(string) (tls.Certificate, error), error) {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, errors.Join(fmt.Errorf("--certs %s: expected a folder of NAME.crt and NAME.key", dir), err)
	}
	return remember(func(device string) (tls.Certificate, error) {
		base := filepath.Join(dir, device)
		return tls.LoadX509KeyPair(base+".crt", base+".key")
	}), nil
}
