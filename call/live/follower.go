package live

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
)

// A Follower tells what happens in the engines it follows: of each node first a snapshot or a loss, then every event, and every loss
// followed by a snapshot. Nothing is left out in silence, and nobody waits for its reader: one who is too slow is told so (LossReader)
// and gets a snapshot when it has read what was left.
type Follower struct {
	remote *Remote
	filter Filter
	limit  int
	every  bool // all nodes of the board
	notes  chan RemoteNote
	quit   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup

	in chan followInput

	// Only the goroutine uses these.
	trackers map[string]*tracker
	sessions map[string]chan struct{} // closed when they are over
	queue    []RemoteNote
	slow     map[string]bool // nodes whose notes did not fit
	cut      bool            // no connection to the bus
}

// A followInput is something that comes to the follower's goroutine.
type followInput struct {
	node, session string
	frame         *Frame
	verb          trackVerb
	err           error
}

const (
	followerRoom = 4096                   // notes that wait for the reader
	framesRoom   = 512                    // frames that wait for the goroutine
	followerTick = 200 * time.Millisecond // how often time is looked at
)

// Follow follows the engines of the nodes named; none: of every node there is, and of those that come. Close ends it.
func (r *Remote) Follow(f Filter, nodes ...string) *Follower { return r.follow(f, followerRoom, nodes) }

func (r *Remote) follow(f Filter, room int, nodes []string) *Follower {
	w := &Follower{remote: r, filter: f, limit: room, every: len(nodes) == 0, notes: make(chan RemoteNote), quit: make(chan struct{}), in: make(chan followInput),
		trackers: map[string]*tracker{}, sessions: map[string]chan struct{}{}, slow: map[string]bool{}}
	for _, n := range nodes {
		w.track(n)
	}
	watch := r.bus.Board().Watch("-") // members only
	w.wg.Go(func() {
		defer watch.Close()
		w.run(watch)
	})
	return w
}

// Notes delivers what happens; it is closed by Close.
func (w *Follower) Notes() <-chan RemoteNote { return w.notes }

// Close ends the sessions and waits for the follower's goroutines.
func (w *Follower) Close() {
	w.once.Do(func() { close(w.quit) })
	w.wg.Wait()
}

func (w *Follower) track(node string) *tracker {
	t := w.trackers[node]
	if t == nil {
		t = &tracker{node: node, filter: w.filter, name: rand.Text}
		w.trackers[node] = t
	}
	return t
}

func (w *Follower) run(watch *bus.BoardWatch) {
	defer close(w.notes)
	defer w.endAll()
	w.members()
	tick := time.NewTicker(followerTick)
	defer tick.Stop()
	changes := watch.C()
	for {
		w.settle()
		var out chan RemoteNote
		var next RemoteNote
		if len(w.queue) > 0 {
			out, next = w.notes, w.queue[0]
		}
		select {
		case <-w.quit:
			return
		case out <- next:
			w.queue = w.queue[1:]
			w.resume()
		case i := <-w.in:
			w.input(i)
		case c, open := <-changes:
			if !open {
				changes = nil
				continue
			}
			w.change(c)
		case now := <-tick.C:
			w.connection(now)
			for _, t := range w.trackers {
				t.tick(now)
			}
		}
	}
}

// members takes the board's picture of the nodes.
func (w *Follower) members() {
	now := time.Now()
	for _, m := range w.remote.bus.Board().Nodes() {
		w.member(now, m)
	}
	for _, t := range w.trackers {
		t.tick(now)
	}
}

func (w *Follower) change(c bus.Change) {
	switch {
	case c.Lagged:
		w.members()
	case c.Member != nil:
		w.member(time.Now(), *c.Member)
	}
}

// member is news of a node.
func (w *Follower) member(now time.Time, m bus.Member) {
	t := w.trackers[m.Name]
	if t == nil {
		if !w.every || !m.Alive {
			return
		}
		t = w.track(m.Name)
	}
	switch {
	case m.Self: // its own engine is there as long as it is
	case !m.Alive:
		t.hold(now, LossNode, m.Name+" is lost: it was not heard for as long as its lease")
	case !w.cut && !w.slow[m.Name]:
		t.release(now)
	}
}

// connection looks whether this node has the bus.
func (w *Follower) connection(now time.Time) {
	cut := !w.remote.bus.Connected()
	if cut == w.cut {
		return
	}
	w.cut = cut
	for _, t := range w.trackers {
		switch {
		case cut:
			t.hold(now, LossBus, "this node has no connection to the bus")
		case !w.slow[t.node]:
			t.release(now)
		}
	}
}

func (w *Follower) input(i followInput) {
	t, now := w.trackers[i.node], time.Now()
	switch {
	case t == nil:
	case i.frame != nil:
		t.frame(now, i.session, *i.frame)
	default:
		t.answered(now, i.verb, i.session, i.err)
	}
}

// settle does what the trackers want and queues what they tell.
func (w *Follower) settle() {
	for again := true; again; {
		again = false
		for _, node := range w.nodes() {
			t := w.trackers[node]
			notes, acts := t.take()
			for _, a := range acts {
				w.do(t, a)
			}
			if len(notes) > 0 && !w.put(t, notes) {
				again = true
			}
		}
	}
}

// nodes are the nodes followed, in order.
func (w *Follower) nodes() []string {
	out := make([]string, 0, len(w.trackers))
	for n := range w.trackers {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// put queues notes of a node; false: there was no room, the node's notes are gone, and its tracker has something to say.
func (w *Follower) put(t *tracker, notes []RemoteNote) bool {
	if w.slow[t.node] || len(w.queue)+len(notes) <= w.limit {
		w.queue = append(w.queue, notes...) // of a slow node only the loss can come
		return true
	}
	w.queue = slices.DeleteFunc(w.queue, func(n RemoteNote) bool { return n.Node == t.node && n.Lost == LossNone })
	w.slow[t.node] = true
	t.silent = false // that it was told before helps nobody: what made it good again is thrown away
	t.hold(time.Now(), LossReader, "what happens on "+t.node+" was not read as fast as it happened")
	return false
}

// resume follows again what a slow reader has lost, once it has read what was left.
func (w *Follower) resume() {
	if len(w.queue) > 0 || len(w.slow) == 0 {
		return
	}
	w.queue = nil
	for node := range w.slow {
		delete(w.slow, node)
		if !w.cut {
			w.trackers[node].release(time.Now())
		}
	}
}

// do does one thing about a session.
func (w *Follower) do(t *tracker, a trackAct) {
	node, filter := t.node, t.filter
	switch a.verb {
	case actBegin:
		w.begin(node, a.session, filter)
	case actKeep:
		w.ask(node, a, FollowRequest{Session: a.session})
	case actEnd:
		if over := w.sessions[a.session]; over != nil {
			close(over)
			delete(w.sessions, a.session)
		}
		w.ask(node, a, FollowRequest{Session: a.session, End: true})
	}
}

// begin subscribes to a session, starts it and hands on its frames until it is ended.
func (w *Follower) begin(node, session string, f Filter) {
	over := make(chan struct{})
	w.sessions[session] = over
	b := w.remote.bus
	w.wg.Go(func() {
		sub, err := bus.Subscribe[Frame](b, b.Subject(w.remote.service, VerbEvents+"."+session).To(node), framesRoom)
		if err != nil {
			w.give(followInput{node: node, session: session, verb: actBegin, err: err})
			return
		}
		defer sub.Close()
		w.ask(node, trackAct{actBegin, session}, FollowRequest{Session: session, Begin: true, Filter: f})
		for {
			select {
			case m, open := <-sub.C():
				if !open || !w.give(followInput{node: node, session: session, frame: &m.Value}) {
					return
				}
			case <-over:
				return
			}
		}
	})
}

// ask asks for something about a session; the answer comes by in.
func (w *Follower) ask(node string, a trackAct, q FollowRequest) {
	b := w.remote.bus
	w.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), tryWait)
		defer cancel()
		_, err := bus.Ask[FollowRequest, FollowAnswer](ctx, b, b.Subject(w.remote.service, VerbFollow).To(node), q)
		if a.verb != actEnd {
			w.give(followInput{node: node, session: a.session, verb: a.verb, err: err})
		}
	})
}

// give hands something to the goroutine; false: the follower has ended.
func (w *Follower) give(i followInput) bool {
	select {
	case w.in <- i:
		return true
	case <-w.quit:
		return false
	}
}

// endAll ends every session, as it should be done by who leaves.
func (w *Follower) endAll() {
	for _, t := range w.trackers {
		if t.phase != trackIdle {
			t.act(actEnd)
		}
		_, acts := t.take()
		for _, a := range acts {
			if a.verb == actEnd {
				w.do(t, a)
			}
		}
	}
}
