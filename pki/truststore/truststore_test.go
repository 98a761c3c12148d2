package truststore

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/trustlist"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// authority is somebody else's CA.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// made is a certificate under the parent, or self-signed without one; change sets what is special about it.
func made(t testing.TB, name string, parent *authority, change func(*x509.Certificate)) authority {
	t.Helper()
	return madeWith(t, name, parent, change, nil)
}

func madeWith(t testing.TB, name string, parent *authority, change func(*x509.Certificate), key crypto.Signer) authority {
	t.Helper()
	var err error
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(2, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	if change != nil {
		change(c)
	}
	up := authority{c, key}
	if parent != nil {
		up = *parent
	}
	der, err := x509.CreateCertificate(rand.Reader, c, up.cert, key.Public(), up.key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{parsed, key}
}

func endEntity(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.ExtKeyUsage = false, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

// open returns a store over a real system of record.
func open(t testing.TB, own ...*x509.Certificate) *Store {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return Open(Config{Documents: s.Documents(Collection), Own: func() []*x509.Certificate { return own }, Now: func() time.Time { return now }})
}

func upload(t testing.TB, s *Store, p Purpose, a authority) Entry {
	t.Helper()
	e, err := s.Upload(t.Context(), Upload{Purpose: p, Certificate: a.cert, By: "ann", From: "root.0"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestUploadListRemove: an entry's life, as a list shows it.
func TestUploadListRemove(t *testing.T) {
	s, root := open(t), made(t, "CUC root", nil, nil)
	e := upload(t, s, CallManagerTrust, root)
	upload(t, s, PhoneSASTTrust, root)
	want := Entry{Purpose: CallManagerTrust, Fingerprint: pki.Fingerprint(root.cert), Subject: "CN=CUC root", Issuer: "CN=CUC root", Serial: root.cert.SerialNumber.Text(16),
		NotBefore: root.cert.NotBefore, NotAfter: root.cert.NotAfter, CA: true, Key: "ECDSA-P256", Kinds: []pki.Kind{pki.KindPeer}, DER: root.cert.Raw, State: Trusted,
		Added: now, By: "ann", From: "root.0"}
	ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".certificate" || p.Last().String() == ".revision" }, cmp.Ignore())
	if d := cmp.Diff(want, e, ignore); d != "" {
		t.Error(d)
	}
	list, err := s.List(t.Context(), CallManagerTrust)
	if err != nil || len(list) != 1 || cmp.Diff(want, list[0], ignore) != "" || !list[0].Certificate().Equal(root.cert) {
		t.Errorf("%v %+v", err, list)
	}
	upload(t, s, CallManagerTrust, root) // again is no error
	removed, err := s.Remove(t.Context(), CallManagerTrust, strings.ToUpper(e.Fingerprint[:12]), "bob", "not theirs any more")
	if err != nil || removed.State != Removed || removed.EndedBy != "bob" || !removed.Ended.Equal(now) {
		t.Errorf("%v %+v", err, removed)
	}
	if all, err := s.List(t.Context(), ""); err != nil || len(all) != 2 || all[0].State != Removed || all[0].Reason == "" || all[1].State != Trusted {
		t.Errorf("%v %+v", err, all)
	}
	if left, err := s.Trusted(t.Context()); err != nil || len(left) != 1 || left[0].Purpose != PhoneSASTTrust {
		t.Errorf("%v %+v", err, left)
	}
	if e := upload(t, s, CallManagerTrust, root); e.State != Trusted || !e.Ended.IsZero() {
		t.Errorf("uploaded anew: %+v", e)
	}
}

// TestRevoked: it counts for no purpose, stays known, and is not let in again.
func TestRevoked(t *testing.T) {
	s, root := open(t), made(t, "root", nil, nil)
	upload(t, s, CallManagerTrust, root)
	e := upload(t, s, PhoneSASTTrust, root)
	out, err := s.Revoke(t.Context(), e.Fingerprint, "ann", "the key was copied")
	if err != nil || len(out) != 2 {
		t.Fatalf("%v %d", err, len(out))
	}
	if left, err := s.Trusted(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("%v %+v", err, left)
	}
	_, err = s.Upload(t.Context(), Upload{Purpose: TomcatTrust, Certificate: root.cert})
	if !pki.FindingsOf(err).Has(pki.RuleRevoked) || !strings.Contains(err.Error(), "the key was copied") {
		t.Errorf("%v", err)
	}
	if _, err := s.Remove(t.Context(), CallManagerTrust, e.Fingerprint, "bob", ""); err != nil {
		t.Error(err)
	}
	if x, err := s.Find(t.Context(), CallManagerTrust, e.Fingerprint); err != nil || x.State != Revoked {
		t.Errorf("removing made a revocation weaker: %v %v", err, x.State)
	}
}

// TestNotThere: what is missing or not said well enough.
func TestNotThere(t *testing.T) {
	s := open(t)
	for _, err := range []error{second(s.Remove(t.Context(), CAPFTrust, "0011223344", "", "")), second(s.Find(t.Context(), "", "00:11:22:33:44"))} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
	if _, err := s.Find(t.Context(), "", "0011"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := s.Upload(t.Context(), Upload{Purpose: "shoe-trust", Certificate: made(t, "x", nil, nil).cert}); err == nil || !strings.Contains(err.Error(), "capf-trust") {
		t.Error(err)
	}
	if _, err := s.Upload(t.Context(), Upload{Purpose: CAPFTrust}); err == nil {
		t.Error("nothing was uploaded")
	}
	if p, err := ParsePurpose("CallManager-trust"); err != nil || p != CallManagerTrust {
		t.Error(p, err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestGrants: what a purpose gives, and what an upload may ask for beyond it.
func TestGrants(t *testing.T) {
	s, root := open(t), made(t, "root", nil, nil)
	for _, c := range []struct {
		u     Upload
		kinds pki.Kinds
		roles []trustlist.Role
		ok    bool
	}{
		{Upload{Purpose: CallManagerTrust}, pki.KindsOf(pki.KindPeer), nil, true},
		{Upload{Purpose: CallManagerTrust, Kinds: pki.KindsOf(pki.KindPeer, pki.KindDevice)}, pki.KindsOf(pki.KindPeer, pki.KindDevice), nil, true},
		{Upload{Purpose: CallManagerTrust, Kinds: pki.KindsOf(pki.KindService)}, 0, nil, false},
		{Upload{Purpose: CallManagerTrust, Kinds: pki.KindsOf(pki.KindCTI)}, 0, nil, false},
		{Upload{Purpose: CallManagerTrust, Roles: []trustlist.Role{trustlist.RoleCCM}}, pki.KindsOf(pki.KindPeer), []trustlist.Role{trustlist.RoleCCM}, true},
		{Upload{Purpose: CallManagerTrust, Roles: []trustlist.Role{trustlist.RoleSAST}}, 0, nil, false},
		{Upload{Purpose: CAPFTrust}, pki.KindsOf(pki.KindDevice), nil, true},
		{Upload{Purpose: CAPFTrust, Kinds: pki.KindsOf(pki.KindPeer)}, 0, nil, false},
		{Upload{Purpose: CAPFTrust, Roles: []trustlist.Role{trustlist.RoleCAPF}}, 0, nil, false},
		{Upload{Purpose: PhoneSASTTrust}, 0, []trustlist.Role{trustlist.RoleSAST, trustlist.RoleTFTP}, true},
		{Upload{Purpose: PhoneSASTTrust, Kinds: pki.KindsOf(pki.KindDevice)}, 0, nil, false},
		{Upload{Purpose: TVSTrust}, 0, []trustlist.Role{trustlist.RoleTVS}, true},
		{Upload{Purpose: TomcatTrust}, 0, []trustlist.Role{trustlist.RoleAppServer}, true},
		{Upload{Purpose: PhoneVPNTrust}, 0, []trustlist.Role{trustlist.RoleAppServer}, true},
	} {
		c.u.Certificate = root.cert
		e, err := s.Upload(t.Context(), c.u)
		if (err == nil) != c.ok || err == nil && (pki.KindsOf(e.Kinds...) != c.kinds || !cmp.Equal(e.Roles, c.roles)) {
			t.Errorf("%s %v %v: %v, %v %v", c.u.Purpose, c.u.Kinds, c.u.Roles, err, e.Kinds, e.Roles)
		}
	}
}

// TestAnchors: by purpose, each once with all its kinds, nothing of what was removed.
func TestAnchors(t *testing.T) {
	s := open(t)
	maker, carrier, both := made(t, "maker", nil, nil), made(t, "carrier", nil, nil), made(t, "both", nil, nil)
	for p, list := range map[Purpose][]authority{CAPFTrust: {maker, both}, CallManagerTrust: {carrier, both}, PhoneSASTTrust: {maker}} {
		for _, a := range list {
			upload(t, s, p, a)
		}
	}
	check := func(want map[string]string, purposes ...Purpose) {
		t.Helper()
		got := map[string]string{}
		list, err := s.Anchors(t.Context(), purposes...)
		for _, a := range list {
			got[a.Certificate.Subject.CommonName] = a.Kinds.String()
		}
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%v %s", err, cmp.Diff(want, got))
		}
		if _, err := pki.NewTrust(list...); err != nil {
			t.Error(err)
		}
	}
	check(map[string]string{"maker": "device", "carrier": "peer", "both": pki.KindsOf(pki.KindDevice, pki.KindPeer).String()})
	check(map[string]string{"maker": "device", "both": "device"}, CAPFTrust)
	check(map[string]string{}, PhoneSASTTrust)
	if _, err := s.Remove(t.Context(), CallManagerTrust, pki.Fingerprint(both.cert), "", ""); err != nil {
		t.Fatal(err)
	}
	check(map[string]string{"maker": "device", "carrier": "peer", "both": "device"})
}

// TestLint: findings by what is wrong, and which of them refuse.
func TestLint(t *testing.T) {
	old, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	long, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	parent, own := made(t, "parent", nil, nil), made(t, "our root", nil, nil)
	sha1 := func(a authority, self bool) authority { // as a parsed certificate says it
		c := *a.cert
		c.SignatureAlgorithm = x509.SHA1WithRSA
		if !self {
			c.RawIssuer = parent.cert.RawSubject
		}
		return authority{&c, a.key}
	}
	for _, c := range []struct {
		name     string
		p        Purpose
		a        authority
		rule     pki.Rule
		severity pki.Severity
	}{
		{"expired", CallManagerTrust, made(t, "x", nil, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) }), pki.RuleExpired, pki.Refusal},
		{"not yet", CallManagerTrust, made(t, "x", nil, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }), pki.RuleNotYetValid, pki.Warning},
		{"soon", CallManagerTrust, made(t, "x", nil, func(c *x509.Certificate) { c.NotAfter = now.Add(time.Hour) }), pki.RuleExpiresSoon, pki.Warning},
		{"SHA-1 root", CAPFTrust, sha1(made(t, "x", nil, nil), true), pki.RuleDigest, pki.Note},
		{"SHA-1 below a root", CAPFTrust, sha1(made(t, "x", nil, nil), false), pki.RuleDigest, pki.Warning},
		{"RSA 1024", PhoneSASTTrust, madeWith(t, "x", nil, endEntity, old), pki.RuleKeyWeak, pki.Refusal},
		{"P-224", CallManagerTrust, madeWith(t, "x", nil, nil, p224), pki.RuleKeyWeak, pki.Refusal},
		{"RSA 3072 for phones", PhoneSASTTrust, madeWith(t, "x", nil, endEntity, long), pki.RulePolicyProfile, pki.Note},
		{"a leaf for peers", CallManagerTrust, made(t, "x", &parent, endEntity), pki.RuleIssuerNotCA, pki.Warning},
		{"a leaf for devices", CAPFTrust, made(t, "x", &parent, endEntity), pki.RuleIssuerNotCA, pki.Refusal},
		{"a CA that may not sign", CallManagerTrust, made(t, "x", nil, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), pki.RuleIssuerKeyUsage, pki.Refusal},
		{"a CA as signer of lists", PhoneSASTTrust, made(t, "x", nil, nil), pki.RuleCAAsEndEntity, pki.Warning},
		{"our own name", CallManagerTrust, made(t, "our root", nil, nil), pki.RulePolicyName, pki.Refusal},
	} {
		fs, err := Lint(c.a.cert, c.p, []*x509.Certificate{own.cert}, now)
		if err != nil || len(fs) != 1 || fs[0].Rule != c.rule || fs[0].Severity != c.severity || fs[0].Fix == "" || fs[0].Subject == "" {
			t.Errorf("%s: %v %+v", c.name, err, fs)
		}
		if strings.HasPrefix(c.name, "SHA-1") {
			continue // a certificate that only says so cannot be stored
		}
		_, err = open(t, own.cert).Upload(t.Context(), Upload{Purpose: c.p, Certificate: c.a.cert})
		if refused := err != nil; refused != (c.severity == pki.Refusal) || refused && !pki.FindingsOf(err).Has(c.rule) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, p := range []Purpose{CallManagerTrust, CAPFTrust, TomcatTrust} {
		if fs, err := Lint(parent.cert, p, nil, now); err != nil || len(fs) > 0 {
			t.Errorf("%s: %v %v", p, fs, err)
		}
	}
}

// TestNextHandshake: a peer is refused, its root is uploaded, it is let in; the root is removed, and it is refused; with
// what a service does when the store says that something changed.
func TestNextHandshake(t *testing.T) {
	ctx, s := t.Context(), open(t)
	root := made(t, "carrier root", nil, nil)
	leaf := made(t, "trunk", &root, endEntity)
	server := made(t, "us", nil, func(c *x509.Certificate) {
		c.IsCA, c.ExtKeyUsage, c.KeyUsage = false, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, x509.KeyUsageDigitalSignature
	})
	trust := func() *pki.Trust {
		anchors, err := s.Anchors(ctx)
		if err != nil {
			t.Fatal(err)
		}
		out, err := pki.NewTrust(anchors...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	id, err := pki.NewIdentity("test", pki.Snapshot{Trust: trust(), Certificates: pki.Certificates{Server: []pki.Credential{{Chain: []*x509.Certificate{server.cert}, Key: pki.NewPrivateKey(server.key)}}}},
		func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	config := id.ServerConfig(pki.ServerPolicy{Peers: pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindPeer)}})
	shake := func() error {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		go func() {
			c := tls.Client(b, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.cert.Raw}, PrivateKey: leaf.key}}})
			_ = c.HandshakeContext(ctx)
			b.Close()
		}()
		return tls.Server(a, config).HandshakeContext(ctx)
	}
	changed := s.Watch(ctx)
	follow := func() {
		t.Helper()
		select {
		case <-changed:
		case <-time.After(5 * time.Second):
			t.Fatal("nobody was told of the change")
		}
		snap := id.Snapshot()
		snap.Trust = trust()
		if err := id.Replace(snap); err != nil {
			t.Fatal(err)
		}
	}
	if err := shake(); err == nil {
		t.Fatal("a stranger was let in")
	}
	e := upload(t, s, CallManagerTrust, root)
	follow()
	if err := shake(); err != nil {
		t.Fatalf("after the upload: %v", err)
	}
	if _, err := s.Remove(context.WithoutCancel(ctx), CallManagerTrust, e.Fingerprint, "ann", ""); err != nil {
		t.Fatal(err)
	}
	follow()
	if err := shake(); err == nil {
		t.Fatal("a removed root still lets in")
	}
}

// TestRaces: an upload that was checked before a revocation does not undo it.
func TestRaces(t *testing.T) {
	s, root := open(t), made(t, "root", nil, nil)
	e := upload(t, s, CallManagerTrust, root)
	stale := e
	if _, err := s.Revoke(t.Context(), e.Fingerprint, "ann", "copied"); err != nil {
		t.Fatal(err)
	}
	if err := s.write(t.Context(), &stale); !errors.Is(err, store.ErrConflict) {
		t.Errorf("%v", err)
	}
	if err := s.end(t.Context(), &stale, Removed, "", ""); !errors.Is(err, store.ErrConflict) {
		t.Errorf("%v", err)
	}
	fresh := made(t, "fresh", nil, nil)
	a, err := s.entry(Rules()[0], Upload{Purpose: CallManagerTrust, Certificate: fresh.cert})
	if err != nil {
		t.Fatal(err)
	}
	b := a
	if err := s.write(t.Context(), &a); err != nil {
		t.Fatal(err)
	}
	if err := s.write(t.Context(), &b); !errors.Is(err, store.ErrConflict) {
		t.Errorf("two uploads at once: %v", err)
	}
}

// TestDamaged: a document that cannot be read is named.
func TestDamaged(t *testing.T) {
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	docs := st.Documents(Collection)
	s := Open(Config{Documents: docs})
	for _, v := range []any{"no object", Entry{DER: []byte{1, 2}}} {
		if _, err := docs.Put(t.Context(), "capf-trust/00", v, store.AnyRevision); err != nil {
			t.Fatal(err)
		}
		if _, err := s.List(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "capf-trust/00") {
			t.Error(err)
		}
	}
}
