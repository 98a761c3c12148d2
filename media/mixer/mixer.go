// Package mixer adds the voices of a conference: everybody hears everybody but themselves.
//
// Parties come with 8,000 or 16,000 samples a second and get as many. There are two sums, and each is converted once per
// frame whatever the number of parties, so those who speak wideband hear each other wideband, and an own voice is taken out
// exactly, without an echo that a filter would leave:
//
//	narrow parties --+--> narrow sum -------(+)---> minus own ---> narrow parties
//	                 |         |             ^
//	                 |         up           down
//	                 |         v             |
//	wide parties ----+-------(+) <------- wide sum --> minus own ---> wide parties
//
// Sums are of 32 bits and limited once, at the end: loud voices together are limited, they do not wrap. Who enters, leaves
// or is muted fades within a frame of 20 ms, so that nobody hears a click. A party whose frame is silent costs nothing.
package mixer

import "github.com/locktone/locktone/media/resample"

// Samples of a frame of 20 ms.
const (
	Frame     = 160
	WideFrame = 320
)

// quiet is the largest sample of a frame that is not worth adding: the step around zero of A-law.
const quiet = 8

// Party is one who hears and is heard. Between two calls of Mix its user fills In and reads Out; everything else is the
// mixer's.
type Party struct {
	Wide bool             // In and Out have WideFrame samples, otherwise Frame
	Open bool             // it may be heard; closed: muted, or on hold
	In   [WideFrame]int16 // what it says
	Out  [WideFrame]int16 // what it hears
	Also []int16          // what only it hears, as long as its frames; nil: nothing

	was     bool // open in the frame before
	heard   bool // part of the sum of this frame
	entered bool // it has had a frame
	last    [WideFrame]int16
	lastLen int // samples of last, 0: it was silent
}

func (p *Party) size() int {
	if p.Wide {
		return WideFrame
	}
	return Frame
}

// Mixer is one conference. The zero value is ready. It is for one goroutine at a time.
type Mixer struct {
	parties      []*Party
	leaving      []*Party
	narrow, wide [WideFrame]int32 // sums
	upped        [WideFrame]int32 // the narrow sum for wide parties
	downed       [Frame]int32     // the wide sum for narrow parties
	up           resample.Up
	down         resample.Down
}

// Add lets a party enter.
func (m *Mixer) Add(p *Party) {
	p.was, p.entered, p.lastLen = false, false, 0
	m.parties = append(m.parties, p)
}

// Remove lets a party leave; its last word fades in the next frame.
func (m *Mixer) Remove(p *Party) {
	for i, q := range m.parties {
		if q == p {
			m.parties = append(m.parties[:i:i], m.parties[i+1:]...)
			if p.lastLen > 0 {
				m.leaving = append(m.leaving, p)
			}
			return
		}
	}
}

// Parties is how many there are.
func (m *Mixer) Parties() int { return len(m.parties) }

// Mix makes the next frame of everybody out of everybody's.
func (m *Mixer) Mix() {
	clear(m.narrow[:])
	clear(m.wide[:])
	narrow, wide := false, false
	for _, p := range m.parties {
		m.take(p)
		narrow, wide = narrow || !p.Wide, wide || p.Wide
	}
	m.goodbye()
	if narrow && wide {
		m.up.Int32(m.upped[:], m.narrow[:Frame])
		m.down.Int32(m.downed[:], m.wide[:])
	} else {
		m.up, m.down = resample.Up{}, resample.Down{}
		clear(m.upped[:])
		clear(m.downed[:])
	}
	for _, p := range m.parties {
		m.give(p)
	}
}

// take shapes what a party says and adds it.
func (m *Mixer) take(p *Party) {
	in := p.In[:p.size()]
	p.heard = (p.Open || p.was) && loud(in)
	switch {
	case p.heard && !p.was:
		fade(in, 0, len(in))
	case p.heard && !p.Open:
		fade(in, len(in), -len(in))
	}
	p.was = p.Open
	p.lastLen = 0
	if p.heard {
		m.add(in, p.Wide)
		p.lastLen = copy(p.last[:], in)
	}
}

func (m *Mixer) add(in []int16, wide bool) {
	sum := m.narrow[:len(in)]
	if wide {
		sum = m.wide[:len(in)]
	}
	for i, v := range in {
		sum[i] += int32(v)
	}
}

// goodbye lets those who have left fade: what they said last goes on backwards, which continues it without a jump.
func (m *Mixer) goodbye() {
	for _, p := range m.leaving {
		last := p.last[:p.lastLen]
		for i, j := 0, len(last)-1; i < j; i, j = i+1, j-1 {
			last[i], last[j] = last[j], last[i]
		}
		fade(last, len(last), -len(last))
		m.add(last, len(last) == WideFrame)
	}
	m.leaving = nil
}

// give is what a party hears: everybody, itself taken out.
func (m *Mixer) give(p *Party) {
	n := p.size()
	sum, other := m.narrow[:n], m.downed[:]
	if p.Wide {
		sum, other = m.wide[:n], m.upped[:]
	}
	out, in, other := p.Out[:n], p.In[:n], other[:n]
	for i, v := range sum {
		v += other[i]
		if p.heard {
			v -= int32(in[i])
		}
		out[i] = limit(v)
	}
	if !p.entered {
		p.entered = true
		fade(out, 0, n)
	}
	for i := range min(len(p.Also), n) {
		out[i] = limit(int32(out[i]) + int32(p.Also[i]))
	}
}

// fade turns the volume from `from` to from+by, of len(x), along x.
func fade(x []int16, from, by int) {
	n := len(x)
	for i, v := range x {
		x[i] = int16(int(v) * (from*n + by*i) / (n * n))
	}
}

func loud(x []int16) bool {
	for _, v := range x {
		if v > quiet || v < -quiet {
			return true
		}
	}
	return false
}

func limit(v int32) int16 { return int16(min(max(v, -32768), 32767)) }
