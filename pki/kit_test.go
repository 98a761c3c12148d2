package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// kitCase is one way in which a client's certificate can be wrong. The names and verdicts are those of the badclient
// kit's EXPECTED.tsv; the rules are ours.
type kitCase struct {
	name    string
	verdict string // as in EXPECTED.tsv
	rules   []Rule // any of these, when it is refused at TLS level; the kit's certificates lack key identifiers
	says    string // part of the sentence
}

func kitCases() []kitCase {
	return []kitCase{
		{"good", "ACCEPT", nil, ""},
		{"via-ica", "ACCEPT", nil, ""},
		{"ed25519", "ACCEPT-OR-REJECT", nil, ""}, // our policy: accepted
		{"other-device", "ACCEPT-TLS-REJECT-APP", nil, "names SEPAABBCCDDEEFF and not the device SEP001122334455"},
		{"revoked", "REJECT-IF-CRL-LOADED", []Rule{RuleRevoked}, "that was revoked on 20"},
		{"expired", "REJECT", []Rule{RuleExpired}, " years ago (2021-"},
		{"notyet", "REJECT", []Rule{RuleNotYetValid}, "that becomes valid only in"},
		{"serverauth-only", "REJECT", []Rule{RuleEKU}, "does not include clientAuth"},
		{"codesign-only", "REJECT", []Rule{RuleEKU}, "does not include clientAuth"},
		{"unknown-critical-ext", "REJECT", []Rule{RuleCriticalExt}, "critical extension 1.2.3.4.5.6"},
		{"no-digitalsignature", "REJECT-PREFERRED", []Rule{RuleKeyUsage}, "does not include digitalSignature"},
		{"sha1", "REJECT", []Rule{RuleDigest}, "signed with ECDSA-SHA1"},
		{"rsa1024", "REJECT", []Rule{RuleKeyWeak}, "weak key (RSA-1024)"},
		{"rogue-same-issuer-name", "REJECT", []Rule{RuleIssuerKey, RuleSignature}, "another CA"},
		{"bad-signature", "REJECT", []Rule{RuleSignature}, "signature does not verify"},
		{"issuer-not-ca", "REJECT", []Rule{RuleIssuerNotCA}, "CN=Not a CA,O=Lab issues certificates without being a CA"},
		{"pathlen-violated", "REJECT", []Rule{RulePathLength}, "CN=Phones ICA,O=Lab, which allows 0"},
		{"name-constraint-violated", "REJECT", []Rule{RuleNameConstraints}, "outside what CN=Constrained ICA,O=Lab may certify (permitted DNS phones.good.test)"},
		{"missing-intermediate", "REJECT", []Rule{RuleIssuerMissing}, "issued by CN=Phones ICA,O=Lab, a CA that it did not send"},
		{"selfsigned", "REJECT", []Rule{RuleSelfSigned}, "self-signed"},
		{"cn-nul", "ACCEPT-TLS-REJECT-APP", nil, "and not the device SEP001122334455"},
		{"ica", "REJECT-PREFERRED", []Rule{RuleCAAsEndEntity}, "a CA's certificate as its own"},
		{"ncica", "REJECT-PREFERRED", []Rule{RuleCAAsEndEntity}, "a CA's certificate as its own"},
		{"fakeca", "REJECT-PREFERRED", []Rule{RuleEKUMissing}, "without any extended key usage"},
		{"ica2", "REJECT", []Rule{RuleIssuerMissing}, "issued by CN=Phones ICA,O=Lab, a CA that it did not send"},
	}
}

const kitDevice = "SEP001122334455"

// driveKit sends every chain of a kit through a real mutual TLS server and compares what happens.
func driveKit(t *testing.T, root *x509.Certificate, crl []byte, load func(name string) Credential) {
	now := root.NotBefore.Add(time.Minute)
	if earliest := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC); now.Before(earliest) {
		now = earliest
	}
	ca := testCA(t)
	trust := must(ca.Trust(Anchor{Certificate: root, Kinds: KindsOf(KindDevice)}))(t)
	trust = must(trust.WithCRL(crl))(t)
	certs := must(ca.Service(t.Context(), spec("alpha")))(t)
	id := must(NewIdentity("kit", Snapshot{certs, trust}, func() time.Time { return now }))(t)
	policy := PeerPolicy{Peer: "phone", Kinds: KindsOf(KindDevice)}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		addr, outcomes := serve(t, id.ServerConfig(ServerPolicy{TLSPolicy: TLSPolicy{MaxVersion: version}, Peers: policy}))
		for _, c := range kitCases() {
			t.Run(tls.VersionName(version)+"/"+c.name, func(t *testing.T) {
				_, clientErr := exchange(addr, clientWith(load(c.name)))
				got := <-outcomes
				judgeKit(t, id, policy, c, clientErr, got)
			})
		}
	}
}

func judgeKit(t *testing.T, id *Identity, policy PeerPolicy, c kitCase, clientErr error, got outcome) {
	t.Helper()
	if c.rules != nil {
		if clientErr == nil {
			t.Error("the client's end was let in")
		}
		fs := FindingsOf(got.err)
		first, _ := fs.First()
		if !slices.Contains(c.rules, first.Rule) || !strings.Contains(got.err.Error(), c.says) {
			t.Fatalf("refused by %v with %v; want a rule of %v and %q", first.Rule, got.err, c.rules, c.says)
		}
		t.Log(got.err)
		return
	}
	if got.err != nil || clientErr != nil {
		t.Fatalf("refused: server %v, client %v", got.err, clientErr)
	}
	r := id.Inspect(got.state, PeerIsClient, policy)
	f, ok := AuthorizeDevice(r, kitDevice)
	if app := c.verdict == "ACCEPT-TLS-REJECT-APP"; ok == app {
		t.Fatalf("device authorised: %v (%v)", ok, f)
	}
	if !strings.Contains(f.String(), c.says) {
		t.Fatalf("finding %q does not say %q", f, c.says)
	}
	if !ok {
		t.Log(f.Sentence("phone"))
	}
}

// TestBadClientKit drives the kit that openssl makes, and holds the table above against EXPECTED.tsv.
func TestBadClientKit(t *testing.T) {
	shared := os.Getenv("LOCKTONE_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	kit := filepath.Join(shared, "peers", "badclient")
	expected, err := os.ReadFile(filepath.Join(kit, "EXPECTED.tsv"))
	if err != nil {
		t.Skipf("the badclient kit is not there (set LOCKTONE_SHARED): %v; TestBadClientGo makes the same cases", err)
	}
	compareExpected(t, string(expected))
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skipf("no openssl to make the kit with: %v; TestBadClientGo makes the same cases", err)
	}
	dir := t.TempDir()
	script := must(os.ReadFile(filepath.Join(kit, "make.sh")))(t)
	// The script's cleaning up ("ser*") takes the files of serverauth-only with it; the copy cleans what it means to.
	fixed := strings.ReplaceAll(string(script), "ser* d.cnf", "ser ser.old d.cnf")
	if err := os.WriteFile(filepath.Join(dir, "make.sh"), []byte(fixed), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "make.sh")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make.sh: %v\n%s", err, out)
	}
	read := func(name string) []byte { return must(os.ReadFile(filepath.Join(dir, name)))(t) }
	root := must(ParseCertificates(read("ca.crt")))(t)[0]
	driveKit(t, root, read("ca.crl"), func(name string) Credential {
		return must(LoadCredential(append(read(name+".chain"), read(name+".key")...)))(t)
	})
}

func compareExpected(t *testing.T, tsv string) {
	t.Helper()
	seen := make(map[string]string)
	for _, line := range strings.Split(tsv, "\n") {
		if cols := strings.Split(line, "\t"); len(cols) >= 2 && !strings.HasPrefix(line, "#") {
			seen[cols[0]] = cols[1]
		}
	}
	for _, c := range kitCases() {
		if seen[c.name] != c.verdict {
			t.Errorf("%s: the table says %s, EXPECTED.tsv %q", c.name, c.verdict, seen[c.name])
		}
		delete(seen, c.name)
	}
	for name := range seen {
		t.Errorf("%s is in EXPECTED.tsv and not in the table", name)
	}
}

// TestBadClientGo makes the kit's cases with crypto/x509, so that they are driven where there is no openssl too.
func TestBadClientGo(t *testing.T) {
	k := newGoKit(t)
	driveKit(t, k.root.Leaf(), k.crl(t), func(name string) Credential {
		c, ok := k.made[name]
		if !ok {
			t.Fatalf("the kit has no case %s", name)
		}
		return c
	})
}

// goKit is the kit in Go. Root and leaves are as make.sh has them.
type goKit struct {
	t    testing.TB
	root Credential
	made map[string]Credential
}

func key(t testing.TB, k crypto.Signer, err error) PrivateKey {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return NewPrivateKey(k)
}

func ecKey(t testing.TB) PrivateKey { return must(GenerateKey(ECDSAP256))(t) }

func name(cn string) pkix.Name { return pkix.Name{Organization: []string{"Lab"}, CommonName: cn} }

// caTemplate is a CA without path length.
func caTemplate(cn string) x509.Certificate {
	return x509.Certificate{Subject: name(cn), IsCA: true, BasicConstraintsValid: true, MaxPathLen: -1,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
}

func clientTemplate(cn string) x509.Certificate {
	return x509.Certificate{Subject: name(cn), BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, DNSNames: []string{"SEP001122334455.good.test"}}
}

// sign makes a certificate under a parent (nil: self-signed); the chain is what a client would present.
func sign(t testing.TB, tmpl x509.Certificate, k PrivateKey, parent *Credential) Credential {
	t.Helper()
	tmpl.SerialNumber = newSerial()
	if tmpl.NotBefore.IsZero() {
		tmpl.NotBefore, tmpl.NotAfter = at().AddDate(0, -10, 0), at().AddDate(4, 0, 0)
	}
	if parent == nil {
		c := must(create(&tmpl, &tmpl, k.Public(), k))(t)
		return Credential{Chain: []*x509.Certificate{c}, Key: k}
	}
	c := must(create(&tmpl, parent.Leaf(), k.Public(), parent.Key))(t)
	chain := []*x509.Certificate{c}
	for _, p := range parent.Chain {
		if p.Issuer.String() != p.Subject.String() {
			chain = append(chain, p)
		}
	}
	return Credential{Chain: chain, Key: k}
}

func newGoKit(t testing.TB) *goKit {
	rootTemplate := caTemplate("Good Root")
	rootTemplate.NotBefore, rootTemplate.NotAfter = at().Add(-time.Hour), at().AddDate(9, 0, 0)
	root := sign(t, rootTemplate, ecKey(t), nil)
	rogue := sign(t, rootTemplate, ecKey(t), nil)
	k := &goKit{t: t, root: root, made: make(map[string]Credential)}

	k.leaf("good", root, nil)
	k.leaf("expired", root, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = at().AddDate(-6, 0, 0), at().AddDate(-5, 0, 0) })
	k.leaf("notyet", root, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = at().AddDate(8, 0, 0), at().AddDate(9, 0, 0) })
	k.leaf("serverauth-only", root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	k.leaf("codesign-only", root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} })
	k.leaf("unknown-critical-ext", root, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4, 5, 6}, Critical: true, Value: []byte{0x05, 0x00}}}
	})
	k.leaf("no-digitalsignature", root, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })
	k.leaf("sha1", root, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 })
	k.leaf("rogue-same-issuer-name", rogue, nil)
	k.leaf("other-device", root, func(c *x509.Certificate) { c.Subject = name("SEPAABBCCDDEEFF") })
	k.leaf("cn-nul", root, func(c *x509.Certificate) { c.Subject = name(kitDevice + "\x00evil") })
	k.leaf("revoked", root, nil)

	rsaKey, err := rsa.GenerateKey(rand.Reader, 1024)
	k.made["rsa1024"] = sign(t, clientTemplate(kitDevice), key(t, rsaKey, err), &root)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	k.made["ed25519"] = sign(t, clientTemplate(kitDevice), key(t, edKey, err), &root)
	k.made["selfsigned"] = sign(t, clientTemplate(kitDevice), ecKey(t), nil)
	k.chains(root)
	k.made["bad-signature"] = k.flipped("good")
	return k
}

func (k *goKit) leaf(which string, issuer Credential, change func(*x509.Certificate)) {
	c := clientTemplate(kitDevice)
	if change != nil {
		change(&c)
	}
	k.made[which] = sign(k.t, c, ecKey(k.t), &issuer)
}

func (k *goKit) chains(root Credential) {
	sub := func(which string, tmpl x509.Certificate, parent Credential) Credential {
		c := sign(k.t, tmpl, ecKey(k.t), &parent)
		k.made[which] = Credential{Chain: c.Chain[:1], Key: c.Key} // presented alone, as the kit does
		return c
	}
	zero := caTemplate("Phones ICA")
	zero.MaxPathLen, zero.MaxPathLenZero = 0, true
	ica := sub("ica", zero, root)
	k.leaf("via-ica", ica, nil)
	k.made["missing-intermediate"] = Credential{Chain: k.made["via-ica"].Chain[:1], Key: k.made["via-ica"].Key}
	deep := caTemplate("Too deep ICA")
	deep.MaxPathLen, deep.MaxPathLenZero = 0, true
	k.leaf("pathlen-violated", sub("ica2", deep, ica), nil)
	fake := clientTemplate("Not a CA")
	fake.ExtKeyUsage, fake.DNSNames = nil, nil
	k.leaf("issuer-not-ca", sub("fakeca", fake, root), nil)
	constrained := caTemplate("Constrained ICA")
	constrained.PermittedDNSDomainsCritical, constrained.PermittedDNSDomains = true, []string{"phones.good.test"}
	k.leaf("name-constraint-violated", sub("ncica", constrained, root), nil)
}

// flipped returns a case's certificate with the last bit of its signature flipped.
func (k *goKit) flipped(which string) Credential {
	good := k.made[which]
	der := slices.Clone(good.Leaf().Raw)
	der[len(der)-1] ^= 1
	return Credential{Chain: []*x509.Certificate{must(x509.ParseCertificate(der))(k.t)}, Key: good.Key}
}

func (k *goKit) crl(t testing.TB) []byte {
	leaf := k.made["revoked"].Leaf()
	return must(x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: newSerial(), ThisUpdate: at().Add(-time.Hour), NextUpdate: at().AddDate(0, 1, 0),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: leaf.SerialNumber, RevocationTime: at()}},
	}, k.root.Leaf(), k.root.Key))(t)
}

// TestGoAcceptsWhatWeRefuse shows which refusals are ours alone: crypto/x509 finds a path for each of these.
func TestGoAcceptsWhatWeRefuse(t *testing.T) {
	k := newGoKit(t)
	trust := must(NewTrust(Anchor{Certificate: k.root.Leaf(), Kinds: AllKinds()}))(t)
	for _, which := range []string{"no-digitalsignature", "rsa1024", "ica", "fakeca"} {
		chain := k.made[which].Chain
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: pool(k.root.Leaf()), CurrentTime: at(),
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if err != nil {
			t.Errorf("%s: crypto/x509 refuses it by now: %v", which, err)
		}
		if trust.Verify(chain, PeerIsClient, PeerPolicy{Kinds: AllKinds()}, at()).OK() {
			t.Errorf("%s: accepted", which)
		}
	}
}

// TestVerifyMore covers the rules that the kit has no case for.
func TestVerifyMore(t *testing.T) {
	k := newGoKit(t)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	weakCurve := sign(t, clientTemplate(kitDevice), key(t, p224, err), &k.root)
	ekuICA := caTemplate("Server ICA")
	ekuICA.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	ekuIssuer := sign(t, ekuICA, ecKey(t), &k.root)
	noSign := caTemplate("List ICA")
	noSign.KeyUsage = x509.KeyUsageCRLSign
	noSignIssuer := sign(t, noSign, ecKey(t), &k.root)
	stranger := sign(t, caTemplate("Stranger Root"), ecKey(t), nil)
	soon := clientTemplate(kitDevice)
	soon.NotBefore, soon.NotAfter = at().AddDate(-1, 0, 0), at().AddDate(0, 0, 3)
	long := clientTemplate(kitDevice)
	long.NotBefore, long.NotAfter = at().Add(-time.Hour), at().AddDate(8, 0, 0)
	anyUse := clientTemplate(kitDevice)
	anyUse.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	leaf := func(tmpl x509.Certificate, parent Credential) []*x509.Certificate {
		return sign(t, tmpl, ecKey(t), &parent).Chain
	}
	trust := must(NewTrust(Anchor{Certificate: k.root.Leaf(), Kinds: KindsOf(KindDevice)}))(t)
	for _, c := range []struct {
		name  string
		chain []*x509.Certificate
		kinds Kinds
		rule  Rule
		sev   Severity
		index int
		says  string
	}{
		{"nothing sent", nil, AllKinds(), RuleNoCertificate, Refusal, -1, "phone presented no certificate: give it one (locktone cert issue) and configure it to present it"},
		{"weak curve", weakCurve.Chain, AllKinds(), RuleKeyWeak, Refusal, 0, "weak key (ECDSA P-224)"},
		{"eku of the issuer", leaf(clientTemplate(kitDevice), ekuIssuer), AllKinds(), RuleEKU, Refusal, 1, "the certificate CN=Server ICA,O=Lab whose extended key usage does not include clientAuth"},
		{"key usage of the issuer", leaf(clientTemplate(kitDevice), noSignIssuer), AllKinds(), RuleIssuerKeyUsage, Refusal, 1, "the key of CN=List ICA,O=Lab may not sign certificates"},
		{"stranger's root sent", append(leaf(clientTemplate(kitDevice), stranger), stranger.Leaf()), AllKinds(), RuleUntrustedRoot, Refusal, 1, "ends at CN=Stranger Root,O=Lab, which is not trusted here"},
		{"stranger's root not sent", leaf(clientTemplate(kitDevice), stranger), AllKinds(), RuleIssuerMissing, Refusal, 0, "CN=Stranger Root,O=Lab"},
		{"eleven certificates", slices.Repeat(k.made["good"].Chain, 11), AllKinds(), RuleChainTooLong, Refusal, -1, "presented 11 certificates"},
		{"other kind", k.made["good"].Chain, KindsOf(KindCTI), RuleKind, Refusal, 0, "another kind of holder (device)"},
		{"no kind accepted", k.made["good"].Chain, 0, RuleKind, Refusal, 0, "another kind of holder (device)"},
		{"expires soon", leaf(soon, k.root), AllKinds(), RuleExpiresSoon, Warning, 0, "that expires in 3 days (2026-11-24)"},
		{"valid too long", leaf(long, k.root), AllKinds(), RuleValidityLong, Warning, 0, "valid for 8 years"},
		{"any purpose", leaf(anyUse, k.root), AllKinds(), RuleEKU, Warning, 0, "anyExtendedKeyUsage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := trust.Verify(c.chain, PeerIsClient, PeerPolicy{Peer: "phone", Kinds: c.kinds}, at())
			f, _ := r.Findings.First()
			if f.Rule != c.rule || f.Severity != c.sev || f.Index != c.index || !strings.Contains(f.Sentence("phone"), c.says) {
				t.Errorf("got %v %v on %d: %s", f.Severity, f.Rule, f.Index, f.Sentence("phone"))
			}
			if r.OK() != (c.sev != Refusal) || (r.Err() == nil) != r.OK() {
				t.Errorf("OK is %v, error %v", r.OK(), r.Err())
			}
		})
	}
}

// TestExceptions: an excusable rule becomes a warning; any other stays a refusal, named or not.
func TestExceptions(t *testing.T) {
	k := newGoKit(t)
	trust := must(must(NewTrust(Anchor{Certificate: k.root.Leaf(), Kinds: AllKinds()}))(t).WithCRL(k.crl(t)))(t)
	for _, c := range kitCases() {
		if c.rules == nil {
			continue
		}
		chain := k.made[c.name].Chain
		first, _ := trust.Verify(chain, PeerIsClient, PeerPolicy{Kinds: AllKinds()}, at()).Findings.First()
		var all []Rule
		for _, f := range trust.Verify(chain, PeerIsClient, PeerPolicy{Kinds: AllKinds()}, at()).Findings {
			all = append(all, f.Rule)
		}
		excusable := !slices.ContainsFunc(all, func(r Rule) bool { return !Excusable(r) && r != RuleValidityLong })
		r := trust.Verify(chain, PeerIsClient, PeerPolicy{Kinds: AllKinds(), Exceptions: all}, at())
		if r.OK() != excusable {
			t.Errorf("%s: with exceptions for %v OK is %v: %v", c.name, all, r.OK(), r.Findings)
		}
		if !r.Findings.Has(first.Rule) {
			t.Errorf("%s: the exception hides the finding %v", c.name, first.Rule)
		}
	}
}

// TestForecast verifies one chain on several dates.
func TestForecast(t *testing.T) {
	k := newGoKit(t)
	trust := must(NewTrust(Anchor{Certificate: k.root.Leaf(), Kinds: AllKinds()}))(t)
	chain := k.made["good"].Chain
	for _, c := range []struct {
		at   time.Time
		rule Rule
	}{
		{at(), ""}, {at().AddDate(5, 0, 0), RuleExpired}, {at(), ""}, {at().AddDate(-1, 0, 0), RuleNotYetValid},
		{chain[0].NotAfter, RuleExpiresSoon}, {chain[0].NotAfter.Add(time.Second), RuleExpired},
	} {
		r := trust.Verify(chain, PeerIsClient, PeerPolicy{Kinds: AllKinds()}, c.at)
		if f, _ := r.Findings.First(); f.Rule != c.rule {
			t.Errorf("on %v: %v", c.at, r.Findings)
		}
	}
}

func TestVerifyErrorIsFound(t *testing.T) {
	fs := Findings{{Rule: RuleExpired, Severity: Refusal, Index: 0, What: "presented a certificate that expired 3 days ago (2026-11-18)", Fix: "renew it"},
		{Rule: RuleEKU, Severity: Refusal}}
	err := errors.Join(errors.New("handshake"), fs.Err("CUC-2"))
	if got := FindingsOf(err); len(got) != 2 {
		t.Fatal(got)
	}
	want := "pki: CUC-2 presented a certificate that expired 3 days ago (2026-11-18): renew it [expired] (and 1 more)"
	if got := fs.Err("CUC-2").Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if fs[1:].Err("") == nil || (Findings{{Severity: Warning}}).Err("") != nil {
		t.Error("Err follows severity")
	}
}
