package trustlist

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// TextOptions for Text and WriteText.
type TextOptions struct {
	Modified time.Time // when the file was last changed, in the zone to print; zero: the time in the header
}

// WriteText prints the list as `show ctl` and `show itl` of the reference product print it: the sums that phones show, the
// header, the records, and whether the file verifies with the certificate it holds for its signer. Even the column BYTEPOS,
// which holds the tag, and the spelling of ALGORTITHM are the field's; scripts know them. Elements that are not in the public
// examples (tags 11 and 12 of records, 28 of the header, unknown ones) are printed in the same form.
func (l *List) WriteText(w io.Writer, o TextOptions) error {
	_, err := io.WriteString(w, l.Text(o))
	return err
}

// Text is what WriteText writes.
func (l *List) Text(o TextOptions) string {
	t := printer{list: l, kind: l.Kind.String()}
	if o.Modified.IsZero() {
		o.Modified = l.Header.Time
	}
	t.head(o)
	t.columns()
	t.header(l.Header.Elements)
	for i := range l.Records {
		t.record(i, &l.Records[i])
	}
	t.verdict()
	return t.b.String()
}

type printer struct {
	b    strings.Builder
	list *List
	kind string
}

func (t *printer) printf(format string, args ...any) { fmt.Fprintf(&t.b, format, args...) }

func (t *printer) head(o TextOptions) {
	raw := t.list.Bytes()
	t.printf("The checksum value of the %s file:\n%x(MD5)\n%x(SHA1)\n\n", t.kind, md5.Sum(raw), sha1.Sum(raw))
	t.printf("Length of %s file: %d\n", t.kind, len(raw))
	t.printf("The %s File was last modified on %s\n\n", t.kind, o.Modified.Format("Mon Jan 02 15:04:05 MST 2006"))
	t.printf("        Parse %s File\n        ----------------\n\n", t.kind)
	t.printf("Version:        %s\nHeaderLength:   %d (BYTES)\n\n", t.list.Header.Version, t.list.Header.Length)
}

func (t *printer) columns() {
	t.printf("BYTEPOS TAG             LENGTH  VALUE\n------- ---             ------  -----\n")
}

// row prints one element. Columns are tab stops of eight.
func (t *printer) row(tag uint8, name string, length int, value string) {
	line := fmt.Sprintf("%-8d%s", tag, name)
	line += strings.Repeat(" ", max(24-len(line), 8-len(line)%8))
	line += fmt.Sprint(length)
	if value != "" {
		line += strings.Repeat(" ", 8-len(line)%8) + value
	}
	t.printf("%s\n", line)
}

var headerNames = map[uint8]string{
	TagSignerID: "SIGNERID", TagSignerName: "SIGNERNAME", TagSerialNumber: "SERIALNUMBER", TagCAName: "CANAME", TagSignatureInfo: "SIGNATUREINFO",
	TagDigestAlgorithm: "DIGESTALGORTITHM", TagSignatureAlgorithmInfo: "SIGNATUREALGOINFO", TagSignatureAlgorithm: "SIGNATUREALGORTITHM",
	TagSignatureModulus: "SIGNATUREMODULUS", TagSignature: "SIGNATURE", TagFilename: "FILENAME", TagTimestamp: "TIMESTAMP", TagSignerVersion: "SIGNERVERSION",
}

// header prints header elements; containers in the way of the field: length 2, and as value the length of their children.
func (t *printer) header(all []Element) {
	for _, e := range all {
		if e.Bare || e.Tag == TagVersion || e.Tag == TagHeaderLength {
			continue
		}
		name, ok := headerNames[e.Tag]
		if !ok {
			name = "UNKNOWN"
		}
		switch {
		case e.Children != nil:
			t.row(e.Tag, name, 2, fmt.Sprint(len(appendElements(nil, e.Children))))
			t.header(e.Children)
		case e.Tag == TagSignerName || e.Tag == TagCAName:
			t.row(e.Tag, name, len(e.Value), printable(e.Value))
		case e.Tag == TagSerialNumber:
			t.row(e.Tag, name, len(e.Value), colons(e.Value))
		case e.Tag == TagSignerVersion && len(e.Value) == 2:
			t.row(e.Tag, name, 2, fmt.Sprintf("%d.%d", e.Value[0], e.Value[1]))
		default:
			t.row(e.Tag, name, len(e.Value), "")
		}
		if e.Tag == TagSignature && e.Children == nil {
			t.dump(e.Value)
		}
	}
}

// dump prints a signature, eight bytes a line, without leading zeros.
func (t *printer) dump(b []byte) {
	for len(b) > 0 {
		n := min(8, len(b))
		var line strings.Builder
		for _, c := range b[:n] {
			fmt.Fprintf(&line, "%-4x", c)
		}
		t.printf("%s\n", strings.TrimRight(line.String(), " "))
		b = b[n:]
	}
}

var recordNames = map[uint8]string{
	TagRecordLength: "RECORDLENGTH", TagDNSName: "DNSNAME", TagSubjectName: "SUBJECTNAME", TagFunction: "FUNCTION", TagIssuerName: "ISSUERNAME",
	TagRecordSerial: "SERIALNUMBER", TagPublicKey: "PUBLICKEY", TagRecordSignature: "SIGNATURE", TagCertificate: "CERTIFICATE",
	TagIPAddress: "IPADDRESS", TagCertificateHash: "CERTIFICATEHASH", TagCertificateHashAlgo: "HASHALGORITHM",
}

func (t *printer) record(i int, r *Record) {
	t.printf("\n        %s Record #:%d\n                  ----\n", t.kind, i+1)
	t.columns()
	for _, e := range r.Elements {
		name, ok := recordNames[e.Tag]
		if !ok {
			name = "UNKNOWN"
		}
		t.row(e.Tag, name, len(e.Value), recordValue(r, e))
	}
	if r.Role != RoleSAST {
		return
	}
	if r.Serial != nil && t.list.Header.Signer.Names(r.Issuer, r.Serial) {
		t.printf("This etoken was used to sign the %s file.\n", t.kind)
	} else {
		t.printf("This etoken was not used to sign the %s file.\n", t.kind)
	}
}

func recordValue(r *Record, e Element) string {
	switch e.Tag {
	case TagRecordLength:
		return fmt.Sprint(r.Length)
	case TagDNSName, TagSubjectName, TagIssuerName:
		return printable(e.Value)
	case TagFunction:
		return r.Role.String()
	case TagRecordSerial:
		return colons(e.Value)
	case TagCertificate:
		return fmt.Sprintf("% X (SHA1 Hash HEX)", sha1.Sum(e.Value))
	case TagCertificateHash:
		return fmt.Sprintf("% X (SHA1 Hash HEX)", e.Value)
	}
	return ""
}

func (t *printer) verdict() {
	if _, err := t.list.Verify(AnyReading); err != nil {
		t.printf("\nVerification of the %s file failed: %s\n", t.kind, printable([]byte(err.Error())))
		return
	}
	t.printf("\nThe %s file was verified successfully.\n", t.kind)
}

// printable shows text from a file on a terminal without obeying it.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, string(bytes.TrimRight(b, "\x00")))
}

// colons prints a serial number: 70:CA:F6.
func colons(b []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("% X", b), " ", ":")
}
