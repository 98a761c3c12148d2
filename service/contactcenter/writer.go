package contactcenter

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// writer keeps what the next life needs: the newest value of each key, written in batches, so that a store that is slow or away holds up
// nothing and sees no more than one write per key at a time.
type writer struct {
	s    *Service
	term context.Context
	wake chan struct{}

	mu    sync.Mutex
	dirty map[string]any // nil: to be removed
	order []string
}

// maxBatch bounds what is written at a time.
const maxBatch = 200

func newWriter(s *Service, term context.Context) *writer {
	return &writer{s: s, term: term, wake: make(chan struct{}, 1), dirty: map[string]any{}}
}

// put has a value written soon; gone removes it.
func (w *writer) put(key string, value any, gone bool) {
	if gone {
		value = nil
	}
	w.mu.Lock()
	if _, waits := w.dirty[key]; !waits {
		w.order = append(w.order, key)
	}
	w.dirty[key] = value
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take takes a batch.
func (w *writer) take() (writes []store.Write, gone []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.order), maxBatch)
	for _, key := range w.order[:n] {
		if v := w.dirty[key]; v == nil {
			gone = append(gone, key)
		} else {
			writes = append(writes, store.Write{Key: key, Value: v, IfRevision: store.AnyRevision})
		}
		delete(w.dirty, key)
	}
	w.order = append([]string(nil), w.order[n:]...)
	return writes, gone
}

// again puts back what could not be written, unless there is something newer.
func (w *writer) again(writes []store.Write, gone []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	back := func(key string, v any) {
		if _, newer := w.dirty[key]; !newer {
			w.dirty[key], w.order = v, append(w.order, key)
		}
	}
	for _, x := range writes {
		back(x.Key, x.Value)
	}
	for _, key := range gone {
		back(key, nil)
	}
}

// run writes until the term is over.
func (w *writer) run() {
	for pause := time.Duration(0); ; {
		select {
		case <-w.wake:
		case <-w.term.Done():
			return
		}
		for {
			writes, gone := w.take()
			if len(writes)+len(gone) == 0 {
				break
			}
			err := w.write(writes, gone)
			if err == nil {
				pause = 0
				continue
			}
			w.again(writes, gone)
			if pause == 0 {
				w.s.note(trace.Error, "the states of agents could not be written; it is tried again: "+err.Error())
			}
			pause = min(max(2*pause, 100*time.Millisecond), 10*time.Second)
			select {
			case <-time.After(pause):
			case <-w.term.Done():
				return
			}
		}
	}
}

func (w *writer) write(writes []store.Write, gone []string) error {
	if _, err := w.s.docs.PutAll(w.term, writes); err != nil {
		return err
	}
	for _, key := range gone {
		if err := w.s.docs.Delete(w.term, key, store.AnyRevision); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
