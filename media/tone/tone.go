// Package tone makes and recognises tones, and plays music on hold: what a line says without anybody talking.
//
// All of it is 16 bit linear PCM at 8,000 samples a second. The music is computed from a score of our own, so there is
// nothing to license and no file to lose.
package tone

import (
	"io"
	"math"
	"time"
)

// Rate is the sampling rate, Hz.
const Rate = 8000

// fullScale is the amplitude of a sine of +3.14 dBm0, the loudest G.711 carries (ITU-T G.711, section 4).
const fullScale = 32635

// Amplitude is the peak sample value of a sine of a level in dBm0.
func Amplitude(dBm0 float64) float64 { return fullScale * math.Pow(10, (dBm0-3.14)/20) }

// A Sine is an endless pure tone.
type Sine struct {
	amp, step, phase float64
}

// NewSine makes a tone of a frequency in Hz and a level in dBm0; -10 is a good one.
func NewSine(hz, dBm0 float64) *Sine {
	return &Sine{amp: Amplitude(dBm0), step: 2 * math.Pi * hz / Rate}
}

// ReadPCM fills dst.
func (s *Sine) ReadPCM(dst []int16) (int, error) {
	for i := range dst {
		dst[i] = int16(s.amp * math.Sin(s.phase))
		s.phase += s.step
	}
	s.phase = math.Mod(s.phase, 2*math.Pi)
	return len(dst), nil
}

// A Part is a stretch of a cadence: the frequencies sounding together, none for silence.
type Part struct {
	Hz  []float64
	For time.Duration
}

// A Cadence repeats its parts for ever.
type Cadence struct {
	parts []Part
	dBm0  float64
	now   int
	left  int // samples of the part still to be played
	pos   int
}

// NewCadence makes a cadence of a level per frequency in dBm0. A cadence without length is silence.
func NewCadence(dBm0 float64, parts ...Part) *Cadence {
	c := &Cadence{dBm0: dBm0}
	for _, p := range parts {
		if p.For >= time.Millisecond {
			c.parts = append(c.parts, p)
		}
	}
	if len(c.parts) == 0 {
		c.parts = []Part{{For: time.Second}}
	}
	c.left = samples(c.parts[0].For)
	return c
}

func samples(d time.Duration) int { return int(d * Rate / time.Second) }

// Ringback, Busy and Congestion are the European tones of ITU-T E.180: 425 Hz.
func Ringback() *Cadence {
	return NewCadence(-13, Part{[]float64{425}, time.Second}, Part{nil, 4 * time.Second})
}

// Busy is 480 ms on, 480 ms off.
func Busy() *Cadence {
	return NewCadence(-13, Part{[]float64{425}, 480 * time.Millisecond}, Part{nil, 480 * time.Millisecond})
}

// Congestion is 240 ms on, 240 ms off.
func Congestion() *Cadence {
	return NewCadence(-13, Part{[]float64{425}, 240 * time.Millisecond}, Part{nil, 240 * time.Millisecond})
}

// ReadPCM fills dst.
func (c *Cadence) ReadPCM(dst []int16) (int, error) {
	for i := range dst {
		for c.left == 0 {
			c.now = (c.now + 1) % len(c.parts)
			c.left, c.pos = samples(c.parts[c.now].For), 0
		}
		dst[i] = c.sample()
		c.left--
		c.pos++
	}
	return len(dst), nil
}

func (c *Cadence) sample() int16 {
	v := 0.0
	for _, hz := range c.parts[c.now].Hz {
		v += math.Sin(2 * math.Pi * hz * float64(c.pos) / Rate)
	}
	return clip(v * Amplitude(c.dBm0) * c.ramp())
}

// ramp takes 5 ms at either end of a part, so that tones do not click.
func (c *Cadence) ramp() float64 {
	const n = Rate / 200
	return math.Min(1, float64(min(c.pos, c.left))/n)
}

func clip(v float64) int16 { return int16(math.Max(-32768, math.Min(32767, v))) }

// Silence is endless silence.
type Silence struct{}

// ReadPCM zeroes dst.
func (Silence) ReadPCM(dst []int16) (int, error) {
	clear(dst)
	return len(dst), nil
}

// A Clip is PCM played once.
type Clip struct {
	pcm []int16
}

// NewClip plays samples once; it does not copy them.
func NewClip(pcm []int16) *Clip { return &Clip{pcm} }

// A Loop is PCM played again and again.
type Loop struct {
	pcm []int16
	at  int
}

// NewLoop plays samples for ever; it does not copy them, so that many loops may share them. No samples are silence.
func NewLoop(pcm []int16) *Loop { return &Loop{pcm: pcm} }

// ReadPCM fills dst; it never ends.
func (l *Loop) ReadPCM(dst []int16) (int, error) {
	if len(l.pcm) == 0 {
		clear(dst)
		return len(dst), nil
	}
	for n := 0; n < len(dst); {
		k := copy(dst[n:], l.pcm[l.at:])
		n += k
		l.at = (l.at + k) % len(l.pcm)
	}
	return len(dst), nil
}

// ReadPCM gives what is left, then io.EOF.
func (c *Clip) ReadPCM(dst []int16) (int, error) {
	if len(c.pcm) == 0 {
		return 0, io.EOF
	}
	n := copy(dst, c.pcm)
	c.pcm = c.pcm[n:]
	return n, nil
}
