package capf

import (
	"crypto"
	"encoding/binary"
	"fmt"

	"github.com/locktone/locktone/wire/secret"
)

// Reason is how a request or a session ended.
type Reason uint8

// The reasons observed.
const (
	ReasonNone     Reason = 0 // no action, nothing pending
	ReasonOK       Reason = 1 // done
	ReasonRefused  Reason = 7 // an invalid element, wrong authorization, declined
	ReasonUnknown  Reason = 9 // unknown device
	ReasonFailed16 Reason = 16
	ReasonFailed17 Reason = 17
)

// String says what the reason means for the person who waits.
func (r Reason) String() string {
	switch r {
	case ReasonNone:
		return "no operation pending"
	case ReasonOK:
		return "done"
	case ReasonRefused:
		return "wrong authorization string or certificate, or declined"
	case ReasonUnknown:
		return "unknown device or instance"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// CertType is what a certificate is to its device.
type CertType uint8

// The certificate types.
const (
	CertNone CertType = 0
	CertLSC  CertType = 1 // locally significant certificate
	CertMIC  CertType = 2 // manufacturer-installed certificate
)

// String is LSC, MIC or the number.
func (t CertType) String() string {
	switch t {
	case CertNone:
		return "none"
	case CertLSC:
		return "LSC"
	case CertMIC:
		return "MIC"
	}
	return fmt.Sprintf("certificate type %d", uint8(t))
}

// AuthType is how the server wants the device to authenticate. In a configuration file the same numbers say it except that
// 1 is "by authentication string" and 2 "by null string" in both.
type AuthType uint8

// The authentication types.
const (
	AuthNone   AuthType = 0
	AuthString AuthType = 1 // authorization string
	AuthNull   AuthType = 2 // null string
	AuthLSC    AuthType = 3 // existing certificate, precedence to the LSC
	AuthMIC    AuthType = 4 // existing certificate, precedence to the MIC
)

// String is the field's name.
func (a AuthType) String() string {
	switch a {
	case AuthNone:
		return "none"
	case AuthString:
		return "authentication string"
	case AuthNull:
		return "null string"
	case AuthLSC:
		return "existing certificate (LSC)"
	case AuthMIC:
		return "existing certificate (MIC)"
	}
	return fmt.Sprintf("authentication type %d", uint8(a))
}

// KeyType is the kind of key the server orders.
type KeyType uint8

// The key types.
const (
	KeyRSA KeyType = 0
	KeyEC  KeyType = 1
)

// String is RSA, EC or the number.
func (t KeyType) String() string {
	switch t {
	case KeyRSA:
		return "RSA"
	case KeyEC:
		return "EC"
	}
	return fmt.Sprintf("key type %d", uint8(t))
}

// Curve is the curve of an EC key.
type Curve uint8

// The curves.
const (
	CurveP256 Curve = 0
	CurveP384 Curve = 1
	CurveP521 Curve = 2
)

// String is the curve's usual name.
func (c Curve) String() string {
	switch c {
	case CurveP256:
		return "P-256"
	case CurveP384:
		return "P-384"
	case CurveP521:
		return "P-521"
	}
	return fmt.Sprintf("curve %d", uint8(c))
}

// Bits is the size of the curve: 256, 384, 521, or 0 when it is unknown.
func (c Curve) Bits() int {
	switch c {
	case CurveP256:
		return 256
	case CurveP384:
		return 384
	case CurveP521:
		return 521
	}
	return 0
}

// CurveOf is the curve of a size in bits as forms name it.
func CurveOf(bits int) (Curve, bool) {
	switch bits {
	case 256:
		return CurveP256, true
	case 384:
		return CurveP384, true
	case 521:
		return CurveP521, true
	}
	return 0, false
}

// Digest is a hash algorithm by CAPF's numbers, which are not those of a trust list.
type Digest uint8

// The digests.
const (
	DigestNone   Digest = 0
	DigestSHA1   Digest = 1
	DigestSHA256 Digest = 2
	DigestSHA512 Digest = 3
)

// Hash is the algorithm, 0 when the number is unknown.
func (d Digest) Hash() crypto.Hash {
	switch d {
	case DigestSHA1:
		return crypto.SHA1
	case DigestSHA256:
		return crypto.SHA256
	case DigestSHA512:
		return crypto.SHA512
	}
	return 0
}

// A Certificate is one entry of a CERTIFICATE element.
type Certificate struct {
	Type CertType
	DER  []byte // X.509
}

// appendCertificates encodes a CERTIFICATE element's value: a count, then per certificate a length of two octets that
// counts what follows it, the type in two octets, and the DER.
func appendCertificates(b []byte, list []Certificate) []byte {
	b = append(b, byte(len(list)))
	for _, c := range list {
		b = binary.BigEndian.AppendUint16(b, uint16(len(c.DER)+2))
		b = append(b, 0, byte(c.Type))
		b = append(b, c.DER...)
	}
	return b
}

// parseCertificates decodes a CERTIFICATE element's value; offsets in errors count from the value's first octet.
func parseCertificates(v []byte) ([]Certificate, *ParseError) {
	if len(v) == 0 {
		return nil, bad(0, "CERTIFICATE is empty; it begins with a count")
	}
	count, at := int(v[0]), 1
	var list []Certificate
	for range count {
		if len(v)-at < 4 {
			return nil, bad(at, "CERTIFICATE says %d certificates and ends in number %d", count, len(list)+1)
		}
		n := int(binary.BigEndian.Uint16(v[at:]))
		switch {
		case n < 2 || n > len(v)-at-2:
			return nil, bad(at, "certificate %d claims %d octets; there are %d", len(list)+1, n, len(v)-at-2)
		case v[at+2] != 0:
			return nil, bad(at+2, "the type of certificate %d is 0x%02x%02x", len(list)+1, v[at+2], v[at+3])
		}
		list = append(list, Certificate{Type: CertType(v[at+3]), DER: v[at+4 : at+2+n]})
		at += 2 + n
	}
	if at != len(v) {
		return nil, bad(at, "%d octets follow the last certificate", len(v)-at)
	}
	return list, nil
}

// Secret is an authorization string; the zero value is the null string. It prints nothing useful; Reveal is the only way to
// its characters.
type Secret = secret.Text

// NewSecret wraps an authorization string.
func NewSecret(text string) Secret { return secret.New(text) }
