package pki

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/url"
	"testing"
)

// corporate is a CA of somebody else's.
func corporate(t testing.TB) Credential {
	tmpl := caTemplate("Corporate CA")
	tmpl.NotBefore, tmpl.NotAfter = at().AddDate(-1, 0, 0), at().AddDate(5, 0, 0)
	return sign(t, tmpl, ecKey(t), nil)
}

func corporateLSC(t testing.TB, ca Credential, cn string, change func(*x509.Certificate)) Credential {
	tmpl := x509.Certificate{Subject: pkix.Name{CommonName: cn}, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotBefore: at().AddDate(0, -1, 0), NotAfter: at().AddDate(2, 0, 0)}
	if change != nil {
		change(&tmpl)
	}
	return sign(t, tmpl, ecKey(t), &ca)
}

// TestAdopt: what the register says of a foreign certificate goes before what its anchor says.
func TestAdopt(t *testing.T) {
	p := newPlace(t)
	ca := p.open(t)
	corp := corporate(t)
	anchor := Anchor{corp.Leaf(), KindsOf(KindDevice)}
	trust := must(ca.Trust(anchor))(t)
	verify := func(c Credential, k Kind) *Report {
		return trust.Verify(c.Chain, PeerIsClient, PeerPolicy{Kinds: KindsOf(k)}, at())
	}
	lsc, mic, cti := corporateLSC(t, corp, "SEP001122334455", nil), corporateLSC(t, corp, "SEP00112233AAAA", nil), corporateLSC(t, corp, "CTI-1", nil)
	if r := verify(lsc, KindDevice); !r.OK() || r.Registered() {
		t.Errorf("before: %v, registered %v", r.Findings, r.Registered())
	}
	entry := must(ca.Adopt(t.Context(), lsc.Leaf(), KindDevice, "SEP001122334455"))(t)
	if again := must(ca.Adopt(t.Context(), lsc.Leaf(), KindDevice, "SEP001122334455"))(t); again.Ref != entry.Ref {
		t.Error("adopted twice")
	}
	must(ca.Adopt(t.Context(), cti.Leaf(), KindCTI, "CTI-1"))(t)
	if _, err := ca.Adopt(t.Context(), lsc.Leaf(), KindPeer, "SEP001122334455"); err == nil {
		t.Error("bound to two holders")
	}
	if r := verify(lsc, KindDevice); !r.OK() || !r.Registered() || r.Entry.Name != "SEP001122334455" {
		t.Errorf("adopted: %v, registered %v", r.Findings, r.Registered())
	}
	if r := verify(mic, KindDevice); !r.OK() || r.Registered() || r.Kinds != KindsOf(KindDevice) {
		t.Errorf("one that was not adopted: %v, %v, registered %v", r.Findings, r.Kinds, r.Registered())
	}
	if r := verify(cti, KindCTI); !r.OK() || !r.Registered() {
		t.Errorf("an application under an anchor for devices: %v", r.Findings)
	}
	if r := verify(cti, KindDevice); r.OK() || FindingsOf(r.Err())[0].Rule != RuleKind {
		t.Errorf("the application as a device: %v", r.Err())
	}
	if own := issue(t, ca, Request{Kind: KindDevice, Name: "SEP1"}); !trust.Verify(own.Credential.Chain, PeerIsClient, PeerPolicy{Kinds: AllKinds()}, at()).Registered() {
		t.Error("one that we issued is not registered")
	}
	if err := ca.Revoke(t.Context(), entry.Ref, "lost"); err != nil {
		t.Fatal(err)
	}
	if r := verify(lsc, KindDevice); r.OK() || FindingsOf(r.Err())[0].Rule != RuleRevoked {
		t.Errorf("revoked: %v", r.Err())
	}
	if _, err := ca.Adopt(t.Context(), lsc.Leaf(), KindDevice, "SEP001122334455"); err == nil {
		t.Error("a revoked one was adopted again")
	}
}

// TestAdoptRefuses what could not be used.
func TestAdoptRefuses(t *testing.T) {
	ca := newPlace(t).open(t)
	corp := corporate(t)
	own := issue(t, ca, Request{Kind: KindDevice, Name: "SEP1"}).Credential
	for _, c := range []struct {
		what string
		cert Credential
		kind Kind
		name string
		rule Rule
	}{
		{"another name", corporateLSC(t, corp, "SEP2", nil), KindDevice, "SEP1", RuleDeviceName},
		{"an unknown kind", corporateLSC(t, corp, "SEP1", nil), KindUnknown, "SEP1", RulePolicyName},
		{"expired", corporateLSC(t, corp, "SEP1", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = at().AddDate(-2, 0, 0), at().AddDate(-1, 0, 0) }), KindDevice, "SEP1", RuleExpired},
		{"without usage", corporateLSC(t, corp, "SEP1", func(c *x509.Certificate) { c.ExtKeyUsage = nil }), KindDevice, "SEP1", RuleEKUMissing},
		{"a CA", corp, KindDevice, "Corporate CA", RulePolicyName},
		{"a CA of a plain name", corporateLSC(t, corp, "SEP1", func(c *x509.Certificate) { c.IsCA = true }), KindDevice, "SEP1", RuleCAAsEndEntity},
		{"our own", own, KindDevice, "SEP1", RulePolicyProfile},
	} {
		_, err := ca.Adopt(t.Context(), c.cert.Leaf(), c.kind, c.name)
		if first, _ := FindingsOf(err).First(); first.Rule != c.rule {
			t.Errorf("%s: %v, want %s", c.what, err, c.rule)
		}
	}
	mic := corporateLSC(t, corp, "CP-8861-SEP001122334455", nil)
	if _, err := ca.Adopt(t.Context(), mic.Leaf(), KindDevice, "SEP001122334455"); err != nil {
		t.Errorf("a name of the manufacturer's form: %v", err)
	}
}

// deaf is a register that cannot be read.
type deaf struct{ Register }

func (deaf) Lookup(context.Context, Ref) (Entry, error) { return Entry{}, errors.New("no answer") }

// TestForeignWithoutRegister: foreign peers are let in while the register is away, ours are not.
func TestForeignWithoutRegister(t *testing.T) {
	p := newPlace(t)
	own := issue(t, p.open(t), Request{Kind: KindDevice, Name: "SEP1"}).Credential
	cfg := p.config()
	cfg.Register = deaf{p.reg}
	corp := corporate(t)
	trust := must(must(Open(t.Context(), cfg))(t).Trust(Anchor{corp.Leaf(), KindsOf(KindDevice)}))(t)
	r := trust.Verify(corporateLSC(t, corp, "SEP2", nil).Chain, PeerIsClient, PeerPolicy{Kinds: KindsOf(KindDevice)}, at())
	if first, _ := r.Findings.First(); !r.OK() || r.Registered() || first.Rule != RuleRegister {
		t.Errorf("foreign: %v", r.Findings)
	}
	if r := trust.Verify(own.Chain, PeerIsClient, PeerPolicy{Kinds: KindsOf(KindDevice)}, at()); r.OK() {
		t.Error("ours is let in")
	}
}

// rsaWith makes a key with the exponent.
func rsaWith(t testing.TB, e int64) *rsa.PublicKey {
	one, exp := big.NewInt(1), big.NewInt(e)
	for {
		a, b := must(rand.Prime(rand.Reader, 1024))(t), must(rand.Prime(rand.Reader, 1024))(t)
		phi := new(big.Int).Mul(new(big.Int).Sub(a, one), new(big.Int).Sub(b, one))
		n := new(big.Int).Mul(a, b)
		if n.BitLen() == 2048 && new(big.Int).GCD(nil, nil, exp, phi).Cmp(one) == 0 {
			return &rsa.PublicKey{N: n, E: int(e)}
		}
	}
}

// TestLSCProfile: what enrolment asks for.
func TestLSCProfile(t *testing.T) {
	ca := testCA(t)
	good := rsaWith(t, 17)
	uri := must(url.Parse("SEP001122334455"))(t)
	c := issue(t, ca, Request{Kind: KindDevice, Name: "SEP001122334455", PublicKey: good, URIs: []*url.URL{uri}, Usage: UsageBoth,
		KeyEncipherment: true, IPsec: true}).Credential.Leaf()
	if c.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment || len(c.ExtKeyUsage) != 3 || c.ExtKeyUsage[2] != x509.ExtKeyUsageIPSECEndSystem || len(c.URIs) != 1 {
		t.Errorf("key usage %v, purposes %v, URIs %v", c.KeyUsage, c.ExtKeyUsage, c.URIs)
	}
	if e := issue(t, ca, Request{Kind: KindDevice, Name: "SEP001122334455", KeyEncipherment: true}).Credential.Leaf(); e.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("an EC key that enciphers: %v", e.KeyUsage)
	}
	even := new(big.Int).Add(good.N, big.NewInt(1))
	triple := new(big.Int).Sub(good.N, new(big.Int).Mod(good.N, big.NewInt(3)))
	if triple.Bit(0) == 0 {
		triple.Add(triple, big.NewInt(3))
	}
	for what, k := range map[string]*rsa.PublicKey{"exponent 1": {N: good.N, E: 1}, "exponent 3": {N: good.N, E: 3}, "even exponent": {N: good.N, E: 65536},
		"even modulus": {N: even, E: 65537}, "modulus with a factor 3": {N: triple, E: 65537}} {
		_, err := ca.Issue(t.Context(), Request{Kind: KindDevice, Name: "SEP1", PublicKey: k})
		if err == nil {
			t.Errorf("a key with %s was certified", what)
		}
	}
	if _, err := ca.Issue(t.Context(), Request{Kind: KindPeer, Name: "gw", DNSNames: []string{"gw.lab.test"}, URIs: []*url.URL{uri}}); err == nil {
		t.Error("a peer with a relative URI")
	}
}
