package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// Transport owns listeners and flows. Its table of flows is guarded by mu; everything about one flow is in the flow.
type Transport struct {
	cfg     Config
	handler Handler
	writers *writers
	buffers buffers
	framers sync.Pool
	nextID  atomic.Uint64
	wg      sync.WaitGroup // accept loops, handshakes, dials, readers, sweeper
	quit    chan struct{}
	turns   turns           // handshakes that are worked on
	base    context.Context // done when the transport closes: for handshakes and dials
	stop    context.CancelFunc

	mu        sync.Mutex
	closed    bool
	listeners []*Listener
	flows     map[FlowID]*Flow      // connections, not UDP
	dialled   map[Dest][]*Flow      // by what was asked for, Peer left out
	aliases   map[aliasKey][]*Flow  // RFC 5923
	routes    map[netip.Addr]source // our address towards a peer, for wildcard sockets
}

// New starts a transport without listeners. Messages go to h.
func New(cfg Config, h Handler) *Transport {
	cfg.Limits = cfg.Limits.withDefaults()
	t := &Transport{
		cfg: cfg, handler: h, writers: newWriters(), quit: make(chan struct{}), turns: newTurns(),
		flows: map[FlowID]*Flow{}, dialled: map[Dest][]*Flow{}, aliases: map[aliasKey][]*Flow{},
		routes: map[netip.Addr]source{},
	}
	t.base, t.stop = context.WithCancel(context.Background())
	t.wg.Add(1)
	go t.sweep()
	return t
}

// framer takes an empty framer from the pool.
func (t *Transport) framer(l *Limits) *sip.Framer {
	f, ok := t.framers.Get().(*sip.Framer)
	if !ok {
		f = new(sip.Framer)
	}
	f.Limits = l.Message
	return f
}

// Listen opens a listener.
func (t *Transport) Listen(lc ListenConfig) (*Listener, error) {
	if lc.Network == UDP {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(lc.Addr))
		if err != nil {
			return nil, err
		}
		return t.ServePackets(conn, lc)
	}
	open := t.cfg.Listen
	if open == nil {
		open = func(addr netip.AddrPort) (net.Listener, error) {
			var config net.ListenConfig
			return config.Listen(context.Background(), "tcp", addr.String())
		}
	}
	ln, err := open(lc.Addr)
	if err != nil {
		return nil, err
	}
	l, err := t.Serve(ln, lc)
	if err != nil {
		_ = ln.Close()
	}
	return l, err
}

// Serve accepts connections from ln, which the transport closes.
func (t *Transport) Serve(ln net.Listener, lc ListenConfig) (*Listener, error) {
	switch {
	case lc.Network != TCP && lc.Network != TLS:
		return nil, errors.New("listener " + lc.Name + ": network must be tcp or tls")
	case lc.Network == TLS && lc.TLS == nil:
		return nil, errors.New("listener " + lc.Name + ": TLS needs a function that gives its configuration")
	case lc.Network == TLS && t.cfg.Verify == nil:
		return nil, errors.New("listener " + lc.Name + ": TLS needs a verifier in the transport's configuration")
	}
	l := t.newListener(lc, addrPort(ln.Addr()))
	l.stream = ln
	if lc.Network == TLS {
		l.tls = &tls.Config{GetConfigForClient: l.configFor} //nolint:gosec // the real one comes from configFor
	}
	if err := t.add(l); err != nil {
		return nil, err
	}
	go l.acceptAll()
	return l, nil
}

// add puts a listener into the table and counts its goroutine.
func (t *Transport) add(l *Listener) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	t.listeners = append(t.listeners, l)
	t.wg.Add(1)
	return nil
}

// Listeners are the open listeners.
func (t *Transport) Listeners() []*Listener {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]*Listener(nil), t.listeners...)
}

// Flows are snapshots of all connections and of the UDP flows in use.
func (t *Transport) Flows() []FlowInfo {
	var infos []FlowInfo
	for _, f := range t.all() {
		infos = append(infos, f.Info())
	}
	return infos
}

func (t *Transport) all() []*Flow {
	t.mu.Lock()
	flows := make([]*Flow, 0, len(t.flows))
	for _, f := range t.flows {
		flows = append(flows, f)
	}
	listeners := t.listeners
	t.mu.Unlock()
	for _, l := range listeners {
		flows = l.appendUDP(flows)
	}
	return flows
}

// Get is the flow with that id, nil when it is closed or was a datagram's.
func (t *Transport) Get(id FlowID) *Flow {
	for _, f := range t.all() {
		if f.id == id {
			return f
		}
	}
	return nil
}

// sweep ends what is overdue, once a second. One look at every flow a second is cheaper than a timer for every read.
func (t *Transport) sweep() {
	defer t.wg.Done()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-t.quit:
			return
		case now := <-tick.C:
			t.sweepOnce(now)
		}
	}
}

func (t *Transport) sweepOnce(now time.Time) {
	for _, f := range t.all() {
		if f.network == UDP {
			if now.Sub(f.since)-time.Duration(f.last.Load()) > f.limits().Idle {
				f.Close(ErrEvicted)
			}
			continue
		}
		if !f.Established() {
			continue
		}
		switch err := f.overdue(now); {
		case err == nil:
		case errors.Is(err, ErrWriteTimeout):
			f.abort(err)
		default:
			f.Close(err)
		}
	}
	t.mu.Lock()
	if len(t.routes) > 1024 {
		clear(t.routes)
	}
	t.mu.Unlock()
}

// Close closes listeners and flows and returns when every goroutine has ended. What is queued is written, within a second.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	listeners := t.listeners
	t.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	for _, f := range t.all() {
		f.Close(ErrClosed)
	}
	close(t.quit)
	t.stop()
	t.wg.Wait()
	t.writers.close()
	return nil
}

// addrPort is the address of a net.Addr, zero when it is none of ours.
func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	case *net.UDPAddr:
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	case interface{ AddrPort() netip.AddrPort }:
		return a.AddrPort()
	}
	return netip.AddrPort{}
}
