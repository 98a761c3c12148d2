package live

import (
	"sync"
	"time"

	"github.com/locktone/locktone/call"
)

// An entry is one thing in the mailbox: an input for the engine, or an errand for its goroutine.
type entry struct {
	at     time.Time
	in     call.Input
	driver *Driver // who sent the signal
	reply  chan<- call.Reply

	attach, detach *Driver
	err            chan<- error
	tick           bool
	watch, refresh *Watcher
	unwatch        *Watcher
	calls          chan<- []*call.View
	settings       chan<- []call.Event
	clone          chan<- *call.Engine
}

// mailbox is the bounded queue in front of the engine, in two lanes. Anybody puts in; whoever runs the engine takes out.
type mailbox struct {
	limit                    int
	refuseAfter, acceptUnder time.Duration
	// ready has a token when the host's goroutine has something to do.
	ready chan struct{}

	mu     sync.Mutex
	urgent lane
	fresh  lane
	busy   bool // somebody runs the engine
	turn   int  // inputs of the first lane since one of the second
	// behind counts, for a leg whose Setup waits in the second lane, its entries there: its later signals queue up behind it, so
	// that a CANCEL never overtakes its INVITE.
	behind   map[call.LegID]int
	closed   bool
	refusing bool
	refused  uint64
}

// turns is how many inputs of the first lane may pass before a new call has its turn.
const turns = 7

func newMailbox(o Options) *mailbox {
	b := &mailbox{limit: o.Mailbox, refuseAfter: o.RefuseAfter, acceptUnder: o.AcceptUnder, ready: make(chan struct{}, 1), behind: map[call.LegID]int{}}
	if b.limit <= 0 {
		b.limit = 1 << 16
	}
	if b.refuseAfter <= 0 {
		b.refuseAfter = 20 * time.Millisecond
	}
	if b.acceptUnder <= 0 {
		b.acceptUnder = 8 * time.Millisecond
	}
	return b
}

// push puts an entry into the first lane. A full lane costs the driver whose signal does not fit its connection: to lose one
// signal in silence would be worse.
func (b *mailbox) push(e entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return ErrClosed
	case b.urgent.n >= b.limit && e.driver != nil:
		e.driver.gone.Store(true)
		b.urgent.put(entry{at: e.at, detach: e.driver})
		b.wake()
		return ErrDisconnected
	}
	if leg := e.leg(); leg != 0 && b.behind[leg] > 0 {
		b.behind[leg]++
		b.fresh.put(e)
	} else {
		b.urgent.put(e)
	}
	return nil
}

// leg is the leg the entry's signal is about, zero if it is about none.
func (e *entry) leg() call.LegID {
	if e.in.Signal == nil {
		return 0
	}
	return e.in.Signal.SignalLeg()
}

// pushNew puts a new call into the second lane, unless the engine is behind. An emergency call is then put among the calls that exist: at
// no load is it turned away.
func (b *mailbox) pushNew(e entry, emergency func(*entry) bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	b.measure(e.at)
	if b.refusing || b.fresh.n >= b.limit {
		if emergency(&e) {
			b.urgent.put(e)
			return nil
		}
		b.refused++
		return &RefusedError{Cause: call.Overloaded, RetryAfter: time.Second}
	}
	if leg := e.leg(); leg != 0 {
		b.behind[leg]++
	}
	b.fresh.put(e)
	return nil
}

// measure says whether new calls are refused, by how long the oldest entry has waited.
func (b *mailbox) measure(now time.Time) {
	var wait time.Duration
	for _, l := range []*lane{&b.urgent, &b.fresh} {
		if l.n > 0 {
			wait = max(wait, now.Sub(l.head().at))
		}
	}
	switch {
	case wait > b.refuseAfter:
		b.refusing = true
	case wait < b.acceptUnder:
		b.refusing = false
	}
}

// rouse wakes the host's goroutine when there is something to do and nobody at it.
func (b *mailbox) rouse() {
	b.mu.Lock()
	idle := !b.busy && b.urgent.n+b.fresh.n > 0
	b.mu.Unlock()
	if idle {
		b.wake()
	}
}

func (b *mailbox) wake() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// enter makes the caller the one who runs the engine, unless somebody does. Without must it does so only for something to do
// before the box is closed: the end belongs to the host's goroutine.
func (b *mailbox) enter(must bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy || !must && (b.closed || b.urgent.n+b.fresh.n == 0) {
		return false
	}
	b.busy = true
	return true
}

// quit lets go of the engine when the box is empty; with force what is left is for the host's goroutine.
func (b *mailbox) quit(force bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.urgent.n+b.fresh.n > 0
	if left && !force {
		return false
	}
	b.busy = false
	if left || b.closed {
		b.wake()
	}
	return true
}

// take takes the next entry; ok is false when there is none.
func (b *mailbox) take() (e entry, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.urgent.n > 0 && (b.fresh.n == 0 || b.turn < turns):
		b.turn++
		return b.urgent.take(), true
	case b.fresh.n > 0:
		b.turn = 0
		e = b.fresh.take()
		if leg := e.leg(); b.behind[leg] > 1 {
			b.behind[leg]--
		} else {
			delete(b.behind, leg)
		}
		return e, true
	}
	return entry{}, false
}

func (b *mailbox) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.wake()
}

// ended says whether the box was closed and emptied, and nobody runs the engine.
func (b *mailbox) ended() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed && !b.busy && b.urgent.n+b.fresh.n == 0
}

func (b *mailbox) refusals() (n uint64, refusing bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refused, b.refusing
}

// lane is a queue in a ring that grows.
type lane struct {
	ring  []entry
	first int
	n     int
}

func (l *lane) head() *entry { return &l.ring[l.first] }

func (l *lane) put(e entry) {
	if l.n == len(l.ring) {
		bigger := make([]entry, max(16, 2*l.n))
		for i := range l.n {
			bigger[i] = l.ring[(l.first+i)%len(l.ring)]
		}
		l.ring, l.first = bigger, 0
	}
	l.ring[(l.first+l.n)%len(l.ring)] = e
	l.n++
}

func (l *lane) take() entry {
	e := l.ring[l.first]
	l.ring[l.first] = entry{}
	l.first = (l.first + 1) % len(l.ring)
	l.n--
	if l.n == 0 && len(l.ring) > 1024 {
		*l = lane{} // a flood is over: give its memory back
	}
	return e
}
