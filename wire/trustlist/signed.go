package trustlist

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"time"
)

// An Element is one tag-length-value. A container has Children and no Value; padding has neither.
type Element struct {
	Tag      uint8
	Offset   int // of the tag, in the file
	Value    []byte
	Children []Element
}

// A SignerID names a certificate.
type SignerID struct {
	Subject, Issuer string // DN text as written
	Serial          []byte // as written
}

// A Header is the head of a list or of a signed file: a view of its Elements.
type Header struct {
	Version         Version
	Length          int     // bytes
	SignerVersion   Version // zero: absent
	Signer          SignerID
	DigestCode      uint8
	AlgorithmCode   uint8 // 0: RSA PKCS #1 v1.5
	ModulusCode     uint8
	Signature       []byte
	SignatureOffset int // of the SIGNATURE element's tag, in the file
	Filename        string
	Time            time.Time   // zero: absent (firmware)
	Encryption      *Encryption // nil: the payload is in the clear
	Elements        []Element   // all of them in file order, padding and unknown ones included
}

// Encryption is what the header of an .enc.sgn file says about its payload.
type Encryption struct {
	IV            []byte // 16 bytes
	Padding       int    // bytes to drop behind the plaintext, 1 to 16
	KeyBits       int    // of the device's RSA key
	Key           []byte // the AES-128 key, encrypted for the device
	HashAlgorithm uint8
	Hash          []byte // SHA-1 of the plaintext
}

// Signed is a header and what it signs: the payload behind it, which is records (a list), a configuration, or ciphertext.
type Signed struct {
	Header  Header
	Payload []byte
	raw     []byte
}

// ParseSigned reads the header of any of the family: CTL, ITL, .sgn, .enc.sgn, firmware. The result refers to b.
func ParseSigned(b []byte) (*Signed, error) { panic("soon") }

// VerifyKey checks the signature with a key and returns the hash function that fitted. It says nothing about whose key it is.
func (s *Signed) VerifyKey(key *rsa.PublicKey, r Reading) (crypto.Hash, error) { panic("soon") }

// VerifyCertificate checks that SIGNER ID names the certificate and that its key made the signature.
func (s *Signed) VerifyCertificate(c *x509.Certificate, r Reading) (crypto.Hash, error) {
	panic("soon")
}

// VerifyBy checks the signature with the certificates that any of the lists holds for the signer in one of the roles:
// a phone verifies a configuration with (RoleCCMTFTP, RoleTFTP) of its CTL and ITL.
func (s *Signed) VerifyBy(r Reading, roles []Role, lists ...*List) (*Record, error) { panic("soon") }

// Append writes the file again from its elements: the bytes that were read.
func (s *Signed) Append(b []byte) []byte { panic("soon") }

// Bytes are the bytes that were read.
func (s *Signed) Bytes() []byte { return s.raw }

// A Signer is who signs: an RSA certificate of 512, 1024, 2048 or 4096 bits (3072 has no code) and its key.
type Signer struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}
