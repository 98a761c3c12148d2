package live

import (
	"slices"
	"sync"

	"github.com/locktone/locktone/call"
)

// A Note is one event; or, at the start and after a lag, a picture of all calls.
type Note struct {
	Event call.Event
	// Snapshot says that Calls is the picture of all calls with every event up to AsOf in it (Event is empty then). The first note
	// is one.
	Snapshot bool
	// Lagged says that events were lost before this snapshot.
	Lagged bool
	AsOf   uint64
	Calls  []*call.View
	// Settings come with Calls: every line and device with something set, as Engine.Settings says it.
	Settings []call.Event
}

// A Watcher receives the engine's events. A goroutine of its own carries notes from a bounded queue to the channel; when the
// queue is full, it is thrown away and a fresh picture of all calls takes its place, so a slow reader costs nobody but itself.
type Watcher struct {
	host  *Host
	notes chan Note
	limit int
	kinds []call.EventKind // what it is told of; empty: everything
	ready chan struct{}    // a token: something was put in
	quit  chan struct{}
	once  sync.Once

	mu     sync.Mutex
	queue  []Note
	lagged bool
	asked  bool // a snapshot has been asked for
}

// Watch starts a watcher. buffer bounds what it may be behind; zero means 1,024 notes. With kinds it is told of events of these
// kinds only: one that wants the end of calls is not woken a dozen times for each.
func (h *Host) Watch(buffer int, kinds ...call.EventKind) *Watcher {
	if buffer <= 0 {
		buffer = 1024
	}
	w := &Watcher{host: h, notes: make(chan Note), limit: buffer, kinds: kinds, ready: make(chan struct{}, 1), quit: make(chan struct{})}
	if h.post(entry{watch: w}) != nil {
		w.stop()
	}
	go w.carry()
	return w
}

// Collect starts a watcher without a goroutine of its own: it keeps its notes until Take, and nobody is woken for them. It is for who
// wants them by the hundred, now and then; Ready says when there are some.
func (h *Host) Collect(buffer int, kinds ...call.EventKind) *Watcher {
	w := &Watcher{host: h, limit: max(buffer, 1), kinds: kinds, ready: make(chan struct{}, 1), quit: make(chan struct{})}
	if h.post(entry{watch: w}) != nil {
		w.stop()
	}
	return w
}

// Take returns the notes of a watcher made by Collect, in order, and asks for a snapshot when some were lost.
func (w *Watcher) Take() []Note {
	batch, ask := w.takeAll()
	if ask {
		_ = w.host.post(entry{refresh: w}) // a host that has stopped has nothing to show
	}
	return batch
}

// Ready delivers a value when there is something to Take since the last time it was asked: for who wants to be woken, in its own time.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// Done is closed when the watcher or the host has ended; then Take returns what was left.
func (w *Watcher) Done() <-chan struct{} { return w.quit }

// Notes delivers what happened, in order; it is closed by Close and when the host stops. The first note is a snapshot.
func (w *Watcher) Notes() <-chan Note { return w.notes }

// Close ends the watcher.
func (w *Watcher) Close() {
	w.stop()
	_ = w.host.post(entry{unwatch: w}) // a host that has stopped has no watchers
}

func (w *Watcher) stop() { w.once.Do(func() { close(w.quit) }) }

// tell adds events; who runs the engine calls it.
func (w *Watcher) tell(events []call.Event) {
	if len(events) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lagged {
		return // a snapshot is on its way and will have them
	}
	wanted := w.wanted(events)
	if wanted == 0 {
		return
	}
	if len(w.queue)+wanted > w.limit {
		w.queue, w.lagged = nil, true
		w.host.lag()
	}
	for _, ev := range events {
		if !w.lagged && w.wants(ev.Kind) {
			w.queue = append(w.queue, Note{Event: ev})
		}
	}
	w.wake()
}

// wants says whether the watcher is told of this kind.
func (w *Watcher) wants(k call.EventKind) bool {
	return len(w.kinds) == 0 || slices.Contains(w.kinds, k)
}

func (w *Watcher) wanted(events []call.Event) (n int) {
	for i := range events {
		if w.wants(events[i].Kind) {
			n++
		}
	}
	return n
}

// snapshot adds a picture of all calls; who runs the engine calls it.
func (w *Watcher) snapshot(e *call.Engine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, Note{Snapshot: true, Lagged: w.lagged, AsOf: e.LastEvent(), Calls: e.Calls(), Settings: e.Settings()})
	w.lagged, w.asked = false, false
	w.wake()
}

func (w *Watcher) wake() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// carry moves notes to the reader until the watcher ends.
func (w *Watcher) carry() {
	defer close(w.notes)
	for {
		batch, ask := w.takeAll()
		for _, n := range batch {
			select {
			case w.notes <- n:
			case <-w.quit:
				return
			}
		}
		if ask && w.host.post(entry{refresh: w}) != nil {
			return
		}
		select {
		case <-w.ready:
		case <-w.quit:
			return
		}
	}
}

// takeAll empties the queue; ask says that it was thrown away and a snapshot must be asked for.
func (w *Watcher) takeAll() (batch []Note, ask bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch, w.queue = w.queue, nil
	ask = w.lagged && !w.asked
	w.asked = w.lagged
	return batch, ask
}

// lag counts a watcher that was too slow.
func (h *Host) lag() {
	h.mu.Lock()
	h.stats.Lagged++
	h.mu.Unlock()
}
