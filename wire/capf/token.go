package capf

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"github.com/locktone/locktone/wire/secret"
)

// tokenPrefix is the form's name and version.
const tokenPrefix = "LT1-"

// MaxTokenSigners bounds the signers of a token: two signers, the recovery identity, and one more of each in rotation.
const MaxTokenSigners = 6

// A JoinToken is an authorization string that also pins the signers of the site's trust list, so that a device's first
// download is not trust on first use. The wire carries only the plain string.
//
// Its text is made to be typed, pasted, or shown as a QR code in its alphanumeric mode: capitals, digits and hyphens.
//
//	LT1-<authorization string>-<check>-<signer>[-<signer>...]
//
// A signer is the SHA-256 of a signer certificate's DER in base 32 (RFC 4648, 6), 52 characters; check is four characters of
// the SHA-256 of everything else, which tells a slip of the fingers from a wrong signer.
type JoinToken struct {
	Password Secret     // the authorization string, 4 to 16 letters and digits
	Signers  [][32]byte // SHA-256 of the DER of each certificate that may sign the first list; at least one
}

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// Text is the token as it is given to a person. It holds the authorization string.
func (t JoinToken) Text() string {
	signers := make([]string, len(t.Signers))
	for i, s := range t.Signers {
		signers[i] = base32Text.EncodeToString(s[:])
	}
	password, list := t.Password.Reveal(), strings.Join(signers, "-")
	return tokenPrefix + password + "-" + tokenCheck(password, list) + "-" + list
}

func tokenCheck(password, signers string) string {
	sum := sha256.Sum256([]byte(tokenPrefix + password + "-" + signers))
	return base32Text.EncodeToString(sum[:])[:4]
}

// String hides the authorization string and says how many signers are pinned.
func (t JoinToken) String() string {
	return fmt.Sprintf("%s%s with %d pinned signers", tokenPrefix, secret.Redacted, len(t.Signers))
}

// GoString hides the authorization string from %#v.
func (t JoinToken) GoString() string { return t.String() }

// IsJoinToken says whether text looks like a join token rather than a plain authorization string.
func IsJoinToken(text string) bool {
	return len(text) >= len(tokenPrefix) && strings.EqualFold(text[:len(tokenPrefix)], tokenPrefix)
}

// ErrToken is wrapped by every error of ParseJoinToken.
var ErrToken = errors.New("capf: not a join token")

// ParseJoinToken parses a token's text. White space anywhere is ignored, and so is the case of everything but the
// authorization string. The error never repeats the string.
func ParseJoinToken(text string) (JoinToken, error) {
	text = strings.Join(strings.Fields(text), "")
	if !IsJoinToken(text) {
		return JoinToken{}, fmt.Errorf("%w: it begins with %s", ErrToken, tokenPrefix)
	}
	parts := strings.Split(text[len(tokenPrefix):], "-")
	if len(parts) < 3 {
		return JoinToken{}, fmt.Errorf("%w: it is cut short: copy all of it, the signers included", ErrToken)
	}
	if len(parts)-2 > MaxTokenSigners {
		return JoinToken{}, fmt.Errorf("%w: %d signers; at most %d", ErrToken, len(parts)-2, MaxTokenSigners)
	}
	if !ValidPassword(parts[0]) {
		return JoinToken{}, fmt.Errorf("%w: its authorization string is not %d to %d letters and digits", ErrToken, minPassword, maxPassword)
	}
	token := JoinToken{Password: NewSecret(parts[0])}
	signers := strings.ToUpper(strings.Join(parts[2:], "-"))
	if tokenCheck(parts[0], signers) != strings.ToUpper(parts[1]) {
		return JoinToken{}, fmt.Errorf("%w: a character is wrong or missing: copy it again", ErrToken)
	}
	for _, s := range strings.Split(signers, "-") {
		sum, err := base32Text.DecodeString(s)
		if err != nil || len(sum) != 32 || base32Text.EncodeToString(sum) != s {
			return JoinToken{}, fmt.Errorf("%w: a signer is not a SHA-256 in base 32", ErrToken)
		}
		token.Signers = append(token.Signers, [32]byte(sum))
	}
	return token, nil
}

const minPassword, maxPassword = 4, 16

// ValidPassword says whether text may be an authorization string: 4 to 16 ASCII letters and digits. Forms of the reference
// product take 4 to 10 digits; its users also type words.
func ValidPassword(text string) bool {
	if len(text) < minPassword || len(text) > maxPassword {
		return false
	}
	for _, r := range text {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return true
}
