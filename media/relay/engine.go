package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"

	"github.com/locktone/locktone/media/flow"
	"github.com/locktone/locktone/media/rtpport"
)

// Config is how an engine is started. The zero value is a good value.
type Config struct {
	// Threads that forward; 0: one for two processors, at most 4: a thread that shares its packets with another sleeps and wakes more
	// often; -1: none, where all ports are of networks of their own (rtpport.Range.On), whose sockets have a goroutine each.
	Threads int
	DSCP    int // of packets sent, 0: 46, expedited forwarding; -1 leaves them unmarked
}

// Engine owns the threads that forward, and knows the ports it opened. It is safe for concurrent use.
type Engine struct {
	dscp    int
	workers []*worker
	wg      sync.WaitGroup

	mu    sync.Mutex
	ports map[*Port]struct{}
	next  int
	over  bool
}

// Start starts an engine.
func Start(cfg Config) (*Engine, error) {
	switch {
	case cfg.Threads < 0:
		cfg.Threads = 0
	case cfg.Threads == 0:
		cfg.Threads = min(max(runtime.GOMAXPROCS(0)/2, 1), 4)
	}
	switch {
	case cfg.DSCP == 0:
		cfg.DSCP = 46
	case cfg.DSCP < 0:
		cfg.DSCP = 0
	}
	e := &Engine{dscp: cfg.DSCP, ports: map[*Port]struct{}{}}
	for range cfg.Threads {
		w, err := newWorker()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("relay: cannot start a forwarding thread: %w", err), e.Close())
		}
		e.workers = append(e.workers, w)
		e.wg.Go(w.run)
	}
	return e, nil
}

// Open binds a pair of ports on an address. The port takes and sends nothing before Set.
func (e *Engine) Open(bind netip.Addr, ports *rtpport.Range, policy Latching) (*Port, error) {
	p := &Port{engine: e, ports: ports, in: flow.NewInbound(policy)}
	open := func(at netip.AddrPort) (*socket, error) { return listen(at, e.dscp) }
	if n := ports.Network(); n != nil {
		open = func(at netip.AddrPort) (*socket, error) { return listenOn(n, at) }
	}
	number, err := ports.Take(func(n uint16) error { return p.bind(bind, n, open) })
	if err != nil {
		return nil, err
	}
	p.number = number
	if err := e.adopt(p); err != nil {
		p.rtp.close()
		p.rtcp.close()
		ports.Release(number)
		return nil, err
	}
	return p, nil
}

func (p *Port) bind(bind netip.Addr, number uint16, open func(netip.AddrPort) (*socket, error)) (err error) {
	if p.rtp, err = open(netip.AddrPortFrom(bind, number)); err != nil {
		return err
	}
	if p.rtcp, err = open(netip.AddrPortFrom(bind, number+1)); err != nil {
		p.rtp.close()
	}
	return err
}

func (e *Engine) adopt(p *Port) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return ErrClosed
	}
	if p.rtp.given {
		e.wg.Go(func() { p.read(p.rtp.conn, false) })
		e.wg.Go(func() { p.read(p.rtcp.conn, true) })
		e.ports[p] = struct{}{}
		return nil
	}
	if len(e.workers) == 0 {
		return errors.New("relay: an engine without threads has ports of networks of their own only")
	}
	p.worker = e.workers[e.next%len(e.workers)]
	e.next++
	if err := p.worker.add(p); err != nil {
		return fmt.Errorf("relay: cannot watch the sockets: %w", err)
	}
	e.ports[p] = struct{}{}
	return nil
}

func (e *Engine) forget(p *Port) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.ports, p)
}

// Open ports, for tests and metrics.
func (e *Engine) Ports() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.ports)
}

// Close closes all ports and ends the threads.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.over = true
	var all []*Port
	for p := range e.ports {
		all = append(all, p)
	}
	e.mu.Unlock()
	for _, p := range all {
		p.Close()
	}
	for _, w := range e.workers {
		w.stop()
	}
	e.wg.Wait()
	return nil
}
