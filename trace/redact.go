package trace

import (
	"bytes"
	"strings"
)

// redacted stands where a secret was.
const redacted = "[redacted]"

// policy is what the operator decided about redaction. The zero value is the strictest.
type policy struct {
	digits   bool // store DTMF digits
	patterns bool // "digits" is a dialled pattern of the engine's configuration, not what a caller keyed in
}

// Redact appends a copy of text to dst in which every secret is replaced by "[redacted]", and returns it. It knows:
//
//   - credentials: the values of Authorization, Proxy-Authorization, Authentication-Info and
//     Proxy-Authentication-Info (RFC 3261, 20.7: the digest response gives an offline guess at the password);
//   - media keys: SDP a=crypto key parameters (RFC 4568, 9.2), inline: keys anywhere, a=key-mgmt, k= and a=ice-pwd;
//   - passwords in URIs (RFC 3261, 19.1.1);
//   - DTMF digits in INFO and KPML bodies, since they may be a PIN;
//   - values of names that say they are secret (password, pin, token, key ...) in JSON, YAML, XML and name=value text;
//   - private keys in PEM.
//
// sip says that text is a SIP message; then the names are looked for in its header names and in a body that is not SDP.
func Redact(dst, text []byte, sip bool) []byte { return policy{}.appendRedacted(dst, text, sip) }

// RedactString is [Redact] for a line that is not a SIP message.
func RedactString(s string) string { return policy{}.text(s) }

// text redacts a short string and allocates only when there is something to hide.
func (p policy) text(s string) string {
	if p.suspectText(bytesOf(s)) {
		return string(p.appendRedacted(nil, []byte(s), false))
	}
	return s
}

func (p policy) appendRedacted(dst, text []byte, sip bool) []byte {
	start := len(dst)
	if sip {
		dst = p.appendMessage(dst, text)
	} else {
		dst = p.appendLines(dst, text, true)
	}
	return hideInline(dst, start)
}

// appendMessage redacts a SIP message: header lines, then a body that is SDP or something else.
func (p policy) appendMessage(dst, text []byte) []byte {
	head, body := splitMessage(text)
	dtmf := false
	secret := false // the header line before was a secret one: its continuation lines go too (RFC 3261, 7.3.1)
	for len(head) > 0 {
		line, rest := cutLine(head)
		head = rest
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			if !secret {
				dst = p.appendHeader(dst, line)
			}
			continue
		}
		if secret = secretHeader(line); secret {
			dst = appendHiddenHeader(dst, line)
			continue
		}
		dtmf = dtmf || digitBody(line)
		dst = p.appendHeader(dst, line)
	}
	switch {
	case dtmf && !p.digits:
		return appendDigitBody(dst, body)
	case bytes.HasPrefix(body, []byte("v=0")):
		return p.appendLines(dst, body, false)
	}
	return p.appendLines(dst, body, true)
}

// splitMessage divides a message after the empty line; without one everything is head.
func splitMessage(text []byte) (head, body []byte) {
	if i := bytes.Index(text, []byte("\r\n\r\n")); i >= 0 {
		return text[:i+4], text[i+4:]
	}
	if i := bytes.Index(text, []byte("\n\n")); i >= 0 {
		return text[:i+2], text[i+2:]
	}
	return text, nil
}

// cutLine returns the first line with its end, and what follows.
func cutLine(b []byte) (line, rest []byte) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i+1], b[i+1:]
	}
	return b, nil
}

// secretHeader reports whether a header line carries credentials.
func secretHeader(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	switch line[0] | 0x20 {
	case 'a', 'p', 'x', 'c', 's':
	default:
		return false
	}
	i := bytes.IndexByte(line, ':')
	if i < 0 || i > 64 {
		return false
	}
	name := bytes.TrimRight(line[:i], " \t")
	for _, h := range secretHeaders {
		if len(h) == len(name) && strings.EqualFold(h, string(name)) {
			return true
		}
	}
	return line[0]|0x20 == 'x' && secretName(name)
}

var secretHeaders = [...]string{
	"Authorization", "Proxy-Authorization", "Authentication-Info", "Proxy-Authentication-Info", "Cookie", "Set-Cookie",
}

// appendHiddenHeader keeps the header's name and the scheme ("Digest"), which are no secret and help a reader.
func appendHiddenHeader(dst, line []byte) []byte {
	i := bytes.IndexByte(line, ':')
	dst = append(dst, line[:i+1]...)
	dst = append(dst, ' ')
	value := bytes.TrimLeft(line[i+1:], " \t")
	if len(value) > 7 && strings.EqualFold(string(value[:7]), "digest ") {
		dst = append(dst, "Digest "...)
	}
	dst = append(dst, redacted...)
	return append(dst, lineEnd(line)...)
}

func lineEnd(line []byte) []byte {
	n := len(line)
	switch {
	case n > 1 && line[n-2] == '\r' && line[n-1] == '\n':
		return line[n-2:]
	case n > 0 && line[n-1] == '\n':
		return line[n-1:]
	}
	return nil
}

// appendHeader copies a header line; a password inside a SIP URI goes.
func (p policy) appendHeader(dst, line []byte) []byte {
	for {
		at := bytes.IndexByte(line, '@')
		if at < 0 {
			return append(dst, line...)
		}
		if c := uriPassword(line[:at]); c >= 0 {
			dst = append(dst, line[:c+1]...)
			dst = append(dst, redacted...)
		} else {
			dst = append(dst, line[:at]...)
		}
		dst = append(dst, '@')
		line = line[at+1:]
	}
}

// uriPassword returns the index of the colon before the password of the user part that ends b, or -1.
func uriPassword(b []byte) int {
	for i := len(b) - 1; i >= 0; i-- {
		switch b[i] {
		case '<', '>', '"', ' ', '\t', ',':
			return -1
		case ':':
			if hasScheme(b[:i]) {
				return -1 // this colon ends the scheme: there is no password
			}
			for j := i - 1; j >= 0; j-- {
				switch b[j] {
				case '<', '>', '"', ' ', '\t', ',':
					return -1
				case ':':
					if hasScheme(b[:j]) {
						return i
					}
				}
			}
			return -1
		}
	}
	return -1
}

func hasScheme(b []byte) bool {
	n := len(b)
	return n >= 3 && strings.EqualFold(string(b[n-3:]), "sip") || n >= 4 && strings.EqualFold(string(b[n-4:]), "sips")
}

// digitBody reports whether a Content-Type line announces DTMF digits.
func digitBody(line []byte) bool {
	if len(line) < 2 || line[0]|0x20 != 'c' {
		return false
	}
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return false
	}
	name := bytes.TrimRight(line[:i], " \t")
	if len(name) != 1 && !strings.EqualFold(string(name), "Content-Type") {
		return false
	}
	v := line[i:]
	return containsFold(v, "dtmf") || containsFold(v, "digits") || containsFold(v, "telephone-event") || containsFold(v, "kpml-response")
}

// containsFold reports whether b holds the lower-case word in any case.
func containsFold(b []byte, word string) bool {
	for i := 0; i+len(word) <= len(b); i++ {
		if b[i]|0x20 == word[0] && hasFold(b[i:], word) {
			return true
		}
	}
	return false
}

// appendDigitBody keeps the lines' names and the Duration of a DTMF body and hides the rest.
func appendDigitBody(dst, body []byte) []byte {
	for len(body) > 0 {
		line, rest := cutLine(body)
		body = rest
		name, _, found := bytes.Cut(line, []byte("="))
		if len(bytes.TrimSpace(line)) == 0 || strings.EqualFold(string(bytes.TrimSpace(name)), "duration") {
			dst = append(dst, line...)
			continue
		}
		if found && len(name) <= 16 {
			dst = append(append(dst, name...), '=')
		}
		dst = append(dst, redacted...)
		dst = append(dst, lineEnd(line)...)
	}
	return dst
}

// appendLines redacts text that is not a SIP head line by line; named says whether name=value pairs are looked for.
func (p policy) appendLines(dst, text []byte, named bool) []byte {
	if named && bytes.Contains(text, []byte("PRIVATE KEY-----")) {
		text = hidePrivateKeys(nil, text)
	}
	for len(text) > 0 {
		line, rest := cutLine(text)
		text = rest
		switch hide := secretLine(line); {
		case hide > 0:
			dst = append(dst, line[:hide]...)
			dst = append(dst, redacted...)
			dst = append(dst, lineEnd(line)...)
		case hide < 0:
			dst = appendCrypto(dst, line)
		case named && secretHeader(line):
			dst = appendHiddenHeader(dst, line)
		case named:
			dst = p.appendNamed(dst, line)
		default:
			dst = append(dst, line...)
		}
	}
	return dst
}

// secretLine looks at an SDP line: it returns how much of it may stay when the rest is a secret, -1 for a crypto
// line, 0 for a line without secrets.
func secretLine(line []byte) int {
	if len(line) < 3 || line[1] != '=' {
		return 0
	}
	switch line[0] {
	case 'k':
		return 2 // RFC 8866, 5.12: k= is obsolete, and a key
	case 'a':
	default:
		return 0
	}
	if hasFold(line, "a=crypto:") {
		return -1
	}
	switch {
	case hasFold(line, "a=key-mgmt:"):
		return len("a=key-mgmt:")
	case hasFold(line, "a=ice-pwd:"):
		return len("a=ice-pwd:")
	}
	return 0
}

func hasFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && strings.EqualFold(string(b[:len(prefix)]), prefix)
}

// appendCrypto hides the key and salt of a crypto attribute and keeps the tag, the suite, the lifetime and MKI, and
// the session parameters.
//
// RFC 4568, 9.2: crypto-attribute = tag 1*WSP crypto-suite 1*WSP key-params *(1*WSP session-param)
func appendCrypto(dst, line []byte) []byte {
	for word := 0; len(line) > 0; word++ {
		i := bytes.IndexAny(line, " \t\r\n")
		if i < 0 {
			i = len(line)
		}
		if word == 2 {
			dst = appendKeyParams(dst, line[:i])
		} else {
			dst = append(dst, line[:i]...)
		}
		line = line[i:]
		n := 0
		for n < len(line) && (line[n] == ' ' || line[n] == '\t' || line[n] == '\r' || line[n] == '\n') {
			n++
		}
		dst = append(dst, line[:n]...)
		line = line[n:]
	}
	return dst
}

func appendKeyParams(dst, params []byte) []byte {
	for first := true; ; first = false {
		param, rest, more := bytes.Cut(params, []byte(";"))
		if !first {
			dst = append(dst, ';')
		}
		if method, value, ok := bytes.Cut(param, []byte(":")); ok {
			dst = append(append(append(dst, method...), ':'), redacted...)
			if bar := bytes.IndexByte(value, '|'); bar >= 0 {
				dst = append(dst, value[bar:]...)
			}
		} else {
			dst = append(dst, redacted...)
		}
		if !more {
			return dst
		}
		params = rest
	}
}

// hideInline removes inline: keys that stand somewhere else than in a crypto line, in place.
func hideInline(b []byte, start int) []byte {
	for at := start; ; {
		i := bytes.Index(b[at:], []byte("nline:"))
		if i < 0 {
			return b
		}
		at += i + len("nline:")
		n := 0
		for at+n < len(b) && base64Char(b[at+n]) {
			n++
		}
		if n < 16 { // RFC 4568, 6.2: the shortest key and salt are 30 bytes, 40 characters
			continue
		}
		b = append(b[:at], append([]byte(redacted), b[at+n:]...)...)
	}
}

func base64Char(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '=' || c == '-' || c == '_'
}

// hidePrivateKeys cuts everything between the BEGIN and END lines of PEM private keys.
func hidePrivateKeys(dst, text []byte) []byte {
	for {
		i := bytes.Index(text, []byte("PRIVATE KEY-----"))
		if i < 0 {
			return append(dst, text...)
		}
		i += len("PRIVATE KEY-----")
		dst = append(dst, text[:i]...)
		dst = append(dst, redacted...)
		end := bytes.Index(text[i:], []byte("-----END"))
		if end < 0 {
			return dst
		}
		text = text[i+end:]
		next, rest := cutLine(text)
		dst = append(dst, next...)
		text = rest
	}
}
