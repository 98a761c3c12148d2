package trace

import (
	"context"
	"io"
	"sync/atomic"
)

// Tail is a live feed of records. A reader that is slower than the records loses some and is told how many.
type Tail struct {
	lines  chan []byte
	filter Filter
	lost   atomic.Uint64
	owner  *Recorder
}

// Tail starts a feed of records that match, holding at most room of them. Close it when done.
func (r *Recorder) Tail(f Filter, room int) *Tail {
	t := &Tail{lines: make(chan []byte, max(1, room)), filter: f, owner: r}
	if r == nil {
		t.end()
		return t
	}
	r.settle() // what was recorded before is not news
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed.Load() {
		t.end()
		return t
	}
	r.tails = append(r.tails, t)
	r.watched.Store(true)
	return t
}

// Next waits for the next record. It returns io.EOF after Close of the feed or of the recorder, or ctx's error.
func (t *Tail) Next(ctx context.Context) (Record, error) {
	for {
		select {
		case line, ok := <-t.lines:
			if !ok {
				return Record{}, io.EOF
			}
			var rec Record
			if rec.UnmarshalJSON(line) == nil {
				return rec, nil
			}
		case <-ctx.Done():
			return Record{}, ctx.Err()
		}
	}
}

// Lost returns how many records the feed has lost since it was last asked.
func (t *Tail) Lost() uint64 { return t.lost.Swap(0) }

// Close ends the feed.
func (t *Tail) Close() {
	if t.owner == nil {
		return
	}
	t.owner.mu.Lock()
	defer t.owner.mu.Unlock()
	for i, o := range t.owner.tails {
		if o == t {
			t.owner.tails = append(t.owner.tails[:i:i], t.owner.tails[i+1:]...)
			t.owner.watched.Store(len(t.owner.tails) > 0)
			t.end()
			return
		}
	}
}

// end closes the feed's channel; the recorder's mutex is held and the tail is in its list no more.
func (t *Tail) end() { close(t.lines) }

// offer hands a stored line to the feed without waiting. The feed gets the stored bytes, which are redacted and never
// change, and reads them on its own time.
func (t *Tail) offer(rec *Record, line []byte) {
	if !t.filter.Match(rec) {
		return
	}
	select {
	case t.lines <- line:
	default:
		t.lost.Add(1)
	}
}
