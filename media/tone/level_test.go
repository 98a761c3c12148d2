package tone

import (
	"math"
	"testing"
)

func TestLevelInMixture(t *testing.T) {
	pcm := make([]int16, Rate/4)
	tones := map[float64]float64{440: -10, 600: -16, 1000: -10, 1020: -22}
	for hz, level := range tones {
		for i := range pcm {
			pcm[i] += int16(Amplitude(level) * math.Sin(2*math.Pi*hz*float64(i)/Rate+hz))
		}
	}
	for hz, want := range tones {
		if got := Level(pcm, hz); math.Abs(got-want) > 0.5 {
			t.Errorf("%v Hz: %.1f dBm0, want %v", hz, got, want)
		}
	}
	for _, hz := range []float64{300, 520, 800, 1400} {
		if got := Level(pcm, hz); got > -60 {
			t.Errorf("%v Hz is not there, and is heard at %.1f dBm0", hz, got)
		}
	}
	if got := Level(make([]int16, 100), 440); got != NoLevel {
		t.Errorf("silence has %v dBm0", got)
	}
}
