package trustlist

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"io"
	"math/big"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// testTime is when everything happens.
var testTime = time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)

// rsaKeys are the throw-away keys in testdata: three of 2048 bits, then 1024 and 4096.
var rsaKeys = sync.OnceValue(func() (keys []*rsa.PrivateKey) {
	rest, err := os.ReadFile("testdata/keys.pem")
	if err != nil {
		panic(err)
	}
	for len(rest) > 0 {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			panic(err)
		}
		keys = append(keys, k.(*rsa.PrivateKey))
	}
	return keys
})

// certify makes a self-signed certificate (signer nil), or one for pub under parent.
func certify(t testing.TB, cn string, serial *big.Int, key crypto.Signer) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: serial, NotBefore: testTime.Add(-time.Hour), NotAfter: testTime.AddDate(5, 0, 0),
		Subject: pkix.Name{CommonName: cn, OrganizationalUnit: []string{"Voice"}, Organization: []string{"Lab"}, Locality: []string{"Graz"},
			Province: []string{"Styria"}, Country: []string{"AT"}}}
	return create(t, c, c, key.Public(), key)
}

func create(t testing.TB, template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signer n of three, with a certificate of that name.
func signer(t testing.TB, n int, cn string) Signer {
	key := rsaKeys()[n]
	return Signer{Certificate: certify(t, cn, big.NewInt(int64(1000+n)), key), Key: key}
}

// site is a list as a small site has it: two signers, a call manager, CAPF.
func site(t testing.TB, kind Kind) (Draft, [2]Signer, Signer) {
	sast := [2]Signer{signer(t, 0, "SAST-1"), signer(t, 1, "SAST-2")}
	ccm := signer(t, 2, "ucm1.lab")
	addr := netip.MustParseAddr("192.0.2.10")
	capf := certify(t, "CAPF-0a1b2c3d", big.NewInt(7), rsaKeys()[2])
	return Draft{Kind: kind, Time: testTime, Entries: []Entry{
		{Role: RoleSAST, Certificate: sast[0].Certificate},
		{Role: RoleSAST, Certificate: sast[1].Certificate},
		{Role: RoleCCMTFTP, Name: "ucm1.lab", Address: addr, Certificate: ccm.Certificate},
		{Role: RoleCAPF, Name: "192.0.2.10", Address: addr, Certificate: capf},
	}}, sast, ccm
}

func (d Draft) mustSign(t testing.TB, s Signer) *List {
	t.Helper()
	b, _, err := d.Sign(s)
	if err != nil {
		t.Fatal(err)
	}
	return mustParse(t, b)
}

func mustParse(t testing.TB, b []byte) *List {
	t.Helper()
	l, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func goldenCert(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(golden(t, name))
	for rest := golden(t, name); block != nil && block.Type != "CERTIFICATE"; {
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		t.Fatalf("no certificate in %s", name)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func goldenKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	block, _ := pem.Decode(golden(t, "dev.key"))
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return k.(*rsa.PrivateKey)
}

// jtapiCTL is the list that a JTAPI client took.
func jtapiCTL(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/jtapi-secure/CTLFile.hex")
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// shared reads a vector that is not ours to copy; the test is skipped without.
func shared(t testing.TB, elem ...string) []byte {
	t.Helper()
	root := os.Getenv("LOCKTONE_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	b, err := os.ReadFile(filepath.Join(append([]string{root}, elem...)...))
	if err != nil {
		t.Skipf("needs the vector %s (set LOCKTONE_SHARED): %v", filepath.Join(elem...), err)
	}
	return b
}

// needOpenssl skips without openssl, or fails where it is required.
func needOpenssl(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("LOCKTONE_REQUIRE_PEERS") == "1" {
			t.Fatal("openssl is not installed and LOCKTONE_REQUIRE_PEERS=1: apt-get install openssl")
		}
		t.Skip("needs openssl: apt-get install openssl")
	}
}

// run runs a program on input and returns what it prints.
func run(t testing.TB, input []byte, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func writeFile(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func certPEM(certs ...*x509.Certificate) []byte {
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return b
}

func keyPEM(t testing.TB, key crypto.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// ecCurve is any.
var ecCurve = elliptic.P384()

func ecKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// canned is a signer that has signed already: it lets a test write a golden file again without its key.
type canned struct {
	public    crypto.PublicKey
	signature []byte
}

func (c canned) Public() crypto.PublicKey { return c.public }

func (c canned) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return c.signature, nil }

func (l *List) mustX509(t testing.TB, n int) *x509.Certificate {
	t.Helper()
	c, err := l.Records[n].X509()
	if err != nil {
		t.Fatal(err)
	}
	return c
}
