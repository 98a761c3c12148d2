// Package jitter is the jitter buffer of streams that end here: it takes decoded packets as they come and gives samples
// at an even pace. Relays need none.
//
// It is a ring of samples addressed by RTP timestamp, so packets of any length, lost, doubled or out of order fall into
// their place by themselves:
//
//	         play                     newest
//	----------|------------------------|----------> timestamp
//	 too late |<- delay (60 ms) ->      | too far: start again
//
// What is missing when its time comes is concealed: the last 20 ms are played backwards, forwards and backwards again, fading to
// silence over 60 ms. So what is heard has no jump in it, neither there nor where speech goes on: its first 5 ms are bent to begin
// where the ear was left.
//
// A wideband buffer holds two samples for every unit of the timestamp: G.722 has 16,000 samples a second and a clock of
// 8,000 Hz (RFC 3551, 4.5.2).
package jitter

// Sizes in units of the timestamp, 8,000 a second.
const (
	size  = 1 << 13 // a second
	delay = 480     // between the first packet and playing it: three packets of 20 ms
	slack = 1600    // depth beyond which the buffer is shortened
	step  = 160     // by how much it is shortened or lengthened
	fade  = 480     // length of concealment
	bend  = 40      // length of the way back to speech
	loop  = 160     // what is repeated
)

// Buffer is a jitter buffer. The zero value is ready.
type Buffer struct {
	pcm     [2 * size]int16
	have    [2 * size]bool
	wide    bool
	started bool
	play    uint32 // place of the next sample to give: its timestamp, doubled in a wideband buffer
	newest  uint32 // place after the newest sample
	late    int    // packets too late in succession
	deep    int    // reads in succession that found the buffer too deep
	missing int    // samples concealed since the last real one
	last    [2 * loop]int16
	lastPos int
	out     int16 // the sample given last
	played  bool  // there was a real one
	seam    bool  // the next real sample does not follow it
	off     int   // by how much the first real sample was off
	bent    int   // samples of the bend still to come

	Late      uint64 // packets that came too late to be played
	Concealed uint64 // samples invented
	Restarts  uint64 // jumps of the timestamp
}

// Reset forgets everything but the counts, and where the ear was left: another source is sending.
func (b *Buffer) Reset() {
	*b = Buffer{wide: b.wide, played: b.played, seam: true, out: b.out, Late: b.Late, Concealed: b.Concealed, Restarts: b.Restarts}
}

// SetWide says how many samples there are for a unit of the timestamp from the next packet on: two or one. A change
// forgets what is in the buffer.
func (b *Buffer) SetWide(wide bool) {
	if wide != b.wide {
		b.Reset()
		b.wide = wide
	}
}

// Wide reports whether samples are those of 16,000 a second.
func (b *Buffer) Wide() bool { return b.wide }

// n is a number of samples, given in units of the timestamp.
func (b *Buffer) n(units int) int {
	if b.wide {
		return 2 * units
	}
	return units
}

// at is the index of a place.
func (b *Buffer) at(place uint32) uint32 { return place % uint32(b.n(size)) }

// Write puts a packet's samples in their place.
func (b *Buffer) Write(stamp uint32, pcm []int16) {
	if len(pcm) == 0 || len(pcm) > size/2 {
		return
	}
	if b.wide {
		stamp *= 2
	}
	ahead := int32(stamp - b.play)
	if most := int32(b.n(size)); !b.started || ahead > most-int32(len(pcm)) || ahead < -most {
		b.restart(stamp)
		ahead = int32(b.n(delay))
	}
	if ahead < 0 {
		b.tooLate()
		return
	}
	b.late = 0
	for i, v := range pcm {
		at := b.at(stamp + uint32(i))
		b.pcm[at], b.have[at] = v, true
	}
	if end := stamp + uint32(len(pcm)); int32(end-b.newest) > 0 {
		b.newest = end
	}
}

func (b *Buffer) restart(stamp uint32) {
	if b.started {
		b.Restarts++
	}
	clear(b.have[:])
	if !b.started {
		b.missing = b.n(fade) // nothing to repeat yet
	}
	b.started, b.play, b.newest = true, stamp-uint32(b.n(delay)), stamp
}

// tooLate lengthens the buffer once several packets in succession came too late: the network has become slower.
func (b *Buffer) tooLate() {
	b.Late++
	if b.late++; b.late >= 2 {
		b.play -= uint32(b.n(step))
		b.late = 0
	}
}

// Read gives the next samples, always as many as asked for. voice says whether any of them was received.
func (b *Buffer) Read(dst []int16) (voice bool) {
	if !b.started {
		for i := range dst {
			b.out = b.fall()
			dst[i] = b.out
		}
		return false
	}
	b.shorten()
	for i := range dst {
		at := b.at(b.play)
		if b.have[at] {
			dst[i], voice = b.real(b.pcm[at]), true
			b.have[at], b.missing = false, 0
		} else {
			dst[i], b.seam = b.conceal(), true
		}
		b.out = dst[i]
		b.play++
	}
	return voice
}

// fall is the way from what was heard last to silence.
func (b *Buffer) fall() int16 {
	if b.out < 16 && b.out > -16 {
		return 0
	}
	return b.out - b.out/16
}

// real is a sample that was received, as it is heard.
func (b *Buffer) real(v int16) int16 {
	if b.seam {
		b.seam = false
		if b.played {
			b.off, b.bent = int(b.out)-int(v), b.n(bend)
		}
	}
	b.last[b.lastPos%b.n(loop)] = v
	b.lastPos++
	b.played = true
	if b.bent == 0 {
		return v
	}
	heard := int(v) + b.off*b.bent/b.n(bend)
	b.bent--
	return int16(min(max(heard, -32768), 32767))
}

// shorten skips 20 ms when the buffer has been too deep for a second: the sender's clock is faster than ours, or packets came
// in a heap. While it still is, it skips 20 ms of every 100: a word or a digit of DTMF becomes shorter, and is not lost.
func (b *Buffer) shorten() {
	if int32(b.newest-b.play) <= int32(b.n(slack)) {
		b.deep = 0
		return
	}
	if b.deep++; b.deep < 50 || b.deep%5 != 0 {
		return
	}
	b.seam = true
	for range b.n(step) {
		b.have[b.at(b.play)] = false
		b.play++
	}
}

func (b *Buffer) conceal() int16 {
	b.missing++
	all := b.n(fade)
	if b.missing > all {
		return b.fall()
	}
	b.Concealed++
	n := b.n(loop)
	k := (b.missing - 1) % (2 * n)
	if k >= n {
		k = 2*n - 1 - k
	}
	v := int(b.last[(b.lastPos+n-1-k)%n]) // k samples before the last
	return int16(v * (all - b.missing) / all)
}
