package lab

import (
	"io"
	"net"
	"sync"
)

// relay passes connections on to a server, until it is told to break: a node reaches what all nodes share (PostgreSQL, an
// operator's NATS servers) by a relay of its own, so that it alone can lose it. Guarded by its lock.
type relay struct {
	door   net.Listener
	dial   func() (net.Conn, error)
	mu     sync.Mutex
	broken bool
	open   map[net.Conn]bool
	done   sync.WaitGroup
}

// newRelay listens on a unix socket or a TCP address.
func newRelay(network, address, toNetwork, to string) (*relay, error) {
	door, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	r := &relay{door: door, dial: func() (net.Conn, error) { return net.Dial(toNetwork, to) }, open: map[net.Conn]bool{}}
	r.done.Go(r.accept)
	return r, nil
}

func (r *relay) accept() {
	for {
		near, err := r.door.Accept()
		if err != nil {
			return
		}
		far, err := r.dial()
		if err != nil || !r.keep(near, far) {
			_ = near.Close()
			if far != nil {
				_ = far.Close()
			}
			continue
		}
		r.done.Go(func() { r.pass(near, far) })
		r.done.Go(func() { r.pass(far, near) })
	}
}

// keep remembers a connection; false while the relay is broken.
func (r *relay) keep(near, far net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.broken {
		r.open[near], r.open[far] = true, true
	}
	return !r.broken
}

func (r *relay) pass(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = from.Close(), to.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, from)
	delete(r.open, to)
}

// broke closes every connection and lets nobody in until it is mended.
func (r *relay) broke(broken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken = broken; !broken {
		return
	}
	for c := range r.open {
		_ = c.Close()
	}
}

func (r *relay) close() {
	_ = r.door.Close()
	r.broke(true)
	r.done.Wait()
}
