package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// The reasons a flow ends with that are ours; a peer's reasons are the errors of net and crypto/tls.
var (
	ErrQueueFull    = errors.New("the peer does not read: the write queue is full")
	ErrWriteTimeout = errors.New("the peer does not read: a write did not finish in time")
	ErrIdle         = errors.New("nothing came from the peer for too long, no keep-alive either")
	ErrSilent       = errors.New("no valid message came after the connection was accepted")
	ErrPartial      = errors.New("a message was begun and not completed in time")
	ErrMalformed    = errors.New("too many malformed messages")
	ErrClosed       = errors.New("transport is closed")
	ErrEvicted      = errors.New("the UDP flow was not used any more")
)

const (
	stateConnecting = iota
	stateEstablished
	stateClosed
)

// Flow is one way to one peer: a UDP 5-tuple, or a connection that is being made, established or closed. It is what
// RFC 5626, 3.1 calls a flow. All methods may be called from any goroutine; a closed flow stays closed.
//
// The fields below "fixed" are set before the state leaves stateConnecting and never change afterwards. The write side
// is guarded by mu; the read side belongs to the reader goroutine.
type Flow struct {
	t        *Transport
	id       FlowID
	network  Network
	inbound  bool
	listener *Listener // accepted connections and UDP; nil for dialled connections
	dest     Dest      // dialled connections: what was asked for
	identity string
	since    time.Time

	conn       net.Conn // fixed; nil for UDP
	outlet     *outlet  // fixed; below conn; nil where writes may wait
	local      netip.AddrPort
	remote     netip.AddrPort
	source     string // remote's address as text
	serverName string
	peer       PeerIdentity

	state        atomic.Uint32
	place        place        // accepted connections
	waits        waiting      // accepted TLS connections: for the peer, in the handshake
	proven       atomic.Bool  // a valid message came
	pinged       atomic.Bool  // a ping of ours has no answer yet
	last         atomic.Int64 // age at the last byte from the peer
	handling     bool         // the Handler has a message. Owned by the reader
	handed       bool         // it has had one since it was last told of the rest. Owned by the reader
	streak       int          // reads that did not have to wait. Owned by the reader
	partialSince atomic.Int64 // age since which an incomplete message waits, 0 = none
	writeSince   atomic.Int64 // age since which a write runs, 0 = none
	queued       atomic.Int64
	owed         atomic.Int64 // of queued: what the outlet keeps
	pending      atomic.Int32 // messages handed on and not yet processed
	bytesIn      atomic.Uint64
	bytesOut     atomic.Uint64
	messagesIn   atomic.Uint64
	messagesOut  atomic.Uint64
	malformed    atomic.Uint64
	cipher       atomic.Pointer[string] // what Cipher said first

	mu       sync.Mutex
	out      []byte        // serialised, not yet taken by a writer
	writing  bool          // a writer has the flow or will get it
	shut     bool          // no more sending
	ending   atomic.Bool   // as shut, for those who look without the lock
	err      error         // why it was shut
	cancel   func()        // stops the dialling
	ready    chan struct{} // dialled: closed when established or closed
	drained  chan struct{} // closed by the writer when it finds nothing more to write
	relief   chan struct{} // closed by the writer when the queue is short again
	vouched  map[string]bool
	badSince time.Time
	bad      int
}

// ID is the flow's number.
func (f *Flow) ID() FlowID { return f.id }

// Network is the transport protocol.
func (f *Flow) Network() Network { return f.network }

// Inbound says whether the peer made the connection (or sent the first datagram).
func (f *Flow) Inbound() bool { return f.inbound }

// Listener is where the flow came in; nil for connections we made.
func (f *Flow) Listener() *Listener { return f.listener }

// LocalIdentity names the identity we show on this flow.
func (f *Flow) LocalIdentity() string { return f.identity }

// Policy is Dest.Policy of a connection we made.
func (f *Flow) Policy() string { return f.dest.Policy }

// Remote is the peer's address.
func (f *Flow) Remote() netip.AddrPort { return f.remote }

// Since is when the flow was made.
func (f *Flow) Since() time.Time { return f.since }

// Alive says whether messages can be sent: the flow is connecting or established.
func (f *Flow) Alive() bool { return f.state.Load() != stateClosed && !f.ending.Load() }

// Established says whether the connection and its handshake are done. A UDP flow always is.
func (f *Flow) Established() bool { return f.state.Load() == stateEstablished }

// Local is our address on this flow; zero while connecting.
func (f *Flow) Local() netip.AddrPort {
	if f.state.Load() == stateConnecting {
		return netip.AddrPort{}
	}
	return f.local
}

// ServerName is the name an outgoing connection proved, or the SNI an incoming one asked for.
func (f *Flow) ServerName() string {
	if f.state.Load() == stateConnecting {
		return f.dest.ServerName
	}
	return f.serverName
}

// Peer is who the TLS peer is; the zero identity without TLS or while connecting. It must not be changed.
func (f *Flow) Peer() *PeerIdentity {
	if f.state.Load() == stateConnecting {
		return &PeerIdentity{}
	}
	return &f.peer
}

// TLS is the state of the TLS connection, with the peer's certificates; nil without TLS or while connecting.
func (f *Flow) TLS() *tls.ConnectionState {
	if f.state.Load() == stateConnecting {
		return nil
	}
	if c, ok := f.conn.(*tls.Conn); ok {
		s := c.ConnectionState()
		return &s
	}
	return nil
}

// Cipher names TLS version and cipher suite ("TLS 1.3 TLS_AES_128_GCM_SHA256"), once the handshake is done; empty without TLS.
func (f *Flow) Cipher() string {
	if c := f.cipher.Load(); c != nil {
		return *c
	}
	s := f.TLS()
	if s == nil {
		return ""
	}
	c := tls.VersionName(s.Version) + " " + tls.CipherSuiteName(s.CipherSuite)
	f.cipher.Store(&c) // every call over the flow asks, and the standard library makes its list of suites for each answer
	return c
}

// SentBy is what goes into the sent-by of our Via and into Contact: the address of the listener with the flow's network
// and identity, where the peer can reach us when the connection is lost (RFC 3261, 18.1.1), else the local address.
func (f *Flow) SentBy() netip.AddrPort {
	if l := f.t.listenerFor(f.network, f.identity, f.listener); l != nil {
		return l.sentBy(f)
	}
	return f.Local()
}

// Wait returns nil when the flow is established, or why it is not.
func (f *Flow) Wait(ctx context.Context) error {
	if f.ready != nil {
		select {
		case <-f.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f.Established() {
		return nil
	}
	return f.Err()
}

// Err is why the flow closed; nil while it is alive.
func (f *Flow) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Send queues a message and returns at once. An error means that it will not be sent; without error it may still be lost
// with the connection. While the connection is being made messages wait in the queue.
func (f *Flow) Send(m *sip.Message) error {
	kick, err := f.Queue(m)
	if kick {
		f.Flush()
	}
	return err
}

// Queue is Send without the writing: the caller, having queued all it has, calls Flush when flush is true, so that several
// messages leave in one write.
func (f *Flow) Queue(m *sip.Message) (flush bool, err error) {
	if f.network == UDP {
		return false, f.sendDatagram(m)
	}
	f.mu.Lock()
	if f.shut {
		err := f.err
		f.mu.Unlock()
		return false, err
	}
	start := f.room()
	f.out = m.Append(f.out)
	n := len(f.out) - start
	if o := f.t.cfg.Observer; o != nil {
		o.Sent(f, time.Now(), f.out[start:len(f.out):len(f.out)], m)
	}
	f.messagesOut.Add(1)
	if f.listener != nil {
		f.listener.messagesOut.Add(1)
	}
	return f.queueAndUnlock(n)
}

// sendRaw queues bytes that are no message: the CRLF of a keep-alive.
func (f *Flow) sendRaw(p []byte) error {
	f.mu.Lock()
	if f.shut {
		err := f.err
		f.mu.Unlock()
		return err
	}
	f.room()
	f.out = append(f.out, p...)
	flush, err := f.queueAndUnlock(len(p))
	if flush {
		f.Flush()
	}
	return err
}

// Ping sends the double CRLF of RFC 5626, 3.5.1; the peer's answer shows in Info as Last.
func (f *Flow) Ping() error {
	if f.network == UDP {
		return nil
	}
	f.pinged.Store(true)
	return f.sendRaw([]byte("\r\n\r\n"))
}

// room makes sure that there is a buffer and returns its length; mu is held.
func (f *Flow) room() int {
	if f.out == nil {
		f.out = f.t.buffers.get()
	}
	return len(f.out)
}

func (f *Flow) queueAndUnlock(n int) (flush bool, err error) {
	full := f.queued.Add(int64(n)) > int64(f.limits().QueueBytes)
	flush = !f.writing && !full && f.state.Load() == stateEstablished
	f.mu.Unlock()
	if full {
		f.abort(ErrQueueFull)
		return false, ErrQueueFull
	}
	return flush, nil
}

// Flush has what is queued written, without waiting for the peer: the caller writes it, and what the kernel does not take at
// once is left to a writer goroutine.
func (f *Flow) Flush() {
	f.mu.Lock()
	kick := !f.writing && len(f.out) > 0 && f.state.Load() == stateEstablished
	if kick {
		f.writing = true
	}
	f.mu.Unlock()
	if kick {
		f.startWriting()
	}
}

// startWriting has the flow written by the caller, or where that may wait by a writer; f.writing has been set.
func (f *Flow) startWriting() {
	if f.outlet == nil {
		f.t.writers.hand(f)
		return
	}
	f.flush(false)
}

func (f *Flow) limits() *Limits {
	if f.listener != nil {
		return &f.listener.limits
	}
	return &f.t.cfg.Limits
}

// Close ends the flow; what is queued is still written, within a second. A UDP flow is only forgotten.
func (f *Flow) Close(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	if !f.shutdown(reason) {
		return
	}
	if f.network == UDP {
		f.state.Store(stateClosed)
		f.listener.forget(f)
		return
	}
	f.interrupt(false)
}

// abort is Close for a peer that does not read: nothing more is written.
func (f *Flow) abort(reason error) {
	if f.shutdown(reason) {
		f.interrupt(true)
	}
}

// shutdown stops sending; false when that was done already.
func (f *Flow) shutdown(reason error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut {
		return false
	}
	f.shut, f.err = true, reason
	f.ending.Store(true)
	return true
}

// interrupt wakes the goroutine that owns the connection (the dialler or the reader), which does the rest.
func (f *Flow) interrupt(writerToo bool) {
	f.mu.Lock()
	cancel := f.cancel
	established := f.state.Load() == stateEstablished
	f.mu.Unlock()
	if !established {
		if cancel != nil {
			cancel()
		}
		return
	}
	past := time.Unix(1, 0)
	if writerToo {
		_ = f.conn.SetWriteDeadline(past)
	}
	_ = f.conn.SetReadDeadline(past)
}

// establish publishes the connection: the fixed fields are set. False when the flow was closed meanwhile.
func (f *Flow) establish() bool {
	f.mu.Lock()
	if f.shut {
		f.mu.Unlock()
		return false
	}
	f.last.Store(f.age())
	if f.outlet != nil {
		f.outlet.eager.Store(true)
	}
	f.state.Store(stateEstablished)
	kick := len(f.out) > 0
	f.writing = kick
	if f.ready != nil {
		close(f.ready)
	}
	f.mu.Unlock()
	if kick {
		f.startWriting()
	}
	return true
}

// finish is the end of a connection, called once by its reader (or its dialler when it never was established).
func (f *Flow) finish(err error) {
	f.shutdown(err)
	if isAlert(err) { // says more than the write error that came first
		f.mu.Lock()
		f.err = err
		f.mu.Unlock()
	}
	err = f.Err()
	wasEstablished := f.state.Load() == stateEstablished
	if wasEstablished {
		f.drain()
	}
	f.state.Store(stateClosed)
	f.t.remove(f)
	if f.conn != nil {
		_ = f.conn.Close()
	}
	f.mu.Lock()
	if !f.writing && f.out != nil {
		f.t.buffers.put(f.out)
		f.out = nil
	}
	if f.ready != nil && !wasEstablished {
		close(f.ready)
	}
	f.mu.Unlock()
	if l := f.listener; l != nil {
		l.release(f)
	}
	if wasEstablished && f.rejected(err) {
		f.t.refused(f, "alert", f.serverName, nil, err)
	}
	if o := f.t.cfg.Observer; o != nil && wasEstablished {
		o.Closed(f, time.Now(), err)
	}
	f.t.handler.Closed(f, err)
}

// rejected says whether a connection we made ended with an alert before any message: with TLS 1.3 a server that does not
// like our certificate says so only after our side of the handshake is done.
func (f *Flow) rejected(err error) bool {
	return !f.inbound && f.network == TLS && f.messagesIn.Load() == 0 && isAlert(err)
}

// isAlert says whether err is a TLS alert of the peer.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// drain gives the writer a second to finish what was queued before the flow was shut.
func (f *Flow) drain() {
	f.Flush()
	f.mu.Lock()
	if !f.writing {
		f.mu.Unlock()
		return
	}
	drained := make(chan struct{})
	f.drained = drained
	f.mu.Unlock()
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	select {
	case <-drained:
	case <-patience.C:
		_ = f.conn.SetWriteDeadline(time.Unix(1, 0))
		<-drained
	}
}

// flush writes until the queue is empty, while writing is true: on a writer goroutine, which may wait, or else for as long as
// the kernel takes all.
func (f *Flow) flush(mayWait bool) {
	owed := 0 // of queued, kept by the outlet
	for {
		if f.outlet != nil && f.outlet.behind() {
			if !mayWait {
				f.owed.Add(int64(owed))
				f.t.writers.hand(f)
				return
			}
			f.writeSince.Store(f.age())
			err := f.outlet.catchUp()
			f.writeSince.Store(0)
			if err != nil {
				f.writeFailed(err)
				return
			}
		}
		f.queued.Add(-int64(owed) - f.owed.Swap(0))
		f.mu.Lock()
		buf := f.out
		f.out = nil
		if len(buf) == 0 {
			f.stopWriting()
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		if owed > 0 {
			f.relieve()
		}
		if err := f.write(buf); err != nil {
			f.writeFailed(err)
			return
		}
		owed = len(buf)
		f.t.buffers.put(buf)
	}
}

// write hands bytes to the connection: through TLS to the outlet.
func (f *Flow) write(buf []byte) error {
	if f.outlet == nil {
		f.writeSince.Store(f.age())
		defer f.writeSince.Store(0)
	}
	n, err := f.conn.Write(buf)
	f.bytesOut.Add(uint64(n))
	if f.listener != nil {
		f.listener.bytesOut.Add(uint64(n))
	}
	return err
}

func (f *Flow) writeFailed(err error) {
	f.mu.Lock()
	f.stopWriting()
	f.mu.Unlock()
	if f.shutdown(err) { // the peer's reason may still be unread: an alert, then a reset
		_ = f.conn.SetReadDeadline(time.Now().Add(time.Second))
	}
}

// The reader of a flow stops reading at pendingMost messages that nobody has looked at yet, and goes on at pendingFew.
const (
	pendingMost = 512
	pendingFew  = 128
)

// Pressed says, while the Handler looks at a message of this flow, that what the peer sends comes faster than it is read. A Handler
// that has time does the work for a message on the reader's goroutine; when the reader is pressed it leaves it to others. All
// peers of a UDP socket share a reader, which always counts as pressed.
func (f *Flow) Pressed() bool {
	return f.network == UDP || f.streak > pressedMost || f.pending.Load() > pressedMost
}

// Processed says that a message of this flow was dealt with; the Handler calls it once for each.
func (f *Flow) Processed() {
	if f.pending.Add(-1) == pendingFew {
		f.relieve()
	}
}

// pace holds the reader up while messages of this peer wait, or what we have to say to it piles up, so that a peer which
// sends faster than it is served, or than it reads, feels it in its own TCP window. The pause is bounded: two ends that
// wait for each other go on.
func (f *Flow) pace() {
	if f.network == UDP || f.queued.Load() < int64(f.limits().QueueBytes)/4 && f.pending.Load() < pendingMost {
		return
	}
	f.Flush()
	relief := make(chan struct{})
	f.mu.Lock()
	f.relief = relief
	f.mu.Unlock()
	f.relieve()
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	select {
	case <-relief:
	case <-patience.C:
	}
}

// relieve lets a paced reader go on when there is room again.
func (f *Flow) relieve() {
	if f.pending.Load() > pendingFew || f.queued.Load() >= int64(f.limits().QueueBytes)/8 {
		return
	}
	f.mu.Lock()
	f.endRelief()
	f.mu.Unlock()
}

func (f *Flow) endRelief() {
	if f.relief != nil {
		close(f.relief)
		f.relief = nil
	}
}

func (f *Flow) stopWriting() {
	f.writing = false
	f.endRelief()
	if f.drained != nil {
		close(f.drained)
		f.drained = nil
	}
}

// Info is a snapshot.
func (f *Flow) Info() FlowInfo {
	i := FlowInfo{
		ID: f.id, Network: f.network, Inbound: f.inbound, Remote: f.remote, LocalIdentity: f.identity,
		Policy: f.dest.Policy, Since: f.since, Local: f.Local(), ServerName: f.ServerName(),
		BytesIn: f.bytesIn.Load(), BytesOut: f.bytesOut.Load(), MessagesIn: f.messagesIn.Load(),
		MessagesOut: f.messagesOut.Load(), Malformed: f.malformed.Load(), Queued: int(f.queued.Load()),
		State: [...]string{"connecting", "established", "closed"}[f.state.Load()],
	}
	if f.listener != nil {
		i.Listener = f.listener.name
	}
	if last := f.last.Load(); last != 0 {
		i.Last = f.since.Add(time.Duration(last))
	}
	if s := f.TLS(); s != nil {
		i.Peer = *f.Peer()
		i.TLSVersion, i.Cipher, i.Resumed = versionName(s), tls.CipherSuiteName(s.CipherSuite), s.DidResume
	}
	return i
}

// closedByPeer makes the end of a stream a sentence.
func closedByPeer(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the peer closed the connection")
	}
	return err
}
