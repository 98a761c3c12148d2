// Package resample converts between the 8,000 samples a second of the telephone network and the 16,000 of wideband speech
// (G.722), by one half-band filter each way.
//
// The filter is a windowed sinc of 55 taps: flat within 0.1 dB to 3,400 Hz, 60 dB down from 4,600 Hz on. Half of its taps
// are zero and the others symmetric, so a sample costs 14 multiplications. It delays by 27 samples of the faster rate, 1.7 ms.
package resample

import "math"

// half is the number of different taps beside the middle one.
const half = 14

// taps are those of odd distance from the middle, nearest first, doubled: the gain of an interpolator.
var taps = design()

// design computes sinc(n/2) under a Kaiser window; beta 5.7 is 60 dB of attenuation (J. F. Kaiser, 1974).
func design() (c [half]float32) {
	const beta = 5.7
	sum := 0.0
	var h [half]float64
	for k := range h {
		n := float64(2*k + 1)
		r := n / (2*half + 0.5)
		h[k] = math.Sin(math.Pi*n/2) / (math.Pi * n / 2) * bessel(beta*math.Sqrt(1-r*r)) / bessel(beta)
		sum += 2 * h[k]
	}
	for k := range h {
		c[k] = float32(h[k] / sum) // so that a constant stays what it is
	}
	return c
}

// bessel is the modified Bessel function of the first kind and order zero.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; k < 30; k++ {
		term *= x / (2 * k) * x / (2 * k)
		sum += term
	}
	return sum
}

// line is a delay line that is read without a modulo: every sample is written twice.
type line struct {
	v  [4 * half]float32
	at int
}

// push adds a sample and gives the last 2*half, oldest first.
func (l *line) push(x float32) []float32 {
	l.v[l.at], l.v[l.at+2*half] = x, x
	l.at = (l.at + 1) % (2 * half)
	return l.v[l.at : l.at+2*half]
}

// between is the value half-way between the two samples in the middle.
func between(w []float32) (y float32) {
	w = w[:2*half]
	for k, c := range taps {
		y += c * (w[half-1-k] + w[half+k])
	}
	return y
}

// Up doubles the rate. The zero value is ready.
type Up struct{ in line }

// Int32 makes two samples of each; dst is twice as long as src.
func (u *Up) Int32(dst, src []int32) {
	for i, x := range src {
		w := u.in.push(float32(x))
		dst[2*i], dst[2*i+1] = int32(w[half-1]), round(between(w))
	}
}

// Int16 is Int32 for 16 bit samples, which are limited.
func (u *Up) Int16(dst, src []int16) {
	for i, x := range src {
		w := u.in.push(float32(x))
		dst[2*i], dst[2*i+1] = int16(w[half-1]), limit(between(w))
	}
}

// Down halves the rate. The zero value is ready.
type Down struct{ even, odd line }

func (d *Down) next(a, b float32) float32 {
	e, o := d.even.push(a), d.odd.push(b)
	// o ends half a sample after e; the even sample in the middle of o is half of the line back.
	return (e[half] + between(o)) / 2
}

// Int32 makes one sample of two; src is twice as long as dst.
func (d *Down) Int32(dst, src []int32) {
	for i := range dst {
		dst[i] = round(d.next(float32(src[2*i]), float32(src[2*i+1])))
	}
}

// Int16 is Int32 for 16 bit samples.
func (d *Down) Int16(dst, src []int16) {
	for i := range dst {
		dst[i] = limit(d.next(float32(src[2*i]), float32(src[2*i+1])))
	}
}

func round(v float32) int32 {
	if v < 0 {
		return int32(v - 0.5)
	}
	return int32(v + 0.5)
}

func limit(v float32) int16 { return int16(min(max(round(v), -32768), 32767)) }

// Rate converts a whole recording from one sampling rate to another, which need have nothing in common, by a windowed sinc of 16
// periods to either side: flat to 90 percent of what the slower rate can carry. For files; what flows is converted by Up and Down.
func Rate(pcm []int16, from, to int) []int16 {
	if from == to || from <= 0 || to <= 0 {
		return pcm
	}
	const periods, beta = 16, 8.0
	cut := 0.95 * math.Min(1, float64(to)/float64(from)) // of the source's half rate
	reach := periods / cut
	out := make([]int16, int(int64(len(pcm))*int64(to)/int64(from)))
	window := 1 / bessel(beta)
	for i := range out {
		at := float64(i) * float64(from) / float64(to)
		sum, weight := 0.0, 0.0
		for n := max(0, int(math.Ceil(at-reach))); n < len(pcm) && float64(n) <= at+reach; n++ {
			x := float64(n) - at
			r := x / reach
			h := bessel(beta*math.Sqrt(math.Max(0, 1-r*r))) * window
			if x != 0 {
				h *= math.Sin(math.Pi*cut*x) / (math.Pi * cut * x)
			}
			sum, weight = sum+h*float64(pcm[n]), weight+h
		}
		if weight != 0 {
			sum /= weight
		}
		out[i] = limit(float32(sum))
	}
	return out
}
