package trustlist

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// lists are all trust lists that came from elsewhere.
func lists(t *testing.T) map[string][]byte {
	return map[string][]byte{
		"ITLFile.tlv":            golden(t, "ITLFile.tlv"),
		"CTLFile-cucm-order.tlv": golden(t, "CTLFile-cucm-order.tlv"),
		"jtapi CTLFile":          jtapiCTL(t),
	}
}

func roles(l *List) (all []Role) {
	for _, r := range l.Records {
		all = append(all, r.Role)
	}
	return all
}

func TestListVectors(t *testing.T) {
	tests := map[string]struct {
		kind    Kind
		header  int
		signer  Version
		digest  uint8
		hash    crypto.Hash
		roles   []Role
		subject string
	}{
		"ITLFile.tlv":            {ITL, 384, SignerVersion11, 3, crypto.SHA512, []Role{0, 2, 4, 21, 3}, "CN=SAST,O=Lab,OU=Lab"},
		"CTLFile-cucm-order.tlv": {CTL, 380, Version{}, 1, crypto.SHA1, []Role{0, 2, 4, 2}, "CN=SAST;O=Lab;OU=Lab"},
		"jtapi CTLFile":          {CTL, 404, Version{}, 1, crypto.SHA1, []Role{0, 0, 2, 4}, "CN=SAST-1;OU=Voice;O=Lab;C=US"},
	}
	for name, b := range lists(t) {
		want := tests[name]
		t.Run(name, func(t *testing.T) {
			l := mustParse(t, b)
			if !bytes.Equal(l.Append(nil), b) {
				t.Error("decoding and encoding gives other bytes")
			}
			h := l.Header
			if l.Kind != want.kind || h.Version != VersionList || h.SignerVersion != want.signer || h.DigestCode != want.digest || h.Length != want.header ||
				h.Signer.Subject != want.subject || h.Filename != want.kind.Filename() || h.Time.Year() != 2026 {
				t.Errorf("header %+v", h)
			}
			if !slices.Equal(roles(l), want.roles) {
				t.Errorf("roles %v, want %v", roles(l), want.roles)
			}
			rec, err := l.Verify(AnyReading)
			if err != nil {
				t.Fatal(err)
			}
			c, err := rec.X509()
			if err != nil {
				t.Fatal(err)
			}
			if hash, err := l.VerifyCertificate(c, AnyReading); err != nil || hash != want.hash {
				t.Errorf("verified with %v, %v, want %v", hash, err, want.hash)
			}
			checkRecords(t, l)
		})
	}
}

// checkRecords compares what a record says with its certificate.
func checkRecords(t *testing.T, l *List) {
	t.Helper()
	for i := range l.Records {
		r := &l.Records[i]
		if r.Certificate == nil {
			continue
		}
		c, err := r.X509()
		if err != nil {
			t.Fatal(err)
		}
		subject, err1 := DN(c.RawSubject)
		issuer, err2 := DN(c.RawIssuer)
		if errors.Join(err1, err2) != nil || !EqualDN(subject, r.Subject) || !EqualDN(issuer, r.Issuer) {
			t.Errorf("record %d says %q of %q, its certificate %q of %q", i+1, r.Subject, r.Issuer, subject, issuer)
		}
		key, err := marshalKey(c.PublicKey)
		if err != nil || !bytes.Equal(key, r.PublicKey) || !bytes.Equal(serial(c), r.Serial) || r.Signature != nil && !bytes.Equal(c.Signature, r.Signature) {
			t.Errorf("record %d: its key, serial or signature is not its certificate's", i+1)
		}
		if k, err := parseKey(r.PublicKey); err != nil || !k.(interface{ Equal(crypto.PublicKey) bool }).Equal(c.PublicKey) {
			t.Errorf("record %d: PUBLIC KEY reads as %v, %v", i+1, k, err)
		}
	}
}

// TestProvisioningVector reads a list that a provisioning project published.
func TestProvisioningVector(t *testing.T) {
	b := shared(t, "vectors", "provisioning", "ITLFile.tlv")
	l := mustParse(t, b)
	if !bytes.Equal(l.Append(nil), b) || l.Kind != ITL || len(l.Records) != 5 {
		t.Errorf("kind %v, %d records", l.Kind, len(l.Records))
	}
	if _, err := l.Verify(AnyReading); err != nil {
		t.Error(err)
	}
	flipEveryBit(t, b, listSigned)
}

// TestRebuildGolden writes the vectors in the reference product's order again from nothing but their entries, signature
// excepted: the bytes are the same.
func TestRebuildGolden(t *testing.T) {
	for name, b := range lists(t) {
		if name == "ITLFile.tlv" {
			continue // the peer's element order
		}
		t.Run(name, func(t *testing.T) {
			l := mustParse(t, b)
			d := Draft{Kind: l.Kind, Time: l.Header.Time, Digest: SHA1, SignerVersion: l.Header.SignerVersion}
			for i := range l.Records {
				e, err := l.Records[i].Entry()
				if err != nil {
					t.Fatal(err)
				}
				d.Entries = append(d.Entries, e)
			}
			c, err := l.Signer()[0].X509()
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := d.Sign(Signer{Certificate: c, Key: canned{c.PublicKey, l.Header.Signature}})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, b) {
				t.Errorf("other bytes:\n%s", hex.Dump(got[:64]))
			}
		})
	}
}

func TestSignedVectors(t *testing.T) {
	ccm, list := goldenCert(t, "CCM.pem"), mustParse(t, golden(t, "CTLFile-cucm-order.tlv"))
	for _, name := range []string{"keep.sgn", "keep.enc.sgn"} {
		b := golden(t, name)
		payload, s, err := Open(b, nil, list)
		if err != nil {
			t.Fatal(name, err)
		}
		if !bytes.Equal(s.Append(nil), b) || !bytes.Equal(s.Bytes(), b) {
			t.Errorf("%s: decoding and encoding gives other bytes", name)
		}
		if _, err := s.VerifyCertificate(ccm, PhoneReading); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.VerifyCertificate(goldenCert(t, "SAST.pem"), PhoneReading); err == nil {
			t.Errorf("%s verifies with another certificate", name)
		}
		if name == "keep.sgn" {
			if s.Header.Length != 396 || len(payload) != 401 || s.Header.Version != VersionSigned || s.Header.Filename != "SEP001380AD9E5F.cnf.xml.sgn" {
				t.Errorf("%s: %d bytes behind %+v", name, len(payload), s.Header)
			}
			continue
		}
		if s.Header.Length != 736 || len(payload) != 416 || s.Header.Encryption.Padding != 15 || s.Header.Version != VersionEncrypted {
			t.Errorf("%s: %d bytes behind %+v", name, len(payload), s.Header)
		}
		plain, err := s.Decrypt(goldenKey(t))
		if err != nil || !bytes.Equal(plain, golden(t, "orig.xml")) {
			t.Errorf("%s decrypts to %q, %v", name, plain, err)
		}
		if _, err := s.Decrypt(rsaKeys()[0]); !errors.Is(err, errDecrypt) {
			t.Errorf("%s with another key: %v", name, err)
		}
	}
}

// TestEveryBit: one flipped bit anywhere in a signed file fails.
func TestEveryBit(t *testing.T) {
	for name, b := range lists(t) {
		t.Run(name, func(t *testing.T) { flipEveryBit(t, b, listSigned) })
	}
	ccm := mustParse(t, golden(t, "CTLFile-cucm-order.tlv")).ByRole(RoleCCMTFTP)[:1]
	for _, name := range []string{"keep.sgn", "keep.enc.sgn"} {
		t.Run(name, func(t *testing.T) {
			flipEveryBit(t, golden(t, name), func(b []byte) (*Signed, []*Record, error) {
				s, err := ParseSigned(b)
				if err != nil || !s.Header.Signer.Names(ccm[0].Issuer, ccm[0].Serial) {
					return s, nil, err
				}
				return s, ccm, nil
			})
		})
	}
}

// listSigned is what the verification of a list starts from: what is signed, and whose key is tried.
func listSigned(b []byte) (*Signed, []*Record, error) {
	l, err := Parse(b)
	if err != nil {
		return nil, nil, err
	}
	return &l.Signed, l.Signer(), nil
}

// flipEveryBit changes each bit of b in turn, on all processors, and verifies. A PKCS #1 v1.5 signature fits one digest under
// one key, so where key, signature and algorithm are untouched, signed bytes that differ are a failure, and the arithmetic, which
// takes nine tenths of the time, is left to a sample of them.
func flipEveryBit(t *testing.T, b []byte, read func([]byte) (*Signed, []*Record, error)) {
	t.Helper()
	orig, by, err := read(b)
	if err != nil || len(by) != 1 {
		t.Fatalf("the file itself: %d signers, %v", len(by), err)
	}
	if err := orig.verifyRecord(by[0], AnyReading); err != nil {
		t.Fatalf("the file itself: %v", err)
	}
	verify := func(b []byte, sample bool) bool {
		s, records, err := read(b)
		if err != nil || len(records) == 0 {
			return false
		}
		if len(records) == 1 && !sample && sameKey(records[0], by[0]) && s.Header.DigestCode == orig.Header.DigestCode &&
			bytes.Equal(s.Header.Signature, orig.Header.Signature) && !sameSignedBytes(s, orig) {
			return false
		}
		return slices.ContainsFunc(records, func(r *Record) bool { return s.verifyRecord(r, AnyReading) == nil })
	}
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			c := bytes.Clone(b)
			for bit := w; bit < 8*len(b); bit += workers {
				c[bit/8] ^= 1 << (bit % 8)
				if verify(c, bit%499 == 0) {
					t.Errorf("bit %d of byte %d is not protected", bit%8, bit/8)
				}
				c[bit/8] ^= 1 << (bit % 8)
			}
		})
	}
	wg.Wait()
}

func sameKey(a, b *Record) bool {
	if bytes.Equal(a.Certificate, b.Certificate) {
		return true
	}
	x, err1 := a.Key()
	y, err2 := b.Key()
	return err1 == nil && err2 == nil && x.(interface{ Equal(crypto.PublicKey) bool }).Equal(y)
}

// sameSignedBytes compares files with their SIGNATURE elements cut out.
func sameSignedBytes(a, b *Signed) bool {
	if a.Header.SignatureOffset != b.Header.SignatureOffset {
		return bytes.Equal(cutSignature(a), cutSignature(b))
	}
	off, end := a.Header.SignatureOffset, a.Header.SignatureOffset+elementHead
	return bytes.Equal(a.raw[:off], b.raw[:off]) && bytes.Equal(a.raw[end+len(a.Header.Signature):], b.raw[end+len(b.Header.Signature):])
}

func cutSignature(s *Signed) []byte {
	return cat(s.raw[:s.Header.SignatureOffset], s.raw[s.Header.SignatureOffset+elementHead+len(s.Header.Signature):])
}
