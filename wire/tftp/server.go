package tftp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Files answers read requests.
type Files interface {
	// Open returns the file of a request. An *Error is sent to the client; on any other error, ErrSilent among them, the client
	// gets no answer and asks again. It runs in a goroutine of the transfer.
	Open(ctx context.Context, q Query) (*Content, error)
}

// ErrSilent says nothing to the client: the server is busy, or does not know.
var ErrSilent = errors.New("no answer")

// Query is a read request that was admitted.
type Query struct {
	Name          string
	Remote, Local netip.AddrPort
}

// Content is a file. Close may be nil.
type Content struct {
	io.ReaderAt
	Size  int64
	Close func()
	Tag   any // comes back in the Transfer
}

// Transfer is how a request ended.
type Transfer struct {
	Name          string
	Remote, Local netip.AddrPort
	Tag           any
	Bytes         int64 // of the file that went out
	Began         time.Time
	Took          time.Duration
	// Err is nil when the client acknowledged the whole file.
	Err error
}

// Observer hears of every request that was admitted, once it is over, from its goroutine.
type Observer interface{ Ended(Transfer) }

// Config of a server. Files must be set.
type Config struct {
	Files      Files
	Observer   Observer // nil: nobody
	Transfers  int      // at a time. Default: 2048
	PerAddress int      // of one client address. Default: 16
	Sender     SenderConfig
	Now        func() time.Time // nil: time.Now
}

// Counters are what a server has seen.
type Counters struct {
	Requests uint64 // well-formed read requests
	Refused  uint64 // not admitted because of a limit: the client got no answer
	Evicted  uint64 // given up for a new one before the client had answered
	Invalid  uint64 // answered with an error before anything was looked up
	Active   int
}

// Server serves any number of sockets. Limits count over all of them.
type Server struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	sockets  []*net.UDPConn
	active   map[netip.AddrPort]*transfer
	each     map[netip.Addr]int
	counters Counters
	closed   bool
}

// transfer is one request on its way; guarded by the server's lock.
type transfer struct {
	name     string
	local    netip.AddrPort
	began    time.Time
	halfOpen bool
	conn     *net.UDPConn // nil while the file is looked up
	stop     error        // why it must end
	cancel   context.CancelFunc
}

// NewServer returns a server that listens nowhere yet.
func NewServer(cfg Config) *Server {
	if cfg.Transfers == 0 {
		cfg.Transfers = 2048
	}
	if cfg.PerAddress == 0 {
		cfg.PerAddress = 16
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, active: map[netip.AddrPort]*transfer{}, each: map[netip.Addr]int{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// errClosed ends transfers when the server ends.
var errClosed = errors.New("the server was closed")

// receiveBuffer holds the requests of a building whose power came back.
const receiveBuffer = 1 << 20

// Serve answers requests on a socket, which must be bound to one address, until Close. It owns the socket and returns at once.
func (s *Server) Serve(conn *net.UDPConn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	_ = conn.SetReadBuffer(receiveBuffer) // what the system grants
	s.sockets = append(s.sockets, conn)
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		s.listen(conn)
	}()
	return nil
}

func (s *Server) listen(conn *net.UDPConn) {
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	buf := make([]byte, MaxRequest+1)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			continue // an ICMP error of an earlier answer
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		req, bad := ParseRequest(buf[:n])
		if bad == nil && req != nil {
			bad = refuse(req)
		}
		if bad != nil {
			s.count(func(c *Counters) { c.Invalid++ })
			_, _ = conn.WriteToUDPAddrPort(AppendError(nil, bad), from) // whoever sent nonsense may miss the answer
			continue
		}
		if req != nil {
			s.admit(req, from, local)
		}
	}
}

// refuse says what this server does not do.
func refuse(r *Request) *Error {
	switch {
	case r.Op == OpWrite:
		return &Error{CodeAccess, "files can only be read here"}
	case r.Mode != "octet":
		return &Error{CodeIllegal, "mode " + printable(r.Mode) + ": ask in mode octet"}
	}
	return nil
}

func printable(s string) string {
	return parseError(append([]byte{0, byte(OpError), 0, 0}, s...)).Message
}

func (s *Server) count(f func(*Counters)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.counters)
}

// admit starts a transfer unless a limit is reached; then the client hears nothing and asks again.
func (s *Server) admit(r *Request, from, local netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters.Requests++
	if old := s.active[from]; old != nil {
		if old.halfOpen && old.name == r.Name {
			return // the request again: the first packet is repeated anyway
		}
		s.end(old, ErrCancelled) // a client that uses its port again has left the old transfer
	}
	if len(s.active) >= s.cfg.Transfers {
		s.evict()
	}
	if s.closed || s.each[from.Addr()] >= s.cfg.PerAddress || len(s.active) >= s.cfg.Transfers {
		s.counters.Refused++
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	t := &transfer{name: r.Name, local: local, began: s.cfg.Now(), halfOpen: true, cancel: cancel}
	s.active[from] = t
	s.each[from.Addr()]++
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		defer cancel()
		s.run(ctx, t, r, from, local)
	}()
}

// end asks a transfer to end; the lock is held.
func (s *Server) end(t *transfer, why error) {
	if t.stop == nil {
		t.stop = why
	}
	t.cancel()
	if t.conn != nil {
		_ = t.conn.SetReadDeadline(time.Unix(1, 0)) // wakes it
	}
}

// evictAfter is how long a client that has not answered keeps its place when others want it.
const evictAfter = time.Second

// evict gives up the oldest transfer whose client has never answered, so that requests with made-up addresses cannot keep everybody
// else out. The place is free when that transfer has ended; the one who asked comes again.
func (s *Server) evict() {
	var oldest *transfer
	for _, t := range s.active {
		if t.halfOpen && t.stop == nil && (oldest == nil || t.began.Before(oldest.began)) {
			oldest = t
		}
	}
	if oldest != nil && s.cfg.Now().Sub(oldest.began) >= evictAfter {
		s.end(oldest, ErrNoAnswer)
		s.counters.Evicted++
	}
}

// run is the goroutine of one transfer.
func (s *Server) run(ctx context.Context, t *transfer, r *Request, from, local netip.AddrPort) {
	out := Transfer{Name: r.Name, Remote: from, Local: local, Began: t.began}
	content, err := s.cfg.Files.Open(ctx, Query{r.Name, from, local})
	if err == nil {
		out.Tag = content.Tag
		out.Bytes, err = s.send(t, r, content, from, local)
		if content.Close != nil {
			content.Close()
		}
	} else {
		s.tell(err, from, local)
	}
	s.mu.Lock()
	if s.active[from] == t {
		delete(s.active, from)
	}
	if s.each[from.Addr()]--; s.each[from.Addr()] == 0 {
		delete(s.each, from.Addr())
	}
	if t.stop != nil && err != nil {
		err = t.stop
	}
	s.mu.Unlock()
	if out.Err = err; s.cfg.Observer != nil {
		out.Took = s.cfg.Now().Sub(t.began)
		s.cfg.Observer.Ended(out)
	}
}

// dial opens the socket of a transfer, on the address that was asked: a phone does not take an answer from another one. It is
// connected, so that the system sorts out strangers, and a client that is gone (ICMP) ends the transfer at once.
func dial(local, remote netip.AddrPort) (*net.UDPConn, error) {
	return net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local.Addr(), 0)), net.UDPAddrFromAddrPort(remote))
}

func (s *Server) tell(err error, from, local netip.AddrPort) {
	var e *Error
	if !errors.As(err, &e) {
		return
	}
	if conn, err := dial(local, from); err == nil {
		_, _ = conn.Write(AppendError(nil, e)) // a lost answer is asked for again
		conn.Close()
	}
}

// send carries a sender: it waits for packets and deadlines.
func (s *Server) send(t *transfer, r *Request, content *Content, from, local netip.AddrPort) (int64, error) {
	conn, err := dial(local, from)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := s.attach(t, conn); err != nil {
		return 0, err
	}
	m := NewSender(r, content, content.Size, s.cfg.Sender)
	buf := make([]byte, 256) // an acknowledgement has four bytes
	for packet := m.Start(s.cfg.Now()); ; {
		if packet != nil {
			if _, err := conn.Write(packet); err != nil && !errors.Is(err, syscall.ENOBUFS) {
				return m.Sent(), gone(err)
			}
		}
		if done, err := m.Done(); done {
			return m.Sent(), err
		}
		if err := s.await(t, conn, m.Deadline()); err != nil {
			_, _ = conn.Write(AppendError(nil, &Error{CodeUndefined, err.Error()}))
			return m.Sent(), err
		}
		n, err := conn.Read(buf)
		switch {
		case err == nil:
			packet = m.Step(s.cfg.Now(), buf[:n])
			s.answered(t, m)
		case isTimeout(err):
			packet = m.Step(s.cfg.Now(), nil)
		default:
			return m.Sent(), gone(err)
		}
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// gone is a failed read or write in the words of Err.
func gone(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return ErrNoAnswer
	}
	return err
}

func (s *Server) attach(t *transfer, conn *net.UDPConn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.conn = conn
	return t.stop
}

// await sets the deadline of the next read unless the transfer must end.
func (s *Server) await(t *transfer, conn *net.UDPConn, deadline time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.stop == nil {
		return conn.SetReadDeadline(deadline)
	}
	return t.stop
}

func (s *Server) answered(t *transfer, m *Sender) {
	if !m.HalfOpen() {
		s.mu.Lock()
		t.halfOpen = false
		s.mu.Unlock()
	}
}

// Active lists the transfers that are on their way, in no order; Bytes, Took and Tag are not set.
func (s *Server) Active() []Transfer {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Transfer, 0, len(s.active))
	for from, t := range s.active {
		out = append(out, Transfer{Name: t.name, Remote: from, Local: t.local, Began: t.began})
	}
	return out
}

// Counters returns what the server has seen.
func (s *Server) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counters
	c.Active = len(s.active)
	return c
}

// Close stops listening, ends what runs, and waits for it.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for _, c := range s.sockets {
		c.Close()
	}
	for _, t := range s.active {
		s.end(t, errClosed)
	}
	s.mu.Unlock()
	s.cancel()
	s.work.Wait()
}
