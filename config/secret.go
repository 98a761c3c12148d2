package config

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Redacted is what secrets print as.
const Redacted = "[redacted]"

// Parameters of argon2id: the first recommendation of the OWASP password
// storage cheat sheet (19 MiB, two passes), about 20 ms.
const (
	argonMemory = VerifierMemory
	argonPasses = 2
	argonKey    = 32
	argonSalt   = 16
)

// VerifierMemory is what it takes to make a verifier, or to compare a password with one made here, in KiB.
const VerifierMemory = 19 * 1024

// Verifier checks a password without knowing it: an argon2id hash with its
// salt, in the spelling `$argon2id$v=19$m=...,t=...,p=1$salt$hash`. The zero
// value accepts nothing. It prints as "[redacted]".
type Verifier struct{ encoded string }

// NewVerifier hashes a password with a fresh salt.
func NewVerifier(password string) Verifier {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails, crypto/rand says
	key := argon2.IDKey([]byte(password), salt, argonPasses, argonMemory, 1, argonKey)
	return Verifier{fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, argonMemory, argonPasses,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))}
}

// ParseVerifier reads what Reveal wrote.
func ParseVerifier(encoded string) (Verifier, error) {
	if encoded == "" {
		return Verifier{}, nil
	}
	if _, err := parseArgon(encoded); err != nil {
		return Verifier{}, err
	}
	return Verifier{encoded}, nil
}

// Verify reports whether the password is the one that was hashed, in time
// that does not depend on where it differs.
func (v Verifier) Verify(password string) bool {
	a, err := parseArgon(v.encoded)
	if err != nil {
		return false
	}
	key := argon2.IDKey([]byte(password), a.salt, a.passes, a.memory, a.lanes, uint32(len(a.key)))
	return subtle.ConstantTimeCompare(key, a.key) == 1
}

// Memory is what Verify takes, in KiB; 0 when there is no password.
func (v Verifier) Memory() int {
	a, err := parseArgon(v.encoded)
	if err != nil {
		return 0
	}
	return int(a.memory)
}

// IsZero reports whether there is no password.
func (v Verifier) IsZero() bool { return v.encoded == "" }

// Reveal returns the hash for storage. It goes nowhere else.
func (v Verifier) Reveal() string { return v.encoded }

func (v Verifier) String() string { return redact(v.encoded) }

// GoString keeps %#v from printing the hash.
func (v Verifier) GoString() string { return redact(v.encoded) }

// LogValue keeps slog from printing the hash.
func (v Verifier) LogValue() slog.Value { return slog.StringValue(redact(v.encoded)) }

// MarshalText writes "[redacted]": documents never carry the hash.
func (v Verifier) MarshalText() ([]byte, error) { return []byte(redact(v.encoded)), nil }

// UnmarshalText reads a hash; "[redacted]" and nothing read as no password.
func (v *Verifier) UnmarshalText(b []byte) (err error) {
	if s := string(b); s != Redacted {
		*v, err = ParseVerifier(s)
	}
	return err
}

type argonHash struct {
	memory, passes uint32
	lanes          uint8
	salt, key      []byte
}

func parseArgon(s string) (argonHash, error) {
	var a argonHash
	bad := fmt.Errorf("not an argon2id hash of the form $argon2id$v=19$m=19456,t=2,p=1$salt$hash")
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return a, bad
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &a.memory, &a.passes, &a.lanes); err != nil {
		return a, bad
	}
	var err1, err2 error
	a.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	a.key, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(a.salt) < 8 || len(a.key) < 16 || len(a.key) > 64 {
		return a, bad
	}
	if a.memory < 8 || a.memory > 1<<20 || a.passes < 1 || a.passes > 16 || a.lanes < 1 || a.lanes > 16 {
		return a, fmt.Errorf("argon2id parameters out of bounds: m up to 1048576, t and p up to 16")
	}
	return a, nil
}

// DigestVerifier is what a server needs to check SIP digest credentials: the
// hash of user, realm and password (RFC 7616, 3.4.2: A1), with SHA-256 and,
// for profiles that make the MD5 exception, with MD5. The zero value accepts
// nothing. It prints as "[redacted]": whoever has it can answer challenges.
type DigestVerifier struct{ encoded string }

// NewDigestVerifier hashes a password for a user and a realm (the cluster's domain).
func NewDigestVerifier(user, realm, password string) DigestVerifier {
	a1 := []byte(user + ":" + realm + ":" + password)
	sha, md := sha256.Sum256(a1), md5.Sum(a1)
	return DigestVerifier{fmt.Sprintf("$digest$%s$%x$%x$%s", user, sha, md, realm)}
}

// ParseDigestVerifier reads what Reveal wrote.
func ParseDigestVerifier(encoded string) (DigestVerifier, error) {
	if encoded == "" {
		return DigestVerifier{}, nil
	}
	p := strings.SplitN(encoded, "$", 6)
	if len(p) != 6 || p[0] != "" || p[1] != "digest" || p[2] == "" || !isHex(p[3], 32) || !isHex(p[4], 16) || p[5] == "" {
		return DigestVerifier{}, fmt.Errorf("not a digest hash of the form $digest$user$sha256$md5$realm")
	}
	return DigestVerifier{encoded}, nil
}

func isHex(s string, n int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == n
}

// HA1 returns the user and realm the credential is for and H(A1) in lower-case
// hexadecimal, by SHA-256 and by MD5. All are empty for the zero value.
func (v DigestVerifier) HA1() (user, realm, sha256Hex, md5Hex string) {
	p := strings.SplitN(v.encoded, "$", 6)
	if len(p) != 6 {
		return "", "", "", ""
	}
	return p[2], p[5], p[3], p[4]
}

// IsZero reports whether there is no credential.
func (v DigestVerifier) IsZero() bool { return v.encoded == "" }

// Reveal returns the hash for storage. It goes nowhere else.
func (v DigestVerifier) Reveal() string { return v.encoded }

func (v DigestVerifier) String() string { return redact(v.encoded) }

// GoString keeps %#v from printing the hash.
func (v DigestVerifier) GoString() string { return redact(v.encoded) }

// LogValue keeps slog from printing the hash.
func (v DigestVerifier) LogValue() slog.Value { return slog.StringValue(redact(v.encoded)) }

// MarshalText writes "[redacted]": documents never carry the hash.
func (v DigestVerifier) MarshalText() ([]byte, error) { return []byte(redact(v.encoded)), nil }

// UnmarshalText reads a hash; "[redacted]" and nothing read as no credential.
func (v *DigestVerifier) UnmarshalText(b []byte) (err error) {
	if s := string(b); s != Redacted {
		*v, err = ParseDigestVerifier(s)
	}
	return err
}

func redact(s string) string {
	if s == "" {
		return ""
	}
	return Redacted
}
