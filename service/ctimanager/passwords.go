package ctimanager

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/secret"
)

// A passwordKey is the key under which clients send passwords: they encrypt a key of their own and our nonce with RSA, and the password with
// that key. It is made anew at each start and used for nothing else, so that what is decrypted here can say nothing about the key of a
// TLS certificate. Its certificate is self-signed: on 2749 it comes within TLS, on 2748 nothing proves it, which is why that port is an
// exception.
type passwordKey struct {
	key crypto.Decrypter
	der []byte
}

// passwordKeyLife is how long the certificate is valid: longer than any process runs.
const passwordKeyLife = 10 * 365 * 24 * time.Hour

func newPasswordKey(generate func(pki.Algorithm) (pki.PrivateKey, error), now time.Time) (*passwordKey, error) {
	private, err := generate(pki.RSA2048)
	if err != nil {
		return nil, err
	}
	key, ok := private.Decrypter()
	if !ok {
		return nil, errors.New("the key for passwords does not decrypt")
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CTI passwords"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(passwordKeyLife),
		KeyUsage: x509.KeyUsageKeyEncipherment}
	der, err := x509.CreateCertificate(rand.Reader, t, t, private.Public(), private)
	return &passwordKey{key, der}, err
}

// Lengths of the form. The client's text in front of the nonce may be longer than a key: the first bytes are it.
const keyLength = 16

// open decrypts what a client sent: RSA PKCS#1 v1.5 of key and nonce, and 16 bytes of IV with AES-128-CBC and PKCS#7 of the password. What
// is wrong is for the trace alone: a client is told the same as for a wrong password, so that nobody learns from it how a text decrypts.
func (k *passwordKey) open(encryptedKey, password []byte, nonce string) (secret.Text, int, error) {
	if len(encryptedKey) == 0 {
		return secret.Text{}, 0, errors.New("the password comes without the key it is encrypted with: the client had no certificate to encrypt it for")
	}
	text, err := k.key.Decrypt(rand.Reader, encryptedKey, nil) // no options: PKCS#1 v1.5
	if err != nil {
		return secret.Text{}, 0, errors.New("the key of the password was not encrypted for this CTI manager's certificate")
	}
	if len(text) < keyLength+len(nonce) || subtle.ConstantTimeCompare(text[len(text)-len(nonce):], []byte(nonce)) != 1 {
		return secret.Text{}, len(text), errors.New("the nonce is not the one of this connection: a login of another connection was sent again, or the client is broken")
	}
	plain, err := unseal(text[:keyLength], password)
	return secret.New(string(plain)), len(text), err
}

func unseal(key, sealed []byte) ([]byte, error) {
	if len(sealed) < 2*aes.BlockSize || len(sealed)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("an encrypted password of %d bytes: want an IV and whole blocks of %d", len(sealed), aes.BlockSize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(sealed)-aes.BlockSize)
	cipher.NewCBCDecrypter(block, sealed[:aes.BlockSize]).CryptBlocks(plain, sealed[aes.BlockSize:])
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > aes.BlockSize {
		return nil, errors.New("the password does not decrypt")
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return nil, errors.New("the password does not decrypt")
		}
	}
	return plain[:len(plain)-pad], nil
}
