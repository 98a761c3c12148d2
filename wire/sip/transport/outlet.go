package transport

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// outlet is the write side of a kernel connection, below TLS. Once it is eager its Write does not wait: what the kernel does not
// take at once is kept, and a writer goroutine carries on with it. So whoever has a message for an idle connection may write it
// himself, which saves two wake-ups for each, and a peer that does not read holds up nobody all the same.
type outlet struct {
	net.Conn
	raw   syscall.RawConn
	most  int // bytes that may be kept
	eager atomic.Bool

	mu      sync.Mutex
	rest    []byte // taken by Write, not by the kernel
	waiting bool   // a writer goroutine is writing what was in rest before
	// What try is to write and what came of it: it is one function for the life of the connection, for a closure would be an
	// allocation for each write.
	try  func(fd uintptr) bool
	p    []byte
	n    int
	fail error
}

// newOutlet wraps a connection of the kernel; nil for any other (a pipe of a test), whose writes may wait.
func newOutlet(conn net.Conn, most int) *outlet {
	c, ok := conn.(*net.TCPConn)
	if !ok || !canWriteNow {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	o := &outlet{Conn: conn, raw: raw, most: most}
	o.try = o.attempt
	return o
}

// Write gives the kernel what it takes, and keeps the rest.
func (o *outlet) Write(p []byte) (int, error) {
	if !o.eager.Load() {
		return o.Conn.Write(p)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	if !o.waiting && len(o.rest) == 0 {
		var err error
		if n, err = o.now(p); err != nil {
			return n, err
		}
	}
	if len(o.rest)+len(p)-n > o.most {
		return n, ErrQueueFull
	}
	o.rest = append(o.rest, p[n:]...)
	return len(p), nil
}

// now writes without waiting. The lock is held.
func (o *outlet) now(p []byte) (int, error) {
	o.p, o.n, o.fail = p, 0, nil
	err := o.raw.Write(o.try)
	o.p = nil
	if err == nil && o.fail != nil {
		err = &net.OpError{Op: "write", Net: "tcp", Source: o.LocalAddr(), Addr: o.RemoteAddr(), Err: o.fail}
	}
	return o.n, err
}

// attempt is one write to the socket; true tells the runtime not to wait for room and call again.
func (o *outlet) attempt(fd uintptr) bool {
	o.n, o.fail = writeNow(fd, o.p)
	return true
}

// behind says whether something is kept that the kernel did not take.
func (o *outlet) behind() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.rest) > 0
}

// catchUp writes what was kept, and waits as long as it takes. One goroutine at a time calls it.
func (o *outlet) catchUp() error {
	for {
		o.mu.Lock()
		rest := o.rest
		o.rest, o.waiting = nil, len(rest) > 0
		o.mu.Unlock()
		if len(rest) == 0 {
			return nil
		}
		if _, err := o.Conn.Write(rest); err != nil {
			return err
		}
	}
}
