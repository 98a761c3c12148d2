package capf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// Service is a running enrolment service.
type Service struct {
	cfg     Config
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	workers sync.WaitGroup
	started time.Time

	book       *capfprofile.Book
	queue      *capfprofile.Queue
	handshakes handshakes
	pool       *pool
	listeners  []net.Listener
	responders bus.Responders
	sweeping   chan struct{} // capacity 1
	site       atomic.Pointer[store.Snapshot]

	counts   counts
	failures failures
	lockouts lockouts

	mu       sync.Mutex
	sessions map[uint32]*session
	held     map[netip.Addr]int // connections by address
	total    int
}

// counts are for metrics.
type counts struct {
	accepted, refusedConnections, failedHandshakes   atomic.Uint64
	begun, refused, lockouts, issued, succeeded      atomic.Uint64
	failed, malformed, revoked, late, sweepsThatFail atomic.Uint64
}

// Start starts the service. It returns when it listens.
func Start(ctx context.Context, cfg Config) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("capf: %w", err)
	}
	if _, err := registrar(cfg.Identity); err != nil {
		return nil, fmt.Errorf("capf: %w", err)
	}
	s := &Service{cfg: cfg, started: cfg.Now(), sweeping: make(chan struct{}, 1), sessions: map[uint32]*session{}, held: map[netip.Addr]int{}}
	s.book = capfprofile.New(cfg.Store.Documents(capfprofile.Collection), cfg.Profiles)
	s.queue = capfprofile.NewQueue(cfg.Store.Documents(capfprofile.RequestCollection), cfg.Now)
	s.handshakes = newHandshakes(cfg.Identity)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.start(ctx); err != nil {
		s.Close(ctx)
		return nil, fmt.Errorf("capf: %w", err)
	}
	return s, nil
}

func (s *Service) start(ctx context.Context) error {
	snapshot, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return err
	}
	s.site.Store(&snapshot)
	s.pool = newPool(s.ctx, s.cfg.Pace, 2*s.cfg.Limits.Connections)
	for _, a := range s.cfg.Addresses {
		l, err := net.Listen("tcp", netip.AddrPortFrom(a, uint16(s.cfg.Port)).String())
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, l)
		s.workers.Go(func() { s.accept(l) })
	}
	if err := s.serve(); err != nil {
		return err
	}
	changes := s.cfg.Store.Watch(s.ctx)
	s.workers.Go(func() {
		for snapshot := range changes {
			s.site.Store(&snapshot)
		}
	})
	s.workers.Go(s.sweep)
	return nil
}

// Book returns the profiles, for administration in the same process.
func (s *Service) Book() *capfprofile.Book { return s.book }

// Queue returns the requests to an offline authority.
func (s *Service) Queue() *capfprofile.Queue { return s.queue }

// Addresses are those listened on.
func (s *Service) Addresses() []netip.AddrPort {
	var out []netip.AddrPort
	for _, l := range s.listeners {
		out = append(out, addrPort(l.Addr()))
	}
	return out
}

// Close ends all sessions and returns when nothing of the service runs any more.
func (s *Service) Close(context.Context) error {
	s.cancel()
	var errs []error
	for _, l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.responders.Close()
	s.mu.Lock()
	for _, x := range s.sessions {
		x.conn.Close()
	}
	s.mu.Unlock()
	s.workers.Wait()
	if s.pool != nil {
		s.pool.wg.Wait()
	}
	return errors.Join(errs...)
}

// acceptRetry is the rest after an accept failed, for want of file descriptors for instance.
const acceptRetry = 100 * time.Millisecond

// accept lets connections in at a bounded rate. Everything that waits for a client happens in the connection's own
// goroutine.
func (s *Service) accept(l net.Listener) {
	least := time.Second / time.Duration(s.cfg.Limits.Accepts)
	for {
		c, err := l.Accept()
		rest := least
		switch {
		case s.ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return
		case err != nil:
			rest = acceptRetry
		case !s.admit(addrPort(c.RemoteAddr()).Addr()):
			s.counts.refusedConnections.Add(1)
			c.Close()
			continue
		default:
			s.workers.Go(func() { s.connection(c) })
		}
		select {
		case <-time.After(rest):
		case <-s.ctx.Done():
		}
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// admit takes a place for an address, unless it has too many or there are none.
func (s *Service) admit(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= s.cfg.Limits.Connections || s.held[a] >= s.cfg.Limits.PerAddress {
		return false
	}
	s.total++
	s.held[a]++
	s.counts.accepted.Add(1)
	return true
}

func (s *Service) release(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.held[a]--; s.held[a] == 0 {
		delete(s.held, a)
	}
}

// connection does the handshake and runs the session.
func (s *Service) connection(c net.Conn) {
	remote, local := addrPort(c.RemoteAddr()), addrPort(c.LocalAddr())
	defer s.release(remote.Addr())
	defer c.Close()
	stop := context.AfterFunc(s.ctx, func() { c.Close() })
	defer stop()
	x := &session{}
	var o offer
	legacy := s.legacy()
	conn := tls.Server(counted{c, &x.shown.in, &x.shown.out}, s.handshakes.config(legacy, &o))
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Limits.Handshake)
	err := conn.HandshakeContext(ctx)
	cancel()
	if err != nil {
		if s.ctx.Err() == nil {
			s.handshakeFailed(remote, local, o, err, legacy)
		}
		return
	}
	s.startSession(x, conn, remote, local)
	defer s.forget(x)
	x.run()
}

func (s *Service) forget(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, x.id)
}

// handshakeFailed tells of a refused client, and what it offered.
func (s *Service) handshakeFailed(remote, local netip.AddrPort, o offer, err error, legacy bool) {
	s.counts.failedHandshakes.Add(1)
	f := o.finding(err, legacy)
	s.failures.add(remote, local, f, s.cfg.Now())
	if s.cfg.Trace == nil {
		return
	}
	s.cfg.Trace.Record(trace.Record{Service: Name, Kind: trace.KindTLSFailed, Level: trace.Error, Net: "tls", Local: local, Remote: remote,
		Summary: remote.Addr().String() + " " + f.What, Fields: []trace.Field{{Name: "rule", Value: string(f.Rule)}, {Name: "expected", Value: f.Expected},
			{Name: "got", Value: f.Got}, {Name: "fix", Value: f.Fix}, {Name: "offered", Value: o.String()}, {Name: "error", Value: err.Error()}}})
}

// here is what the site says about this service on this node.
func (s *Service) here() config.NodeService {
	for _, n := range s.site.Load().Site.Nodes {
		if n.Name != s.cfg.Node {
			continue
		}
		for _, svc := range n.Services {
			if svc.Service == config.ServiceCAPF {
				return svc
			}
		}
	}
	return config.NodeService{}
}

func (s *Service) legacy() bool { return s.cfg.LegacyRSA || s.here().LegacyRSA }

// known reports whether the site has a device of the name.
func (s *Service) known(_ context.Context, name string) bool {
	for _, d := range s.site.Load().Site.Devices {
		if d.Name == name {
			return !d.Protocol.Terminal() // an application proves itself by a certificate of its own
		}
	}
	return false
}

func (s *Service) issuerEnds(c *x509.Certificate) time.Time { return issuerEnds(c, s.cfg.CA.Roots()) }

func (s *Service) sweepSoon() {
	select {
	case s.sweeping <- struct{}{}:
	default:
	}
}

// sweep ends what is late and revokes what was replaced, now and then and when somebody deleted its certificate.
func (s *Service) sweep() {
	tick := time.NewTicker(s.cfg.Sweep)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.sweeping:
		case <-s.ctx.Done():
			return
		}
		if err := s.Sweep(s.ctx); err != nil && s.ctx.Err() == nil {
			s.counts.sweepsThatFail.Add(1)
			s.record(trace.Error, "", "profiles cannot be looked through: "+err.Error())
		}
	}
}

// Sweep looks once: which new certificates are in use by what call managers tell, which operations are late, which
// certificates are to be revoked.
func (s *Service) Sweep(ctx context.Context) error {
	if err := s.lookForUse(ctx); err != nil {
		return err
	}
	swept, err := s.book.Sweep(ctx, s.cfg.CA.Revoke)
	s.lockouts.found(swept.Locked)
	for _, p := range swept.Late {
		s.counts.late.Add(1)
		s.record(trace.Info, p.Device, fmt.Sprintf("%s: %s", p.Owner, p.Status))
	}
	for _, c := range swept.Revoked {
		s.counts.revoked.Add(1)
		o := swept.Holders[c.Ref]
		s.record(trace.Info, o.Device, fmt.Sprintf("%s: certificate %s revoked: %s", o, c.Serial, c.Reason))
	}
	return err
}

// lookForUse asks the call managers of all nodes which certificates their connections show, when some profile waits to
// know.
func (s *Service) lookForUse(ctx context.Context) error {
	all, err := s.book.List(ctx)
	if err != nil {
		return err
	}
	waiting := map[pki.Ref]capfprofile.Owner{}
	for _, p := range all {
		for _, ref := range p.Unseen() {
			waiting[ref] = p.Owner
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	for _, service := range []string{"callmanager", "ctimanager"} {
		answers, err := bus.AskAll[bus.Query, []bus.Connection](ctx, s.cfg.Bus, s.cfg.Bus.Subject(service, bus.VerbConnections), bus.Query{}, s.cfg.Nodes...)
		if err != nil {
			return err
		}
		for _, a := range answers {
			for _, c := range a.Value {
				ref := pki.Ref{Issuer: c.Issuer, Serial: c.Serial}
				o, ok := waiting[ref]
				if !ok || !c.Verified {
					continue
				}
				if err := s.book.Used(ctx, o.Kind(), o.CommonName(), ref); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *Service) record(l trace.Level, device, summary string) {
	if s.cfg.Trace != nil {
		s.cfg.Trace.Record(trace.Record{Service: Name, Kind: trace.KindNote, Level: l, Device: device, Summary: summary})
	}
}

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// failures are the last refused handshakes, one line an address.
type failures struct {
	mu sync.Mutex
	m  map[netip.Addr]*failure
}

type failure struct {
	remote, local netip.AddrPort
	first, last   time.Time
	count         int64
	finding       pki.Finding
}

// maxFailures bounds the table.
const maxFailures = 256

func (f *failures) add(remote, local netip.AddrPort, finding pki.Finding, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.m == nil {
		f.m = map[netip.Addr]*failure{}
	}
	x := f.m[remote.Addr()]
	if x == nil {
		f.evict()
		x = &failure{first: now}
		f.m[remote.Addr()] = x
	}
	x.remote, x.local, x.last, x.finding = remote, local, now, finding
	x.count++
}

func (f *failures) evict() {
	if len(f.m) < maxFailures {
		return
	}
	var oldest netip.Addr
	for a, x := range f.m {
		if !oldest.IsValid() || x.last.Before(f.m[oldest].last) {
			oldest = a
		}
	}
	delete(f.m, oldest)
}

func (f *failures) all() []failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []failure
	for _, x := range f.m {
		out = append(out, *x)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].remote.String() < out[j].remote.String() })
	return out
}
