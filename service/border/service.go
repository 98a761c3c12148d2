package border

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Name is the service's name on the bus, in traces and in the register of certificates.
const Name = "border"

// Config says where a border runs and what it stands on. Node, Addresses, Store, Bus and Identity must be set.
type Config struct {
	Node    string // this node's name
	Version string // of the program
	// Addresses are bound one by one; peers are shown the first.
	Addresses []netip.Addr
	Store     Store
	Bus       *bus.Bus
	Trace     *trace.Recorder
	Identity  *pki.Identity
	Media     media.PlaneConfig
	Timers    transaction.Timers
	Limits    endpoint.Limits
	Conns     transport.Limits
	Network   element.Network
	Now       func() time.Time // nil: time.Now
	// KeyLog receives the session secrets of every TLS connection: for laboratories only, listed by `show exceptions`.
	KeyLog pki.KeyLogWriter
}

// Store is what the border needs of the system of record; *store.Store is one.
type Store interface {
	Site(ctx context.Context) (store.Snapshot, error)
	Watch(ctx context.Context) <-chan store.Snapshot
}

// Service is a running border. Configuration in force is one immutable value, replaced whole; the engine and its element have their own
// state.
type Service struct {
	cfg     Config
	now     func() time.Time
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	workers sync.WaitGroup

	element    atomic.Pointer[element.Element]
	site       atomic.Pointer[site]
	admission  atomic.Pointer[admission]
	sources    sources
	counts     counts
	trouble    atomic.Pointer[string] // of the configuration; nil: none
	responders bus.Responders
}

// Start starts a border with the configuration that is in the store. It returns when it listens.
func Start(ctx context.Context, cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Bus == nil {
		return nil, fmt.Errorf("border: Config needs Store and Bus")
	}
	s := &Service{cfg: cfg, now: cfg.Now}
	if s.now == nil {
		s.now = time.Now
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.start(ctx); err != nil {
		_ = s.Close(ctx) // what counts is why it could not start
		return nil, fmt.Errorf("border: %w", err)
	}
	return s, nil
}

func (s *Service) start(ctx context.Context) error {
	snapshot, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return err
	}
	s.adopt(snapshot)
	b := s.site.Load().border
	e, err := element.Start(ctx, element.Config{Service: Name, Node: s.cfg.Node, Version: s.cfg.Version, Domain: cmp.Or(b.SIPUA.LocalDomain, s.cfg.Addresses[0].String()), Addresses: s.cfg.Addresses, Source: s.cfg.Addresses[0],
		Identity: s.cfg.Identity, Trace: s.cfg.Trace, Media: s.cfg.Media, Timers: s.cfg.Timers, Limits: s.cfg.Limits, Conns: s.cfg.Conns, Network: s.cfg.Network, Now: s.cfg.Now,
		KeyLog: s.cfg.KeyLog, TLSMax: newestTLS(b.SIPUA.TLS), Policy: s,
		Hooks: element.Hooks{Received: s.received, Sending: s.sending, Dialled: s.dialled}})
	if err != nil {
		return err
	}
	s.element.Store(e)
	if err := s.use(snapshot); err != nil {
		return err
	}
	if s.responders, err = s.cfg.Bus.Answer(Name, s.answers()); err != nil {
		return err
	}
	changes := s.cfg.Store.Watch(s.ctx)
	s.workers.Add(1)
	go func() {
		defer s.workers.Done()
		s.follow(changes)
	}()
	return nil
}

func newestTLS(v config.TLSVersions) uint16 {
	if v == config.TLSOnly12 {
		return tls.VersionTLS12
	}
	return 0
}

// adopt takes what the choice of a call's way needs into force.
func (s *Service) adopt(snapshot store.Snapshot) {
	next := compile(snapshot.Revision.Number, snapshot.Site, s.cfg.Node)
	s.site.Store(next)
	a := next.border.Admission
	adm := &admission{calls: a.MaxCalls}
	if a.CallsPerSecond > 0 {
		adm.second = newBucket(a.CallsPerSecond, a.Burst)
	}
	s.admission.Store(adm)
	s.sources.limit(a.CallsPerSecondPerSource)
}

// use takes a configuration into force: the peers' first, so that no call is sent to one that is not there. Calls that exist keep what
// they have.
func (s *Service) use(snapshot store.Snapshot) error {
	next := compile(snapshot.Revision.Number, snapshot.Site, s.cfg.Node)
	err := s.element.Load().Configure(call.Site{Policy: call.Policy{
		Mixed:           call.MixedAnchor, // a border converts: who has no SRTP is listed as an exception, peer by peer
		MediaInactivity: next.border.MediaInactivity.D(),
	}, Plan: next.plan()}, next.elements(snapshot.Site))
	if err == nil {
		s.adopt(snapshot)
	}
	return err
}

// configRetry is how often a configuration is tried again that could not be taken into force whole: a port that somebody else has.
const configRetry = 2 * time.Second

// follow takes every change of the store into force until the store or the service ends.
func (s *Service) follow(changes <-chan store.Snapshot) {
	var failed *store.Snapshot
	again := time.NewTicker(configRetry)
	defer again.Stop()
	for {
		select {
		case snapshot, alive := <-changes:
			if !alive {
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

// take takes a snapshot into force; it returns the snapshot when it must be tried again.
func (s *Service) take(snapshot store.Snapshot) *store.Snapshot {
	if err := s.use(snapshot); err != nil {
		text := fmt.Sprintf("configuration revision %d is not in force: %v", snapshot.Revision.Number, err)
		if old := s.trouble.Swap(&text); old == nil || *old != text {
			s.element.Load().Warn(text)
		}
		return &snapshot
	}
	s.trouble.Store(nil)
	s.element.Load().Note("", fmt.Sprintf("configuration revision %d is in force", snapshot.Revision.Number))
	return nil
}

// answers are what operators are told.
func (s *Service) answers() bus.Answers {
	e := s.element.Load()
	a := e.Answers()
	a.Status = func(context.Context) bus.ServiceStatus {
		st := e.Status()
		st.Revision = s.site.Load().revision
		if t := s.trouble.Load(); t != nil {
			st.State, st.Problem = "degraded", *t
		}
		return st
	}
	a.Exceptions = func(context.Context) ([]bus.Exception, error) { return append(e.Exceptions(), s.exceptions()...), nil }
	a.Dial = s.dial
	return a
}

// exceptions are what is weaker than the defaults beyond single peers.
func (s *Service) exceptions() (rows []bus.Exception) {
	st := s.site.Load()
	for _, n := range st.trusted {
		rows = append(rows, bus.Exception{Node: s.cfg.Node, Kind: "border", Name: st.border.Name, Setting: "trustedAddresses", Value: n.String(), Default: "(none)",
			Risk: "whoever can send from there can call by every dial-peer that has no targets: an address proves nothing"})
	}
	return rows
}

// dial answers what would become of a call. It asks what a call asks and changes nothing.
func (s *Service) dial(_ context.Context, r bus.DialRequest) (bus.DialAnswer, error) {
	a, err := s.explain(r.From, r.Number, r.Calling)
	if err != nil {
		return bus.DialAnswer{}, &bus.Error{Code: bus.CodeInvalid, Message: err.Error()}
	}
	doc, err := json.Marshal(a)
	return bus.DialAnswer{Node: s.cfg.Node, Text: a.Text(), Explanation: doc}, err
}

// Element is the SIP element below, for laboratories.
func (s *Service) Element() *element.Element { return s.element.Load() }

// Drain refuses new calls and waits for the end of those that are, or of ctx.
func (s *Service) Drain(ctx context.Context) error { return s.element.Load().Drain(ctx) }

// Close ends every call and releases everything. ctx bounds how long it waits for transactions to end.
func (s *Service) Close(ctx context.Context) error {
	s.responders.Close()
	s.cancel()
	s.workers.Wait()
	if e := s.element.Load(); e != nil {
		return e.Close(ctx)
	}
	return nil
}
