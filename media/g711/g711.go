// Package g711 converts between 16 bit linear samples and the two laws of ITU-T G.711. The tables are computed from the
// segment definition of the recommendation when the program is built into memory, once, and never change.
package g711

// Law is A-law or mu-law.
type Law uint8

// The laws, with their static payload types of RFC 3551, 6.
const (
	ULaw Law = 0 // PCMU
	ALaw Law = 8 // PCMA
)

// Silence is the code of the smallest sample.
func (l Law) Silence() byte {
	if l == ALaw {
		return 0xd5
	}
	return 0xff
}

var (
	fromU = expandAll(expandU)
	fromA = expandAll(expandA)
	toU   = compressAll(compressU)
	toA   = compressAll(compressA)
)

func expandAll(f func(byte) int16) (t [256]int16) {
	for i := range t {
		t[i] = f(byte(i))
	}
	return t
}

// compressAll tabulates by the 14 most significant bits, which is all that either law looks at.
func compressAll(f func(int) byte) (t [1 << 14]byte) {
	for i := range t {
		t[i] = f((i - 1<<13) * 4)
	}
	return t
}

// expandU: all bits are inverted on the line; sign, three bits of segment, four of step; the bias is 33 of 14 bits.
func expandU(b byte) int16 {
	b = ^b
	v := (int(b&15)<<3 + 0x84) << (b >> 4 & 7)
	v -= 0x84
	if b&0x80 != 0 {
		return int16(-v)
	}
	return int16(v)
}

// expandA: every other bit is inverted on the line.
func expandA(b byte) int16 {
	b ^= 0x55
	v := int(b&15)<<4 + 8
	if seg := b >> 4 & 7; seg > 0 {
		v = (v + 0x100) << (seg - 1)
	}
	if b&0x80 == 0 {
		return int16(-v)
	}
	return int16(v)
}

func compressU(v int) byte {
	sign := byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, 32635) + 0x84
	seg := segment(v >> 7)
	return ^(sign | seg<<4 | byte(v>>(seg+3))&15)
}

func compressA(v int) byte {
	sign := byte(0x80)
	if v < 0 {
		v, sign = -v-1, 0
	}
	v = min(v, 32767)
	seg := segment(v >> 8)
	if seg == 0 {
		if v >= 256 {
			return (sign | 0x10 | byte(v>>4)&15) ^ 0x55
		}
		return (sign | byte(v>>4)) ^ 0x55
	}
	seg++
	return (sign | seg<<4 | byte(v>>(seg+3))&15) ^ 0x55
}

// segment is the position of the highest bit.
func segment(v int) (n byte) {
	for ; v > 1; v >>= 1 {
		n++
	}
	return n
}

// Decode expands src into dst, which must be as long.
func (l Law) Decode(dst []int16, src []byte) {
	t := &fromU
	if l == ALaw {
		t = &fromA
	}
	for i, b := range src {
		dst[i] = t[b]
	}
}

// Encode compresses src into dst, which must be as long.
func (l Law) Encode(dst []byte, src []int16) {
	t := &toU
	if l == ALaw {
		t = &toA
	}
	for i, v := range src {
		dst[i] = t[int(v)>>2+1<<13]
	}
}
