package trustlist

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"
)

func TestSignFile(t *testing.T) {
	d, sast, ccm := site(t, CTL)
	list := d.mustSign(t, sast[0])
	for n := range 5 { // the length of the name moves the padding
		o := FileOptions{Filename: "Graz/g3-tones.xml.sgn"[n:], Time: testTime, Digest: SHA1}
		b, err := SignFile([]byte("payload"), o, ccm)
		if err != nil {
			t.Fatal(err)
		}
		payload, s, err := Open(b, list)
		if err != nil || string(payload) != "payload" || s.Header.Filename != o.Filename || s.Header.Length%4 != 0 || s.Header.Version != VersionSigned {
			t.Errorf("%q, %+v, %v", payload, s, err)
		}
		if !bytes.Equal(s.Append(nil), b) {
			t.Error("decoding and encoding gives other bytes")
		}
		// Bytes behind the payload are payload, and are not signed.
		if _, _, err := Open(append(b, 0), list); !badSignature(err) {
			t.Errorf("trailing byte: %v", err)
		}
	}
	if _, err := SignFile(nil, FileOptions{Time: testTime}, ccm); err == nil {
		t.Error("signed a file without a name")
	}
	if _, err := SignFile(nil, FileOptions{Filename: "x", Time: testTime}, Signer{}); err == nil {
		t.Error("signed by nobody")
	}
}

// TestOpenRoles: only TFTP and CCM+TFTP sign configurations.
func TestOpenRoles(t *testing.T) {
	d, sast, ccm := site(t, CTL)
	list := d.mustSign(t, sast[0])
	capf := Signer{list.mustX509(t, 3), rsaKeys()[2]}
	for name, s := range map[string]Signer{"SAST": sast[0], "CAPF": capf, "stranger": signer(t, 1, "nobody")} {
		b, err := SignFile([]byte("x"), FileOptions{Filename: "x.sgn", Time: testTime}, s)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Open(b, list, nil); !untrusted(err) {
			t.Errorf("signed by %s: %v", name, err)
		}
	}
	b, _ := SignFile([]byte("x"), FileOptions{Filename: "x.sgn", Time: testTime}, ccm)
	if _, _, err := Open(b); !untrusted(err) {
		t.Errorf("with no list: %v", err)
	}
	if _, _, err := Open(b[:40], list); err == nil {
		t.Error("half a header opens")
	}
}

func TestEncryptFile(t *testing.T) {
	device := goldenKey(t)
	_, _, ccm := site(t, CTL)
	for n := 0; n <= 33; n++ {
		plain := bytes.Repeat([]byte{'<'}, n)
		b, err := EncryptFile(plain, &device.PublicKey, FileOptions{Filename: "SEP001122334455.cnf.xml.enc.sgn", Time: testTime}, ccm)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ParseSigned(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.VerifyCertificate(ccm.Certificate, PhoneReading); err != nil {
			t.Error(err)
		}
		e := s.Header.Encryption
		if e == nil || e.Padding != 16-n%16 || e.KeyBits != 2048 || len(e.Key) != 256 || len(s.Payload) != n+e.Padding || s.Header.Version != VersionEncrypted {
			t.Fatalf("%d bytes: %+v", n, s.Header)
		}
		if got, err := s.Decrypt(device); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %q, %v", n, got, err)
		}
		if _, err := s.Decrypt(ccm.Key.(*rsa.PrivateKey)); !errors.Is(err, errDecrypt) {
			t.Errorf("another device: %v", err)
		}
	}
}

// TestEncryptionVaries: a fresh key and IV every time.
func TestEncryptionVaries(t *testing.T) {
	device := goldenKey(t)
	_, _, ccm := site(t, CTL)
	seen := map[string]bool{}
	for range 4 {
		b, err := EncryptFile([]byte("same"), &device.PublicKey, FileOptions{Filename: "x.enc.sgn", Time: testTime}, ccm)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ParseSigned(b)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(s.Payload)], seen[string(s.Header.Encryption.IV)] = true, true
	}
	if len(seen) != 8 {
		t.Errorf("%d different values, want 8", len(seen))
	}
}

// TestDecryptRefuses: a header that lies about its payload.
func TestDecryptRefuses(t *testing.T) {
	device := goldenKey(t)
	for name, change := range map[string]func(*Signed){
		"no padding":          func(s *Signed) { s.Header.Encryption.Padding = 0 },
		"17 bytes of padding": func(s *Signed) { s.Header.Encryption.Padding = 17 },
		"another padding":     func(s *Signed) { s.Header.Encryption.Padding = 14 },
		"half a block":        func(s *Signed) { s.Payload = s.Payload[:8] },
		"a block less":        func(s *Signed) { s.Payload = s.Payload[16:] },
		"no payload":          func(s *Signed) { s.Payload = nil },
		"another hash":        func(s *Signed) { s.Header.Encryption.Hash = make([]byte, 20) },
		"unknown hash":        func(s *Signed) { s.Header.Encryption.HashAlgorithm = 2 },
		"another IV":          func(s *Signed) { s.Header.Encryption.IV = make([]byte, 16) },
		"half a key":          func(s *Signed) { s.Header.Encryption.Key = s.Header.Encryption.Key[:128] },
		"a key of zeros":      func(s *Signed) { s.Header.Encryption.Key = make([]byte, 256) },
		"nothing encrypted":   func(s *Signed) { s.Header.Encryption = nil },
	} {
		s, err := ParseSigned(golden(t, "keep.enc.sgn"))
		if err != nil {
			t.Fatal(err)
		}
		change(s)
		if b, err := s.Decrypt(device); err == nil {
			t.Errorf("%s: decrypts to %q", name, b)
		}
	}
}

// TestKeyOfAnotherLength: 15 bytes where 16 belong must be the same error.
func TestKeyOfAnotherLength(t *testing.T) {
	device := goldenKey(t)
	s, err := ParseSigned(golden(t, "keep.enc.sgn"))
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 the padding of the format
	if s.Header.Encryption.Key, err = rsa.EncryptPKCS1v15(rand.Reader, &device.PublicKey, make([]byte, 15)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Decrypt(device); !errors.Is(err, errDecrypt) {
		t.Errorf("error %v", err)
	}
}

// TestEncryptionHeader: all of the encryption or none.
func TestEncryptionHeader(t *testing.T) {
	p := wholeHeader()
	p.extra = el(TagHashAlgorithm, 1)
	if _, err := ParseSigned(p.bytes()); err == nil || !strings.Contains(err.Error(), "tag 16") {
		t.Errorf("a hash without encryption: %v", err)
	}
	p.extra = el(TagEncryptionInfo, el(TagIVInfo, el(TagIV, 1, 2, 3)...)...)
	if _, err := ParseSigned(p.bytes()); err == nil || !strings.Contains(err.Error(), "tag 19 has 3 bytes") {
		t.Errorf("an IV of 3 bytes: %v", err)
	}
	// Ten thousand containers in each other are no recursion.
	deep := []byte{}
	for range 10000 {
		if len(deep) > 60000 {
			break
		}
		deep = el(TagKeyInfo, deep...)
	}
	p.extra = deep
	if s, err := ParseSigned(p.bytes()); err != nil || !bytes.Equal(s.Append(nil), p.bytes()) {
		t.Errorf("deep containers: %v", err)
	}
}
