package sip

import "strings"

// value reads one header field value. Parameters go to the end of params, so that a message needs one allocation for all
// of them; with discard they are checked and not kept.
type value struct {
	s       string
	i       int
	params  []Param
	discard bool
	what    string // the first fault, at byte at
	at      int
}

func (v *value) fail(what string) bool {
	if v.what == "" {
		v.what, v.at = what, v.i
	}
	return false
}

func (v *value) err(header string) error {
	return &ParseError{Offset: v.at, Header: header, What: v.what, Status: 400}
}

func (v *value) skip() {
	for v.i < len(v.s) && (v.s[v.i] == ' ' || v.s[v.i] == '\t') {
		v.i++
	}
}

func (v *value) done() bool { return v.i >= len(v.s) }

func (v *value) peek() byte {
	if v.done() {
		return 0
	}
	return v.s[v.i]
}

// span takes the longest run of octets of one class.
func (v *value) span(k class) string {
	start := v.i
	for v.i < len(v.s) && classes[v.s[v.i]]&k != 0 {
		v.i++
	}
	return v.s[start:v.i]
}

// literal takes SWS c SWS.
func (v *value) literal(c byte) bool {
	v.skip()
	if v.peek() != c {
		return false
	}
	v.i++
	v.skip()
	return true
}

// end demands that nothing is left but white space.
func (v *value) end() bool {
	v.skip()
	if !v.done() {
		return v.fail("unexpected characters after the value")
	}
	return true
}

// parameters reads *( SEMI generic-param ). RFC 3261, 25.1.
func (v *value) parameters() (Params, bool) {
	start := len(v.params)
	ok := true
	for ok && v.literal(';') {
		var p Param
		if p, ok = v.parameter(); ok && !v.discard {
			v.params = append(v.params, p)
		}
	}
	if len(v.params) == start {
		return nil, ok
	}
	return v.params[start:len(v.params):len(v.params)], ok
}

func (v *value) parameter() (p Param, ok bool) {
	if p.Name = v.span(ctoken); p.Name == "" {
		return p, v.fail("a parameter needs a name: a token after \";\"")
	}
	if v.literal('=') {
		if p.Value = v.parameterValue(); p.Value == "" {
			return p, v.fail("a parameter value must be a token, a host or a quoted string with both quotes")
		}
	}
	return p, true
}

func (v *value) parameterValue() string {
	if v.peek() == '"' {
		n := quotedEnd(v.s[v.i:])
		v.i += n
		return v.s[v.i-n : v.i]
	}
	return v.span(cvalue)
}

// address reads ( name-addr / addr-spec ) *( SEMI generic-param ), without what follows. RFC 3261, 20.10.
func (v *value) address() (a Address, ok bool) {
	v.skip()
	if v.peek() == '*' && trim(v.s[v.i+1:]) == "" {
		v.i = len(v.s)
		a.URI.Opaque = "*"
		return a, true
	}
	if ok = v.nameAddr(&a); !ok {
		return Address{}, false
	}
	if a.Params, ok = v.parameters(); !ok {
		return Address{}, false
	}
	return a, true
}

func (v *value) nameAddr(a *Address) bool {
	if v.peek() == '"' {
		n := quotedEnd(v.s[v.i:])
		if n == 0 {
			return v.fail("the display name's quotes are unbalanced or hold a control character")
		}
		a.Display = Unquote(v.s[v.i : v.i+n])
		v.i += n
		v.skip()
		if v.peek() != '<' {
			return v.fail("after a display name the URI must stand in angle brackets")
		}
		return v.bracketed(a)
	}
	lt := strings.IndexByte(v.s[v.i:], '<')
	if lt < 0 {
		return v.addrSpec(a)
	}
	if semi := strings.IndexByte(v.s[v.i:], ';'); semi >= 0 && semi < lt {
		return v.addrSpec(a)
	}
	a.Display = trimRight(v.s[v.i : v.i+lt])
	for i := 0; i < len(a.Display); i++ { // *( token LWS ); UTF-8 is let pass
		if c := a.Display[i]; classes[c]&ctoken == 0 && c != ' ' && c != '\t' && c < 0x80 {
			v.i += i
			return v.fail("a display name with anything but tokens must be quoted")
		}
	}
	v.i += lt
	return v.bracketed(a)
}

func (v *value) bracketed(a *Address) bool {
	n := strings.IndexByte(v.s[v.i:], '>')
	if n < 0 {
		return v.fail("\"<\" without \">\"")
	}
	if !v.uri(&a.URI, v.i+1, v.i+n) {
		return false
	}
	v.i += n + 1
	return true
}

// addrSpec reads a URI without brackets: it ends at white space, "," or ";" and may hold no "?".
func (v *value) addrSpec(a *Address) bool {
	n := strings.IndexAny(v.s[v.i:], " \t,;?")
	if n < 0 {
		n = len(v.s) - v.i
	} else if v.s[v.i+n] == '?' {
		v.i += n
		return v.fail("a URI with \"?\" must stand in angle brackets")
	}
	if !v.uri(&a.URI, v.i, v.i+n) {
		return false
	}
	v.i += n
	return true
}

// uri reads s[from:to] as an absolute URI; the position stays.
func (v *value) uri(u *URI, from, to int) bool {
	s := v.s[from:to]
	colon := strings.IndexByte(s, ':')
	if colon <= 0 || s[0]|0x20 < 'a' || s[0]|0x20 > 'z' {
		return v.failAt(from, "a URI must begin with a scheme and \":\"")
	}
	switch scheme := s[:colon]; {
	case strings.EqualFold(scheme, "sip"):
		u.Scheme = "sip"
	case strings.EqualFold(scheme, "sips"):
		u.Scheme = "sips"
	default:
		for i := 0; i < len(scheme); i++ {
			if c := scheme[i]; classes[c]&calphanum == 0 && c != '+' && c != '-' && c != '.' {
				return v.failAt(from+i, "a URI scheme holds letters, digits, \"+\", \"-\" and \".\"")
			}
		}
		u.Scheme, u.Opaque = strings.ToLower(scheme), s[colon+1:]
		if !allIn(u.Opaque, copaque) {
			return v.failAt(from+colon+1, "the URI holds a character that must be escaped, or nothing after its scheme")
		}
		return true
	}
	return v.sipURI(u, from+colon+1, to)
}

func (v *value) failAt(at int, what string) bool {
	if v.what == "" {
		v.what, v.at = what, at
	}
	return false
}

// sipURI reads [ userinfo ] hostport uri-parameters [ headers ].
func (v *value) sipURI(u *URI, i, to int) bool {
	if at := strings.IndexByte(v.s[i:to], '@'); at >= 0 {
		user := v.s[i : i+at]
		colon := strings.IndexByte(user, ':')
		if colon >= 0 {
			u.Password = user[colon+1:]
			if bad := escapedIn(u.Password, cpassword); bad >= 0 {
				return v.failAt(i+colon+1+bad, "character not allowed in the password of a URI, escape it")
			}
			user = user[:colon]
		}
		if bad := escapedIn(user, cuser); bad >= 0 || user == "" {
			return v.failAt(i+max(bad, 0), "empty user part, or a character that must be escaped in it")
		}
		u.User = user
		i += at + 1
	}
	end := to
	if n := indexEither(v.s[i:to], ';', '?'); n >= 0 {
		end = i + n
	}
	if !v.hostPort(&u.Host, &u.Port, i, end) {
		return false
	}
	end = v.uriParams(u, end, to)
	return end == to || end >= 0 && v.uriHeaders(u, end, to)
}

// hostPort reads s[i:to] as host [ ":" port ].
func (v *value) hostPort(host *string, port *int, i, to int) bool {
	s := v.s[i:to]
	n := len(s)
	if strings.HasPrefix(s, "[") {
		if n = strings.IndexByte(s, ']') + 1; n == 0 {
			return v.failAt(i, "\"[\" without \"]\"")
		}
	} else if colon := strings.IndexByte(s, ':'); colon >= 0 {
		n = colon
	}
	var ok bool
	if *host, ok = parseHost(trimRight(s[:n])); !ok {
		return v.failAt(i, "the host is no name, no IPv4 address and no IPv6 address in brackets")
	}
	if rest := trim(s[n:]); rest != "" {
		if rest[0] == ':' {
			*port = parsePort(strings.TrimLeft(rest[1:], " \t"))
		}
		if *port == 0 {
			return v.failAt(i+n, "after the host, a port must be a number from 1 to 65535")
		}
	}
	return true
}

// uriParams reads *( ";" pname [ "=" pvalue ] ) and returns where it ended, -1 after a fault.
func (v *value) uriParams(u *URI, i, to int) int {
	start := len(v.params)
	for i < to && v.s[i] == ';' {
		n := indexEither(v.s[i+1:to], ';', '?')
		if n < 0 {
			n = to - i - 1
		}
		var p Param
		var eq bool
		p.Name, p.Value, eq = strings.Cut(v.s[i+1:i+1+n], "=")
		if p.Name == "" || eq && p.Value == "" || escapedIn(p.Name, cuparam) >= 0 || escapedIn(p.Value, cuparam) >= 0 {
			v.failAt(i+1, "a URI parameter is name or name=value, without spaces and quotes")
			return -1
		}
		if !v.discard {
			v.params = append(v.params, p)
		}
		i += n + 1
	}
	if len(v.params) > start {
		u.Params = v.params[start:len(v.params):len(v.params)]
	}
	return i
}

// uriHeaders reads "?" hname "=" hvalue *( "&" ... ).
func (v *value) uriHeaders(u *URI, i, to int) bool {
	start := len(v.params)
	for s := range strings.SplitSeq(v.s[i+1:to], "&") {
		name, val, eq := strings.Cut(s, "=")
		if name == "" || !eq || escapedIn(name, cuheader) >= 0 || escapedIn(val, cuheader) >= 0 {
			return v.failAt(i+1, "the headers of a URI are name=value, joined by \"&\" and escaped")
		}
		if !v.discard {
			v.params = append(v.params, Param{name, val})
		}
	}
	if len(v.params) > start {
		u.Headers = v.params[start:len(v.params):len(v.params)]
	}
	return true
}

// via reads one Via value: sent-protocol LWS sent-by *( SEMI via-params ). RFC 3261, 20.42.
func (v *value) via() (out Via, ok bool) {
	v.skip()
	if name := v.span(ctoken); !strings.EqualFold(name, "SIP") || !v.literal('/') {
		return out, v.fail("Via must begin with SIP/2.0/ and a transport")
	}
	version := v.i
	other := v.span(ctoken) != "2.0"
	if !v.literal('/') {
		return out, v.fail("Via must begin with SIP/2.0/ and a transport")
	}
	if out.Transport = strings.ToUpper(v.span(ctoken)); out.Transport == "" {
		return out, v.fail("Via must begin with SIP/2.0/ and a transport")
	}
	before := v.i
	if v.skip(); v.i == before {
		return out, v.fail("white space must follow the transport of Via")
	}
	end := len(v.s)
	if n := indexEither(v.s[v.i:], ';', ','); n >= 0 {
		end = v.i + n
	}
	if !v.hostPort(&out.Host, &out.Port, v.i, end) {
		return out, false
	}
	v.i = end
	out.Params, ok = v.parameters()
	if other { // the rest is read all the same: a 505 has to find its way back
		return out, v.failAt(version, "the SIP version of Via is not 2.0")
	}
	return out, ok
}

// ParseURI reads an absolute URI.
func ParseURI(s string) (URI, error) {
	v := value{s: s}
	var u URI
	if !v.uri(&u, 0, len(s)) {
		return URI{}, v.err("URI")
	}
	return u, nil
}

// ParseAddress reads one name-addr or addr-spec with header parameters; `*` gives IsWildcard.
// RFC 3261, 20.10: without angle brackets, parameters belong to the header, and the URI may hold no comma, `?` or `;`.
func ParseAddress(s string) (Address, error) {
	v := value{s: s}
	a, ok := v.address()
	if !ok || !v.end() {
		return Address{}, v.err("address")
	}
	return a, nil
}

// ParseVia reads one Via value.
func ParseVia(s string) (Via, error) {
	v := value{s: s}
	via, ok := v.via()
	if !ok || !v.end() {
		return Via{}, v.err("Via")
	}
	return via, nil
}

// ParseCSeq reads a CSeq value. RFC 3261, 8.1.1.5: the number is below 2**31.
func ParseCSeq(s string) (CSeq, error) {
	v := value{s: s}
	c, ok := v.cseq()
	if !ok {
		return CSeq{}, v.err("CSeq")
	}
	return c, nil
}

func (v *value) cseq() (CSeq, bool) {
	v.skip()
	n, ok := parseDigits(v.span(cdigit), 1<<31-1)
	if !ok {
		return CSeq{}, v.fail("the CSeq number must be below 2147483648")
	}
	before := v.i
	v.skip()
	method := v.span(ctoken)
	if v.i == before || method == "" || before+len(method) == v.i {
		return CSeq{}, v.fail("CSeq is a number, white space and a method")
	}
	return CSeq{uint32(n), Method(method)}, v.end()
}
