package bus

import (
	"slices"
	"sync"
)

// BoardWatch is a bounded queue of changes. Whoever fills it never waits for the reader: what a reader that is too slow
// would have missed is replaced by one Change with Lagged.
type BoardWatch struct {
	board *Board
	kinds []string // none: all
	c     chan Change
	done  chan struct{}
	once  sync.Once

	mu     sync.Mutex
	filled *sync.Cond
	queue  []Change
	ended  bool
}

// maxWatched bounds the changes that wait for a reader. A whole storm of registrations fits.
const maxWatched = 16384

// Watch tells what changes from now on: of the kinds given (none: of all), and of every node. The way to hold a picture is
// to Watch first, then to take All, then to follow the changes: those that All had already may come again.
func (d *Board) Watch(kinds ...string) *BoardWatch {
	w := &BoardWatch{board: d, kinds: kinds, c: make(chan Change), done: make(chan struct{})}
	w.filled = sync.NewCond(&w.mu)
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		w.ended = true
		close(w.done)
		close(w.c)
		return w
	}
	d.watches[w] = struct{}{}
	d.mu.Unlock()
	go w.run()
	return w
}

// C carries the changes; it is closed by Close and when the bus closes.
func (w *BoardWatch) C() <-chan Change { return w.c }

// Close ends the watch; what still waits is dropped.
func (w *BoardWatch) Close() {
	w.once.Do(func() {
		w.board.mu.Lock()
		delete(w.board.watches, w)
		w.board.mu.Unlock()
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.ended {
			w.ended = true
			close(w.done)
			w.filled.Signal()
		}
	})
}

// put queues a change that the watch is about, and reports whether the reader was too slow.
func (w *BoardWatch) put(c Change) (lagged bool) {
	if c.Member == nil && len(w.kinds) > 0 && !slices.Contains(w.kinds, c.Fact.Kind) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return false
	}
	if lagged = len(w.queue) >= maxWatched; lagged {
		w.queue = append(w.queue[:0:0], Change{Lagged: true})
	}
	w.queue = append(w.queue, c)
	w.filled.Signal()
	return lagged
}

// run hands the queue to the reader.
func (w *BoardWatch) run() {
	defer close(w.c)
	for {
		c, ok := w.next()
		if !ok {
			return
		}
		select {
		case w.c <- c:
		case <-w.done:
			return
		}
	}
}

func (w *BoardWatch) next() (Change, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 && !w.ended {
		w.filled.Wait()
	}
	if w.ended {
		return Change{}, false
	}
	c := w.queue[0]
	w.queue = w.queue[1:]
	return c, true
}
