package trace

import (
	"slices"
	"sync"
)

// A Source writes a body that is not made yet. Its value must not change any more: it is asked once, within a moment, by another
// goroutine.
type Source interface {
	// AppendBody appends the body to dst.
	AppendBody(dst []byte) []byte
}

// draft is a record that was taken and is not a line yet.
type draft struct {
	rec      Record // Body is empty
	off, end int    // of the body in text
}

// drafts are records between Record and the ring. To copy a message costs a fraction of what it costs to look it through for
// secrets and to write it as JSON; that is done for some hundred records at once, off the path of the call, when the code for it
// stays in the processor's caches. Drafts are in memory only, and nobody but settle sees them: who reads the recorder settles first,
// and so does the disk goroutine before it writes.
type drafts struct {
	list []draft
	text []byte
}

// The bounds of drafts: at draftsSoon the disk goroutine is woken, at draftsMost whoever records settles itself.
const (
	draftsSoon = 256 << 10
	draftsMost = 2 << 20
)

// desk is where drafts are taken, guarded by its lock.
type desk struct {
	mu    sync.Mutex
	seq   uint64
	now   drafts
	spare drafts
	size  int // bytes of all that is on the desk
}

// put takes a record and returns its number, and how much is on the desk with it.
func (d *desk) put(rec *Record) (seq uint64, size int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seq++
	x := draft{rec: *rec, off: len(d.now.text)}
	d.now.text = append(d.now.text, rec.Body...)
	x.end = len(d.now.text)
	x.rec.Seq, x.rec.Body, x.rec.Fields = d.seq, nil, slices.Clone(rec.Fields)
	d.now.list = append(d.now.list, x)
	d.size += len(rec.Body) + draftSize
	return d.seq, d.size
}

// draftSize is about what a draft takes beside its body.
const draftSize = 512

// take empties the desk; what was taken goes back with clear.
func (d *desk) take() drafts {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.now
	d.now, d.spare, d.size = d.spare, drafts{}, 0
	return out
}

// clear gives the memory of drafts back for the next, unless it has become large.
func (d *desk) clear(x drafts) {
	clear(x.list)
	if cap(x.text) > 2*draftsMost || cap(x.list) > 4*draftsMost/draftSize {
		return
	}
	d.mu.Lock()
	d.spare = drafts{x.list[:0], x.text[:0]}
	d.mu.Unlock()
}

// settle makes lines of all drafts, in order.
func (r *Recorder) settle() {
	r.settling.Lock()
	defer r.settling.Unlock()
	all := r.desk.take()
	if len(all.list) == 0 {
		return
	}
	buf, made := scratch.Get().(*[]byte), scratch.Get().(*[]byte)
	line, body := *buf, *made
	for i := range all.list {
		x := &all.list[i]
		rec := &x.rec
		if rec.Body = all.text[x.off:x.end]; rec.Made != nil {
			body = rec.Made.AppendBody(body[:0])
			rec.Body = body
		}
		line = append(appendTail(line[:0], rec, r.policy), '\n')
		r.mu.Lock()
		r.store(rec, line)
		r.mu.Unlock()
	}
	release(buf, line)
	release(made, body)
	r.desk.clear(all)
}
