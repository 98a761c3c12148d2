package trustlist

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Bounds of Parse. The largest list that phones take has 64 KiB.
const (
	MaxListSize = 1 << 20
	MaxRecords  = 2048
)

// PhoneListSize is the size above which phones refuse an ITL, or crash.
const PhoneListSize = 64 << 10

// A Kind is a file class.
type Kind uint8

// Kinds.
const (
	UnknownKind Kind = iota
	CTL
	ITL
)

// String is "CTL" or "ITL", "trust list" for the unknown kind.
func (k Kind) String() string {
	switch k {
	case CTL:
		return "CTL"
	case ITL:
		return "ITL"
	}
	return "trust list"
}

// Filename is what the FILENAME element of every list of the kind holds, also of the files of one device; it is also the name
// under which the file for everybody is served.
func (k Kind) Filename() string { return k.String() + "File.tlv" }

// DeviceFilename is the name a device asks for: CTLSEP001122334455.tlv.
func (k Kind) DeviceFilename(device string) string { return k.String() + device + ".tlv" }

// CAPFFilenames are the names JTAPI and TSP clients ask for when CAPF is at addr: CTLCAPF, the IPv4 address in upper-case
// hex, .tlv; first with all eight digits, then, where it differs, without leading zeros. None for IPv6.
func CAPFFilenames(addr netip.Addr) []string {
	addr = addr.Unmap()
	if !addr.Is4() {
		return nil
	}
	v4 := addr.As4()
	n := binary.BigEndian.Uint32(v4[:])
	names := []string{fmt.Sprintf("CTLCAPF%08X.tlv", n)}
	if short := fmt.Sprintf("CTLCAPF%X.tlv", n); short != names[0] {
		names = append(names, short)
	}
	return names
}

// A Record is one entry of a list as it was read. It is a view: the bytes are in Elements, and those are what Append
// writes. To change a list, turn its records into entries (Record.Entry), and build a new one (Draft.Sign).
type Record struct {
	Offset        int        // in the file
	Length        int        // bytes, the RECORD LENGTH element included
	Name          string     // DNS NAME; empty when absent or empty
	Subject       string     // DN text as written
	Role          Role       // FUNCTION
	Issuer        string     // DN text as written
	Serial        []byte     // as written
	PublicKey     []byte     // RSAPublicKey DER or 04 X Y; nil when absent
	Signature     []byte     // the certificate's own; nil when absent
	Certificate   []byte     // DER, not parsed yet; nil when absent
	Address       netip.Addr // not valid when absent or of a length nobody knows
	Hash          []byte     // CERTIFICATE HASH; nil when absent
	HashAlgorithm uint8      // 1: SHA-1
	Elements      []Element  // all of them in file order, unknown ones included, RECORD LENGTH first
}

// X509 parses the certificate; an error when there is none (a reduced or a hash record).
func (r *Record) X509() (*x509.Certificate, error) {
	if r.Certificate == nil {
		return nil, fmt.Errorf("the %s record at offset %d holds no certificate", r.Role, r.Offset)
	}
	c, err := x509.ParseCertificate(r.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate of the %s record at offset %d: %w", r.Role, r.Offset, err)
	}
	return c, nil
}

// Key is the public key: of the certificate when there is one, else of the PUBLIC KEY element.
func (r *Record) Key() (crypto.PublicKey, error) {
	if r.Certificate != nil {
		c, err := r.X509()
		if err != nil {
			return nil, err
		}
		if c.PublicKey == nil {
			return nil, fmt.Errorf("the certificate of the %s record at offset %d has a key of an unknown algorithm", r.Role, r.Offset)
		}
		return c.PublicKey, nil
	}
	if r.PublicKey == nil {
		return nil, fmt.Errorf("the %s record at offset %d holds neither a certificate nor a key", r.Role, r.Offset)
	}
	return parseKey(r.PublicKey)
}

// parseKey reads a PUBLIC KEY element. An EC point names its curve by its length.
func parseKey(b []byte) (crypto.PublicKey, error) {
	if len(b) == 0 || b[0] != 4 {
		return x509.ParsePKCS1PublicKey(b)
	}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		if len(b) == 1+2*((curve.Params().BitSize+7)/8) {
			return ecdsa.ParseUncompressedPublicKey(curve, b)
		}
	}
	return nil, fmt.Errorf("EC point of %d bytes: expected 65 (P-256), 97 (P-384) or 133 (P-521)", len(b))
}

// Fingerprint is the SHA-256 of the certificate; false when there is none.
func (r *Record) Fingerprint() ([32]byte, bool) {
	if r.Certificate == nil {
		return [32]byte{}, false
	}
	return sha256.Sum256(r.Certificate), true
}

// CommonName is the CN of the certificate's subject, or of the SUBJECT NAME element when there is no certificate that parses.
func (r *Record) CommonName() string {
	if c, err := r.X509(); err == nil {
		return c.Subject.CommonName
	}
	return CommonName(r.Subject)
}

// Entry is the record in the form a new list is built from. The texts of its names are kept as they were written.
func (r *Record) Entry() (Entry, error) {
	e := Entry{Role: r.Role, Name: r.Name, Address: r.Address, Subject: r.Subject, Issuer: r.Issuer}
	if r.Certificate == nil {
		if r.Subject != "" || r.PublicKey != nil || r.Hash != nil {
			return Entry{}, fmt.Errorf("the %s record at offset %d holds no certificate; take the entry from where the certificate is", r.Role, r.Offset)
		}
		e.Form = ReducedForm
		return e, nil
	}
	c, err := r.X509()
	e.Certificate = c
	return e, err
}

// A List is a CTL or ITL file as it was read.
type List struct {
	Signed
	Kind    Kind
	Records []Record
}

// Parse reads a CTL or ITL file of at most MaxListSize bytes and MaxRecords records. Errors are FormatErrors. It never fails
// on a signature: see Verify and the Accept functions. The result refers to b, which must not change.
func Parse(b []byte) (*List, error) {
	if len(b) > MaxListSize {
		return nil, malformed(MaxListSize, "the file has %d bytes, a trust list has at most %d", len(b), MaxListSize)
	}
	s, err := ParseSigned(b)
	if err != nil {
		return nil, err
	}
	l := &List{Signed: *s, Kind: kindOf(s.Header.Filename)}
	if s.Header.Encryption != nil {
		return nil, malformed(0, "the file is encrypted: it is no trust list")
	}
	for offset := s.Header.Length; offset < len(b); {
		if len(l.Records) == MaxRecords {
			return nil, malformed(offset, "more than %d records", MaxRecords)
		}
		r, err := parseRecord(b[offset:], offset)
		if err != nil {
			return nil, err
		}
		l.Records = append(l.Records, r)
		offset += r.Length
	}
	return l, nil
}

func kindOf(filename string) Kind {
	for _, k := range []Kind{CTL, ITL} {
		if len(filename) >= 3 && strings.EqualFold(filename[:3], k.String()) {
			return k
		}
	}
	return UnknownKind
}

// parseRecord reads the record at the start of b.
func parseRecord(b []byte, offset int) (Record, error) {
	head, _, err := next(b, offset)
	if err != nil {
		return Record{}, err
	}
	if head.Tag != TagRecordLength || len(head.Value) != 2 {
		return Record{}, malformed(offset, "tag %d with %d bytes, expected a record, which starts with RECORD LENGTH (tag 1, length 2)", head.Tag, len(head.Value))
	}
	n := int(binary.BigEndian.Uint16(head.Value))
	if n < elementHead+2 || n > len(b) {
		return Record{}, malformed(offset, "RECORD LENGTH is %d, expected 5 to %d (the rest of the file)", n, len(b))
	}
	elements, err := plainElements(b[:n], offset)
	if err != nil {
		return Record{}, err
	}
	r := Record{Offset: offset, Length: n, Elements: elements}
	var f fields
	for _, e := range elements {
		if err := r.set(e, &f); err != nil {
			return Record{}, err
		}
	}
	if !f.saw(TagFunction) {
		return Record{}, malformed(offset, "a record without FUNCTION (tag 4)")
	}
	return r, nil
}

func (r *Record) set(e Element, f *fields) (err error) {
	if e.Tag > TagCertificateHashAlgo || e.Tag < TagRecordLength {
		return nil // not ours to judge
	}
	if err := f.once(e); err != nil {
		return err
	}
	switch e.Tag {
	case TagDNSName:
		r.Name, err = text(e)
	case TagSubjectName:
		r.Subject, err = text(e)
	case TagFunction:
		if len(e.Value) != 2 {
			return malformed(e.Offset, "FUNCTION has %d bytes, expected 2", len(e.Value))
		}
		r.Role = Role(binary.BigEndian.Uint16(e.Value))
	case TagIssuerName:
		r.Issuer, err = text(e)
	case TagRecordSerial:
		r.Serial = e.Value
	case TagPublicKey:
		r.PublicKey = e.Value
	case TagRecordSignature:
		r.Signature = e.Value
	case TagCertificate:
		r.Certificate = e.Value
	case TagIPAddress:
		r.Address, _ = netip.AddrFromSlice(e.Value) // some versions of the reference product wrote a wrong length
	case TagCertificateHash:
		r.Hash = e.Value
	case TagCertificateHashAlgo:
		if len(e.Value) == 1 {
			r.HashAlgorithm = e.Value[0]
		}
	}
	return err
}

// Append writes the file again from the elements of its header and its records: the bytes that were read.
func (l *List) Append(b []byte) []byte {
	b = appendElements(b, l.Header.Elements)
	for i := range l.Records {
		b = appendElements(b, l.Records[i].Elements)
	}
	return b
}

// Verify checks the signature with the certificate that the file itself holds for its signer, in any role, and returns
// that record. It proves that the file is whole, not that anybody should trust it: see AcceptPhone, AcceptJTAPI, AcceptPinned.
func (l *List) Verify(r Reading) (*Record, error) { return l.verifySelf(r, l.Signer()) }

var errNoSigner = errors.New("the file holds no certificate of its signer")

func (l *List) verifySelf(r Reading, candidates []*Record) (*Record, error) {
	err := l.fails("%v", errNoSigner)
	for _, rec := range candidates {
		if err = l.verifyRecord(rec, r); err == nil {
			return rec, nil
		}
	}
	return nil, err
}

// Signer finds the records (one per role) that SIGNER ID names, by issuer and serial number.
func (l *List) Signer() []*Record {
	return l.find(func(r *Record) bool { return r.Serial != nil && l.Header.Signer.Names(r.Issuer, r.Serial) })
}

// ByRole lists the records of any of the roles in file order, all records when no role is given.
func (l *List) ByRole(roles ...Role) []*Record {
	return l.find(func(r *Record) bool { return len(roles) == 0 || slices.Contains(roles, r.Role) })
}

// Server finds the records of any of the roles whose DNS NAME or IP ADDRESS is the host: as Unity Connection finds the
// call manager. Names compare without letter case and final dot.
func (l *List) Server(host string, roles ...Role) []*Record {
	host = strings.TrimSuffix(host, ".")
	addr, err := netip.ParseAddr(host)
	return l.find(func(r *Record) bool {
		if len(roles) > 0 && !slices.Contains(roles, r.Role) {
			return false
		}
		return host != "" && strings.EqualFold(strings.TrimSuffix(r.Name, "."), host) || err == nil && r.Address.Unmap() == addr.Unmap()
	})
}

func (l *List) find(ok func(*Record) bool) []*Record {
	var all []*Record
	for i := range l.Records {
		if ok(&l.Records[i]) {
			all = append(all, &l.Records[i])
		}
	}
	return all
}
