package sdp

import (
	"fmt"
	"strconv"
	"strings"
)

// Bounds of a description; what exceeds them is refused. A video phone's offer with every feature has about 6 kB.
const (
	MaxSize  = 64 << 10
	MaxMedia = 32
	MaxLines = 2000
)

// ParseError says where a description cannot be understood. What never holds text of the description.
type ParseError struct {
	Offset int // of the line, in octets
	What   string
}

// Error names place and reason.
func (e *ParseError) Error() string { return fmt.Sprintf("sdp: at octet %d: %s", e.Offset, e.What) }

// Parse reads a description. It accepts lines ending in CRLF, LF or CR, and returns a *ParseError otherwise.
func Parse(text []byte) (*Session, error) {
	if len(text) > MaxSize {
		return nil, &ParseError{MaxSize, fmt.Sprintf("the description is longer than %d octets", MaxSize)}
	}
	p := parser{rest: string(text), s: &Session{}}
	if err := p.run(); err != nil {
		return nil, &ParseError{p.offset, err.Error()}
	}
	return p.s, nil
}

type parser struct {
	rest   string // what is still to be read
	offset int    // of the line being read
	read   int    // octets consumed
	lines  int
	s      *Session
	m      *Media      // the medium being read, nil in the session part
	maps   []Codec     // rtpmap of this medium
	fmtps  []Attribute // fmtp of this medium: format, parameters
	seen   uint32      // bits of v, o, s
}

type problem string

func (p problem) Error() string { return string(p) }

func (p *parser) run() error {
	for {
		line, more := p.next()
		if !more {
			break
		}
		if line == "" {
			continue
		}
		if p.lines++; p.lines > MaxLines {
			return problem("too many lines")
		}
		if len(line) < 2 || line[1] != '=' {
			return problem("a line must have the form x=value")
		}
		if err := p.line(line[0], strings.TrimRight(line[2:], " \t")); err != nil {
			return err
		}
	}
	p.endMedia()
	p.inherit()
	if p.seen&bitO == 0 {
		return problem("no o= line")
	}
	return nil
}

func (p *parser) next() (line string, more bool) {
	if p.rest == "" {
		return "", false
	}
	p.offset = p.read
	n := strings.IndexAny(p.rest, "\r\n")
	if n < 0 {
		line, p.rest = p.rest, ""
	} else {
		line, p.rest = p.rest[:n], p.rest[n+1:]
	}
	p.read += len(line) + 1
	return line, true
}

const (
	bitV = 1 << iota
	bitO
	bitS
)

func (p *parser) line(typ byte, v string) error {
	if p.seen&bitV == 0 && typ != 'v' {
		return problem("a description must begin with v=0")
	}
	switch typ {
	case 'v':
		return p.version(v)
	case 'o':
		return p.origin(v)
	case 's':
		p.s.Name = v
		p.seen |= bitS
	case 'c':
		return p.conn(v)
	case 'b':
		p.bandwidth(v)
	case 'm':
		return p.media(v)
	case 'a':
		return p.attribute(v)
	case 'i', 'u', 'e', 'p':
		p.info(typ, v)
	case 't', 'r', 'z':
		if p.m == nil {
			p.s.Times = append(p.s.Times, Line{typ, v})
		}
	case 'k': // RFC 4566, 5.12: obsolete, and a key in clear; dropped
	default:
		// RFC 4566, 5: a description with an unknown type letter is to be ignored as a whole.
		return problem("unknown type letter " + strconv.QuoteRuneToASCII(rune(typ)))
	}
	return nil
}

func (p *parser) version(v string) error {
	if p.seen&bitV != 0 {
		return problem("a second v= line")
	}
	if v != "0" {
		return problem("v= must be 0")
	}
	p.seen |= bitV
	return nil
}

// origin reads o=. Ids beyond 64 bits exist in the field; they are hashed by truncation rather than refused, because we
// write our own o= line towards everybody.
func (p *parser) origin(v string) error {
	f := strings.Fields(v)
	if p.seen&bitO != 0 || p.m != nil {
		return problem("a second o= line")
	}
	if len(f) != 6 {
		return problem("o= must have six fields")
	}
	id, ok1 := digits(f[1])
	version, ok2 := digits(f[2])
	conn, ok3 := parseConn(f[3:])
	if !ok1 || !ok2 {
		return problem("session id and version of o= must be numbers")
	}
	if !ok3 {
		return problem("o= must name its host as IN IP4 or IN IP6 address")
	}
	p.s.Origin = Origin{f[0], id, version, conn}
	p.seen |= bitO
	return nil
}

// digits reads a decimal number of any length, keeping its low 64 bits.
func digits(s string) (n uint64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return n, s != ""
}

func parseConn(f []string) (Conn, bool) {
	if len(f) != 3 || !strings.EqualFold(f[0], "IN") {
		return Conn{}, false
	}
	c := Conn{strings.ToUpper(f[1]), f[2]}
	if c.Type != "IP4" && c.Type != "IP6" || !plainHost(c.Addr) {
		return Conn{}, false
	}
	if ip, ok := c.IP(); ok && ip.Is4() != (c.Type == "IP4") && !strings.Contains(c.Addr, ":") {
		return Conn{}, false // IP6 with a dotted quad; RFC 5118 torture has none that is good
	}
	return c, true
}

// plainHost keeps control characters and quotes out of addresses.
func plainHost(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' {
			return false
		}
	}
	return s != ""
}

func (p *parser) conn(v string) error {
	c, ok := parseConn(strings.Fields(v))
	if !ok {
		return problem("c= must be IN IP4 or IN IP6 and an address")
	}
	if p.m == nil {
		p.s.Conn = c
	} else if p.m.Conn.IsZero() { // several are multicast layers: the first is the base
		p.m.Conn = c
	}
	return nil
}

func (p *parser) bandwidth(v string) {
	if p.m == nil {
		p.s.Bandwidth = append(p.s.Bandwidth, v)
	} else {
		p.m.Bandwidth = append(p.m.Bandwidth, v)
	}
}

func (p *parser) info(typ byte, v string) {
	if p.m == nil {
		p.s.Info = append(p.s.Info, Line{typ, v})
	} else if typ == 'i' {
		p.m.Title = v
	}
}

func (p *parser) media(v string) error {
	p.endMedia()
	if len(p.s.Media) == MaxMedia {
		return problem("too many m= lines")
	}
	f := strings.Fields(v)
	if len(f) < 4 {
		return problem("m= must have medium, port, transport and a format")
	}
	port, count, hasCount := strings.Cut(f[1], "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return problem("the port of m= must be a number from 0 to 65535")
	}
	m := Media{Type: f[0], Port: uint16(n), Proto: f[2], Formats: f[3:]}
	if hasCount {
		c, err := strconv.ParseUint(count, 10, 16)
		if err != nil || c == 0 {
			return problem("the number of ports of m= must be a number from 1")
		}
		m.PortCount = int(c)
	}
	p.s.Media = append(p.s.Media, m)
	p.m = &p.s.Media[len(p.s.Media)-1]
	p.maps, p.fmtps = p.maps[:0], p.fmtps[:0]
	return nil
}

func (p *parser) attribute(v string) error {
	name, value, _ := strings.Cut(v, ":")
	if d, ok := parseDirection(v); ok {
		if p.m == nil {
			p.s.Direction, p.s.HasDir = d, true
		} else {
			p.m.Direction, p.m.HasDir = d, true
		}
		return nil
	}
	if name == "crypto" {
		p.crypto(value)
		return nil
	}
	if p.m == nil {
		p.s.Attributes = append(p.s.Attributes, Attribute{name, value})
		return nil
	}
	return p.mediaAttribute(name, value)
}

func (p *parser) crypto(value string) {
	c, err := ParseCrypto(value)
	switch problem, _ := IsCryptoProblem(err); {
	case p.m == nil:
		// RFC 4568, 5: never at session level. Nothing is kept, so nothing of it can be mistaken for a key in force.
	case err != nil:
		p.m.BadCrypto = append(p.m.BadCrypto, problem)
	default:
		p.m.Crypto = append(p.m.Crypto, c)
	}
}

func (p *parser) mediaAttribute(name, value string) error {
	switch name {
	case "rtpmap":
		if p.m.IsRTP() {
			return p.rtpmap(value)
		}
	case "fmtp":
		if format, params, ok := strings.Cut(value, " "); ok && p.m.IsRTP() && p.hasFormat(format) {
			p.fmtps = append(p.fmtps, Attribute{format, strings.TrimLeft(params, " ")})
			return nil
		}
	case "ptime", "maxptime":
		n, err := strconv.ParseFloat(value, 32)
		if err != nil || !(n > 0 && n <= 1000) {
			return nil // worthless: the default applies
		}
		if name == "ptime" {
			p.m.Ptime = max(int(n), 1)
		} else {
			p.m.MaxPtime = max(int(n), 1)
		}
		return nil
	case "rtcp":
		return p.rtcp(value)
	case "rtcp-mux":
		p.m.RTCPMux = true
		return nil
	}
	p.m.Attributes = append(p.m.Attributes, Attribute{name, value})
	return nil
}

func (p *parser) hasFormat(format string) bool {
	for _, f := range p.m.Formats {
		if f == format {
			return true
		}
	}
	return false
}

// rtpmap reads "101 telephone-event/8000/1".
func (p *parser) rtpmap(v string) error {
	f := strings.Fields(v)
	if len(f) != 2 {
		return problem("rtpmap must be a payload type and encoding/rate")
	}
	pt, err := strconv.ParseUint(f[0], 10, 7)
	parts := strings.Split(f[1], "/")
	if err != nil || len(parts) < 2 || parts[0] == "" {
		return problem("rtpmap must be a payload type from 0 to 127 and encoding/rate")
	}
	rate, err := strconv.ParseUint(parts[1], 10, 31)
	if err != nil || rate == 0 {
		return problem("the clock rate of rtpmap must be a number from 1")
	}
	c := Codec{PT: uint8(pt), Name: parts[0], Rate: int(rate)}
	if len(parts) > 2 {
		if n, err := strconv.ParseUint(parts[2], 10, 8); err == nil && n > 1 {
			c.Channels = int(n)
		}
	}
	p.maps = append(p.maps, c)
	return nil
}

// rtcp reads "53020" or "53020 IN IP4 192.0.2.1" (RFC 3605, 2.1).
func (p *parser) rtcp(v string) error {
	f := strings.Fields(v)
	if len(f) != 1 && len(f) != 4 {
		return problem("a=rtcp must be a port and optionally an address")
	}
	port, err := strconv.ParseUint(f[0], 10, 16)
	if err != nil {
		return problem("the port of a=rtcp must be a number from 0 to 65535")
	}
	r := RTCP{Port: uint16(port)}
	if len(f) == 4 {
		c, ok := parseConn(f[1:])
		if !ok {
			return problem("the address of a=rtcp must be IN IP4 or IN IP6 and an address")
		}
		r.Conn = c
	}
	p.m.RTCP = r
	return nil
}

// endMedia gives every format of the medium its codec.
func (p *parser) endMedia() {
	if p.m == nil || !p.m.IsRTP() {
		return
	}
	m := p.m
	for _, f := range m.Formats {
		pt, err := strconv.ParseUint(f, 10, 7)
		if err != nil {
			continue
		}
		if c, ok := p.codec(uint8(pt)); ok {
			m.Codecs = append(m.Codecs, c)
		}
	}
}

func (p *parser) codec(pt uint8) (Codec, bool) {
	c, ok := Static(pt)
	for _, r := range p.maps {
		if r.PT == pt {
			c, ok = r, true
			break
		}
	}
	for _, f := range p.fmtps {
		if n, _ := strconv.Atoi(f.Name); n == int(pt) {
			c.Fmtp = f.Value
			break
		}
	}
	return c, ok
}

// inherit gives media without a direction the session's, or sendrecv. RFC 3264, 5.1.
func (p *parser) inherit() {
	for i := range p.s.Media {
		m := &p.s.Media[i]
		switch {
		case m.HasDir:
		case p.s.HasDir:
			m.Direction = p.s.Direction
		default:
			m.Direction = SendRecv
		}
	}
}

// Static is the codec a payload type stands for without an rtpmap. RFC 3551, 6: those telephony meets.
func Static(pt uint8) (Codec, bool) {
	c := Codec{PT: pt, Rate: 8000}
	switch pt {
	case 0:
		c.Name = "PCMU"
	case 3:
		c.Name = "GSM"
	case 4:
		c.Name = "G723"
	case 8:
		c.Name = "PCMA"
	case 9:
		c.Name = "G722"
	case 13:
		c.Name = "CN"
	case 15:
		c.Name = "G728"
	case 18:
		c.Name = "G729"
	case 26:
		c.Name, c.Rate = "JPEG", 90000
	case 31:
		c.Name, c.Rate = "H261", 90000
	case 34:
		c.Name, c.Rate = "H263", 90000
	default:
		return Codec{}, false
	}
	return c, true
}
