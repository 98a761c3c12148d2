package ctimanager

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"
)

// A mailbox is the bounded queue of what comes to a provider. Whoever puts something in never waits: when it is full it is closed, and
// the connection ends.
type mailbox struct {
	mu     sync.Mutex
	queue  []input
	limit  int
	over   bool          // it was full once
	signal chan struct{} // capacity 1
}

func newMailbox(limit int) *mailbox { return &mailbox{limit: limit, signal: make(chan struct{}, 1)} }

func (b *mailbox) put(in ...input) {
	b.mu.Lock()
	if len(b.queue)+len(in) > b.limit {
		b.over = true
	} else {
		b.queue = append(b.queue, in...)
	}
	b.mu.Unlock()
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

// take returns what is there, in order; full says that something had no room.
func (b *mailbox) take() (in []input, full bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in, b.queue = b.queue, nil
	return in, b.over
}

// errSlow says that a client does not take what is sent to it.
var errSlow = errors.New("the client does not read: more waits for it than is allowed")

// An outbox is what waits to be written to a client, bounded in bytes.
type outbox struct {
	mu     sync.Mutex
	waits  [][]byte
	bytes  int
	limit  int
	closed bool
	ready  chan struct{} // capacity 1: something was put in, or it was closed
}

func newOutbox(limit int) *outbox { return &outbox{limit: limit, ready: make(chan struct{}, 1)} }

func (o *outbox) wake() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// put queues a frame; an error means that the client is too slow.
func (o *outbox) put(frame []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil
	}
	if o.bytes+len(frame) > o.limit {
		return errSlow
	}
	o.waits = append(o.waits, frame)
	o.bytes += len(frame)
	o.wake()
	return nil
}

// close: what is in it is still written, nothing more comes in.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.wake()
}

// take returns all that waits, and whether that was the last.
func (o *outbox) take() (frames [][]byte, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	frames, o.waits = o.waits, nil
	return frames, o.closed
}

// wrote notes that bytes are on their way.
func (o *outbox) wrote(n int) (left int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bytes -= n
	return o.bytes
}

func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}

// sorted are the connections of a set in the order they came.
func sorted(set map[*connection]struct{}) []*connection {
	return slices.SortedFunc(maps.Keys(set), func(a, b *connection) int { return cmp.Compare(a.number, b.number) })
}
