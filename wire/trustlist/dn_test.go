package trustlist

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
)

// name builds a DER Name from type, value pairs in the order of the certificate.
func name(t testing.TB, pairs ...any) []byte {
	t.Helper()
	var seq pkix.RDNSequence
	for i := 0; i < len(pairs); i += 2 {
		seq = append(seq, pkix.RelativeDistinguishedNameSET{{Type: pairs[i].(asn1.ObjectIdentifier), Value: pairs[i+1]}})
	}
	b, err := asn1.Marshal(seq)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	oidCN   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidC    = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidL    = asn1.ObjectIdentifier{2, 5, 4, 7}
	oidST   = asn1.ObjectIdentifier{2, 5, 4, 8}
	oidO    = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidOU   = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidSN   = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidDC   = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
	oidMine = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}
)

// raw is a string of an ASN.1 type of one's choice.
func raw(tag int, b ...byte) asn1.RawValue { return asn1.RawValue{Tag: tag, Bytes: b} }

func TestDN(t *testing.T) {
	tests := []struct {
		raw  []byte
		want string
	}{
		{name(t), ""},
		{name(t, oidCN, "ucm1"), "CN=ucm1"},
		// The order of the reference product, whatever the certificate's.
		{name(t, oidC, "PL", oidO, "Cisco", oidOU, "TAC", oidCN, "ucm1", oidST, "Malopolska", oidL, "Krakow"), "CN=ucm1;OU=TAC;O=Cisco;L=Krakow;ST=Malopolska;C=PL"},
		{name(t, oidCN, "ucm1", oidO, "Lab", oidOU, "Voice"), "CN=ucm1;OU=Voice;O=Lab"},
		{name(t, oidC, "AT", oidOU, "root", oidOU, "leaf", oidCN, "x"), "CN=x;OU=leaf;OU=root;C=AT"},
		{name(t, oidCN, "x", oidOU, "leaf", oidOU, "root", oidC, "AT"), "CN=x;OU=leaf;OU=root;C=AT"},
		// Other attributes: from the CN's end to the other.
		{name(t, oidDC, "com", oidDC, "lab", oidCN, "ucm1"), "CN=ucm1;DC=lab;DC=com"},
		{name(t, oidCN, "ucm1", oidDC, "lab", oidDC, "com"), "CN=ucm1;DC=lab;DC=com"},
		{name(t, oidSN, "PID:CP-8861 SN:FCH1", oidC, "US", oidO, "Cisco", oidCN, "CP-8861-SEP1"), "CN=CP-8861-SEP1;O=Cisco;C=US;serialNumber=PID:CP-8861 SN:FCH1"},
		{name(t, oidMine, "x", oidCN, "y"), "CN=y;1.3.6.1.4.1.99999.1=x"},
		{name(t, oidMine, 5, oidCN, "y"), "CN=y;1.3.6.1.4.1.99999.1=#020105"},
		{name(t, oidDC, "lab", oidO, "x"), "O=x;DC=lab"},
		// Characters.
		{name(t, oidCN, `a;b,c+d"e\f<g>`), `CN=a\;b\,c\+d\"e\\f\<g\>`},
		{name(t, oidCN, " x ", oidO, "#1"), `CN=\ x\ ;O=\#1`},
		{name(t, oidCN, "a\x00b\nc"), `CN=a\00b\0Ac`},
		{name(t, oidCN, "Bürgeramt"), "CN=Bürgeramt"},
		{name(t, oidCN, raw(asn1.TagT61String, 'B', 0xfc)), "CN=Bü"},
		{name(t, oidCN, raw(asn1.TagBMPString, 0, 'B', 0, 0xfc, 0xd8, 0x3d, 0xde, 0x00)), "CN=Bü😀"},
		{name(t, oidCN, raw(tagUniversalString, 0, 0, 0, 'B', 0, 1, 0xf6, 0)), "CN=B😀"},
		{name(t, oidCN, raw(asn1.TagBMPString, 0, 'B', 0)), "CN=#1e03004200"},
	}
	for _, tt := range tests {
		got, err := DN(tt.raw)
		if err != nil || got != tt.want {
			t.Errorf("%x:\n  %s, %v\n  %s expected", tt.raw, got, err, tt.want)
		}
		if !EqualDN(got, tt.want) || !EqualDN(tt.want+"", got) {
			t.Errorf("%q is not equal to itself", got)
		}
	}
	for _, b := range [][]byte{nil, {0x30}, {0x30, 2, 5, 0}, append(name(t, oidCN, "x"), 0), {0x30, 4, 0x31, 2, 0x30, 0}} {
		if s, err := DN(b); err == nil {
			t.Errorf("%x is %q", b, s)
		}
		if s, err := SubjectHash(b); err == nil {
			t.Errorf("%x has the hash %s", b, s)
		}
	}
}

func TestEqualDN(t *testing.T) {
	equal := [][2]string{
		{"", ""},
		{"CN=x;OU=y;O=z", "CN=x,OU=y,O=z"},
		{"CN=x;OU=y;O=z", "cn=X; ou=y ;o=Z"},
		{"CN=x;OU=y;O=z", "O=z, OU=y, CN=x"},
		{"CN=x;O=a  b", "CN=x;O=A B"},
		{`CN=x;O=a\,b`, `CN=x,O="a,b"`},
		{`CN=x;O=a\2cb`, `CN=x,O=a\,b`},
		{`cn="SAST-ADN0054f509        ";ou=IPCBU;o="Cisco Systems`, `cn="SAST-ADN0054f509 ";ou=IPCBU;o="Cisco Systems`}, // both printed in one public document
		{`cn="x";o="Cisco Systems`, `CN=x;O=Cisco Systems`},
	}
	for _, p := range equal {
		if !EqualDN(p[0], p[1]) || !EqualDN(p[1], p[0]) {
			t.Errorf("%q and %q differ: %q, %q", p[0], p[1], splitDN(p[0]), splitDN(p[1]))
		}
	}
	differ := [][2]string{
		{"CN=x", ""}, {"CN=x;O=z", "CN=x"}, {"CN=x;O=z", "CN=x;O=y"}, {"CN=x;O=z", "CN=x;OU=z"}, {"CN=x;O=a,b", `CN=x;O=a\,b`}, {"CN=x;CN=x", "CN=x"}, {"CN=ab", "CN=a b"},
		{"CN=x;O=y", `CN=x\;O=y`},
	}
	for _, p := range differ {
		if EqualDN(p[0], p[1]) {
			t.Errorf("%q and %q are equal", p[0], p[1])
		}
	}
}

func TestCommonName(t *testing.T) {
	for dn, want := range map[string]string{
		"": "", "O=x": "", "CN=ucm1;O=Lab": "ucm1", "O=Lab, cn=ucm1": "ucm1", `cn="SAST-ADN0054f509        ";ou=IPCBU;o="Cisco Systems`: "SAST-ADN0054f509",
		`CN=a\;b;O=x`: "a;b", `O="a;CN=evil";CN=good`: "good", `CN=x\`: `x\`, "CN": "",
	} {
		if got := CommonName(dn); got != want {
			t.Errorf("%q: %q, want %q", dn, got, want)
		}
	}
}

// TestSubjectHashVector: what openssl said of a golden certificate.
func TestSubjectHashVector(t *testing.T) {
	c := goldenCert(t, "CCM.pem")
	got, err := SubjectHash(c.RawSubject)
	if err != nil || got != "665a0a11" || SubjectHashOld(c.RawSubject) != "fdecebf9" {
		t.Errorf("%s, %s, %v", got, SubjectHashOld(c.RawSubject), err)
	}
}
