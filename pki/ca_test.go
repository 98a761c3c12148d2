package pki

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func openCA(t testing.TB, dir string, now func() time.Time) *CA {
	t.Helper()
	custody := must(OpenDir(filepath.Join(dir, "keys")))(t)
	reg := must(OpenRegister(filepath.Join(dir, "register.jsonl")))(t)
	t.Cleanup(func() { reg.Close() })
	return must(Open(t.Context(), Config{Cluster: "lab", Custody: custody, Register: reg, Now: now}))(t)
}

// TestServiceLife: made, found again, renewed by age and by change, names differing throughout.
func TestServiceLife(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	ca := openCA(t, dir, func() time.Time { return now })
	first := must(ca.Service(t.Context(), spec("callmanager")))(t)
	cns := func(c Certificates) (names []string) {
		for _, cr := range slices.Concat(c.Server, c.Client) {
			names = append(names, cr.Leaf().Subject.CommonName+" "+KeyName(cr.Leaf()))
		}
		return names
	}
	want := "[callmanager.lab.test-EC ECDSA-P256 callmanager.lab.test RSA-2048 callmanager.lab.test-client-EC ECDSA-P256 callmanager.lab.test-client RSA-2048]"
	if got := fmt.Sprint(cns(first)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	again := openCA(t, dir, func() time.Time { return now })
	if c := must(again.Service(t.Context(), spec("callmanager")))(t); !c.Server[0].Leaf().Equal(first.Server[0].Leaf()) {
		t.Error("a restart made new certificates")
	}
	id := must(NewIdentity("callmanager", Snapshot{first, must(ca.Trust())(t)}, nil))(t)
	if changed := must(ca.Refresh(t.Context(), id, spec("callmanager")))(t); changed {
		t.Error("refreshed on the first day")
	}
	now = now.Add(300 * 24 * time.Hour)
	if changed := must(ca.Refresh(t.Context(), id, spec("callmanager")))(t); !changed || id.Snapshot().Certificates.Generation != 2 {
		t.Error("not refreshed after 300 days")
	}
	second := must(ca.Service(t.Context(), spec("callmanager")))(t)
	if second.Generation != 2 || second.Client[1].Leaf().Subject.CommonName != "callmanager.lab.test-client-g2" {
		t.Errorf("after 300 days: generation %d, %v", second.Generation, cns(second))
	}
	moved := spec("callmanager")
	moved.DNSNames = append(moved.DNSNames, "new.lab.test")
	third := must(ca.Service(t.Context(), moved))(t)
	if third.Generation != 3 || !slices.Contains(third.Server[0].Leaf().DNSNames, "new.lab.test") {
		t.Errorf("with another name: generation %d", third.Generation)
	}
	if err := ca.Revoke(t.Context(), RefOf(third.Server[1].Leaf()), "key exposed"); err != nil {
		t.Fatal(err)
	}
	if c := must(ca.Service(t.Context(), moved))(t); c.Generation != 4 {
		t.Errorf("with one revoked: generation %d", c.Generation)
	}
}

// TestServiceCertificates: each end's certificates are good for that end only, and verify without a remark, in a chain
// of one key type.
func TestServiceCertificates(t *testing.T) {
	ca := testCA(t)
	c := must(ca.Service(t.Context(), spec("alpha")))(t)
	trust := must(ca.Trust())(t)
	ends := map[Side][]Credential{PeerIsServer: c.Server, PeerIsClient: c.Client}
	for side, creds := range ends {
		for _, cr := range creds {
			p := PeerPolicy{Kinds: KindsOf(KindService), Names: Names{SIPDomain: "lab.test"}}
			r := trust.Verify(cr.Chain, side, p, ca.cfg.Now())
			if len(r.Findings) != 0 || len(r.Chain) != 2 || r.Entry == nil || r.Entry.Name != "alpha" {
				t.Errorf("%s: %v", subject(cr.Leaf()), r.Findings)
			}
			if _, isRSA := r.Chain[1].PublicKey.(*rsa.PublicKey); isRSA != strings.HasPrefix(KeyName(cr.Leaf()), "RSA") {
				t.Errorf("%s is under %s", subject(cr.Leaf()), subject(r.Chain[1]))
			}
			if wrong := trust.Verify(cr.Chain, 1-side, p, ca.cfg.Now()); wrong.OK() || !wrong.Findings.Has(RuleEKU) {
				t.Errorf("%s passes on the other end", subject(cr.Leaf()))
			}
		}
	}
}

// TestOpenRace: nodes that start at once on one custody end up with one CA.
func TestOpenRace(t *testing.T) {
	custody := must(OpenDir(filepath.Join(t.TempDir(), "keys")))(t)
	var wg sync.WaitGroup
	roots := make([]string, 2)
	for i := range roots {
		wg.Go(func() {
			reg, _ := OpenRegister("")
			if ca, err := Open(context.Background(), Config{Custody: custody, Register: reg}); err == nil {
				roots[i] = string(ca.RootsPEM())
			}
		})
	}
	wg.Wait()
	if roots[0] == "" || roots[0] != roots[1] {
		t.Error("the nodes disagree about the CA")
	}
}

// TestLint: what is asked for outside the profile is never signed, and never registered.
func TestLint(t *testing.T) {
	ca := testCA(t)
	before := must(ca.cfg.Register.Entries(t.Context()))(t)
	weakRSA := must(rsa.GenerateKey(rand.Reader, 1024))(t)
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))(t)
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		r    Request
		rule Rule
	}{
		{"no kind", Request{Name: "x"}, RulePolicyName},
		{"device name with a space", Request{Kind: KindDevice, Name: "SEP001122334455 evil"}, RulePolicyName},
		{"device name with NUL", Request{Kind: KindDevice, Name: "SEP001122334455\x00"}, RulePolicyName},
		{"device name empty", Request{Kind: KindDevice}, RulePolicyName},
		{"device name too long", Request{Kind: KindDevice, Name: strings.Repeat("a", 65)}, RulePolicyName},
		{"application as server", Request{Kind: KindCTI, Name: "CTI-1", Usage: UsageServer}, RulePolicyProfile},
		{"validity", Request{Kind: KindDevice, Name: "SEP1", Validity: 6 * year}, RulePolicyValidity},
		{"negative validity", Request{Kind: KindDevice, Name: "SEP1", Validity: -time.Hour}, RulePolicyValidity},
		{"wildcard", Request{Kind: KindPeer, Name: "sbc", DNSNames: []string{"*.example.com"}}, RulePolicyName},
		{"no name to dial", Request{Kind: KindPeer, Name: "-bad"}, RulePolicyName},
		{"relative URI", Request{Kind: KindPeer, Name: "sbc", URIs: []*url.URL{{Path: "x"}}}, RulePolicyName},
		{"weak RSA", Request{Kind: KindDevice, Name: "SEP1", PublicKey: &weakRSA.PublicKey}, RuleKeyWeak},
		{"weak curve", Request{Kind: KindDevice, Name: "SEP1", PublicKey: &p224.PublicKey}, RuleKeyWeak},
		{"Ed25519 is not issued", Request{Kind: KindDevice, Name: "SEP1", PublicKey: ed}, RuleKeyWeak},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ca.Issue(t.Context(), c.r)
			if f, _ := FindingsOf(err).First(); f.Rule != c.rule {
				t.Errorf("got %v (%v)", f.Rule, err)
			}
		})
	}
	if after := must(ca.cfg.Register.Entries(t.Context()))(t); len(after) != len(before) {
		t.Errorf("%d entries appeared", len(after)-len(before))
	}
	for _, bad := range []func(*x509.Certificate){
		func(c *x509.Certificate) { c.SerialNumber.SetInt64(5) },
		func(c *x509.Certificate) { c.IsCA = true },
		func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyAgreement },
		func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(4 * year) },
		func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "SEP2"} },
		func(c *x509.Certificate) { c.ExtKeyUsage = nil },
	} {
		r := Request{Kind: KindDevice, Name: "SEP1", Usage: UsageClient, Validity: 3 * year}
		tmpl := r.template(nil, ca.cfg.Now())
		bad(tmpl)
		if err := ca.roots.Load().active().ec.lint.check(tmpl, ecKey(t).Public(), r, ca.cfg.Now()); err == nil {
			t.Errorf("the linter lets pass %+v", tmpl)
		}
	}
}

// TestCSR: the requester's key and names are taken, and nothing else it would like to be.
func TestCSR(t *testing.T) {
	ca := testCA(t)
	k := ecKey(t)
	der := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "sbc.example.com", Organization: []string{"Evil"}}, DNSNames: []string{"sbc.example.com"}}, k))(t)
	for _, b := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})} {
		r := must(RequestFromCSR(b))(t)
		r.Kind = KindPeer
		i := issue(t, ca, r)
		if !i.Credential.Key.IsZero() || subject(i.Credential.Leaf()) != "CN=sbc.example.com" || i.Entry.Usage != UsageBoth {
			t.Errorf("%s, usage %v", subject(i.Credential.Leaf()), i.Entry.Usage)
		}
		if !k.Public().(*ecdsa.PublicKey).Equal(i.Credential.Leaf().PublicKey) {
			t.Error("another key")
		}
	}
	der[len(der)-1] ^= 1
	if _, err := RequestFromCSR(der); err == nil {
		t.Error("a request with a broken signature passes")
	}
}

// TestCRL: a revoked certificate is in the list, and a stranger to our register refuses it by that list.
func TestCRL(t *testing.T) {
	ca := testCA(t)
	for _, alg := range []Algorithm{ECDSAP256, RSA2048} {
		i := issue(t, ca, Request{Kind: KindPeer, Name: "sbc.example.com", Algorithm: alg})
		foreign := must(NewTrust(Anchor{ca.roots.Load().active().ec.cert, AllKinds()}, Anchor{ca.roots.Load().active().rsa.cert, AllKinds()}))(t)
		check := func(now time.Time) *Report {
			for _, list := range must(ca.CRLs(t.Context()))(t) {
				foreign = must(foreign.WithCRL(list))(t)
			}
			return foreign.Verify(i.Credential.Chain, PeerIsClient, PeerPolicy{Kinds: AllKinds()}, now)
		}
		if r := check(time.Now()); len(r.Findings) != 0 {
			t.Fatal(r.Findings)
		}
		if r := check(time.Now().Add(2 * crlLife)); !r.OK() || !r.Findings.Has(RuleCRLStale) {
			t.Error("a list out of date goes unnoticed", r.Findings)
		}
		if err := ca.Revoke(t.Context(), i.Entry.Ref, "sold"); err != nil {
			t.Fatal(err)
		}
		if r := check(time.Now()); !r.Findings.Has(RuleRevoked) || r.OK() {
			t.Error("revoked and accepted", r.Findings)
		}
	}
}

// TestForgedCRL: a list signed by another CA of the same name revokes nothing, and is reported.
func TestForgedCRL(t *testing.T) {
	k, other := newGoKit(t), newGoKit(t)
	other.made["revoked"] = k.made["good"]
	trust := must(must(NewTrust(Anchor{k.root.Leaf(), AllKinds()}))(t).WithCRL(other.crl(t)))(t)
	r := trust.Verify(k.made["good"].Chain, PeerIsClient, PeerPolicy{Kinds: AllKinds()}, at())
	if !r.OK() || !r.Findings.Has(RuleCRLUnusable) {
		t.Error(r.Findings)
	}
}

func TestTrustRefusesImpostors(t *testing.T) {
	ca := testCA(t)
	impostor := sign(t, caTemplate("x"), ecKey(t), nil).Leaf()
	impostor.RawSubject = ca.roots.Load().active().ec.cert.RawSubject
	if _, err := ca.Trust(Anchor{impostor, AllKinds()}); err == nil {
		t.Error("an anchor with the cluster root's name is taken")
	}
	if _, err := NewTrust(Anchor{Certificate: ca.roots.Load().active().ec.cert}); err == nil {
		t.Error("an anchor for nobody is taken")
	}
}

// TestPin: a far end's self-signed certificate can be trusted for itself; the CA flag it often carries needs its
// exception.
func TestPin(t *testing.T) {
	c := clientTemplate("cuc1.lab")
	self := sign(t, c, ecKey(t), nil)
	trust := must(NewTrust(Anchor{self.Leaf(), KindsOf(KindPeer)}))(t)
	if r := trust.Verify(self.Chain, PeerIsClient, PeerPolicy{Kinds: KindsOf(KindPeer)}, at()); !r.OK() {
		t.Error(r.Findings)
	}
	child := sign(t, clientTemplate("child"), ecKey(t), &self)
	if r := trust.Verify(child.Chain, PeerIsClient, PeerPolicy{Kinds: KindsOf(KindPeer)}, at()); r.OK() {
		t.Error("a pinned certificate that is no CA issued another")
	}
}

func TestDir(t *testing.T) {
	ctx, root := t.Context(), filepath.Join(t.TempDir(), "keys")
	d := must(OpenDir(root))(t)
	if _, err := d.Load(ctx, "service/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	steps := []struct {
		err  error
		want error
	}{
		{d.Create(ctx, "service/x", Secret("one")), nil},
		{d.Create(ctx, "service/x", Secret("two")), fs.ErrExist},
		{d.Replace(ctx, "service/x", Secret("three")), nil},
		{d.Replace(ctx, "ca", Secret("four")), nil},
	}
	for i, s := range steps {
		if !errors.Is(s.err, s.want) {
			t.Errorf("step %d: %v, want %v", i, s.err, s.want)
		}
	}
	if s := must(d.Load(ctx, "service/x"))(t); string(s) != "three" {
		t.Errorf("loaded %q", []byte(s))
	}
	if names := must(d.List(ctx, "service/"))(t); !slices.Equal(names, []string{"service/x"}) {
		t.Errorf("listed %q", names)
	}
	st := must(os.Stat(filepath.Join(root, "service", "x.pem")))(t)
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	for _, name := range []string{"", "../x", "a/../b", "/x", "a//b", ".x", "a b", "a/"} {
		if err := d.Replace(ctx, name, nil); err == nil {
			t.Errorf("name %q is taken", name)
		}
	}
	if err := errors.Join(d.Delete(ctx, "ca"), d.Delete(ctx, "ca")); err != nil {
		t.Error(err)
	}
	left := must(filepath.Glob(filepath.Join(root, "*", ".new-*")))(t)
	if len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(root); err == nil {
		t.Error("a folder with keys that others may read is taken")
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(empty); err != nil || must(os.Stat(empty))(t).Mode().Perm() != 0o700 {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestRegisterFile: everything is there after a restart, and a line torn by a crash is dropped, at every length.
func TestRegisterFile(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "register.jsonl")
	r := must(OpenRegister(path))(t)
	e := Entry{Ref: Ref{"CN=x", "1f"}, Kind: KindDevice, Name: "SEP1", Usage: UsageClient, NotAfter: at()}
	if err := errors.Join(r.Add(ctx, e), r.Revoke(ctx, e.Ref, at(), "lost"), r.Revoke(ctx, e.Ref, at().Add(time.Hour), "again")); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(ctx, e); !errors.Is(err, fs.ErrExist) {
		t.Errorf("twice: %v", err)
	}
	if err := r.Revoke(ctx, Ref{"CN=x", "2"}, at(), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("revoking the unknown: %v", err)
	}
	r.Close()
	whole := must(os.ReadFile(path))(t)
	firstLine := bytes.IndexByte(whole, '\n') + 1
	for cut := firstLine; cut <= len(whole); cut++ {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		r := must(OpenRegister(path))(t)
		got, err := r.Lookup(ctx, e.Ref)
		if err != nil || got.Name != "SEP1" || got.Kind != KindDevice || got.Revoked.IsZero() == (cut == len(whole)) {
			t.Fatalf("cut at %d of %d: %+v %v", cut, len(whole), got, err)
		}
		second := Entry{Ref: Ref{"CN=x", "20"}, Name: "SEP2"}
		if err := r.Add(ctx, second); err != nil {
			t.Fatal(err)
		}
		r.Close()
		r = must(OpenRegister(path))(t)
		if es := must(r.Entries(ctx))(t); len(es) != 2 || es[1].Name != "SEP2" {
			t.Fatalf("cut at %d: %+v", cut, es)
		}
		r.Close()
	}
	if err := os.WriteFile(path, []byte("{}\nrubbish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRegister(path); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("rubbish in the middle: %v", err)
	}
}

// TestNothingPrints: no way of printing shows key material.
func TestNothingPrints(t *testing.T) {
	ca := testCA(t)
	i := issue(t, ca, Request{Kind: KindDevice, Name: "SEP00000000BBBB"})
	secret := must(i.Credential.KeyPEM())(t)
	d := i.Credential.Key.signer.(*ecdsa.PrivateKey)
	raw := must(d.Bytes())(t)
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "secret", secret, "key", i.Credential.Key, "credential", i.Credential)
	out := logged.String()
	for _, v := range []any{secret, i.Credential.Key, i.Credential, i, i.Credential.TLS(), []Secret{secret}, &secret} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			out += fmt.Sprintf(verb, v)
		}
		if b, err := json.Marshal(v); err == nil {
			out += string(b)
		}
	}
	for _, leak := range []string{fmt.Sprintf("%x", raw), fmt.Sprintf("%X", raw), string(secret[40:60]), new(bigger).text(raw), fmt.Sprint(raw)[1:60]} {
		if strings.Contains(out, leak) {
			t.Errorf("%q appears", leak)
		}
	}
	if !strings.Contains(out, redacted) {
		t.Error("nothing was redacted")
	}
	back := must(LoadCredential(append(i.Credential.CertificatePEM(), secret...)))(t)
	if back.Leaf().Subject.CommonName != "SEP00000000BBBB" {
		t.Error("the exported files do not load")
	}
}

// bigger renders key bytes as the decimal number that a dump of big.Int words would show.
type bigger struct{}

func (*bigger) text(b []byte) string { return fmt.Sprint([]byte(b[:16])) }

// TestLoadCredential: each wrong file gets its own sentence.
func TestLoadCredential(t *testing.T) {
	ca := testCA(t)
	a := issue(t, ca, Request{Kind: KindDevice, Name: "SEP00000000CCCC"}).Credential
	b := issue(t, ca, Request{Kind: KindDevice, Name: "SEP00000000DDDD"}).Credential
	keyB := must(b.KeyPEM())(t)
	for _, c := range []struct{ in, says string }{
		{"", "no certificate: the input is empty"},
		{"hello", "neither PEM nor DER"},
		{string(a.CertificatePEM()), "no private key beside the certificate"},
		{string(a.CertificatePEM()) + string(keyB), "does not belong to the first certificate (CN=SEP00000000CCCC)"},
		{string(keyB), "no CERTIFICATE block"},
		{string(a.CertificatePEM()) + "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "encrypted with a passphrase"},
	} {
		if _, err := LoadCredential([]byte(c.in)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v; want %q", err, c.says)
		}
	}
}

// TestUntidyChainsAreNotRemembered: one certificate sent with ever different company does not fill the memory.
func TestUntidyChainsAreNotRemembered(t *testing.T) {
	k := newGoKit(t)
	trust := must(NewTrust(Anchor{k.root.Leaf(), AllKinds()}))(t)
	good := k.made["via-ica"].Chain
	for _, c := range []struct {
		chain []*x509.Certificate
		want  int
	}{
		{append(slices.Clone(good), k.made["selfsigned"].Leaf()), 0},
		{[]*x509.Certificate{good[0], k.made["good"].Leaf(), good[1]}, 0},
		{good, 1},
		{append(slices.Clone(good), k.root.Leaf()), 2},
		{k.made["expired"].Chain, 2},
	} {
		trust.Verify(c.chain, PeerIsClient, PeerPolicy{Kinds: AllKinds()}, at())
		if got := len(trust.paths.paths); got != c.want {
			t.Errorf("%d paths remembered, want %d", got, c.want)
		}
	}
}
