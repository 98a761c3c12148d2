package endpoint

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// kind says what an item is.
type kind uint8

const (
	nothing    kind = iota
	wire            // a message from a flow
	post            // a value for the User
	opened          // a flow we dialled is ready
	closed          // a flow has gone
	resolved        // hops for a client transaction
	askRespond      // the User's response
	askRequest      // the User's request
	askCancel       // the User cancels
	askAfter        // a timer to start
	askStop         // a timer to stop
	mark            // somebody waits until the shard has come this far
)

// item is one thing for a shard to do. It is a value: queues hold no closures.
type item struct {
	kind kind
	at   transaction.Instant // when a wire item was queued
	flow *transport.Flow
	msg  *sip.Message
	obj  any
	id   string // Call-ID of a post
}

// shard owns the transactions of the Call-IDs that hash to it. mu guards the queues and says who is at work: one goroutine at a
// time (busy), which may be any. Everything below "owned" belongs to it. A reader that finds nobody at work does the work
// itself, which saves two wake-ups for each message; the shard's own goroutine does what nobody else is there for: timers, and
// what comes from goroutines that must not run a User.
type shard struct {
	e *Endpoint

	mu       sync.Mutex
	in       []item // from the wire and from Post, in order
	own      []item // what User callbacks and others ask for: done before the next of in
	busy     bool   // somebody is at work
	dead     bool
	armed    transaction.Instant // when timer rings; 0: it does not
	timer    *time.Timer
	blocked  int // readers waiting for room
	room     *sync.Cond
	wake     chan struct{} // capacity 1: there is work for the shard's goroutine
	waiting  atomic.Int64  // len of in, and what is left of the batch in hand
	asked    atomic.Int64  // len of own
	wait     atomic.Int64  // latest mailbox wait, ns
	shedding atomic.Bool
	late     transaction.Instant // since when every wait was over ShedAbove; 0: the last was not. Owned

	counters counters

	// owned
	spareIn  []item
	spareOwn []item
	now      transaction.Instant
	servers  map[serverKey]*ServerTx
	merges   map[mergeKey]*ServerTx
	accepted map[dialogKey]*ServerTx // the newest of each dialog
	clients  map[clientKey]*ClientTx
	byFlow   map[transport.FlowID]*ClientTx
	alarms   alarms
	dirty    []*transport.Flow // have something queued, to be flushed before the shard looks away
	rand     *rand.ChaCha8
}

type counters struct {
	clients                                                         atomic.Int64
	requests, responses, refused, merged, stray, absorbed, timeouts atomic.Uint64
	retransmitted                                                   atomic.Uint64
}

func newShard(e *Endpoint, seed [32]byte) *shard {
	s := &shard{
		e: e, wake: make(chan struct{}, 1), rand: rand.NewChaCha8(seed), now: 1, timer: time.NewTimer(time.Hour),
		servers: map[serverKey]*ServerTx{}, merges: map[mergeKey]*ServerTx{}, accepted: map[dialogKey]*ServerTx{},
		clients: map[clientKey]*ClientTx{}, byFlow: map[transport.FlowID]*ClientTx{},
	}
	s.timer.Stop()
	s.room = sync.NewCond(&s.mu)
	return s
}

// put queues what comes from outside and sees to it that it is done.
func (s *shard) put(i item) {
	if s.leave(i) {
		s.rouse()
	}
}

// leave queues what comes from outside; the caller sees to it that it is done. It returns false when that is not needed. A reader
// that finds the mailbox of a shard four times over its limit waits: then TCP tells the peer. What could be refused was refused
// long before.
func (s *shard) leave(i item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i.kind == wire && !s.dead && len(s.in) >= 4*s.e.cfg.Limits.Mailbox {
		if i.flow.Network() == transport.UDP {
			i.flow.Processed()
			return false
		}
		s.blocked++
		s.room.Wait()
		s.blocked--
	}
	if s.dead {
		return false
	}
	s.in = append(s.in, i)
	s.waiting.Add(1)
	return !s.busy
}

// ask queues what the User asks for; false when the endpoint has ended.
func (s *shard) ask(i item) bool {
	s.mu.Lock()
	if s.dead {
		s.mu.Unlock()
		return false
	}
	s.own = append(s.own, i)
	s.asked.Add(1)
	idle := !s.busy
	s.mu.Unlock()
	if idle {
		s.rouse()
	}
	return true
}

// end makes run return once the queues are empty.
func (s *shard) end() {
	s.mu.Lock()
	s.dead = true
	s.room.Broadcast()
	s.mu.Unlock()
	s.rouse()
}

// rouse wakes the shard's goroutine.
func (s *shard) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run is the shard's goroutine.
func (s *shard) run() {
	defer s.e.wg.Done()
	defer s.timer.Stop()
	for {
		select {
		case <-s.wake:
		case <-s.timer.C:
			s.mu.Lock()
			s.armed = 0 // whoever is at work looks at the alarms before leaving
			if !s.busy {
				s.shedding.Store(false)
			}
			s.mu.Unlock()
		}
		if s.enter() {
			s.work(math.MaxInt)
		}
		s.e.carry(math.MaxInt)
		if s.ended() {
			return
		}
	}
}

// enter makes the caller the one at work, unless somebody is.
func (s *shard) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		return false
	}
	s.busy = true
	return true
}

// quit lets go of the shard when there is nothing to do, and sets the timer for the next alarm. With force what is left is for the
// shard's goroutine.
func (s *shard) quit(force bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := len(s.in)+len(s.own) > 0
	if left && !force {
		return false
	}
	s.busy = false
	if next := s.alarms.next(); next != 0 && (s.armed == 0 || next < s.armed) {
		s.armed = next
		s.timer.Reset(max(0, time.Duration(next-s.e.instant())))
	}
	if left || s.dead {
		s.rouse()
	}
	return true
}

// ended says whether the shard was ended and all is done.
func (s *shard) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead && !s.busy && len(s.in)+len(s.own) == 0
}

// work does what is queued and due. The caller has entered, and has left when it returns, with what is left after most messages
// in the hands of the shard's goroutine.
func (s *shard) work(most int) {
	for {
		most -= s.batch()
		s.asks()
		s.fireAlarms()
		s.flush()
		if s.quit(most <= 0) {
			return
		}
	}
}

// batch does what is in the mailbox, and returns how much that was.
func (s *shard) batch() int {
	s.mu.Lock()
	batch := s.in
	s.in = s.spareIn[:0]
	if s.blocked > 0 {
		s.room.Broadcast()
	}
	s.mu.Unlock()
	for i := range batch {
		s.now = s.e.instant()
		s.one(&batch[i])
		s.waiting.Add(-1)
		s.asks()
		if batch[i].kind == wire {
			batch[i].flow.Processed()
		}
		if i%64 == 63 {
			s.flush()
		}
	}
	s.spareIn = recycle(batch)
	return len(batch)
}

// asks does what the User asked for, until it asks for no more.
func (s *shard) asks() {
	for s.asked.Load() > 0 {
		s.mu.Lock()
		own := s.own
		s.own = s.spareOwn[:0]
		s.asked.Add(-int64(len(own)))
		s.mu.Unlock()
		s.spareOwn = nil
		s.now = s.e.instant()
		for i := range own {
			s.one(&own[i])
		}
		s.spareOwn = recycle(own)
	}
}

// recycle empties a queue for its next use; a huge one is left to the collector.
func recycle(q []item) []item {
	if cap(q) > 4096 {
		return nil
	}
	clear(q)
	return q[:0]
}

func (s *shard) fireAlarms() {
	s.now = s.e.instant()
	for {
		next := s.alarms.next()
		if next == 0 || next > s.now {
			return
		}
		a := s.alarms.heap[0]
		s.alarms.remove(a)
		a.owner.fire(s.now)
		s.asks()
	}
}

func (s *shard) one(i *item) {
	switch i.kind {
	case wire:
		s.message(i)
	case post:
		s.e.cfg.User.Posted(i.id, i.obj)
	case opened:
		s.flowOpened(i.flow)
	case closed:
		s.flowClosed(i.flow)
	case resolved:
		r := i.obj.(*resolution)
		r.tx.resolved(r.hops, r.err)
	case askRespond:
		i.obj.(*ServerTx).respond(i.msg)
	case askRequest:
		i.obj.(*ClientTx).start()
	case askCancel:
		c := i.obj.(*cancellation)
		c.tx.cancel(c.header)
	case askAfter:
		t := i.obj.(*Timer)
		if !t.stopped.Load() {
			t.owner = t
			s.alarms.set(&t.alarm, t.at)
		}
	case askStop:
		s.alarms.remove(&i.obj.(*Timer).alarm)
	case mark:
		close(i.obj.(chan struct{}))
	}
}

// message measures the wait and sends requests and responses their ways.
func (s *shard) message(i *item) {
	s.measure(time.Duration(s.now - i.at))
	if i.msg.IsRequest() {
		s.counters.requests.Add(1)
		s.request(i.flow, i.msg)
		return
	}
	s.counters.responses.Add(1)
	s.response(i.flow, i.msg)
}

// measure is the overload control: when the wait was over ShedAbove for ShedAfter without a break, new requests are refused;
// under ShedBelow they are served again. One late wake-up is no overload (RFC 8289, 3.2: a good queue drains within an interval).
func (s *shard) measure(wait time.Duration) {
	s.wait.Store(int64(wait))
	l := &s.e.cfg.Limits
	switch {
	case wait > l.ShedAbove:
		if s.late == 0 {
			s.late = s.now
		}
		if time.Duration(s.now-s.late) >= l.ShedAfter {
			s.shedding.Store(true)
		}
		return
	case wait < l.ShedBelow:
		s.shedding.Store(false)
	}
	s.late = 0
}

// send queues m on f and remembers to flush.
func (s *shard) send(f *transport.Flow, m *sip.Message) error {
	flush, err := f.Queue(m)
	if flush && (len(s.dirty) == 0 || s.dirty[len(s.dirty)-1] != f) {
		s.dirty = append(s.dirty, f)
	}
	return err
}

func (s *shard) flush() {
	for i, f := range s.dirty {
		f.Flush()
		s.dirty[i] = nil
	}
	s.dirty = s.dirty[:0]
}

const hexDigits = "0123456789abcdef"

// token is 64 random bits in hex after prefix: branches and tags must not be guessed (RFC 3261, 19.3).
func (s *shard) token(prefix string) string {
	var b [32]byte
	n := copy(b[:], prefix)
	for v, i := s.rand.Uint64(), 0; i < 16; i++ {
		b[n] = hexDigits[v&15]
		v >>= 4
		n++
	}
	return string(b[:n])
}
