package resample

import (
	"math"
	"testing"
)

// gain is the level at which a tone of a frequency comes out of a conversion, dB, and how much of what comes out is not
// that tone.
func gain(t *testing.T, hz, in, out float64, convert func(dst, src []int16)) (dB, noise float64) {
	t.Helper()
	const amp = 10000
	src := make([]int16, int(in))
	for i := range src {
		src[i] = int16(math.Round(amp * math.Sin(2*math.Pi*hz*float64(i)/in)))
	}
	dst := make([]int16, int(out))
	for i, n := 0, int(in)/50; i < 50; i++ { // in frames of 20 ms, as streams do
		m := int(out) / 50
		convert(dst[i*m:(i+1)*m], src[i*n:(i+1)*n])
	}
	dst = dst[len(dst)/4:]
	var re, im, energy float64
	for i, v := range dst {
		w := 2 * math.Pi * hz * float64(i) / out
		re += float64(v) * math.Cos(w)
		im += float64(v) * math.Sin(w)
		energy += float64(v) * float64(v)
	}
	n := float64(len(dst))
	power := 2 * (re*re + im*im) / (n * n)
	return 10 * math.Log10((power+1e-9)/(amp*amp/2)), 10 * math.Log10((energy/n-power+1e-9)/(amp*amp/2))
}

func TestTonesPassUnchanged(t *testing.T) {
	for _, hz := range []float64{200, 300, 1000, 2000, 3000, 3400} {
		var u Up
		if dB, noise := gain(t, hz, 8000, 16000, u.Int16); math.Abs(dB) > 0.1 || noise > -55 {
			t.Errorf("up, %v Hz: %.2f dB, other things %.1f dB", hz, dB, noise)
		}
		var d Down
		if dB, noise := gain(t, hz, 16000, 8000, d.Int16); math.Abs(dB) > 0.1 || noise > -55 {
			t.Errorf("down, %v Hz: %.2f dB, other things %.1f dB", hz, dB, noise)
		}
	}
}

// TestNothingFoldsBack: what the slower rate cannot carry is gone, instead of coming back at another frequency.
func TestNothingFoldsBack(t *testing.T) {
	for _, hz := range []float64{4600, 5000, 6000, 7000, 7900} {
		var d Down
		src, dst := make([]int16, 16000), make([]int16, 8000)
		for i := range src {
			src[i] = int16(10000 * math.Sin(2*math.Pi*hz*float64(i)/16000))
		}
		d.Int16(dst, src)
		energy := 0.0
		for _, v := range dst[100:] {
			energy += float64(v) * float64(v)
		}
		if dB := 10 * math.Log10((energy/7900+1e-9)/5e7); dB > -55 {
			t.Errorf("%v Hz comes through at %.1f dB", hz, dB)
		}
	}
}

func TestBothWidthsAgree(t *testing.T) {
	var u16, u32 Up
	var d16, d32 Down
	src, wide := make([]int16, 160), make([]int16, 320)
	src32, wide32 := make([]int32, 160), make([]int32, 320)
	for i := range src {
		src[i] = int16(9000 * math.Sin(float64(i)/3))
		src32[i] = int32(src[i])
	}
	u16.Int16(wide, src)
	u32.Int32(wide32, src32)
	for i := range wide {
		if int32(wide[i]) != wide32[i] {
			t.Fatal("up differs at", i)
		}
	}
	d16.Int16(src, wide)
	d32.Int32(src32, wide32)
	for i := range src {
		if int32(src[i]) != src32[i] {
			t.Fatal("down differs at", i)
		}
	}
}

func BenchmarkUpAndDown(b *testing.B) {
	var u Up
	var d Down
	src, wide := make([]int32, 160), make([]int32, 320)
	for b.Loop() {
		u.Int32(wide, src)
		d.Int32(src, wide)
	}
}

// TestRate: a tone keeps frequency and level whatever the rates, and what the slower rate cannot carry is gone.
func TestRate(t *testing.T) {
	for _, test := range []struct {
		from, to int
		hz       float64
		gone     bool
	}{{22050, 8000, 1000, false}, {44100, 8000, 3000, false}, {8000, 16000, 440, false}, {48000, 8000, 5000, true}, {11025, 8000, 4700, true}} {
		in := make([]int16, test.from)
		for i := range in {
			in[i] = int16(10000 * math.Sin(2*math.Pi*test.hz*float64(i)/float64(test.from)))
		}
		out := Rate(in, test.from, test.to)
		if len(out) != test.to {
			t.Fatalf("%d samples from %d to %d", len(out), test.from, test.to)
		}
		re, im, energy := 0.0, 0.0, 0.0
		for i, v := range out[test.to/4 : test.to*3/4] {
			a := 2 * math.Pi * test.hz * float64(i+test.to/4) / float64(test.to)
			re, im, energy = re+float64(v)*math.Cos(a), im+float64(v)*math.Sin(a), energy+float64(v)*float64(v)
		}
		n := float64(test.to / 2)
		amplitude, rms := 2*math.Hypot(re, im)/n, math.Sqrt(energy/n)
		if !test.gone && (math.Abs(amplitude-10000) > 300 || math.Abs(rms-10000/math.Sqrt2) > 300) || test.gone && rms > 30 {
			t.Errorf("%v Hz from %d to %d: amplitude %.0f, rms %.0f", test.hz, test.from, test.to, amplitude, rms)
		}
	}
}
