package trustlist

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Form says how much of an entry's certificate is written.
type Form uint8

// Forms.
const (
	FullForm    Form = iota // tags 1 to 10
	ReducedForm             // tags 1, 2, 4 and 10: the servers of a cluster that is not secure
	HashForm                // tags 1 to 8, 10, and 11 and 12, the hash, in place of 9: keeps an ITL short
)

// An Entry is a record to be written.
type Entry struct {
	Role            Role
	Name            string            // DNS NAME: the server's host name or dotted address; may be empty
	Address         netip.Addr        // of the server; not valid: 0.0.0.0 is written, since readers expect the element
	Certificate     *x509.Certificate // not needed for ReducedForm
	Form            Form
	Subject, Issuer string // DN texts to write in place of the certificate's; nearly always empty
}

// A Draft is a list to be signed. The zero values of Digest and SignerVersion are good.
type Draft struct {
	Kind          Kind // CTL or ITL
	Entries       []Entry
	Time          time.Time // of the list; whole seconds
	Digest        Digest
	SignerVersion Version // zero: not written
	Rollback      bool    // no entries are needed: the empty ITL of "prepare cluster for rollback"
}

// A Warning is something about a list that is legal and that some reader stumbles over.
type Warning struct {
	Entry int    // index of the entry, -1 for the whole list
	What  string // a sentence
}

// A DuplicateNameError: two entries of one role have different certificates of one common name. Readers that keep the certificates
// of a list by role and name (JTAPI) forget the first. A renewed certificate needs a common name of its own.
type DuplicateNameError struct {
	Role          Role
	CommonName    string
	First, Second int      // indices of the entries
	Entries       [2]Entry // the two
}

func (e *DuplicateNameError) Error() string {
	a, b := e.Entries[0], e.Entries[1]
	return fmt.Sprintf("two %s records have the common name %q: record %d (%s, serial %X) and record %d (%s, serial %X); "+
		"readers keep only the last of them: give the newer certificate another name, or list one",
		e.Role, e.CommonName, e.First+1, a.Name, a.Certificate.SerialNumber, e.Second+1, b.Name, b.Certificate.SerialNumber)
}

// A SignerNotListedError: the signer is not among the SAST entries of its own list; JTAPI clients refuse such a list.
type SignerNotListedError struct{ Subject string }

func (e *SignerNotListedError) Error() string {
	return fmt.Sprintf("the signer %s is not among the SAST records with a certificate; JTAPI and TSP clients would refuse the list: add it", e.Subject)
}

// A KeySizeError: the header has no code for the size of the signer's key.
type KeySizeError struct{ Bits int }

func (e *KeySizeError) Error() string {
	return fmt.Sprintf("a signer with an RSA key of %d bits cannot be written into a header, which knows 512, 1024, 2048 and 4096: sign with a key of 2048 bits", e.Bits)
}

// Sign writes the list in the order the reference product writes, with leaf-first DNs separated by semicolons. It refuses
// a list that its readers would misread: DuplicateNameError, SignerNotListedError, KeySizeError, a signer whose key is
// not the certificate's. What it wrote it has verified.
func (d Draft) Sign(s Signer) ([]byte, []Warning, error) {
	if d.Kind == UnknownKind {
		return nil, nil, errors.New("a list to sign has no kind: say CTL or ITL")
	}
	if err := d.check(s); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", d.Kind, err)
	}
	var records []byte
	for i, e := range d.Entries {
		b, err := e.append(records)
		if err != nil {
			return nil, nil, fmt.Errorf("%s record %d (%s %s): %w", d.Kind, i+1, e.Role, e.Name, err)
		}
		records = b
	}
	h := head{version: VersionList, signerVersion: d.SignerVersion, filename: d.Kind.Filename(), time: d.Time, digest: d.Digest}
	for _, e := range d.Entries {
		if e.Role == RoleSAST && e.Certificate != nil && e.Certificate.Equal(s.Certificate) {
			h.signer = SignerID{Subject: e.Subject, Issuer: e.Issuer} // as in its record, so that readers who compare text find it
		}
	}
	b, err := h.sign(records, s)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", d.Kind, err)
	}
	if len(b) > MaxListSize || len(d.Entries) > MaxRecords {
		return nil, nil, fmt.Errorf("%s: %d records in %d bytes, no reader takes more than %d in %d", d.Kind, len(d.Entries), len(b), MaxRecords, MaxListSize)
	}
	return b, d.warnings(len(b)), nil
}

func (d Draft) check(s Signer) error {
	if s.Certificate == nil || s.Key == nil {
		return errors.New("no signer: a certificate and its key are needed")
	}
	type role struct {
		role Role
		name string
	}
	names := map[role]int{}
	listed := d.Rollback && len(d.Entries) == 0
	for i, e := range d.Entries {
		if e.Form == ReducedForm {
			continue
		}
		if e.Certificate == nil {
			return fmt.Errorf("record %d (%s %s) has no certificate; only the reduced form needs none", i+1, e.Role, e.Name)
		}
		// Aliases of key stores are in lower case.
		key := role{e.Role, strings.ToLower(e.Certificate.Subject.CommonName)}
		if first, ok := names[key]; ok && !d.Entries[first].Certificate.Equal(e.Certificate) { // the same one at another host is no loss
			return &DuplicateNameError{Role: e.Role, CommonName: e.Certificate.Subject.CommonName, First: first, Second: i, Entries: [2]Entry{d.Entries[first], e}}
		}
		names[key] = i
		listed = listed || e.Role == RoleSAST && e.Form == FullForm && e.Certificate.Equal(s.Certificate)
	}
	if !listed {
		return &SignerNotListedError{Subject: s.Certificate.Subject.String()}
	}
	return nil
}

func (d Draft) warnings(size int) []Warning {
	var all []Warning
	warn := func(i int, format string, args ...any) { all = append(all, Warning{i, fmt.Sprintf(format, args...)}) }
	if size > PhoneListSize {
		warn(-1, "the %s has %d bytes; phones refuse lists above %d: list fewer certificates, or their hashes", d.Kind, size, PhoneListSize)
	}
	if d.Digest == SHA512 || d.Digest == SHA384 || d.Digest == SHA512Code4 {
		warn(-1, "digest %s is not read alike by everybody: code 3 is SHA-512 to phones and SHA-384 to JTAPI clients, old phones know neither", d.Digest)
	}
	for i, e := range d.Entries {
		if e.Role != RoleSAST && e.Name == "" && !e.Address.IsValid() {
			warn(i, "the %s record has neither a name nor an address; voicemail servers and applications find servers by them", e.Role)
		}
		if e.Form == ReducedForm {
			continue
		}
		switch k := e.Certificate.PublicKey.(type) {
		case *rsa.PublicKey:
			if k.N.BitLen() > 2048 {
				warn(i, "the %s certificate has an RSA key of %d bits; many phones know at most 2048", e.Role, k.N.BitLen())
			}
		case *ecdsa.PublicKey:
			if e.Role == RoleCCM || e.Role == RoleCAPF || e.Role == RoleSAST {
				warn(i, "the %s certificate has an EC key; JTAPI clients and old phones need RSA", e.Role)
			}
		}
	}
	return all
}

// appendElement writes one element.
func appendElement(b []byte, tag uint8, value []byte) ([]byte, error) {
	if len(value) > math.MaxUint16 {
		return nil, fmt.Errorf("element with tag %d would have %d bytes, at most 65535 can be written", tag, len(value))
	}
	b = append(b, tag)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...), nil
}

// A writer strings elements together and remembers the first error.
type writer struct {
	b   []byte
	err error
}

func (w *writer) put(tag uint8, value ...byte) {
	if w.err == nil {
		if b, err := appendElement(w.b, tag, value); err != nil {
			w.err = err
		} else {
			w.b = b
		}
	}
}

func (w *writer) u16(tag uint8, n int) { w.put(tag, byte(n>>8), byte(n)) }

func (w *writer) text(tag uint8, s string) {
	if i := strings.IndexByte(s, 0); i >= 0 && w.err == nil {
		w.err = fmt.Errorf("a NUL in %q, byte %d: readers in C would see another name", s, i)
	}
	w.put(tag, append([]byte(s), 0)...)
}

// append writes the record.
func (e Entry) append(b []byte) ([]byte, error) {
	var w writer
	w.u16(TagRecordLength, 0)
	w.text(TagDNSName, e.Name)
	if e.Form == ReducedForm {
		w.u16(TagFunction, int(e.Role))
	} else {
		e.certificate(&w)
	}
	addr := e.Address.Unmap()
	if !addr.IsValid() {
		addr = netip.IPv4Unspecified()
	}
	w.put(TagIPAddress, addr.AsSlice()...)
	if e.Form == HashForm {
		sum := sha1.Sum(e.Certificate.Raw)
		w.put(TagCertificateHash, sum[:]...)
		w.put(TagCertificateHashAlgo, 1)
	}
	if w.err == nil && len(w.b) > math.MaxUint16 {
		w.err = fmt.Errorf("the record would have %d bytes, RECORD LENGTH can say 65535", len(w.b))
	}
	if w.err != nil {
		return nil, w.err
	}
	binary.BigEndian.PutUint16(w.b[elementHead:], uint16(len(w.b)))
	return append(b, w.b...), nil
}

// certificate writes tags 3 to 9.
func (e Entry) certificate(w *writer) {
	c := e.Certificate
	subject, err1 := orDN(e.Subject, c.RawSubject)
	issuer, err2 := orDN(e.Issuer, c.RawIssuer)
	key, err3 := marshalKey(c.PublicKey)
	if err := errors.Join(err1, err2, err3); err != nil {
		w.err = err
		return
	}
	w.text(TagSubjectName, subject)
	w.u16(TagFunction, int(e.Role))
	w.text(TagIssuerName, issuer)
	w.put(TagRecordSerial, serial(c)...)
	w.put(TagPublicKey, key...)
	w.put(TagRecordSignature, c.Signature...)
	if e.Form == FullForm {
		w.put(TagCertificate, c.Raw...)
	}
}

func orDN(text string, raw []byte) (string, error) {
	if text != "" {
		return text, nil
	}
	return DN(raw)
}

// serial is the number without a sign byte, one byte at least.
func serial(c *x509.Certificate) []byte {
	if b := c.SerialNumber.Bytes(); len(b) > 0 {
		return b
	}
	return []byte{0}
}

func marshalKey(key crypto.PublicKey) ([]byte, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return x509.MarshalPKCS1PublicKey(k), nil
	case *ecdsa.PublicKey:
		return k.Bytes()
	}
	return nil, fmt.Errorf("a %T: a record holds RSA or EC keys", key)
}

// head is what a header is written from.
type head struct {
	version       Version
	signerVersion Version
	filename      string
	time          time.Time
	digest        Digest
	encryption    []byte   // the elements 16, 26 and 27, ready
	signer        SignerID // texts in place of the certificate's; nearly always empty
}

// modulusCode is the code of a key size.
func modulusCode(key *rsa.PublicKey) (uint8, error) {
	i := slices.Index(modulusCodes, key.N.BitLen())
	if i < 0 {
		return 0, &KeySizeError{Bits: key.N.BitLen()}
	}
	return uint8(i), nil
}

// sign writes header and payload.
func (h head) sign(payload []byte, s Signer) ([]byte, error) {
	key, ok := s.Certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the signer %s has a %s key; only RSA keys sign trust lists", s.Certificate.Subject, s.Certificate.PublicKeyAlgorithm)
	}
	if !key.Equal(s.Key.Public()) {
		return nil, fmt.Errorf("the key of the signer %s is not its certificate's", s.Certificate.Subject)
	}
	header, at, err := h.append(s.Certificate, key)
	if err != nil {
		return nil, err
	}
	digest := h.digest.Hash().New()
	digest.Write(header[:at])
	digest.Write(header[at+elementHead+key.Size():])
	digest.Write(payload)
	sig, err := s.Key.Sign(rand.Reader, digest.Sum(nil), h.digest.Hash())
	if err != nil {
		return nil, fmt.Errorf("signing with %s: %w", s.Certificate.Subject, err)
	}
	if err := rsa.VerifyPKCS1v15(key, h.digest.Hash(), digest.Sum(nil), sig); err != nil {
		return nil, fmt.Errorf("the signature that the key of %s made does not verify: %w", s.Certificate.Subject, err)
	}
	copy(header[at+elementHead:], sig)
	return append(header, payload...), nil
}

// append writes the header with room for the signature, and says where that is.
func (h head) append(c *x509.Certificate, key *rsa.PublicKey) ([]byte, int, error) {
	modulus, err := modulusCode(key)
	if err != nil {
		return nil, 0, err
	}
	id, err := h.signerID(c)
	if err != nil {
		return nil, 0, err
	}
	sec := h.time.Unix()
	if sec < 0 || sec > math.MaxUint32 {
		return nil, 0, fmt.Errorf("time %s cannot be written: a timestamp has 32 bits", h.time)
	}
	var w writer
	w.put(TagVersion, h.version.Major, h.version.Minor)
	w.u16(TagHeaderLength, 0)
	lengthAt := len(w.b) - 2
	if h.signerVersion != (Version{}) {
		w.put(TagSignerVersion, h.signerVersion.Major, h.signerVersion.Minor)
	}
	w.put(TagSignerID, id...)
	w.put(TagSignatureInfo, TagDigestAlgorithm, 0, 1, h.digest.Code(),
		TagSignatureAlgorithmInfo, 0, 8, TagSignatureAlgorithm, 0, 1, 0, TagSignatureModulus, 0, 1, modulus)
	at := len(w.b)
	w.put(TagSignature, make([]byte, key.Size())...)
	w.text(TagFilename, h.filename)
	w.put(TagTimestamp, binary.BigEndian.AppendUint32(nil, uint32(sec))...)
	w.b = append(w.b, h.encryption...)
	if n := len(w.b) % 4; n != 0 {
		w.b = append(w.b, bytes.Repeat([]byte{TagPadding}, 4-n)...)
	}
	if w.err == nil && len(w.b) > math.MaxUint16 {
		w.err = fmt.Errorf("the header would have %d bytes, HEADER LENGTH can say 65535", len(w.b))
	}
	if w.err != nil {
		return nil, 0, w.err
	}
	binary.BigEndian.PutUint16(w.b[lengthAt:], uint16(len(w.b)))
	return w.b, at, nil
}

func (h head) signerID(c *x509.Certificate) ([]byte, error) {
	subject, err := orDN(h.signer.Subject, c.RawSubject)
	if err != nil {
		return nil, err
	}
	issuer, err := orDN(h.signer.Issuer, c.RawIssuer)
	if err != nil {
		return nil, err
	}
	var w writer
	w.text(TagSignerName, subject)
	w.put(TagSerialNumber, serial(c)...)
	w.text(TagCAName, issuer)
	return w.b, w.err
}
