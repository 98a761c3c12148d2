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
// What is missing when its time comes is concealed: the last 20 ms repeat, fading to silence over 60 ms.
package jitter

// Sizes in samples of 8,000 Hz.
const (
	size  = 1 << 13 // a second
	delay = 480     // between the first packet and playing it: three packets of 20 ms
	slack = 1600    // depth beyond which the buffer is shortened
	step  = 160     // by how much it is shortened or lengthened
	fade  = 480     // length of concealment
	loop  = 160     // what is repeated
)

// Buffer is a jitter buffer. The zero value is ready.
type Buffer struct {
	pcm     [size]int16
	have    [size]bool
	started bool
	play    uint32 // timestamp of the next sample to give
	newest  uint32 // timestamp after the newest sample
	late    int    // packets too late in succession
	deep    int    // reads in succession that found the buffer too deep
	missing int    // samples concealed since the last real one
	last    [loop]int16
	lastPos int

	Late      uint64 // packets that came too late to be played
	Concealed uint64 // samples invented
	Restarts  uint64 // jumps of the timestamp
}

// Reset forgets everything but the counts: another source is sending.
func (b *Buffer) Reset() {
	late, concealed, restarts := b.Late, b.Concealed, b.Restarts
	*b = Buffer{Late: late, Concealed: concealed, Restarts: restarts}
}

// Write puts a packet's samples in their place.
func (b *Buffer) Write(stamp uint32, pcm []int16) {
	if len(pcm) == 0 || len(pcm) > size/2 {
		return
	}
	ahead := int32(stamp - b.play)
	if !b.started || ahead > size-int32(len(pcm)) || ahead < -size {
		b.restart(stamp)
		ahead = delay
	}
	if ahead < 0 {
		b.tooLate()
		return
	}
	b.late = 0
	for i, v := range pcm {
		at := (stamp + uint32(i)) % size
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
		b.missing = fade // nothing to repeat yet
	}
	b.started, b.play, b.newest = true, stamp-delay, stamp
}

// tooLate lengthens the buffer once several packets in succession came too late: the network has become slower.
func (b *Buffer) tooLate() {
	b.Late++
	if b.late++; b.late >= 2 {
		b.play -= step
		b.late = 0
	}
}

// Read gives the next samples, always as many as asked for. voice says whether any of them was received.
func (b *Buffer) Read(dst []int16) (voice bool) {
	if !b.started {
		clear(dst)
		return false
	}
	b.shorten()
	for i := range dst {
		at := b.play % size
		if b.have[at] {
			dst[i], voice = b.pcm[at], true
			b.have[at], b.missing = false, 0
			b.last[b.lastPos%loop] = dst[i]
			b.lastPos++
		} else {
			dst[i] = b.conceal()
		}
		b.play++
	}
	return voice
}

// shorten skips 20 ms when the buffer has been too deep for a second: the sender's clock is faster than ours.
func (b *Buffer) shorten() {
	if int32(b.newest-b.play) <= slack {
		b.deep = 0
		return
	}
	if b.deep++; b.deep < 50 {
		return
	}
	for range step {
		b.have[b.play%size] = false
		b.play++
	}
}

func (b *Buffer) conceal() int16 {
	b.missing++
	if b.missing > fade {
		return 0
	}
	b.Concealed++
	v := int(b.last[(b.lastPos+b.missing-1)%loop])
	return int16(v * (fade - b.missing) / fade)
}
