// Package rtpstat reads RTP headers and keeps the receiver's account of a stream: the sequence numbers, loss and jitter
// of RFC 3550, 6.4.1 and appendix A, and the counters that are a stream's evidence.
package rtpstat

import (
	"encoding/binary"
	"time"
)

// Header is what a relay or an endpoint needs of an RTP header. RFC 3550, 5.1:
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|V=2|P|X|  CC   |M|     PT      |       sequence number         |
//	|                           timestamp                           |
//	|           synchronization source (SSRC) identifier            |
type Header struct {
	PT     uint8
	Marker bool
	Seq    uint16
	Stamp  uint32
	SSRC   uint32
}

// Parse reads a packet; the payload is without CSRCs, extension and padding. It is total.
func Parse(b []byte) (h Header, payload []byte, ok bool) {
	if len(b) < 12 || b[0]>>6 != 2 {
		return h, nil, false
	}
	h = Header{b[1] & 0x7f, b[1]&0x80 != 0, binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])}
	at := 12 + 4*int(b[0]&15)
	if b[0]&0x10 != 0 {
		if len(b) < at+4 {
			return h, nil, false
		}
		at += 4 + 4*int(binary.BigEndian.Uint16(b[at+2:]))
	}
	end := len(b)
	if b[0]&0x20 != 0 {
		end -= int(b[len(b)-1])
	}
	if at > end {
		return h, nil, false
	}
	return h, b[at:end], true
}

// Append writes the header.
func (h Header) Append(b []byte) []byte {
	pt := h.PT & 0x7f
	if h.Marker {
		pt |= 0x80
	}
	b = append(b, 0x80, pt)
	b = binary.BigEndian.AppendUint16(b, h.Seq)
	b = binary.BigEndian.AppendUint32(b, h.Stamp)
	return binary.BigEndian.AppendUint32(b, h.SSRC)
}

// IsRTCP tells RTCP from RTP on one port by the packet type. RFC 5761, 4: 192 to 223 in the second octet is RTCP.
func IsRTCP(b []byte) bool { return len(b) >= 8 && b[0]>>6 == 2 && b[1] >= 192 && b[1] <= 223 }

// LooksPlain guesses whether a packet that does not authenticate is plain RTP: frames of G.711 are multiples of 10 ms, 80
// octets, and no SRTP tag is. It decides in which counter a dropped packet shows, nothing else.
func LooksPlain(b []byte) bool {
	_, payload, ok := Parse(b)
	return ok && len(payload) > 0 && len(payload)%80 == 0
}

// Counters are of one direction of one stream since it was opened. Packets under keys before a rekey count too.
type Counters struct {
	Packets       uint64    `json:"packets"`       // RTP packets accepted (rx) or sent (tx)
	Bytes         uint64    `json:"bytes"`         // of header and payload, without SRTP's additions
	Authenticated uint64    `json:"authenticated"` // of Packets, those verified (rx) or protected (tx) by SRTP
	Failed        uint64    `json:"failed"`        // SRTP or SRTCP whose authentication failed: dropped
	Replayed      uint64    `json:"replayed"`      // SRTP or SRTCP seen before or too old: dropped
	PlainDropped  uint64    `json:"plain_dropped"` // plain RTP where SRTP was agreed: dropped
	WrongSource   uint64    `json:"wrong_source"`  // plain RTP from an address nobody signalled, or SRTP of the party that was there before: dropped
	Malformed     uint64    `json:"malformed"`     // neither RTP nor RTCP: dropped
	Lost          int64     `json:"lost"`          // expected minus received
	OutOfOrder    uint64    `json:"out_of_order"`
	JitterMS      float64   `json:"jitter_ms"`
	SSRCs         int       `json:"ssrcs"`         // different sources seen, up to 64
	RTCP          uint64    `json:"rtcp"`          // RTCP packets accepted or sent
	Last          time.Time `json:"last,omitzero"` // of the last packet accepted or sent
}

// maxSSRCs bounds what Source remembers of sources.
const maxSSRCs = 64

// Source follows the one source that is being received and remembers how many there have been. The zero value is ready.
type Source struct {
	ssrc    uint32
	active  bool
	baseSeq uint32
	maxSeq  uint32 // extended: cycles in the upper half
	count   uint32 // packets received of this source
	ooo     uint64
	lost    int64   // of the sources before
	jitter  float64 // timestamp units
	transit int64
	epoch   time.Time // of the first packet measured
	timed   bool
	seen    []uint32

	priorExpected, priorCount uint32 // at the last report
}

// maxDropout is the gap after which a source is taken to have restarted. RFC 3550, A.1.
const maxDropout = 3000

// Packet accounts for one accepted packet that arrived at a time; rate is the clock rate of its payload, Hz. changed
// says that another source than before is sending.
func (s *Source) Packet(h Header, now time.Time, rate int) (changed bool) {
	if !s.active || h.SSRC != s.ssrc {
		s.restart(h)
		changed = true
	} else {
		s.sequence(h)
	}
	s.count++
	s.measure(h, now, rate)
	return changed
}

// Follows says whether an SSRC is the one that is being received.
func (s *Source) Follows(ssrc uint32) bool { return s.active && s.ssrc == ssrc }

func (s *Source) restart(h Header) {
	s.lost = s.Lost()
	s.ssrc, s.active = h.SSRC, true
	s.baseSeq, s.maxSeq = uint32(h.Seq), uint32(h.Seq)
	s.count, s.priorCount, s.priorExpected = 0, 0, 0
	s.timed = false
	for _, x := range s.seen {
		if x == h.SSRC {
			return
		}
	}
	if len(s.seen) < maxSSRCs {
		s.seen = append(s.seen, h.SSRC)
	}
}

func (s *Source) sequence(h Header) {
	delta := h.Seq - uint16(s.maxSeq)
	switch {
	case delta == 0:
	case delta < maxDropout:
		s.maxSeq += uint32(delta)
	case delta > 1<<16-maxDropout:
		s.ooo++
	default:
		s.restart(h)
	}
}

// measure is the interarrival jitter. RFC 3550, A.8.
func (s *Source) measure(h Header, now time.Time, rate int) {
	if rate <= 0 {
		return
	}
	if !s.timed {
		s.epoch = now // arrivals are measured from here: setting the machine's clock is no jitter
	}
	arrival := now.Sub(s.epoch).Microseconds() * int64(rate) / 1e6
	transit := arrival - int64(h.Stamp)
	if s.timed {
		d := int64(int32(transit - s.transit)) // timestamps wrap
		s.jitter += (float64(max(d, -d)) - s.jitter) / 16
	}
	s.transit, s.timed = transit, true
}

// Expected is how many packets the source should have sent by now; Lost is that minus what came, of all sources.
func (s *Source) expected() uint32 {
	if !s.active {
		return 0
	}
	return s.maxSeq - s.baseSeq + 1
}

// Lost is the number of packets of all sources that did not come; duplicates make it smaller.
func (s *Source) Lost() int64 { return s.lost + int64(s.expected()) - int64(s.count) }

// Report is what a reception report block says. RFC 3550, 6.4.1.
type Report struct {
	SSRC     uint32
	Fraction uint8
	Lost     uint32 // 24 bits, of this source
	MaxSeq   uint32
	Jitter   uint32
}

// Report makes the block for the time since the last one; ok is false when nothing was received.
func (s *Source) Report() (r Report, ok bool) {
	if !s.active {
		return r, false
	}
	expected := s.expected()
	lost := int64(expected) - int64(s.count)
	r = Report{SSRC: s.ssrc, MaxSeq: s.maxSeq, Jitter: uint32(s.jitter), Lost: uint32(min(max(lost, 0), 1<<23-1))}
	dExpected, dCount := expected-s.priorExpected, s.count-s.priorCount
	if dLost := int64(dExpected) - int64(dCount); dExpected != 0 && dLost > 0 {
		r.Fraction = uint8(min(dLost<<8/int64(dExpected), 255))
	}
	s.priorExpected, s.priorCount = expected, s.count
	return r, true
}

// Fill writes what the account knows into c.
func (s *Source) Fill(c *Counters, rate int) {
	c.Lost, c.OutOfOrder, c.SSRCs = s.Lost(), s.ooo, len(s.seen)
	if rate > 0 {
		c.JitterMS = s.jitter * 1000 / float64(rate)
	}
}
