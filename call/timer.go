package call

import "time"

// A timerKind says what a timer is for.
type timerKind uint8

const (
	timerNone     timerKind = iota
	timerNoAnswer           // a line has rung long enough
	timerRoute              // a trunk stays silent
	timerRetry              // an offer of ours collided; try again
	timerDuration           // the longest time a call may last
	timerStay               // a party has stayed alone long enough
	timerSilence            // an answered leg should have been heard by now
	timerGuard              // a guarded party that is alone is sent on again
	timerSilent             // nothing is heard of a call any more
)

// A timer is part of the party or call it belongs to; it is in the engine's heap while it runs. Expiry order is by time,
// then by the order of starting.
type timer struct {
	at    time.Time
	seq   uint64
	index int // place in the heap plus one, zero while stopped
	kind  timerKind
	call  *Call
	party *Party
}

func (t *timer) running() bool { return t != nil && t.index != 0 }

// timers is a binary heap.
type timers []*timer

func (h timers) less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].seq < h[j].seq
	}
	return h[i].at.Before(h[j].at)
}

func (h timers) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

func (h timers) up(i int) {
	for i > 0 && h.less(i, (i-1)/2) {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (h timers) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if h.less(c, least) {
				least = c
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

// start (re)starts a timer.
func (e *Engine) start(t *timer, after time.Duration) {
	e.stop(t)
	e.timerSeq++
	t.at, t.seq = e.now.Add(after), e.timerSeq
	e.timers = append(e.timers, t)
	t.index = len(e.timers)
	e.timers.up(t.index - 1)
}

// stop takes a timer out of the heap; a stopped one stays stopped.
func (e *Engine) stop(t *timer) {
	if !t.running() {
		return
	}
	i, last := t.index-1, len(e.timers)-1
	e.timers.swap(i, last)
	e.timers[last] = nil
	e.timers = e.timers[:last]
	t.index = 0
	if i < last {
		e.timers.down(i)
		e.timers.up(i)
	}
}

// due takes the next timer that has expired out of the heap, nil when there is none.
func (e *Engine) due() *timer {
	if len(e.timers) == 0 || e.timers[0].at.After(e.now) {
		return nil
	}
	t := e.timers[0]
	e.stop(t)
	return t
}
