package mixer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// voice is a party that says a tone.
type voice struct {
	Party
	hz, amp float64
	pos     int
	heard   []int16
}

func newVoice(wide bool, hz, amp float64) *voice {
	return &voice{Party: Party{Wide: wide, Open: true}, hz: hz, amp: amp}
}

func (v *voice) rate() float64 {
	if v.Wide {
		return 16000
	}
	return 8000
}

func (v *voice) speak() {
	in := v.In[:v.size()]
	for i := range in {
		in[i] = int16(math.Round(v.amp * math.Sin(2*math.Pi*v.hz*float64(v.pos)/v.rate())))
		v.pos++
	}
}

// run is n frames of a conference.
func run(m *Mixer, n int, all ...*voice) {
	for range n {
		for _, v := range all {
			v.speak()
		}
		m.Mix()
		for _, v := range all {
			v.heard = append(v.heard, v.Out[:v.size()]...)
		}
	}
}

// level is the amplitude at which a party heard a frequency, over its last half second.
func (v *voice) level(hz float64) float64 {
	n := int(v.rate() / 2)
	x := v.heard[len(v.heard)-n:]
	var re, im float64
	for i, s := range x {
		w := 2 * math.Pi * hz * float64(i) / v.rate()
		re += float64(s) * math.Cos(w)
		im += float64(s) * math.Sin(w)
	}
	return 2 * math.Hypot(re, im) / float64(n)
}

func meet(all ...*voice) *Mixer {
	var m Mixer
	for _, v := range all {
		m.Add(&v.Party)
	}
	return &m
}

func TestEverybodyHearsEverybodyElse(t *testing.T) {
	for _, x := range []struct {
		name string
		wide []bool
		hz   []float64
	}{
		{"narrow", []bool{false, false, false}, []float64{400, 1000, 1600}},
		{"wide", []bool{true, true, true}, []float64{400, 1000, 6000}},
		{"mixed", []bool{false, true, false, true}, []float64{400, 1000, 2000, 3000}},
		{"one wide", []bool{false, true, false}, []float64{400, 1000, 2000}},
	} {
		t.Run(x.name, func(t *testing.T) {
			var all []*voice
			for i := range x.wide {
				all = append(all, newVoice(x.wide[i], x.hz[i], 3000))
			}
			run(meet(all...), 50, all...)
			for i, v := range all {
				for k, w := range all {
					got, want := v.level(w.hz), 3000.0
					if i == k {
						want = 0
					}
					if math.Abs(got-want) > 60 {
						t.Errorf("party %d hears %v Hz of party %d at %.0f, not %.0f", i, w.hz, k, got, want)
					}
				}
			}
		})
	}
}

// TestWideOnlyBetweenWide: 6 kHz reaches those who can hear it, and comes to nobody as something else.
func TestWideOnlyBetweenWide(t *testing.T) {
	a, b, c := newVoice(true, 6000, 3000), newVoice(true, 0, 0), newVoice(false, 0, 0)
	run(meet(a, b, c), 50, a, b, c)
	if got := b.level(6000); math.Abs(got-3000) > 60 {
		t.Errorf("the wideband party hears 6 kHz at %.0f", got)
	}
	if got := c.level(2000); got > 10 {
		t.Errorf("the narrowband party hears an image of 6 kHz at %.0f", got)
	}
}

// TestNoEcho: with nobody else talking a party hears exact silence, however loud it is itself.
func TestNoEcho(t *testing.T) {
	for _, wide := range []bool{false, true} {
		a, b, c := newVoice(wide, 997, 32000), newVoice(false, 0, 0), newVoice(true, 0, 0)
		run(meet(a, b, c), 30, a, b, c)
		for i, s := range a.heard {
			if s != 0 {
				t.Fatalf("wide %v: the talker hears %d of itself at sample %d", wide, s, i)
			}
		}
	}
}

// TestLoudVoicesAreLimited: the sum of sixteen voices at full scale is limited; a sum that wraps would jump by 65,535.
func TestLoudVoicesAreLimited(t *testing.T) {
	var all []*voice
	for range 16 {
		all = append(all, newVoice(false, 300, 32000))
	}
	run(meet(all...), 10, all...)
	for i := 1; i < len(all[0].heard); i++ {
		// Fifteen times the slope of one voice is what may happen between two samples.
		if d := int(all[0].heard[i]) - int(all[0].heard[i-1]); d > 15*7600 || d < -15*7600 || (all[0].heard[i] < 0) != (all[1].heard[i] < 0) {
			t.Fatalf("jump of %d at %d", d, i)
		}
	}
	peak := int16(0)
	for _, s := range all[0].heard {
		peak = max(peak, s)
	}
	if peak != 32767 {
		t.Errorf("the peak is %d", peak)
	}
}

// steepest is the largest jump between two samples heard from a frame on.
func (v *voice) steepest(fromFrame int) (most int) {
	for i := max(fromFrame*v.size(), 1); i < len(v.heard); i++ {
		most = max(most, abs(int(v.heard[i])-int(v.heard[i-1])))
	}
	return most
}

func abs(n int) int { return max(n, -n) }

// TestNoClicks: who enters, leaves, is muted and unmuted in the middle of a word makes no jump for the others beyond those
// its tone has anyway.
func TestNoClicks(t *testing.T) {
	for _, wide := range []bool{false, true} {
		t.Run(fmt.Sprint("wide ", wide), func(t *testing.T) {
			listener, talker := newVoice(wide, 0, 0), newVoice(wide, 311, 12000)
			talker.pos = 13
			bound := int(12000*2*math.Pi*311/talker.rate()) + 80
			m := meet(listener)
			run(m, 5, listener)
			m.Add(&talker.Party)
			run(m, 7, listener, talker)
			talker.Open = false
			run(m, 4, listener, talker)
			talker.Open = true
			run(m, 5, listener, talker)
			loudest := 0
			for _, s := range listener.heard {
				loudest = max(loudest, int(s))
			}
			m.Remove(&talker.Party)
			run(m, 5, listener)
			if got := listener.steepest(0); got > bound || loudest < 11000 {
				t.Errorf("a jump of %d, the tone has %d; loudest %d", got, bound, loudest)
			}
			if tail := listener.heard[len(listener.heard)-3*listener.size():]; loud(tail) {
				t.Error("who has left is still heard")
			}
		})
	}
}

// TestEntryIsFadedIn: who comes into a loud room does not hear a click either.
func TestEntryIsFadedIn(t *testing.T) {
	talker, late := newVoice(false, 311, 12000), newVoice(false, 0, 0)
	m := meet(talker)
	run(m, 3, talker)
	m.Add(&late.Party)
	run(m, 5, talker, late)
	if late.heard[0] != 0 || float64(late.steepest(0)) > 12000*2*math.Pi*311/8000+80 {
		t.Errorf("first sample %d, steepest %d", late.heard[0], late.steepest(0))
	}
}

func TestAlsoIsPrivate(t *testing.T) {
	a, b := newVoice(false, 0, 0), newVoice(false, 0, 0)
	m := meet(a, b)
	run(m, 1, a, b)
	a.Also = make([]int16, Frame)
	for i := range a.Also {
		a.Also[i] = 500
	}
	run(m, 1, a, b)
	if a.Out[7] != 500 || b.Out[7] != 0 {
		t.Errorf("a hears %d, b hears %d", a.Out[7], b.Out[7])
	}
}

// TestWalk: whatever happens in whatever order, everybody hears the sum of the others, up to fades and filters; here all
// are narrow and steady, so in every frame without a change it is exact.
func TestWalk(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	var m Mixer
	var in []*Party
	for range 2000 {
		changed := false
		switch k := rnd.IntN(10); {
		case k == 0 && len(in) < 70:
			p := &Party{Open: true}
			in, changed = append(in, p), true
			m.Add(p)
		case k == 1 && len(in) > 0:
			i := rnd.IntN(len(in))
			m.Remove(in[i])
			in, changed = append(in[:i:i], in[i+1:]...), true
		}
		want := [Frame]int32{}
		for _, p := range in {
			for i := range Frame {
				p.In[i] = int16(rnd.IntN(2000) - 1000)
				want[i] += int32(p.In[i])
			}
		}
		m.Mix()
		if m.Parties() != len(in) {
			t.Fatal("parties", m.Parties(), len(in))
		}
		for _, p := range in {
			for i := range Frame {
				if !changed && int32(p.Out[i]) != want[i]-int32(p.In[i]) {
					t.Fatalf("sample %d: %d, not %d", i, p.Out[i], want[i]-int32(p.In[i]))
				}
			}
		}
	}
}

// BenchmarkSecond is a second of a conference: 50 frames; all talk, which is the worst.
func BenchmarkSecond(b *testing.B) {
	for _, n := range []int{3, 16, 64} {
		for _, mixed := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d parties, wide too %v", n, mixed), func(b *testing.B) {
				var all []*voice
				for i := range n {
					all = append(all, newVoice(mixed && i%2 == 0, 500, 3000))
					all[i].speak()
				}
				m := meet(all...)
				b.ReportAllocs()
				for b.Loop() {
					for range 50 {
						m.Mix()
					}
				}
			})
		}
	}
}
