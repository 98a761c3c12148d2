package custody

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/locktone/locktone/pki"
)

// KeyName is the secret under which a node keeps the cluster key in its own custody.
const KeyName = "cluster-key"

// keySize of a cluster key, in bytes.
const keySize = 32

const keyBlock = "LOCKTONE CLUSTER KEY"

// Key is the cluster key: 32 random bytes. It does not print.
type Key struct{ secret pki.Secret }

// NewKey makes a cluster key.
func NewKey() Key {
	b := make([]byte, keySize)
	rand.Read(b)
	return Key{b}
}

// ParseKey reads what PEM wrote.
func ParseKey(text pki.Secret) (Key, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != keyBlock || len(block.Bytes) != keySize {
		return Key{}, errors.New("custody: this is no cluster key: want one PEM block " + keyBlock + " of 32 bytes")
	}
	return Key{block.Bytes}, nil
}

// PEM is the key as a node keeps it.
func (k Key) PEM() pki.Secret {
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: k.secret})
}

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return len(k.secret) == 0 }

// Format prints which key it is, for every verb, and nothing of the key.
func (k Key) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// String names the key by its ID.
func (k Key) String() string { return "cluster key " + k.ID() }

// MarshalText renders String: a key is stored by PEM, never by an encoder.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// ID tells cluster keys apart in messages and tells nothing of the key: 16 hexadecimal digits.
func (k Key) ID() string {
	id, err := k.derive("locktone cluster key id", 8)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(id)
}

// Derive is a key of 32 bytes for one purpose. RFC 5869, 2.3: the info parameter separates the purposes.
func (k Key) Derive(purpose string) (pki.Secret, error) {
	return k.derive("locktone "+purpose, keySize)
}

func (k Key) derive(info string, n int) (pki.Secret, error) {
	if k.IsZero() {
		return nil, errors.New("custody: no cluster key")
	}
	return hkdf.Key(sha256.New, k.secret, nil, info, n)
}

// LoadKey returns the cluster key of a node; fs.ErrNotExist when it has none.
func LoadKey(ctx context.Context, own pki.Custody) (Key, error) {
	text, err := own.Load(ctx, KeyName)
	if err != nil {
		return Key{}, err
	}
	return ParseKey(text)
}

// OpenKey returns the cluster key of a node. The first node of a record makes it; one that has none while the record is sealed already is
// told to join: a new key would open nothing.
func OpenKey(ctx context.Context, own pki.Custody, docs Documents) (Key, error) {
	key, err := LoadKey(ctx, own)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	sealed, err := docs.List(ctx, "")
	if err != nil {
		return Key{}, fmt.Errorf("custody: %w", err)
	}
	if len(sealed) > 0 {
		return Key{}, errors.New("custody: the keys of this cluster are in its record, sealed under a cluster key that this node does not have: " +
			"make a token on a node of the cluster (locktone node token) and join with it (locktone up --join)")
	}
	key = NewKey()
	if err := own.Create(ctx, KeyName, key.PEM()); err != nil {
		return Key{}, err
	}
	return key, nil
}
