package sdp

import "strconv"

func itoa(n int) string { return strconv.Itoa(n) }

// Bytes is Append to nothing.
func (s *Session) Bytes() []byte { return s.Append(make([]byte, 0, 512)) }

// Append writes the description, keys included, in the order RFC 4566, 5 gives, lines ending in CRLF.
func (s *Session) Append(b []byte) []byte {
	b = append(b, "v=0\r\no="...)
	b = s.Origin.append(b)
	b = line(b, 's', orDash(s.Name))
	for _, l := range s.Info {
		b = line(b, l.Type, l.Value)
	}
	if !s.Conn.IsZero() {
		b = s.Conn.append(append(b, "c="...))
		b = append(b, "\r\n"...)
	}
	for _, v := range s.Bandwidth {
		b = line(b, 'b', v)
	}
	if len(s.Times) == 0 {
		b = append(b, "t=0 0\r\n"...)
	}
	for _, l := range s.Times {
		b = line(b, l.Type, l.Value)
	}
	if s.HasDir {
		b = line(b, 'a', s.Direction.String())
	}
	b = appendAttributes(b, s.Attributes)
	for i := range s.Media {
		b = s.Media[i].append(b, s)
	}
	return b
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func line(b []byte, typ byte, v string) []byte {
	b = append(b, typ, '=')
	b = append(b, v...)
	return append(b, "\r\n"...)
}

func (o Origin) append(b []byte) []byte {
	b = append(b, orDash(o.Username)...)
	b = strconv.AppendUint(append(b, ' '), o.ID, 10)
	b = strconv.AppendUint(append(b, ' '), o.Version, 10)
	b = o.Conn.append(append(b, ' '))
	return append(b, "\r\n"...)
}

func (c Conn) append(b []byte) []byte {
	if c.IsZero() {
		return append(b, "IN IP4 0.0.0.0"...)
	}
	b = append(append(b, "IN "...), c.Type...)
	return append(append(b, ' '), c.Addr...)
}

func appendAttributes(b []byte, as []Attribute) []byte {
	for _, a := range as {
		b = append(append(b, "a="...), a.Name...)
		if a.Value != "" {
			b = append(append(b, ':'), a.Value...)
		}
		b = append(b, "\r\n"...)
	}
	return b
}

func (m *Media) append(b []byte, s *Session) []byte {
	b = append(append(b, "m="...), m.Type...)
	b = strconv.AppendUint(append(b, ' '), uint64(m.Port), 10)
	if m.PortCount != 0 {
		b = strconv.AppendInt(append(b, '/'), int64(m.PortCount), 10)
	}
	b = append(append(b, ' '), m.Proto...)
	for _, f := range m.Formats {
		b = append(append(b, ' '), f...)
	}
	b = append(b, "\r\n"...)
	if m.Title != "" {
		b = line(b, 'i', m.Title)
	}
	if !m.Conn.IsZero() {
		b = append(m.Conn.append(append(b, "c="...)), "\r\n"...)
	}
	for _, v := range m.Bandwidth {
		b = line(b, 'b', v)
	}
	return m.appendAttributes(b, s)
}

func (m *Media) appendAttributes(b []byte, s *Session) []byte {
	for _, c := range m.Codecs {
		b = c.append(b)
	}
	for _, c := range m.Crypto {
		b = append(c.Append(append(b, "a=crypto:"...)), "\r\n"...)
	}
	b = appendNumber(b, "ptime", m.Ptime)
	b = appendNumber(b, "maxptime", m.MaxPtime)
	if m.RTCP.Port != 0 {
		b = strconv.AppendUint(append(b, "a=rtcp:"...), uint64(m.RTCP.Port), 10)
		if !m.RTCP.Conn.IsZero() {
			b = m.RTCP.Conn.append(append(b, ' '))
		}
		b = append(b, "\r\n"...)
	}
	if m.RTCPMux {
		b = append(b, "a=rtcp-mux\r\n"...)
	}
	if m.HasDir {
		b = line(b, 'a', m.Direction.String())
	}
	return appendAttributes(b, m.Attributes)
}

func appendNumber(b []byte, name string, n int) []byte {
	if n == 0 {
		return b
	}
	b = append(append(append(b, "a="...), name...), ':')
	return append(strconv.AppendInt(b, int64(n), 10), "\r\n"...)
}

func (c Codec) append(b []byte) []byte {
	b = strconv.AppendUint(append(b, "a=rtpmap:"...), uint64(c.PT), 10)
	b = append(append(b, ' '), c.Name...)
	b = strconv.AppendInt(append(b, '/'), int64(c.Rate), 10)
	if c.Channels > 1 {
		b = strconv.AppendInt(append(b, '/'), int64(c.Channels), 10)
	}
	b = append(b, "\r\n"...)
	if c.Fmtp == "" {
		return b
	}
	b = strconv.AppendUint(append(b, "a=fmtp:"...), uint64(c.PT), 10)
	b = append(append(b, ' '), c.Fmtp...)
	return append(b, "\r\n"...)
}
