package media

import (
	"math"
	"strings"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/g711"
	"github.com/locktone/locktone/media/g722"
	"github.com/locktone/locktone/media/resample"
	"github.com/locktone/locktone/wire/sdp"
)

// Rated is what a Source or Sink has beside its own method when its samples are not Rate a second: SampleRate is Rate or
// WideRate. The stream converts between it and the codec.
type Rated interface{ SampleRate() int }

// WideRate is the sampling rate of wideband speech (G.722), Hz.
const WideRate = 2 * Rate

func isWide(x any) bool {
	r, ok := x.(Rated)
	return ok && r.SampleRate() == WideRate
}

// voice is a codec that streams of ours speak.
type voice uint8

const (
	noVoice voice = iota
	ulaw
	alaw
	wideband // G.722
)

func voiceOf(c sdp.Codec) voice {
	switch {
	case strings.EqualFold(c.Name, "PCMU"):
		return ulaw
	case strings.EqualFold(c.Name, "PCMA"):
		return alaw
	case strings.EqualFold(c.Name, desc.G722):
		return wideband
	}
	return noVoice
}

func (v voice) law() g711.Law {
	if v == alaw {
		return g711.ALaw
	}
	return g711.ULaw
}

// samples of a frame.
func frameSize(wide bool) int {
	if wide {
		return 2 * FrameSize
	}
	return FrameSize
}

// ears decode and convert what is received.
type ears struct {
	dec  g722.Decoder
	up   resample.Up
	down resample.Down
	alt  [2 * FrameSize]int16 // a frame at the other rate
	slim resample.Down        // of narrowed
	thin [FrameSize]int16
}

// narrowed gives a frame at 8,000 samples a second for the detector of digits, beside what as gives to others.
func (e *ears) narrowed(frame []int16) []int16 {
	if len(frame) == FrameSize {
		return frame
	}
	e.slim.Int16(e.thin[:], frame)
	return e.thin[:]
}

// decode gives the samples of a payload in dst's memory. G.722 is decoded as packets come; one out of its order costs a
// few milliseconds of noise, since the codec forgets by itself.
func (e *ears) decode(v voice, dst []int16, payload []byte) []int16 {
	if v == wideband {
		dst = dst[:2*len(payload)]
		e.dec.Decode(dst, payload)
		return dst
	}
	dst = dst[:len(payload)]
	v.law().Decode(dst, payload)
	return dst
}

// as gives a frame at a rate; it may be in memory that the next call uses again.
func (e *ears) as(wide bool, frame []int16) []int16 {
	switch {
	case wide && len(frame) == FrameSize:
		e.up.Int16(e.alt[:], frame)
		return e.alt[:]
	case !wide && len(frame) == 2*FrameSize:
		e.down.Int16(e.alt[:FrameSize], frame)
		return e.alt[:FrameSize]
	}
	return frame
}

// mouth converts and encodes what is sent.
type mouth struct {
	enc  g722.Encoder
	up   resample.Up
	down resample.Down
	pcm  [2 * FrameSize]int16
	alt  [2 * FrameSize]int16
}

// read takes a frame of a source, at the rate of the codec; over says that the source has ended.
func (m *mouth) read(src Source, wide bool) (frame []int16, over bool) {
	from := isWide(src)
	in := m.pcm[:frameSize(from)]
	n, err := src.ReadPCM(in)
	clear(in[min(max(n, 0), len(in)):])
	over = err != nil || n <= 0
	switch {
	case from == wide:
		return in, over
	case wide:
		m.up.Int16(m.alt[:], in)
	default:
		m.down.Int16(m.alt[:FrameSize], in)
	}
	return m.alt[:frameSize(wide)], over
}

// as gives a frame of 8,000 samples a second at the codec's rate.
func (m *mouth) as(wide bool, frame []int16) []int16 {
	if !wide {
		return frame
	}
	m.up.Int16(m.alt[:], frame)
	return m.alt[:]
}

func (m *mouth) silence(wide bool) []int16 {
	clear(m.pcm[:])
	return m.pcm[:frameSize(wide)]
}

// encode writes a frame of 20 ms, which has FrameSize octets in every codec of ours.
func (m *mouth) encode(v voice, payload []byte, frame []int16) {
	if v == wideband {
		m.enc.Encode(payload, frame)
		return
	}
	v.law().Encode(payload, frame)
}

// noise is what is heard while the peer says that it is silent: its packets of comfort noise tell the level. The spectrum
// they may tell as well is not followed (RFC 3389, 3: a receiver may ignore it): the noise is white.
type noise struct {
	peak int32 // of the samples, 0: none
	seed uint32
}

// hear takes a payload. RFC 3389, 3.1: the first octet is the level in -dBov, its highest bit zero.
func (n *noise) hear(payload []byte) {
	rms := 32768 * math.Pow(10, -float64(payload[0]&0x7f)/20)
	n.peak = int32(min(rms*math.Sqrt(3), 8192)) // uniform; never louder than speech
}

// fill writes noise.
func (n *noise) fill(dst []int16) {
	n.seed |= 1
	for i := range dst {
		n.seed ^= n.seed << 13
		n.seed ^= n.seed >> 17
		n.seed ^= n.seed << 5
		dst[i] = int16(int64(int32(n.seed)) * int64(n.peak) >> 31)
	}
}
