package sip

import "strings"

// Equal compares two URIs. RFC 3261, 19.1.4: user and password with case, the rest without; escapes of ordinary characters
// count as the character; user, ttl, method, maddr (and transport, RFC 5954) must be in both or in neither; other
// parameters matter only where both have them; headers must be the same.
func (u URI) Equal(v URI) bool {
	if u.Scheme != v.Scheme {
		return false
	}
	if !u.IsSIP() {
		return u.Opaque == v.Opaque
	}
	return samePart(u.User, v.User) && samePart(u.Password, v.Password) && strings.EqualFold(u.Host, v.Host) &&
		u.Port == v.Port && sameURIParams(u.Params, v.Params) && sameURIParams(v.Params, u.Params) &&
		sameURIHeaders(u.Headers, v.Headers)
}

// samePart compares two escaped parts with case.
func samePart(a, b string) bool {
	if a == b {
		return true
	}
	if strings.IndexByte(a, '%') < 0 && strings.IndexByte(b, '%') < 0 {
		return false
	}
	return normalEscapes(a) == normalEscapes(b)
}

// normalEscapes resolves the escapes of characters that need none; those of reserved characters stay, in upper case.
// RFC 3261, 19.1.4: "%" HEX HEX of a reserved character is not the same as the character.
func normalEscapes(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
			b = append(b, s[i])
			continue
		}
		c := byte(unhex(s[i+1])<<4 | unhex(s[i+2]))
		if classes[c]&calphanum != 0 || strings.IndexByte(uriMarks, c) >= 0 {
			b = append(b, c)
		} else {
			b = append(b, strings.ToUpper(s[i:i+3])...)
		}
		i += 2
	}
	return string(b)
}

func sameURIParams(a, b Params) bool {
	for i := range a {
		other, ok := b.Get(a[i].Name)
		if !ok {
			switch strings.ToLower(a[i].Name) {
			case "user", "ttl", "method", "maddr", "transport":
				return false
			}
			continue
		}
		if !strings.EqualFold(normalEscapes(a[i].Value), normalEscapes(other)) {
			return false
		}
	}
	return true
}

func sameURIHeaders(a, b Params) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		other, ok := b.Get(a[i].Name)
		if !ok || !samePart(a[i].Value, other) {
			return false
		}
	}
	return true
}
