package tone

import (
	"math"
	"sync"
)

// Music is music on hold: a quiet waltz of ours, made note by note, that repeats after about half a minute. Every listener
// has its own place in it, from the beginning.
type Music struct {
	pos int // sample within the piece
}

// NewMusic begins at the first bar.
func NewMusic() *Music { return &Music{} }

const (
	beat       = Rate * 3 / 5 // samples: 100 beats a minute
	barLen     = 3 * beat
	melodyGain = 0.5
	chordGain  = 0.16
	musicLevel = -16 // dBm0, roughly
)

// The score. Notes are semitones above C4; rest leaves the note before it to fade.
const rest = -99

// chords name three notes for each bar, melody one note per beat.
var (
	chords = [16][3]int8{
		{0, 4, 7}, {-3, 0, 4}, {-7, -3, 0}, {-5, -1, 2}, {0, 4, 7}, {-8, -5, -1}, {-7, -3, 0}, {-5, -1, 2},
		{-3, 0, 4}, {-8, -5, -1}, {-7, -3, 0}, {0, 4, 7}, {-10, -7, -3}, {-5, -1, 2}, {0, 4, 7}, {0, 4, 7},
	}
	melody = [16][3]int8{
		{7, rest, 4}, {12, 11, 9}, {5, 9, 7}, {11, rest, 9}, {7, 12, 16}, {14, rest, 11}, {12, 9, 5}, {7, rest, rest},
		{9, 12, 16}, {11, rest, 7}, {9, 5, 12}, {7, rest, 4}, {2, 5, 9}, {11, 7, 2}, {0, 4, 7}, {12, rest, rest},
	}
)

// score is a piece by beats. Each is computed when it is first heard, some milliseconds' work, since whoever is put on hold first would wait
// for the whole of it, and the other streams with them. All listeners share them; nobody changes one.
type score [len(chords) * 3]func() []int16

func newScore(sample func(pos int) int16) (s score) {
	for i := range s {
		s[i] = sync.OnceValue(func() []int16 {
			pcm := make([]int16, beat)
			for k := range pcm {
				pcm[k] = sample(i*beat + k)
			}
			return pcm
		})
	}
	return s
}

// read fills dst from a place on and returns the next place.
func (s *score) read(dst []int16, pos int) int {
	for n := 0; n < len(dst); {
		c := copy(dst[n:], s[pos/beat]()[pos%beat:])
		n += c
		pos = (pos + c) % (len(s) * beat)
	}
	return pos
}

var waltz = newScore(sample)

// ReadPCM fills dst.
func (m *Music) ReadPCM(dst []int16) (int, error) {
	m.pos = waltz.read(dst, m.pos)
	return len(dst), nil
}

func sample(pos int) int16 {
	bar, in := pos/barLen, pos%barLen
	v := melodyGain * lead(bar, in/beat, in%beat)
	for k, note := range chords[bar] {
		// The chord is broken: its notes enter one beat after another.
		if t := in - k*beat; t >= 0 {
			v += chordGain * pluck(hertz(note), t)
		}
	}
	return clip(v * Amplitude(musicLevel) * 2)
}

// lead is the melody: the last note that is no rest, for as long as it has been sounding.
func lead(bar, b, t int) float64 {
	for range len(melody) * 3 {
		if note := melody[bar][b]; note != rest {
			return pluck(hertz(note), t)
		}
		t += beat
		if b--; b < 0 {
			b, bar = 2, (bar+len(melody)-1)%len(melody)
		}
	}
	return 0
}

func hertz(note int8) float64 { return 261.63 * math.Pow(2, float64(note)/12) }

// pluck is a string t samples after it was plucked: two overtones, a soft attack, an exponential end.
func pluck(hz float64, t int) float64 {
	s := float64(t) / Rate
	attack := math.Min(1, s/0.01)
	w := 2 * math.Pi * hz * s
	return attack * math.Exp(-2.2*s) * (math.Sin(w) + 0.3*math.Sin(2*w)*math.Exp(-3*s) + 0.1*math.Sin(3*w)*math.Exp(-5*s))
}
