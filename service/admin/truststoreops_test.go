package admin

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/certfile"
	"github.com/locktone/locktone/pki/truststore"
	"github.com/locktone/locktone/store"
)

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// withStores gives a node a trust store and a service with certificates.
func withStores(t *testing.T, own pki.Certificates) func(*Config) {
	return func(c *Config) {
		docs := c.Store.(*store.Store).Documents(truststore.Collection)
		c.TrustStores = TrustStores{Store: truststore.Open(truststore.Config{Documents: docs}),
			Credentials: func(name string) (pki.Certificates, bool) { return own, name == "callmanager" }}
	}
}

// ownCredential is a server's self-signed certificate with its key.
func ownCredential(t *testing.T) pki.Credential {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cm.lab.test"}, NotAfter: time.Now().Add(365 * 24 * time.Hour)}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	return pki.Credential{Chain: []*x509.Certificate{must(x509.ParseCertificate(der))(t)}, Key: pki.NewPrivateKey(key)}
}

// rootOnly is an authority that shows its root and does nothing else.
type rootOnly struct {
	Authority
	pem []byte
}

func (r rootOnly) RootsPEM() []byte { return r.pem }

// TestTrustStores: a file goes in whole or not at all, never with a private key, and what is in is listed with who did it.
func TestTrustStores(t *testing.T) {
	k := start(t, withStores(t, pki.Certificates{}))
	ctx := context.Background()
	good := ownCredential(t).CertificatePEM()
	put := func(purpose string, data []byte) error {
		return k.client.Do(ctx, "POST", "/v1/trust/stores/"+purpose, TrustUpload{Data: data, File: "../x/root.0"}, nil)
	}
	refused := func(err error, code bus.Code, word string) {
		t.Helper()
		p := asProblem(err)
		if err == nil || p.Code != code || !strings.Contains(p.Detail+strings.Join(p.Details, " "), word) {
			t.Errorf("%+v, want %s with %q", err, code, word)
		}
	}
	key := []byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n")
	refused(put("capf-trust", good), bus.CodeInvalid, "not a CA")
	refused(put("shoe-trust", good), bus.CodeNotFound, "no purpose")
	refused(put("callmanager-trust", []byte("<html>")), bus.CodeInvalid, "a web page")
	refused(put("callmanager-trust", bytes.Join([][]byte{good, key}, nil)), bus.CodeInvalid, "private key")
	if err := put("callmanager-trust", good); err != nil {
		t.Fatal(err)
	}
	var list Rows[TrustedCertificate]
	if err := k.client.Do(ctx, "GET", "/v1/trust/stores?purpose=CallManager-trust", nil, &list); err != nil || len(list.Rows) != 1 {
		t.Fatalf("%v %+v", err, list)
	}
	if r := list.Rows[0]; r.By == "" || r.From != "root.0" || r.State != "trusted" || len(r.Findings) == 0 || strings.Join(r.TrustedFor, " ") != "peer" {
		t.Errorf("%+v", r)
	}
	refused(k.client.Do(ctx, "DELETE", "/v1/trust/stores/callmanager-trust/12", nil, nil), bus.CodeInvalid, "at least 8 digits")
	refused(k.client.Do(ctx, "DELETE", "/v1/trust/stores/capf-trust/"+list.Rows[0].Fingerprint, nil, nil), bus.CodeNotFound, "no certificate")
	if err := k.client.Do(ctx, "POST", "/v1/trust/revoke", map[string]string{"fingerprint": list.Rows[0].Fingerprint, "reason": "copied"}, nil); err != nil {
		t.Error(err)
	}
	refused(put("callmanager-trust", good), bus.CodeInvalid, "was revoked here")
}

// TestKeysStay: private keys leave on the socket, under a password, and for nobody else.
func TestKeysStay(t *testing.T) {
	cred := ownCredential(t)
	k := start(t, func(c *Config) {
		withStores(t, pki.Certificates{Server: []pki.Credential{cred}})(c)
		c.CA = rootOnly{pem: cred.CertificatePEM()}
	})
	ask := KeyExport{Name: "callmanager", Password: "correct horse"}
	b := must(json.Marshal(ask))(t)
	if status, text := k.ask("POST", "/v1/certificates/export", adminToken, string(b)); status != 403 || !strings.Contains(text, "unix socket only") {
		t.Errorf("over HTTPS: %d %s", status, text)
	}
	var out Rows[certfile.File]
	if err := k.client.Do(context.Background(), "POST", "/v1/certificates/export", ask, &out); err != nil || len(out.Rows) != 1 || !out.Rows[0].Secret {
		t.Fatalf("%v %+v", err, out)
	}
	got, err := certfile.Read(out.Rows[0].Data, pki.Secret(ask.Password))
	if err != nil || got.Key.IsZero() || !got.Certificates[0].Equal(cred.Leaf()) {
		t.Errorf("%v", err)
	}
	ask.Name = "SEP001122334455"
	if err := k.client.Do(context.Background(), "POST", "/v1/certificates/export", ask, nil); err == nil || !strings.Contains(err.Error(), "handed out when its certificate was issued") {
		t.Errorf("%v", err)
	}
	var rows Rows[ExportedCertificate]
	if err := k.client.Do(context.Background(), "GET", "/v1/certificates/chain?name=callmanager", nil, &rows); err != nil || len(rows.Rows) != 1 || strings.Contains(rows.Rows[0].PEM, "PRIVATE") {
		t.Errorf("%v %+v", err, rows)
	}
	for _, e := range must(k.store.Audit(context.Background(), store.AuditQuery{Limit: 100}))(t) {
		if strings.Contains(e.Object+e.Detail, "correct horse") {
			t.Errorf("the audit log has the password: %+v", e)
		}
	}
}

// TestNoStores: a node without a trust store says so.
func TestNoStores(t *testing.T) {
	k := start(t, nil)
	for _, path := range []string{"/v1/trust/stores", "/v1/certificates/chain?name=roots", "/v1/certificates/chain?name=0123456789"} {
		if err := k.client.Do(context.Background(), "GET", path, nil, nil); asProblem(err) == nil || asProblem(err).Code != CodeNotSupported {
			t.Errorf("%s: %v", path, err)
		}
	}
}
