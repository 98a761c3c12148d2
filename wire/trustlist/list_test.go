package trustlist

import (
	"bytes"
	"crypto/elliptic"
	"encoding/binary"
	"errors"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// el writes one element.
func el(tag uint8, value ...byte) []byte {
	return append([]byte{tag, byte(len(value) >> 8), byte(len(value))}, value...)
}

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func str(tag uint8, s string) []byte { return el(tag, append([]byte(s), 0)...) }

// rec puts RECORD LENGTH before the elements of a record.
func rec(parts ...[]byte) []byte {
	body := cat(parts...)
	return cat(el(TagRecordLength, byte((len(body)+5)>>8), byte(len(body)+5)), body)
}

// parts is a header to be broken in a test; nil parts are left out.
type parts struct {
	version, signerVersion, id, info, signature, filename, time, extra, pad []byte
	lie                                                                     int // added to HEADER LENGTH
}

func wholeHeader() parts {
	return parts{
		version: el(TagVersion, 1, 2),
		id:      el(TagSignerID, cat(str(TagSignerName, "CN=SAST-1"), el(TagSerialNumber, 7), str(TagCAName, "CN=SAST-1"))...),
		info: el(TagSignatureInfo, cat(el(TagDigestAlgorithm, 2),
			el(TagSignatureAlgorithmInfo, cat(el(TagSignatureAlgorithm, 0), el(TagSignatureModulus, 2))...))...),
		signature: el(TagSignature, make([]byte, 256)...),
		filename:  str(TagFilename, "CTLFile.tlv"),
		time:      el(TagTimestamp, 0x6b, 1, 0xed, 0x51),
	}
}

func (p parts) bytes(payload ...[]byte) []byte {
	rest := cat(p.signerVersion, p.id, p.info, p.signature, p.filename, p.time, p.extra, p.pad)
	length := el(TagHeaderLength, 0, 0)
	binary.BigEndian.PutUint16(length[3:], uint16(len(p.version)+len(length)+len(rest)+p.lie))
	return cat(p.version, length, rest, cat(payload...))
}

// TestParse is the table of what a file may look like.
func TestParse(t *testing.T) {
	reduced := rec(str(TagDNSName, "ucm1"), el(TagFunction, 0, 2), el(TagIPAddress, 10, 0, 0, 1))
	with := func(change func(*parts), payload ...[]byte) []byte {
		p := wholeHeader()
		change(&p)
		if payload == nil {
			payload = [][]byte{reduced}
		}
		return p.bytes(payload...)
	}
	same := func(*parts) {}
	tests := []struct {
		name string
		file []byte
		err  string // part of the error; empty: it parses
	}{
		{"as it should be", with(same), ""},
		{"no records", with(same, []byte{}), ""},
		{"empty", nil, "offset 0: 0 bytes left"},
		{"not a trust list", []byte("<device><fullConfig>"), "offset 0: element with tag 60 claims 25701 bytes"},
		{"one pad byte", with(func(p *parts) { p.pad = []byte{13} }), ""},
		{"two", with(func(p *parts) { p.pad = []byte{13, 13} }), ""},
		{"three", with(func(p *parts) { p.pad = []byte{13, 13, 13} }), ""},
		{"a thousand", with(func(p *parts) { p.pad = bytes.Repeat([]byte{13}, 1000) }), ""},
		{"signer version", with(func(p *parts) { p.signerVersion = el(TagSignerVersion, 1, 1) }), ""},
		{"children of SIGNER ID as the peer writes them", with(func(p *parts) {
			p.id = el(TagSignerID, cat(str(TagSignerName, "CN=SAST-1"), str(TagCAName, "CN=SAST-1"), el(TagSerialNumber, 7))...)
		}), ""},
		{"children of SIGNER ID backwards", with(func(p *parts) {
			p.id = el(TagSignerID, cat(str(TagCAName, "CN=SAST-1"), el(TagSerialNumber, 7), str(TagSignerName, "CN=SAST-1"))...)
		}), ""},
		{"main elements in another order", with(func(p *parts) { p.id, p.time = p.time, p.id }), ""},
		{"unknown tag in the header", with(func(p *parts) { p.extra = el(99, 1, 2, 3) }), ""},
		{"unknown tag twice in the header", with(func(p *parts) { p.extra = cat(el(99, 1), el(99, 2)) }), ""},
		{"unknown tag in SIGNER ID", with(func(p *parts) { p.id = el(TagSignerID, append(p.id[3:], el(99, 1)...)...) }), ""},
		{"unknown tag in a record", with(same, rec(el(TagFunction, 0, 2), el(99, 1, 2, 3), el(13, 13, 13))), ""},
		{"a record's elements in another order", with(same, rec(el(TagIPAddress, 10, 0, 0, 1), el(TagFunction, 0, 2), str(TagDNSName, "x"))), ""},
		{"IPv6", with(same, rec(el(TagFunction, 0, 2), el(TagIPAddress, netip.MustParseAddr("2001:db8::1").AsSlice()...))), ""},
		{"an address of five bytes", with(same, rec(el(TagFunction, 0, 2), el(TagIPAddress, 1, 2, 3, 4, 5))), ""},
		{"no NUL", with(same, rec(el(TagFunction, 0, 2), el(TagDNSName, 'x'))), ""},
		{"two NULs", with(same, rec(el(TagFunction, 0, 2), el(TagDNSName, 'x', 0, 0))), ""},
		{"string of no bytes", with(same, rec(el(TagFunction, 0, 2), el(TagDNSName))), ""},
		{"no timestamp, as firmware", with(func(p *parts) { p.time = nil }), ""},
		{"header length too short", with(func(p *parts) { p.lie = -1 }), "element with tag 15 claims 4 bytes, 3 are left"},
		{"header length shorter than itself", with(func(p *parts) { p.lie = -400 }), "HEADER LENGTH is"},
		{"header length into a record", with(func(p *parts) { p.lie = 3 }), "element with tag 1 claims 2 bytes, 0 are left"},
		{"header length over a record", with(func(p *parts) { p.lie = len(reduced) }), "a second element with tag 1"},
		{"header length behind the file", with(func(p *parts) { p.lie = 4000 }), "HEADER LENGTH is"},
		{"no header length", cat(el(TagVersion, 1, 2), el(TagSignerVersion, 1, 1)), "no HEADER LENGTH"},
		{"no version", with(func(p *parts) { p.version = nil }), "expected VERSION"},
		{"no signature", with(func(p *parts) { p.signature = nil }), "without an element with tag 12"},
		{"no signer", with(func(p *parts) { p.id = nil }), "without an element with tag 4"},
		{"signature in the wrong container", with(func(p *parts) { p.id, p.signature = el(TagSignerID, append(p.id[3:], p.signature...)...), nil }), "without an element with tag 12"},
		{"two signatures", with(func(p *parts) { p.extra = p.signature }), "a second element with tag 12"},
		{"two names of the signer", with(func(p *parts) { p.id = el(TagSignerID, append(p.id[3:], str(TagSignerName, "CN=evil")...)...) }), "a second element with tag 4"},
		{"two timestamps", with(func(p *parts) { p.extra = p.time }), "a second element with tag 15"},
		{"container longer than its children", with(func(p *parts) { p.id = el(TagSignerID, append(p.id[3:], 4)...) }), "1 bytes left"},
		{"child longer than its container", with(func(p *parts) { p.id = el(TagSignerID, str(TagSignerName, "CN=x")[:6]...) }), "element with tag 4 claims 5 bytes, 3 are left"},
		{"a NUL inside a name", with(same, rec(el(TagFunction, 0, 2), el(TagSubjectName, 'a', 0, 'b', 0))), "a NUL inside the string of the element with tag 3"},
		{"record length past the end", with(same, reduced[:len(reduced)-1]), "RECORD LENGTH is"},
		{"record length of four", with(same, el(TagRecordLength, 0, 4)), "RECORD LENGTH is 4"},
		{"record length shorter than its elements", with(same, cat(el(TagRecordLength, 0, 10), el(TagFunction, 0, 2, 0))), "claims 3 bytes, 2 are left"},
		{"trailing bytes", with(same, reduced, []byte{0}), "1 bytes left"},
		{"trailing elements", with(same, reduced, el(99, 1)), "expected a record"},
		{"two roles", with(same, rec(el(TagFunction, 0, 4), el(TagFunction, 0, 0))), "a second element with tag 4"},
		{"no role", with(same, rec(str(TagDNSName, "x"))), "a record without FUNCTION"},
		{"role of one byte", with(same, rec(el(TagFunction, 2))), "FUNCTION has 1 bytes"},
		{"digest of two bytes", with(func(p *parts) { p.info = el(TagSignatureInfo, el(TagDigestAlgorithm, 0, 2)...) }), "element with tag 8 has 2 bytes, expected 1"},
		{"encrypted", mustSigned(t), "it is no trust list"},
		{"larger than anything", make([]byte, MaxListSize+1), "a trust list has at most"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Parse(tt.file)
			var f *FormatError
			switch {
			case tt.err == "" && err != nil:
				t.Fatal(err)
			case tt.err == "":
				if !bytes.Equal(l.Append(nil), tt.file) {
					t.Error("decoding and encoding gives other bytes")
				}
			case !errors.As(err, &f) || !strings.Contains(err.Error(), tt.err):
				t.Errorf("error %v, want a FormatError with %q", err, tt.err)
			case f.Offset < 0 || f.Offset > len(tt.file):
				t.Errorf("offset %d in a file of %d bytes", f.Offset, len(tt.file))
			}
		})
	}
}

// mustSigned is an encrypted file.
func mustSigned(t *testing.T) []byte { return golden(t, "keep.enc.sgn") }

func TestTooManyRecords(t *testing.T) {
	one := rec(el(TagFunction, 0, 2))
	file := wholeHeader().bytes(bytes.Repeat(one, MaxRecords))
	if _, err := Parse(file); err != nil {
		t.Error(err)
	}
	if _, err := Parse(append(file, one...)); err == nil {
		t.Errorf("%d records parse", MaxRecords+1)
	}
}

func TestRecordFields(t *testing.T) {
	v6 := netip.MustParseAddr("2001:db8::1")
	l := mustParse(t, wholeHeader().bytes(
		rec(str(TagDNSName, ""), el(TagFunction, 0, 2), el(TagIPAddress, v6.AsSlice()...)),
		rec(str(TagDNSName, "Ucm1.Lab."), el(TagFunction, 0, 4), el(TagIPAddress, 10, 0, 0, 1), el(TagCertificateHash, 1, 2), el(TagCertificateHashAlgo, 1)),
		rec(el(TagFunction, 0, 99)),
	))
	if r := l.Records[0]; r.Name != "" || r.Address != v6 || r.Role != RoleCCMTFTP || r.Offset != l.Header.Length {
		t.Errorf("%+v", r)
	}
	if r := l.Records[1]; r.Name != "Ucm1.Lab." || !bytes.Equal(r.Hash, []byte{1, 2}) || r.HashAlgorithm != 1 {
		t.Errorf("%+v", r)
	}
	if got := l.Server("ucm1.lab", RoleCAPF); len(got) != 1 || got[0] != &l.Records[1] {
		t.Errorf("by name: %v", got)
	}
	if got := l.Server("10.0.0.1"); len(got) != 1 || len(l.Server("10.0.0.1", RoleTVS)) != 0 || len(l.Server("")) != 0 {
		t.Errorf("by address: %v", got)
	}
	if got := l.Server("2001:db8:0::1"); len(got) != 1 || got[0] != &l.Records[0] {
		t.Errorf("by IPv6 address: %v", got)
	}
	if _, err := l.Records[1].X509(); err == nil {
		t.Error("a certificate out of nothing")
	}
	if _, err := l.Records[1].Key(); err == nil {
		t.Error("a key out of nothing")
	}
	if _, ok := l.Records[1].Fingerprint(); ok {
		t.Error("a fingerprint out of nothing")
	}
	if _, err := l.Records[1].Entry(); err == nil {
		t.Error("an entry out of a hash")
	}
	if _, err := l.Verify(AnyReading); err == nil {
		t.Error("verified without a certificate")
	}
}

// TestVerifyRefuses are files that are whole but whose signature does not count.
func TestVerifyRefuses(t *testing.T) {
	d, sast, _ := site(t, CTL)
	good, _, err := d.Sign(sast[0])
	if err != nil {
		t.Fatal(err)
	}
	l := mustParse(t, good)
	patch := func(offset int, b ...byte) []byte {
		c := bytes.Clone(good)
		copy(c[offset:], b)
		return c
	}
	info := l.Header.SignatureOffset - 3 - 15 // the SIGNATURE INFO element
	digest, algorithm, modulus := info+6, info+13, info+17
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"modulus code of another size", patch(modulus, 3), "modulus code 3 does not fit a key of 2048 bits"},
		{"unknown modulus code", patch(modulus, 200), "modulus code 200"},
		{"unknown algorithm", patch(algorithm, 1), "signature algorithm 1 is not known"},
		{"unknown digest", patch(digest, 5), "digest code 5 is not known"},
		{"no digest", patch(digest, 0), "digest code 0 is not known"},
		{"another digest", patch(digest, 1), "verification error"},
		{"another timestamp", patch(l.Header.SignatureOffset+3+256+15+3, 1), "verification error"},
	}
	for _, tt := range tests {
		_, err := mustParse(t, tt.file).Verify(AnyReading)
		var s *SignatureError
		if !errors.As(err, &s) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want a SignatureError with %q", tt.name, err, tt.want)
		}
	}
	// A record that nobody signed.
	extra := append(bytes.Clone(good), rec(el(TagFunction, 0, 0), str(TagDNSName, "evil"))...)
	if _, err := mustParse(t, extra).Verify(AnyReading); err == nil {
		t.Error("verified with a record more")
	}
}

// TestDigests: who reads which code how.
func TestDigests(t *testing.T) {
	d, sast, _ := site(t, CTL)
	for digest, want := range map[Digest]struct{ any, phone, jtapi bool }{
		SHA256: {true, true, true}, SHA1: {true, true, true}, SHA512: {true, true, false}, SHA384: {true, false, true}, SHA512Code4: {true, false, true},
	} {
		d.Digest = digest
		l := d.mustSign(t, sast[0])
		if l.Header.DigestCode != digest.Code() {
			t.Errorf("%s: code %d", digest, l.Header.DigestCode)
		}
		for r, ok := range map[Reading]bool{AnyReading: want.any, PhoneReading: want.phone, JTAPIReading: want.jtapi} {
			if _, err := l.Verify(r); (err == nil) != ok {
				t.Errorf("%s, reading %d: %v, want accepted %v", digest, r, err, ok)
			}
		}
	}
	if Digest(0).Code() != 2 || Digest(200).Hash() != SHA256.Hash() {
		t.Error("the default is not SHA-256")
	}
}

func TestNames(t *testing.T) {
	if CTL.Filename() != "CTLFile.tlv" || ITL.DeviceFilename("SEP001122334455") != "ITLSEP001122334455.tlv" {
		t.Error(CTL.Filename(), ITL.DeviceFilename("SEP001122334455"))
	}
	for addr, want := range map[string][]string{
		"127.0.0.1": {"CTLCAPF7F000001.tlv"}, "10.106.99.197": {"CTLCAPF0A6A63C5.tlv", "CTLCAPFA6A63C5.tlv"},
		"::ffff:10.0.0.1": {"CTLCAPF0A000001.tlv", "CTLCAPFA000001.tlv"}, "2001:db8::1": nil,
	} {
		if got := CAPFFilenames(netip.MustParseAddr(addr)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
	for _, r := range []Role{0, 1, 2, 3, 4, 7, 21} {
		if got, err := ParseRole(strings.ToLower(r.String())); err != nil || got != r {
			t.Errorf("role %d is %q is %d, %v", r, r, got, err)
		}
	}
	for s, want := range map[string]Role{"sast": RoleSAST, "21": RoleTVS, "13": 13} {
		if got, err := ParseRole(s); err != nil || got != want {
			t.Errorf("%q is %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "boss", "21x", "-1", "70000"} {
		if got, err := ParseRole(s); err == nil {
			t.Errorf("%q is %d", s, got)
		}
	}
}

// TestSerials: numbers with the high bit set have a zero byte in DER, which is not written, and which readers ignore.
func TestSerials(t *testing.T) {
	key := rsaKeys()[0]
	serial, _ := new(big.Int).SetString("85106aecea785d72b456cf947d60055c", 16)
	s := Signer{Certificate: certify(t, "SAST-1", serial, key), Key: key}
	l := Draft{Kind: ITL, Time: testTime, Entries: []Entry{{Role: RoleSAST, Certificate: s.Certificate}}}.mustSign(t, s)
	if got := l.Records[0].Serial; !bytes.Equal(got, serial.Bytes()) || !bytes.Equal(l.Header.Signer.Serial, got) || got[0] != 0x85 {
		t.Errorf("serial %x", got)
	}
	if !l.Header.Signer.Names(l.Records[0].Issuer, append([]byte{0}, serial.Bytes()...)) {
		t.Error("a sign byte makes another number of it")
	}
	if l.Header.Signer.Names(l.Records[0].Issuer, serial.Bytes()[1:]) {
		t.Error("another number is the same")
	}
}

// TestECRecords: an EC certificate is listed with its point.
func TestECRecords(t *testing.T) {
	d, sast, _ := site(t, ITL)
	for i, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		k := ecKey(t, c)
		d.Entries = append(d.Entries, Entry{Role: RoleTFTP, Name: "ec", Certificate: certify(t, "ec"+c.Params().Name, big.NewInt(int64(50+i)), k)})
	}
	l := d.mustSign(t, sast[0])
	checkRecords(t, l)
	if n := len(l.Records[5].PublicKey); n != 97 {
		t.Errorf("P-384 point of %d bytes", n)
	}
	if _, err := parseKey([]byte{4, 1, 2}); err == nil {
		t.Error("a point of three bytes")
	}
}
