package sip

import (
	"strconv"
	"strings"
)

// Param is one parameter as it is on the wire: a quoted string keeps its quotes, a URI parameter its escapes.
// Value "" is a flag (`;lr`); an empty quoted string is `""`.
type Param struct{ Name, Value string }

// Params is an ordered parameter list. Names compare in any case. It is a value: With and Without copy.
type Params []Param

// Get is the value of the first parameter with that name, without quotes; ok is true for a flag too.
func (p Params) Get(name string) (value string, ok bool) {
	for i := range p {
		if strings.EqualFold(p[i].Name, name) {
			return Unquote(p[i].Value), true
		}
	}
	return "", false
}

// Has says whether there is a parameter with that name.
func (p Params) Has(name string) bool {
	_, ok := p.Get(name)
	return ok
}

// With is p with the parameter set: in its place when it was there, else at the end. A value that is no token, host or
// quoted string already is quoted.
func (p Params) With(name, value string) Params {
	value = quoteIfNeeded(value)
	out := make(Params, 0, len(p)+1)
	done := false
	for _, q := range p {
		if strings.EqualFold(q.Name, name) {
			if done {
				continue
			}
			q.Value, done = value, true
		}
		out = append(out, q)
	}
	if !done {
		out = append(out, Param{name, value})
	}
	return out
}

// Without is p with that parameter removed; p itself when it has none.
func (p Params) Without(name string) Params {
	if !p.Has(name) {
		return p
	}
	out := make(Params, 0, len(p))
	for _, q := range p {
		if !strings.EqualFold(q.Name, name) {
			out = append(out, q)
		}
	}
	return out
}

// String is the list as a SIP URI has it, each parameter behind a semicolon.
func (p Params) String() string { return string(p.append(nil, ';')) }

// ParseURIParams reads the parameters of a SIP URI as String writes them.
func ParseURIParams(s string) (Params, error) {
	if s == "" {
		return nil, nil
	}
	u, err := ParseURI("sip:h" + s)
	if err != nil {
		return nil, err
	}
	if s[0] != ';' || len(u.Headers) > 0 {
		return nil, &ParseError{What: "parameters of a URI stand behind semicolons, and no header fields behind them", Status: 400}
	}
	return u.Params, nil
}

func (p Params) append(b []byte, separator byte) []byte {
	for i := range p {
		b = append(b, separator)
		b = append(b, p[i].Name...)
		if p[i].Value != "" {
			b = append(b, '=')
			b = append(b, p[i].Value...)
		}
	}
	return b
}

// URI is a SIP or SIPS URI in its parts, or any other absolute URI as Scheme and Opaque. RFC 3261, 19.1.1.
// User, Password, parameters and headers are as on the wire, escapes included (Unescape reads them, Escape makes them);
// Scheme is lower case; Host has no brackets (2001:db8::1) and keeps its case.
type URI struct {
	Scheme, User, Password, Host string
	Port                         int // 0 = not given
	Params, Headers              Params
	Opaque                       string // everything after "scheme:" of a URI that is not sip or sips: tel, urn, http ...
}

// IsZero says whether u is the zero URI.
func (u URI) IsZero() bool { return u.Scheme == "" && u.Host == "" && u.Opaque == "" }

// IsSIP says whether the scheme is sip or sips.
func (u URI) IsSIP() bool { return u.Scheme == "sip" || u.Scheme == "sips" }

// IsSecure says whether the scheme is sips. RFC 5630, 3.1.
func (u URI) IsSecure() bool { return u.Scheme == "sips" }

// Transport is the transport parameter in lower case, "" when absent.
func (u URI) Transport() string {
	t, _ := u.Params.Get("transport")
	return strings.ToLower(t)
}

// IsLoose says whether the lr parameter is there: a loose router (RFC 3261, 19.1.1).
func (u URI) IsLoose() bool { return u.Params.Has("lr") }

// String is the URI as on the wire.
func (u URI) String() string { return string(u.Append(make([]byte, 0, 64))) }

// Append writes the URI to b.
func (u URI) Append(b []byte) []byte {
	b = append(b, u.Scheme...)
	b = append(b, ':')
	if !u.IsSIP() {
		return append(b, u.Opaque...)
	}
	if u.User != "" {
		b = append(b, u.User...)
		if u.Password != "" {
			b = append(b, ':')
			b = append(b, u.Password...)
		}
		b = append(b, '@')
	}
	b = appendHostPort(b, u.Host, u.Port)
	b = u.Params.append(b, ';')
	for i, h := range u.Headers {
		b = append(b, "?&"[min(i, 1)])
		b = append(b, h.Name...)
		b = append(b, '=')
		b = append(b, h.Value...)
	}
	return b
}

func appendHostPort(b []byte, host string, port int) []byte {
	if strings.IndexByte(host, ':') >= 0 {
		b = append(b, '[')
		b = append(b, host...)
		b = append(b, ']')
	} else {
		b = append(b, host...)
	}
	if port > 0 {
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(port), 10)
	}
	return b
}
