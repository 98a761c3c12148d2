package certfile

import "github.com/locktone/locktone/pki"

// Error is what was found, what was expected, and what to do.
func (e *FormatError) Error() string { panic("soon") }

// Sniff tells what a file is by its content.
func Sniff(b []byte) Format { panic("soon") }

// Read reads the certificates of a file, whatever its format. password is for PKCS #12; nil: none was given. Errors are a
// *FormatError, or wrap ErrPassword.
func Read(b []byte, password pki.Secret) (Contents, error) { panic("soon") }
