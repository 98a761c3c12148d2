package trace

import "sync/atomic"

// Tail is a live feed of records. A reader that is slower than the records loses some and is told how many.
type Tail struct {
	C      <-chan Record // closed when the recorder or the tail is closed
	c      chan Record
	filter Filter
	lost   atomic.Uint64
	owner  *Recorder
}

// Tail starts a feed of records that match, holding at most room of them. Close it when done.
func (r *Recorder) Tail(f Filter, room int) *Tail {
	c := make(chan Record, max(1, room))
	t := &Tail{C: c, c: c, filter: f, owner: r}
	if r == nil || r.closed.Load() {
		close(c)
		return t
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tails = append(r.tails, t)
	return t
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
			t.end()
			return
		}
	}
}

// end closes the channel; the recorder's mutex is held and the tail is in its list no more.
func (t *Tail) end() { close(t.c) }

// offer hands a stored line to the feed without waiting. What the feed gets is read back from the stored line, so that
// it is redacted as the files are.
func (t *Tail) offer(rec *Record, line []byte) {
	if !t.filter.Match(rec) {
		return
	}
	var out Record
	if out.UnmarshalJSON(line) != nil {
		return
	}
	select {
	case t.c <- out:
	default:
		t.lost.Add(1)
	}
}
