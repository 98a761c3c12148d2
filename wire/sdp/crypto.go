package sdp

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
)

// Suite is an SRTP crypto suite as SDES names it (RFC 4568, 6.2; RFC 7714, 14.1). The zero value protects nothing.
type Suite uint8

// The suites this system speaks.
const (
	NoSuite Suite = iota
	AES_CM_128_HMAC_SHA1_80
	AES_CM_128_HMAC_SHA1_32
	AEAD_AES_128_GCM
	AEAD_AES_256_GCM
)

var suites = [...]struct {
	name      string
	key, salt int // octets
}{
	{"", 0, 0},
	{"AES_CM_128_HMAC_SHA1_80", 16, 14},
	{"AES_CM_128_HMAC_SHA1_32", 16, 14},
	{"AEAD_AES_128_GCM", 16, 12},
	{"AEAD_AES_256_GCM", 32, 12},
}

// Suites are all suites in our order of preference: authenticated encryption costs a third of AES-CM with HMAC-SHA1; the
// 32-bit tag is last.
func Suites() []Suite {
	return []Suite{AEAD_AES_256_GCM, AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_32}
}

// ParseSuite finds a suite by its name.
func ParseSuite(name string) (Suite, bool) {
	for i := AES_CM_128_HMAC_SHA1_80; int(i) < len(suites); i++ {
		if strings.EqualFold(suites[i].name, name) {
			return i, true
		}
	}
	return NoSuite, false
}

// String is the suite's registered name; "" for NoSuite.
func (s Suite) String() string {
	if int(s) >= len(suites) {
		return "suite " + strconv.Itoa(int(s))
	}
	return suites[s].name
}

// MarshalText is String, for JSON.
func (s Suite) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseSuite; empty text is NoSuite.
func (s *Suite) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*s = NoSuite
		return nil
	}
	got, ok := ParseSuite(string(b))
	if !ok {
		return fmt.Errorf("sdp: unknown SRTP suite %q; known are %v", b, Suites())
	}
	*s = got
	return nil
}

// KeyLen is the length of the master key in octets, SaltLen that of the master salt.
func (s Suite) KeyLen() int {
	if int(s) >= len(suites) {
		return 0
	}
	return suites[s].key
}

// SaltLen is the length of the master salt in octets.
func (s Suite) SaltLen() int {
	if int(s) >= len(suites) {
		return 0
	}
	return suites[s].salt
}

// maxKeySalt is the longest key||salt of any suite: 32 + 14 octets.
const maxKeySalt = 46

// Key is SRTP key material: master key followed by master salt. It compares with ==, and prints as "[redacted]" in
// every way Go prints; only Reveal gives the octets away.
type Key struct {
	octets [maxKeySalt]byte
	n      uint8
}

// NewKey takes master key||salt for a suite; their length must be the suite's.
func NewKey(s Suite, keySalt []byte) (Key, error) {
	if want := s.KeyLen() + s.SaltLen(); want == 0 || len(keySalt) != want {
		return Key{}, fmt.Errorf("sdp: key||salt for %v must have %d octets, got %d", s, want, len(keySalt))
	}
	k := Key{n: uint8(len(keySalt))}
	copy(k.octets[:], keySalt)
	return k, nil
}

// GenerateKey reads fresh key||salt for a suite from rand, which in the product is crypto/rand.Reader.
func GenerateKey(rand io.Reader, s Suite) (Key, error) {
	n := s.KeyLen() + s.SaltLen()
	if n == 0 {
		return Key{}, fmt.Errorf("sdp: no key exists for the suite %q", s.String())
	}
	k := Key{n: uint8(n)}
	if _, err := io.ReadFull(rand, k.octets[:n]); err != nil {
		return Key{}, fmt.Errorf("sdp: cannot read %d random octets for a key: %w", n, err)
	}
	return k, nil
}

// Reveal gives master key and salt to the cipher of suite s. Nothing else should call it.
func (k *Key) Reveal(s Suite) (key, salt []byte, ok bool) {
	if int(k.n) != s.KeyLen()+s.SaltLen() || k.n == 0 {
		return nil, nil, false
	}
	return k.octets[:s.KeyLen()], k.octets[s.KeyLen():k.n], true
}

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return k.n == 0 }

// Equal compares in constant time.
func (k Key) Equal(o Key) bool {
	return k.n == o.n && subtle.ConstantTimeCompare(k.octets[:], o.octets[:]) == 1
}

const redacted = "[redacted]"

// String never shows the key.
func (Key) String() string { return redacted }

// GoString never shows the key.
func (Key) GoString() string { return redacted }

// Format never shows the key, whatever the verb.
func (Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalText never shows the key.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue never shows the key.
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// Crypto is one a=crypto attribute: the key its writer encrypts with. RFC 4568, 4:
//
//	a=crypto:<tag> <crypto-suite> inline:<key||salt>|<lifetime>|<MKI>:<length> [<session-parms>]
type Crypto struct {
	Tag      int // 1 to 9 decimal digits
	Suite    Suite
	Key      Key
	Lifetime uint64 // packets; 0 when not given
	MKI      uint64 // value, meaningful if MKILen > 0
	MKILen   int    // octets of MKI in every packet, 0 to 128 by the RFC; we take up to 8
	Params   string // session parameters we know and may ignore (WSH), kept for writing back
}

// IsZero reports whether there is no crypto: plain RTP.
func (c Crypto) IsZero() bool { return c.Suite == NoSuite }

// SameKey reports whether both would make the same SRTP context: suite, key and MKI; the tag does not matter.
func (c Crypto) SameKey(d Crypto) bool {
	return c.Suite == d.Suite && c.Key.Equal(d.Key) && c.MKILen == d.MKILen && c.MKI == d.MKI
}

// CryptoProblem is why an a=crypto attribute is of no use to us.
type CryptoProblem uint8

// The problems, least grave first.
const (
	CryptoOK           CryptoProblem = iota
	CryptoUnknownSuite               // skipped, RFC 4568, 5.1.1
	CryptoUnknownParam               // a session parameter we must not ignore, RFC 4568, 6.3.7
	CryptoUnencrypted                // UNENCRYPTED_SRTP, UNENCRYPTED_SRTCP or UNAUTHENTICATED_SRTP: refused
	CryptoBadKey                     // key method, base64, length, lifetime or MKI cannot be used
	CryptoSyntax                     // the attribute is not of the form the RFC gives
)

// String says what is wrong in words.
func (p CryptoProblem) String() string {
	switch p {
	case CryptoOK:
		return "usable"
	case CryptoUnknownSuite:
		return "unknown crypto suite"
	case CryptoUnknownParam:
		return "unknown mandatory session parameter"
	case CryptoUnencrypted:
		return "asks for SRTP without encryption or authentication"
	case CryptoBadKey:
		return "key, lifetime or MKI cannot be used"
	}
	return "malformed"
}

// Error makes the problem an error; its text never holds any of the attribute.
func (p CryptoProblem) Error() string { return "sdp: a=crypto: " + p.String() }

// ParseCrypto reads the value of an a=crypto attribute. The error is a CryptoProblem and shows nothing of the value.
func ParseCrypto(value string) (Crypto, error) {
	fields := strings.Fields(value)
	if len(fields) < 3 {
		return Crypto{}, CryptoSyntax
	}
	tag, err := strconv.ParseUint(fields[0], 10, 32)
	if err != nil || len(fields[0]) > 9 {
		return Crypto{}, CryptoSyntax
	}
	suite, ok := ParseSuite(fields[1])
	if !ok {
		return Crypto{}, CryptoUnknownSuite
	}
	c := Crypto{Tag: int(tag), Suite: suite}
	if err := c.parseKey(fields[2]); err != nil {
		return Crypto{}, err
	}
	if err := c.parseParams(fields[3:]); err != nil {
		return Crypto{}, err
	}
	return c, nil
}

// parseKey reads inline:key||salt|lifetime|MKI:length. Several keys separated by ";" need MKIs to tell them apart; the
// first is taken only when it is the only one.
func (c *Crypto) parseKey(s string) error {
	method, rest, ok := strings.Cut(s, ":")
	if !ok || !strings.EqualFold(method, "inline") || strings.Contains(rest, ";") {
		return CryptoBadKey
	}
	parts := strings.Split(rest, "|")
	if len(parts) > 3 {
		return CryptoBadKey
	}
	if err := c.parseInline(parts[0]); err != nil {
		return err
	}
	for _, p := range parts[1:] {
		if err := c.parseLifetimeOrMKI(p); err != nil {
			return err
		}
	}
	return nil
}

func (c *Crypto) parseInline(s string) error {
	var buf [maxKeySalt + 8]byte
	s = strings.TrimRight(s, "=") // some senders leave the padding out
	if base64.RawStdEncoding.DecodedLen(len(s)) > len(buf) {
		return CryptoBadKey
	}
	n, err := base64.RawStdEncoding.Decode(buf[:], []byte(s))
	if err != nil {
		return CryptoBadKey
	}
	key, err := NewKey(c.Suite, buf[:n])
	if err != nil {
		return CryptoBadKey
	}
	c.Key = key
	return nil
}

// parseLifetimeOrMKI tells the two apart: only an MKI has a colon. RFC 4568, 6.1.
func (c *Crypto) parseLifetimeOrMKI(s string) error {
	value, length, isMKI := strings.Cut(s, ":")
	if !isMKI {
		return c.parseLifetime(s)
	}
	n, err := strconv.ParseUint(length, 10, 8)
	v, err2 := strconv.ParseUint(value, 10, 64)
	if err != nil || err2 != nil || n < 1 || n > 8 || c.MKILen != 0 || n < 8 && v>>(8*n) != 0 {
		return CryptoBadKey
	}
	c.MKI, c.MKILen = v, int(n)
	return nil
}

func (c *Crypto) parseLifetime(s string) error {
	var n uint64
	var err error
	if exp, power := strings.CutPrefix(s, "2^"); power {
		var e uint64
		if e, err = strconv.ParseUint(exp, 10, 8); err == nil && e < 49 {
			n = 1 << e
		}
	} else {
		n, err = strconv.ParseUint(s, 10, 64)
	}
	if err != nil || n == 0 || n > 1<<48 || c.Lifetime != 0 || c.MKILen != 0 {
		return CryptoBadKey
	}
	c.Lifetime = n
	return nil
}

// parseParams accepts what changes nothing for us (WSH, KDR=0) and refuses the rest. RFC 4568, 6.3.7: an unknown
// parameter is mandatory unless its name begins with "-".
func (c *Crypto) parseParams(params []string) error {
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		switch {
		case strings.HasPrefix(p, "UNENCRYPTED_"), strings.HasPrefix(p, "UNAUTHENTICATED_"):
			return CryptoUnencrypted
		case name == "WSH", name == "KDR" && value == "0", strings.HasPrefix(p, "-"):
		default:
			return CryptoUnknownParam
		}
	}
	c.Params = strings.Join(params, " ")
	return nil
}

// Append writes the attribute's value, key included. This is the one place where a key becomes text.
func (c Crypto) Append(b []byte) []byte {
	b = strconv.AppendInt(b, int64(c.Tag), 10)
	b = append(b, ' ')
	b = append(b, c.Suite.String()...)
	b = append(b, " inline:"...)
	b = base64.StdEncoding.AppendEncode(b, c.Key.octets[:c.Key.n])
	if c.Lifetime != 0 {
		b = append(b, '|')
		b = appendLifetime(b, c.Lifetime)
	}
	if c.MKILen != 0 {
		b = append(b, '|')
		b = strconv.AppendUint(b, c.MKI, 10)
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(c.MKILen), 10)
	}
	if c.Params != "" {
		b = append(b, ' ')
		b = append(b, c.Params...)
	}
	return b
}

func appendLifetime(b []byte, n uint64) []byte {
	if n&(n-1) == 0 && n >= 1<<10 {
		e := 0
		for n>>e != 1 {
			e++
		}
		b = append(b, "2^"...)
		return strconv.AppendInt(b, int64(e), 10)
	}
	return strconv.AppendUint(b, n, 10)
}

// Redact returns a copy of SDP text, or of a whole SIP message with SDP in it, in which no key can be read: the key
// parameters of a=crypto lines, the value of a=key-mgmt and of k= lines become [redacted]. It works on any text and
// errs on the side of hiding.
func Redact(text []byte) []byte {
	lower := bytes.ToLower(text)
	if !bytes.Contains(lower, []byte("crypto")) && !bytes.Contains(lower, []byte("k=")) &&
		!bytes.Contains(lower, []byte("inline:")) && !bytes.Contains(lower, []byte("key-mgmt")) {
		return bytes.Clone(text)
	}
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		end := bytes.IndexAny(text, "\r\n")
		line, eol := text, text[len(text):]
		if end >= 0 {
			line, eol = text[:end], text[end:end+1]
		}
		out = append(append(out, redactLine(line)...), eol...)
		text = text[len(line)+len(eol):]
	}
	return out
}

func redactLine(line []byte) []byte {
	l := bytes.ToLower(bytes.TrimLeft(line, " \t"))
	switch {
	case bytes.HasPrefix(l, []byte("k=")):
		return []byte("k=" + redacted)
	case bytes.HasPrefix(l, []byte("a=key-mgmt")):
		return []byte("a=key-mgmt:" + redacted)
	case bytes.HasPrefix(l, []byte("a=crypto")):
		return redactCrypto(line)
	}
	if i := bytes.Index(bytes.ToLower(line), []byte("inline:")); i >= 0 {
		return append(bytes.Clone(line[:i]), "inline:"+redacted...)
	}
	return line
}

// redactCrypto keeps tag and suite, when they look like tag and suite, and lifetime and MKI never.
func redactCrypto(line []byte) []byte {
	f := strings.Fields(string(line))
	if len(f) < 3 {
		return []byte("a=crypto:" + redacted)
	}
	if _, ok := ParseSuite(f[1]); !ok || len(f[0]) > len("a=crypto:")+9 {
		return []byte("a=crypto:" + redacted)
	}
	return []byte(f[0] + " " + f[1] + " inline:" + redacted)
}

// IsCryptoProblem finds the reason in an error.
func IsCryptoProblem(err error) (CryptoProblem, bool) {
	var p CryptoProblem
	ok := errors.As(err, &p)
	return p, ok
}
