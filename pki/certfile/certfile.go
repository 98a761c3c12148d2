package certfile

import (
	"crypto/x509"
	"errors"

	"github.com/locktone/locktone/pki"
)

// Format is what is in a file. The zero value is something we cannot name.
type Format uint8

// The formats that Sniff tells apart. Read reads the first four.
const (
	Unknown        Format = iota
	PEM                   // text with CERTIFICATE or PKCS7 blocks, and perhaps a key
	DER                   // one certificate or several, one after the other
	PKCS12                // .p12, .pfx
	PKCS7                 // .p7b, .p7c: a bundle of certificates in DER
	Request               // a PKCS #10 request
	RevocationList        // a CRL
	PrivateKey            // a key without a certificate
	PublicKey             // a public key without a certificate
	PEMOther              // text in PEM form of something else
	JavaKeyStore          // JKS or JCEKS, which only Java reads
	TrustList             // a CTL or ITL file
	WebPage               // HTML: the page that links to the file was saved
	Empty
	formats
)

// Contents are the certificates of a file, in its order except that a key's certificate comes first, and its key.
type Contents struct {
	Format       Format
	Certificates []*x509.Certificate
	Key          pki.PrivateKey // zero: the file has none
}

// ErrPassword means that a file is encrypted, and no password or a wrong one was given.
var ErrPassword = errors.New("certfile: the file is encrypted")

// FormatError says that a file is not what was expected.
type FormatError struct {
	Found    Format
	Expected string // what would have been right
	Detail   string // what is known beyond that; may be empty
	Fix      string // imperative, no full stop; may be empty
}

// MaxFile bounds what is read, in bytes.
const MaxFile = 1 << 20

// File is one file to be written.
type File struct {
	Name   string `json:"name"` // without a folder
	Data   []byte `json:"data"`
	Secret bool   `json:"secret,omitempty"` // it has a private key: mode 0600
}
