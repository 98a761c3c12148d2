package callserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/callserver/routing"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Name is the service's name on the bus, in traces and in the register of certificates.
const Name = contact.ServiceCallServer

// Config says where a call server runs and what it stands on. Store, Bus, Identity and Addresses must be set.
type Config struct {
	Node      string
	Version   string
	Addresses []netip.Addr
	// Folder is where recordings of callers are kept, under callserver/recordings; without it Record steps fail.
	Folder   string
	Store    Store
	Bus      *bus.Bus
	Identity *pki.Identity
	Trace    *trace.Recorder
	Media    media.PlaneConfig
	Timers   transaction.Timers
	Limits   endpoint.Limits
	Conns    transport.Limits
	Network  element.Network
	Now      func() time.Time // nil: time.Now
	// KeyLog receives the session secrets of every TLS connection: for laboratories only, listed by `show exceptions`.
	KeyLog pki.KeyLogWriter
}

// Store is what the call server needs of the system of record; *store.Store is one.
type Store interface {
	Site(ctx context.Context) (store.Snapshot, error)
	Watch(ctx context.Context) <-chan store.Snapshot
}

// Service is a running call server. Its follower owns the table of calls, under a lock for those who look calls up; each call belongs to the
// goroutine of its caller.
type Service struct {
	cfg     Config
	now     func() time.Time
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	workers sync.WaitGroup
	started time.Time
	life    uint64 // another one for every start

	site       atomic.Pointer[site]
	el         *element.Element
	driver     *live.Driver
	web        *http.Server
	documents  net.Listener
	responders bus.Responders
	problem    atomic.Pointer[string]

	mu     sync.Mutex
	calls  map[contact.CallID]*caller
	byCall map[call.CallID]*caller
	last   uint64 // number of the last call taken
	router contact.Router

	notes struct { // in the order of their numbers
		sync.Mutex
		seq uint64
	}
	counts counts
}

// counts are what the metrics count.
type counts struct {
	calls, refused, asked, unanswered, orders, joins, notes, documents, refusedDocuments atomic.Uint64
}

// Start starts a call server with the configuration that is in the store. It returns when it listens.
func Start(ctx context.Context, cfg Config) (*Service, error) {
	s := &Service{cfg: cfg, now: cfg.Now, calls: map[contact.CallID]*caller{}, byCall: map[call.CallID]*caller{}}
	if s.now == nil {
		s.now = time.Now
	}
	s.started = s.now()
	s.life = uint64(s.started.UnixNano())
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.start(ctx); err != nil {
		_ = s.Close(ctx) // what counts is why it could not start
		return nil, fmt.Errorf("call server: %w", err)
	}
	return s, nil
}

func (s *Service) start(ctx context.Context) (err error) {
	if len(s.cfg.Addresses) == 0 || s.cfg.Identity == nil || s.cfg.Bus == nil || s.cfg.Store == nil {
		return errors.New("Config needs Addresses, Identity, Bus and Store")
	}
	snapshot, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return err
	}
	c := &s.cfg
	s.el, err = element.Start(ctx, element.Config{Service: Name, Node: c.Node, Version: c.Version, Domain: snapshot.Site.Cluster.WithDefaults().Domain, Addresses: c.Addresses, Source: c.Addresses[0],
		Identity: c.Identity, Trace: c.Trace, Media: c.Media, Timers: c.Timers, Limits: c.Limits, Conns: c.Conns, Network: c.Network, Now: c.Now, KeyLog: c.KeyLog,
		Policy: policy{s}, Hooks: element.Hooks{PeerChanged: s.peerChanged}})
	if err != nil {
		return err
	}
	if s.driver, err = s.el.AttachDriver(routing.Applet, 0); err != nil {
		return err
	}
	s.run(s.drive)
	watcher := s.el.Host().Watch(maxBehind)
	s.run(func() { s.follow(watcher) })
	if err := s.use(snapshot); err != nil {
		return err
	}
	if err := s.serveDocuments(); err != nil {
		return err
	}
	board := c.Bus.Board().Watch(contact.FactRouter)
	s.run(func() { s.followRouter(board) })
	changes := c.Store.Watch(s.ctx)
	s.run(func() { s.followSite(changes) })
	return s.serve()
}

// maxBehind bounds the events that wait for the follower; a busy second has some thousand.
const maxBehind = 32768

// run starts a worker that Close waits for.
func (s *Service) run(work func()) {
	s.workers.Add(1)
	go func() {
		defer s.workers.Done()
		work()
	}()
}

// use takes a configuration into force. Calls that exist keep what they have.
func (s *Service) use(snapshot store.Snapshot) error {
	next, err := compile(snapshot, s.cfg.Node, s.cfg.Addresses[0])
	if err != nil {
		return err
	}
	if err := s.el.Configure(next.model, next.peers); err != nil {
		return fmt.Errorf("revision %d: %w", snapshot.Revision.Number, err)
	}
	s.site.Store(next)
	return nil
}

// configRetry is how often a configuration is tried again that could not be taken into force whole.
const configRetry = 2 * time.Second

// followSite takes every change of the store into force; what could not be taken (a port that somebody else has) is tried again.
func (s *Service) followSite(changes <-chan store.Snapshot) {
	var failed *store.Snapshot
	again := time.NewTicker(configRetry)
	defer again.Stop()
	for {
		select {
		case snapshot, open := <-changes:
			if !open {
				return
			}
			if snapshot.Revision.Number > s.site.Load().revision {
				failed = s.take(snapshot)
			}
		case <-again.C:
			if failed != nil {
				failed = s.take(*failed)
			}
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Service) take(snapshot store.Snapshot) (failed *store.Snapshot) {
	err := s.use(snapshot)
	if err == nil {
		s.problem.Store(nil)
		s.el.Note("", fmt.Sprintf("configuration revision %d is in force", snapshot.Revision.Number))
		return nil
	}
	text := err.Error()
	if old := s.problem.Swap(&text); old == nil || *old != text {
		s.el.Warn(text)
	}
	return &snapshot
}

// Close ends every call and releases everything. ctx bounds how long it waits for transactions to end.
func (s *Service) Close(ctx context.Context) error {
	s.responders.Close()
	if s.el != nil {
		s.el.DropCalls(ctx)
	}
	return s.Abandon(ctx)
}

// Abandon releases everything without a word to anybody, as the end of the process would: for laboratories.
func (s *Service) Abandon(ctx context.Context) error {
	s.responders.Close()
	s.cancel()
	if s.web != nil {
		_ = s.web.Close() // closes the listener; who waits for a document waits in vain
	}
	var err error
	if s.el != nil {
		err = s.el.Abandon(ctx)
	}
	s.workers.Wait()
	return err
}

// Element is the SIP element: its metrics, and what laboratories want of it.
func (s *Service) Element() *element.Element { return s.el }

// policy lets calls in.
type policy struct{ s *Service }

// Arrival implements element.Policy: a call of a member of a server group, to a number that is not one of the call server's own.
func (p policy) Arrival(in element.Incoming) (element.Arrival, *sipleg.Refusal) {
	s := p.s
	a := element.Arrival{Peer: in.Peer}
	if in.Refused != nil {
		return a, in.Refused
	}
	user := in.Message.RequestURI().User
	if user == "" || user[0] >= 'A' && user[0] <= 'D' {
		s.counts.refused.Add(1)
		return a, &sipleg.Refusal{Status: 404, Cause: call.UnallocatedNumber, Warning: "no contact number begins with a letter, or is none"}
	}
	s.mu.Lock()
	full := len(s.calls) >= s.site.Load().config.MaxCalls
	s.mu.Unlock()
	if full {
		s.counts.refused.Add(1)
		return a, &sipleg.Refusal{Status: 486, Cause: call.UserBusy, Warning: "the call server has as many callers as callServers.maxCalls allows", Retry: 5}
	}
	return a, nil
}

// Program implements element.Policy: there are no applets here.
func (policy) Program(string) applet.Program { return nil }

// drive takes what the engine tells the call server's own leg: nothing that the events do not tell as well.
func (s *Service) drive() {
	for range s.driver.Commands() {
	}
}

// peerChanged: a member of a server group answers its heartbeat again, or does not any more.
func (s *Service) peerChanged(peer string, up bool) {
	if up {
		return
	}
	for _, c := range s.all() {
		c.put(input{in: routing.PeerDown{Trunk: peer}})
	}
}

// all are the callers, in no order.
func (s *Service) all() []*caller {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*caller, 0, len(s.calls))
	for _, c := range s.calls {
		out = append(out, c)
	}
	return out
}

// find is the caller of a contact; nil when it has ended.
func (s *Service) find(id contact.CallID) *caller {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[id]
}

// follow takes what the engine tells: new calls, and what happens to those that are.
func (s *Service) follow(w *live.Watcher) {
	defer w.Close()
	for {
		select {
		case n, open := <-w.Notes():
			if !open {
				s.endAll()
				return
			}
			if n.Snapshot {
				s.pictures(n.Calls)
			} else {
				s.event(&n.Event)
			}
		case <-s.ctx.Done():
			s.endAll()
			return
		}
	}
}

// endAll: the engine has stopped.
func (s *Service) endAll() {
	for _, c := range s.all() {
		c.put(input{in: routing.Seen{Kind: call.CallEnded, Cause: call.TemporaryFailure}})
	}
}

// event hands an event to its call.
func (s *Service) event(ev *call.Event) {
	if ev.Call == 0 || ev.View == nil && ev.Kind != call.CallEnded {
		return
	}
	if c := s.byID(ev.Call); c != nil {
		c.put(input{in: routing.Seen{Kind: ev.Kind, Party: ev.Party, Leg: ev.Leg, OtherLeg: ev.OtherLeg, Cause: ev.Cause, View: ev.View}})
	} else if ev.Kind == call.LegRinging {
		s.arrive(ev.View, ev.Leg)
	}
}

// pictures puts right what events were lost for.
func (s *Service) pictures(views []*call.View) {
	seen := map[call.CallID]*call.View{}
	for _, v := range views {
		seen[v.ID] = v
		if s.byID(v.ID) != nil {
			continue
		}
		for _, p := range v.Parties {
			for _, l := range p.Legs {
				s.arrive(v, l.ID)
			}
		}
	}
	for _, c := range s.all() {
		c.put(input{in: routing.Seen{View: seen[c.call]}})
	}
}

func (s *Service) byID(id call.CallID) *caller {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byCall[id]
}

// arrive takes a call that is offered to the leg of our own.
func (s *Service) arrive(v *call.View, leg call.LegID) {
	a := routing.Arrival{Call: v.ID, Leg: leg, GlobalID: v.GlobalID}
	ours := false
	for _, p := range v.Parties {
		for i := range p.Legs {
			switch l := &p.Legs[i]; {
			case l.ID == leg && l.Applet == routing.Applet:
				ours, a.Called = true, cmp.Or(a.Called, p.Called)
			case l.Incoming:
				a.Caller, a.Calling = l.ID, p.Identity
				a.Called = cmp.Or(p.Dialled, a.Called)
			}
		}
	}
	if !ours {
		return
	}
	s.mu.Lock()
	s.last++
	a.ID, a.Router = contact.NewCallID(s.cfg.Node, s.life, s.last), s.router
	c := &caller{s: s, id: a.ID, call: v.ID, inputs: make(chan input, maxInputs), done: make(chan struct{}), pages: map[uint64]chan<- routing.Page{}}
	s.calls[c.id], s.byCall[c.call] = c, c
	s.mu.Unlock()
	s.counts.calls.Add(1)
	s.run(func() { c.run(a) })
}
