package trustlist

import (
	"crypto"
	"crypto/rsa"
	"time"
)

// FileOptions are what a signed file says beside its payload.
type FileOptions struct {
	Filename string    // as it will be asked for, with .sgn or .enc.sgn
	Time     time.Time // whole seconds
	Digest   Digest
}

// SignFile makes a .sgn file: a header, then the payload as it is.
func SignFile(payload []byte, o FileOptions, s Signer) ([]byte, error) { panic("soon") }

// EncryptFile makes an .enc.sgn file for the owner of the RSA key in its LSC or MIC.
func EncryptFile(plain []byte, device *rsa.PublicKey, o FileOptions, s Signer) ([]byte, error) {
	panic("soon")
}

// Open verifies a .sgn file as a phone does, with the TFTP and CCM+TFTP records of its lists, and returns the payload;
// an encrypted payload is returned as it is: see Decrypt.
func Open(b []byte, lists ...*List) ([]byte, *Signed, error) { panic("soon") }

// Decrypt decrypts the payload of an .enc.sgn file with the device's RSA key. Verify first: Decrypt does not.
func (s *Signed) Decrypt(device crypto.Decrypter) ([]byte, error) { panic("soon") }
