package sip

import (
	"net/netip"
	"strconv"
	"strings"
)

// class is a set of character classes of RFC 3261, 25.1.
type class uint16

const (
	ctoken    class = 1 << iota // token
	cuser                       // user: unreserved and user-unreserved, without "%"
	cpassword                   // password, without "%"
	cuparam                     // paramchar of a URI parameter, without "%"
	cuheader                    // hname and hvalue, without "%"
	cvalue                      // an unquoted header parameter value: token, host, and what real programs put there
	chost                       // hostname and IPv4address ("_" is let pass: names of containers have it)
	copaque                     // the opaque part of a URI of another scheme
	cword                       // Call-ID
	calphanum
	cdigit
)

const (
	tokenMarks   = "-.!%*_+`'~"
	uriMarks     = "-_.!~*'()"
	userMarks    = "&=+$,;?/"
	passMarks    = "&=+$,"
	paramMarks   = "[]/:&+$"
	headerMarks  = "[]/?:+$"
	valueMarks   = tokenMarks + "[]:/@?&=$#|^"
	wordMarks    = tokenMarks + "()<>:\\\"/[]?{}@" + "=&$#|^" // the last ones are what base64 and other generators put there
	opaqueMarks  = uriMarks + ";/?:@&=+$,%#[]"
	hostNameMark = "-._"
)

// classOf is the set of classes of one octet, as RFC 3261, 25.1 defines them.
func classOf(c byte) class {
	var k class
	switch {
	case c >= '0' && c <= '9':
		k = calphanum | cdigit
	case c|0x20 >= 'a' && c|0x20 <= 'z':
		k = calphanum
	}
	if k != 0 {
		return k | ctoken | cuser | cpassword | cuparam | cuheader | cvalue | chost | copaque | cword
	}
	if c == 0 || c >= 0x80 {
		return 0
	}
	marks := [...]struct {
		set string
		k   class
	}{
		{tokenMarks, ctoken}, {uriMarks + userMarks, cuser}, {uriMarks + passMarks, cpassword},
		{uriMarks + paramMarks, cuparam}, {uriMarks + headerMarks, cuheader}, {valueMarks, cvalue},
		{hostNameMark, chost}, {opaqueMarks, copaque}, {wordMarks, cword},
	}
	for _, m := range marks {
		if strings.IndexByte(m.set, c) >= 0 {
			k |= m.k
		}
	}
	return k
}

// classes is the table of all octets; it is written once, here.
var classes = func() (t [256]class) {
	for c := range t {
		t[c] = classOf(byte(c))
	}
	return t
}()

// allIn says whether s is not empty and holds octets of one class only.
func allIn(s string, k class) bool {
	for i := 0; i < len(s); i++ {
		if classes[s[i]]&k == 0 {
			return false
		}
	}
	return s != ""
}

// trim takes SP and HT off both ends.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	return trimRight(s)
}

func trimRight(s string) string {
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// indexEither is the offset of the first a or b, or -1.
func indexEither(s string, a, b byte) int {
	for i := 0; i < len(s); i++ {
		if s[i] == a || s[i] == b {
			return i
		}
	}
	return -1
}

// escapedIn is allIn for parts that may hold %HH escapes. It reports the offset of the first wrong octet, or -1.
func escapedIn(s string, k class) int {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
				return i
			}
			i += 2
			continue
		}
		if classes[s[i]]&k == 0 {
			return i
		}
	}
	return -1
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// IsToken says whether s is a token of RFC 3261, 25.1.
func IsToken(s string) bool { return allIn(s, ctoken) }

// parseDigits reads 1*DIGIT up to limit. Leading zeros are legal (RFC 4475, 3.1.1.1), signs are not.
func parseDigits(s string, limit uint64) (uint64, bool) {
	if !allIn(s, cdigit) {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= limit
}

func parsePort(s string) int {
	n, ok := parseDigits(s, 65535)
	if !ok {
		return 0
	}
	return int(n)
}

func trimBrackets(host string) string {
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}

// parseHost checks a host as it stands on the wire and returns it without brackets.
func parseHost(s string) (string, bool) {
	if strings.HasPrefix(s, "[") {
		if !strings.HasSuffix(s, "]") {
			return "", false
		}
		return parseIPv6(s[1 : len(s)-1])
	}
	if !allIn(s, chost) || s[0] == '.' || s[0] == '-' || strings.Contains(s, "..") {
		return "", false
	}
	top := s[strings.LastIndexByte(s, '.')+1:]
	if allIn(top, cdigit) { // RFC 3261, 25.1: a toplabel is never all digits, so this must be an IPv4address
		if !isIPv4(s) {
			return "", false
		}
	}
	if len(s) > 253 {
		return "", false
	}
	return s, true
}

// isIPv4 is 1*3DIGIT four times, each up to 255. RFC 3261, 25.1.
func isIPv4(s string) bool {
	for i := range 4 {
		label, rest, more := strings.Cut(s, ".")
		if _, ok := parseDigits(label, 255); !ok || len(label) > 3 || more != (i < 3) {
			return false
		}
		s = rest
	}
	return true
}

// parseIPv6 checks an IPv6 literal without brackets. RFC 5118, 4.10: the grammar of RFC 3261 allowed a third colon before
// an embedded IPv4 address; such a message is read as if the colon were not there.
func parseIPv6(s string) (string, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		fixed := strings.Replace(s, ":::", "::", 1)
		if a, err = netip.ParseAddr(fixed); err != nil || !strings.Contains(fixed, ".") {
			return "", false
		}
		s = fixed
	}
	if !a.Is6() || a.Zone() != "" {
		return "", false
	}
	return s, true
}

// Unquote takes the quotes off a quoted-string and resolves its escapes; any other string is returned as it is.
func Unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// Quote makes a quoted-string. Line ends, which a header field cannot hold, become spaces.
func Quote(s string) string { return string(appendQuoted(make([]byte, 0, len(s)+2), s)) }

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\r' || c == '\n':
			b = append(b, ' ')
		case c == '"' || c == '\\' || c == 0x7f || c < 0x20 && c != '\t':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// quoteIfNeeded makes a parameter value of s: as it is when it is one already.
func quoteIfNeeded(s string) string {
	if s == "" || allIn(s, cvalue) || quotedEnd(s) == len(s) {
		return s
	}
	return Quote(s)
}

// quotedEnd is the length of the quoted-string s begins with, 0 when it begins with none or it does not end.
func quotedEnd(s string) int {
	if s == "" || s[0] != '"' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
			if i < len(s) && (s[i] == '\r' || s[i] == '\n' || s[i] >= 0x80) {
				return 0
			}
		case c == '"':
			return i + 1
		case c < 0x20 && c != '\t' || c == 0x7f:
			return 0
		}
	}
	return 0
}

// Unescape resolves the %HH escapes of a URI part. RFC 3261, 19.1.2. %00 is an octet like any other (RFC 4475, 3.1.1.4).
func Unescape(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
			return "", &ParseError{Offset: i, What: "\"%\" begins an escape and needs two hexadecimal digits", Status: 400}
		}
		b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
		i += 2
	}
	return string(b), nil
}

// EscapeUser escapes a string for the user part of a SIP URI.
func EscapeUser(s string) string { return escape(s, cuser) }

// EscapeParam escapes a string for the value of a parameter of a SIP URI. RFC 3261, 25.1: paramchar.
func EscapeParam(s string) string { return escape(s, cuparam) }

// EscapeHeader escapes a string for a header value in a SIP URI (`?Replaces=...`).
func EscapeHeader(s string) string { return escape(s, cuheader) }

func escape(s string, k class) string {
	if s == "" || allIn(s, k) {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); i++ {
		if classes[s[i]]&k != 0 {
			b = append(b, s[i])
			continue
		}
		b = append(b, '%', hex[s[i]>>4], hex[s[i]&15])
	}
	return string(b)
}
