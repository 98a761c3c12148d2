package backup

import (
	"crypto/hpke"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/locktone/locktone/wire/secret"
)

// RFC 9180, 4: a key pair of the KEM a file is closed for: X25519 and ML-KEM-768 together, so that breaking one of them is not enough.
func kem() hpke.KEM { return hpke.MLKEM768X25519() }

// The first words of key files.
const (
	publicWord  = "locktone-backup-public-1"
	privateWord = "locktone-backup-private-1"
)

// PublicKey closes files.
type PublicKey struct{ key hpke.PublicKey }

// PrivateKey opens them.
type PrivateKey struct{ key hpke.PrivateKey }

// NewPrivateKey makes a key pair.
func NewPrivateKey() (*PrivateKey, error) {
	k, err := kem().GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("backup: making a key: %w", err)
	}
	return &PrivateKey{k}, nil
}

// Public is the half that closes files.
func (k *PrivateKey) Public() *PublicKey { return &PublicKey{k.key.PublicKey()} }

// Text is the line of a private key file.
func (k *PrivateKey) Text() (secret.Text, error) {
	b, err := k.key.Bytes()
	if err != nil {
		return secret.Text{}, fmt.Errorf("backup: %w", err)
	}
	return secret.New(privateWord + " " + base64.StdEncoding.EncodeToString(b) + "\n"), nil
}

// Format hides the key, however it is printed.
func (*PrivateKey) Format(s fmt.State, _ rune) { fmt.Fprint(s, secret.Redacted) }

// String is the line of a public key file.
func (k *PublicKey) String() string {
	return publicWord + " " + base64.StdEncoding.EncodeToString(k.key.Bytes())
}

// ParsePublicKey reads a public key file.
func ParsePublicKey(text string) (*PublicKey, error) {
	b, err := keyBytes(text, publicWord)
	if err != nil {
		return nil, err
	}
	k, err := kem().NewPublicKey(b)
	if err != nil {
		return nil, fmt.Errorf("backup: this is no public key: %w", err)
	}
	return &PublicKey{k}, nil
}

// ParsePrivateKey reads a private key file.
func ParsePrivateKey(text string) (*PrivateKey, error) {
	b, err := keyBytes(text, privateWord)
	if err != nil {
		return nil, err
	}
	k, err := kem().NewPrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("backup: this is no private key: %w", err)
	}
	return &PrivateKey{k}, nil
}

func keyBytes(text, word string) ([]byte, error) {
	first, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	if first != word {
		return nil, fmt.Errorf("backup: this key file does not begin with %s: make one with locktone backup key", word)
	}
	b, err := base64.StdEncoding.DecodeString(rest)
	if err != nil {
		return nil, fmt.Errorf("backup: this key file is damaged: %w", err)
	}
	return b, nil
}
