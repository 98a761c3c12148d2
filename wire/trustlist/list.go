package trustlist

import (
	"crypto"
	"crypto/x509"
	"net/netip"
)

// A Kind is a file class.
type Kind uint8

// Kinds.
const (
	UnknownKind Kind = iota
	CTL
	ITL
)

// Filename is what the FILENAME element of every list of the kind holds, also of the files of one device.
func (k Kind) Filename() string { panic("soon") }

// String is "CTL" or "ITL".
func (k Kind) String() string { panic("soon") }

// DeviceFilename is the name a device asks for: CTLSEP001122334455.tlv.
func (k Kind) DeviceFilename(device string) string { panic("soon") }

// CAPFFilenames are the names JTAPI and TSP clients ask for when CAPF is at addr: CTLCAPF, the IPv4 address in upper-case
// hex, .tlv; first with all eight digits, then, where it differs, without leading zeros. None for IPv6.
func CAPFFilenames(addr netip.Addr) []string { panic("soon") }

// A Record is one entry of a list as it was read. It is a view: the bytes are in Elements, and those are what Append
// writes. To change a list, turn its records into entries (Record.Entry), and build a new one (Draft.Sign).
type Record struct {
	Offset      int        // in the file
	Length      int        // bytes, the RECORD LENGTH element included
	Name        string     // DNS NAME; empty when absent or empty
	Subject     string     // DN text as written
	Role        Role       // FUNCTION
	Issuer      string     // DN text as written
	Serial      []byte     // as written
	PublicKey   []byte     // RSAPublicKey DER or 04 X Y; nil when absent
	Signature   []byte     // the certificate's own; nil when absent
	Certificate []byte     // DER; nil when absent
	Address     netip.Addr // invalid when absent or of a length nobody knows
	Hash        []byte     // CERTIFICATE HASH; nil when absent
	Elements    []Element  // all of them in file order, unknown ones included, RECORD LENGTH first
}

// X509 parses the certificate; an error when there is none (a reduced or a hash record).
func (r *Record) X509() (*x509.Certificate, error) { panic("soon") }

// Key is the public key: of the certificate when there is one, else of the PUBLIC KEY element (RSA only, an EC point does
// not name its curve but by its length).
func (r *Record) Key() (crypto.PublicKey, error) { panic("soon") }

// Fingerprint is the SHA-256 of the certificate; false when there is none.
func (r *Record) Fingerprint() ([32]byte, bool) { panic("soon") }

// CommonName is the CN of the certificate's subject, or of the SUBJECT NAME element when there is no certificate.
func (r *Record) CommonName() string { panic("soon") }

// Entry is the record in the form a new list is built from.
func (r *Record) Entry() (Entry, error) { panic("soon") }

// A List is a CTL or ITL file as it was read.
type List struct {
	Signed
	Kind    Kind
	Records []Record
}

// Parse reads a CTL or ITL file. It never fails on a signature: see Verify and the Accept functions. The result refers to b.
func Parse(b []byte) (*List, error) { panic("soon") }

// Verify checks the signature with the certificate that the file itself holds for its signer, in any role, and returns
// that record. It proves that the file is whole, not that anybody should trust it: see AcceptPhone, AcceptJTAPI, AcceptPinned.
func (l *List) Verify(r Reading) (*Record, error) { panic("soon") }

// Signer finds the records (one per role) that SIGNER ID names, by issuer and serial number.
func (l *List) Signer() []*Record { panic("soon") }

// ByRole lists the records of any of the roles in file order.
func (l *List) ByRole(roles ...Role) []*Record { panic("soon") }

// Server finds the records of any of the roles whose DNS NAME or IP ADDRESS is the host: as Unity Connection finds the
// call manager. Names compare without letter case and final dot.
func (l *List) Server(host string, roles ...Role) []*Record { panic("soon") }
