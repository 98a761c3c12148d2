package trustlist

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"
)

// FileOptions are what a signed file says beside its payload.
type FileOptions struct {
	Filename string    // as it will be asked for, with .sgn or .enc.sgn
	Time     time.Time // whole seconds
	Digest   Digest
}

// SignFile makes a .sgn file: a header, then the payload as it is.
func SignFile(payload []byte, o FileOptions, s Signer) ([]byte, error) {
	return signFile(payload, VersionSigned, nil, o, s)
}

func signFile(payload []byte, v Version, encryption []byte, o FileOptions, s Signer) ([]byte, error) {
	if o.Filename == "" {
		return nil, errors.New("a file to sign has no name; phones ask for it by name and compare")
	}
	if s.Certificate == nil || s.Key == nil {
		return nil, fmt.Errorf("%s: no signer: a certificate and its key are needed", o.Filename)
	}
	h := head{version: v, filename: o.Filename, time: o.Time, digest: o.Digest, encryption: encryption}
	b, err := h.sign(payload, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Filename, err)
	}
	return b, nil
}

// padByte fills the last block of an encrypted configuration: a carriage return.
const padByte = '\r'

// EncryptFile makes an .enc.sgn file for the owner of the RSA key in its LSC or MIC: AES-128-CBC under a fresh key, which
// is encrypted for the device, then signed.
func EncryptFile(plain []byte, device *rsa.PublicKey, o FileOptions, s Signer) ([]byte, error) {
	secret := make([]byte, 16+aes.BlockSize) // the key, then the IV
	rand.Read(secret)                        // never fails
	key, iv := secret[:16], secret[16:]
	//lint:ignore SA1019 the padding that phones know; there is no other in this format
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, device, key)
	if err != nil {
		return nil, fmt.Errorf("%s: the key for the device: %w", o.Filename, err)
	}
	n := aes.BlockSize - len(plain)%aes.BlockSize
	text := append(bytes.Clone(plain), bytes.Repeat([]byte{padByte}, n)...)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(text, text)

	var ivInfo, keyInfo, info, all writer
	ivInfo.put(TagIVAlgorithm, 0)
	ivInfo.put(TagIV, iv...)
	ivInfo.u16(TagPaddingLength, n)
	keyInfo.put(TagKeyForm, 0)
	keyInfo.u16(TagKeySize, device.N.BitLen())
	keyInfo.put(TagKeyAlgorithm, 1)
	keyInfo.put(TagKey, sealed...)
	info.put(TagIVInfo, ivInfo.b...)
	info.put(TagKeyInfo, keyInfo.b...)
	all.put(TagEncryptionInfo, info.b...)
	all.put(TagHashAlgorithm, 1)
	sum := sha1.Sum(plain)
	all.put(TagHash, sum[:]...)
	if err := errors.Join(ivInfo.err, keyInfo.err, info.err, all.err); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Filename, err)
	}
	return signFile(text, VersionEncrypted, all.b, o, s)
}

// Open verifies a .sgn or .enc.sgn file as a phone does, with the CCM+TFTP and TFTP records of its lists, and returns its
// payload; an encrypted payload is returned as it is: see Decrypt. A phone also compares Header.Filename with what it asked
// for, or it could be given another phone's file.
func Open(b []byte, lists ...*List) ([]byte, *Signed, error) {
	s, err := ParseSigned(b)
	if err != nil {
		return nil, nil, err
	}
	if _, err := s.VerifyBy(PhoneReading, []Role{RoleCCMTFTP, RoleTFTP}, lists...); err != nil {
		return nil, nil, err
	}
	return s.Payload, s, nil
}

var errDecrypt = errors.New("the file cannot be decrypted: it is for another key (has the device's certificate changed?), or it is damaged")

// Decrypt decrypts the payload of an .enc.sgn file with the device's RSA key. Verify first: Decrypt does not. Whatever fails
// behind the RSA operation is one and the same error, so that nobody learns which.
func (s *Signed) Decrypt(device crypto.Decrypter) ([]byte, error) {
	e := s.Header.Encryption
	if e == nil {
		return nil, errors.New("the file is not encrypted")
	}
	if len(s.Payload) == 0 || len(s.Payload)%aes.BlockSize != 0 || e.Padding < 1 || e.Padding > aes.BlockSize || e.HashAlgorithm != 1 {
		return nil, malformed(s.Header.Length, "%d encrypted bytes, %d of them padding, hash algorithm %d: expected whole blocks of 16, 1 to 16, and 1 (SHA-1)",
			len(s.Payload), e.Padding, e.HashAlgorithm)
	}
	// With a session key length, a wrong padding gives a random key instead of an error (Bleichenbacher's oracle).
	//lint:ignore SA1019 the padding of the format
	key, err := device.Decrypt(rand.Reader, e.Key, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 16})
	if err != nil {
		return nil, errDecrypt
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errDecrypt
	}
	text := make([]byte, len(s.Payload))
	cipher.NewCBCDecrypter(block, e.IV).CryptBlocks(text, s.Payload)
	n := len(text) - e.Padding
	sum := sha1.Sum(text[:n])
	pad := bytes.Repeat([]byte{padByte}, e.Padding)
	if subtle.ConstantTimeCompare(sum[:], e.Hash)&subtle.ConstantTimeCompare(text[n:], pad) != 1 {
		return nil, errDecrypt
	}
	return text[:n:n], nil
}
