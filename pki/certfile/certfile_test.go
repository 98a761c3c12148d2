package certfile

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/lab/peers"
	"github.com/locktone/locktone/pki"
)

// A kit is a root and a leaf under it, as somebody else's CA would have them.
type kit struct {
	root, leaf *x509.Certificate
	key        crypto.Signer
	crl, csr   []byte
}

func (k kit) credential() pki.Credential {
	return pki.Credential{Chain: []*x509.Certificate{k.leaf}, Key: pki.NewPrivateKey(k.key)}
}

var makeKits = sync.OnceValues(func() (map[string]kit, error) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	out := map[string]kit{}
	for name, key := range map[string]crypto.Signer{"RSA": rsaKey, "EC": ecKey} {
		if out[name], err = newKit(name, key); err != nil {
			return nil, err
		}
	}
	return out, nil
})

func newKit(name string, key crypto.Signer) (k kit, err error) {
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name + "  Root Ü", Organization: []string{"Lab"}}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1, 2, 3, 4}}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name + " leaf"}, NotBefore: root.NotBefore, NotAfter: root.NotAfter}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		return k, err
	}
	if k.root, err = x509.ParseCertificate(der); err != nil {
		return k, err
	}
	if der, err = x509.CreateCertificate(rand.Reader, leaf, k.root, key.Public(), key); err != nil {
		return k, err
	}
	if k.leaf, err = x509.ParseCertificate(der); err != nil {
		return k, err
	}
	k.key = key
	if k.crl, err = x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: root.NotBefore, NextUpdate: root.NotAfter}, k.root, key); err != nil {
		return k, err
	}
	k.csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: leaf.Subject}, key)
	return k, err
}

func kits(t testing.TB) map[string]kit {
	t.Helper()
	all, err := makeKits()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// openssl runs the program on files of a folder.
func openssl(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	peers.Need(t, peers.Program{Name: "openssl", Package: "openssl"})
	cmd := exec.CommandContext(context.Background(), "openssl", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		var x *exec.ExitError
		if errors.As(err, &x) {
			err = fmt.Errorf("%w: %s", err, x.Stderr)
		}
		t.Fatalf("openssl %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func write(t *testing.T, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

const password = "correct horse"

// TestOpenSSLReadsOurs: PKCS #12 of both ages with key, chain and root; PEM and DER; a chain that verifies.
func TestOpenSSLReadsOurs(t *testing.T) {
	for name, k := range kits(t) {
		dir := t.TempDir()
		write(t, dir, "root.pem", WritePEM(k.root))
		write(t, dir, "leaf.der", k.leaf.Raw)
		for _, legacy := range []bool{false, true} {
			p12, err := WritePKCS12(k.credential(), []*x509.Certificate{k.root}, PKCS12Options{Password: pki.Secret(password), Legacy: legacy})
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "c.p12", p12)
			text := openssl(t, dir, "pkcs12", "-in", "c.p12", "-passin", "pass:"+password, "-nodes")
			c, err := Read(text, nil)
			if err != nil || len(c.Certificates) != 2 || !c.Certificates[0].Equal(k.leaf) || !c.Certificates[1].Equal(k.root) || !samePublic(c.Key.Public(), k.key.Public()) {
				t.Errorf("%s, legacy %v: openssl reads it otherwise: %v %d", name, legacy, err, len(c.Certificates))
			}
		}
		write(t, dir, "leaf.pem", openssl(t, dir, "x509", "-inform", "DER", "-in", "leaf.der"))
		if out := openssl(t, dir, "verify", "-CAfile", "root.pem", "leaf.pem"); !strings.Contains(string(out), "leaf.pem: OK") {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func samePublic(a, b crypto.PublicKey) bool {
	x, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && x.Equal(b)
}

// TestEncryption: which algorithms protect the two forms, as openssl names them.
func TestEncryption(t *testing.T) {
	k := kits(t)["EC"]
	dir := t.TempDir()
	for legacy, want := range map[bool][]string{false: {"PBES2, PBKDF2, AES-256-CBC, Iteration 100000, PRF hmacWithSHA256", "MAC: sha256, Iteration 100000"}, true: {"pbeWithSHA1And3-KeyTripleDES-CBC", "MAC: sha1"}} {
		p12, err := WritePKCS12(k.credential(), nil, PKCS12Options{Password: pki.Secret(password), Legacy: legacy})
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "c.p12", p12)
		peers.Need(t, peers.Program{Name: "openssl", Package: "openssl"})
		cmd := exec.Command("openssl", "pkcs12", "-in", "c.p12", "-passin", "pass:"+password, "-noout", "-info")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		for _, w := range want {
			if err != nil || !strings.Contains(string(out), w) {
				t.Errorf("legacy %v: %v %s, want %q", legacy, err, out, w)
			}
		}
	}
}

// TestHashFilesServeOpenSSL: a folder of our .0 files is a folder of trusted authorities to openssl, and rehash makes the
// same names.
func TestHashFilesServeOpenSSL(t *testing.T) {
	for name, k := range kits(t) {
		files, err := HashFiles([]*x509.Certificate{k.root, k.root})
		if err != nil || len(files) != 2 {
			t.Fatalf("%v %v", files, err)
		}
		dir := t.TempDir()
		for _, f := range files {
			write(t, dir, f.Name, f.Data)
		}
		write(t, dir, "leaf", WritePEM(k.leaf))
		if out := openssl(t, dir, "verify", "-no-CAfile", "-CApath", ".", "leaf"); !strings.Contains(string(out), "leaf: OK") {
			t.Errorf("%s: %s", name, out)
		}
		other := t.TempDir()
		write(t, other, "root.pem", WritePEM(k.root))
		openssl(t, other, "rehash", "-compat", ".")
		for _, f := range files {
			if _, err := os.Lstat(filepath.Join(other, f.Name)); err != nil {
				t.Errorf("%s: rehash does not make %s: %v", name, f.Name, err)
			}
		}
	}
}

// TestHashCollision: two certificates of one subject get numbers.
func TestHashCollision(t *testing.T) {
	a := kits(t)["EC"]
	b, err := newKit("EC", a.key)
	if err != nil {
		t.Fatal(err)
	}
	files, err := HashFiles([]*x509.Certificate{a.root, b.root})
	if err != nil || len(files) != 4 || !strings.HasSuffix(files[2].Name, ".1") || !strings.HasSuffix(files[3].Name, ".1") || files[0].Name[:8] != files[2].Name[:8] {
		t.Errorf("%v %v", files, err)
	}
}

// TestWeReadOpenSSL: files that openssl made, in every form it has.
func TestWeReadOpenSSL(t *testing.T) {
	for name, k := range kits(t) {
		dir := t.TempDir()
		key, err := k.credential().KeyPEM()
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "root.pem", WritePEM(k.root))
		write(t, dir, "leaf.pem", WritePEM(k.leaf))
		write(t, dir, "both.pem", WritePEM(k.leaf, k.root))
		write(t, dir, "key.pem", key)
		pass := "pass:" + password
		for _, c := range []struct {
			format   Format
			args     []string
			password string
			key      bool
			want     []*x509.Certificate
		}{
			{PKCS12, []string{"pkcs12", "-export", "-in", "leaf.pem", "-inkey", "key.pem", "-certfile", "root.pem", "-passout", pass}, password, true, []*x509.Certificate{k.leaf, k.root}},
			{PKCS12, []string{"pkcs12", "-export", "-legacy", "-in", "leaf.pem", "-inkey", "key.pem", "-passout", pass}, password, true, []*x509.Certificate{k.leaf}},
			{PKCS12, []string{"pkcs12", "-export", "-in", "leaf.pem", "-inkey", "key.pem", "-passout", "pass:"}, "", true, []*x509.Certificate{k.leaf}},
			{PKCS7, []string{"crl2pkcs7", "-nocrl", "-certfile", "both.pem", "-outform", "DER"}, "", false, []*x509.Certificate{k.leaf, k.root}},
			{PEM, []string{"crl2pkcs7", "-nocrl", "-certfile", "both.pem"}, "", false, []*x509.Certificate{k.leaf, k.root}},
			{DER, []string{"x509", "-in", "leaf.pem", "-outform", "DER"}, "", false, []*x509.Certificate{k.leaf}},
			{PEM, []string{"x509", "-in", "leaf.pem", "-text"}, "", false, []*x509.Certificate{k.leaf}},
			{PEM, []string{"x509", "-in", "root.pem", "-trustout", "-addtrust", "serverAuth"}, "", false, []*x509.Certificate{k.root}},
		} {
			out := openssl(t, dir, c.args...)
			got, err := Read(out, pki.Secret(c.password))
			if err != nil || got.Format != c.format || got.Key.IsZero() == c.key || !same(got.Certificates, c.want) {
				t.Errorf("%s %v: %v, %s, %d certificates, key %v", name, c.args, err, got.Format, len(got.Certificates), !got.Key.IsZero())
			}
			if cred, ok := got.Credential(); ok != c.key || ok && !cred.Leaf().Equal(k.leaf) {
				t.Errorf("%s %v: credential %v", name, c.args, ok)
			}
		}
		encrypted := openssl(t, dir, "pkey", "-in", "key.pem", "-aes256", "-passout", pass)
		if _, err := Read(append(WritePEM(k.leaf), encrypted...), nil); !errors.Is(err, ErrPassword) {
			t.Errorf("an encrypted key: %v", err)
		}
	}
}

func same(a, b []*x509.Certificate) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Equal(b[i]) {
			return false
		}
	}
	return true
}

// TestNames: what a file is, and what the error says about it.
func TestNames(t *testing.T) {
	k := kits(t)["EC"]
	key, err := k.credential().KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(k.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	block := func(label string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: b}) }
	damaged := bytes.Clone(k.leaf.Raw)
	damaged[8] ^= 0xff
	for _, c := range []struct {
		name   string
		b      []byte
		format Format
		word   string // of the error
	}{
		{"nothing", nil, Empty, "an empty file"},
		{"white space", []byte(" \r\n"), Empty, "an empty file"},
		{"a page", []byte("<!DOCTYPE html><html>"), WebPage, "save what the link leads to"},
		{"a request", k.csr, Request, "locktone cert issue --csr"},
		{"a request in PEM", block("CERTIFICATE REQUEST", k.csr), Request, "locktone cert issue --csr"},
		{"a CRL", k.crl, RevocationList, "revocation list"},
		{"a CRL in PEM", block("X509 CRL", k.crl), RevocationList, "revocation list"},
		{"a key", key, PrivateKey, "keep a private key where it is"},
		{"a key in DER", decode(key), PrivateKey, "keep a private key where it is"},
		{"a public key", public, PublicKey, "choose the certificate's file"},
		{"a public key in PEM", block("PUBLIC KEY", public), PublicKey, "choose the certificate's file"},
		{"a Java key store", []byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2}, JavaKeyStore, "keytool"},
		{"a trust list", []byte{1, 0, 2, 1, 2, 2, 0, 2}, TrustList, "locktone show ctl"},
		{"a damaged certificate", damaged, DER, "certificates in PEM, DER"},
		{"a damaged certificate in PEM", block("CERTIFICATE", damaged), PEM, "certificate 1 is broken"},
		{"another PEM", block("DH PARAMETERS", []byte{0x30, 0}), PEMOther, "something else"},
		{"bytes", []byte("hello"), Unknown, "something unknown"},
		{"too much", bytes.Repeat(WritePEM(k.leaf), 3000), PEM, "at most 1048576 are read"},
		{"two keys", append(append(WritePEM(k.leaf), key...), key...), PEM, "more than one private key"},
		{"a stranger's key", append(WritePEM(kits(t)["RSA"].leaf), key...), PEM, "belongs to none"},
		{"a BER bundle", []byte{0x30, 0x80, 6, 9, 0x2a, 0x86, 0x48}, PKCS7, "cannot be read as DER"},
	} {
		if f := Sniff(c.b); f != c.format {
			t.Errorf("%s is taken for %s", c.name, f)
		}
		_, err := Read(c.b, nil)
		var fe *FormatError
		if !errors.As(err, &fe) || fe.Found != c.format || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v, want %q", c.name, err, c.word)
		}
	}
	for _, b := range [][]byte{append([]byte("\xef\xbb\xbf\r\n"), WritePEM(k.leaf)...), append(bytes.Clone(k.leaf.Raw), '\r', '\n'), append(bytes.Clone(k.leaf.Raw), k.root.Raw...),
		append([]byte("subject=CN = x\nissuer=CN = y\n"), WritePEM(k.leaf)...)} {
		if c, err := Read(b, nil); err != nil || !c.Certificates[0].Equal(k.leaf) {
			t.Errorf("%q...: %v", b[:20], err)
		}
	}
}

func decode(b []byte) []byte {
	block, _ := pem.Decode(b)
	return block.Bytes
}

// TestPasswords: none, a wrong one, a short one; nothing prints a key or a password.
func TestPasswords(t *testing.T) {
	k := kits(t)["EC"]
	for _, short := range []string{"", "1234567"} {
		if _, err := WritePKCS12(k.credential(), nil, PKCS12Options{Password: pki.Secret(short)}); err == nil || !strings.Contains(err.Error(), "at least 8") {
			t.Errorf("password %q: %v", short, err)
		}
	}
	o := PKCS12Options{Password: pki.Secret(password)}
	p12, err := WritePKCS12(k.credential(), nil, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []pki.Secret{nil, pki.Secret(""), pki.Secret("wrong horse")} {
		if c, err := Read(p12, wrong); !errors.Is(err, ErrPassword) || len(c.Certificates) > 0 {
			t.Errorf("password %v: %v", []byte(wrong), err)
		}
	}
	if s := fmt.Sprintf("%v %+v %s", o, o, p12); strings.Contains(s, password) || strings.Contains(s, string(p12)) {
		t.Errorf("printed: %s", s)
	}
	trust, err := WriteTrustPKCS12([]*x509.Certificate{k.root}, o)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := Read(trust, o.Password); err != nil || !c.Key.IsZero() || !same(c.Certificates, []*x509.Certificate{k.root}) {
		t.Errorf("a trust store: %v", err)
	}
	if _, err := Read(p12[:len(p12)-40], o.Password); err == nil {
		t.Error("a file cut short was read")
	}
}

// FuzzRead: no input makes it fail otherwise than with an error of ours, and what it reads has certificates.
func FuzzRead(f *testing.F) {
	seeds, err := os.ReadFile("testdata/seeds.pem") // the same in every worker
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seeds)
	for block, rest := pem.Decode(seeds); block != nil; block, rest = pem.Decode(rest) {
		f.Add(block.Bytes)
	}
	f.Add([]byte{0x30, 0x80, 6, 9, 0x2a, 0x86, 0x48})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Read(b, nil) // no password: a fuzzer would find out how long PBKDF2 can take
		var fe *FormatError
		if err != nil && !errors.As(err, &fe) && !errors.Is(err, ErrPassword) {
			t.Fatalf("%v", err)
		}
		if err == nil && len(c.Certificates) == 0 {
			t.Fatal("nothing was read, and that without an error")
		}
	})
}
