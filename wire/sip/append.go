package sip

import (
	"slices"
	"strconv"
)

// Append writes the message to b, with a Content-Length computed from the body as last field.
func (m *Message) Append(b []byte) []byte {
	b = slices.Grow(b, m.size())
	b = m.appendStartLine(b)
	for i := range m.fields {
		f := &m.fields[i]
		b = append(b, f.Name...)
		b = append(b, ": "...)
		b = append(b, f.Value...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(m.body)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, m.body...)
}

func (m *Message) appendStartLine(b []byte) []byte {
	if m.status != 0 {
		b = append(b, sipVersion...)
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(m.status), 10)
		b = append(b, ' ')
		b = append(b, m.reason...)
		return append(b, "\r\n"...)
	}
	start := len(b)
	b = append(b, m.method...)
	b = append(b, ' ')
	b = m.uri.Append(b)
	for i, c := range b[start:] { // a Request-URI may have been built from anything
		if c == '\r' || c == '\n' {
			b[start+i] = '_'
		}
	}
	return append(b, " SIP/2.0\r\n"...)
}

// size is a little more than the bytes Append needs.
func (m *Message) size() int {
	n := 160 + len(m.reason) + len(m.uri.User) + len(m.uri.Host) + len(m.uri.Opaque) + len(m.body)
	for _, p := range m.uri.Params {
		n += len(p.Name) + len(p.Value) + 2
	}
	for i := range m.fields {
		n += len(m.fields[i].Name) + len(m.fields[i].Value) + 4
	}
	return n
}

// String is the message as on the wire.
func (m *Message) String() string { return string(m.Append(nil)) }
