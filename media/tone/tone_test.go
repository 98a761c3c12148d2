package tone

import (
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/locktone/locktone/media/g711"
)

type reader interface{ ReadPCM([]int16) (int, error) }

func second(t *testing.T, r reader) []int16 {
	t.Helper()
	pcm := make([]int16, Rate)
	if n, err := r.ReadPCM(pcm); n != Rate || err != nil {
		t.Fatal(n, err)
	}
	return pcm
}

func throughG711(pcm []int16, law g711.Law) []int16 {
	code, out := make([]byte, len(pcm)), make([]int16, len(pcm))
	law.Encode(code, pcm)
	law.Decode(out, code)
	return out
}

// TestHearsWhatWasPlayed: frequency within 0.3 % and level within 0.5 dB, through either law, over the telephone band.
func TestHearsWhatWasPlayed(t *testing.T) {
	for _, hz := range []float64{150, 300, 425, 440, 697, 941, 997, 1000, 1209, 1633, 1999, 2000, 2100, 2600, 3000, 3400} {
		for _, level := range []float64{0, -10, -30} {
			for _, law := range []g711.Law{g711.ULaw, g711.ALaw} {
				var d Detector
				_ = d.WritePCM(throughG711(second(t, NewSine(hz, level)), law))
				got, l := d.Result()
				if math.Abs(got-hz) > hz*0.003 || math.Abs(l-level) > 0.5 {
					t.Errorf("%v Hz %v dBm0 law %d: heard %.1f Hz %.1f dBm0", hz, level, law, got, l)
				}
			}
		}
	}
}

func TestHearsNoToneInAnythingElse(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise, fading := make([]int16, Rate), make([]int16, Rate)
	for i := range noise {
		noise[i] = int16(rnd.IntN(20000) - 10000)
		fading[i] = int16(rnd.IntN(8) - 4) // comfort noise
	}
	two := second(t, NewCadence(-10, Part{[]float64{697, 1209}, 1e9}))
	for what, pcm := range map[string][]int16{
		"silence": make([]int16, Rate), "noise": noise, "comfort noise": fading, "DTMF": two, "music": second(t, NewMusic()),
	} {
		var d Detector
		_ = d.WritePCM(pcm)
		if hz, l := d.Result(); hz != 0 {
			t.Errorf("%s: heard %.1f Hz at %.1f dBm0", what, hz, l)
		}
	}
	var d Detector
	if hz, l := d.Result(); hz != 0 || l != NoLevel {
		t.Errorf("nothing heard at all: %v Hz %v", hz, l)
	}
}

// TestForgets: the detector speaks of the last second only.
func TestForgets(t *testing.T) {
	var d Detector
	_ = d.WritePCM(second(t, NewSine(1000, -10)))
	_ = d.WritePCM(make([]int16, Rate))
	if hz, l := d.Result(); hz != 0 || l != NoLevel {
		t.Errorf("a second after the tone: %v Hz, %v", hz, l)
	}
}

func TestCadence(t *testing.T) {
	pcm := append(second(t, Busy()), 0)
	loud := func(ms int) bool {
		for _, v := range pcm[ms*8 : ms*8+80] {
			if v > 1000 {
				return true
			}
		}
		return false
	}
	for ms, want := range map[int]bool{100: true, 400: true, 500: false, 900: false, 970: true} {
		if loud(ms) != want {
			t.Errorf("busy tone at %d ms: %v", ms, !want)
		}
	}
	if second(t, NewCadence(-10))[0] != 0 {
		t.Error("a cadence of nothing is not silent")
	}
}

func TestMusicSoundsAndRepeats(t *testing.T) {
	m := NewMusic()
	var d Detector
	period := len(chords) * barLen
	first := make([]int16, period)
	if _, err := m.ReadPCM(first); err != nil {
		t.Fatal(err)
	}
	for i := 0; i+Rate <= period; i += Rate {
		d.Reset()
		_ = d.WritePCM(first[i : i+Rate])
		if _, l := d.Result(); l < -45 || l > -6 {
			t.Errorf("second %d has %.1f dBm0", i/Rate, l)
		}
	}
	again := make([]int16, period)
	_, _ = m.ReadPCM(again)
	for i := range again {
		if again[i] != first[i] {
			t.Fatalf("sample %d differs the second time", i)
		}
	}
}

func TestClipEnds(t *testing.T) {
	c := NewClip([]int16{1, 2, 3})
	buf := make([]int16, 2)
	if n, err := c.ReadPCM(buf); n != 2 || err != nil {
		t.Error(n, err)
	}
	if n, err := c.ReadPCM(buf); n != 1 || err != nil {
		t.Error(n, err)
	}
	if n, err := c.ReadPCM(buf); n != 0 || !errors.Is(err, io.EOF) {
		t.Error(n, err)
	}
}

func BenchmarkDetector(b *testing.B) {
	var d Detector
	pcm := make([]int16, Rate)
	_, _ = NewSine(1000, -10).ReadPCM(pcm)
	_ = d.WritePCM(pcm)
	for b.Loop() {
		d.Result()
	}
}

func BenchmarkMusic(b *testing.B) {
	m, pcm := NewMusic(), make([]int16, 160)
	for b.Loop() {
		_, _ = m.ReadPCM(pcm)
	}
}

// FuzzDetector: whatever is heard, there is an answer, and it lies in the band.
func FuzzDetector(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, uint16(8000), uint16(20))
	f.Add([]byte{200, 0, 0, 0, 0, 0, 0, 0}, uint16(3000), uint16(0))
	f.Fuzz(func(t *testing.T, pattern []byte, n, silence uint16) {
		if len(pattern) == 0 {
			return
		}
		var d Detector
		pcm := make([]int16, n)
		for i := range pcm {
			pcm[i] = int16(int(pattern[i%len(pattern)])<<8 - 1<<15)
		}
		_ = d.WritePCM(pcm)
		_ = d.WritePCM(make([]int16, silence))
		if hz, l := d.Result(); hz != 0 && (hz < 79 || hz > 4000) || l < NoLevel || l > 6.2 || math.IsNaN(hz+l) {
			t.Errorf("%v Hz, %v dBm0", hz, l)
		}
	})
}

func TestLoopGoesOn(t *testing.T) {
	l := NewLoop([]int16{1, 2, 3})
	got := make([]int16, 7)
	for range 2 {
		if n, err := l.ReadPCM(got); n != len(got) || err != nil {
			t.Fatal(n, err)
		}
	}
	if want := [7]int16{2, 3, 1, 2, 3, 1, 2}; [7]int16(got) != want {
		t.Errorf("read %v, want %v", got, want)
	}
	if n, err := NewLoop(nil).ReadPCM(got); n != len(got) || err != nil || got[0] != 0 {
		t.Error("no samples must be silence", n, err, got)
	}
}
