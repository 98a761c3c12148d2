package trustlist

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"testing"
)

func checkOffset(t *testing.T, err error, n int) {
	t.Helper()
	var f *FormatError
	if !errors.As(err, &f) || f.Offset < 0 || f.Offset > n {
		t.Fatalf("error %v for %d bytes: expected a FormatError with an offset in the file", err, n)
	}
}

// FuzzParse: any input parses or gives an error with an offset; what parses is written again byte by byte, prints, and can be
// verified and compared without a panic.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"ITLFile.tlv", "CTLFile-cucm-order.tlv"} {
		f.Add(golden(f, name))
	}
	f.Add(jtapiCTL(f))
	f.Add(publicExample())
	f.Add(wholeHeader().bytes())
	held := mustParse(f, golden(f, "CTLFile-cucm-order.tlv"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Parse(b)
		if err != nil {
			checkOffset(t, err, len(b))
			return
		}
		again := l.Append(nil)
		if !bytes.Equal(again, b) || !bytes.Equal(l.Signed.Append(nil), b) {
			t.Fatal("decoding and encoding gives other bytes")
		}
		if _, err := Parse(again); err != nil {
			t.Fatal(err)
		}
		l.Text(TextOptions{})
		AcceptPhone(l, held)
		AcceptJTAPI(l, nil)
		for i := range l.Records {
			l.Records[i].CommonName()
			l.Records[i].Entry()
		}
	})
}

// FuzzOpen: nothing that is not one of the golden files opens with the golden list.
func FuzzOpen(f *testing.F) {
	sgn, enc := golden(f, "keep.sgn"), golden(f, "keep.enc.sgn")
	f.Add(sgn)
	f.Add(enc)
	list := mustParse(f, golden(f, "CTLFile-cucm-order.tlv"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSigned(b)
		if err != nil {
			checkOffset(t, err, len(b))
			return
		}
		if !bytes.Equal(s.Append(nil), b) {
			t.Fatal("decoding and encoding gives other bytes")
		}
		if _, _, err := Open(b, list); err == nil && !sameButForOrder(b, sgn) && !sameButForOrder(b, enc) {
			t.Fatal("a file opens that nobody signed")
		}
	})
}

// sameButForOrder: the signature does not say where among the elements it stands.
func sameButForOrder(a, b []byte) bool {
	x, err1 := ParseSigned(a)
	y, err2 := ParseSigned(b)
	return err1 == nil && err2 == nil && bytes.Equal(cutSignature(x), cutSignature(y))
}

// FuzzDecrypt: whatever the header says, decrypting ends with an error or a plaintext that is as the header says.
func FuzzDecrypt(f *testing.F) {
	f.Add(golden(f, "keep.enc.sgn"))
	key := goldenKey(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSigned(b)
		if err != nil {
			return
		}
		got, err := s.Decrypt(key)
		if e := s.Header.Encryption; err == nil {
			if sum := sha1.Sum(got); !bytes.Equal(sum[:], e.Hash) || len(got)+e.Padding != len(s.Payload) {
				t.Fatalf("%d bytes of plaintext out of %d with %d of padding", len(got), len(s.Payload), e.Padding)
			}
		}
	})
}

// FuzzDN: any bytes are a name or an error; a name's text is equal to itself and has no NUL.
func FuzzDN(f *testing.F) {
	f.Add(name(f, oidC, "AT", oidO, "Lab", oidCN, "x;y,z"), "CN=x;O=y", `cn="x,o=y`)
	f.Fuzz(func(t *testing.T, raw []byte, a, b string) {
		if EqualDN(a, b) != EqualDN(b, a) || !EqualDN(a, a) {
			t.Fatalf("%q and %q", a, b)
		}
		CommonName(a)
		s, err := DN(raw)
		if _, hashErr := SubjectHash(raw); (err == nil) != (hashErr == nil) {
			t.Fatalf("text: %v, hash: %v", err, hashErr)
		}
		if err == nil && (!EqualDN(s, s) || bytes.ContainsRune([]byte(s), 0)) {
			t.Fatalf("%q", s)
		}
	})
}
