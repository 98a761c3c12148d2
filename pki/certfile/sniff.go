package certfile

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"strings"
)

// String is the format in words, with its article.
func (f Format) String() string {
	names := [formats]string{
		PEM: "certificates in PEM", DER: "a certificate in DER", PKCS12: "a PKCS #12 file", PKCS7: "a PKCS #7 bundle", Request: "a certificate request (PKCS #10)",
		RevocationList: "a revocation list (CRL)", PrivateKey: "a private key without a certificate", PublicKey: "a public key without a certificate",
		PEMOther: "PEM text of something else", JavaKeyStore: "a Java key store", TrustList: "a trust list (CTL or ITL)", WebPage: "a web page", Empty: "an empty file",
	}
	if f < formats && names[f] != "" {
		return names[f]
	}
	return "something unknown"
}

// readable reports whether Read reads the format.
func (f Format) readable() bool { return f >= PEM && f <= PKCS7 }

// Sniff tells what a file is by its content. It looks at the beginning only: Read may still find the rest wrong.
func Sniff(b []byte) Format {
	b = trimText(b)
	switch {
	case len(b) == 0:
		return Empty
	case bytes.HasPrefix(b, []byte{0xfe, 0xed, 0xfe, 0xed}), bytes.HasPrefix(b, []byte{0xce, 0xce, 0xce, 0xce}):
		return JavaKeyStore
	case bytes.HasPrefix(b, []byte{1, 0, 2, 1}), bytes.HasPrefix(b, []byte{1, 0, 2, 2}): // VERSION, two bytes, 1.x or 2.x
		return TrustList
	case b[0] == 0x30:
		return sniffDER(b)
	case bytes.Contains(b, []byte("-----BEGIN ")):
		return sniffPEM(b)
	case b[0] == '<':
		return WebPage
	}
	return Unknown
}

// trimText drops a byte order mark and white space, as editors and mail put them in front of PEM text. A DER file begins
// with neither.
func trimText(b []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(b, []byte{0xef, 0xbb, 0xbf}), " \t\r\n")
}

// sniffPEM goes by the kinds of blocks. A certificate counts more than a key, since files hold both.
func sniffPEM(b []byte) Format {
	best := Unknown
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		f := PEMOther
		switch t := block.Type; {
		case certificateBlock(t), t == "PKCS7", t == "CMS":
			return PEM
		case t == "CERTIFICATE REQUEST", t == "NEW CERTIFICATE REQUEST":
			f = Request
		case t == "X509 CRL":
			f = RevocationList
		case strings.HasSuffix(t, "PRIVATE KEY"):
			f = PrivateKey
		case strings.HasSuffix(t, "PUBLIC KEY"):
			f = PublicKey
		}
		if best == Unknown || best == PEMOther {
			best = f
		}
	}
	return best
}

// certificateBlock: RFC 7468, 5.1: the label CERTIFICATE; parsers also meet X509 CERTIFICATE and, from OpenSSL, TRUSTED
// CERTIFICATE, whose extra data behind the certificate is dropped.
func certificateBlock(label string) bool {
	return label == "CERTIFICATE" || label == "X509 CERTIFICATE" || label == "TRUSTED CERTIFICATE"
}

// sniffDER tells apart the structures by how their first fields look.
func sniffDER(b []byte) Format {
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(b, &outer); err != nil {
		return sniffBER(b)
	}
	var first asn1.RawValue
	rest, err := asn1.Unmarshal(outer.Bytes, &first)
	if err != nil {
		return Unknown
	}
	switch {
	case first.Class == asn1.ClassUniversal && first.Tag == asn1.TagOID:
		return PKCS7
	case first.Class == asn1.ClassUniversal && first.Tag == asn1.TagInteger:
		return sniffVersioned(first, rest)
	case first.Class != asn1.ClassUniversal || first.Tag != asn1.TagSequence:
		return Unknown
	}
	der := b[:len(outer.FullBytes)]
	if _, err := x509.ParseCertificate(der); err == nil {
		return DER
	}
	if _, err := x509.ParseCertificateRequest(der); err == nil {
		return Request
	}
	if _, err := x509.ParseRevocationList(der); err == nil {
		return RevocationList
	}
	if _, err := x509.ParsePKIXPublicKey(der); err == nil {
		return PublicKey
	}
	if looksSigned(rest) {
		return DER // a certificate that is damaged, or of a kind we cannot read: Read says what is wrong
	}
	return Unknown
}

// looksSigned: to-be-signed, algorithm, signature: the frame of a certificate.
func looksSigned(rest []byte) bool {
	var algorithm, signature asn1.RawValue
	rest, err := asn1.Unmarshal(rest, &algorithm)
	if err != nil {
		return false
	}
	rest, err = asn1.Unmarshal(rest, &signature)
	return err == nil && len(rest) == 0 && algorithm.Tag == asn1.TagSequence && signature.Tag == asn1.TagBitString
}

// sniffVersioned: RFC 7292, 4: PFX ::= SEQUENCE { version INTEGER (3), authSafe ContentInfo, ... }; keys begin with
// version 0 or 1.
func sniffVersioned(version asn1.RawValue, rest []byte) Format {
	if len(version.Bytes) == 1 && version.Bytes[0] == 3 {
		var info struct {
			Type asn1.ObjectIdentifier
			Rest asn1.RawValue `asn1:"optional"`
		}
		if _, err := asn1.Unmarshal(rest, &info); err == nil {
			return PKCS12
		}
	}
	return PrivateKey
}

// sniffBER: encodings of indefinite length, which some products write for PKCS #7 and PKCS #12.
func sniffBER(b []byte) Format {
	switch {
	case len(b) > 4 && b[1] == 0x80 && b[2] == 0x06:
		return PKCS7
	case len(b) > 5 && b[1] == 0x80 && b[2] == 0x02 && b[3] == 1 && b[4] == 3:
		return PKCS12
	}
	return Unknown
}
