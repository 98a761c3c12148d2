package trace

import "bytes"

// appendNamed copies one line and hides the values of secret names in it, in whatever form the pair stands:
//
//	"password":"x"   \"password\":\"x\"   password: x   password=x   <password>x</password>   pin = 1234
func (p policy) appendNamed(dst, line []byte) []byte {
	for {
		i := bytes.IndexAny(line, ":=>")
		if i < 0 {
			return p.appendHeader(dst, line)
		}
		name, quoted := nameBefore(line[:i])
		if !p.secret(name) {
			dst = p.appendHeader(dst, line[:i])
			dst = append(dst, line[i])
			if line[i] != ':' || !hasScheme(line[:i]) {
				line = line[i+1:]
				continue
			}
			// A SIP URI: its user part may hold a password, which looks like no name at all.
			at := bytes.IndexByte(line[i+1:], '@')
			if at < 0 {
				line = line[i+1:]
				continue
			}
			if c := bytes.IndexByte(line[i+1:i+1+at], ':'); c >= 0 && uriPassword(line[:i+1+at]) >= 0 {
				dst = append(append(dst, line[i+1:i+2+c]...), redacted...)
				line = line[i+1+at:]
				continue
			}
			line = line[i+1:]
			continue
		}
		dst = append(dst, line[:i+1]...)
		dst, line = appendHiddenValue(dst, line[i+1:], line[i], quoted)
	}
}

// nameBefore returns the name that ends b, without quotes and blanks, and whether it was quoted.
func nameBefore(b []byte) (name []byte, quoted bool) {
	end := len(b)
	for end > 0 && (b[end-1] == ' ' || b[end-1] == '\t') {
		end--
	}
	for end > 0 && (b[end-1] == '"' || b[end-1] == '\'' || b[end-1] == '\\') {
		end, quoted = end-1, true
	}
	start := end
	for start > 0 && nameChar(b[start-1]) {
		start--
	}
	return b[start:end], quoted
}

func nameChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

func (p policy) secret(name []byte) bool {
	return secretName(name) || !p.digits && digitName(name) && !(p.patterns && hasFold(name, "digits"))
}

// secretName reports whether a name says that its value is a secret. Case, "_" and "-" do not matter.
func secretName(name []byte) bool {
	if len(name) < 3 || len(name) > 40 {
		return false
	}
	if !mayEnd(name[len(name)-2], name[len(name)-1]) {
		return false
	}
	var buf [40]byte
	n := buf[:0]
	for _, c := range name {
		if c != '_' && c != '-' {
			n = append(n, lower(c))
		}
	}
	if string(n) == "key" || string(n) == "keys" || string(n) == "pin" || string(n) == "pins" {
		return true
	}
	for _, s := range suffixesBy[name[len(name)-1]&31] {
		if len(n) >= len(s) && string(n[len(n)-len(s):]) == s {
			return true
		}
	}
	return false
}

// suffixesBy groups the suffixes by their last letter.
var suffixesBy = func() (t [32][]string) {
	for _, s := range secretSuffixes {
		c := s[len(s)-1] & 31
		t[c] = append(t[c], s)
	}
	return t
}()

var secretSuffixes = [...]string{
	"password", "passwd", "pwd", "passphrase", "secret", "secrets", "token", "authstring", "authorizationstring",
	"privatekey", "masterkey", "masterkeys", "srtpkey", "apikey", "secretkey", "psk", "ha1", "credential", "credentials",
	"authorization", "userpin", "passcode", "nonceresponse", "digestresponse", "bearer",
}

// digitName reports whether a name's value is what a caller keyed in.
func digitName(name []byte) bool {
	switch len(name) {
	case 4, 5, 6, 10, 11:
	default:
		return false
	}
	var buf [16]byte
	n := buf[:0]
	for _, c := range name {
		n = append(n, lower(c))
	}
	switch string(n) {
	case "dtmf", "digit", "digits", "dtmfdigit", "dtmfdigits", "dtmf_digit", "dtmf_digits":
		return true
	}
	return false
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// appendHiddenValue appends the place holder for the value at the start of b and returns what follows the value.
func appendHiddenValue(dst, b []byte, delim byte, quotedName bool) (out, rest []byte) {
	n := 0
	for n < len(b) && (b[n] == ' ' || b[n] == '\t') {
		n++
	}
	dst = append(dst, b[:n]...)
	b, spaced := b[n:], n > 0
	if len(b) == 0 || b[0] == '\r' || b[0] == '\n' || b[0] == '{' {
		return dst, b // a heading or an object: what is inside has names of its own
	}
	if bytes.HasPrefix(b, []byte(redacted)) {
		return append(dst, redacted...), b[len(redacted):]
	}
	if end, open, ok := quotedValue(b); ok {
		dst = append(append(append(dst, open...), redacted...), open...)
		return dst, b[end:]
	}
	stop := " \t\r\n,;&}])\\\"'<"
	switch {
	case b[0] == '[':
		stop = "]\r\n"
		b = b[1:]
		dst = append(dst, '[')
	case delim == '>':
		stop = "<\r\n"
	case quotedName:
		stop = ",}]\r\n"
	case spaced:
		stop = "\r\n"
	}
	end := bytes.IndexAny(b, stop)
	if end < 0 {
		end = len(b)
	}
	switch {
	case end == 0:
		return dst, b
	case quotedName:
		dst = append(dst, `"`+redacted+`"`...)
	default:
		dst = append(dst, redacted...)
	}
	return dst, b[end:]
}

// quotedValue finds the end of a quoted value; open is the quote as it stands there: ", ' or an escaped \".
func quotedValue(b []byte) (end int, open []byte, ok bool) {
	i := 0
	for i < len(b) && b[i] == '\\' {
		i++
	}
	if i >= len(b) || b[i] != '"' && b[i] != '\'' {
		return 0, nil, false
	}
	open = b[:i+1]
	for at := len(open); at < len(b); at++ {
		if bytes.HasPrefix(b[at:], open) && (i > 0 || b[at-1] != '\\' || at == len(open)) {
			return at + len(open), open, true
		}
		if i == 0 && b[at] == '\\' {
			at++ // an escaped character is part of the value
		}
	}
	return len(b), open, true
}
