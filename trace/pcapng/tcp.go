package pcapng

import (
	"encoding/binary"
	"net/netip"
	"sync"
)

// Flags of TCP. RFC 9293, 3.1.
const (
	flagFIN = 1
	flagSYN = 2
	flagPSH = 8
	flagACK = 16
)

// largest is how much of what was written at once goes into one packet: as loopback carries it, with room for the headers in the 16 bits of
// a length.
const largest = 65000

// A stream is one connection in the file. Its lock orders packets and sequence numbers.
type stream struct {
	w        *Writer
	mu       sync.Mutex
	from, to netip.AddrPort // from has opened it
	seq      [2]uint32      // next of from, next of to
	ended    [2]bool
}

// open writes the three packets that open a connection.
func (w *Writer) open(from, to netip.AddrPort) *stream {
	isn := w.begin(from)
	s := &stream{w: w, from: from, to: to, seq: [2]uint32{isn, isn + 0x00800000}}
	s.send(0, flagSYN, nil)
	s.send(1, flagSYN|flagACK, nil)
	s.send(0, flagACK, nil)
	return s
}

// data writes what one side has sent: side 0 is the one that opened the connection.
func (s *stream) data(side int, b []byte) {
	for len(b) > 0 {
		n := min(len(b), largest)
		s.send(side, flagPSH|flagACK, b[:n])
		b = b[n:]
	}
}

// end says that one side sends no more; it is said once.
func (s *stream) end(side int) {
	s.mu.Lock()
	over := s.ended[side]
	s.ended[side] = true
	s.mu.Unlock()
	if !over {
		s.send(side, flagFIN|flagACK, nil)
	}
}

// send writes one segment. RFC 9293, 3.1: SYN and FIN count as one octet of the sequence.
func (s *stream) send(side int, flags byte, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, to := s.from, s.to
	if side == 1 {
		from, to = to, from
	}
	ack := s.seq[1-side]
	if flags&flagACK == 0 {
		ack = 0
	}
	s.w.packet(packet(from, to, s.seq[side], ack, flags, b), "")
	s.seq[side] += uint32(len(b))
	if flags&(flagSYN|flagFIN) != 0 {
		s.seq[side]++
	}
}

// packet is an IP packet with a TCP segment in it.
func packet(from, to netip.AddrPort, seq, ack uint32, flags byte, b []byte) []byte {
	tcp := binary.BigEndian.AppendUint16(nil, from.Port())
	tcp = binary.BigEndian.AppendUint16(tcp, to.Port())
	tcp = binary.BigEndian.AppendUint32(tcp, seq)
	tcp = binary.BigEndian.AppendUint32(tcp, ack)
	tcp = append(tcp, 5<<4, flags, 0xff, 0xff, 0, 0, 0, 0) // five words, a window of 65535, no checksum yet, nothing urgent
	tcp = append(tcp, b...)
	src, dst := from.Addr().Unmap(), to.Addr().Unmap()
	sum := sumOf(0, src.AsSlice())
	sum = sumOf(sum, dst.AsSlice())
	sum = sumOf(sum, []byte{0, 6}) // TCP
	sum = sumOf(sum, binary.BigEndian.AppendUint32(nil, uint32(len(tcp))))
	binary.BigEndian.PutUint16(tcp[16:], folded(sumOf(sum, tcp)))
	return append(header(src, dst, len(tcp)), tcp...)
}

// header is the IP header before n octets of TCP. RFC 791, 3.1. RFC 8200, 3.
func header(src, dst netip.Addr, n int) []byte {
	if src.Is6() {
		h := []byte{6 << 4, 0, 0, 0}
		h = binary.BigEndian.AppendUint16(h, uint16(n))
		h = append(h, 6, 64)
		return append(append(h, src.AsSlice()...), dst.AsSlice()...)
	}
	h := []byte{4<<4 | 5, 0}
	h = binary.BigEndian.AppendUint16(h, uint16(20+n))
	h = append(h, 0, 0, 0x40, 0, 64, 6, 0, 0) // not to be fragmented, 64 hops, TCP, no checksum yet
	h = append(append(h, src.AsSlice()...), dst.AsSlice()...)
	binary.BigEndian.PutUint16(h[10:], folded(sumOf(0, h)))
	return h
}

// sumOf adds the 16-bit words of b. RFC 1071, 1.
func sumOf(sum uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// folded is the checksum of a sum.
func folded(sum uint32) uint16 {
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
