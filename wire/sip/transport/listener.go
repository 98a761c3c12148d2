package transport

import (
	"container/list"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of connections that are closed before they are flows.
var (
	ErrTooMany         = errors.New("the listener has its limit of connections")
	ErrTooManySource   = errors.New("this source address has its limit of connections")
	ErrTooManyUnproven = errors.New("too many connections without a valid message")
	ErrHandshakes      = errors.New("too many TLS handshakes in flight")
	ErrAcceptRate      = errors.New("connections come faster than the listener accepts")
	ErrDisplaced       = errors.New("closed to make room: it had said nothing that counts while others were waiting")
)

// Listener is one listening socket and what came through it. mu guards the admission counters.
type Listener struct {
	t         *Transport
	name      string
	network   Network
	addr      netip.AddrPort
	advertise netip.AddrPort
	identity  string
	limits    Limits
	config    func(*tls.ClientHelloInfo) (*tls.Config, error)

	stream net.Listener
	tls    *tls.Config // shared by all handshakes, so that session tickets work across connections
	packet PacketConn

	bytesIn, bytesOut, messagesIn, messagesOut  atomic.Uint64
	malformed, dropped, accepted, refused, fail atomic.Uint64

	mu          sync.Mutex
	closed      bool
	open        int
	unproven    int
	handshaking int
	sources     map[netip.Addr]*sourceCount
	waiting     list.List // flows that may be displaced, oldest first: handshakes that are not done; TCP: unproven
	tokens      float64
	tokensAt    time.Time
	reported    time.Time // last Refused report of a limit
	udp         map[netip.AddrPort]*Flow
}

// sourceCount is what one source address has.
type sourceCount struct {
	open, unproven, handshaking int
	waiting                     list.List // its part of Listener.waiting
}

// place is what an accepted connection holds of its listener's limits, guarded by the listener's lock.
type place struct {
	all, source       *list.Element // in the lists of those that wait; nil: in none
	handshaking, left bool
}

func (t *Transport) newListener(lc ListenConfig, addr netip.AddrPort) *Listener {
	limits := t.cfg.Limits
	if lc.Limits != nil {
		limits = lc.Limits.withDefaults()
	}
	name := lc.Name
	if name == "" {
		name = lc.Network.String() + ":" + addr.String()
	}
	return &Listener{
		t: t, name: name, network: lc.Network, addr: addr, advertise: lc.Advertise, identity: lc.LocalIdentity,
		limits: limits, config: lc.TLS, sources: map[netip.Addr]*sourceCount{}, tokensAt: time.Now(),
		tokens: float64(limits.AcceptRate),
	}
}

// Name is the listener's name.
func (l *Listener) Name() string { return l.name }

// Network is the listener's transport.
func (l *Listener) Network() Network { return l.network }

// Addr is the bound address.
func (l *Listener) Addr() netip.AddrPort { return l.addr }

// LocalIdentity names the identity shown here.
func (l *Listener) LocalIdentity() string { return l.identity }

// Info is a snapshot of the counters.
func (l *Listener) Info() ListenerInfo {
	l.mu.Lock()
	open, unproven, handshaking := l.open, l.unproven, l.handshaking
	l.mu.Unlock()
	return ListenerInfo{
		Name: l.name, Network: l.network, Addr: l.addr, LocalIdentity: l.identity,
		Open: open, Unproven: unproven, Handshaking: handshaking,
		Accepted: l.accepted.Load(), Refused: l.refused.Load(), Failed: l.fail.Load(),
		BytesIn: l.bytesIn.Load(), BytesOut: l.bytesOut.Load(), MessagesIn: l.messagesIn.Load(),
		MessagesOut: l.messagesOut.Load(), Malformed: l.malformed.Load(), Dropped: l.dropped.Load(),
	}
}

// Close stops listening. Connections that were accepted stay; a UDP socket closes with its flows.
func (l *Listener) Close() error {
	l.mu.Lock()
	was := l.closed
	l.closed = true
	l.mu.Unlock()
	if was {
		return nil
	}
	l.t.mu.Lock()
	l.t.listeners = removed(l.t.listeners, l)
	l.t.mu.Unlock()
	if l.packet != nil {
		return l.packet.Close()
	}
	return l.stream.Close()
}

func removed(all []*Listener, l *Listener) []*Listener {
	var rest []*Listener
	for _, o := range all {
		if o != l {
			rest = append(rest, o)
		}
	}
	return rest
}

// sentBy is the address a flow of this listener puts into Via.
func (l *Listener) sentBy(f *Flow) netip.AddrPort { return l.address(f.remote.Addr()) }

func (l *Listener) address(peer netip.Addr) netip.AddrPort {
	if l.advertise.IsValid() {
		return l.advertise
	}
	if l.addr.Addr().IsUnspecified() {
		return netip.AddrPortFrom(l.t.towards(peer), l.addr.Port())
	}
	return l.addr
}

func (l *Listener) acceptAll() {
	defer l.t.wg.Done()
	backOff := time.Duration(0)
	for {
		conn, err := l.stream.Accept()
		if err == nil {
			backOff = 0
			l.admit(conn)
			continue
		}
		if isClosed(err) || l.isClosed() {
			return
		}
		backOff = min(max(2*backOff, 5*time.Millisecond), time.Second) // out of descriptors, most likely
		select {
		case <-time.After(backOff):
		case <-l.t.quit:
			return
		}
	}
}

func (l *Listener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// admit decides about a new connection before anything is spent on it.
func (l *Listener) admit(conn net.Conn) {
	remote := addrPort(conn.RemoteAddr())
	displaced, err := l.count(remote.Addr(), time.Now())
	if displaced != nil {
		displaced.Close(ErrDisplaced)
	}
	if err != nil {
		_ = conn.Close()
		l.refused.Add(1)
		l.reportRefused(remote, err)
		return
	}
	l.accepted.Add(1)
	f := l.t.newFlow(l.network, l.identity)
	f.inbound, f.listener = true, l
	f.remote, f.local = remote, addrPort(conn.LocalAddr())
	f.source = remote.Addr().WithZone("").String()
	l.await(f)
	l.t.wg.Add(1)
	conn = f.wrap(conn)
	if l.network == TLS {
		go f.serveTLS(conn)
		return
	}
	f.conn = conn
	f.begin()
}

// begin registers an accepted connection and starts its reader, which has taken over the wait group's count.
func (f *Flow) begin() {
	if !f.t.register(f) || !f.establish() {
		f.listener.release(f)
		_ = f.conn.Close()
		f.t.remove(f)
		f.t.wg.Done()
		return
	}
	if o := f.t.cfg.Observer; o != nil {
		o.Opened(f, time.Now())
	}
	go f.read()
}

// count takes the connection into the counters, or says which limit it would break. Where a limit of newcomers is
// reached, the oldest of them loses its place, if it has had time enough: it is to be closed.
func (l *Listener) count(from netip.Addr, now time.Time) (displaced *Flow, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[from]
	if s == nil {
		s = &sourceCount{}
	}
	switch {
	case !l.token(now):
		return nil, ErrAcceptRate
	case l.open >= l.limits.Connections:
		return nil, ErrTooMany
	case s.open >= l.limits.ConnectionsPerIP:
		return nil, ErrTooManySource
	case s.unproven >= l.limits.UnprovenPerIP:
		displaced, err = l.displace(&s.waiting, now), ErrTooManyUnproven
	case l.unproven >= l.limits.Unproven:
		displaced, err = l.displace(&l.waiting, now), ErrTooManyUnproven
	case l.network == TLS && s.handshaking >= l.limits.HandshakesPerIP:
		displaced, err = l.displace(&s.waiting, now), ErrHandshakes
	case l.network == TLS && l.handshaking >= l.limits.Handshakes:
		displaced, err = l.displace(&l.waiting, now), ErrHandshakes
	}
	if err != nil && displaced == nil {
		return nil, err
	}
	l.sources[from] = s
	l.open, s.open = l.open+1, s.open+1
	l.unproven, s.unproven = l.unproven+1, s.unproven+1
	if l.network == TLS {
		l.handshaking, s.handshaking = l.handshaking+1, s.handshaking+1
	}
	return displaced, nil
}

// displace takes the place of the oldest that makes us wait; nil when all have some time left. Without this, whoever opens
// Limits.Handshakes connections and says nothing keeps every phone out until their deadline. The lock is held.
func (l *Listener) displace(waiting *list.List, now time.Time) *Flow {
	for e := waiting.Front(); e != nil; e = e.Next() {
		f := e.Value.(*Flow)
		age := now.Sub(f.since)
		if age < patience {
			return nil // those behind it are younger
		}
		if l.network != TLS || f.waits.tried(age) {
			l.leave(f)
			return f
		}
	}
	return nil
}

// await puts a counted connection at the end of those that wait.
func (l *Listener) await(f *Flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.place.handshaking = l.network == TLS
	f.place.all = l.waiting.PushBack(f)
	if s := l.sources[f.remote.Addr()]; s != nil {
		f.place.source = s.waiting.PushBack(f)
	}
}

// waited takes a connection off the lists of those that wait. The lock is held.
func (l *Listener) waited(f *Flow, s *sourceCount) {
	if f.place.all != nil {
		l.waiting.Remove(f.place.all)
	}
	if f.place.source != nil && s != nil {
		s.waiting.Remove(f.place.source)
	}
	f.place.all, f.place.source = nil, nil
}

// token takes one from the bucket of accepts, which holds up to two seconds' worth.
func (l *Listener) token(now time.Time) bool {
	rate := float64(l.limits.AcceptRate)
	l.tokens = min(2*rate, l.tokens+rate*now.Sub(l.tokensAt).Seconds())
	l.tokensAt = now
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}

// shaken counts a handshake that has ended.
func (l *Listener) shaken(f *Flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[f.remote.Addr()]
	l.waited(f, s)
	l.unshake(f, s)
}

// unshake gives back a connection's place among the handshakes. The lock is held.
func (l *Listener) unshake(f *Flow, s *sourceCount) {
	if !f.place.handshaking {
		return
	}
	f.place.handshaking = false
	l.handshaking--
	if s != nil {
		s.handshaking--
	}
}

// prove counts the first valid message of a connection.
func (l *Listener) prove(f *Flow) {
	if l.network == UDP {
		f.proven.Store(true)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[f.remote.Addr()]
	l.waited(f, s)
	if f.proven.Swap(true) || f.place.left {
		return
	}
	l.unproven--
	if s != nil {
		s.unproven--
	}
}

// release gives the connection's place back.
func (l *Listener) release(f *Flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(f)
}

// leave gives every place of a connection back, once. The lock is held.
func (l *Listener) leave(f *Flow) {
	if f.place.left {
		return
	}
	f.place.left = true
	s := l.sources[f.remote.Addr()]
	l.waited(f, s)
	l.unshake(f, s)
	l.open--
	if s == nil {
		return
	}
	s.open--
	if !f.proven.Load() {
		l.unproven--
		s.unproven--
	}
	if s.open == 0 {
		delete(l.sources, f.remote.Addr())
	}
}

// reportRefused tells the observer about a limit, at most once a second: a flood is not multiplied.
func (l *Listener) reportRefused(remote netip.AddrPort, err error) {
	o := l.t.cfg.Observer
	if o == nil {
		return
	}
	now := time.Now()
	l.mu.Lock()
	tell := now.Sub(l.reported) >= time.Second
	if tell {
		l.reported = now
	}
	l.mu.Unlock()
	if tell {
		o.Refused(HandshakeFailure{
			At: now, Inbound: true, Listener: l.name, LocalIdentity: l.identity, Remote: remote, Phase: "accept", Err: err,
		})
	}
}

func (t *Transport) newFlow(n Network, identity string) *Flow {
	return &Flow{t: t, id: FlowID(t.nextID.Add(1)), network: n, identity: identity, since: time.Now()}
}
