package sdp

import (
	"net/netip"
	"slices"
	"strings"
)

// Session is one session description. The zero value is an empty description; Append gives it the lines it must have.
type Session struct {
	Origin     Origin
	Name       string      // s=, "-" when empty
	Info       []Line      // i=, u=, e=, p= in the order received
	Conn       Conn        // c= of the session; the zero value when only media have one
	Bandwidth  []string    // b= values
	Times      []Line      // t=, r=, z= in the order received; empty writes "t=0 0"
	Direction  Direction   // meaningful if HasDir: what media without a direction of their own have
	HasDir     bool        // the session has a direction attribute
	Attributes []Attribute // all other attributes, in order
	Media      []Media
}

// Line is one line kept as received: its type letter and its value.
type Line struct {
	Type  byte
	Value string
}

// Attribute is an a= line not modelled otherwise. Value is empty for a flag.
type Attribute struct {
	Name, Value string
}

// Origin is the o= line. RFC 4566, 5.2: the tuple of username, session id, network type, address type and address names
// the session; the version grows with every change.
type Origin struct {
	Username string // "-" when empty
	ID       uint64
	Version  uint64
	Conn     Conn
}

// Conn is the "IN IP4 192.0.2.1" of c= and o= lines. Addr may be a name, and may carry /ttl and /count of multicast.
type Conn struct {
	Type string // "IP4" or "IP6"
	Addr string
}

// ConnOf makes the value for an IP address.
func ConnOf(a netip.Addr) Conn {
	if a.Is4() || a.Is4In6() {
		return Conn{"IP4", a.Unmap().String()}
	}
	return Conn{"IP6", a.WithZone("").String()}
}

// IsZero reports whether no address was given.
func (c Conn) IsZero() bool { return c.Addr == "" }

// IP is the address as a number; ok is false for names and for an absent address.
func (c Conn) IP() (ip netip.Addr, ok bool) {
	host, _, _ := strings.Cut(c.Addr, "/")
	ip, err := netip.ParseAddr(host)
	return ip.WithZone("").Unmap(), err == nil
}

// Unspecified reports the old way to put on hold: c=IN IP4 0.0.0.0. RFC 3264, 8.4: it means that neither RTP nor RTCP is
// to be sent to the peer.
func (c Conn) Unspecified() bool {
	ip, ok := c.IP()
	return ok && ip.IsUnspecified()
}

// Media is one m= line with its attributes.
type Media struct {
	Type       string // "audio", "video", "image", ...
	Port       uint16 // 0: refused
	PortCount  int    // 0 unless given as port/count
	Proto      string // "RTP/AVP", "RTP/SAVP", "udptl", ...
	Formats    []string
	Title      string // i=
	Conn       Conn   // c= of this medium; the zero value: the session's applies
	Bandwidth  []string
	Codecs     []Codec // what the formats mean, in their order; only for RTP
	Ptime      int     // milliseconds, 0 when absent
	MaxPtime   int
	Direction  Direction
	HasDir     bool            // a direction attribute stands at this medium; else Direction is the session's or sendrecv
	Crypto     []Crypto        // a=crypto that could be read, in order
	BadCrypto  []CryptoProblem // a=crypto that could not, by reason; never their text
	RTCP       RTCP            // a=rtcp (RFC 3605)
	RTCPMux    bool            // a=rtcp-mux (RFC 5761)
	Attributes []Attribute     // all other attributes, in order
}

// RTCP is the a=rtcp attribute. RFC 3605, 2.1: port, and optionally an address; the zero value means port+1.
type RTCP struct {
	Port uint16
	Conn Conn
}

// Codec is one payload type with its rtpmap and fmtp.
type Codec struct {
	PT       uint8
	Name     string // as written; compare with SameAs
	Rate     int    // clock rate, Hz
	Channels int    // 0 or 1: one
	Fmtp     string
}

// TelephoneEvent is the encoding name of RFC 4733, 7.1.1: DTMF and other events.
const TelephoneEvent = "telephone-event"

// SameAs reports whether both stand for the same encoding: name (case does not matter), clock rate and channels.
func (c Codec) SameAs(d Codec) bool {
	return strings.EqualFold(c.Name, d.Name) && c.Rate == d.Rate && max(c.Channels, 1) == max(d.Channels, 1)
}

// IsEvent reports whether the codec is telephone-event.
func (c Codec) IsEvent() bool { return strings.EqualFold(c.Name, TelephoneEvent) }

// Direction says who sends, seen from the writer of the description. It is a set of two bits, so that & intersects; the
// zero value sends nothing.
type Direction uint8

// The four directions (RFC 4566, 6).
const (
	Inactive Direction = 0
	SendOnly Direction = 1
	RecvOnly Direction = 2
	SendRecv Direction = 3
)

// String is the attribute's name.
func (d Direction) String() string {
	return [...]string{"inactive", "sendonly", "recvonly", "sendrecv"}[d&3]
}

// MarshalText is String, for JSON.
func (d Direction) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Reverse is the direction as the other side writes it: sendonly becomes recvonly.
func (d Direction) Reverse() Direction { return d&1<<1 | d&2>>1 }

// Sends reports whether the writer sends.
func (d Direction) Sends() bool { return d&SendOnly != 0 }

// Receives reports whether the writer receives.
func (d Direction) Receives() bool { return d&RecvOnly != 0 }

func parseDirection(s string) (Direction, bool) {
	for d := Inactive; d <= SendRecv; d++ {
		if d.String() == s {
			return d, true
		}
	}
	return 0, false
}

// IsRTP reports whether the medium runs over RTP, by its transport.
func (m *Media) IsRTP() bool { return strings.Contains(m.Proto, "RTP/") }

// IsSecure reports whether the transport asks for SRTP with keys from the signalling: RTP/SAVP or RTP/SAVPF.
func (m *Media) IsSecure() bool { return m.Proto == "RTP/SAVP" || m.Proto == "RTP/SAVPF" }

// IsPlain reports RTP/AVP or RTP/AVPF.
func (m *Media) IsPlain() bool { return m.Proto == "RTP/AVP" || m.Proto == "RTP/AVPF" }

// Rejected reports port 0. RFC 3264, 6: a stream that is not accepted has port zero in the answer.
func (m *Media) Rejected() bool { return m.Port == 0 }

// Attr returns the value of the first attribute of that name.
func (m *Media) Attr(name string) (value string, ok bool) { return attr(m.Attributes, name) }

// Attr returns the value of the first session attribute of that name.
func (s *Session) Attr(name string) (value string, ok bool) { return attr(s.Attributes, name) }

func attr(as []Attribute, name string) (string, bool) {
	for _, a := range as {
		if a.Name == name {
			return a.Value, true
		}
	}
	return "", false
}

// ConnOf is the address in force for a medium: its own c= line or the session's.
func (s *Session) ConnOf(m *Media) Conn {
	if !m.Conn.IsZero() {
		return m.Conn
	}
	return s.Conn
}

// AddrPort is where RTP for the medium goes; ok is false when the address is a name, absent, or the port is 0.
func (s *Session) AddrPort(m *Media) (ap netip.AddrPort, ok bool) {
	ip, ok := s.ConnOf(m).IP()
	return netip.AddrPortFrom(ip, m.Port), ok && m.Port != 0
}

// RTCPAddrPort is where RTCP for the medium goes: a=rtcp, the RTP port when muxed, otherwise RTP port + 1.
func (s *Session) RTCPAddrPort(m *Media) (ap netip.AddrPort, ok bool) {
	ap, ok = s.AddrPort(m)
	if !ok || m.RTCPMux {
		return ap, ok
	}
	if m.RTCP.Port == 0 {
		return netip.AddrPortFrom(ap.Addr(), ap.Port()+1), ap.Port() < 65535
	}
	if ip, has := m.RTCP.Conn.IP(); has {
		return netip.AddrPortFrom(ip, m.RTCP.Port), true
	}
	return netip.AddrPortFrom(ap.Addr(), m.RTCP.Port), true
}

// Clone is a deep copy.
func (s *Session) Clone() *Session {
	c := *s
	c.Info, c.Bandwidth, c.Times = slices.Clone(s.Info), slices.Clone(s.Bandwidth), slices.Clone(s.Times)
	c.Attributes = slices.Clone(s.Attributes)
	c.Media = make([]Media, len(s.Media))
	for i := range s.Media {
		c.Media[i] = s.Media[i].Clone()
	}
	return &c
}

// Clone is a deep copy.
func (m *Media) Clone() Media {
	c := *m
	c.Formats, c.Codecs, c.Bandwidth = slices.Clone(m.Formats), slices.Clone(m.Codecs), slices.Clone(m.Bandwidth)
	c.Crypto, c.BadCrypto = slices.Clone(m.Crypto), slices.Clone(m.BadCrypto)
	c.Attributes = slices.Clone(m.Attributes)
	return c
}

// Refused is the m= line that answers m with "no": same medium, transport and formats, port 0, no attributes.
func (m *Media) Refused() Media {
	return Media{Type: m.Type, Proto: m.Proto, Formats: slices.Clone(m.Formats), Direction: SendRecv}
}

// SetCodecs replaces codecs and formats together.
func (m *Media) SetCodecs(codecs []Codec) {
	m.Codecs = slices.Clone(codecs)
	m.Formats = make([]string, len(codecs))
	for i, c := range codecs {
		m.Formats[i] = itoa(int(c.PT))
	}
}
