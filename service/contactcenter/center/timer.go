package center

import "time"

// A timerKind says what a timer is for.
type timerKind uint8

const (
	timerNone    timerKind = iota
	timerOffer             // nobody has said what became of an offer
	timerWrapUp            // an agent has had long enough
	timerSession           // an agent's desktop has been away for too long
	timerWiden             // a contact may have more agents now
	timerWait              // a contact has waited as long as its script lets it
	timerLookup            // an HTTP server does not answer
	timerAnswer            // a Query cannot stay open for longer
	timerTreat             // what a caller should hear is tried again
	timerRetry             // a callback is tried again
	timerSettle            // what call servers had to tell has been told
	timerEnd               // a call server does not say that a call has ended
)

var timerNames = [...]string{"none", "offer", "wrap-up", "session", "widen", "wait", "lookup", "answer", "treat", "retry", "settle", "end"}

// A timer belongs to an agent, a contact or an offer; it is in the heap while it runs. Expiry order is by time, then by the order of starting.
type timer struct {
	at     time.Time
	seq    uint64
	index  int // place in the heap plus one, zero while stopped
	kind   timerKind
	agent  *agent
	caller *caller
}

func (t *timer) running() bool { return t.index != 0 }

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
func (c *Center) start(t *timer, after time.Duration) {
	c.stop(t)
	c.timerSeq++
	t.at, t.seq = c.now.Add(after), c.timerSeq
	c.timers = append(c.timers, t)
	t.index = len(c.timers)
	c.timers.up(t.index - 1)
}

// stop takes a timer out of the heap; a stopped one stays stopped.
func (c *Center) stop(t *timer) {
	if !t.running() {
		return
	}
	i, last := t.index-1, len(c.timers)-1
	c.timers.swap(i, last)
	c.timers[last] = nil
	c.timers = c.timers[:last]
	t.index = 0
	if i < last {
		c.timers.down(i)
		c.timers.up(i)
	}
}

// due takes the next timer that has expired out of the heap, nil when there is none.
func (c *Center) due() *timer {
	if len(c.timers) == 0 || c.timers[0].at.After(c.now) {
		return nil
	}
	t := c.timers[0]
	c.stop(t)
	return t
}
