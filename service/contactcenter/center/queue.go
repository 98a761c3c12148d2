package center

import (
	"cmp"
	"slices"
	"time"
)

// queue is a queue of the site with who waits and who could take them.
type queue struct {
	Queue
	steps   []*queueStep
	staff   []*agent // who is in one of its steps, by name
	counts  Counts
	taken   Counts // counts at the last Take, and the longest wait since
	longest time.Duration
	// handled is the moving average of what a contact takes its agent, see estimate.
	handled time.Duration
	removed bool
}

// queueStep are the contacts that may have the agents up to this step, and the ready agents whose first step this is.
type queueStep struct {
	waiting []*caller    // sooner ones first
	ready   []readyAgent // better ones first
}

// readyAgent is an agent who is ready, with what orders it among others.
type readyAgent struct {
	agent *agent
	level float64
}

func (r readyAgent) compare(o readyAgent) int {
	if c := cmp.Compare(o.level, r.level); c != 0 { // more skill first; zero for all where it does not matter
		return c
	}
	return cmp.Compare(r.agent.readySeq, o.agent.readySeq)
}

func (s *queueStep) addReady(a *agent, level float64) {
	r := readyAgent{a, level}
	i, _ := slices.BinarySearchFunc(s.ready, r, readyAgent.compare)
	s.ready = slices.Insert(s.ready, i, r)
}

func (s *queueStep) removeReady(a *agent, level float64) {
	if i, found := slices.BinarySearchFunc(s.ready, readyAgent{a, level}, readyAgent.compare); found {
		s.ready = slices.Delete(s.ready, i, i+1)
	}
}

func (s *queueStep) addWaiting(w *caller) {
	i, _ := slices.BinarySearchFunc(s.waiting, w, sooner)
	s.waiting = slices.Insert(s.waiting, i, w)
}

func (s *queueStep) removeWaiting(w *caller) {
	if i, found := slices.BinarySearchFunc(s.waiting, w, sooner); found {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
}

// sooner orders contacts of one queue. With ageing, a step of priority is worth so much waiting time: as everybody ages equally fast the
// order of two never changes, and each stands where it would stand had it come so much earlier. Without, priority goes first.
func sooner(a, b *caller) int {
	age := a.queue.Ageing
	if age == 0 {
		if c := cmp.Compare(b.priority, a.priority); c != 0 {
			return c
		}
	} else if c := a.since.Add(-time.Duration(a.priority) * age).Compare(b.since.Add(-time.Duration(b.priority) * age)); c != 0 {
		return c
	}
	if c := a.since.Compare(b.since); c != 0 {
		return c
	}
	return cmp.Compare(a.number, b.number)
}

// urgency compares the first contacts of different queues, for an agent of both: by priority, to which the time waited adds where the queue
// ages, then by who has waited for longer.
func (c *Center) urgency(w *caller) float64 {
	u := float64(w.priority)
	if age := w.queue.Ageing; age > 0 {
		u += float64(c.now.Sub(w.since)) / float64(age)
	}
	return u
}

// bestAgent is who gets a contact now: the first of the earliest step that has somebody.
func (c *Center) bestAgent(w *caller) *agent {
	if c.settling() {
		return nil
	}
	for _, s := range w.queue.steps[:w.step+1] {
		if len(s.ready) > 0 {
			return s.ready[0].agent
		}
	}
	return nil
}

// bestCaller is whom an agent gets now.
func (c *Center) bestCaller(a *agent) *caller {
	if c.settling() {
		return nil
	}
	var best *caller
	for _, m := range a.members {
		if w := m.queue.first(m.step); w != nil && (best == nil || c.before(w, best)) {
			best = w
		}
	}
	return best
}

// before orders contacts of different queues.
func (c *Center) before(a, b *caller) bool {
	if x := cmp.Compare(c.urgency(b), c.urgency(a)); x != 0 {
		return x < 0
	}
	if x := a.since.Compare(b.since); x != 0 {
		return x < 0
	}
	return a.number < b.number
}

// first is the soonest contact that may have agents of a step.
func (q *queue) first(step int) *caller {
	var best *caller
	for _, s := range q.steps[step:] {
		if len(s.waiting) > 0 && (best == nil || sooner(s.waiting[0], best) < 0) {
			best = s.waiting[0]
		}
	}
	return best
}

// waiting is how many wait, and how long the one has who has for longest.
func (q *queue) waiting(now time.Time) (n int, oldest time.Duration) {
	for _, s := range q.steps {
		n += len(s.waiting)
		for _, w := range s.waiting {
			oldest = max(oldest, now.Sub(w.since))
		}
	}
	return n, oldest
}

func (q *queue) length() (n int) {
	for _, s := range q.steps {
		n += len(s.waiting)
	}
	return n
}

// position is the place of a contact among all of its queue, from 1.
func (q *queue) position(w *caller) int {
	n := 1
	for _, s := range q.steps {
		i, _ := slices.BinarySearchFunc(s.waiting, w, sooner)
		n += i
	}
	return n
}

// serving is how many agents of the queue are at work: whoever is logged in and not not-ready.
func (q *queue) serving() (n, ready int) {
	for _, a := range q.staff {
		switch a.state {
		case Ready:
			n, ready = n+1, ready+1
		case Reserved, Talking, Hold, Work:
			n++
		}
	}
	return n, ready
}

func (q *queue) loggedIn() (n int) {
	for _, a := range q.staff {
		if a.state != LoggedOut {
			n++
		}
	}
	return n
}

// estimate is how long somebody at a position is going to wait:
//
//	position * handle time / agents at work
//
// With S agents busy whose contacts take H on average, one becomes free every H/S: the first in the queue waits for one of
// them, the n-th for n. Where nobody is at work it is that of one agent. H is the average of what contacts of this queue have taken
// their agents, wrap-up included, each new one with a weight of 1/16; before the first it is Queue.HandleTime.
func (q *queue) estimate(position int) time.Duration {
	n, _ := q.serving()
	return time.Duration(position) * q.handled / time.Duration(max(n, 1))
}

// learn takes what a contact has taken.
func (q *queue) learn(d time.Duration) { q.handled += (d - q.handled) / 16 }
