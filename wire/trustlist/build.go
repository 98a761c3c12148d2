package trustlist

import (
	"crypto/x509"
	"net/netip"
	"time"
)

// A Form says how much of an entry's certificate is written.
type Form uint8

// Forms.
const (
	FullForm    Form = iota // tags 1 to 10
	ReducedForm             // tags 1, 2, 4 and 10: the servers of a cluster that is not secure
	HashForm                // tags 1 to 8, 11, 12 and 10: the hash in place of the certificate, to keep an ITL short
)

// An Entry is a record to be written.
type Entry struct {
	Role        Role
	Name        string            // DNS NAME: the server's host name or dotted address; may be empty
	Address     netip.Addr        // of the server; not valid: 0.0.0.0 is written, since readers expect the element
	Certificate *x509.Certificate // not needed for ReducedForm
	Form        Form
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
	Record int    // index of the entry, -1 for the whole list
	What   string // a sentence
}

// Sign writes the list in the order the reference product writes, with leaf-first DNs separated by semicolons. It refuses
// a list that its readers would misread: a DuplicateNameError, a SignerNotListedError, a KeySizeError, a signer whose key is
// not the certificate's.
func (d Draft) Sign(s Signer) ([]byte, []Warning, error) { panic("soon") }

// A DuplicateNameError: two entries of one role have certificates of one common name. Readers that keep the certificates
// of a list by role and name (JTAPI) forget the first.
type DuplicateNameError struct {
	Role                      Role
	CommonName                string
	First, Second             int    // indices of the entries
	FirstName, SecondName     string // their DNS NAMEs
	FirstSerial, SecondSerial string // hex
}

func (e *DuplicateNameError) Error() string { panic("soon") }

// A SignerNotListedError: the signer is not among the SAST entries of its own list; JTAPI clients refuse such a list.
type SignerNotListedError struct{ Subject string }

func (e *SignerNotListedError) Error() string { panic("soon") }

// A KeySizeError: the header has no code for the size of the signer's key.
type KeySizeError struct{ Bits int }

func (e *KeySizeError) Error() string { panic("soon") }
