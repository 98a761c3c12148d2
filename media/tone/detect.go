package tone

import "math"

// A Detector says which single tone was heard over the last second, and how loud it was. It neither knows nor guesses
// the frequency: it correlates the signal with itself shifted by every lag, takes the lag that fits best and refines it
// between samples, so it hears 997 Hz as 997 and noise, music or speech as no tone.
type Detector struct {
	buf  [2 * Rate]int16 // ring of the last second
	wide bool            // 16,000 samples a second, otherwise 8,000
	pos  int
	have int
}

// SetWide says how many samples a second are heard: 16,000 or 8,000. A change forgets what was heard.
func (d *Detector) SetWide(wide bool) {
	if d.wide != wide {
		d.wide, d.have, d.pos = wide, 0, 0
	}
}

// rate is the number of samples a second, and so of the ring.
func (d *Detector) rate() int {
	if d.wide {
		return 2 * Rate
	}
	return Rate
}

// WritePCM listens. It never fails.
func (d *Detector) WritePCM(src []int16) error {
	for _, v := range src {
		d.buf[d.pos] = v
		d.pos = (d.pos + 1) % d.rate()
	}
	d.have = min(d.have+len(src), d.rate())
	return nil
}

// Reset forgets what was heard.
func (d *Detector) Reset() { d.have, d.pos = 0, 0 }

// NoLevel is the level reported for silence, dBm0.
const NoLevel = -99

// An analysis is the sampling rate of what is looked at, Hz.
type analysis int

// enough is how much must have been heard before a tone is named: 200 ms.
func (r analysis) enough() int { return int(r) / 5 }

// piece is the unit in which sound is told from silence: 40 ms.
func (r analysis) piece() int { return int(r) / 25 }

// Result is the tone's frequency, 0 when there is none, and the level of whatever was heard in dBm0.
func (d *Detector) Result() (hz, dBm0 float64) {
	x := d.recent()
	energy := 0.0
	for _, v := range x {
		energy += v * v
	}
	if len(x) == 0 || energy/float64(len(x)) < 16 {
		return 0, NoLevel
	}
	rms := math.Sqrt(energy / float64(len(x)))
	dBm0 = math.Max(NoLevel, 20*math.Log10(rms*math.Sqrt2/fullScale)+3.14)
	if len(x) < d.rate()/5 {
		return 0, dBm0
	}
	return analysis(d.rate()).frequency(x), dBm0
}

// recent is what was heard, oldest first, without its mean.
func (d *Detector) recent() []float64 {
	x := make([]float64, d.have)
	start := d.pos - d.have
	if start < 0 {
		start += d.rate()
	}
	sum := 0.0
	for i := range x {
		x[i] = float64(d.buf[(start+i)%d.rate()])
		sum += x[i]
	}
	mean := sum / float64(max(len(x), 1))
	for i := range x {
		x[i] -= mean
	}
	return x
}

// minLag is the smallest lag looked at, half the sampling rate; the largest is that of 100 Hz.
const minLag = 2

// purity is the correlation below which a signal is not called a tone. G.711 alone costs less than 0.001, a lost packet
// of ten costs 0.05 with concealment.
const purity = 0.9

// frequency looks at the longest stretch of sound, of at most half a second, and then asks of all the sound whether it is
// that tone. Gaps, from lost packets or because the tone has just begun, are allowed to make up half of the whole.
func (r analysis) frequency(x []float64) float64 {
	piece := r.piece()
	loud := sounding(x, piece)
	from, to, count := longest(loud)
	if to-from < r.enough()/piece || 2*count < len(loud) {
		return 0
	}
	run := x[from*piece : to*piece]
	hz := r.pitch(run[len(run)-min(len(run), int(r)/2):])
	if !(hz >= 100 && hz <= float64(r)/2) || r.share(x, loud, hz) < purity {
		return 0 // two tones have a common period as well, but neither has all the energy
	}
	return hz
}

// sounding says of every piece whether it has more than a hundredth of the energy of the loudest.
func sounding(x []float64, piece int) []bool {
	energy := make([]float64, len(x)/piece)
	loudest := 0.0
	for i := range energy {
		for _, v := range x[i*piece : (i+1)*piece] {
			energy[i] += v * v
		}
		loudest = math.Max(loudest, energy[i])
	}
	loud := make([]bool, len(energy))
	for i, e := range energy {
		loud[i] = e > loudest/100
	}
	return loud
}

// longest is the longest run of loud pieces, and how many there are in all.
func longest(loud []bool) (from, to, count int) {
	start := 0
	for i, l := range loud {
		if !l {
			start = i + 1
			continue
		}
		count++
		if i+1-start >= to-from {
			from, to = start, i+1
		}
	}
	return from, to, count
}

// pitch finds the period at the first lag whose correlation peaks above purity, then sharpens it at the largest multiple of
// the period that fits, where an error of one sample is a small part of the whole.
func (r analysis) pitch(x []float64) float64 {
	lag := 0
	part := x[len(x)-min(len(x), int(r)/4):] // enough to find the lag
	r0, r1 := correlate(part, 0), correlate(part, 1)
	for n := minLag; n <= int(r)/100; n++ {
		r2 := correlate(part, n)
		if r1 >= r0 && r1 >= r2 && r1 >= purity && n-1 >= minLag {
			lag = n - 1
			break
		}
		r0, r1 = r1, r2
	}
	if lag == 0 {
		return 0
	}
	period := refine(x, lag)
	// A tone above 2,000 Hz peaks between samples: the first lag that looks good may be a multiple of its period. The
	// number of sign changes tells which.
	if k := math.Round(crossings(x) / 2 * period / float64(len(x))); k > 1 {
		period /= k
	}
	return r.sharpen(x, period)
}

// share is the part of the sound's energy that lies at a frequency, piece by piece, so that a small error of the frequency
// does not matter.
func (r analysis) share(x []float64, loud []bool, hz float64) float64 {
	piece := r.piece()
	sum, n := 0.0, 0.0
	for i, l := range loud {
		if l {
			sum += goertzel(x[i*piece:(i+1)*piece], hz/float64(r))
			n++
		}
	}
	return sum / math.Max(n, 1)
}

// goertzel is the share of a piece's energy at a frequency, in parts of the sampling rate.
func goertzel(x []float64, f float64) float64 {
	c := 2 * math.Cos(2*math.Pi*f)
	var s1, s2, energy float64
	for _, v := range x {
		s1, s2 = v+c*s1-s2, s1
		energy += v * v
	}
	if energy == 0 {
		return 0
	}
	return 2 * (s1*s1 + s2*s2 - c*s1*s2) / (float64(len(x)) * energy)
}

// crossings counts changes of sign.
func crossings(x []float64) float64 {
	n := 0
	for i := 1; i < len(x); i++ {
		if (x[i-1] < 0) != (x[i] < 0) {
			n++
		}
	}
	return float64(n)
}

// sharpen follows the period to ever larger multiples.
func (r analysis) sharpen(x []float64, period float64) float64 {
	for k := 2.0; k < float64(r) && period > 1 && k*period < float64(r)/20; k *= 2 {
		lag := int(math.Round(k * period))
		best := lag
		for n := lag - 1; n <= lag+1; n++ {
			if correlate(x, n) > correlate(x, best) {
				best = n
			}
		}
		p := refine(x, best)
		// The neighbouring multiples must not be mistaken for this one.
		period = p / math.Max(1, math.Round(p/period))
	}
	return float64(r) / period
}

// correlate is the normalised correlation of x with itself n samples later.
func correlate(x []float64, n int) float64 {
	if n < 0 || n >= len(x) {
		return 0
	}
	var xy, xx, yy float64
	a, b := x[:len(x)-n], x[n:]
	for i := range a {
		xy += a[i] * b[i]
		xx += a[i] * a[i]
		yy += b[i] * b[i]
	}
	if xx == 0 || yy == 0 {
		return 0
	}
	return xy / math.Sqrt(xx*yy)
}

// refine finds the peak between samples. Around a peak at lag+d the correlation of a tone is A*cos(w*(n-lag-d)), so its
// three middle values give w and d exactly.
func refine(x []float64, lag int) float64 {
	l, m, r := correlate(x, lag-1), correlate(x, lag), correlate(x, lag+1)
	c := (l + r) / (2 * m)
	if m <= 0 || c <= -1 || c >= 1 {
		return float64(lag)
	}
	w := math.Acos(c)
	return float64(lag) + math.Max(-1, math.Min(1, math.Atan2(r-l, 2*m*math.Sin(w))/w))
}
