package trustlist

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func tags(all []Element) (t []uint8) {
	for _, e := range all {
		t = append(t, e.Tag)
	}
	return t
}

// TestSignedList: what the builder writes is in the reference product's order and form.
func TestSignedList(t *testing.T) {
	d, sast, ccm := site(t, CTL)
	d.SignerVersion = SignerVersion11
	d.Entries = append(d.Entries, Entry{Role: RoleTFTP, Name: "tftp.lab", Address: netip.MustParseAddr("2001:db8::7"), Certificate: ccm.Certificate},
		Entry{Role: RoleTVS, Name: "tvs.lab", Certificate: ccm.Certificate, Form: HashForm})
	l := d.mustSign(t, sast[1])
	if got := tags(l.Header.Elements); !slices.Equal(got[:8], []uint8{1, 2, 28, 3, 7, 12, 14, 15}) || l.Header.Length%4 != 0 {
		t.Errorf("header tags %v, %d bytes", got, l.Header.Length)
	}
	if got := tags(l.Header.Elements[3].Children); !slices.Equal(got, []uint8{4, 5, 6}) {
		t.Errorf("SIGNER ID holds %v", got)
	}
	for i, want := range map[int][]uint8{0: {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 2: {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 5: {1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12}} {
		if got := tags(l.Records[i].Elements); !slices.Equal(got, want) {
			t.Errorf("record %d: tags %v, want %v", i+1, got, want)
		}
	}
	if r := l.Records[2]; r.Subject != "CN=ucm1.lab;OU=Voice;O=Lab;L=Graz;ST=Styria;C=AT" || r.Name != "ucm1.lab" || r.Address.String() != "192.0.2.10" || r.CommonName() != "ucm1.lab" {
		t.Errorf("%+v", r)
	}
	if r := l.Records[0]; r.Name != "" || r.Address != netip.IPv4Unspecified() {
		t.Errorf("%+v", r)
	}
	if l.Records[4].Address.String() != "2001:db8::7" || len(l.Records[4].Elements[9].Value) != 16 {
		t.Errorf("IPv6: %+v", l.Records[4])
	}
	if r := l.Records[5]; r.Certificate != nil || len(r.Hash) != 20 || r.HashAlgorithm != 1 || r.CommonName() != "ucm1.lab" {
		t.Errorf("hash record %+v", r)
	}
	if rec, err := l.Verify(JTAPIReading); err != nil || rec != &l.Records[1] {
		t.Errorf("verified by %v, %v", rec, err)
	}
	if !l.Header.Time.Equal(testTime) || l.Header.SignerVersion != SignerVersion11 {
		t.Errorf("%+v", l.Header)
	}
}

// TestReduced: the record of a server of a cluster that is not secure has 33 bytes for a name of 12, as in the public example.
func TestReduced(t *testing.T) {
	d, sast, _ := site(t, CTL)
	d.Entries[2] = Entry{Role: RoleCCMTFTP, Name: "10.48.47.153", Address: netip.MustParseAddr("10.48.47.153"), Form: ReducedForm}
	d.Entries = append(d.Entries, Entry{Role: RoleCCMTFTP, Name: "10.48.47.154", Address: netip.MustParseAddr("10.48.47.154"), Form: ReducedForm})
	l := d.mustSign(t, sast[0])
	for _, r := range l.ByRole(RoleCCMTFTP) {
		if r.Length != 33 || !slices.Equal(tags(r.Elements), []uint8{1, 2, 4, 10}) {
			t.Errorf("%d bytes, tags %v", r.Length, tags(r.Elements))
		}
		if e, err := r.Entry(); err != nil || e.Form != ReducedForm || e.Name != r.Name {
			t.Errorf("%+v, %v", e, err)
		}
	}
	if _, err := AcceptPhone(l, l); err != nil {
		t.Error(err)
	}
}

func TestDuplicateNames(t *testing.T) {
	d, sast, _ := site(t, CTL)
	twin := certify(t, "UCM1.lab", big.NewInt(99), rsaKeys()[0])
	d.Entries = append(d.Entries, Entry{Role: RoleTFTP, Name: "ucm2.lab", Certificate: twin})
	if _, _, err := d.Sign(sast[0]); err != nil {
		t.Errorf("one name in two roles: %v", err)
	}
	same := d.Entries[2]
	same.Name, same.Address = "192.0.2.11", netip.MustParseAddr("192.0.2.11")
	again := d
	again.Entries = append(slices.Clone(d.Entries), same)
	if l := again.mustSign(t, sast[0]); len(l.Server("192.0.2.11", RoleCCMTFTP)) != 1 {
		t.Error("one certificate at two hosts is listed once")
	}
	d.Entries[4].Role = RoleCCMTFTP
	_, _, err := d.Sign(sast[0])
	var dup *DuplicateNameError
	if !errors.As(err, &dup) || dup.First != 2 || dup.Second != 4 || dup.Role != RoleCCMTFTP || dup.Entries[0].Name != "ucm1.lab" || dup.Entries[1].Certificate != twin {
		t.Fatalf("error %v", err)
	}
	for _, part := range []string{"ucm1.lab", "ucm2.lab", "record 3", "record 5", "serial 63", "CCM+TFTP"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

// foreign is a certificate for an RSA key of any size that nobody has.
func foreign(t *testing.T, cn string, bits int) *x509.Certificate {
	n := new(big.Int).SetBit(big.NewInt(1), bits-1, 1)
	parent := certify(t, "parent", big.NewInt(1), rsaKeys()[0])
	return create(t, &x509.Certificate{SerialNumber: big.NewInt(int64(bits)), Subject: pkix.Name{CommonName: cn}, NotBefore: testTime, NotAfter: testTime.AddDate(1, 0, 0)},
		parent, &rsa.PublicKey{N: n, E: 65537}, rsaKeys()[0])
}

func TestSignRefuses(t *testing.T) {
	_, sast, ccm := site(t, CTL)
	big3072 := foreign(t, "SAST-3072", 3072)
	ec := ecKey(t, ecCurve)
	ecCert := certify(t, "SAST-EC", big.NewInt(5), ec)
	tests := []struct {
		name   string
		change func(*Draft, *Signer)
		want   string
	}{
		{"3072 bits", func(d *Draft, s *Signer) {
			*s = Signer{big3072, canned{public: big3072.PublicKey}}
			d.Entries[0].Certificate = big3072
		}, "RSA key of 3072 bits"},
		{"an EC signer", func(d *Draft, s *Signer) { *s = Signer{ecCert, ec}; d.Entries[0].Certificate = ecCert }, "only RSA keys sign"},
		{"another's key", func(d *Draft, s *Signer) { s.Key = sast[1].Key }, "is not its certificate's"},
		{"a key that signs nonsense", func(d *Draft, s *Signer) { s.Key = canned{s.Certificate.PublicKey, make([]byte, 256)} }, "does not verify"},
		{"no signer", func(d *Draft, s *Signer) { *s = Signer{} }, "no signer"},
		{"a signer that is not listed", func(d *Draft, s *Signer) { d.Entries = d.Entries[1:] }, "not among the SAST records"},
		{"a signer that is listed in another role", func(d *Draft, s *Signer) { *s = ccm }, "not among the SAST records"},
		{"no kind", func(d *Draft, s *Signer) { d.Kind = UnknownKind }, "no kind"},
		{"no certificate", func(d *Draft, s *Signer) { d.Entries[3].Certificate = nil }, "record 4 (CAPF 192.0.2.10) has no certificate"},
		{"a NUL in a name", func(d *Draft, s *Signer) { d.Entries[2].Name = "ucm1\x00.evil" }, "a NUL"},
		{"a name of 70,000 bytes", func(d *Draft, s *Signer) { d.Entries[2].Name = strings.Repeat("x", 70000) }, "would have 70001 bytes"},
		{"a record of more than 65,535 bytes", func(d *Draft, s *Signer) { d.Entries[2].Name = strings.Repeat("x", 65000) }, "RECORD LENGTH can say"},
		{"before 1970", func(d *Draft, s *Signer) { d.Time = time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC) }, "32 bits"},
		{"after 2106", func(d *Draft, s *Signer) { d.Time = time.Date(2107, 1, 1, 0, 0, 0, 0, time.UTC) }, "32 bits"},
	}
	for _, tt := range tests {
		d, s, _ := site(t, CTL)
		by := s[0]
		tt.change(&d, &by)
		if _, _, err := d.Sign(by); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	var size *KeySizeError
	_, err := SignFile(nil, FileOptions{Filename: "x", Time: testTime}, Signer{big3072, canned{public: big3072.PublicKey}})
	if !errors.As(err, &size) || size.Bits != 3072 {
		t.Errorf("error %v", err)
	}
}

// TestModulusCodes signs with 1024 and 4096 bits too.
func TestModulusCodes(t *testing.T) {
	for code, key := range map[uint8]*rsa.PrivateKey{1: rsaKeys()[3], 2: rsaKeys()[0], 3: rsaKeys()[4]} {
		bits := key.N.BitLen()
		s := Signer{certify(t, "SAST", big.NewInt(int64(bits)), key), key}
		l := Draft{Kind: CTL, Time: testTime, Entries: []Entry{{Role: RoleSAST, Certificate: s.Certificate}}}.mustSign(t, s)
		if l.Header.ModulusCode != code || len(l.Header.Signature) != bits/8 {
			t.Errorf("%d bits: code %d, %d bytes", bits, l.Header.ModulusCode, len(l.Header.Signature))
		}
		if _, err := l.Verify(PhoneReading); err != nil {
			t.Error(err)
		}
	}
}

func TestRollback(t *testing.T) {
	s := signer(t, 0, "SAST-1")
	d := Draft{Kind: ITL, Time: testTime, Rollback: true}
	l := d.mustSign(t, s)
	if len(l.Records) != 0 {
		t.Errorf("%d records", len(l.Records))
	}
	if _, err := l.VerifyCertificate(s.Certificate, PhoneReading); err != nil {
		t.Error(err)
	}
	d.Rollback = false
	var listed *SignerNotListedError
	if _, _, err := d.Sign(s); !errors.As(err, &listed) {
		t.Errorf("an empty list for no reason: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	d, sast, _ := site(t, ITL)
	if _, w, err := d.Sign(sast[0]); err != nil || len(w) != 0 {
		t.Errorf("a good list: %v, %v", w, err)
	}
	d.Digest = SHA512
	d.Entries[3].Name, d.Entries[3].Address = "", netip.Addr{}
	d.Entries = append(d.Entries, Entry{Role: RoleTFTP, Name: "big", Certificate: foreign(t, "big", 4096)},
		Entry{Role: RoleCCM, Name: "ec", Certificate: certify(t, "ec", big.NewInt(3), ecKey(t, ecCurve))})
	_, w, err := d.Sign(sast[0])
	want := []string{"SHA-512 is not read alike", "neither a name nor an address", "RSA key of 4096 bits", "EC key"}
	if err != nil || len(w) != len(want) {
		t.Fatalf("%v, %v", w, err)
	}
	for i, part := range want {
		if !strings.Contains(w[i].What, part) || w[i].Entry != []int{-1, 3, 4, 5}[i] {
			t.Errorf("%+v, want %q", w[i], part)
		}
	}
}

// TestLargeList: above 64 KiB phones fail; hashes keep it short.
func TestLargeList(t *testing.T) {
	d, sast, _ := site(t, ITL)
	for i := range 60 {
		d.Entries = append(d.Entries, Entry{Role: RoleTVS, Name: fmt.Sprintf("tvs%d.lab", i), Certificate: certify(t, fmt.Sprintf("tvs%d", i), big.NewInt(int64(2000+i)), rsaKeys()[0])})
	}
	b, w, err := d.Sign(sast[0])
	if err != nil || len(w) != 1 || w[0].Entry != -1 || !strings.Contains(w[0].What, "phones refuse lists above 65536") {
		t.Errorf("%d bytes: %v, %v", len(b), w, err)
	}
	if _, err := mustParse(t, b).Verify(PhoneReading); err != nil {
		t.Error(err)
	}
	for i := 4; i < len(d.Entries); i++ {
		d.Entries[i].Form = HashForm
	}
	short, w, err := d.Sign(sast[0])
	if err != nil || len(w) != 0 || len(short) >= PhoneListSize {
		t.Errorf("%d bytes: %v, %v", len(short), w, err)
	}
}

// TestRenew builds a list from a list: the way rotation goes.
func TestRenew(t *testing.T) {
	d, sast, _ := site(t, CTL)
	old := d.mustSign(t, sast[0])
	next := Draft{Kind: old.Kind, Time: testTime.Add(time.Hour)}
	for i := range old.Records {
		e, err := old.Records[i].Entry()
		if err != nil {
			t.Fatal(err)
		}
		next.Entries = append(next.Entries, e)
	}
	next.Entries = append(next.Entries, Entry{Role: RoleCCMTFTP, Name: "ucm1.lab", Certificate: certify(t, "ucm1.lab-2", big.NewInt(77), rsaKeys()[1])})
	fresh := next.mustSign(t, sast[1])
	if a, err := AcceptPhone(fresh, old); err != nil || a.Signer != &old.Records[1] {
		t.Errorf("%+v, %v", a, err)
	}
}
