package pcapng

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
)

// A Segment is a TCP segment of a file.
type Segment struct {
	From, To netip.AddrPort
	Data     []byte
}

// TLS reports whether the segment begins with a TLS record: its type and version. RFC 8446, 5.1.
func (s Segment) TLS() bool {
	return len(s.Data) >= 5 && s.Data[0] >= 20 && s.Data[0] <= 24 && s.Data[1] == 3 && s.Data[2] <= 4
}

// maxBlock bounds a block of a file that is read.
const maxBlock = 1 << 20

// ErrOther says that a file is none that a Writer has written; there are tools for those.
var ErrOther = errors.New("not a capture of this program")

// Segments reads the segments of a file that a Writer has written, in order. A file that ends within a block ends with io.ErrUnexpectedEOF.
func Segments(r io.Reader) iter.Seq2[Segment, error] {
	return func(yield func(Segment, error) bool) {
		for first := true; ; first = false {
			kind, body, err := readBlock(r)
			switch {
			case err == io.EOF && !first:
				return
			case err == nil && first && (kind != blockSection || len(body) < 4 || binary.LittleEndian.Uint32(body) != byteOrder):
				err = ErrOther
			}
			if err != nil {
				yield(Segment{}, err)
				return
			}
			if kind != blockPacket {
				continue
			}
			s, err := segmentOf(body)
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

func readBlock(r io.Reader) (kind uint32, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.LittleEndian.Uint32(head[4:])
	if size < 12 || size > maxBlock || size%4 != 0 {
		return 0, nil, fmt.Errorf("a block of %d octets: %w", size, ErrOther)
	}
	b := make([]byte, size-8)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return binary.LittleEndian.Uint32(head[:]), b[:len(b)-4], nil
}

// segmentOf reads the body of a packet's block.
func segmentOf(b []byte) (Segment, error) {
	if len(b) < 20 || int64(binary.LittleEndian.Uint32(b[12:])) > int64(len(b)-20) {
		return Segment{}, ErrOther
	}
	p := b[20 : 20+binary.LittleEndian.Uint32(b[12:])]
	var src, dst netip.Addr
	switch {
	case len(p) >= 40 && p[0] == 4<<4|5 && p[9] == 6:
		src, _ = netip.AddrFromSlice(p[12:16])
		dst, _ = netip.AddrFromSlice(p[16:20])
		p = p[20:]
	case len(p) >= 60 && p[0]>>4 == 6 && p[6] == 6:
		src, _ = netip.AddrFromSlice(p[8:24])
		dst, _ = netip.AddrFromSlice(p[24:40])
		p = p[40:]
	default:
		return Segment{}, ErrOther
	}
	return Segment{From: netip.AddrPortFrom(src, binary.BigEndian.Uint16(p)), To: netip.AddrPortFrom(dst, binary.BigEndian.Uint16(p[2:])), Data: p[20:]}, nil
}
