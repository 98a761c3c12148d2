package capfprofile

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math/big"
	"strings"

	"github.com/locktone/locktone/wire/capf"
)

// String is an authorization string in clear. It prints as "[redacted]"; Reveal is for the one answer that may show it.
type String string

const redacted = "[redacted]"

// The sizes of an authorization string, in characters.
const (
	MinString       = 4
	MaxString       = 16
	GeneratedString = 10
)

// Check says what is wrong with a string that an operator made up. The forms of the field take digits; their users type
// words as well, and clients send them.
func (s String) Check() error {
	if !capf.ValidPassword(string(s)) {
		return fmt.Errorf("capfprofile: an authorization string has %d to %d digits, or letters and digits", MinString, MaxString)
	}
	return nil
}

// Generate makes a string of 10 random digits.
func Generate() String {
	var b [GeneratedString]byte
	for i := range b {
		n, _ := rand.Int(rand.Reader, big.NewInt(10)) // never fails, crypto/rand says
		b[i] = '0' + byte(n.Int64())
	}
	return String(b[:])
}

// Reveal returns the digits.
func (s String) Reveal() string { return string(s) }

// String hides the digits.
func (s String) String() string { return redacted }

// GoString hides the digits.
func (s String) GoString() string { return redacted }

// LogValue hides the digits.
func (s String) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON hides the digits.
func (s String) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// verifier is a salted hash of a string: "pbkdf2-sha256$iterations$salt$hash". Four digits can be tried out whatever
// the hash costs; ten cannot be in the days that a string lives. The cost is chosen for the server, which has to bear
// thousands of phones in a burst: some milliseconds.
type verifier string

const (
	maxIterations = 10_000_000
	hashName      = "pbkdf2-sha256"
)

func newVerifier(s String, iterations int) (verifier, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails, crypto/rand says
	key, err := pbkdf2.Key(sha256.New, string(s), salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("capfprofile: hashing an authorization string: %w", err)
	}
	return verifier(fmt.Sprintf("%s$%d$%s$%s", hashName, iterations, encode(salt), encode(key))), nil
}

// matches compares in a time that does not depend on where the strings differ. The zero verifier matches nothing.
func (v verifier) matches(s String) bool {
	var n int
	parts := strings.Split(string(v), "$")
	if len(parts) != 4 || parts[0] != hashName {
		return false
	}
	if _, err := fmt.Sscanf(parts[1], "%d", &n); err != nil || n < 1 || n > maxIterations {
		return false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[2])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[3])
	if err1 != nil || err2 != nil || len(want) != sha256.Size {
		return false
	}
	key, err := pbkdf2.Key(sha256.New, string(s), salt, n, sha256.Size)
	return err == nil && subtle.ConstantTimeCompare(key, want) == 1
}

// String hides the hash.
func (v verifier) String() string { return redacted }

// GoString hides the hash.
func (v verifier) GoString() string { return redacted }

func encode(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }
