package sip

// Address is a name-addr or addr-spec with its header parameters. RFC 3261, 20.10. Display is decoded (no quotes).
type Address struct {
	Display string
	URI     URI
	Params  Params
}

// Tag is the tag parameter, "" when absent.
func (a Address) Tag() string {
	tag, _ := a.Params.Get("tag")
	return tag
}

// IsWildcard says whether a is the `*` of a REGISTER that removes every binding (RFC 3261, 10.2.2).
func (a Address) IsWildcard() bool { return a.URI.Scheme == "" && a.URI.Opaque == "*" }

// String is the address as on the wire, always with angle brackets so that URI parameters stay with the URI.
func (a Address) String() string { return string(a.Append(make([]byte, 0, 96))) }

// Append writes the address to b.
func (a Address) Append(b []byte) []byte {
	if a.IsWildcard() {
		return append(b, '*')
	}
	if a.Display != "" {
		b = appendQuoted(b, a.Display)
		b = append(b, ' ')
	}
	b = append(b, '<')
	b = a.URI.Append(b)
	b = append(b, '>')
	return a.Params.append(b, ';')
}
