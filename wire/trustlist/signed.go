package trustlist

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// A SignerID names a certificate.
type SignerID struct {
	Subject, Issuer string // DN text as written
	Serial          []byte // as written
}

func (s SignerID) String() string {
	return fmt.Sprintf("%s (serial %s, issuer %s)", s.Subject, hexSerial(s.Serial), s.Issuer)
}

// Names reports whether the identifier names the certificate with this issuer (DN text) and serial number. Leading zero
// bytes of a serial do not count.
func (s SignerID) Names(issuer string, serial []byte) bool {
	return bytes.Equal(trimZero(s.Serial), trimZero(serial)) && EqualDN(s.Issuer, issuer)
}

// NamesCertificate is Names for a certificate at hand.
func (s SignerID) NamesCertificate(c *x509.Certificate) bool {
	issuer, err := DN(c.RawIssuer)
	return err == nil && s.Names(issuer, c.SerialNumber.Bytes())
}

func trimZero(b []byte) []byte { return bytes.TrimLeft(b, "\x00") }

func hexSerial(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

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
	Time            time.Time   // UTC, whole seconds; zero: absent (firmware)
	Encryption      *Encryption // nil: the payload is in the clear
	Elements        []Element   // all of them in file order, padding and unknown ones included
}

// Encryption is what the header of an .enc.sgn file says about its payload.
type Encryption struct {
	IV            []byte // 16 bytes
	Padding       int    // bytes to drop behind the plaintext, 1 to 16
	KeyBits       int    // of the device's RSA key
	Key           []byte // the AES-128 key, encrypted for the device
	HashAlgorithm uint8  // 1: SHA-1
	Hash          []byte // of the plaintext
}

// Signed is a header and what it signs: the payload behind it, which is records (a list), a configuration, or ciphertext.
type Signed struct {
	Header  Header
	Payload []byte
	raw     []byte
}

// ParseSigned reads the header of any of the family: CTL, ITL, .sgn, .enc.sgn, firmware. The result refers to b, which must
// not change. Errors are FormatErrors. An element that is known must not occur twice, whoever reads the first and whoever
// reads the last would see different files.
func ParseSigned(b []byte) (*Signed, error) {
	length, err := headerLength(b)
	if err != nil {
		return nil, err
	}
	elements, err := headerElements(b[:length], 0, 0)
	if err != nil {
		return nil, err
	}
	h := Header{Elements: elements, Length: length}
	var f fields
	if err := h.readIn(0, elements, &f); err != nil {
		return nil, err
	}
	for _, t := range [...]uint8{TagVersion, TagHeaderLength, TagSignerName, TagSerialNumber, TagCAName, TagDigestAlgorithm,
		TagSignatureAlgorithm, TagSignatureModulus, TagSignature, TagFilename} {
		if !f.saw(t) {
			return nil, malformed(length, "the header ends without an element with tag %d", t)
		}
	}
	if err := h.checkEncryption(&f); err != nil {
		return nil, err
	}
	return &Signed{Header: h, Payload: b[length:len(b):len(b)], raw: b[:len(b):len(b)]}, nil
}

// headerLength finds HEADER LENGTH, which in every file seen is the second element.
func headerLength(b []byte) (int, error) {
	rest, offset := b, 0
	for range 2 {
		e, r, err := next(rest, offset)
		if err != nil {
			return 0, err
		}
		if offset == 0 && (e.Tag != TagVersion || len(e.Value) != 2) {
			return 0, malformed(0, "the file starts with tag %d and length %d, expected VERSION (tag 1, length 2)", e.Tag, len(e.Value))
		}
		offset, rest = len(b)-len(r), r
		if e.Tag != TagHeaderLength || len(e.Value) != 2 {
			continue
		}
		n := int(binary.BigEndian.Uint16(e.Value))
		if n < offset || n > len(b) {
			return 0, malformed(e.Offset, "HEADER LENGTH is %d, expected %d (what is read already) to %d (the file)", n, offset, len(b))
		}
		return n, nil
	}
	return 0, malformed(5, "no HEADER LENGTH (tag 2) behind VERSION")
}

// fields remembers which known elements were there, a bit for a tag; known tags are below 32.
type fields uint32

func (f fields) saw(tag uint8) bool { return f>>tag&1 == 1 }

func (f *fields) once(e Element) error {
	if f.saw(e.Tag) {
		return malformed(e.Offset, "a second element with tag %d", e.Tag)
	}
	*f |= 1 << e.Tag
	return nil
}

// anyLength in sizes: the element has no fixed length. A tag that is not in sizes, 0, is not known.
const anyLength = -1

// sizes are the lengths of elements that have but one.
var sizes = [...]int{
	TagVersion: 2, TagHeaderLength: 2, TagSignerVersion: 2, TagSignerName: anyLength, TagSerialNumber: anyLength, TagCAName: anyLength, TagDigestAlgorithm: 1,
	TagSignatureAlgorithm: 1, TagSignatureModulus: 1, TagSignature: anyLength, TagFilename: anyLength, TagTimestamp: 4, TagIVAlgorithm: 1, TagIV: 16,
	TagPaddingLength: 2, TagKeyForm: 1, TagKeySize: 2, TagKeyAlgorithm: 1, TagKey: anyLength, TagHashAlgorithm: 1, TagHash: 20,
	TagSignerID: anyLength, TagSignatureInfo: anyLength, TagSignatureAlgorithmInfo: anyLength, TagEncryptionInfo: anyLength, TagIVInfo: anyLength, TagKeyInfo: anyLength,
}

// homes are the containers of elements that live in one. Elsewhere such a tag is somebody else's.
var homes = [...]uint8{
	TagSignerName: TagSignerID, TagSerialNumber: TagSignerID, TagCAName: TagSignerID,
	TagDigestAlgorithm: TagSignatureInfo, TagSignatureAlgorithmInfo: TagSignatureInfo,
	TagSignatureAlgorithm: TagSignatureAlgorithmInfo, TagSignatureModulus: TagSignatureAlgorithmInfo,
	TagIVInfo: TagEncryptionInfo, TagKeyInfo: TagEncryptionInfo,
	TagIVAlgorithm: TagIVInfo, TagIV: TagIVInfo, TagPaddingLength: TagIVInfo,
	TagKeyForm: TagKeyInfo, TagKeySize: TagKeyInfo, TagKeyAlgorithm: TagKeyInfo, TagKey: TagKeyInfo,
}

// known reports whether the element is ours to read where it stands.
func known(e Element, container uint8) bool {
	if e.Bare || int(e.Tag) >= len(sizes) || sizes[e.Tag] == 0 {
		return false
	}
	home := uint8(0)
	if int(e.Tag) < len(homes) {
		home = homes[e.Tag]
	}
	return home == container
}

func (h *Header) readIn(container uint8, all []Element, f *fields) error {
	for _, e := range all {
		if !known(e, container) {
			continue
		}
		if err := f.once(e); err != nil {
			return err
		}
		if size := sizes[e.Tag]; size != anyLength && len(e.Value) != size {
			return malformed(e.Offset, "element with tag %d has %d bytes, expected %d", e.Tag, len(e.Value), size)
		}
		if err := h.set(e); err != nil {
			return err
		}
		if err := h.readIn(e.Tag, e.Children, f); err != nil {
			return err
		}
	}
	return nil
}

func (h *Header) set(e Element) (err error) {
	switch e.Tag {
	case TagVersion:
		h.Version = Version{e.Value[0], e.Value[1]}
	case TagSignerVersion:
		h.SignerVersion = Version{e.Value[0], e.Value[1]}
	case TagSignerName:
		h.Signer.Subject, err = text(e)
	case TagSerialNumber:
		h.Signer.Serial = e.Value
	case TagCAName:
		h.Signer.Issuer, err = text(e)
	case TagDigestAlgorithm:
		h.DigestCode = e.Value[0]
	case TagSignatureAlgorithm:
		h.AlgorithmCode = e.Value[0]
	case TagSignatureModulus:
		h.ModulusCode = e.Value[0]
	case TagSignature:
		h.Signature, h.SignatureOffset = e.Value, e.Offset
	case TagFilename:
		h.Filename, err = text(e)
	case TagTimestamp:
		h.Time = time.Unix(int64(binary.BigEndian.Uint32(e.Value)), 0).UTC()
	default:
		h.setEncryption(e)
	}
	return err
}

func (h *Header) setEncryption(e Element) {
	c := h.Encryption
	if c == nil {
		c = &Encryption{}
	}
	switch e.Tag {
	case TagEncryptionInfo: // its children say the rest
	case TagIV:
		c.IV = e.Value
	case TagPaddingLength:
		c.Padding = int(binary.BigEndian.Uint16(e.Value))
	case TagKeySize:
		c.KeyBits = int(binary.BigEndian.Uint16(e.Value))
	case TagKey:
		c.Key = e.Value
	case TagHashAlgorithm:
		c.HashAlgorithm = e.Value[0]
	case TagHash:
		c.Hash = e.Value
	default:
		return
	}
	h.Encryption = c
}

// checkEncryption: a header has all of the encryption or none of it.
func (h *Header) checkEncryption(f *fields) error {
	if h.Encryption == nil {
		return nil
	}
	for _, t := range [...]uint8{TagEncryptionInfo, TagIV, TagPaddingLength, TagKeySize, TagKey, TagHashAlgorithm, TagHash} {
		if !f.saw(t) {
			return malformed(h.Length, "the header says that the payload is encrypted, and ends without an element with tag %d", t)
		}
	}
	return nil
}

// text reads a string: NULs end it (one, several in old files, or none where a writer forgot), and none may hide inside,
// because then a reader in C and this one would see different names.
func text(e Element) (string, error) {
	s := bytes.TrimRight(e.Value, "\x00")
	if i := bytes.IndexByte(s, 0); i >= 0 {
		return "", malformed(e.Offset+elementHead+i, "a NUL inside the string of the element with tag %d", e.Tag)
	}
	return string(s), nil
}

// Append writes the file again from its elements: the bytes that were read.
func (s *Signed) Append(b []byte) []byte {
	return append(appendElements(b, s.Header.Elements), s.Payload...)
}

// Bytes are the bytes that were read. They must not change.
func (s *Signed) Bytes() []byte { return s.raw }

// A SignatureError: the file was changed, or somebody else's key made its signature.
type SignatureError struct {
	Signer SignerID
	What   string // what was tried and what to do
}

func (e *SignatureError) Error() string {
	return fmt.Sprintf("signature of %s: %s", e.Signer, e.What)
}

// VerifyKey checks the signature with a key and returns the hash function that fitted. It says nothing about whose key it is.
func (s *Signed) VerifyKey(key *rsa.PublicKey, r Reading) (crypto.Hash, error) {
	h := &s.Header
	if h.AlgorithmCode != 0 {
		return 0, s.fails("signature algorithm %d is not known, expected 0 (RSA)", h.AlgorithmCode)
	}
	if int(h.ModulusCode) >= len(modulusCodes) || modulusCodes[h.ModulusCode] != key.N.BitLen() {
		return 0, s.fails("modulus code %d does not fit a key of %d bits", h.ModulusCode, key.N.BitLen())
	}
	hashes := r.Hashes(h.DigestCode)
	if len(hashes) == 0 {
		return 0, s.fails("digest code %d is not known to this reader", h.DigestCode)
	}
	var err error
	for _, hash := range hashes {
		if err = rsa.VerifyPKCS1v15(key, hash, s.digest(hash), h.Signature); err == nil {
			return hash, nil
		}
	}
	return 0, s.fails("%v: the file is not what this signer signed; get it again from its server", err)
}

func (s *Signed) fails(format string, args ...any) error {
	return &SignatureError{Signer: s.Header.Signer, What: fmt.Sprintf(format, args...)}
}

// digest hashes the signed data: the file with the SIGNATURE element cut out, head and value, though HEADER LENGTH counts it.
func (s *Signed) digest(hash crypto.Hash) []byte {
	w := hash.New()
	w.Write(s.raw[:s.Header.SignatureOffset])
	w.Write(s.raw[s.Header.SignatureOffset+elementHead+len(s.Header.Signature):])
	return w.Sum(nil)
}

// VerifyCertificate checks that SIGNER ID names the certificate and that its key made the signature.
func (s *Signed) VerifyCertificate(c *x509.Certificate, r Reading) (crypto.Hash, error) {
	if !s.Header.Signer.NamesCertificate(c) {
		return 0, s.fails("the certificate at hand is another one: %s, serial %s", c.Subject, hexSerial(c.SerialNumber.Bytes()))
	}
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return 0, s.fails("its certificate has a %s key, expected RSA", c.PublicKeyAlgorithm)
	}
	return s.VerifyKey(key, r)
}

// verifyRecord checks the signature with the key of a record.
func (s *Signed) verifyRecord(rec *Record, r Reading) error {
	k, err := rec.Key()
	if err != nil {
		return s.fails("no key in its record: %v", err)
	}
	key, ok := k.(*rsa.PublicKey)
	if !ok {
		return s.fails("its record holds a %T, expected an RSA key", k)
	}
	_, err = s.VerifyKey(key, r)
	return err
}

// VerifyBy checks the signature with what any of the lists holds for the signer in one of the roles, and returns the record
// that did it: a phone verifies a configuration with (RoleCCMTFTP, RoleTFTP) of its CTL and ITL. Nil lists are ignored. The
// error is an UntrustedSignerError when no list holds the signer in such a role, else a SignatureError.
func (s *Signed) VerifyBy(r Reading, roles []Role, lists ...*List) (*Record, error) {
	var last error
	for _, l := range lists {
		if l == nil {
			continue
		}
		for _, rec := range l.ByRole(roles...) {
			if !s.Header.Signer.Names(rec.Issuer, rec.Serial) {
				continue
			}
			if last = s.verifyRecord(rec, r); last == nil {
				return rec, nil
			}
		}
	}
	if last == nil {
		last = &UntrustedSignerError{Signer: s.Header.Signer, Rule: "expected one of the roles " + roleList(roles) + " in a list held"}
	}
	return nil, last
}

func roleList(roles []Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = r.String()
	}
	return strings.Join(names, ", ")
}

// A Signer is who signs: an RSA certificate of 512, 1024, 2048 or 4096 bits (3072 has no code) and its key.
type Signer struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}
