package trace

import "bytes"

// Most records hold no secret. The functions here say so with one look at the text, so that it is neither copied nor
// taken apart; what they cannot rule out goes the careful way of redact.go. They must never say no where redact.go
// would change something: TestSuspectAgrees and FuzzRedact compare the two.

// suspect reports whether redacting could change the text.
func (p policy) suspect(text []byte, sip bool) bool {
	if !sip {
		return p.suspectText(text)
	}
	head, body := splitMessage(text)
	if suspectHead(head) {
		return true
	}
	if bytes.HasPrefix(body, []byte("v=0")) {
		return suspectSDP(body)
	}
	return len(body) > 0
}

// suspectHead looks at the first letters of each line and at what stands before each @.
func suspectHead(head []byte) bool {
	for rest := head; len(rest) > 0; {
		switch rest[0] | 0x20 {
		case 'a', 'p', 'x', 'c', 's':
			line, _ := cutLine(rest)
			if secretHeader(line) || digitBody(line) {
				return true
			}
		}
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
	}
	return suspectURI(head) || bytes.Contains(head, []byte("nline:"))
}

// suspectURI reports whether a user part before an @ has a password.
func suspectURI(text []byte) bool {
	for rest := text; ; {
		at := bytes.IndexByte(rest, '@')
		if at < 0 {
			return false
		}
		if uriPassword(rest[:at]) >= 0 {
			return true
		}
		rest = rest[at+1:]
	}
}

// suspectSDP looks for the lines that carry keys.
func suspectSDP(body []byte) bool {
	for rest := body; len(rest) > 0; {
		if len(rest) > 2 && rest[1] == '=' && (rest[0]|0x20 == 'k' || rest[0]|0x20 == 'a' && suspectAttribute(rest[2])) {
			line, _ := cutLine(rest)
			if secretLine(line) != 0 {
				return true
			}
		}
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
	}
	return bytes.Contains(body, []byte("nline:"))
}

func suspectAttribute(c byte) bool {
	c |= 0x20
	return c == 'c' || c == 'k' || c == 'i'
}

// suspectText looks at the two letters before each divider that could end a secret name.
func (p policy) suspectText(text []byte) bool {
	for i, c := range text {
		if !divider[c] {
			continue
		}
		if c == '@' {
			if uriPassword(text[:i]) >= 0 {
				return true
			}
			continue
		}
		if i == 0 {
			continue
		}
		j := i - 1
		for j > 0 && (text[j] == '"' || text[j] == '\\' || text[j] == '\'' || text[j] == ' ' || text[j] == '\t') {
			j--
		}
		if j == 0 || c == '=' && (text[j-1] == '\n' || text[j-1] == '\r') {
			if text[j]|0x20 == 'k' || text[j]|0x20 == 'a' {
				return true // could be an SDP line: the careful way knows
			}
			continue
		}
		if mayEnd(text[j-1], text[j]) && p.suspectName(text[:i]) {
			return true
		}
	}
	return bytes.Contains(text, []byte("PRIVATE KEY-----"))
}

// suspectName reports whether the name that ends b is one that redact.go knows.
func (p policy) suspectName(b []byte) bool {
	name, _ := nameBefore(b)
	switch len(name) {
	case 6, 7:
		if hasFold(name, "crypto") || hasFold(name, "ice-pwd") {
			return true
		}
	case 10:
		if hasFold(name, "Set-Cookie") {
			return true
		}
	case 13, 18, 19, 25:
		for _, h := range secretHeaders {
			if len(h) == len(name) && hasFold(name, h) {
				return true
			}
		}
	}
	return p.secret(name) || bytes.HasSuffix(name, []byte("nline")) || hasFold(name, "key-mgmt") || hasFold(name, "cookie")
}

var divider = [256]bool{':': true, '=': true, '>': true, '@': true}

// mayEnd reports whether a secret name can end in these two letters.
func mayEnd(a, b byte) bool { return nameEnds[a&31]&(1<<(b&31)) != 0 }

// nameEnds has a bit for the last two letters of every name that redact.go hides the value of.
var nameEnds = func() (t [32]uint32) {
	for _, names := range [...][]string{
		secretSuffixes[:], secretHeaders[:], {"key", "keys", "pin", "pins", "dtmf", "digit", "digits", "nline", "crypto", "mgmt", "icepwd"},
	} {
		for _, n := range names {
			t[n[len(n)-2]&31] |= 1 << (n[len(n)-1] & 31)
		}
	}
	return t
}()
