package pki

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is key material at rest (PEM). However it is printed, nothing of it appears.
type Secret []byte

// Format prints "[redacted]" for every verb.
func (Secret) Format(s fmt.State, _ rune) { io.WriteString(s, redacted) }

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// MarshalText renders "[redacted]": a Secret is stored by its bytes, never by an encoder.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON renders "[redacted]".
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue renders "[redacted]" in logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// PrivateKey is a crypto.Signer that does not print: also inside a tls.Certificate, a struct dump shows "[redacted]".
type PrivateKey struct{ signer crypto.Signer }

// NewPrivateKey wraps a signer (*ecdsa.PrivateKey, *rsa.PrivateKey, or a token's).
func NewPrivateKey(s crypto.Signer) PrivateKey { return PrivateKey{signer: s} }

// IsZero reports whether there is no key.
func (k PrivateKey) IsZero() bool { return k.signer == nil }

// Public returns the public half; nil when there is no key.
func (k PrivateKey) Public() crypto.PublicKey {
	if k.signer == nil {
		return nil
	}
	return k.signer.Public()
}

// Sign signs a digest, as crypto.Signer says.
func (k PrivateKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.signer == nil {
		return nil, fmt.Errorf("pki: no private key to sign with")
	}
	return k.signer.Sign(rand, digest, opts)
}

// rsaKey is an RSA key for TLS: RSA key exchange, where a listener's cipher suites allow it by exception, wants a
// crypto.Decrypter. It is a type of its own because crypto/tls takes no other key that is one.
type rsaKey struct{ PrivateKey }

// Decrypt decrypts, as crypto.Decrypter says. The key of a token that only signs says so.
func (k rsaKey) Decrypt(rand io.Reader, msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	d, ok := k.signer.(crypto.Decrypter)
	if !ok {
		return nil, fmt.Errorf("pki: this private key does not decrypt")
	}
	return d.Decrypt(rand, msg, opts)
}

// Decrypter is the key as something that decrypts, false for one that only signs.
func (k PrivateKey) Decrypter() (crypto.Decrypter, bool) {
	d, ok := k.signer.(crypto.Decrypter)
	return d, ok
}

// forTLS is the key as crypto/tls wants it.
func (k PrivateKey) forTLS() crypto.Signer {
	if _, ok := k.Public().(*rsa.PublicKey); ok {
		return rsaKey{k}
	}
	return k
}

// Format prints "[redacted]" for every verb.
func (PrivateKey) Format(s fmt.State, _ rune) { io.WriteString(s, redacted) }

// String returns "[redacted]".
func (PrivateKey) String() string { return redacted }

// GoString returns "[redacted]".
func (PrivateKey) GoString() string { return redacted }

// MarshalText renders "[redacted]"; Credential.Seal is the one way to store a key.
func (PrivateKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON renders "[redacted]".
func (PrivateKey) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue renders "[redacted]" in logs.
func (PrivateKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// Custody keeps secrets by name ("ca", "service/callmanager"). Names are slash-separated words of letters, digits,
// '.', '_' and '-'. Every write is atomic and durable when it returns: after a crash there is the old value or the new.
type Custody interface {
	// Load returns fs.ErrNotExist when there is nothing under the name.
	Load(ctx context.Context, name string) (Secret, error)
	// Create stores a first value; it fails with fs.ErrExist when there is one, so that two nodes starting at the
	// same moment end up with one CA.
	Create(ctx context.Context, name string, s Secret) error
	// Replace stores a value over any other.
	Replace(ctx context.Context, name string, s Secret) error
	// Delete removes a value; no error when there is none.
	Delete(ctx context.Context, name string) error
	// List returns the names that start with prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
}
