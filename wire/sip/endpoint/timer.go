package endpoint

import (
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/wire/sip/transaction"
)

// alarm is one entry of a shard's timer heap. It is embedded in what it wakes.
type alarm struct {
	at    transaction.Instant
	index int // in the heap, plus one; 0 = not in it
	owner interface{ fire(now transaction.Instant) }
}

// alarms is a binary heap, earliest first. It belongs to one shard.
type alarms struct{ heap []*alarm }

func (h *alarms) next() transaction.Instant {
	if len(h.heap) == 0 {
		return 0
	}
	return h.heap[0].at
}

// set moves a to its time; 0 takes it out.
func (h *alarms) set(a *alarm, at transaction.Instant) {
	switch {
	case at == 0:
		h.remove(a)
	case a.index == 0:
		a.at = at
		h.heap = append(h.heap, a)
		a.index = len(h.heap)
		h.up(a.index - 1)
	case at != a.at:
		a.at = at
		h.fix(a.index - 1)
	}
}

func (h *alarms) remove(a *alarm) {
	if a.index == 0 {
		return
	}
	i, last := a.index-1, len(h.heap)-1
	if i != last {
		h.swap(i, last)
	}
	h.heap[last] = nil
	h.heap = h.heap[:last]
	a.index = 0
	if i != last {
		h.fix(i)
	}
}

func (h *alarms) swap(i, j int) {
	h.heap[i], h.heap[j] = h.heap[j], h.heap[i]
	h.heap[i].index, h.heap[j].index = i+1, j+1
}

func (h *alarms) fix(i int) {
	h.up(i)
	h.down(i)
}

func (h *alarms) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h.heap[parent].at <= h.heap[i].at {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h *alarms) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h.heap) {
			return
		}
		if child+1 < len(h.heap) && h.heap[child+1].at < h.heap[child].at {
			child++
		}
		if h.heap[i].at <= h.heap[child].at {
			return
		}
		h.swap(i, child)
		i = child
	}
}

// Timer is a pending After.
type Timer struct {
	alarm
	s       *shard
	callID  string
	v       any
	stopped atomic.Bool
}

// Stop prevents the value from being posted, unless that has happened. Called in a User callback of the same Call-ID it
// is exact: after Stop nothing comes.
func (t *Timer) Stop() {
	if !t.stopped.Swap(true) {
		t.s.ask(item{kind: askStop, obj: t})
	}
}

func (t *Timer) fire(now transaction.Instant) {
	if !t.stopped.Swap(true) {
		t.s.e.cfg.User.Posted(t.callID, t.v)
	}
}

// instant is the endpoint's clock.
func (e *Endpoint) instant() transaction.Instant {
	return transaction.Instant(time.Since(e.origin)) + 1 // never 0, which means "no deadline"
}
