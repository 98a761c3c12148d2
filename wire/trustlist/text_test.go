package trustlist

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden texts")

func TestText(t *testing.T) {
	for name, b := range lists(t) {
		l := mustParse(t, b)
		var w bytes.Buffer
		if err := l.WriteText(&w, TextOptions{}); err != nil {
			t.Fatal(err)
		}
		path := "testdata/" + strings.ReplaceAll(strings.TrimSuffix(name, ".tlv"), " ", "-") + ".golden"
		if *update {
			if err := os.WriteFile(path, w.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, w.Bytes()) {
			t.Errorf("%s: another text than %s; run with -update and look at the difference\n%s", name, path, w.String())
		}
	}
}

// publicExample is the file that Cisco's document 118892 prints: a cluster that is not secure, signed with a token. Contents
// that the document does not print (keys, certificates) are zeros of the printed length.
func publicExample() []byte {
	zeros := func(tag uint8, n int) []byte { return el(tag, make([]byte, n)...) }
	issuer := "cn=Cisco Manufacturing CA;o=Cisco Systems"
	token := func(subject string, serial ...byte) []byte {
		return rec(str(TagDNSName, ""), str(TagSubjectName, subject), el(TagFunction, 0, 0), str(TagIssuerName, issuer), el(TagRecordSerial, serial...),
			zeros(TagPublicKey, 140), zeros(TagCertificate, 902), zeros(TagIPAddress, 4))
	}
	server := func(addr string) []byte {
		return rec(str(TagDNSName, addr), el(TagFunction, 0, 2), zeros(TagIPAddress, 4))
	}
	first := `cn="SAST-ADN0054f509        ";ou=IPCBU;o="Cisco Systems`
	serial := []byte{0x3C, 0xF9, 0x27, 0, 0, 0, 0xAF, 0xA2, 0xDA, 0x45}
	capf := "CN=CAPF-e9037b69;OU=TAC;O=Cisco;L=Krakow;ST=Malopolska;C=PL"
	p := wholeHeader()
	p.id = el(TagSignerID, cat(str(TagSignerName, first), el(TagSerialNumber, serial...), str(TagCAName, issuer))...)
	p.info = el(TagSignatureInfo, cat(el(TagDigestAlgorithm, 1), el(TagSignatureAlgorithmInfo, cat(el(TagSignatureAlgorithm, 0), el(TagSignatureModulus, 1))...))...)
	p.signature = el(TagSignature, append([]byte{0x45, 0xec, 5, 0xc, 0x9e, 0x68, 0x6d, 0xe6}, make([]byte, 120)...)...)
	p.pad = []byte{13, 13, 13}
	return p.bytes(token(first, serial...), token(`cn="SAST-ADN008580ef        ";ou=IPCBU;o="Cisco Systems`, 0x83, 0xE9, 8, 0, 0, 0, 0x55, 0x45, 0xAF, 0x31),
		server("10.48.47.153"),
		rec(str(TagDNSName, "10.48.47.153"), str(TagSubjectName, capf), el(TagFunction, 0, 4), str(TagIssuerName, capf), zeros(TagRecordSerial, 16),
			zeros(TagPublicKey, 140), zeros(TagCertificate, 680), zeros(TagIPAddress, 4)),
		server("10.48.47.154"))
}

// TestTextOfPublicExample: the lengths add up to the document's, and the lines are the document's.
func TestTextOfPublicExample(t *testing.T) {
	b := publicExample()
	l := mustParse(t, b)
	if !bytes.Equal(l.Append(nil), b) {
		t.Error("decoding and encoding gives other bytes")
	}
	got := l.Text(TextOptions{Modified: time.Date(2015, 2, 24, 16, 37, 45, 0, time.FixedZone("CET", 3600))})
	at := 0
	for _, line := range []string{
		"Length of CTL file: 3746",
		"The CTL File was last modified on Tue Feb 24 16:37:45 CET 2015",
		"Parse CTL File",
		"Version:        1.2",
		"HeaderLength:   304 (BYTES)",
		"BYTEPOS TAG             LENGTH  VALUE",
		"------- ---             ------  -----",
		"3       SIGNERID        2       117",
		`4       SIGNERNAME      56      cn="SAST-ADN0054f509        ";ou=IPCBU;o="Cisco Systems`,
		"5       SERIALNUMBER    10      3C:F9:27:00:00:00:AF:A2:DA:45",
		"6       CANAME          42      cn=Cisco Manufacturing CA;o=Cisco Systems",
		"7       SIGNATUREINFO   2       15",
		"8       DIGESTALGORTITHM        1",
		"9       SIGNATUREALGOINFO       2       8",
		"10      SIGNATUREALGORTITHM     1",
		"11      SIGNATUREMODULUS        1",
		"12      SIGNATURE       128",
		"45  ec  5   c   9e  68  6d  e6",
		"14      FILENAME        12",
		"15      TIMESTAMP       4",
		"CTL Record #:1",
		"1       RECORDLENGTH    2       1186",
		"2       DNSNAME         1",
		`3       SUBJECTNAME     56      cn="SAST-ADN0054f509        ";ou=IPCBU;o="Cisco Systems`,
		"4       FUNCTION        2       System Administrator Security Token",
		"5       ISSUERNAME      42      cn=Cisco Manufacturing CA;o=Cisco Systems",
		"6       SERIALNUMBER    10      3C:F9:27:00:00:00:AF:A2:DA:45",
		"7       PUBLICKEY       140",
		"(SHA1 Hash HEX)",
		"10      IPADDRESS       4",
		"This etoken was used to sign the CTL file.",
		"CTL Record #:2",
		"This etoken was not used to sign the CTL file.",
		"CTL Record #:3",
		"1       RECORDLENGTH    2       33",
		"2       DNSNAME         13      10.48.47.153",
		"4       FUNCTION        2       CCM+TFTP",
		"10      IPADDRESS       4",
		"CTL Record #:4",
		"1       RECORDLENGTH    2       1004",
		"3       SUBJECTNAME     60      CN=CAPF-e9037b69;OU=TAC;O=Cisco;L=Krakow;ST=Malopolska;C=PL",
		"9       CERTIFICATE     680     ",
		"CTL Record #:5",
	} {
		i := strings.Index(got[at:], line)
		if i < 0 {
			t.Fatalf("no line %q from byte %d on in\n%s", line, at, got)
		}
		at += i + len(line)
	}
}

// TestTextIsHarmless: names in a file do not reach the terminal as commands, and a file that does not verify says so.
func TestTextIsHarmless(t *testing.T) {
	l := mustParse(t, wholeHeader().bytes(rec(str(TagDNSName, "a\x1b[2Jb\x07\nCTL Record #:9"), el(TagFunction, 0, 99), el(200, 1))))
	got := l.Text(TextOptions{})
	if strings.ContainsAny(got, "\x1b\x07") || !strings.Contains(got, "a?[2Jb??CTL Record #:9") || !strings.Contains(got, "200     UNKNOWN         1\n") ||
		!strings.Contains(got, "role 99") {
		t.Errorf("text\n%s", got)
	}
	if strings.Contains(got, "verified successfully") || !strings.Contains(got, "Verification of the CTL file failed") {
		t.Errorf("text\n%s", got)
	}
}
