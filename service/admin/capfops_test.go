package admin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/store"
)

// TestCAPFImport: a certificate that the offline authority issued is taken in when key, name and chain are right, and its
// authority is trusted for its kind of holder; then the register has it as its holder's.
func TestCAPFImport(t *testing.T) {
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, dir := context.Background(), t.TempDir()
	keys, err := pki.OpenDir(filepath.Join(dir, "pki"))
	ok(err)
	register, err := pki.OpenRegister(filepath.Join(dir, "register"))
	ok(err)
	ca, err := pki.Open(ctx, pki.Config{Custody: keys, Register: register})
	ok(err)
	corpKey, corp := certify(t, "Corporate CA", nil, nil, nil)
	trust, err := ca.Trust()
	ok(err)
	var queue *capfprofile.Queue
	k := start(t, func(c *Config) {
		docs := c.Store.(*store.Store)
		queue = capfprofile.NewQueue(docs.Documents(capfprofile.RequestCollection), nil)
		c.Enrolment = Enrolment{Profiles: capfprofile.New(docs.Documents(capfprofile.Collection), capfprofile.Config{}), Requests: queue, Adopt: ca.Adopt, Trust: func() *pki.Trust { return trust }}
	})
	mine, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(err)
	spki, err := x509.MarshalPKIXPublicKey(mine.Public())
	ok(err)
	owner := capfprofile.Owner{User: "tapi", Instance: "5"}
	_, _, err = queue.Ask(ctx, owner, spki, "", capfprofile.Registrar{Key: mine})
	ok(err)
	take := func(certs ...*x509.Certificate) (Rows[CAPFRequest], error) {
		var text strings.Builder
		for _, c := range certs {
			_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		}
		var out Rows[CAPFRequest]
		return out, k.client.Do(ctx, http.MethodPost, "/v1/capf/requests/import", map[string]string{"pem": text.String()}, &out)
	}
	_, good := certify(t, "5", &mine.PublicKey, corp, corpKey)
	refused := func(what, says string, certs ...*x509.Certificate) {
		t.Helper()
		_, err := take(certs...)
		var p *Problem
		if !errors.As(err, &p) || !strings.Contains(strings.Join(p.Details, " "), says) {
			t.Errorf("%s: %v %+v", what, err, p)
		}
	}
	refused("an authority that nobody trusts", "must be trusted for holders of kind cti-instance", good)
	trust, err = ca.Trust(pki.Anchor{Certificate: corp, Kinds: pki.KindsOf(pki.KindDevice)})
	ok(err)
	refused("an authority for others", "must be trusted for holders of kind cti-instance", good)
	trust, err = ca.Trust(pki.Anchor{Certificate: corp, Kinds: pki.KindsOf(pki.KindCTI)})
	ok(err)
	_, named := certify(t, "6", &mine.PublicKey, corp, corpKey)
	refused("another name", "the request \"5\"", named)
	_, keyed := certify(t, "5", &corpKey.PublicKey, corp, corpKey)
	refused("another key", "nobody waits", keyed)
	refused("an authority alone", "only certificates of authorities", corp)
	if _, err := take(good, corp, keyed); err != nil {
		t.Fatal(err)
	}
	e, err := register.Lookup(ctx, pki.RefOf(good))
	if err != nil || e.Kind != pki.KindCTI || e.Name != "5" {
		t.Errorf("%+v %v", e, err)
	}
	if r, err := queue.Get(ctx, capfprofile.RequestID(owner, spki)); err != nil || r.State != capfprofile.RequestAnswered {
		t.Errorf("%+v %v", r, err)
	}
}

// certify makes a certificate: a CA's when by is nil.
func certify(t *testing.T, cn string, pub *ecdsa.PublicKey, by *x509.Certificate, key *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	now := time.Now()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: cn}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour * 1000), BasicConstraintsValid: true}
	if by == nil {
		key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		pub, by = &key.PublicKey, tmpl
		tmpl.IsCA, tmpl.KeyUsage = true, x509.KeyUsageCertSign
	} else {
		tmpl.KeyUsage, tmpl.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, c
}
