package transport

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// writers are the goroutines that write. A flow with something to say is handed to a warm one, or to a new one when all
// are busy, so that a peer that blocks its writer holds up nobody. An idle connection has none.
type writers struct {
	work chan *Flow
	quit chan struct{}
	warm atomic.Int32
	most int32
	wg   sync.WaitGroup
}

func newWriters() *writers {
	return &writers{work: make(chan *Flow), quit: make(chan struct{}), most: int32(4 * runtime.GOMAXPROCS(0))}
}

// hand gives f to a writer; f.writing has been set.
func (w *writers) hand(f *Flow) {
	select {
	case w.work <- f:
	default:
		w.wg.Add(1)
		go w.run(f)
	}
}

func (w *writers) run(f *Flow) {
	defer w.wg.Done()
	f.flush(true)
	if w.warm.Add(1) > w.most {
		w.warm.Add(-1)
		return
	}
	defer w.warm.Add(-1)
	for {
		select {
		case f := <-w.work:
			f.flush(true)
		case <-w.quit:
			return
		}
	}
}

// close stops the warm writers, after the last flow has gone.
func (w *writers) close() {
	close(w.quit)
	w.wg.Wait()
}

// buffers recycles the byte slices messages are serialised into.
type buffers struct{ pool sync.Pool }

const (
	bufferSize = 4 << 10
	bufferMost = 64 << 10 // larger ones are left to the collector
)

type buffer struct{ b []byte }

func (p *buffers) get() []byte {
	if v, ok := p.pool.Get().(*buffer); ok {
		b := v.b[:0]
		v.b = nil
		return b
	}
	return make([]byte, 0, bufferSize)
}

func (p *buffers) put(b []byte) {
	if cap(b) >= bufferSize && cap(b) <= bufferMost {
		p.pool.Put(&buffer{b})
	}
}
