package join

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/locktone/locktone/pki"
)

// tokenPrefix is the form's name and version.
const tokenPrefix = "LN1-"

const (
	idSize     = 8
	secretSize = 32
	pinSize    = sha256.Size
	checkSize  = 4
)

// Token is what a person carries to the new node. It does not print; Text is for that person.
//
//	LN1-<id, secret, pin and check in base 32>
//
// The pin is the SHA-256 of the certificates of the cluster's CA (Pin). The check, four octets of the SHA-256 of the rest, tells a slip of
// the fingers from a wrong token.
type Token struct {
	ID     string // 16 hexadecimal digits: names the token in the record and in the audit log
	Secret pki.Secret
	Pin    [pinSize]byte
}

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

func newToken(pin [pinSize]byte) Token {
	b := make([]byte, idSize+secretSize)
	rand.Read(b)
	return Token{ID: hex.EncodeToString(b[:idSize]), Secret: b[idSize:], Pin: pin}
}

// Text is the token as it is given to a person. It holds the secret.
func (t Token) Text() string {
	id, _ := hex.DecodeString(t.ID) // ours
	b := append(append(id, t.Secret...), t.Pin[:]...)
	sum := sha256.Sum256(b)
	return tokenPrefix + base32Text.EncodeToString(append(b, sum[:checkSize]...))
}

// String names the token without its secret.
func (t Token) String() string { return "join token " + t.ID }

// GoString is String.
func (t Token) GoString() string { return t.String() }

// ErrToken is wrapped by every error of ParseToken.
var ErrToken = errors.New("not a token for a new node")

// ParseToken reads what Text wrote; white space anywhere and case are ignored. The error never repeats the text.
func ParseToken(text string) (Token, error) {
	text = strings.ToUpper(strings.Join(strings.Fields(text), ""))
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok {
		return Token{}, fmt.Errorf("%w: it begins with %s: make one with locktone node token", ErrToken, tokenPrefix)
	}
	b, err := base32Text.DecodeString(rest)
	if err != nil || len(b) != idSize+secretSize+pinSize+checkSize {
		return Token{}, fmt.Errorf("%w: it is cut short or has a wrong character: copy all of it again", ErrToken)
	}
	body := b[:len(b)-checkSize]
	if sum := sha256.Sum256(body); string(sum[:checkSize]) != string(b[len(body):]) {
		return Token{}, fmt.Errorf("%w: a character is wrong or missing: copy it again", ErrToken)
	}
	return Token{ID: hex.EncodeToString(body[:idSize]), Secret: pki.Secret(body[idSize : idSize+secretSize]), Pin: [pinSize]byte(body[idSize+secretSize:])}, nil
}

// Pin is the SHA-256 of the certificates of the CA, in the order in which the CA names them.
func Pin(roots []*x509.Certificate) [pinSize]byte {
	h := sha256.New()
	for _, c := range roots {
		h.Write(c.Raw)
	}
	return [pinSize]byte(h.Sum(nil))
}

// IsID reports whether the text can be the ID of a token.
func IsID(text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == idSize && hex.EncodeToString(b) == text
}
