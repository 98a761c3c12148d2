package capf

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"
)

func selfSigned(t *testing.T, key crypto.Signer) *x509.Certificate {
	t.Helper()
	draft := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "SEP001122334455"}, NotBefore: start, NotAfter: start.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, draft, draft, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestGoldenProof: what the other implementation signed verifies, and with one bit flipped anywhere it does not.
func TestGoldenProof(t *testing.T) {
	frames := dialogue(t, "capf-install-certauth-lsc.log")
	good := sent(t, frames)
	if len(good.SHA1) == 0 || len(good.SHA2.Signature) == 0 || good.SHA2.Digest != DigestSHA512 || good.SUDI == nil || len(good.Certificates) != 1 {
		t.Fatalf("the golden response has %d, %d octets of signatures", len(good.SHA1), len(good.SHA2.Signature))
	}
	cert, err := x509.ParseCertificate(good.Certificates[0].DER)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyProof(cert, good); err != nil {
		t.Fatal(err)
	}
	if err := VerifySUDI(cert, 7, *good.SUDI); err != nil {
		t.Error(err)
	}
	alone := good
	alone.SHA2 = SignedData{}
	if err := VerifyProof(cert, alone); err != nil {
		t.Errorf("SHA-1 alone: %v", err)
	}
	for name, spoil := range map[string]func(*AuthResponse){
		"signature SHA-1":   func(r *AuthResponse) { r.SHA1 = flip(r.SHA1, 5) },
		"signature SHA-512": func(r *AuthResponse) { r.SHA2.Signature = flip(r.SHA2.Signature, 900) },
		"digest":            func(r *AuthResponse) { r.SHA2.Digest = DigestSHA256 },
		"unknown digest":    func(r *AuthResponse) { r.SHA2.Digest = 9 },
		"device":            func(r *AuthResponse) { r.Device = "SEP0000000000A3" },
		"no signature":      func(r *AuthResponse) { r.SHA1, r.SHA2 = nil, SignedData{} },
	} {
		r := good
		spoil(&r)
		if err := VerifyProof(cert, r); !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func flip(b []byte, bit int) []byte {
	c := bytes.Clone(b)
	c[bit/8] ^= 1 << (bit % 8)
	return c
}

func TestProofsOfBothKinds(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{rsaKey, ecKey} {
		cert := selfSigned(t, key)
		r := AuthResponse{Reason: ReasonOK, Version: 3, Device: "SEP001122334455", Certificates: []Certificate{{CertLSC, cert.Raw}}}
		if r.SHA1, r.SHA2, err = SignProof(key, r.Device, cert.Raw); err != nil {
			t.Fatal(err)
		}
		sudi, err := SignSUDI(key, 0x12345679, cert.Raw)
		if err != nil {
			t.Fatal(err)
		}
		r.SUDI = &sudi
		b, err := r.Message(1).Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseAuthResponse(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := VerifyProof(cert, got); err != nil {
			t.Errorf("%T: %v", key, err)
		}
		if err := VerifySUDI(cert, 0x12345679, *got.SUDI); err != nil {
			t.Errorf("%T: %v", key, err)
		}
		if err := VerifySUDI(cert, 0x1234567a, *got.SUDI); !errors.Is(err, ErrProof) {
			t.Errorf("%T: the SUDI proof of another session is taken: %v", key, err)
		}
		if err := VerifySUDI(selfSigned(t, other), 0x12345679, SUDI{Certificate: cert.Raw, SHA1: sudi.SHA1}); !errors.Is(err, ErrProof) {
			t.Errorf("%T: the SUDI proof of another certificate is taken: %v", key, err)
		}
		if err := VerifySUDI(cert, 0x12345679, SUDI{Certificate: cert.Raw}); !errors.Is(err, ErrProof) {
			t.Errorf("%T: a SUDI without a signature is taken: %v", key, err)
		}
	}
}

// TestSmallExponentForgery: with e = 3 a cube root makes a signature whose padding is wrong but whose hash is right at the
// place where a lazy verifier looks. All of the padding is checked here.
func TestSmallExponentForgery(t *testing.T) {
	e3 := keyWithExponent3(t)
	cert := &x509.Certificate{PublicKey: &e3.PublicKey, Raw: []byte("a certificate")}
	hash := sha1.Sum(proofData("SEP001122334455", cert.Raw))
	// 00 01 ff 00 hash garbage...: the cube root of the highest such number, cubed, keeps the front.
	front := append([]byte{0, 1, 0xff, 0}, hash[:]...)
	target := make([]byte, 256)
	copy(target, front)
	for i := len(front); i < len(target); i++ {
		target[i] = 0xff
	}
	root := cubeRoot(new(big.Int).SetBytes(target))
	cubed := new(big.Int).Exp(root, big.NewInt(3), nil).FillBytes(make([]byte, 256))
	if !bytes.HasPrefix(cubed, front) {
		t.Fatalf("the forgery does not hold what it should: % x", cubed[:24])
	}
	r := AuthResponse{Device: "SEP001122334455", SHA1: root.FillBytes(make([]byte, 256))}
	if err := VerifyProof(cert, r); !errors.Is(err, ErrProof) {
		t.Errorf("a forged signature is taken: %v", err)
	}
	honest, _, err := SignProof(e3, r.Device, cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	r.SHA1 = honest
	if err := VerifyProof(cert, r); err != nil {
		t.Errorf("the honest signature of the same key: %v", err)
	}
}

func cubeRoot(n *big.Int) *big.Int {
	low, high := big.NewInt(0), new(big.Int).Lsh(big.NewInt(1), uint(n.BitLen()/3+1))
	for one := big.NewInt(1); new(big.Int).Sub(high, low).Cmp(one) > 0; {
		mid := new(big.Int).Rsh(new(big.Int).Add(low, high), 1)
		if new(big.Int).Exp(mid, big.NewInt(3), nil).Cmp(n) <= 0 {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// keyWithExponent3 makes an RSA key of 2048 bits with e = 3.
func keyWithExponent3(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	e, one := big.NewInt(3), big.NewInt(1)
	prime := func() *big.Int {
		for {
			p, err := rand.Prime(rand.Reader, 1024)
			if err != nil {
				t.Fatal(err)
			}
			if new(big.Int).GCD(nil, nil, e, new(big.Int).Sub(p, one)).Cmp(one) == 0 {
				return p
			}
		}
	}
	for {
		p, q := prime(), prime()
		n := new(big.Int).Mul(p, q)
		if n.BitLen() != 2048 {
			continue
		}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 3}, D: new(big.Int).ModInverse(e, phi), Primes: []*big.Int{p, q}}
		key.Precompute()
		return key
	}
}

func TestCheckKey(t *testing.T) {
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki := func(key any) []byte {
		b, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	weak := func(change func(*rsa.PublicKey)) []byte {
		k := rsa.PublicKey{N: new(big.Int).Set(rsa2048.N), E: rsa2048.E}
		change(&k)
		return spki(&k)
	}
	order2048, orderP256 := KeygenRequest{Size: 2048}, KeygenRequest{Type: KeyEC, Curve: CurveP256}
	for _, c := range []struct {
		name  string
		spki  []byte
		order KeygenRequest
		ok    bool
	}{
		{"RSA as ordered", spki(rsa2048.Public()), order2048, true},
		{"JTAPI's, e = 17", hexFile(t, "jtapi/capf-ok-spki.hex"), order2048, true},
		{"EC as ordered", spki(p256.Public()), orderP256, true},
		{"RSA smaller", spki(rsa2048.Public()), KeygenRequest{Size: 4096}, false},
		{"RSA larger", spki(rsa2048.Public()), KeygenRequest{Size: 1024}, false},
		{"EC for RSA", spki(p256.Public()), order2048, false},
		{"RSA for EC", spki(rsa2048.Public()), orderP256, false},
		{"another curve", spki(p256.Public()), KeygenRequest{Type: KeyEC, Curve: CurveP384}, false},
		{"unknown curve", spki(p256.Public()), KeygenRequest{Type: KeyEC, Curve: 9}, false},
		{"e = 1", weak(func(k *rsa.PublicKey) { k.E = 1 }), order2048, false},
		{"e even", weak(func(k *rsa.PublicKey) { k.E = 65536 }), order2048, false},
		{"even modulus", weak(func(k *rsa.PublicKey) { k.N.SetBit(k.N, 0, 0) }), order2048, false},
		{"no key", []byte{0x30, 0}, order2048, false},
		{"nothing", nil, order2048, false},
	} {
		key, err := CheckKey(c.spki, c.order)
		if (err == nil) != c.ok || c.ok && key == nil || !c.ok && !errors.Is(err, ErrKey) {
			t.Errorf("%s: %T, %v", c.name, key, err)
		}
	}
}
