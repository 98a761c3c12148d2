package jitter

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// ramp is 20 ms whose samples are numbered, so that their order can be seen.
func ramp(n int) []int16 {
	pcm := make([]int16, 160)
	for i := range pcm {
		pcm[i] = int16((n*160+i)%30000 + 1)
	}
	return pcm
}

const base = 0xfffffe00 // timestamps wrap early on

func TestEvenPace(t *testing.T) {
	var b Buffer
	out := make([]int16, 160)
	played := 0
	for n := range 200 {
		b.Write(base+uint32(n*160), ramp(n))
		if b.Read(out) {
			want := ramp(played)
			for i := range out {
				if out[i] != want[i] {
					t.Fatalf("frame %d sample %d: %d, want %d", played, i, out[i], want[i])
				}
			}
			played++
		}
	}
	if played != 200-delay/160 || b.Late != 0 || b.Restarts != 0 {
		t.Errorf("%d frames played, %d late, %d restarts", played, b.Late, b.Restarts)
	}
}

// TestAnyOrder: as long as packets come within the delay, nothing is heard of their order.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Buffer
		out := make([]int16, 160)
		due := map[int][]int{}
		b.Write(base, ramp(0))
		for n := 1; n < 60; n++ {
			at := n + rapid.IntRange(0, 2).Draw(t, "late")
			due[at] = append(due[at], n)
		}
		next := int16(1)
		for tick := range 70 {
			for _, n := range due[tick] {
				b.Write(base+uint32(n*160), ramp(n))
			}
			if tick == 0 {
				continue
			}
			b.Read(out)
			for _, v := range out {
				if v == next {
					next++
				} else if next > 1 && next < 60*160 {
					t.Fatalf("tick %d: %d in place of %d", tick, v, next)
				}
			}
		}
		if next != 60*160+1 || b.Concealed > fade {
			t.Fatalf("played up to %d, %d concealed", next, b.Concealed)
		}
	})
}

func TestConcealsAndFades(t *testing.T) {
	var b Buffer
	out := make([]int16, 160)
	for n := range 10 {
		b.Write(uint32(n*160), ramp(n))
	}
	for range 13 {
		b.Read(out)
	}
	sum := func() (s int) {
		b.Read(out)
		for _, v := range out {
			s += int(v)
		}
		return s
	}
	a, c, d, e := sum(), sum(), sum(), sum()
	if !(a > c && c > d && d > 0 && e == 0) {
		t.Errorf("20 ms sums after the end: %d %d %d %d", a, c, d, e)
	}
}

func TestJumpsAndDrift(t *testing.T) {
	var b Buffer
	out := make([]int16, 160)
	b.Write(0, ramp(0))
	b.Write(1<<30, ramp(7))
	for range 3 {
		b.Read(out)
	}
	if b.Read(out); out[0] != ramp(7)[0] || b.Restarts != 1 {
		t.Errorf("after a jump: %d, %d restarts", out[0], b.Restarts)
	}
	b.Reset()
	stamp := uint32(0)
	for tick := range 5000 { // a sender 2 % too fast
		b.Write(stamp, ramp(0))
		if stamp += 160; tick%50 == 0 {
			b.Write(stamp, ramp(0))
			stamp += 160
		}
		b.Read(out)
		if depth := int32(b.newest - b.play); depth > slack+1000 {
			t.Fatalf("tick %d: %d samples deep", tick, depth)
		}
	}
	var slow Buffer
	heard := 0
	for tick := range 5000 { // a sender 2 % too slow
		if tick%50 != 0 {
			slow.Write(uint32(tick*160-tick/50*160), ramp(0))
		}
		if slow.Read(out) && tick > 4000 {
			heard++
		}
	}
	if heard < 900 {
		t.Errorf("of a slow sender %d of 1000 frames are heard", heard)
	}
}

// TestNoClicks: packets are lost one by one, many at a time, and a sender pauses; whatever is heard of a tone never jumps by more
// than the tone itself does, and a little for what is bent.
func TestNoClicks(t *testing.T) {
	for _, wide := range []bool{false, true} {
		var b Buffer
		b.SetWide(wide)
		size, rate := b.n(160), float64(b.n(8000))
		const amp, hz = 12000, 437.0
		slope := int(amp * 2 * math.Pi * hz / rate)
		bound := slope + 2*amp/b.n(bend) + 60
		out, pcm := make([]int16, size), make([]int16, size)
		before, worst, loudest := 0, 0, 0
		for n := range 400 {
			for i := range pcm {
				pcm[i] = int16(amp * math.Sin(2*math.Pi*hz*float64(n*size+i)/rate))
			}
			if lost := n%17 == 5 || n%90 > 80 || n > 200 && n < 260 || n%23 == 1 && n%2 == 0; !lost || n == 0 {
				b.Write(uint32(n*160), pcm)
			}
			b.Read(out)
			for i, v := range out {
				if n > 10 || i > 0 {
					worst = max(worst, int(v)-before, before-int(v))
				}
				before, loudest = int(v), max(loudest, int(v))
			}
		}
		if worst > bound || loudest < amp*9/10 {
			t.Errorf("wide %v: a jump of %d, the tone's own is %d; loudest %d", wide, worst, slope, loudest)
		}
		if b.Concealed == 0 {
			t.Error("nothing was concealed")
		}
	}
}

// TestAnotherSourceWithoutClick: one tone ends in the middle of a wave, and another source begins in the middle of one.
func TestAnotherSourceWithoutClick(t *testing.T) {
	var b Buffer
	out, pcm := make([]int16, 160), make([]int16, 160)
	before, worst := 0, 0
	for n := range 60 {
		if n%20 == 19 {
			b.Reset()
		}
		for i := range pcm {
			pcm[i] = int16(12000 * math.Cos(2*math.Pi*437*float64(n*160+i)/8000))
		}
		b.Write(uint32(n*160), pcm)
		b.Read(out)
		for _, v := range out {
			if n > 4 {
				worst = max(worst, int(v)-before, before-int(v))
			}
			before = int(v)
		}
	}
	if worst > 4118+2*12000/bend+60 {
		t.Errorf("a jump of %d", worst)
	}
	b.Reset()
	for range 10 {
		b.Read(out)
	}
	if out[159] != 0 {
		t.Errorf("silence is %d", out[159])
	}
}

func FuzzWrite(f *testing.F) {
	f.Add(uint32(0), uint32(160), 160)
	f.Fuzz(func(t *testing.T, a, c uint32, n int) {
		var b Buffer
		pcm := make([]int16, max(0, min(n, 2*size)))
		for _, stamp := range []uint32{a, c, a, c + 1} {
			b.Write(stamp, pcm)
			b.Read(make([]int16, 160))
		}
	})
}
