// Package g722 is the wideband speech codec of ITU-T G.722 (09/2012) at 64 kbit/s: 7 kHz of speech, 16,000 samples a second,
// one octet for two samples.
//
// A quadrature mirror filter splits the signal in two bands of 8,000 samples a second. The lower band gets six bits of
// adaptive differential coding, the upper band two:
//
//	           +--> lower band --> difference, 60 levels --+
//	pcm --> QMF                                             +--> octet: upper 2 bits | lower 6 bits
//	           +--> upper band --> difference,  4 levels --+
//
// Arithmetic is that of the recommendation, with 16 bit words that saturate; the names of its blocks are given where its
// text is followed. RFC 3551, 4.5.2: in RTP the clock rate is 8,000 Hz although 16,000 samples a second are coded, so a
// packet of 20 ms has 160 octets, 320 samples, and moves the timestamp by 160.
package g722

// Rate is the sampling rate, Hz.
const Rate = 16000

// predictor is the adaptive predictor of one band: two poles, six zeros. G.722, 3.6.
type predictor struct {
	a   [3]int32 // of the poles; [0] is not used
	b   [7]int32 // of the zeros
	d   [7]int32 // quantized differences, newest first
	r   [3]int32 // reconstructed signal, newest first
	p   [3]int32 // partially reconstructed signal, newest first
	sz  int32    // of the zeros
	est int32    // estimate of the next sample
}

// band is one sub-band: its predictor and the scale of its quantizer.
type band struct {
	predictor
	log  int32 // logarithm of the scale factor
	step int32 // the scale factor itself
}

func sat(v int32) int32 { return min(max(v, -32768), 32767) }

// sign is 0 or -1.
func sign(v int32) int32 { return v >> 15 }

// unlike is the value, negated where two signs differ.
func unlike(x, y, v int32) int32 {
	if sign(x) != sign(y) {
		return -v
	}
	return v
}

// adapt takes the quantized difference of a sample and estimates the next. G.722, 3.6: blocks RECONS, PARREC, UPPOL2,
// UPPOL1, UPZERO, DELAYA, FILTEP, FILTEZ, PREDIC.
func (p *predictor) adapt(diff int32) {
	p.d[0], p.r[0], p.p[0] = diff, sat(p.est+diff), sat(p.sz+diff)
	p.poles()
	p.zeros()
	pole := sat((p.a[1]*sat(2*p.r[0]))>>15 + (p.a[2]*sat(2*p.r[1]))>>15)
	p.r[2], p.r[1] = p.r[1], p.r[0]
	p.p[2], p.p[1] = p.p[1], p.p[0]
	p.sz = 0
	for i := 6; i > 0; i-- {
		p.d[i] = p.d[i-1]
		p.sz += (p.b[i] * sat(2*p.d[i])) >> 15
	}
	p.sz = sat(p.sz)
	p.est = sat(pole + p.sz)
}

// poles is UPPOL2 and UPPOL1: both coefficients leak, follow the signs of the partially reconstructed signal, and are kept
// where the filter is stable.
func (p *predictor) poles() {
	gain := -unlike(p.p[0], p.p[1], sat(4*p.a[1]))
	a2 := unlike(p.p[0], p.p[2], 128) + min(gain, 32767)>>7 + (p.a[2]*32512)>>15
	a2 = min(max(a2, -12288), 12288)
	a1 := sat(unlike(p.p[0], p.p[1], 192) + (p.a[1]*32640)>>15)
	limit := sat(15360 - a2)
	p.a[1], p.a[2] = min(max(a1, -limit), limit), a2
}

// zeros is UPZERO.
func (p *predictor) zeros() {
	gain := int32(128)
	if p.d[0] == 0 {
		gain = 0
	}
	for i := 1; i <= 6; i++ {
		p.b[i] = sat(unlike(p.d[0], p.d[i], gain) + (p.b[i]*32640)>>15)
	}
}

// rescale adapts the scale of a quantizer: LOGSCL and SCALEL, or LOGSCH and SCALEH. G.722, 3.5.
func (b *band) rescale(by, most, shift int32) {
	b.log = min(max((b.log*127)>>7+by, 0), most)
	v := powers[b.log>>6&31]
	if n := shift - b.log>>11; n >= 0 {
		v >>= n
	} else {
		v <<= -n
	}
	b.step = v << 2
}

// lower takes the four bits of a lower code that the encoder's feedback uses, upper the two of an upper code.
func (b *band) lower(code int32) {
	b.adapt((b.step * inverse4[code]) >> 15)
	b.rescale(lowerLog[code], 18432, 8)
}

func (b *band) upper(code int32) int32 {
	diff := (b.step * inverse2[code]) >> 15
	was := b.est
	b.adapt(diff)
	b.rescale(upperLog[code], 22528, 10)
	return was + diff
}

// state is both bands and the memory of the filter.
type state struct {
	low, high band
	qmf       [24]int32
	ready     bool
}

// start is the reset of the recommendation: the smallest scale factors.
func (s *state) start() {
	if !s.ready {
		s.low.step, s.high.step, s.ready = 32, 8, true
	}
}

// sums are the two halves of the filter's product with its memory.
func (s *state) sums() (even, odd int32) {
	for i, c := range filter {
		even += s.qmf[2*i] * c
		odd += s.qmf[2*i+1] * filter[11-i]
	}
	return even, odd
}

// push shifts two samples into the filter's memory.
func (s *state) push(a, b int32) {
	copy(s.qmf[:], s.qmf[2:])
	s.qmf[22], s.qmf[23] = a, b
}

// Encoder codes one stream. The zero value is ready.
type Encoder struct{ state }

// Encode codes 2*len(dst) samples, the length of src.
func (e *Encoder) Encode(dst []byte, src []int16) {
	e.start()
	for i := range dst {
		e.push(int32(src[2*i]), int32(src[2*i+1]))
		even, odd := e.sums()
		low := quantize6(sat((odd+even)>>14-e.low.est), e.low.step)
		high := quantize2(sat((odd-even)>>14-e.high.est), e.high.step)
		e.low.lower(low >> 2)
		e.high.upper(high)
		dst[i] = byte(high<<6 | low)
	}
}

// quantize6 is QUANTL.
func quantize6(diff, step int32) int32 {
	size := diff
	if diff < 0 {
		size = -(diff + 1)
	}
	lo, hi := 1, len(decisions) // binary search for the first decision level above
	for lo < hi {
		if mid := (lo + hi) / 2; size < (decisions[mid]*step)>>12 {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if diff < 0 {
		if lo <= 2 {
			return int32(64 - lo)
		}
		return int32(34 - lo)
	}
	return int32(62 - lo)
}

// quantize2 is QUANTH.
func quantize2(diff, step int32) int32 {
	size := diff
	if diff < 0 {
		size = -(diff + 1)
	}
	code := int32(1)
	if size >= (564*step)>>12 {
		code = 0
	}
	if diff >= 0 {
		code += 2
	}
	return code
}

// Decoder decodes one stream. The zero value is ready.
type Decoder struct{ state }

// Decode decodes src into 2*len(src) samples, the length of dst.
func (d *Decoder) Decode(dst []int16, src []byte) {
	d.start()
	for i, b := range src {
		low, high := int32(b&63), int32(b>>6)
		l := clamp(d.low.est + (d.low.step*inverse6[low])>>15)
		d.low.lower(low >> 2)
		h := clamp(d.high.upper(high))
		d.push(l+h, l-h)
		even, odd := d.sums()
		dst[2*i], dst[2*i+1] = int16(sat(odd>>11)), int16(sat(even>>11))
	}
}

// clamp is LIMIT: 15 bits.
func clamp(v int32) int32 { return min(max(v, -16384), 16383) }
