package tone

import "math"

// Level is how loud one frequency is within a mixture, in dBm0, NoLevel when it is not there. It needs some periods of the
// difference to its neighbours: a quarter of a second tells tones 20 Hz apart. Goertzel's recurrence under a Hann window, so that
// a loud tone does not leak into the others.
func Level(pcm []int16, hz float64) float64 {
	if len(pcm) < 2 {
		return NoLevel
	}
	c := 2 * math.Cos(2*math.Pi*hz/Rate)
	step := 2 * math.Pi / float64(len(pcm)-1)
	var s1, s2, weight float64
	for i, v := range pcm {
		w := 0.5 - 0.5*math.Cos(step*float64(i))
		s1, s2 = w*float64(v)+c*s1-s2, s1
		weight += w
	}
	power := s1*s1 + s2*s2 - c*s1*s2
	if power <= 0 {
		return NoLevel
	}
	amplitude := 2 * math.Sqrt(power) / weight
	return math.Max(NoLevel, 20*math.Log10(amplitude/fullScale)+3.14)
}
