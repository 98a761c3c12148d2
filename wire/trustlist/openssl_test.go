package trustlist

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpensslVerifies: openssl takes our signatures: the file with the SIGNATURE element cut out by offset, the signature, the key.
func TestOpensslVerifies(t *testing.T) {
	needOpenssl(t)
	d, sast, ccm := site(t, CTL)
	config := FileOptions{Filename: "SEP001122334455.cnf.xml.sgn", Time: testTime}
	for digest, name := range map[Digest]string{SHA1: "-sha1", SHA256: "-sha256", SHA384: "-sha384", SHA512: "-sha512"} {
		d.Digest, config.Digest = digest, digest
		list, _, err := d.Sign(sast[0])
		if err != nil {
			t.Fatal(err)
		}
		opensslVerify(t, list, sast[0].Certificate, name)
		signed, err := SignFile([]byte("<device/>"), config, ccm)
		if err != nil {
			t.Fatal(err)
		}
		opensslVerify(t, signed, ccm.Certificate, name)
	}
	opensslVerify(t, golden(t, "ITLFile.tlv"), goldenCert(t, "SAST.pem"), "-sha512")
	opensslVerify(t, golden(t, "keep.enc.sgn"), goldenCert(t, "CCM.pem"), "-sha1")
}

func opensslVerify(t *testing.T, file []byte, c *x509.Certificate, digest string) {
	t.Helper()
	s, err := ParseSigned(file)
	if err != nil {
		t.Fatal(err)
	}
	off, n := s.Header.SignatureOffset, len(s.Header.Signature)
	data := cat(file[:off], file[off+3+n:])
	pub := run(t, certPEM(c), "openssl", "x509", "-pubkey", "-noout")
	out := run(t, data, "openssl", "dgst", digest, "-verify", writeFile(t, "signer.pub", []byte(pub)),
		"-signature", writeFile(t, "sig", file[off+3:off+3+n]))
	if !strings.Contains(out, "Verified OK") {
		t.Errorf("%s: %s", digest, out)
	}
}

// TestOpensslDecrypts: openssl decrypts what we encrypted.
func TestOpensslDecrypts(t *testing.T) {
	needOpenssl(t)
	_, _, ccm := site(t, CTL)
	device, plain := goldenKey(t), golden(t, "orig.xml")
	b, err := EncryptFile(plain, &device.PublicKey, FileOptions{Filename: "SEP001122334455.cnf.xml.enc.sgn", Time: testTime}, ccm)
	if err != nil {
		t.Fatal(err)
	}
	opensslVerify(t, b, ccm.Certificate, "-sha256")
	s, err := ParseSigned(b)
	if err != nil {
		t.Fatal(err)
	}
	e := s.Header.Encryption
	key := run(t, e.Key, "openssl", "pkeyutl", "-decrypt", "-inkey", writeFile(t, "dev.key", keyPEM(t, device)))
	text := run(t, s.Payload, "openssl", "enc", "-d", "-aes-128-cbc", "-nopad", "-K", hex.EncodeToString([]byte(key)), "-iv", hex.EncodeToString(e.IV))
	text, pad := text[:len(text)-e.Padding], text[len(text)-e.Padding:]
	if sum := sha1.Sum([]byte(text)); !bytes.Equal(sum[:], e.Hash) || text != string(plain) || pad != strings.Repeat("\r", e.Padding) {
		t.Errorf("openssl decrypts to %q, padding %q", text, pad)
	}
}

// TestOpensslSubjectHash compares both hashes on the names that are hard, and on the roots of this machine.
func TestOpensslSubjectHash(t *testing.T) {
	needOpenssl(t)
	names := [][]byte{
		name(t, oidCN, "ucm1.lab"), name(t, oidC, "AT", oidO, "Lab", oidCN, "UCM1.Lab"), name(t, oidCN, "  Many   spaces \t here "),
		name(t, oidCN, "Bürgeramt ÄÖÜ"), name(t, oidCN, raw(asn1.TagT61String, 'B', 0xfc)), name(t, oidCN, raw(asn1.TagBMPString, 0, 'B', 0, 0xdc)),
		name(t, oidCN, raw(tagUniversalString, 0, 0, 0, 'B')), name(t, oidCN, raw(asn1.TagIA5String, 'a', '@')),
		name(t, oidMine, raw(asn1.TagNumericString, '1', ' ', ' ', '2')),
		name(t, oidCN, ""), name(t, oidCN, "CAPF-e9037b69", oidOU, "TAC", oidO, "Cisco", oidL, "Krakow", oidST, "Malopolska", oidC, "PL"),
	}
	multi, err := asn1.Marshal(pkix.RDNSequence{{{Type: oidOU, Value: "B"}, {Type: oidCN, Value: "a"}}, {{Type: oidO, Value: "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{} // DER Name by PEM certificate; not every name is one that the standard library reads
	parent := certify(t, "parent", big.NewInt(1), rsaKeys()[0])
	for i, n := range append(names, multi) {
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), RawSubject: n, NotBefore: testTime,
			NotAfter: testTime.AddDate(1, 0, 0)}, parent, rsaKeys()[0].Public(), rsaKeys()[0])
		if err != nil {
			t.Fatal(err)
		}
		all[string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))] = n
	}
	for _, c := range append(roots(t, 12), goldenCert(t, "CCM.pem"), goldenCert(t, "CAPF.pem"), goldenCert(t, "ccmec.pem")) {
		all[string(certPEM(c))] = c.RawSubject
	}
	for c, n := range all {
		out := strings.Fields(run(t, []byte(c), "openssl", "x509", "-noout", "-subject_hash", "-subject_hash_old"))
		got, err := SubjectHash(n)
		if err != nil || len(out) != 2 || got != out[0] || SubjectHashOld(n) != out[1] {
			t.Errorf("%x: %s and %s, %v, openssl says %v", n, got, SubjectHashOld(n), err, out)
		}
	}
	t.Logf("%d certificates", len(all))
}

// roots are up to n certificates of the machine's store; none where there is no store.
func roots(t *testing.T, n int) (all []*x509.Certificate) {
	paths, err := filepath.Glob("/etc/ssl/certs/*.pem")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths[:min(n, len(paths))] {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(b)
		if block == nil {
			continue
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		t.Log("no certificates in /etc/ssl/certs: compared only our own")
	}
	return all
}

// TestUsecallmanager lets the tools of the usecallmanager.nz project, run as programs, read what we write, and reads what they
// write. LOCKTONE_USECALLMANAGER is a folder with a clone of usecallmanagernz/certutils in certutils; it needs the Debian packages
// python3-cryptography and python3-lxml.
func TestUsecallmanager(t *testing.T) {
	folder := os.Getenv("LOCKTONE_USECALLMANAGER")
	if folder == "" {
		t.Skip("needs LOCKTONE_USECALLMANAGER, a folder with a clone of github.com/usecallmanagernz/certutils in certutils")
	}
	tool := func(t *testing.T, name string, args ...string) string {
		t.Helper()
		return run(t, nil, "/usr/bin/python3", append([]string{filepath.Join(folder, "certutils", name)}, args...)...)
	}
	d, sast, ccm := site(t, ITL)
	d.SignerVersion = SignerVersion11
	d.Entries = append(d.Entries, Entry{Role: RoleTVS, Name: "ucm1.lab", Certificate: ccm.Certificate},
		Entry{Role: RoleTFTP, Name: "ucm1.lab", Certificate: certify(t, "ec", big.NewInt(9), ecKey(t, ecCurve))})
	for _, digest := range []Digest{SHA1, SHA512} {
		t.Run(fmt.Sprintf("tlvfile reads %s", digest), func(t *testing.T) {
			d.Digest = digest
			b, _, err := d.Sign(sast[0])
			if err != nil {
				t.Fatal(err)
			}
			out := tool(t, "tlvfile", "-p", writeFile(t, "ITLFile.tlv", b))
			if !strings.Contains(out, "Valid signature") || strings.Contains(out, "Invalid") {
				t.Errorf("tlvfile says\n%s", out)
			}
			b[len(b)-40] ^= 1
			if out := tool(t, "tlvfile", "-p", writeFile(t, "ITLFile.tlv", b)); !strings.Contains(out, "Invalid signature") {
				t.Errorf("of a changed file tlvfile says\n%s", out)
			}
		})
	}
	tftp := writeFile(t, "tftp.pem", append(certPEM(ccm.Certificate), keyPEM(t, ccm.Key)...))
	t.Run("tlvfile writes", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ITLFile.tlv")
		pem := writeFile(t, "sast.pem", append(certPEM(sast[0].Certificate), keyPEM(t, sast[0].Key)...))
		tool(t, "tlvfile", "-b", "-v", "1.1", "-d", "sha512", "-s", pem, "-C", tftp, "-T", tftp, path)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		l := mustParse(t, b)
		if _, err := AcceptPhone(l); err != nil || len(l.Records) != 3 || !bytes.Equal(l.Append(nil), b) {
			t.Errorf("%d records, %v", len(l.Records), err)
		}
	})
	t.Run("sgnfile reads", func(t *testing.T) {
		b, err := SignFile([]byte("<device/>\n"), FileOptions{Filename: "SEP001122334455.cnf.xml.sgn", Time: testTime, Digest: SHA1}, ccm)
		if err != nil {
			t.Fatal(err)
		}
		if out := tool(t, "sgnfile", "-p", "-t", tftp, writeFile(t, "SEP001122334455.cnf.xml.sgn", b)); !strings.Contains(out, "Valid signature") {
			t.Errorf("sgnfile says\n%s", out)
		}
	})
	t.Run("enccnf reads", func(t *testing.T) {
		device := goldenKey(t)
		b, err := EncryptFile(golden(t, "orig.xml"), &device.PublicKey, FileOptions{Filename: "SEP001380AD9E5F.cnf.xml.enc.sgn", Time: testTime, Digest: SHA1}, ccm)
		if err != nil {
			t.Fatal(err)
		}
		if out := tool(t, "enccnf", "-p", "-t", tftp, writeFile(t, "SEP001380AD9E5F.cnf.xml.enc.sgn", b)); !strings.Contains(out, "Valid signature") {
			t.Errorf("enccnf says\n%s", out)
		}
	})
}
