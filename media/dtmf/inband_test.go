package dtmf

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/locktone/locktone/media/g711"
)

// pair is two tones of some length, 8,000 samples a second.
func pair(low, high, ampLow, ampHigh float64, ms int) []int16 {
	x := make([]int16, ms*8)
	for i := range x {
		s := float64(i) / rate
		x[i] = int16(ampLow*math.Sin(2*math.Pi*low*s) + ampHigh*math.Sin(2*math.Pi*high*s))
	}
	return x
}

func heard(x []int16) (s string) {
	var d Detector
	for len(x) > 0 {
		n := min(160, len(x))
		d.Write(x[:n], func(g Digit) { s += string(g.Key) })
		x = x[n:]
	}
	return s
}

var gap = make([]int16, 800)

// TestTonesAreHeard: every digit made is heard once, through either law, with noise 20 dB below.
func TestTonesAreHeard(t *testing.T) {
	for _, law := range []g711.Law{g711.ULaw, g711.ALaw} {
		var s Sender
		var tones Tones
		if err := s.Queue(keys + "11,22"); err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rand.NewPCG(1, 1))
		var d Detector
		got := ""
		for now := uint32(0); s.Busy(); now += frame {
			pcm := make([]int16, frame)
			if p, ok := s.Step(now); ok {
				tones.Fill(pcm, p)
			}
			for i := range pcm {
				pcm[i] += int16(rnd.IntN(2400) - 1200)
			}
			code := make([]byte, frame)
			law.Encode(code, pcm)
			law.Decode(pcm, code)
			d.Write(pcm, func(g Digit) {
				if got += string(g.Key); g.Duration < 800 || g.Duration > 1600 {
					t.Errorf("%c lasted %d", g.Key, g.Duration)
				}
			})
		}
		if got != keys+"1122" {
			t.Errorf("heard %q", got)
		}
	}
}

// TestLimits are those of ITU-T Q.24, table A-1: frequencies 1.5 % off are heard, 3.5 % off not; twist; length; level.
func TestLimits(t *testing.T) {
	for _, x := range []struct {
		name string
		pcm  []int16
		want string
	}{
		{"exact", pair(770, 1336, 6000, 6000, 60), "5"},
		{"1.5 % high", pair(770*1.015, 1336*1.015, 6000, 6000, 60), "5"},
		{"1.5 % low", pair(770*0.985, 1336*0.985, 6000, 6000, 60), "5"},
		{"4 % high", pair(770*1.04, 1336*1.04, 6000, 6000, 200), ""},
		{"4 % low", pair(770*0.96, 1336*0.96, 6000, 6000, 200), ""},
		{"column 7 dB louder", pair(770, 1336, 3000, 3000*math.Pow(10, 7.0/20), 60), "5"},
		{"row 4 dB louder", pair(770, 1336, 3000*math.Pow(10, 4.0/20), 3000, 60), "5"},
		{"row 12 dB louder", pair(770, 1336, 8000, 2000, 200), ""},
		{"one tone", pair(770, 1336, 8000, 0, 200), ""},
		{"20 ms", pair(770, 1336, 6000, 6000, 20), ""},
		{"-25 dBm0 each", pair(770, 1336, 1275, 1275, 60), "5"},
		{"too quiet", pair(770, 1336, 60, 60, 200), ""},
		{"three tones", mix(pair(770, 1336, 6000, 6000, 200), pair(440, 0, 6000, 0, 200)), ""},
		{"dial tone", pair(425, 0, 8000, 0, 500), ""},
	} {
		if got := heard(append(append([]int16(nil), x.pcm...), gap...)); got != x.want {
			t.Errorf("%s: heard %q, not %q", x.name, got, x.want)
		}
	}
}

func mix(a, b []int16) []int16 {
	for i := range a {
		a[i] += b[i]
	}
	return a
}

// TestBreakDoesNotDouble: a digit with a gap of 10 ms in it is one digit.
func TestBreakDoesNotDouble(t *testing.T) {
	x := pair(852, 1477, 6000, 6000, 160)
	clear(x[600:680])
	if got := heard(append(x, gap...)); got != "9" {
		t.Errorf("heard %q", got)
	}
}

// TestTalkOff: two minutes of something like speech, or half an hour with LOCKTONE_ALL=1, hold hardly a digit: Bellcore
// TR-TSY-000763 allows 30 in an hour. It is harder than speech, since its sounds stand still for 160 ms: a voice of changing pitch with its overtones under wandering
// formants, in syllables, and noise bursts for consonants.
func TestTalkOff(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 2))
	var d Detector
	digits := 0
	frame := make([]int16, 160)
	phase, pitch, target := 0.0, 120.0, 120.0
	var f1, f2, loud float64
	voiced := true
	minutes := 2
	if os.Getenv("LOCKTONE_ALL") != "" {
		minutes = 30
	}
	for n := range minutes * 60 * 50 {
		if n%8 == 0 { // a sound of 160 ms
			target = 80 + 240*rnd.Float64()
			f1, f2 = 250+700*rnd.Float64(), 800+1600*rnd.Float64()
			loud, voiced = 12000*rnd.Float64(), rnd.IntN(5) > 0
		}
		for i := range frame {
			pitch += (target - pitch) / 800
			phase += pitch / rate
			v := 0.0
			if voiced {
				for k := 1.0; k*pitch < 3400; k++ {
					hz := k * pitch
					gain := 1/(1+math.Pow((hz-f1)/90, 2)) + 0.6/(1+math.Pow((hz-f2)/120, 2)) + 0.02
					v += gain * math.Sin(2*math.Pi*k*phase)
				}
			} else {
				v = rnd.NormFloat64() / 3
			}
			frame[i] = int16(math.Max(-32768, math.Min(32767, v*loud)))
		}
		d.Write(frame, func(Digit) { digits++ })
	}
	if digits > minutes/2 {
		t.Errorf("%d digits in %d minutes of speech", digits, minutes)
	}
}

// FuzzDetector: any samples are taken, and digits are digits.
func FuzzDetector(f *testing.F) {
	f.Add([]byte{1, 2, 3, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		pcm := make([]int16, len(b))
		for i, v := range b {
			pcm[i] = int16(v) << 8
		}
		var d Detector
		d.Write(pcm, func(g Digit) {
			if _, ok := Event(g.Key); !ok {
				t.Errorf("key %d", g.Key)
			}
		})
	})
}
